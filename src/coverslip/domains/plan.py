"""A question about groups of cells that can be answered; how it is answered, `coverslip.domains.analysis` knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coverslip.domains.cell_sets import Labels

KINDS = ("differential", "markers", "summary", "distribution", "composition", "score")
JSON, CSV, VALUES = "result.json", "result.csv", "values.f32"
ERROR = "error.json"
"""Where a process writes why there is no answer."""
Document = dict[str, Any]


@dataclass(frozen=True)
class Plan:
    """A question that can be answered: everything in it was found to be there.

    Attributes
    ----------
    kind
        ``differential``, ``markers``, ``summary``, ``distribution``, ``composition`` or ``score``.
    expression
        The matrix's id; None where no gene is asked for.
    genes, fields
        Numbers.
    labels
        The groups; None for scores.
    settings
        What else was asked for; numbers and text only.
    """

    kind: str
    expression: str | None = None
    genes: tuple[int, ...] = ()
    fields: tuple[int, ...] = ()
    labels: Labels | None = None
    settings: Document | None = None

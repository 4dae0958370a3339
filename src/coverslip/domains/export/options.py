"""How an export is written, and what cannot be: everything is checked before the first byte."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import PurePath

from coverslip.core.errors import BadUsage
from coverslip.domains.cells import Cells, Expression, as_category
from coverslip.domains.export.quantise import BITS

CODES = {"uint8": 254, "uint16": 65534, "uint32": 2**32 - 2}
"""Types of codes, and how many categories each can tell apart beside "missing"."""
LEVELS = range(1, 10)
MOST_SHOWN = 5


class BadArgument(BadUsage, ValueError):
    """An argument of `coverslip.prepare` that cannot be used."""


class UnknownColumn(BadUsage, KeyError):
    """A column that is not in ``obs``."""


@dataclass(frozen=True)
class ExportOptions:
    """How a data set is written; names and defaults of cellucid 0.0.9's ``prepare``.

    Attributes
    ----------
    obs_keys
        Which columns of ``obs``; None = all that can be written.
    genes
        Which genes, by name; None = all.
    expression
        Which matrix (``X``, ``raw``, ``layer:<name>``); None = the first.
    var_quantization, obs_continuous_quantization
        8 or 16 bits for genes and for numbers of ``obs``; None = float32.
    obs_categorical_dtype
        Type of the codes of categories; ``auto`` takes the smallest.
    compression
        Level of gzip, 1 to 9; None = none.
    """

    obs_keys: tuple[str, ...] | None = None
    genes: tuple[str, ...] | None = None
    expression: str | None = None
    var_quantization: int | None = None
    obs_continuous_quantization: int | None = None
    obs_categorical_dtype: str = "auto"
    compression: int | None = None
    dataset_name: str | None = None
    dataset_description: str | None = None
    dataset_id: str | None = None
    source_name: str | None = None
    source_url: str | None = None
    source_citation: str | None = None
    obs_manifest_filename: str = "obs_manifest.json"
    obs_binary_dirname: str = "obs"
    var_manifest_filename: str = "var_manifest.json"
    var_binary_dirname: str = "var"
    connectivity_manifest_filename: str = "connectivity_manifest.json"
    connectivity_binary_dirname: str = "connectivity"

    def check(self) -> None:
        """Raise `BadArgument` for what no data set could be written with."""
        for what in ("var_quantization", "obs_continuous_quantization"):
            if getattr(self, what) is not None and getattr(self, what) not in BITS:
                raise BadArgument(f"{what}={getattr(self, what)!r} is not possible", "Take 8, 16 or None.")
        if self.compression is not None and self.compression not in LEVELS:
            raise BadArgument(f"compression={self.compression!r} is not possible", "Take 1 to 9, or None.")
        if self.obs_categorical_dtype not in ("auto", *CODES):
            raise BadArgument(
                f"obs_categorical_dtype={self.obs_categorical_dtype!r} is not possible",
                f"Take auto, {' or '.join(CODES)}.",
            )
        names = [f.name for f in fields(self) if f.name.endswith(("_filename", "_dirname"))]
        for what in names:
            name = str(getattr(self, what))
            if name != PurePath(name).name or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
                raise BadArgument(f"{what}={name!r} is no plain name", "Take letters, digits, '.', '_' and '-'.")
        given = [str(getattr(self, what)).casefold() for what in names]
        if len({*given, "dataset_identity.json", "vectors", "embeddings"}) < len(given) + 3:
            raise BadArgument("Two files or folders of the export have the same name", "Give each its own.")


def chosen_fields(cells: Cells, options: ExportOptions) -> list[int]:
    """Numbers of the columns that are written.

    Raises
    ------
    UnknownColumn
        When a column asked for is not there.
    BadArgument
        When it cannot be written as it was asked for.
    """
    there = {field.key: i for i, field in enumerate(cells.fields)}
    wanted = options.obs_keys
    if wanted is not None:
        unknown = [key for key in wanted if key not in there]
        unreadable = next((key for key in unknown if key in cells.unreadable), None)
        if unreadable is not None:
            raise BadArgument(f"The column {unreadable!r} cannot be read: {cells.unreadable[unreadable]}")
        if unknown:
            raise UnknownColumn(
                f"obs_keys contain columns not in obs: {', '.join(map(repr, unknown[:MOST_SHOWN]))}",
                _near(unknown[0], list(there)),
            )
    numbers = [there[key] for key in dict.fromkeys(wanted)] if wanted is not None else list(there.values())
    for number in numbers:
        category = as_category(cells.fields[number])
        limit = CODES.get(options.obs_categorical_dtype)
        if category is not None and limit is not None and category.n_categories > limit:
            raise BadArgument(
                f"{category.key} has {category.n_categories:,} categories,"
                f" {options.obs_categorical_dtype} holds {limit:,}",
                "Take obs_categorical_dtype='auto'.",
            )
    return numbers


def chosen_genes(expression: Expression | None, genes: Sequence[str] | None) -> tuple[list[int], list[str]]:
    """Numbers of the genes that are written, in the matrix's order, and names of which there is no gene.

    Raises
    ------
    BadArgument
        When none of those asked for is there.
    """
    if expression is None:
        return [], list(genes or ())
    count = expression.matrix.shape[1]
    if genes is None:
        return list(range(count)), []
    wanted = set(genes)
    names = expression.genes.names
    found = [i for i, name in enumerate(names) if name in wanted]
    unknown = sorted(wanted - set(names))
    if unknown and not found:
        raise BadArgument(
            f"None of the genes asked for is there: {', '.join(unknown[:MOST_SHOWN])}", _near(unknown[0], names)
        )
    return found, unknown


def _near(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, 1)
    if near:
        return f"Did you mean {near[0]}?"
    return f"There is {', '.join(names[:MOST_SHOWN]) or 'none'}{' …' if len(names) > MOST_SHOWN else ''}."

"""What is missing in data, or slow, in words for who made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Weight = Literal["broken", "slow", "note"]
ORDER: tuple[Weight, ...] = ("broken", "slow", "note")


@dataclass(frozen=True)
class Finding:
    """One thing worth knowing.

    Attributes
    ----------
    weight
        ``broken``: something does not work; ``slow``: it works, and could be faster or smaller; ``note``: it is so.
    code
        Stable name of it: ``no_embedding``.
    where
        The part of the data: ``obs/score``.
    message
        What is so, in one sentence.
    hint
        What to do about it, in one line; empty when nothing needs to be done.
    """

    weight: Weight
    code: str
    where: str
    message: str
    hint: str = ""


def ranked(findings: list[Finding]) -> list[Finding]:
    """The worst first, otherwise as they were found."""
    return sorted(findings, key=lambda f: ORDER.index(f.weight))

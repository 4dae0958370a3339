"""Names that files of their own can have.

Clients of cellucid's first generation make a file's name of a gene's: every other character than letters, digits,
``.``, ``_`` and ``-`` is ``_``. ``HLA/A`` and ``HLA A`` are one file then. Here the second one is called ``HLA A (2)``
in the manifest, so that no client ever shows one for the other; its real name stands beside it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

LONGEST = 180
"""A file's name may have 255 bytes on most disks, with what comes after it."""


def safe_name(name: str) -> str:
    """The form in which clients write a name into a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "field"


def labels(names: Sequence[str], fold: bool = False) -> list[str]:
    """A name for each of ``names`` whose safe form nobody else has: itself for who is called so, else for the first.

    Parameters
    ----------
    fold
        Whether capital and small letters are one, as on disks of Windows and macOS.
    """

    def place(name: str) -> str:
        safe = safe_name(name)
        return safe.casefold() if fold else safe

    taken: set[str] = set()
    found = list(names)
    later: list[int] = []
    for i in sorted(range(len(names)), key=lambda i: safe_name(names[i]) != names[i]):
        if len(names[i]) > LONGEST or place(names[i]) in taken:
            later.append(i)
        else:
            taken.add(place(names[i]))
    counts: dict[str, int] = {}
    for i in sorted(later):
        short = names[i][:LONGEST]
        while True:
            counts[short] = counts.get(short, 1) + 1
            label = f"{short} ({counts[short]})"
            if place(label) not in taken:
                break
        taken.add(place(label))
        found[i] = label
    return found

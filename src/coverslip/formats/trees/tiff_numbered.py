"""Files that are numbered: which axes their names count, and where each one belongs."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError
from coverslip.formats.trees.tiff_bytes import Directories, FileBytes
from coverslip.formats.trees.tiff_sets import description, is_ome

FEWEST, MOST = 3, 200_000
SUFFIXES = (".tif", ".tiff")
SAMPLED = 4
"""How many files are looked into before a folder counts as one image."""
WORDS = {
    **dict.fromkeys(("t", "time", "timepoint", "tp", "frame"), "t"),
    **dict.fromkeys(("z", "slice", "plane", "depth"), "z"),
    **dict.fromkeys(("c", "ch", "channel", "w", "wavelength"), "c"),
    **dict.fromkeys(("p", "pos", "position", "s", "site", "series", "xy", "fov", "f", "field", "v"), "p"),
    **dict.fromkeys(("m", "tile"), "m"),
}
ORDER = "ptczmijk"
NUMBER = re.compile(r"\d+")


@dataclass(frozen=True)
class Numbered:
    """The files of one numbered series.

    Attributes
    ----------
    names
        File names in the order of ``which``.
    axes
        One letter for each axis that the names count; ``i`` where they do not say which.
    values
        The numbers on each axis, ascending.
    which
        For each position the number of its file, -1 where there is none; shape: the axes' lengths.
    """

    names: tuple[str, ...]
    axes: str
    values: tuple[tuple[int, ...], ...]
    which: npt.NDArray[np.int32]


def listed(folder: Path) -> list[str]:
    """Names of the TIFF files in a folder, sorted; none when there are too few or too many for one image."""
    found: list[str] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                name = entry.name
                if name.lower().endswith(SUFFIXES) and not name.startswith("."):
                    found.append(name)
                    if len(found) > MOST:
                        return []
    except OSError:
        return []
    return sorted(found) if len(found) >= FEWEST else []


def numbered(names: Sequence[str]) -> Numbered | None:
    """What the names count, or None when they are not the names of one series.

    They must be equal but for their numbers. One number may run on its own, by ones or in equal steps, with at most
    half of its values missing; several must fill at least half of their grid.
    """
    first = NUMBER.split(names[0])
    numbers: list[list[int]] = []
    for name in names:
        if NUMBER.split(name) != first:
            return None
        numbers.append([int(n[:18]) for n in NUMBER.findall(name)])
    table = np.array(numbers, np.int64).reshape(len(names), -1)
    varying = [i for i in range(table.shape[1]) if (table[:, i] != table[0, i]).any()]
    if not varying or len(varying) > 6:
        return None
    letters = _letters([first[i] for i in varying])
    if letters is None:
        return None
    order = sorted(range(len(varying)), key=lambda i: ORDER.index(letters[i]))
    columns = [table[:, varying[i]] for i in order]
    axes = "".join(letters[i] for i in order)
    values = [np.unique(column) for column in columns]
    if not _dense(values, len(names)):
        return None
    which = np.full([len(v) for v in values], -1, np.int32)
    at = tuple(np.searchsorted(v, column) for v, column in zip(values, columns, strict=True))
    which[at] = np.arange(len(names))
    if (which >= 0).sum() != len(names):  # two files of one position: 1.tif and 01.tif
        return None
    return Numbered(tuple(names), axes, tuple(tuple(v.tolist()) for v in values), which)


def _letters(before: Sequence[str]) -> str | None:
    """The axis that each number counts, by the word before it."""
    found = []
    for text in before:
        word = re.search(r"([A-Za-z]*)[^A-Za-z]*$", text)
        found.append(WORDS.get(word.group(1).lower() if word else "", ""))
    known = [letter for letter in found if letter]
    if len(set(known)) != len(known) or len(found) - len(known) > 3:
        return None
    spare = iter("ijk")
    return "".join(letter or next(spare) for letter in found)


def _dense(values: Sequence[npt.NDArray[np.int64]], count: int) -> bool:
    if len(values) > 1:
        return count * 2 >= math.prod(len(v) for v in values)
    steps = np.diff(values[0])
    step = reduce(math.gcd, steps.tolist(), 0)
    return bool((values[0][-1] - values[0][0]) // step + 1 <= 2 * count)


def one_image(folder: Path) -> Numbered | None:
    """The series in a folder whose TIFF files make up one image, by their names and by some of their directories.

    A folder of files that differ in size or kind of numbers, or that are OME-TIFF, is none.
    """
    names = listed(folder)
    found = numbered(names) if names else None
    if found is None:
        return None
    chosen = sorted({round(i * (len(names) - 1) / (SAMPLED - 1)) for i in range(SAMPLED)})
    seen: tuple[object, ...] | None = None
    for i in chosen:
        try:
            like = _like(folder / names[i])
        except (CoverslipError, OSError):
            return None
        if like is None or (seen is not None and like != seen):
            return None
        seen = like
    return found


def _like(path: Path) -> tuple[object, ...] | None:
    if is_ome(description(path)):
        return None
    file = FileBytes(path)
    try:
        chain = Directories(file)
        first = chain[0]
        values = [first.data(code) for code in (256, 257, 258, 277, 339)]
        pages = 1 if not first.next else len(chain)
        return (*values, pages) if values[0] else None
    finally:
        file.close()

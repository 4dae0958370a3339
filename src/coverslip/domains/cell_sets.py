"""Sets of cells as a question names them, and what group each cell is in.

The words are those of ``docs/reference/http-analysis.md``.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest
from coverslip.domains.cells import Cells, as_category
from coverslip.domains.columns import Category

Mask = npt.NDArray[np.bool_]
Codes = npt.NDArray[np.uint16]
MOST_GROUPS = 1000
KINDS = "Write category, cells, rest or all."


@dataclass(frozen=True)
class Labels:
    """Which group each cell is in.

    Attributes
    ----------
    codes
        uint16 ``(n_cells,)``: a group's number; `rest` for the others that count, `rest` + 1 for those that do not.
    names
        The groups' names.
    categories
        The categories' numbers where the groups are those of a field, else None.
    """

    codes: Codes
    names: tuple[str, ...]
    categories: tuple[int, ...] | None = None

    @property
    def rest(self) -> int:
        """The code of cells in no group."""
        return len(self.names)

    @property
    def sizes(self) -> npt.NDArray[np.int64]:
        """Cells of each group, of the rest, and of those that do not count."""
        return np.bincount(self.codes, minlength=self.rest + 2)

    def told(self) -> list[dict[str, Any]]:
        """The groups as answers list them."""
        sizes = self.sizes.tolist()
        codes = self.categories or (None,) * len(self.names)
        return [
            {"name": name, "n_cells": sizes[i]} | ({} if code is None else {"code": code})
            for i, (name, code) in enumerate(zip(self.names, codes, strict=True))
        ]


class CellSets:
    """Reads the sets of one question about one data set.

    Parameters
    ----------
    cells
        The data set.
    within
        The only cells that count, as the question names them; None = all.
    """

    def __init__(self, cells: Cells, within: object = None) -> None:
        self._cells = cells
        self._codes: dict[int, npt.NDArray[np.int32]] = {}
        self._within = None if within is None else self.mask(within, "within")

    def counted(self) -> Mask:
        """The cells that count."""
        return np.ones(self._cells.n_cells, bool) if self._within is None else self._within

    def category(self, number: object) -> Category:
        """A field of categories, by its number.

        Raises
        ------
        BadRequest, NotFound
            When it is no number, no field, or no field of categories.
        """
        if not isinstance(number, int) or isinstance(number, bool):
            raise BadRequest("field is no number", "dataset_identity.json numbers the fields.")
        column = self._cells.field(number)
        category = as_category(column)
        if category is None:
            raise BadRequest(f"{column.key} holds no categories", "Group by a field of categories.", "no_category")
        return category

    def codes(self, number: int) -> npt.NDArray[np.int32]:
        """The category of each cell, -1 = none; of a field that `category` found."""
        if number not in self._codes:
            self._codes[number] = self.category(number).codes()
        return self._codes[number]

    def is_rest(self, asked: object) -> bool:
        """Whether a set is all cells that are in no other."""
        return isinstance(asked, dict) and asked.get("kind") == "rest"

    def mask(self, asked: object, what: str) -> Mask:
        """The cells of one set, which is not ``rest``; bool ``(n_cells,)``.

        Raises
        ------
        BadRequest, NotFound
            When it cannot be understood, or names what is not there.
        """
        kinds: dict[object, Callable[[dict[str, Any], str], Mask]] = {
            "category": self._of_category, "cells": self._of_bits, "all": lambda *_: np.ones(self._cells.n_cells, bool),
        }  # fmt: skip
        kind = asked.get("kind") if isinstance(asked, dict) else None
        if not isinstance(asked, dict) or not isinstance(kind, str) or kind not in kinds:
            raise BadRequest(f"{what} is no set of cells that can be used here", KINDS)
        return kinds[kind](asked, what)

    def _of_category(self, asked: dict[str, Any], what: str) -> Mask:
        category = self.category(asked.get("field"))
        wanted = np.zeros(category.n_categories + 1, bool)
        wanted[_numbers(asked.get("codes"), category, what)] = True
        found: Mask = wanted[self.codes(asked["field"])]
        return found

    def _of_bits(self, asked: dict[str, Any], what: str) -> Mask:
        text, n_cells = asked.get("bits"), self._cells.n_cells
        try:
            data = base64.b64decode(text, validate=True) if isinstance(text, str) else None
        except (binascii.Error, ValueError):
            data = None
        size = (n_cells + 7) // 8
        if data is None or len(data) != size:
            raise BadRequest(f"The bits of {what} are not {size:,} bytes", f"One bit for each of {n_cells:,} cells.")
        return np.unpackbits(np.frombuffer(data, np.uint8), count=n_cells, bitorder="little").astype(bool)

    def labels(self, asked: object) -> Labels:
        """The groups of a question.

        Raises
        ------
        BadRequest, NotFound
            When they cannot be understood, share a cell, or one of them is empty.
        """
        if isinstance(asked, dict):
            return self._of_field(asked)
        if not isinstance(asked, list) or not asked or not all(isinstance(one, dict) for one in asked):
            raise BadRequest("groups names no groups of cells", 'Write {"field": 3}, or a list of {"name", "cells"}.')
        if len(asked) > MOST_GROUPS:
            raise BadRequest(f"{len(asked):,} groups are too many", f"Ask for {MOST_GROUPS:,} at most.", "too_many")
        names = [self._name(one, i) for i, one in enumerate(asked)]
        return self._listed([one.get("cells") for one in asked], names)

    def pair(self, group: object, reference: object, names: tuple[str | None, str | None]) -> Labels:
        """One group and what it is compared with, which is the ``rest`` of the labels.

        Raises
        ------
        BadRequest, NotFound
            As of `labels`.
        """
        if self.is_rest(reference):
            return self._listed([group], [names[0] or self._name({"cells": group}, 0)])
        both = [self._name({"cells": one, "name": name}, i) for i, (one, name) in enumerate(
            zip((group, reference), names, strict=True))]  # fmt: skip
        return against(self._listed([group, reference], both))

    def _listed(self, asked: list[object], names: list[str]) -> Labels:
        counted = self.counted()
        codes = np.full(self._cells.n_cells, len(asked), np.uint16)
        codes[~counted] = len(asked) + 1
        rests = [i for i, one in enumerate(asked) if self.is_rest(one)]
        if len(rests) > 1:
            raise BadRequest("Two groups are each other's rest", "Name the cells of one of them.", "groups_overlap")
        for i, one in enumerate(asked):
            if i in rests:
                continue
            mask = self.mask(one, names[i]) & counted
            shared = codes[mask]
            if shared.size and shared.min() < len(asked):
                other = names[int(shared.min())]
                count = int((shared == shared.min()).sum())
                raise overlap(names[i], other, count)
            codes[mask] = i
        if rests:
            codes[codes == len(asked)] = rests[0]
        return _checked(Labels(codes, tuple(names)))

    def _of_field(self, asked: dict[str, Any]) -> Labels:
        number = asked.get("field")
        category = self.category(number)
        assert isinstance(number, int)
        codes, counted = self.codes(number), self.counted()
        sizes = np.bincount(codes[counted & (codes >= 0)], minlength=category.n_categories)
        chosen = (
            np.flatnonzero(sizes).tolist() if asked.get("codes") is None
            else _numbers(asked["codes"], category, "groups")
        )  # fmt: skip
        if len(chosen) > MOST_GROUPS:
            raise BadRequest(
                f"{category.key} has {len(chosen):,} groups", f"Choose {MOST_GROUPS:,} codes at most.", "too_many"
            )
        if not chosen:
            raise BadRequest(f"{category.key} has no group with a cell", "Choose another field.", "empty_group")
        place = np.full(category.n_categories + 1, len(chosen), np.uint16)
        place[chosen] = np.arange(len(chosen))
        labels = place[codes]
        labels[~counted] = len(chosen) + 1
        names = tuple(category.categories[code] for code in chosen)
        return _checked(Labels(labels, names, tuple(chosen)))

    def name(self, asked: object, i: int) -> str:
        """What a set is called that nobody gave a name; ``i`` is its place, from 0."""
        return self._name({"cells": asked}, i)

    def _name(self, one: dict[str, Any], i: int) -> str:
        if isinstance(one.get("name"), str) and one["name"]:
            return str(one["name"])[:200]
        cells = one.get("cells")
        if self.is_rest(cells):
            return "rest"
        if isinstance(cells, dict) and cells.get("kind") == "category":
            category = self.category(cells.get("field"))
            codes = _numbers(cells.get("codes"), category, "group")
            return ", ".join(category.categories[code] for code in codes)[:200]
        return "all" if isinstance(cells, dict) and cells.get("kind") == "all" else f"group {i + 1}"


def against(labels: Labels) -> Labels:
    """The same with the last group as the rest, and the others counted no more; its name goes."""
    last = labels.rest - 1
    codes = labels.codes.copy()
    codes[labels.codes >= labels.rest] = last + 1
    return Labels(codes, labels.names[:-1], labels.categories[:-1] if labels.categories else None)


def overlap(one: str, other: str, count: int) -> BadRequest:
    """Why two groups cannot be told apart."""
    shared = f"share {count:,} cell{'' if count == 1 else 's'}"
    return BadRequest(f"{other!r} and {one!r} {shared}", "A cell can be in one group only.", "groups_overlap")


def _numbers(codes: object, category: Category, what: str) -> list[int]:
    good = isinstance(codes, list) and all(isinstance(c, int) and not isinstance(c, bool) for c in codes)
    if not good or not codes:
        raise BadRequest(f"{what} names no categories of {category.key}", "Write codes: a list of numbers.")
    numbers: list[int] = list(dict.fromkeys(codes))  # type: ignore[call-overload]
    if min(numbers) < 0 or max(numbers) >= category.n_categories:
        raise BadRequest(
            f"{category.key} has no such category", f"Codes are 0 to {category.n_categories - 1}.", "no_category"
        )
    return numbers


def _checked(labels: Labels) -> Labels:
    sizes = labels.sizes[: labels.rest]
    if not sizes.all():
        empty = labels.names[int(np.flatnonzero(sizes == 0)[0])]
        raise BadRequest(f"No cell is in {empty!r}", "Choose another group.", "empty_group")
    return labels

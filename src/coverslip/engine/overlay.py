"""A source with images added to its tree that its file does not hold."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from coverslip.core.errors import NotFound
from coverslip.core.node import Group, Node, Source

Addition = tuple[tuple[str, ...], Callable[[], Group]]
"""Where an image is in the tree, and how it is made."""


class Overlay(Group):
    """A group with more in it than before.

    Parameters
    ----------
    base
        The group as it was; None when there was none.
    additions
        Where things are below this group, and how they are made.
    labels
        Whether this is NGFF's ``labels`` group, whose attributes name what is in it.
    """

    def __init__(self, base: Group | None, additions: Sequence[Addition], labels: bool = False) -> None:
        self._base = base
        self._below: dict[str, list[Addition]] = {}
        for (name, *rest), make in additions:
            self._below.setdefault(name, []).append((tuple(rest), make))
        self.attrs = _with_labels(base, list(self._below)) if labels else base.attrs if base is not None else {}

    def __iter__(self) -> Iterator[str]:
        own = list(self._base) if self._base is not None else []
        return iter([*own, *(name for name in self._below if name not in own)])

    def __contains__(self, name: object) -> bool:
        return name in self._below or (self._base is not None and name in self._base)

    def __getitem__(self, name: str) -> Node:
        if name not in self._below:
            if self._base is None:
                raise NotFound(f"There is no {name!r} here")
            return self._base[name]
        here = next((make() for rest, make in self._below[name] if not rest), None)
        if here is None and self._base is not None and name in self._base:
            there = self._base[name]
            if not isinstance(there, Group):  # an array can hold nothing more
                return there
            here = there
        further = [(rest, make) for rest, make in self._below[name] if rest]
        return Overlay(here, further, name == "labels") if further or here is None else here


class Overlaid(Source):
    """A source with additions.

    Parameters
    ----------
    base
        The source as it is on disk.
    additions
        What is added.
    version
        Another one for other additions.
    current
        What ``version`` would be now.
    """

    def __init__(self, base: Source, additions: Sequence[Addition], version: str, current: Callable[[], str]) -> None:
        self._base, self._version, self._current = base, version, current
        self.root = Overlay(base.root, additions)
        self.etag = hashlib.sha256(f"{base.etag} {version}".encode()).hexdigest()[:32] if version else base.etag
        self.modified_s = base.modified_s

    def fresh(self) -> bool:
        """Whether neither the file nor the additions changed."""
        return self._current() == self._version and self._base.fresh()

    def close(self) -> None:
        """Close the file."""
        self._base.close()


class Nothing(Source):
    """A source that holds only what is added to it."""

    etag = "0"
    modified_s = 0.0

    def __init__(self) -> None:
        self.root = Overlay(None, ())

    def fresh(self) -> bool:
        """It cannot change."""
        return True


def _with_labels(base: Group | None, names: list[str]) -> Mapping[str, Any]:
    attrs = dict(base.attrs) if base is not None else {}
    inner = attrs.get("ome")
    ome = dict(inner) if isinstance(inner, Mapping) else {}
    given = ome.get("labels", attrs.get("labels"))
    own = [n for n in given if isinstance(n, str)] if isinstance(given, list) else list(base or ())
    ome["labels"] = [*own, *(name for name in names if name not in own)]
    return {**attrs, "ome": ome}

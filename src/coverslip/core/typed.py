"""Files of typed objects: groups, data sets and named types with exact types, links, attributes and references.

The data model is that of HDF5 (HDF5 User Guide, chapters 4 to 8); a source that follows it satisfies `TypedFile`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import NEVER, Stop

Kind = Literal["group", "dataset", "datatype"]
Pad = Literal["null-terminated", "null-padded", "space-padded"]


@dataclass(frozen=True, slots=True)
class Integer:
    """Two's complement of ``size`` bytes."""

    size: int
    signed: bool = True
    big: bool = False


@dataclass(frozen=True, slots=True)
class Float:
    """IEEE 754 of ``size`` bytes: 2, 4 or 8."""

    size: int
    big: bool = False


@dataclass(frozen=True, slots=True)
class Text:
    """Text of ``size`` bytes, or of any length (None)."""

    size: int | None
    utf8: bool = False
    pad: Pad = "null-padded"


@dataclass(frozen=True, slots=True)
class Enumeration:
    """Named integers, in the order of the file."""

    base: Integer
    members: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Compound:
    """Named fields."""

    fields: tuple[tuple[str, Datatype], ...]


@dataclass(frozen=True, slots=True)
class Block:
    """A fixed number of equal elements (HDF5: array type)."""

    dims: tuple[int, ...]
    base: Datatype


@dataclass(frozen=True, slots=True)
class Ragged:
    """Any number of equal elements (HDF5: variable-length type)."""

    base: Datatype


@dataclass(frozen=True, slots=True)
class Opaque:
    """Bytes without a meaning of their own."""

    size: int
    tag: str = ""


@dataclass(frozen=True, slots=True)
class Pointer:
    """A reference to an object, or to a region of a data set."""

    region: bool = False


Datatype: TypeAlias = Integer | Float | Text | Enumeration | Compound | Block | Ragged | Opaque | Pointer


@dataclass(frozen=True, slots=True)
class Target:
    """An object of the same file: its kind and where it lies."""

    kind: Kind
    address: int


@dataclass(frozen=True, slots=True)
class Region:
    """Elements of a data set that a region reference names.

    Attributes
    ----------
    target
        The data set.
    shape
        Its shape.
    points
        Coordinates, one row each; None when blocks are named.
    blocks
        First and last corner (both included) of each block; None when points are named.
    slab
        ``(start, stop, step)`` of each axis when the region is one regular hyperslab of single elements or one block.
    """

    target: Target
    shape: tuple[int, ...]
    points: tuple[tuple[int, ...], ...] | None = None
    blocks: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] | None = None
    slab: tuple[tuple[int, int, int], ...] | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """A link of a group: ``target`` of a hard one, ``path`` of a soft one, ``file`` and ``path`` of an external one.

    What a ``user`` link leads to only its own library knows; a ``lost`` one leads to what cannot be read.
    """

    name: str
    kind: Literal["hard", "soft", "external", "user", "lost"]
    target: Target | None = None
    path: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class Attribute:
    """An attribute; ``shape`` is None for a null space, and then ``value`` is None too."""

    name: str
    type: Datatype
    shape: tuple[int, ...] | None
    value: npt.NDArray[Any] | None
    named: Target | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """A step of the filter pipeline: its registered number, its name and its parameters."""

    id: int
    name: str
    options: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class DatasetInfo:
    """What a data set is before any element is read.

    Attributes
    ----------
    type, named
        The type of its elements, and the named type it is an instance of.
    shape, limits
        Elements along each axis, and the most there may be (None: no limit); ``shape`` is None for a null space.
    layout
        How it is stored.
    chunks
        The chunk shape.
    filters
        In the order they were applied.
    fill
        The value of elements that were never written, when the file says one: an array without axes.
    stored_bytes
        What it takes in the file.
    """

    type: Datatype
    shape: tuple[int, ...] | None
    limits: tuple[int | None, ...] = ()
    layout: Literal["chunked", "contiguous", "compact", "virtual", "external"] = "contiguous"
    chunks: tuple[int, ...] | None = None
    filters: tuple[Filter, ...] = ()
    fill: npt.NDArray[Any] | None = field(default=None, compare=False)
    named: Target | None = None
    stored_bytes: int = 0


Axis: TypeAlias = slice | npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Selection:
    """Elements of a data set.

    Attributes
    ----------
    axes
        For each axis a slice with a positive step and both ends inside, or indices in the order wanted (one axis only).
    points
        Coordinates, ``[n, rank]``, instead of axes.
    """

    axes: tuple[Axis, ...] = ()
    points: npt.NDArray[np.int64] | None = None

    @classmethod
    def whole(cls, shape: tuple[int, ...]) -> Selection:
        """Everything."""
        return cls(tuple(slice(0, n, 1) for n in shape))

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements on each axis of what is read."""
        if self.points is not None:
            return (len(self.points),)
        return tuple(_length(axis) for axis in self.axes)

    @property
    def size(self) -> int:
        """Elements in all."""
        return math.prod(self.shape)


def _length(axis: Axis) -> int:
    if isinstance(axis, slice):
        return len(range(axis.start, axis.stop, axis.step))
    return len(axis)


class Neighbour(Protocol):
    """An opened file; it stays open as long as this is held."""

    file: TypedFile


class Neighbours(Protocol):
    """Opens the files that a file names as parts of itself (virtual data sets, external storage)."""

    def opened(self, file: str) -> Neighbour:
        """Another file of the same kind."""

    def raw(self, file: str) -> AbstractContextManager[int]:
        """A descriptor of another file, whatever it holds."""


@runtime_checkable
class TypedFile(Protocol):
    """A source whose objects can be had with their exact types, by address. Safe from any thread."""

    identity: str
    """The same as long as addresses of objects mean the same objects."""
    modified_s: float
    beside: Neighbours | None
    """Opens other files that hold parts of this one; None = those parts are refused."""

    @property
    def top(self) -> Target:
        """The root group."""

    def links(self, address: int) -> Sequence[Link]:
        """The links of a group, by name (by creation where the group keeps that order)."""

    def link(self, address: int, name: str) -> Link | None:
        """One link of a group."""

    def attributes(self, address: int, names: Sequence[str] | None = None) -> Sequence[Attribute]:
        """Attributes of an object, all or some, in the file's order; one that cannot be read is left out."""

    def ordered(self, address: int) -> bool:
        """Whether an object keeps the order in which its links and attributes were made."""

    def info(self, address: int) -> DatasetInfo:
        """What a data set is."""

    def datatype(self, address: int) -> Datatype:
        """A named type."""

    def walk(self, stop: Stop = NEVER) -> Iterator[Target]:
        """Every object that hard links reach, nearest to the root first, each once."""

    def known(self, address: int) -> Target | None:
        """The object at an address that was met before, or None."""

    def paths(self, address: int) -> Sequence[str]:
        """Every path along hard links to an object (through a group once)."""

    def read(self, address: int, selection: Selection, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """Elements of a data set, of `value_dtype` of its type and with ``selection.shape``."""


def value_dtype(kind: Datatype) -> np.dtype[Any]:
    """How elements of a type are held: packed; ``object`` for text and sequences of any length and for references."""
    if isinstance(kind, (Integer, Enumeration)):
        whole = kind if isinstance(kind, Integer) else kind.base
        return np.dtype(f"{'>' if whole.big else '<'}{'i' if whole.signed else 'u'}{whole.size}")
    if isinstance(kind, Float):
        return np.dtype(f"{'>' if kind.big else '<'}f{kind.size}")
    if isinstance(kind, Text):
        return np.dtype(object) if kind.size is None else np.dtype(f"S{kind.size}")
    if isinstance(kind, Opaque):
        return np.dtype(f"V{kind.size}")
    if isinstance(kind, Compound):
        return np.dtype([(name, value_dtype(part)) for name, part in kind.fields])
    if isinstance(kind, Block):
        return np.dtype((value_dtype(kind.base), kind.dims))
    return np.dtype(object)


def is_flat(kind: Datatype) -> bool:
    """Whether every element takes the same number of bytes and holds no reference."""
    if isinstance(kind, Compound):
        return all(is_flat(part) for _, part in kind.fields)
    if isinstance(kind, Block):
        return is_flat(kind.base)
    return not isinstance(kind, (Ragged, Pointer)) and not (isinstance(kind, Text) and kind.size is None)

"""What a server says of its sources and images, whichever protocol it was asked in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from coverslip.core.ngff import Axis, Channel

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa


@dataclass(frozen=True)
class Health:
    """How a server is.

    Attributes
    ----------
    serving
        False while it still starts and looks through its folders.
    sources
        How many sources it has (found so far), or None when it does not say.
    scanning
        Whether it looks for more.
    facts
        All that it told.
    """

    serving: bool
    sources: int | None = None
    scanning: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Listed:
    """One image as the list of sources has it: its id, names of its axes, shape, and dtype as numpy writes it."""

    array_id: str
    dims: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class Entry:
    """One source as the list has it.

    Attributes
    ----------
    id, name, type, url
        Its unique id, what a person calls it, its format, and where the server has it.
    kind, status
        ``cells``, ``images`` or ``arrays``; ``ready``, ``pending``, ``live`` or ``failed``; empty where not told.
    images
        Its images; None before the server opened it.
    reason
        Why there are none.
    """

    id: str
    name: str = ""
    type: str = ""
    url: str = ""
    kind: str = ""
    status: str = ""
    images: tuple[Listed, ...] | None = None
    reason: str = ""


@dataclass(frozen=True)
class Level:
    """One resolution of an image.

    Attributes
    ----------
    shape
        Elements per axis.
    downsample
        Size of level 0 divided by that of this level, per axis.
    chunks
        Box that is best read at once.
    scale, method
        How the level is asked for over Flight.
    """

    shape: tuple[int, ...]
    downsample: tuple[float, ...]
    chunks: tuple[int, ...]
    scale: tuple[int, ...] = ()
    method: str = ""


@dataclass(frozen=True)
class Description:
    """All that is known of an image before its pixels.

    Attributes
    ----------
    array_id, name
        Its id, and what a person calls it.
    version
        Changes with the file.
    dtype
        As numpy writes it, little-endian unless it says otherwise.
    axes
        Names, kinds, and where elements lie: ``origin + step * index`` in ``unit``.
    levels
        Resolutions, the whole image first.
    channels
        In order; empty where the server tells none.
    rgb, label
        Whether the channels are the colours of one picture; whether the values are names of objects.
    labels
        Ids of its label images.
    """

    array_id: str
    name: str
    version: str
    dtype: str
    axes: tuple[Axis, ...]
    levels: tuple[Level, ...]
    channels: tuple[Channel, ...] = ()
    rgb: bool = False
    label: bool = False
    labels: tuple[str, ...] = ()

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    @property
    def numpy_dtype(self) -> np.dtype[Any]:
        """The type of an element."""
        import numpy

        from coverslip.client.errors import understanding

        with understanding():
            return numpy.dtype(self.dtype)


class Rows(list[dict[str, Any]]):
    """Rows of an answer, one dictionary each.

    Attributes
    ----------
    truncated
        Whether the server left some out.
    total
        How many there would be, or None when it does not say.
    """

    def __init__(self, rows: Iterator[dict[str, Any]] | list[dict[str, Any]], table: Any = None) -> None:
        super().__init__(rows)
        self.truncated = False
        self.total: int | None = None
        self._table = table

    def arrow(self) -> pa.Table:
        """The rows as a `pyarrow.Table` (needs pyarrow)."""
        if self._table is None:
            import pyarrow

            self._table = pyarrow.Table.from_pylist(list(self))
        return self._table

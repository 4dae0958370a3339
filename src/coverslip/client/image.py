"""An image on a server: known before it is read, indexed like a numpy array, read where it is indexed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from coverslip.client.address import Target
from coverslip.client.model import Description
from coverslip.client.reading import read
from coverslip.client.selection import select
from coverslip.client.tls import Trust
from coverslip.client.transport import Transport, shared_transport
from coverslip.core.errors import NotFound
from coverslip.core.ngff import Axis, Channel

if TYPE_CHECKING:
    import dask.array
    import numpy as np
    import numpy.typing as npt
    import xarray


class Origin:
    """Where an image came from: enough to ask for it again, in this process or in another one.

    Parameters
    ----------
    transport
        The connection in this process.
    target, trust
        The server, our token, and which certificates are taken. The token travels inside a pickle, and nowhere else.
    """

    def __init__(self, transport: Transport, target: Target, trust: Trust) -> None:
        self.transport = transport
        self.target = target
        self.trust = trust

    def __reduce__(self) -> tuple[Any, ...]:
        """In another process a connection is opened anew, one for all images of a server."""
        return _again, (self.target, self.trust)


def _again(target: Target, trust: Trust) -> Origin:
    return Origin(shared_transport(target, trust), target, trust)


class RemoteArray:
    """One resolution of an image, as an array that is read where it is indexed.

    Indexing is numpy's (integers, slices with any step, ``...``, ``None``, a list or a mask of one axis) and gives a
    numpy array; only what is asked for is read. Can be pickled.

    Parameters
    ----------
    origin, about, number
        Where it came from, what the image is, and which resolution: 0 is the whole image.
    """

    def __init__(self, origin: Origin, about: Description, number: int = 0) -> None:
        self._origin = origin
        self._about = about
        self._number = number

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements per axis."""
        return self._about.levels[self._number].shape

    @property
    def chunks(self) -> tuple[int, ...]:
        """Box that is best read at once."""
        return self._about.levels[self._number].chunks

    @property
    def downsample(self) -> tuple[float, ...]:
        """Size of the whole image divided by that of this resolution, per axis."""
        return self._about.levels[self._number].downsample

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of an element."""
        return self._about.numpy_dtype

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Number of elements."""
        import math

        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        """Bytes of the whole array."""
        return self.size * self.dtype.itemsize

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return self._about.dims

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: Any) -> npt.NDArray[Any]:
        """The elements of an index, as a numpy array of its own."""
        return read(self._origin.transport, self._about, self._number, select(key, self.shape))

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> npt.NDArray[Any]:
        """All of it."""
        import numpy as np

        if copy is False:
            raise ValueError("Unable to avoid copy: the array is on a server.")
        return np.asarray(self[...], dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._origin, self._about, self._number)

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        """Equal for equal data; never the token."""
        return "coverslip", self._origin.target.address.url, self._about.array_id, self._about.version, self._number

    def __repr__(self) -> str:
        which = f"level {self._number} of {self._about.array_id!r}"
        return f"<RemoteArray {_sizes(self.dims, self.shape)} {self.dtype}, {which}>"

    def dask(self, chunks: Any = None) -> dask.array.Array:
        """The same as a dask array; see `Image.dask`."""
        from coverslip.client.lazy import dask_of

        return dask_of(self, chunks)


class Image(RemoteArray):
    """An image: its whole resolution as an array, and all that is known of it.

    Parameters
    ----------
    origin, about
        Where it came from, and what it is.
    """

    def __init__(self, origin: Origin, about: Description) -> None:
        super().__init__(origin, about)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._origin, self._about)

    @property
    def about(self) -> Description:
        """All that is known of it."""
        return self._about

    @property
    def transport(self) -> Transport:
        """The connection that it is read through."""
        return self._origin.transport

    @property
    def token(self) -> str | None:
        """What the server asks for."""
        return self._origin.target.token

    @property
    def id(self) -> str:
        """Its id: ``SOURCE``, or ``SOURCE/FIELD``."""
        return self._about.array_id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self._about.name

    @property
    def version(self) -> str:
        """Changes with the file; reads of an older version fail."""
        return self._about.version

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Name, type, unit, step and origin of each axis."""
        return self._about.axes

    @property
    def pixel_size(self) -> dict[str, float]:
        """Distance of neighbours along the axes where it is known, in `units`."""
        return {axis.name: axis.step for axis in self.axes if axis.unit is not None}

    @property
    def units(self) -> dict[str, str]:
        """Unit of each axis that has one, as OME-NGFF writes it."""
        return {axis.name: axis.unit for axis in self.axes if axis.unit is not None}

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Label, colour and contrast limits of each channel; empty where the server tells none."""
        return self._about.channels

    @property
    def rgb(self) -> bool:
        """Whether the channels are the colours of one picture."""
        return self._about.rgb

    @property
    def is_label(self) -> bool:
        """Whether the values are names of objects."""
        return self._about.label

    @property
    def labels(self) -> tuple[str, ...]:
        """Ids of its label images."""
        return self._about.labels

    @property
    def levels(self) -> tuple[RemoteArray, ...]:
        """All resolutions, the whole image first."""
        return tuple(RemoteArray(self._origin, self._about, i) for i in range(len(self._about.levels)))

    def level(self, number: int) -> RemoteArray:
        """One resolution.

        Raises
        ------
        NotFound
            When there is no such level.
        """
        if not 0 <= number < len(self._about.levels):
            raise NotFound(f"There is no level {number}", f"There is 0 to {len(self._about.levels) - 1}.")
        return RemoteArray(self._origin, self._about, number)

    def dask(self, level: int = 0, chunks: Any = None) -> dask.array.Array:  # type: ignore[override]
        """A resolution as a lazy dask array.

        Parameters
        ----------
        level
            Which resolution; 0 is the whole image.
        chunks
            As dask takes it; boxes of about 16 MB that end where the file's chunks do, when left out.
        """
        return self.level(level).dask(chunks)

    def xarray(self, level: int = 0, chunks: Any = None) -> xarray.DataArray:
        """A resolution as a lazy `xarray.DataArray`.

        Axes are named; the coordinates of space and time are positions of the elements' centres with their unit in
        ``attrs["units"]``, those of channels are their labels.
        """
        from coverslip.client.lazy import xarray_of

        return xarray_of(self, level, chunks)

    def __repr__(self) -> str:
        size = ", ".join(f"{n} {s:g} {self.units[n]}" for n, s in self.pixel_size.items())
        named = ", ".join(c.label for c in self.channels if c.label)
        parts = [f"{_sizes(self.dims, self.shape)} {self.dtype}", f"{len(self._about.levels)} levels"]
        parts += [f"pixel {size}"] if size else []
        parts += [f"channels {named}"] if named else []
        return f"<Image {self.id!r}: {'; '.join(parts)}>"


def _sizes(dims: tuple[str, ...], shape: tuple[int, ...]) -> str:
    return " × ".join(f"{name} {n}" for name, n in zip(dims, shape, strict=True))

"""HDF5 files as a tree, on h5py.

Nothing outside the file is ever read: external links, external raw data and virtual data sets are refused. The file is
opened without HDF5's lock, so it stays writable for others. Data stored in one uncompressed piece is read with
``pread``, beside HDF5's global lock, so that one slow reader does not hold up the others.

Source: HDF5 File Format Specification 3.0; h5py 3.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py
import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged, NotFound, Unreadable, UnsafeLink, Unsupported
from coverslip.core.format import file_etag
from coverslip.core.mounts import network_mount
from coverslip.core.node import Array, Attrs, Group, Node, Source
from coverslip.core.patience import PATIENCE, hanging
from coverslip.core.ranges import Ranges
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryGroup
from coverslip.formats.trees.hdf5_open import (
    SIGNATURE,
    SWMR_WRITER,
    WRITER,
    Bytes,
    Cut,
    Patient,
    Unmarked,
    marks,
    told_size,
)

if TYPE_CHECKING:
    from coverslip.core.typed import TypedFile
    from coverslip.formats.trees.hdf5_objects import H5Objects

BROKEN = "The file looks truncated or damaged, or needs a compression filter that is not installed."
BEING_WRITTEN = "being_written"
MOST_ATTRIBUTE_BYTES = 4 << 20
"""A larger attribute is data."""
PREAD_BYTES = 1 << 24
"""One system call reads at most this much."""


def has_signature(head: bytes) -> bool:
    """Whether a file's first bytes are those of HDF5 (after a user block of 512, 1024 or 2048 bytes, too)."""
    return any(head[at : at + 8] == SIGNATURE for at in (0, 512, 1024, 2048))


# What h5py raises for bytes that make no sense, depending on where it meets them.
NONSENSE = (OSError, RuntimeError, KeyError, ValueError, TypeError, OverflowError, MemoryError)


@contextmanager
def damage(name: str) -> Iterator[None]:
    """Call what h5py cannot read damaged, and name it."""
    try:
        yield
    except NONSENSE as error:
        raise damaged(name, error) from error


def damaged(name: str, error: BaseException) -> CoverslipError:
    """What h5py raised, as one line; its disk may be what failed."""
    from coverslip.formats.trees.hdf5_types import said

    if PATIENCE.lost():
        return hanging()
    return Damaged(f"{name} cannot be read: {said(error)}", BROKEN)


class H5Source(Source):
    """One opened HDF5 file."""

    def __init__(self, path: Path, cut: bool = False) -> None:
        self._path = path
        self._fd = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
        try:
            stat = os.fstat(self._fd)
            self.etag, self.modified_s = file_etag(stat), stat.st_mtime
            self._place = (stat.st_dev, stat.st_ino)
            self._file, self.growing = opened(path, self._fd, _others(self._place, self.etag), cut)
        except BaseException:
            os.close(self._fd)
            self._fd = -1
            raise
        _open.setdefault(self._place, []).append(self.etag)
        self.root: Group = H5Group(self._file, self)

    growing = False
    """Whether it is opened beside its writer (SWMR)."""
    _typed: H5Objects | None = None

    @property
    def typed(self) -> TypedFile:
        """Its objects with their exact types (`coverslip.core.typed`)."""
        if self._typed is None:
            from coverslip.formats.trees.hdf5_objects import H5Objects

            # While it grows, objects stay where they are; else any change may have moved them.
            inode = self.etag.rsplit("-", 1)[-1]
            with damage("The root"):
                self._typed = H5Objects(self, self._file, f"growing-{inode}" if self.growing else self.etag)
        return self._typed

    @property
    def plain(self) -> bool:
        """Whether offsets that HDF5 tells are those of the file."""
        return self._fd >= 0 and not self._file.userblock_size

    @property
    def fd(self) -> int:
        """Descriptor of the same file, for ``pread``."""
        return self._fd

    def fill(self, target: memoryview, at: int) -> int:
        """Read into ``target`` from a position of the file, beside HDF5's lock; returns how many bytes there were."""
        return os.preadv(self._fd, [target], at)

    def stored(self, offset: int, size: int) -> bytes:
        """Bytes of the file, fewer where it ends, read beside HDF5's lock."""
        return os.pread(self._fd, size, offset)

    def ahead(self, dataset: h5py.Dataset, box: Box) -> None:
        """Told what is read next; a file on this machine needs no more."""

    def fresh(self) -> bool:
        """Whether the path still leads to the bytes that were opened."""
        try:
            return file_etag(self._path.stat()) == self.etag
        except OSError:
            return False

    def close(self) -> None:
        """Close the file; arrays of it cannot be read afterwards."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._file.close()
            self._let_go()
            self._forget()

    def _let_go(self) -> None:
        # Tree and source hold each other. Left to the garbage collector, h5py's objects would be ended in whatever
        # thread it runs in, and wait there for HDF5's lock.
        self.root = MemoryGroup({})
        if self._typed is not None:
            self._typed.close()
            self._typed = None

    def _forget(self) -> None:
        with suppress(KeyError, ValueError):
            _open[self._place].remove(self.etag)
            if not _open[self._place]:
                del _open[self._place]

    def __del__(self) -> None:
        if getattr(self, "_fd", -1) >= 0:
            os.close(self._fd)
            self._fd = -1
            self._forget()


_open: dict[tuple[int, int], list[str]] = {}
"""The versions of each file that are open, by device and inode."""


def _others(place: tuple[int, int], etag: str) -> bool:
    """Whether another version of a file is open."""
    return any(other != etag for other in _open.get(place, ()))


def opened(path: Path, fd: int, others: bool = False, cut: bool = False) -> tuple[h5py.File, bool]:
    """The file without HDF5's lock, and whether a writer that allows readers (SWMR) has it open.

    Parameters
    ----------
    others
        Whether an older version of the file, changed in place, is still open here: HDF5 would take what it read of that
        for what is in this one.
    cut
        Whether to open what is left of a file that was cut short.

    Raises
    ------
    Unreadable
        While another program writes it in a way that allows no readers.
    """
    marked = marks(fd)
    if marked & SWMR_WRITER:
        return h5py.File(Unmarked(fd), "r"), True
    try:
        if (place := network_mount(path)) is not None:
            return h5py.File(Patient(fd, place), "r"), False
        if others:
            return h5py.File(Bytes(fd), "r"), False
        # Another driver than everybody's: HDF5 would refuse to open a file twice in one process with different locking,
        # and a notebook that serves a file must still be able to read it.
        return h5py.File(path, "r", driver="stdio", locking=False), False
    except (OSError, RuntimeError) as error:
        if PATIENCE.lost():
            raise hanging() from error
        size = told_size(fd) if cut and not marked & WRITER else 0
        if size > os.fstat(fd).st_size:
            return h5py.File(Cut(fd, size), "r"), False
        if marked & WRITER:
            raise Unreadable(
                f"{path.name} is being written, or its writer was ended",
                "Wait until it is closed; h5clear -s takes the mark away.",
                BEING_WRITTEN,
            ) from error
        raise


class H5Group(Group):
    """An HDF5 group whose links stay inside the file."""

    def __init__(self, group: h5py.Group, source: H5Source) -> None:
        self._group = group
        self._source = source

    @cached_property
    def attrs(self) -> Attrs:  # type: ignore[override]
        """The group's attributes, read when first asked for."""
        return read_attrs(self._group)

    def __iter__(self) -> Iterator[str]:
        with damage(self._name):
            names = list(self._group)
        # A name that is no text (in a damaged file) is told as not found when it is asked for.
        return (n.decode("utf-8", "replace") if isinstance(n, bytes) else n for n in names)

    def __contains__(self, name: object) -> bool:
        with damage(self._name):
            return isinstance(name, str) and bool(name) and self._group.get(name, getlink=True) is not None

    @property
    def _name(self) -> str:
        return str(self._group.name)

    def __getitem__(self, name: str) -> Node:
        with damage(f"{name!r}"):
            link = self._group.get(name, getlink=True)
            if link is None:
                raise NotFound(f"There is no {name!r} in {self._name}")
            if isinstance(link, h5py.ExternalLink):
                raise outside(name)
            item = self._group[name]
            here = isinstance(link, h5py.HardLink) and "/" not in name
            if not here and item.file.filename != self._group.file.filename:  # a soft link through an external one
                raise outside(name)
            if isinstance(item, h5py.Group):
                return H5Group(item, self._source)
            if isinstance(item, h5py.Dataset):
                return H5Array(item, self._source)
        raise Unsupported(f"{name!r} is neither a group nor an array")

    def walk(self) -> Iterator[tuple[str, Node | CoverslipError]]:
        """Everything below by its path, or why it cannot be opened; each object once, by its hard links only."""
        seen, stack = {_identity(self._group)}, [("", self)]
        while stack:
            path, group = stack.pop()
            for name in group:
                here = f"{path}/{name}".lstrip("/")
                try:
                    node: Any = group[name]
                    with damage(f"{name!r}"):
                        hard = isinstance(group._group.get(name, getlink=True), h5py.HardLink)
                        found = _identity(node.dataset if isinstance(node, H5Array) else node._group)
                except CoverslipError as error:
                    yield here, error
                    continue
                if not hard or found in seen:
                    continue
                seen.add(found)
                yield here, node
                if isinstance(node, H5Group):
                    stack.append((here, node))


def _identity(item: h5py.HLObject) -> tuple[int, int]:
    with damage(str(item.name)):
        info = h5py.h5o.get_info(item.id)
    return info.fileno, info.addr


def outside(name: str) -> UnsafeLink:
    """The error for a link that leaves the file."""
    return UnsafeLink(f"{name!r} lies in another file", "coverslip reads no file but the one it was given.")


class H5Array(Array):
    """An HDF5 data set."""

    def __init__(self, dataset: h5py.Dataset, source: H5Source) -> None:
        if dataset.external or dataset.is_virtual:
            raise outside(str(dataset.name))
        if dataset.shape is None:
            raise Unsupported(f"{dataset.name} holds no data")
        if dataset.dtype.subdtype is not None:
            raise Unsupported(f"{dataset.name} holds an array in each of its elements")
        self._dataset = dataset
        self._source = source
        text = h5py.check_string_dtype(dataset.dtype) is not None
        dtype = np.dtype(object) if text else dataset.dtype
        self._spec = ArraySpec(tuple(dataset.shape), dtype, dataset.chunks)
        self._offset = self._plain_offset()

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    @property
    def dataset(self) -> h5py.Dataset:
        """What h5py calls it."""
        return self._dataset

    @property
    def source(self) -> H5Source:
        """The file it is in."""
        return self._source

    @property
    def packing(self) -> str | None:
        """How it is compressed: ``gzip``, or ``compressed`` for a filter that h5py has no name for."""
        filters = self._dataset.id.get_create_plist().get_nfilters()
        return str(self._dataset.compression) if self._dataset.compression else "compressed" if filters else None

    @cached_property
    def attrs(self) -> Attrs:  # type: ignore[override]
        """The data set's attributes, read when first asked for."""
        return read_attrs(self._dataset)

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; text as ``str``, undecodable bytes replaced."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        if (
            self._offset is not None
            and box.start[1:] == (0,) * (len(box.start) - 1)
            and box.stop[1:] == self._spec.shape[1:]
        ):
            return self._pread(box)
        self._source.ahead(self._dataset, box)
        with damage(str(self._dataset.name)):
            if self._spec.text:
                return np.asarray(self._dataset.asstr(errors="replace")[box.slices], dtype=object)
            return np.asarray(self._dataset[box.slices])

    def unlocked(self) -> Array:
        """The array decoded beside HDF5's lock, where its filters are known."""
        from coverslip.formats.trees.hdf5_chunks import lazily  # which knows this class

        return lazily(self)

    def _plain_offset(self) -> int | None:
        """Where the elements start in the file, when they lie there in one piece as numpy holds them."""
        dataset = self._dataset
        plain = hasattr(os, "preadv") and dataset.chunks is None and dataset.ndim > 0 and dataset.dtype.kind in "iuf"
        if not plain or h5py.check_enum_dtype(dataset.dtype) or dataset.file.userblock_size:
            return None
        offset: int | None = dataset.id.get_offset()
        stored = dataset.id.get_storage_size()
        return offset if stored == dataset.size * dataset.dtype.itemsize else None

    def _pread(self, box: Box) -> npt.NDArray[Any]:
        assert self._offset is not None
        row_bytes = math.prod(self._spec.shape[1:]) * self._spec.dtype.itemsize
        result = np.empty(box.shape, self._spec.dtype)
        target = memoryview(result.reshape(-1).view(np.uint8).data)
        done, at = 0, self._offset + box.start[0] * row_bytes
        while done < len(target):
            got = self._source.fill(target[done : done + PREAD_BYTES], at + done)
            if got == 0:
                raise Damaged(f"{self._dataset.name} ends too early", "The file is truncated; copy it again.")
            done += got
        return result


def read_attrs(item: h5py.HLObject) -> dict[str, Any]:
    """Attributes as plain Python; those that are not numbers or text (references, say) are left out, and huge ones."""
    found = {}
    with damage(f"The attributes of {item.name}"):
        attributes = item.attrs  # of a file, h5py opens its root for each of these
        names = list(attributes)
    for name in names:
        try:
            if attributes.get_id(name).get_storage_size() > MOST_ATTRIBUTE_BYTES:
                continue
            value = attributes[name]
        except NONSENSE:
            continue
        plain = _plain(value)
        if plain is not NotImplemented:
            found[name] = plain
    return found


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int, float, bool)):
        return value
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, np.ndarray) and value.dtype.kind in "biufSUO":
        return [_plain(v) for v in value.tolist()] if value.ndim else _plain(value.item())
    return NotImplemented


def open_hdf5(path: Path | Ranges, cut: bool = False) -> H5Source:
    """Open an HDF5 file for reading, here or elsewhere.

    Parameters
    ----------
    cut
        Whether to open what is left of a file that was cut short.

    Raises
    ------
    Damaged
        When it is truncated or not HDF5.
    Unreadable
        When the system will not let us read it.
    """
    if not isinstance(path, Path):
        from coverslip.formats.remote.hdf5 import open_ranged_hdf5

        return open_ranged_hdf5(path)
    try:
        return H5Source(path, cut)
    except PermissionError as error:
        raise Unreadable(f"Cannot read {path}: permission denied", "Check who may read it: ls -l.") from error
    except (OSError, RuntimeError) as error:
        text = str(error)
        why = "it is truncated" if "truncated" in text else "it is not a whole HDF5 file"
        raise Damaged(f"{path} cannot be opened: {why}", "Copy or write it again; h5ls shows what is left.") from error

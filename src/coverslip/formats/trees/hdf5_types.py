"""HDF5's types as `coverslip.core.typed` tells them, and values of them as read by h5py.

Source: HDF5 User Guide, chapter 6; HDF5 reference manual, H5T and H5R.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from h5py import h5o, h5r, h5s, h5t

from coverslip.core.errors import Unsupported
from coverslip.core.typed import (
    Block,
    Compound,
    Datatype,
    Enumeration,
    Float,
    Integer,
    Opaque,
    Pad,
    Pointer,
    Ragged,
    Region,
    Target,
    Text,
    is_flat,
    value_dtype,
)

PADS: dict[int, Pad] = {
    h5t.STR_NULLTERM: "null-terminated",
    h5t.STR_NULLPAD: "null-padded",
    h5t.STR_SPACEPAD: "space-padded",
}
KINDS: dict[int, Any] = {
    h5o.TYPE_GROUP: "group",
    h5o.TYPE_DATASET: "dataset",
    h5o.TYPE_NAMED_DATATYPE: "datatype",
}
NAMED = re.compile(r"(name = )'[^']*'")
MOST_POINTS = 10_000
"""Points and blocks of a region that are told one by one."""


def said(error: BaseException) -> str:
    """What h5py raised, as one line without paths of this machine."""
    lines = str(error).strip('"').splitlines()[:1] or [error.__class__.__name__]
    return NAMED.sub(r"\1'…'", lines[0])


def text(name: bytes) -> str:
    """A name as text; bytes that are no UTF-8 are kept as they are."""
    return name.decode("utf-8", "surrogateescape")


def datatype_of(tid: h5t.TypeID) -> Datatype:
    """A type; numbers of odd sizes as the next size that computers have.

    Raises
    ------
    Unsupported
        When it is of a class that h5py does not read (times).
    """
    if isinstance(tid, h5t.TypeEnumID):
        base = _integer(tid.get_super())
        return Enumeration(base, tuple((text(tid.get_member_name(i)), int(tid.get_member_value(i)))
                                       for i in range(tid.get_nmembers())))  # fmt: skip
    if isinstance(tid, (h5t.TypeIntegerID, h5t.TypeBitfieldID)):
        return _integer(tid)
    if isinstance(tid, h5t.TypeFloatID):
        return _float(tid)
    if isinstance(tid, h5t.TypeStringID):
        utf8 = tid.get_cset() == h5t.CSET_UTF8
        if tid.is_variable_str():
            return Text(None, utf8, "null-terminated")
        return Text(tid.get_size(), utf8, PADS.get(tid.get_strpad(), "null-padded"))
    if isinstance(tid, h5t.TypeCompoundID):
        members = range(tid.get_nmembers())
        return Compound(tuple((text(tid.get_member_name(i)), datatype_of(tid.get_member_type(i))) for i in members))
    if isinstance(tid, h5t.TypeComplexID):
        part = _float(tid.get_super())
        return Compound((("r", part), ("i", part)))
    if isinstance(tid, h5t.TypeArrayID):
        return Block(tuple(tid.get_array_dims()), datatype_of(tid.get_super()))
    if isinstance(tid, h5t.TypeVlenID):
        return Ragged(datatype_of(tid.get_super()))
    if isinstance(tid, h5t.TypeOpaqueID):
        return Opaque(tid.get_size(), text(tid.get_tag()))
    if isinstance(tid, h5t.TypeReferenceID):
        return Pointer(region=bool(tid.equal(h5t.STD_REF_DSETREG)))
    raise Unsupported("It holds a type of values that HDF5's own library does not convert", "Times, for instance.")


def _integer(tid: Any) -> Integer:
    size = next((n for n in (1, 2, 4, 8) if n >= tid.get_size()), 0)
    if not size:
        raise Unsupported(f"It holds integers of {tid.get_size()} bytes", "Eight bytes are the most that are read.")
    signed = isinstance(tid, h5t.TypeIntegerID) and tid.get_sign() == h5t.SGN_2
    return Integer(size, signed, tid.get_order() == h5t.ORDER_BE)


def _float(tid: Any) -> Float:
    dtype = _own_dtype(tid)
    size = dtype.itemsize if dtype is not None and dtype.itemsize in (2, 4, 8) else 8
    return Float(size, tid.get_order() == h5t.ORDER_BE)


def _own_dtype(tid: Any) -> np.dtype[Any] | None:
    """The dtype h5py finds for a type, if it finds one."""
    try:
        dtype: np.dtype[Any] = tid.dtype
    except (TypeError, ValueError):
        return None
    return dtype


def stored_dtype(tid: h5t.TypeID, kind: Datatype) -> np.dtype[Any] | None:
    """The dtype whose bytes are those in the file; None when values must be converted by HDF5."""
    if not is_flat(kind) or not _same_bytes(tid):
        return None
    dtype = _layout(tid)
    return dtype if dtype is not None and dtype.itemsize == tid.get_size() else None


def _layout(tid: Any) -> np.dtype[Any] | None:
    if isinstance(tid, h5t.TypeCompoundID):
        parts = [_layout(tid.get_member_type(i)) for i in range(tid.get_nmembers())]
        names = [text(tid.get_member_name(i)) for i in range(tid.get_nmembers())]
        if any(part is None for part in parts):
            return None
        offsets = [tid.get_member_offset(i) for i in range(tid.get_nmembers())]
        described: Any = {"names": names, "formats": parts, "offsets": offsets, "itemsize": tid.get_size()}
        record: np.dtype[Any] = np.dtype(described)
        return record
    if isinstance(tid, h5t.TypeArrayID):
        base = _layout(tid.get_super())
        if base is None:
            return None
        block: np.dtype[Any] = np.dtype((base, tuple(tid.get_array_dims())))
        return block
    return value_dtype(datatype_of(tid))


def _same_bytes(tid: Any) -> bool:
    if isinstance(tid, h5t.TypeCompoundID):
        return all(_same_bytes(tid.get_member_type(i)) for i in range(tid.get_nmembers()))
    if isinstance(tid, (h5t.TypeArrayID, h5t.TypeEnumID)):
        return _same_bytes(tid.get_super())
    if isinstance(tid, h5t.TypeStringID):
        return bool(tid.get_strpad() == h5t.STR_NULLPAD)
    if isinstance(tid, h5t.TypeOpaqueID):
        return True
    if isinstance(tid, h5t.TypeBitfieldID):
        return tid.get_size() in (1, 2, 4, 8)
    if isinstance(tid, (h5t.TypeIntegerID, h5t.TypeFloatID)):
        dtype = _own_dtype(tid)
        return dtype is not None and dtype.kind in "iuf" and bool(tid.equal(h5t.py_create(dtype)))
    return False


def memory_type(tid: h5t.TypeID) -> tuple[np.dtype[Any], h5t.TypeID]:
    """The dtype to read into with h5py, and the same as a type of HDF5's."""
    if isinstance(tid, h5t.TypeBitfieldID):  # read as it lies there: HDF5 converts no bit field to a number
        return value_dtype(datatype_of(tid)), tid
    dtype = _own_dtype(tid)
    if dtype is None:
        dtype = value_dtype(datatype_of(tid))
    return dtype, h5t.py_create(dtype)


def plain_values(raw: npt.NDArray[Any], kind: Datatype, pointed: Callable[[Any], Any]) -> npt.NDArray[Any]:
    """What h5py read, as `value_dtype` says.

    Parameters
    ----------
    raw
        As h5py gives it: text of any length as ``bytes`` or ``str``, sequences as arrays.
    pointed
        What a reference of h5py's points to.
    """
    if is_flat(kind):
        return _packed(raw, value_dtype(kind))
    if isinstance(kind, Compound):
        out = np.empty(raw.shape, value_dtype(kind))
        for (name, part), own in zip(kind.fields, raw.dtype.names or (), strict=True):
            out[name] = plain_values(raw[own], part, pointed)
        return out
    if isinstance(kind, Block):
        return plain_values(raw, kind.base, pointed)  # numpy has taken in its axes
    flat = np.empty(raw.size, object)
    one = _element(kind, pointed)
    flat[:] = [one(item) for item in raw.reshape(-1)]
    return flat.reshape(raw.shape)


def _packed(raw: npt.NDArray[Any], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    base = dtype.base
    if raw.dtype == base:
        return raw
    if raw.dtype.kind in "cb" or (base.kind == "V" and base.names is None):
        return np.ascontiguousarray(raw).view(base)
    return raw.astype(base)


def _element(kind: Datatype, pointed: Callable[[Any], Any]) -> Callable[[Any], Any]:
    if isinstance(kind, Text):
        return _as_bytes
    if isinstance(kind, Pointer):
        return pointed
    assert isinstance(kind, Ragged)
    base = kind.base
    empty = np.empty(0, value_dtype(base).base)

    def sequence(item: Any) -> npt.NDArray[Any]:
        if item is None or isinstance(item, (int, bytes)) or len(item) == 0:
            return empty
        return plain_values(np.asarray(item), base, pointed)

    return sequence


def _as_bytes(item: Any) -> bytes:
    if isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    return item if isinstance(item, bytes) else b""


def region_of(reference: h5r.RegionReference, fid: Any, target: Target) -> Region:
    """What a region reference names."""
    space = h5r.get_region(reference, fid)
    shape = tuple(space.get_simple_extent_dims())
    rank = len(shape)
    chosen = space.get_select_type()
    if chosen == h5s.SEL_POINTS:
        count = min(space.get_select_elem_npoints(), MOST_POINTS)
        found = space.get_select_elem_pointlist()[:count]
        return Region(target, shape, points=tuple(tuple(int(v) for v in row) for row in found))
    if chosen == h5s.SEL_ALL:
        return Region(target, shape, slab=tuple((0, n, 1) for n in shape))
    if chosen == h5s.SEL_NONE:
        return Region(target, shape, points=())
    slab = _regular(space, rank)
    blocks = space.get_select_hyper_blocklist()[:MOST_POINTS]
    corners = tuple((tuple(int(v) for v in b[0]), tuple(int(v) for v in b[1])) for b in blocks)
    return Region(target, shape, blocks=corners, slab=slab)


def _regular(space: Any, rank: int) -> tuple[tuple[int, int, int], ...] | None:
    if not space.is_regular_hyperslab():
        return None
    start, stride, count, block = space.get_regular_hyperslab()
    axes = []
    for i in range(rank):
        if count[i] == 1:
            axes.append((int(start[i]), int(start[i] + block[i]), 1))
        elif block[i] == 1:
            axes.append((int(start[i]), int(start[i] + (count[i] - 1) * stride[i] + 1), int(stride[i])))
        else:
            return None
    return tuple(axes)

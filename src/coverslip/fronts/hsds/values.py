"""Values on the wire: as bytes, and as JSON.

Bytes are packed and in the file's byte order. What has any length is a 4-byte count (little-endian) and so many bytes;
a reference is its id in 48 bytes; a region reference is counted bytes in the form of hdf5-json 2.0.
"""

from __future__ import annotations

import base64
import json
import math
import struct
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from coverslip.core.typed import (
    Block,
    Compound,
    Datatype,
    Enumeration,
    Float,
    Integer,
    Opaque,
    Pointer,
    Ragged,
    Region,
    Target,
    Text,
    is_flat,
    value_dtype,
)
from coverslip.fronts.hsds.ids import COLLECTIONS, Ids
from coverslip.fronts.hsds.types import REFERENCE_BYTES

MOST_CELLS = 1 << 20
"""Of a block of a region, cells that are told one by one."""
Encode = Callable[[Any], bytes]


def plain(values: Any, kind: Datatype, ids: Ids) -> Any:
    """Values as lists, numbers and text; NaN and infinities stay what they are."""
    array = np.asarray(values) if not isinstance(values, np.ndarray) else values
    if isinstance(kind, (Integer, Float, Enumeration)):
        return array.tolist()
    if isinstance(kind, Block):
        return plain(array, kind.base, ids)
    if isinstance(kind, Compound):
        parts = [plain(array[name], part, ids) for name, part in kind.fields]
        return _rows(parts, array.ndim)
    return _each(array, _element(kind, ids))


def _rows(parts: Sequence[Any], depth: int) -> Any:
    if depth == 0:
        return list(parts)
    return [_rows(row, depth - 1) for row in zip(*parts, strict=True)]


def _each(array: npt.NDArray[Any], one: Callable[[Any], Any]) -> Any:
    if array.ndim == 0:
        return one(array[()] if array.dtype.kind != "O" else array.item())
    if array.ndim == 1:
        return [one(item) for item in array]
    return [_each(part, one) for part in array]


def _element(kind: Datatype, ids: Ids) -> Callable[[Any], Any]:
    if isinstance(kind, Text):
        pad = kind.pad

        def text(item: Any) -> str:
            raw = bytes(item)
            if pad == "null-terminated" or kind.size is None:
                raw = raw.partition(b"\0")[0]
            return raw.rstrip(b" \0" if pad == "space-padded" else b"\0").decode("utf-8", "surrogateescape")

        return text
    if isinstance(kind, Opaque):
        return lambda item: base64.b64encode(item.tobytes()).decode() if any(item.tobytes()) else ""
    if isinstance(kind, Pointer):
        return lambda item: reference_json(item, kind, ids)
    assert isinstance(kind, Ragged)
    base = kind.base
    return lambda item: plain(item, base, ids)


def reference_json(item: Any, kind: Pointer, ids: Ids) -> Any:
    """A reference: an id, or what hdf5-json writes of a region; empty (None) when it points nowhere."""
    if kind.region:
        return region_json(item, ids) if isinstance(item, Region) else None
    # With its collection: the older h5pyd asks for it where scales are told, the newer one takes both forms.
    return f"{COLLECTIONS[item.kind]}/{ids.of(item)}" if isinstance(item, Target) else ""


def region_json(region: Region, ids: Ids) -> dict[str, Any]:
    """A region: its data set, and points or the corners of blocks (both included)."""
    found: dict[str, Any] = {"id": ids.of(region.target)}
    if region.points is not None:
        return {**found, "select_type": "H5S_SEL_POINTS", "selection": [list(p) for p in region.points]}
    blocks = region.blocks
    if blocks is None:
        blocks = (((0,) * len(region.shape), tuple(n - 1 for n in region.shape)),)
    return {**found, "select_type": "H5S_SEL_HYPERSLABS", "selection": [[list(a), list(b)] for a, b in blocks]}


def region_bytes(region: Region, ids: Ids) -> bytes:
    """A region as hdf5-json 2.0 stores it: ``HRRF``, the id, and a selection that begins with ``HSEL``."""
    id, chosen = ids.of(region.target).encode(), _selection_bytes(region)
    return b"".join(
        (b"HRRF\x01", struct.pack("<H", len(id)), id, struct.pack("<I", len(chosen)), chosen, b"\xff"),
    )


POINTS, HYPERSLABS = 1, 2
"""As HDF5 numbers kinds of selections (H5S_sel_type)."""


def _selection_bytes(region: Region) -> bytes:
    most = max(region.shape, default=0)
    width, letter = (0, "H") if most < 1 << 16 else (1, "I") if most < 1 << 32 else (2, "Q")
    rank = len(region.shape)
    kind = HYPERSLABS if region.slab is not None else POINTS
    head = b"HSEL" + struct.pack("<BBBBH", 1, 0, kind, width, rank) + struct.pack(f"<{rank}{letter}", *region.shape)
    if region.slab is not None:
        body = b"".join(struct.pack(f"<B3{letter}", 0, *axis) for axis in region.slab)
        return head + b"\0" + body
    points = np.asarray(list(_cells(region)), f"<u{struct.calcsize(letter)}").reshape(-1, rank)
    parts = [struct.pack("<BI", 1, len(points)) + points[:, i].tobytes() for i in range(rank)]
    return head + b"\0" + b"".join(parts)


def _cells(region: Region) -> Sequence[tuple[int, ...]]:
    if region.points is not None:
        return region.points
    cells: list[tuple[int, ...]] = []
    for first, last in region.blocks or ():
        spans = [b - a + 1 for a, b in zip(first, last, strict=True)]
        inside = np.ndindex(*spans) if math.prod(spans) <= MOST_CELLS else ()
        cells += [tuple(a + i for a, i in zip(first, inner, strict=True)) for inner in inside]
    return cells


def packed(values: npt.NDArray[Any], kind: Datatype, ids: Ids) -> memoryview | bytes:
    """Values as bytes."""
    if is_flat(kind):
        array = np.ascontiguousarray(values)
        return memoryview(array.reshape(-1).view(np.uint8).data) if array.size else b""
    flat = np.ascontiguousarray(values).reshape(-1)
    if isinstance(kind, Text):
        return b"".join([part for item in flat for part in (len(item).to_bytes(4, "little"), item)])
    one = _encoder(kind, ids)
    return b"".join([one(item) for item in flat])


def _encoder(kind: Datatype, ids: Ids) -> Encode:
    """What makes bytes of one element."""
    if isinstance(kind, Compound):
        parts = [(name, _encoder(part, ids)) for name, part in kind.fields]
        return lambda item: b"".join([encode(item[name]) for name, encode in parts])
    if isinstance(kind, Block) and not is_flat(kind):
        base = _encoder(kind.base, ids)
        return lambda item: b"".join([base(part) for part in np.asarray(item, object).reshape(-1)])
    if isinstance(kind, Text) and kind.size is None:
        return lambda item: _counted(bytes(item))
    if isinstance(kind, Ragged):
        inner = kind.base
        return lambda item: _counted(bytes(packed(item, inner, ids)))
    if isinstance(kind, Pointer) and kind.region:
        return lambda item: _counted(region_bytes(item, ids) if isinstance(item, Region) else b"")
    if isinstance(kind, Pointer):
        return lambda item: (ids.of(item).encode() if isinstance(item, Target) else b"").ljust(REFERENCE_BYTES, b"\0")
    dtype = value_dtype(kind)
    return lambda item: np.asarray(item, dtype.base).tobytes()


def _counted(data: bytes) -> bytes:
    return len(data).to_bytes(4, "little") + data


def to_json(value: Any, ignore_nan: bool = False) -> bytes:
    """Compact JSON; NaN and infinities as Python and HSDS write them, or as null."""
    if ignore_nan or not has_nan(value):
        try:
            return msgspec.json.encode(value)
        except (UnicodeEncodeError, msgspec.MsgspecError, OverflowError):
            pass  # text that is no UTF-8, which only the other way can write
    return json.dumps(value, separators=(",", ":")).encode()


def has_nan(value: Any) -> bool:
    """Whether a number somewhere inside is not finite."""
    if isinstance(value, float):
        return not math.isfinite(value)
    if isinstance(value, dict):
        return any(has_nan(v) for v in value.values())
    if isinstance(value, (list, tuple)):
        if value and isinstance(value[0], float):
            try:
                return not np.isfinite(np.asarray(value, np.float64)).all()
            except (ValueError, TypeError):
                return any(has_nan(v) for v in value)
        if value and isinstance(value[0], (int, str)) and len(value) > 16 and not isinstance(value[-1], float):
            return any(has_nan(v) for v in value if not isinstance(v, (int, str)))
        return any(has_nan(v) for v in value)
    return False

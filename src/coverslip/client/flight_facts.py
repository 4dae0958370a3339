"""What the messages of the tensor server say, in our words, and our boxes in theirs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from biopb.tensor.descriptor_pb2 import SliceHint, TensorDescriptor, TensorReadOption

from coverslip.client.model import Description, Entry, Level, Listed
from coverslip.core.ngff import KINDS, Axis, Channel, unit_name

STRIDE = "nearest"


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def where(search: str) -> str:
    """The condition that every word is in a source's id, address, format or metadata; nothing for no words."""
    found = []
    for word in search.split():
        escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
        text = "concat_ws(' ', source_id, source_url, source_type, metadata_json)"
        found.append(f"{text} ILIKE {quoted(f'%{escaped}%')} ESCAPE '\\'")
    return f" WHERE {' AND '.join(found)}" if found else ""


def decoded(text: Any) -> Any:
    """JSON, or None where there is none."""
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def entry(row: Mapping[str, Any]) -> Entry:
    """A row of the table ``sources``."""
    resolved = row.get("is_resolved", True) is not False
    listed = [
        Listed(
            one["array_id"],
            tuple(one.get("dim_labels") or ()),
            tuple(one.get("shape") or ()),
            one.get("dtype") or "",
        )
        for one in row.get("tensors") or ()
    ]
    url = row.get("source_url") or ""
    return Entry(
        row["source_id"],
        row.get("name") or url.rstrip("/").rpartition("/")[2],
        row.get("source_type") or "",
        url,
        row.get("kind") or "",
        row.get("status") or ("ready" if resolved else "pending"),
        tuple(listed) if resolved else None,
        "" if resolved else row.get("unresolved_reason") or "unresolved",
    )


def description(found: TensorDescriptor) -> Description:
    """What an image is, of its descriptor."""
    metadata = decoded(found.metadata_json)
    inner = metadata.get("metadata") if isinstance(metadata, Mapping) else None
    omero = _omero(inner) or _omero(metadata)
    dims = tuple(found.dim_labels)
    dims = tuple(dims[i] if i < len(dims) else f"dim_{i}" for i in range(len(found.shape)))
    axes = tuple(_axis(found, i, name) for i, name in enumerate(dims))
    version = found.content_version.hex() if found.HasField("content_version") else ""
    name = found.array_id.rpartition("/")[2]
    return Description(
        found.array_id,
        str(omero.get("name") or name),
        version,
        found.dtype,
        axes,
        _levels(found),
        _channels(omero),
        _is_rgb(omero),
        _is_label(inner),
    )


def _axis(found: TensorDescriptor, i: int, name: str) -> Axis:
    steps, units = found.physical_scale, found.physical_unit
    step = steps[i] if i < len(steps) and math.isfinite(steps[i]) else 0.0
    unit = unit_name(units[i]) if i < len(units) else None
    return Axis(name, step or 1.0, unit if step else None, 0.0, KINDS.get(name.lower(), ""))


def _levels(found: TensorDescriptor) -> tuple[Level, ...]:
    shape = tuple(found.shape)
    one = (1,) * len(shape)
    chunks = tuple(found.chunk_shape) or shape
    levels = [Level(shape, tuple(map(float, one)), chunks, one, "")]
    for told in found.pyramid:
        scale = tuple(told.scale_hint)
        if len(scale) != len(shape) or all(s == 1 for s in scale):
            continue
        small = tuple(told.shape) or tuple(-(-n // s) for n, s in zip(shape, scale, strict=True))
        ratio = tuple(n / m if s > 1 and m else 1.0 for n, m, s in zip(shape, small, scale, strict=True))
        part = tuple(max(min(c, n), 1) for c, n in zip(chunks, small, strict=True))
        levels.append(Level(small, ratio, part, scale, told.reduction_method))
    return tuple(levels)


def _omero(metadata: Any) -> Mapping[str, Any]:
    """Names, colours and contrast of channels, where OME-NGFF keeps them."""
    if not isinstance(metadata, Mapping):
        return {}
    for place in (metadata, metadata.get("ome"), metadata.get("attributes")):
        found = place.get("omero") if isinstance(place, Mapping) else None
        if isinstance(found, Mapping):
            return found
    return {}


def _channels(omero: Mapping[str, Any]) -> tuple[Channel, ...]:
    told = omero.get("channels")
    return tuple(_channel(one, i) for i, one in enumerate(told)) if isinstance(told, Sequence) else ()


def _channel(told: Any, i: int) -> Channel:
    if not isinstance(told, Mapping):
        return Channel(str(i))
    window = told.get("window")
    limits = None
    if isinstance(window, Mapping):
        low, high = window.get("start"), window.get("end")
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low < high:
            limits = (float(low), float(high))
    color = str(told.get("color") or "").lstrip("#").upper()
    return Channel(
        str(told.get("label") or i), color if len(color) == 6 else None, limits, bool(told.get("active", True))
    )


def _is_rgb(omero: Mapping[str, Any]) -> bool:
    about = omero.get("rdefs")
    return isinstance(about, Mapping) and about.get("model") == "rgb"


def _is_label(metadata: Any) -> bool:
    inner = metadata.get("ome", metadata) if isinstance(metadata, Mapping) else None
    return isinstance(inner, Mapping) and "image-label" in inner


def box_option(image: Description, level: int, start: Sequence[int], stop: Sequence[int]) -> TensorReadOption:
    """The request for a box of a level, in elements of level 0 as the protocol counts them."""
    one, whole = image.levels[level], image.levels[0].shape
    scale = one.scale
    option = TensorReadOption(array_id=image.array_id)
    low = [a * s for a, s in zip(start, scale, strict=True)]
    high = [min(b * s, n) for b, s, n in zip(stop, scale, whole, strict=True)]
    option.slice_hint.CopyFrom(SliceHint(start=low, stop=high))
    if level:
        option.scale_hint.extend(scale)
        option.reduction_method = one.method
    return option


def offset_in(found: TensorDescriptor, option: TensorReadOption) -> tuple[int, ...]:
    """Where the box that was asked for begins in the region that is answered."""
    asked = option.slice_hint.start
    scale = list(option.scale_hint) or [1] * len(asked)
    given = found.slice_hint.start if found.HasField("slice_hint") else asked
    return tuple((a - b) // s for a, b, s in zip(asked, given, scale, strict=True))


def overlap(
    low: Sequence[int], high: Sequence[int], offset: Sequence[int], shape: Sequence[int]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where a chunk goes in the box, and which part of the chunk that is."""
    into, of = [], []
    for a, b, o, n in zip(low, high, offset, shape, strict=True):
        first, last = max(a - o, 0), min(b - o, n)
        into.append(slice(first, last))
        of.append(slice(first + o - a, last + o - a))
    return tuple(into), tuple(of)

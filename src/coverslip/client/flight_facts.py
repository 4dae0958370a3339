"""What the messages of the tensor server say, in our words, and our boxes in theirs."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import quote as percent_encoded

from coverslip.client.errors import NotUnderstood, understanding
from coverslip.client.metadata import Told
from coverslip.client.model import Description, Entry, Level, Listed
from coverslip.core.ngff import KINDS, Axis, unit_name

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from biopb.tensor.descriptor_pb2 import TensorDescriptor, TensorReadOption


def catalog_ticket(sql: str) -> bytes:
    """``TensorTicket{catalog_query{sql}}``: written by hand, for a question about the list loads no message classes."""
    query = b"\x0a" + _sized(sql.encode())
    return b"\x12" + _sized(query)


def _sized(data: bytes) -> bytes:
    """Bytes after their length, as protocol buffers write it."""
    n, head = len(data), bytearray()
    while n > 127:
        head.append(n & 127 | 128)
        n >>= 7
    head.append(n)
    return bytes(head) + data


def quoted(text: str) -> str:
    """A text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def where(search: str) -> str:
    """The condition that every word is in a source's id, address, format or metadata; nothing for no words.

    Addresses are percent-encoded, so that a word is looked for both as it is and as it stands in an address.
    """
    found = []
    for word in search.split():
        text = like("concat_ws(' ', source_id, source_url, source_type, metadata_json)", word)
        encoded = percent_encoded(word)
        found.append(text if encoded == word else f"({text} OR {like('source_url', encoded)})")
    return f" WHERE {' AND '.join(found)}" if found else ""


def like(column: str, word: str) -> str:
    """The condition that a word is somewhere in a column, whatever its case."""
    escaped = word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return f"{column} ILIKE {quoted(f'%{escaped}%')} ESCAPE '\\'"


def decoded(text: Any) -> Any:
    """JSON, or None where there is none."""
    try:
        return json.loads(text) if text else None
    except (ValueError, TypeError, RecursionError):
        return None


def message(kind: Any, data: bytes) -> Any:
    """A message of protobuf as the server sent it.

    Raises
    ------
    NotUnderstood
        When the bytes are none.
    """
    from google.protobuf.message import DecodeError

    try:
        return kind.FromString(data)
    except (DecodeError, ValueError) as error:
        raise NotUnderstood("The server sent no message of its protocol", "Upgrade the server, or this.") from error


def described(data: bytes) -> Description:
    """What an image is, of its descriptor as the server sent it.

    Raises
    ------
    NotUnderstood
        When it says something else.
    """
    from biopb.tensor.descriptor_pb2 import TensorDescriptor

    found = message(TensorDescriptor, data)
    with understanding():
        return description(found)


def entries(rows: Sequence[Mapping[str, Any]]) -> list[Entry]:
    """Rows of the table ``sources``.

    Raises
    ------
    NotUnderstood
        When they are of another table.
    """
    with understanding():
        return [entry(row) for row in rows]


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
    about = Told.of(metadata)
    dims = tuple(found.dim_labels)
    dims = tuple(dims[i] if i < len(dims) else f"dim_{i}" for i in range(len(found.shape)))
    return Description(
        found.array_id,
        about.name or found.array_id.rpartition("/")[2],
        found.content_version.hex() if found.HasField("content_version") else "",
        found.dtype,
        tuple(_axis(found, i, name, about.origins.get(name, 0.0)) for i, name in enumerate(dims)),
        _levels(found),
        about.channels,
        about.rgb,
        about.label,
        about.labels,
    )


def _axis(found: TensorDescriptor, i: int, name: str, origin: float) -> Axis:
    steps, units = found.physical_scale, found.physical_unit
    step = steps[i] if i < len(steps) and math.isfinite(steps[i]) else 0.0
    unit = unit_name(units[i]) if i < len(units) else None
    return Axis(name, step or 1.0, unit if step else None, origin, KINDS.get(name.lower(), ""))


def _levels(found: TensorDescriptor) -> tuple[Level, ...]:
    shape = tuple(found.shape)
    one = (1,) * len(shape)
    chunks = tuple(found.chunk_shape) or shape
    levels = [Level(shape, tuple(map(float, one)), chunks, one, "")]
    for told in found.pyramid:
        scale = tuple(told.scale_hint)
        if len(scale) != len(shape) or min(scale, default=1) < 1 or all(s == 1 for s in scale):
            continue
        small = tuple(told.shape) or tuple(-(-n // s) for n, s in zip(shape, scale, strict=True))
        ratio = tuple(n / m if s > 1 and m else 1.0 for n, m, s in zip(shape, small, scale, strict=True))
        part = tuple(max(min(c, n), 1) for c, n in zip(chunks, small, strict=True))
        levels.append(Level(small, ratio, part, scale, told.reduction_method))
    return tuple(levels)


def description_option(array_id: str) -> TensorReadOption:
    """The request for what an image is."""
    from biopb.tensor.descriptor_pb2 import TensorReadOption

    option = TensorReadOption(array_id=array_id)
    option.fields.paths.extend(("metadata_json", "pyramid"))
    return option


def box_option(image: Description, level: int, start: Sequence[int], stop: Sequence[int]) -> TensorReadOption:
    """The request for a box of a level, in elements of level 0 as the protocol counts them."""
    from biopb.tensor.descriptor_pb2 import SliceHint, TensorReadOption

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


def chunk(batch: Any) -> tuple[tuple[int, ...], np.dtype[Any], npt.NDArray[Any]]:
    """Shape, dtype and elements, one after the other, of a chunk as it was sent: the only row of a batch.

    Raises
    ------
    ValueError, KeyError, TypeError
        When it is no chunk.
    """
    import numpy as np

    batch.validate(full=True)  # where its parts lie was told by the server
    data, shape, kind = (batch.column(name)[0] for name in ("data", "shape", "dtype"))
    dtype = np.dtype(kind.as_py())
    return tuple(shape.as_py()), dtype, np.frombuffer(data.as_buffer(), dtype)

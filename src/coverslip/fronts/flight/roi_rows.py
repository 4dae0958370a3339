"""Annotations as Arrow rows and as messages, and what is wrong with those that a client sends.

Source: biopb's messages ``biopb.image.ROI`` and ``RoiAnnotation`` (package biopb 0.13); proto3 JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import pyarrow as pa
from biopb.image.annotation_pb2 import RoiAnnotation
from biopb.image.roi_pb2 import ROI
from google.protobuf import json_format

from coverslip.core.errors import BadRequest, TooLarge
from coverslip.engine.annotation import Annotation
from coverslip.fronts.flight.tables import SCHEMAS

SCHEMA = SCHEMAS["rois"]
IDS = pa.schema([("roi_id", pa.string())])
LIMITS = {"roi_id": 100, "set_name": 200, "label": 1000, "geometry": 4 << 20, "props_json": 64 << 10}
"""Characters of the longest value of a column."""
SHAPES = ("point", "rectangle", "ellipse", "polygon", "polyline", "text")
LEAST = {"polygon": 3, "polyline": 1}
"""Points that a shape has at least."""
HINT = "See docs/reference/flight-writing.md."
SHOWN = 60
"""Characters of what a client calls something, in an error."""


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_bytes(kind: pa.DataType) -> bool:
    sized = pa.types.is_fixed_size_binary(kind) and kind.byte_width
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or sized)


def _is_plane(kind: pa.DataType) -> bool:
    return pa.types.is_map(kind) and all(pa.types.is_integer(t) for t in (kind.key_type, kind.item_type))


TYPES = (_is_text, _is_bytes, _is_plane, pa.types.is_integer)
"""Each says whether a column is of one kind; the client's is of the same as ours."""


def table(given: Iterable[Annotation], metadata: Mapping[str, str] | None = None) -> pa.Table:
    """Rows of annotations; ``metadata`` goes with the schema."""
    schema = SCHEMA.with_metadata(dict(metadata)) if metadata else SCHEMA
    return pa.Table.from_pylist([row(one) for one in given], schema=schema)


def row(one: Annotation) -> dict[str, Any]:
    """One annotation as a row."""
    return {
        "roi_id": one.roi_id,
        "array_id": one.array_id,
        "set_name": one.set_name,
        "label": one.label,
        "geometry": one.geometry,
        "plane": sorted(one.plane.items()),
        "props_json": one.props_json,
        "drawn_against_version": one.drawn_against,
        "rev": one.rev,
        "created_at_unix_ms": one.created_ms,
        "updated_at_unix_ms": one.updated_ms,
    }


def message(one: Annotation) -> RoiAnnotation:
    """One annotation as a message."""
    made = RoiAnnotation(
        roi_id=one.roi_id,
        array_id=one.array_id,
        set_name=one.set_name,
        label=one.label,
        roi=json_format.Parse(one.geometry, ROI()),
        plane=one.plane,
        props_json=one.props_json,
        rev=one.rev,
        created_at_unix_ms=one.created_ms,
        updated_at_unix_ms=one.updated_ms,
    )
    if one.drawn_against is not None:
        made.drawn_against_version = one.drawn_against
    return made


def read(batch: pa.RecordBatch, array_id: str, shape: Sequence[int]) -> Iterator[Annotation]:
    """The annotations of a batch of rows.

    Parameters
    ----------
    array_id
        The image that every row has to be of.
    shape
        Of that image.

    Raises
    ------
    BadRequest, TooLarge
        When a row is none; names it.
    """
    needed = {"set_name", "geometry"}
    missing = needed - set(batch.schema.names)
    if missing:
        raise BadRequest(f"Rows of annotations lack {', '.join(sorted(missing))}", HINT)
    known = [name for name in SCHEMA.names if name in batch.schema.names]
    columns = {name: _column(batch, name).to_pylist() for name in known}
    for number in range(batch.num_rows):
        yield _annotation({name: values[number] for name, values in columns.items()}, array_id, shape)


def ids(batch: pa.RecordBatch) -> list[str]:
    """The ids of a batch of rows."""
    if "roi_id" not in batch.schema.names:
        raise BadRequest("Rows of ids lack roi_id", HINT)
    return [one for one in _column(batch, "roi_id").to_pylist() if one]


def _column(batch: pa.RecordBatch, name: str) -> pa.Array:
    """A column of one of the types that Python makes little of."""
    if batch.schema.names.count(name) != 1:
        raise BadRequest(f"Rows have the column {name} several times", HINT)
    column = batch.column(batch.schema.names.index(name))
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    wanted = SCHEMA.field(name).type
    if not (pa.types.is_null(column.type) or any(fits(wanted) and fits(column.type) for fits in TYPES)):
        raise BadRequest(f"The column {name} of annotations is no {wanted}", HINT)
    return column


def _annotation(row: Mapping[str, Any], array_id: str, shape: Sequence[int]) -> Annotation:
    texts = {name: _text(row, name) for name in LIMITS}
    who = f"The annotation {(texts['roi_id'] or texts['label'] or '(new)')[:SHOWN]}"
    given = row.get("array_id") or array_id
    if given != array_id:
        raise BadRequest(f"{who} is of {given[:200]}, not of {array_id}", HINT)
    rev, drawn = row.get("rev") or 0, row.get("drawn_against_version")
    return Annotation(
        texts["roi_id"],
        texts["set_name"],
        texts["label"],
        _geometry(texts["geometry"], who),
        _plane(row.get("plane"), shape, who),
        _props(texts["props_json"], who),
        drawn[:256] if drawn is not None else None,
        rev,
    )


def _text(row: Mapping[str, Any], name: str) -> str:
    value: str = row.get(name) or ""
    if len(value) > LIMITS[name]:
        raise TooLarge(f"A {name} has {len(value):,} characters, and may have {LIMITS[name]:,}", HINT)
    return value


def _geometry(text: str, who: str) -> str:
    """The shape as JSON in one form, once it was looked at."""
    roi = ROI()
    try:
        json_format.Parse(text or "{}", roi)
    except (json_format.ParseError, RecursionError) as error:
        raise BadRequest(f"{who} has a geometry that is no biopb.image.ROI", HINT) from error
    kind = roi.WhichOneof("shape")
    if kind not in SHAPES:
        what = f"is a {kind}" if kind else "has no shape"
        raise BadRequest(f"{who} {what}", f"There is {', '.join(SHAPES)}; upload masks as a label image.")
    shape = getattr(roi, kind)
    if not all(map(math.isfinite, _numbers(shape))):
        raise BadRequest(f"{who} has a coordinate that is no number", HINT)
    if kind in LEAST and len(shape.points) < LEAST[kind]:
        raise BadRequest(f"{who} has {len(shape.points)} points, and needs {LEAST[kind]}", HINT)
    if kind == "text" and not shape.text:
        raise BadRequest(f"{who} is an empty text", HINT)
    if (kind == "ellipse" and min(shape.radius.x, shape.radius.y) < 0) or (kind == "polyline" and shape.width < 0):
        raise BadRequest(f"{who} has a size below 0", HINT)
    found: str = json_format.MessageToJson(roi, indent=None)
    return found


def _numbers(message: Any) -> Iterator[float]:
    for field, value in message.ListFields():
        for one in [value] if field.message_type is None or hasattr(value, "ListFields") else value:
            if hasattr(one, "ListFields"):
                yield from _numbers(one)
            elif isinstance(one, float):
                yield one


def _plane(given: Any, shape: Sequence[int], who: str) -> dict[int, int]:
    try:
        plane = {int(axis): int(index) for axis, index in given or ()}
    except (TypeError, ValueError) as error:
        raise BadRequest(f"{who} has a plane that is no map of axes", HINT) from error
    for axis, index in plane.items():
        if not (0 <= axis < len(shape) and 0 <= index < shape[axis]):
            raise BadRequest(f"{who} is on index {index} of axis {axis}, outside {list(shape)}", HINT)
    return plane


def _props(text: str, who: str) -> str:
    try:
        if text:
            json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{who} has props_json that is no JSON", HINT) from error
    return text

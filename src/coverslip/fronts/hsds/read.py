"""Values of data sets: what a request asks for, and its answer, made in pieces when it is large.

Source: the HDF REST API, "GET value" and "POST value".
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest, NotFound, TooLarge
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import Block, Compound, DatasetInfo, Datatype, Selection, Target, is_flat, value_dtype
from coverslip.engine.read import SHORT_S, Reader
from coverslip.fronts.hsds.documents import Documents, truth, whole_number
from coverslip.fronts.hsds.query import compile_query
from coverslip.fronts.hsds.requests import json_in
from coverslip.fronts.hsds.selection import parse, points_from, points_of
from coverslip.fronts.hsds.values import packed, plain

PIECE_BYTES = 8 << 20
"""How much is read and sent at once."""
ANY_LENGTH_BYTES = 64
"""What an element of any length is taken to have before it is read."""
JSON_FACTOR = 4
"""How much more a value takes as text, and while it is made."""
MOST_IN_JSON = 1 << 24
"""Numbers of one answer as text: each is an object of Python's while it is made."""
MOST_LOOKED_AT = 1 << 38
"""Bytes of rows that one query reads."""


@dataclass(frozen=True, eq=False)
class Wanted:
    """One request for values.

    Attributes
    ----------
    documents, target, info
        The data set.
    selection
        Which elements.
    fields
        Of records, those that are told; None for all.
    query
        Only rows that match.
    limit
        The most rows of a query.
    """

    documents: Documents
    target: Target
    info: DatasetInfo
    selection: Selection
    fields: tuple[str, ...] | None = None
    query: str | None = None
    limit: int | None = None

    @property
    def type(self) -> Datatype:
        """The type of what is told."""
        if self.fields is None or not isinstance(self.info.type, Compound):
            return self.info.type
        parts = dict(self.info.type.fields)
        return Compound(tuple((name, parts[name]) for name in self.fields))

    @property
    def exact(self) -> bool:
        """Whether the number of bytes is known beforehand."""
        return is_flat(self.type) and self.query is None

    @property
    def nbytes(self) -> int:
        """Bytes of the answer, or a guess."""
        return self.selection.size * (value_dtype(self.type).itemsize if is_flat(self.type) else ANY_LENGTH_BYTES)

    def values(self, stop: Stop = NEVER) -> npt.NDArray[Any]:
        """The elements, fewer fields than there are left out."""
        found = self.documents.file.read(self.target.address, self.selection, stop)
        if self.type is self.info.type:
            return found
        dtype = value_dtype(self.type)
        out = np.empty(found.shape, dtype)
        for name in dtype.names or ():
            out[name] = found[name]
        return out

    def bytes(self, stop: Stop = NEVER) -> memoryview | bytes:
        """The elements as bytes."""
        return packed(self.values(stop), self.type, self.documents.ids)

    def pieces(self) -> Iterator[Wanted]:
        """The same in parts along the first axis, each of whole chunks where it can be."""
        selection = self.selection
        if selection.points is not None:
            rows = max(1, PIECE_BYTES // max(1, self.nbytes // max(1, len(selection.points))))
            for first in range(0, len(selection.points), rows):
                yield replace(self, selection=Selection(points=selection.points[first : first + rows]))
            return
        if not selection.axes or self.nbytes <= PIECE_BYTES:
            yield self
            return
        first_axis, *rest = selection.axes
        count = selection.shape[0]
        rows = max(1, PIECE_BYTES // max(1, self.nbytes // count))
        chunk = self.info.chunks[0] if self.info.chunks else 1
        start = 0
        while start < count:
            stop = start + rows
            if isinstance(first_axis, slice):
                if first_axis.step == 1 and chunk > 1:  # ended where a chunk ends, so that none is decoded twice
                    edge = (first_axis.start + stop) // chunk * chunk
                    if edge <= first_axis.start + start:
                        edge = ((first_axis.start + start) // chunk + 1) * chunk
                    stop = edge - first_axis.start
                stop = min(stop, count)
                begin = first_axis.start + start * first_axis.step
                end = min(first_axis.stop, first_axis.start + stop * first_axis.step)
                part: Any = slice(begin, end, first_axis.step)
            else:
                stop = min(stop, count)
                part = first_axis[start:stop]
            yield replace(self, selection=Selection((part, *rest)))
            start = stop


def wanted(documents: Documents, target: Target, query: Mapping[str, str], body: bytes, media_type: str) -> Wanted:
    """What a request asks for.

    Parameters
    ----------
    query
        ``select``, ``fields``, ``query``, ``Limit``.
    body, media_type
        Of a POST: points as bytes, or JSON with ``points``, ``select``, ``fields``, ``query``.

    Raises
    ------
    BadRequest
        When it makes no sense.
    """
    info = documents.info(target)
    shape = info.shape or ()
    asked = dict(query)
    points: Any = None
    selection: Selection | None = None
    if body:
        told = _posted(body, media_type)
        if told is None:
            selection = points_from(body, shape)
        else:
            points = told.get("points")
            asked |= {k: v for k, v in told.items() if isinstance(v, str)}
            fields = told.get("fields")
            if isinstance(fields, list) and all(isinstance(f, str) for f in fields):
                asked["fields"] = ":".join(fields)
            if isinstance(told.get("Limit"), int):
                asked["Limit"] = str(told["Limit"])
    if points is not None:
        selection = points_of(points, shape)
    if selection is None:
        selection = parse(asked.get("select") or "", shape)
    names = asked.get("fields") or asked.get("field")
    condition = asked.get("query") or None
    if condition is not None and (len(shape) != 1 or selection.points is not None):
        raise BadRequest("A query is answered for data of one axis")
    limit = whole_number(asked, "Limit") if condition is not None else None
    return Wanted(documents, target, info, selection, _fields(names, info.type), condition, limit or None)


def _posted(body: bytes, media_type: str) -> dict[str, Any] | None:
    """The JSON of a body; None when it holds bytes. h5pyd calls some of its JSON bytes."""
    if media_type != "application/json" and body.lstrip()[:1] != b"{":
        return None
    try:
        told = json_in(body)
    except (BadRequest, TooLarge):
        if media_type == "application/octet-stream":
            return None
        raise
    if not isinstance(told, dict):
        raise BadRequest("The body is a JSON object")
    return told


def _fields(names: str | None, kind: Datatype) -> tuple[str, ...] | None:
    if not names:
        return None
    if not isinstance(kind, Compound):
        raise BadRequest("fields are of compound types only")
    found = tuple(dict.fromkeys(names.split(":")))
    known = [name for name, _ in kind.fields]
    for name in found:
        if name not in known:
            raise BadRequest(f"There is no field {name[:100]!r}")
    return None if list(found) == known else found


def check_size(asked: Wanted, most_bytes: int, text: bool) -> None:
    """Refuse what is too large for one answer.

    Raises
    ------
    TooLarge
        With the most there may be.
    """
    most = most_bytes // JSON_FACTOR if text else most_bytes
    if asked.query is not None:
        return  # rows are read and looked at in pieces
    if text and asked.selection.size * numbers_of(asked.type) > MOST_IN_JSON:
        raise TooLarge(
            f"One answer in JSON has at most {MOST_IN_JSON} numbers",
            "Ask for it in parts, or as bytes (Accept: application/octet-stream).",
            "too_large",
        )
    if asked.nbytes > most:
        raise TooLarge(
            f"The selection has {asked.nbytes} bytes; one answer has at most {most}",
            "Ask for it in parts.",
            "too_large",
        )


def numbers_of(kind: Datatype) -> int:
    """How many numbers one element is in JSON, at least."""
    if isinstance(kind, Compound):
        return sum(numbers_of(part) for _, part in kind.fields)
    return math.prod(kind.dims) * numbers_of(kind.base) if isinstance(kind, Block) else 1


def matching(asked: Wanted, most_bytes: int, stop: Stop = NEVER) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    """The rows that match a query, and their numbers."""
    assert asked.query is not None
    test = compile_query(asked.query, asked.info.type)
    if asked.nbytes > MOST_LOOKED_AT:
        raise TooLarge(f"At most {MOST_LOOKED_AT} bytes are looked at for one query", "Select rows, too.", "too_large")
    rows: list[npt.NDArray[Any]] = []
    numbers: list[npt.NDArray[np.int64]] = []
    found = held = 0
    for piece in replace(asked, fields=None).pieces():
        stop.check()
        axis = piece.selection.axes[0]
        every = np.arange(axis.start, axis.stop, axis.step) if isinstance(axis, slice) else axis
        values = piece.values(stop)
        try:
            chosen = np.flatnonzero(test(values))
        except (TypeError, ValueError, OverflowError) as error:
            raise BadRequest(f"The query does not fit the data: {error}") from error
        if asked.limit is not None:
            chosen = chosen[: asked.limit - found]
        part = values[chosen]
        rows.append(part)
        numbers.append(every[chosen])
        found, held = found + len(chosen), held + part.nbytes + 8 * len(chosen)
        if held > most_bytes // JSON_FACTOR:
            raise TooLarge(f"More rows match than one answer holds ({most_bytes // JSON_FACTOR} bytes)", "Set Limit.")
        if asked.limit is not None and found >= asked.limit:
            break
    if not rows:
        return np.empty(0, value_dtype(asked.info.type)), np.empty(0, np.int64)
    return np.concatenate(rows), np.concatenate(numbers).astype(np.int64)


def chosen_fields(values: npt.NDArray[Any], asked: Wanted) -> npt.NDArray[Any]:
    """Rows with the fields that were asked for."""
    if asked.type is asked.info.type:
        return values
    out = np.empty(values.shape, value_dtype(asked.type))
    for name in out.dtype.names or ():
        out[name] = values[name]
    return out


def as_json(asked: Wanted, query: Mapping[str, str], most_bytes: int, stop: Stop = NEVER) -> dict[str, Any]:
    """``value`` of an answer in JSON; rows of a query with their numbers as ``index``."""
    documents = asked.documents
    if asked.info.shape is None:
        return {"status": 200, "value": None}
    if asked.query is not None:
        rows, numbers = matching(asked, most_bytes, stop)
        value = plain(chosen_fields(rows, asked), asked.type, documents.ids)
        return {"status": 200, "value": value, "index": numbers.tolist()}
    values = asked.values(stop)
    if truth(query, "reduce_dim"):
        extra = values.ndim - len(asked.selection.shape)
        kept = tuple(n for n in asked.selection.shape if n != 1)
        values = values.reshape(kept + values.shape[values.ndim - extra :])
    return {"status": 200, "value": plain(values, asked.type, documents.ids)}


async def streamed(asked: Wanted, reader: Reader) -> AsyncIterator[memoryview | bytes]:
    """An answer in pieces; the next one is read while one is sent."""

    tasks: list[asyncio.Task[memoryview | bytes]] = []
    pieces = asked.pieces()
    try:
        for piece in pieces:
            work = partial(piece.bytes)
            tasks.append(asyncio.create_task(reader.run((piece, "hsds"), work, within_s=SHORT_S)))
            if len(tasks) > 2:
                yield await tasks.pop(0)
        while tasks:
            yield await tasks.pop(0)
    finally:
        for task in tasks:
            task.cancel()


def need_elements(asked: Wanted) -> None:
    """Refuse to send bytes of a null space.

    Raises
    ------
    NotFound
        When there is nothing to send.
    """
    if asked.info.shape is None:
        raise NotFound("The data set has a null space and holds no elements")

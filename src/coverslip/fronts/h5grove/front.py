"""HDF5 files over the protocol of h5grove, which H5Web and JupyterLab's viewer of HDF5 speak: ``/h5grove/meta?file=…``.

Source: h5grove 4.0 (routes and queries), on the wire.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from hashlib import blake2b
from typing import Any

import numpy as np
import numpy.typing as npt
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from coverslip.core import errors
from coverslip.core.errors import BadRequest, CoverslipError, NotFound, TooLarge
from coverslip.core.node import Source
from coverslip.core.patience import HANGS
from coverslip.core.stop import Stop
from coverslip.core.typed import Block, Link, Selection, Target, value_dtype
from coverslip.domains.objects import Objects, outside, typed_of
from coverslip.engine.files import BEING_WRITTEN, Files
from coverslip.engine.read import SHORT_S, Reader
from coverslip.fronts.errors import answering
from coverslip.fronts.h5grove import PREFIX, has
from coverslip.fronts.h5grove.documents import (
    MOST_PATHS,
    as_json,
    attribute_values,
    children,
    link_json,
    natural,
    object_json,
    paths_below,
)
from coverslip.fronts.h5grove.encode import CODE, encoded, safe
from coverslip.fronts.http import Body, reply, text_body, to_json

JSON_TYPE = "application/json"
MOST_IN_JSON = 1 << 24
"""Elements of one answer as text: each is an object of Python's while it is made."""
MEMBER = re.compile(r"\s*(-?\d{0,18})\s*(?:(:)\s*(-?\d{0,18})\s*(?::\s*(-?\d{0,18})\s*)?)?")
STATUS: dict[type[CoverslipError], int] = {
    errors.NotFound: 404,
    errors.BadRequest: 422,
    errors.UnsafeLink: 403,
    errors.Unreadable: 403,
    errors.TooLarge: 413,
    errors.Unsupported: 501,
    errors.Damaged: 422,
}
Found = tuple[Objects, Target]


def objects_of(source: Source) -> Objects:
    """The objects of an opened file."""
    return Objects(typed_of(source))


class GroveFront:
    """Answers ``/h5grove/attr``, ``/data``, ``/meta``, ``/stats`` and ``/paths``.

    Parameters
    ----------
    files
        Which files there are.
    reader
        Threads to read in.
    most_bytes
        The largest answer.
    """

    def __init__(self, files: Files, reader: Reader, most_bytes: int) -> None:
        self._files = files
        self._reader = reader
        self._most_bytes = most_bytes

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return has(path)

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        return await answering(request, self._answer(request, path.removeprefix(PREFIX).strip("/")))

    async def _answer(self, request: Request, name: str) -> Response:
        if name in ("", "h5grove"):
            return Response("ok", media_type="text/plain")
        works: dict[str, Callable[[QueryParams, Stop], tuple[Body, str]]] = {
            "attr": self._attr,
            "data": self._data,
            "meta": self._meta,
            "paths": self._paths,
            "stats": self._stats,
        }
        work = works.get(name)
        if work is None:
            raise NotFound(f"There is no {name[:100]!r} here")
        query = request.query_params
        try:
            key = ("h5grove", name, str(query))
            body, saved_as = await self._reader.run(key, lambda stop: work(query, stop), within_s=SHORT_S)
        except CoverslipError as error:
            return refusal(error)
        further = {"Content-Disposition": f'attachment; filename="{saved_as}"'} if saved_as else None
        return reply(request.method, request.headers, body, further=further)

    # --- finding --------------------------------------------------------------------------------------------------

    def _open(self, query: QueryParams) -> tuple[Objects, str]:
        file = query.get("file")
        if not file:
            raise BadRequest("No file was named", "Add ?file=folder/file.h5.", CODE)
        place = self._files.find("/" + file.lstrip("/"))
        if place.folder:
            raise NotFound("File not found!")
        return self._files.entry(place).view(objects_of)[0], place.name

    def _target(self, query: QueryParams) -> tuple[Objects, Target, str]:
        """What ``path`` leads to, along any link that stays inside."""
        objects, name = self._open(query)
        path = query.get("path", "/")
        found, target = objects.resolve(path, None, True, outside(self._files, name, objects_of))
        return found, target, path

    def _follow(self, objects: Objects, name: str, group: Target, rule: str) -> Callable[[Link], Found | None]:
        """Where a link of a group leads; None when it stays a link (``resolve_links``)."""

        def followed(link: Link) -> Found | None:
            if link.target is not None:
                return objects, link.target
            if rule == "none":
                return None
            try:
                return objects.resolve(link.name, group, True, outside(self._files, name, objects_of))
            except CoverslipError:
                if rule == "all":
                    raise
                return None

        return followed

    # --- answers --------------------------------------------------------------------------------------------------

    def _meta(self, query: QueryParams, stop: Stop) -> tuple[Body, str]:
        rule = _rule(query)
        objects, name = self._open(query)
        path = query.get("path", "/")
        last = path.rstrip("/").rpartition("/")[2]
        if (link := self._own_link(objects, path)) is not None and link.target is None:
            parent = objects.resolve(path.rstrip("/").rpartition("/")[0] or "/", None, True)[1]
            there = self._follow(objects, name, parent, rule)(link)
            if there is None:
                return _json(link_json(link)), ""
            objects, target = there
        else:
            objects, target, _ = self._target(query)
        found = object_json(objects, target, last)
        if target.kind == "group":
            # Of what is in a group, links are followed wherever they lead to something.
            found["children"] = children(objects, target, self._follow(objects, name, target, "only_valid"))
            found = dict(sorted(found.items()))
        return _json(found), ""

    def _own_link(self, objects: Objects, path: str) -> Link | None:
        above, _, last = path.rstrip("/").rpartition("/")
        if not last:
            return None
        try:
            where, parent = objects.resolve(above or "/", None, True)
        except CoverslipError:
            return None
        return where.file.link(parent.address, last) if where is objects and parent.kind == "group" else None

    def _attr(self, query: QueryParams, stop: Stop) -> tuple[Body, str]:
        objects, target, _ = self._target(query)
        return _json(attribute_values(objects, target, query.getlist("attr_keys") or None)), ""

    def _paths(self, query: QueryParams, stop: Stop) -> tuple[Body, str]:
        _rule(query)
        objects, target, path = self._target(query)
        if target.kind != "group":
            raise BadRequest(f"{path[:200]} is not a group", "", CODE)
        found: list[str] = []
        for one in paths_below(objects, target, path):
            stop.check()
            found.append(one)
            if len(found) >= MOST_PATHS:
                raise TooLarge(f"There are more than {MOST_PATHS} paths", "Ask below a group.")
        return _json(found), ""

    def _values(self, query: QueryParams, stop: Stop) -> tuple[npt.NDArray[Any] | None, Any]:
        objects, target, path = self._target(query)
        if target.kind != "dataset":
            raise BadRequest(f"{path[:200]} is not a dataset", "", CODE)
        info = objects.info(target)
        if info.shape is None:
            return None, info.type
        selection, kept = selected(query.get("selection"), info.shape)
        size = selection.size * max(1, value_dtype(info.type).itemsize)
        if size > self._most_bytes:
            raise TooLarge(f"The selection has {size} bytes; one answer has at most {self._most_bytes}", "Select less.")
        values = natural(objects.file.read(target.address, selection, stop), info.type)
        return values.reshape(kept + values.shape[len(info.shape) :]), info.type

    def _data(self, query: QueryParams, stop: Stop) -> tuple[Body, str]:
        values, kind = self._values(query, stop)
        form, dtype = query.get("format", "json"), query.get("dtype", "origin")
        if dtype not in ("origin", "safe"):
            raise BadRequest(f"Unsupported dtype {dtype[:40]}", "There are origin and safe.", CODE)
        if values is None:
            if form not in ("json", "bin"):
                raise BadRequest(f"Unsupported encoding {form[:40]} for empty and scalar data", "", CODE)
            return (_json(None) if form == "json" else Body(b"", "application/octet-stream", "empty")), ""
        if dtype == "safe":
            values = safe(values)
        if query.get("flatten", "").lower() in ("true", "1", "yes") and values.ndim:
            values = values.reshape(-1)
        if form == "json":
            if values.nbytes > self._most_bytes // 4 or values.size > MOST_IN_JSON:
                raise TooLarge("That is too much for JSON", "Ask for format=bin.")
            base = kind.base if isinstance(kind, Block) else kind
            return _json(as_json(values, base)), ""
        data, media, saved_as = encoded(values, form)
        return Body(data, media, _etag(data)), saved_as

    def _stats(self, query: QueryParams, stop: Stop) -> tuple[Body, str]:
        values, _ = self._values(query, stop)
        if values is None or values.dtype.kind not in "biuf":
            raise BadRequest("Statistics are of numbers", "", CODE)
        return _json(statistics(values)), ""


def statistics(values: npt.NDArray[Any]) -> dict[str, float | int | None]:
    """Of finite values: extremes, mean, deviation; None where there are none."""
    names = ("strict_positive_min", "positive_min", "min", "max", "mean", "std")
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not values.size:
        return dict.fromkeys(names)
    cast: Any = float if values.dtype.kind == "f" else int

    def least(some: npt.NDArray[Any]) -> Any:
        return cast(some.min()) if some.size else None

    return {
        "strict_positive_min": least(values[values > 0]),
        "positive_min": least(values[values >= 0]),
        "min": cast(values.min()),
        "max": cast(values.max()),
        "mean": cast(values.mean()),
        "std": cast(values.std()),
    }


def selected(text: str | None, shape: tuple[int, ...]) -> tuple[Selection, tuple[int, ...]]:
    """A selection as numpy writes it, and the shape of what it gives: axes with a number are gone.

    Raises
    ------
    BadRequest
        When it cannot be read, or leads outside.
    """
    members = text.split(",") if text else []
    if len(members) > len(shape):
        raise BadRequest(f"{str(text)[:100]} has too many members for {len(shape)} axes", "", CODE)
    axes: list[slice] = []
    kept: list[int] = []
    for i, n in enumerate(shape):
        axis, stays = _member(members[i], n) if i < len(members) else (slice(0, n, 1), True)
        axes.append(axis)
        if stays:
            kept.append(max(0, -(-(axis.stop - axis.start) // axis.step)))
    return Selection(tuple(axes)), tuple(kept)


def _member(text: str, n: int) -> tuple[slice, bool]:
    found = MEMBER.fullmatch(text)
    if found is None or found[0].strip() in ("", "-") or "-" in (found[1], found[3], found[4]):
        raise BadRequest(f"{text[:40]!r} is no slice", "Write it like 0:10:2 or 5.", CODE)
    if found[2] is None:
        index = int(found[1])
        if not -n <= index < n:
            raise BadRequest(f"{index} leads outside of an axis with {n} elements", "", CODE)
        return slice(index % n, index % n + 1, 1), False
    step = int(found[4]) if found[4] else 1
    if step < 1:
        raise BadRequest("A step is 1 or more", "", CODE)
    start, stop, _ = slice(int(found[1]) if found[1] else 0, int(found[3]) if found[3] else None, step).indices(n)
    return slice(start, max(start, stop), step), True


def _rule(query: QueryParams) -> str:
    given = query.get("resolve_links", "only_valid").lower()
    rule = {"true": "all", "false": "none"}.get(given, given)
    if rule not in ("all", "none", "only_valid"):
        raise BadRequest(f"{given[:40]} is no way to resolve links", "There are all, none and only_valid.", CODE)
    return rule


def refusal(error: CoverslipError) -> Response:
    """An error as h5grove tells it."""
    status = next((STATUS[c] for c in type(error).__mro__ if c in STATUS), 500)
    if error.name == HANGS:
        status = 503
    headers = {"Cache-Control": "no-store"}
    if error.name == BEING_WRITTEN:
        status, headers["Retry-After"] = 503, "2"
    return Response(to_json({"message": str(error)}), status, headers, JSON_TYPE)


def _etag(data: bytes | memoryview) -> str:
    return blake2b(data, digest_size=12).hexdigest()


def _json(content: Any) -> Body:
    data = to_json(content)
    return text_body(data, JSON_TYPE, _etag(data))

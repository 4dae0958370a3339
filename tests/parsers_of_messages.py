"""What programs send: messages of Arrow Flight as its server answers them, SQL, messages of a WebSocket, what goes to
HSDS; as one function of bytes each, beside `parsers`.

The Flight server is the real one without its socket: methods that gRPC would call are called here.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
from biopb.tensor.descriptor_pb2 import TensorDescriptor
from biopb.tensor.ticket_pb2 import ChunkBounds, TensorTicket
from pyarrow import flight
from starlette.datastructures import Headers
from yarl import URL

from coverslip.app import catalog_of
from coverslip.core.errors import BadRequest, CoverslipError, Forbidden
from coverslip.core.ngff import Axis, ImageMeta
from coverslip.core.node import Source
from coverslip.core.stop import NEVER
from coverslip.core.tree import MemoryArray
from coverslip.domains.images import Images
from coverslip.engine.access import Access, check_token
from coverslip.engine.annotations import Annotations
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.upload import Declared, Target, Upload
from coverslip.engine.upload_files import UploadFiles
from coverslip.engine.uploads import Uploads
from coverslip.formats import recognise
from coverslip.formats.trees.image import image
from coverslip.fronts.access import front as access
from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.options import FlightOptions
from coverslip.fronts.flight.parts import PARTS
from coverslip.fronts.flight.plans import Plans
from coverslip.fronts.flight.registry import Registry
from coverslip.fronts.flight.seals import Seals
from coverslip.fronts.flight.service import Service, Shown
from coverslip.fronts.flight.sql import Tables
from coverslip.fronts.flight.tensors import Tensors
from coverslip.fronts.flight.writing import Writing
from coverslip.fronts.http import to_json
from coverslip.fronts.prefixed import below, checked
from coverslip.fronts.tensors.slices import Rendering, Wanted
from coverslip.fronts.tensors.sockets import failed, request_in
from coverslip.fronts.tokens import tokens_shown
from coverslip.hsds.relay import Relay, leads_out
from coverslip.settings import Settings
from coverslip.writable import root_at, uploads_of
from mutation import kept
from parsers import Parser, object_in, text
from parsers_of_files import scratch

MESSAGES: dict[str, Parser] = {}
PIXELS = np.arange(3 * 40 * 50, dtype=np.uint16).reshape(3, 40, 50)
UPLOAD = "scratch/@fields/begun"
LAB = b"@LAB@"
"""Where the bytes mean the folder that is served."""
SECRET = "the-canary-of-the-lab"
PATIENCE_S = 60


def message(function: Parser) -> Parser:
    """Keep a parser by its name."""
    MESSAGES[function.__name__] = function
    return function


# --- a Flight server --------------------------------------------------------------------------------------------------


class Liver(Source):
    """An image of two levels that is always the same, so that tickets of it are."""

    def __init__(self) -> None:
        meta = ImageMeta([Axis(name, 0.5, "micrometer") for name in "zyx"], name="liver")
        self.root = image([MemoryArray(PIXELS), MemoryArray(PIXELS[:, ::2, ::2])], meta)
        self.etag, self.modified_s = "1", 0.0

    def fresh(self) -> bool:
        return True


class Unlistening(Service):
    """A Flight server that listens nowhere."""

    def __init__(self, registry: Registry, plans: Plans) -> None:
        self._registry, self._plans, self._writable, self.closing = registry, plans, True, False


class Context:
    """What gRPC knows of a call."""

    def __init__(self, authorized: bool) -> None:
        self._shown = Shown(authorized)

    def get_middleware(self, name: str) -> Shown:
        return self._shown

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def is_cancelled(self) -> bool:
        return False


@dataclass
class Served:
    """The server, and what it serves."""

    service: Unlistening
    registry: Registry
    plans: Plans
    catalog: Catalog
    uploads: Uploads
    folder: Path

    def tidy(self) -> None:
        """Take away what an input added."""
        for upload in list(self.uploads._all.values()):
            if upload.array_id != UPLOAD:
                with suppress(CoverslipError):
                    self.uploads.discard(upload.array_id, "")
                self.uploads._all = {k: v for k, v in self.uploads._all.items() if v.array_id == UPLOAD}


def _begun(folder: Path) -> None:
    """An upload of which nothing has arrived, with an id that stays."""
    files = UploadFiles(folder)
    target = Target.of(UPLOAD)
    axes = [Axis(name) for name in "zyx"]
    files.create(Upload("5" * 32, Declared.of(target, (2, 6, 8), "uint16", (1, 6, 4), axes)))
    files.close()


@cache
def served() -> Served:
    """The server, made when it is first needed; `end` ends it."""
    folder = scratch() / "flight"
    lab = folder / "lab"
    lab.mkdir(parents=True)
    np.save(lab / "one.npy", np.zeros((3, 4, 5), "u2"))
    _begun(folder / "uploads")
    (folder / "secret.csv").write_text(SECRET)
    options = CatalogOptions(persist=False, quiet_s=0.01, settle_s=0.05, query_s=5, query_rows=500, query_mib=64)
    catalog = catalog_of([lab], catalog=options)
    uploads = uploads_of(Settings(write_dir=folder / "uploads"), catalog)
    assert uploads is not None
    catalog.add("liver", "npy", "images", Liver, id="liver")
    catalog.start()
    assert catalog.wait_idle(PATIENCE_S)
    registry = Registry()
    tensors = Tensors(catalog, Images, registry.finders, "1")
    flight_options = FlightOptions(writable=True, seal_s=0, wait_s=5)
    desk = Desk(catalog, tensors, registry, Seals(lambda: (), lambda: b"k" * 32), flight_options, "1")
    writing = Writing(Annotations(folder / "annotations.sqlite"), recognise, uploads, _only_below(folder / "more"))
    plans = Plans(desk)
    for part in (*PARTS, writing):
        part(desk)
    return Served(Unlistening(registry, plans), registry, plans, catalog, uploads, folder)


def _only_below(more: Path) -> Callable[[Path, str], Root]:
    """Further sources, but not all of this machine."""

    def make(path: Path, kind: str) -> Root:
        if not path.is_relative_to(more):
            raise Forbidden("Not here")
        return root_at(path, kind)

    return make


def end() -> None:
    """End what was made for these parsers."""
    if served.cache_info().currsize:
        there = served()
        for closer in there.registry.closers:
            closer()
        there.catalog.close()
        there.uploads.close()
        served.cache_clear()


def answered(work: Callable[[], Any], data: bytes) -> Any:
    """The answer to a call; what was not foreseen is raised as it was, and no refusal tells of a path."""
    try:
        return work()
    except flight.FlightError as error:
        cause = error.__context__
        if cause is not None and not isinstance(cause, CoverslipError):
            raise cause from None
        told = str(error)
        assert str(scratch()) not in told or str(scratch()).encode() in data, told
        assert "Something went wrong" not in told
        raise BadRequest(told) from None


def _here(data: bytes) -> bytes:
    return data.replace(LAB, bytes(served().folder / "lab"))


@message
def flight_request(data: bytes) -> object:
    """``GetFlightInfo``: a plan; its first chunk is what the array has there."""
    there = served()
    asked = flight.FlightDescriptor.for_command(data)
    info = answered(lambda: there.service.get_flight_info(Context(True), asked), data)
    told = TensorDescriptor.FromString(info.descriptor.command)
    assert len(told.shape) == len(told.chunk_shape)
    for endpoint in info.endpoints[:1] if not told.ticket_stub else ():
        bounds = ChunkBounds.FromString(endpoint.app_metadata)
        assert all(0 <= a <= b <= n for a, b, n in zip(bounds.start, bounds.stop, told.shape, strict=True))
        assert there.registry.pixels is not None
        first = TensorTicket.FromString(endpoint.ticket.ticket), there.service._call(Context(True))
        name, found = answered(partial(there.registry.pixels, *first), data)
        assert name == told.array_id
        assert found.shape == tuple(b - a for a, b in zip(bounds.start, bounds.stop, strict=True))
        if name == "liver" and list(told.shape) == [
            b - a for a, b in zip(told.slice_hint.start, told.slice_hint.stop, strict=True)
        ]:
            origin = told.slice_hint.start
            where = tuple(slice(o + a, o + b) for o, a, b in zip(origin, bounds.start, bounds.stop, strict=True))
            assert np.array_equal(found, PIXELS[where])
    return told


@cache
def _sealed() -> set[bytes]:
    """What may be read without a token: what was sealed, and nothing else."""
    found = set()
    for data in kept("flight_ticket").values():
        with suppress(Exception):
            ticket = TensorTicket.FromString(data)
            found |= {ticket.chunk_ref.stub.identity, ticket.roi_read.array_id.encode()}
    return found - {b""}


@message
def flight_ticket(data: bytes) -> object:
    """``DoGet``, by who shows a token and by who shows none."""
    there = served()
    with suppress(BadRequest):
        answered(lambda: there.service.do_get(Context(False), flight.Ticket(data)), data)
        ticket = TensorTicket.FromString(data)
        what = ticket.chunk_ref.stub.identity if ticket.HasField("chunk_ref") else ticket.roi_read.array_id.encode()
        assert what in _sealed(), "read without a token and without a seal"
    return answered(lambda: there.service.do_get(Context(True), flight.Ticket(data)), data)


class Stream:
    """Rows that a client sends after a command."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def __iter__(self) -> Iterator[Any]:
        for batch in pa.ipc.open_stream(self._data):
            yield SimpleNamespace(data=batch, app_metadata=None)


@message
def flight_put(data: bytes) -> object:
    """``DoPut``: two bytes tell how long the command is, the rest is a stream of Arrow."""
    there, size = served(), int.from_bytes(data[:2], "little")
    command, rows = data[2 : 2 + size], data[2 + size :]
    replies: list[Any] = []
    writer = SimpleNamespace(write=replies.append)
    descriptor = flight.FlightDescriptor.for_command(command)
    answered(lambda: there.service.do_put(Context(True), descriptor, Stream(rows), writer), data)
    there.registry.tables["rois"]()  # what was kept can be read again
    return replies


@message
def flight_action(data: bytes) -> object:
    """``DoAction``: the first byte says which, the rest is its body."""
    there, body = served(), _here(data[1:])
    names = sorted(there.registry.actions)
    action = flight.Action(names[(data[0] if data else 0) % len(names)], body)
    try:
        return answered(lambda: list(there.service.do_action(Context(True), action)), body)
    finally:
        there.tidy()


@message
def flight_table(data: bytes) -> object:
    """``GetFlightInfo`` of a path."""
    there, asked = served(), flight.FlightDescriptor.for_path(*data.split(b"\0"))
    return answered(lambda: there.service.get_flight_info(Context(True), asked), data)


@message
def sql(data: bytes) -> object:
    """SQL: what is answered without a database is what DuckDB answers, and nothing is changed or read but the list."""
    words = data.decode("utf-8", "replace").replace("@SECRET@", str(served().folder / "secret.csv"))
    tables: Any = served().registry.reads["catalog_query"][1].__self__  # type: ignore[attr-defined]
    assert isinstance(tables, Tables)
    quick = tables.simple(words)
    try:
        found, total = tables.asked(words)
    except CoverslipError:
        assert quick is None, "DuckDB refuses what is answered without it"
        raise
    finally:
        count, _ = tables.asked("SELECT count(*) FROM sources")
        assert count.to_pydict() == {"count_star()": [len(served().catalog)]}
    assert found.num_rows <= total
    assert SECRET not in repr(found.to_pydict())
    if quick is not None:
        assert quick[0].schema.names == found.schema.names
        assert quick[0].num_rows == found.num_rows
        if "limit" not in words.lower():
            assert sorted(map(repr, quick[0].to_pylist())) == sorted(map(repr, found.to_pylist()))
    return found


# --- the web ----------------------------------------------------------------------------------------------------------


@cache
def _liver() -> Any:
    return Images(Liver())[""]


@message
def render_message(data: bytes) -> object:
    """A message of the WebSocket that draws, and what is drawn."""
    asked = request_in({"type": "websocket.receive", "bytes": data})
    json.loads(to_json(failed(asked, {"code": "none"})))
    if isinstance(error := asked.get("error"), CoverslipError):
        raise error
    content = asked.get("params")
    if not isinstance(content, dict):
        raise BadRequest("No params")
    wanted, rendering = Wanted.read(content), Rendering.read(content)
    return rendering.make(wanted.find(_liver()), '"1"', NEVER)


@message
def access_body(data: bytes) -> object:
    """Links that are asked for, and other tokens."""
    content = object_in(data)
    if content is None:
        raise BadRequest("No object")
    keys = Keys("t" * 32, key=b"k" * 32)
    token = access.text(content, "token", "")
    if token is not None:
        check_token(token)
        keys.rotate(token, access.text(content, "read_token", ""), access.number(content, "grace_s", 0.0))
    label = access.text(content, "label", "") or ""
    made = keys.share(str(content.get("source")), "/where", access.number(content, "expires_s", 60.0), label)
    right = keys.right_of(made.secret)
    assert right is None or (right.scope, right.source) == ("share", str(content.get("source")))
    return made


@message
def host_header(data: bytes) -> object:
    """``Host`` and ``Origin``."""
    host, _, origin = text(data).partition("\n")
    rules = Access.create("127.0.0.1", Keys(None), ["lab.example"], ["https://page.example"])
    if rules.host_allowed(host):
        assert any(name in host.lower() for name in ("localhost", "127.0.0.1", "::1", "lab.example"))
    elif not rules.origin_allowed(origin, host):
        raise BadRequest("Neither")
    return host


@message
def prefixed_path(data: bytes) -> object:
    """The path prefix of a proxy, and a path of a request behind it."""
    prefix, _, raw = data.partition(b"\n")
    told = checked(text(prefix))
    if not told:
        raise BadRequest("No prefix")
    raw = b"/" + bytes(b for b in raw if b > 32)
    scope = below({"type": "http", "path": text(raw), "raw_path": raw, "query_string": b""}, told)
    assert scope["path"].startswith(scope["root_path"] + "/")
    assert not {"", ".", ".."} & set(scope["root_path"].split("/")[1:])
    return scope["raw_path"].decode("latin-1")


@message
def hsds_relayed(data: bytes) -> object:
    """What is handed on to the real HSDS: a path, a query, headers; it gets no other bucket, and no token of ours."""
    target, *lines = data.split(b"\n")
    path, _, query = bytes(b for b in target if 32 < b < 127 and b != 35).partition(b"?")
    headers = [tuple(part.strip() for part in line.partition(b":")[::2]) for line in lines if b":" in line]
    headers = [(n.lower(), v) for n, v in headers if n and n.isalnum() and not set(v) & set(b"\r\n\0")]
    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "path": "/" + text(path), "raw_path": b"/" + path, "query_string": query,
        "headers": headers,
    }  # fmt: skip
    if leads_out(scope):
        raise BadRequest("That is no path of a domain")
    head = Relay(Path("/none"), ("user", "word"), lambda: ("t" * 32,)).head_of(scope, None, False)
    first, *rest = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    assert b"\r\n\r\n" not in head[:-4]
    assert first.startswith(b"GET /")
    assert first.endswith(b" HTTP/1.1")
    shown = [one for one in tokens_shown(scope, Headers(scope=scope)) if one == "t" * 32]
    assert (b"authorization: Basic dXNlcjp3b3Jk" in rest) == bool(shown)
    seen = URL(first.split(b" ")[1].decode("latin-1"), encoded=True).query  # as HSDS reads it
    assert "bucket" not in seen
    for name in ("domain", "host"):
        for value in seen.getall(name, []):
            assert not value or value.startswith(("/", "systems/"))
            assert not {"..", "."} & set(value.replace("\\", "/").split("/"))
    return head

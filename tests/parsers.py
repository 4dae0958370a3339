"""Every parser of ours that reads what strangers send, as one function of bytes each.

A function returns when the bytes make sense and raises one of `coverslip.core.errors` when they do not; anything else
is a fault. ``tests/corpus/NAME/`` holds bytes to begin with, and every one that was a fault once.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from tempfile import mkdtemp
from typing import Any
from zipfile import ZipFile

import numpy as np
from starlette.datastructures import QueryParams

from coverslip import config, sessions
from coverslip.client.address import parse as client_address
from coverslip.core.errors import BadRequest
from coverslip.core.ngff import Axis
from coverslip.core.typed import Compound, Float, Integer, Text
from coverslip.domains.cells import Cells, Options
from coverslip.domains.plan import KINDS
from coverslip.engine.dialogue import Dialogue
from coverslip.engine.keys import Keys
from coverslip.engine.rights import link_id
from coverslip.engine.upload import Declared, Target
from coverslip.formats import open_source
from coverslip.formats.remote.address import Address
from coverslip.formats.trees import dicom_codestream, ome_xml, zarr_meta
from coverslip.fronts.analysis.questions import plan_of
from coverslip.fronts.cellucid import paths
from coverslip.fronts.dialogue.front import document
from coverslip.fronts.forwarded import Proxies, last
from coverslip.fronts.h5grove.front import selected
from coverslip.fronts.hsds import requests as hsds
from coverslip.fronts.hsds import selection
from coverslip.fronts.hsds.query import compile_query
from coverslip.fronts.hsds.read import _posted
from coverslip.fronts.http import accepts_gzip, matches, requested_range
from coverslip.fronts.networks import answers, asked
from coverslip.fronts.prefixed import prefix_of
from coverslip.fronts.tensors import select, slices
from coverslip.fronts.tensors.body import object_in
from coverslip.fronts.tokens import password_of, spelled
from coverslip.fronts.zarr import chunks
from coverslip.systems import documents

Parser = Callable[[bytes], object]
PARSERS: dict[str, Parser] = {}
ROWS = np.zeros(6, [("id", "<i4"), ("x", "<f4"), ("name", "S8")])
ROWS["id"], ROWS["x"], ROWS["name"] = np.arange(6), np.linspace(-1, 1, 6), b"a"
KIND = Compound((("id", Integer(4, True)), ("x", Float(4)), ("name", Text(8))))
SHAPE = (7, 5)


def parser(function: Parser) -> Parser:
    """Keep a parser by its name."""
    PARSERS[function.__name__] = function
    return function


def text(data: bytes) -> str:
    """What a header or an address may hold."""
    return data.decode("latin-1")


# --- headers and addresses ------------------------------------------------------------------------------------------


@parser
def headers(data: bytes) -> object:
    """``Range``, ``If-Range``, ``If-None-Match``, ``Accept-Encoding``: a line each."""
    range_, if_range, tags, encoding = ([*text(data).split("\n"), "", "", "", ""])[:4]
    found = requested_range({"range": range_, **({"if-range": if_range} if if_range else {})}, '"tag"', 1000)
    assert found is None or (found[0] >= 0 and found[1] <= 1000) or found[0] >= found[1]
    return found, matches(tags, {'"tag"'}), accepts_gzip(encoding)


@parser
def forwarded(data: bytes) -> object:
    """``X-Forwarded-For`` and ``-Prefix``."""
    lines = text(data).split("\n")
    prefix = prefix_of(lines[0])
    assert prefix is None or prefix == "" or (prefix.startswith("/") and ".." not in prefix.split("/"))
    return Proxies(["10.0.0.0/8"]).origin(lines), last(lines), prefix


@parser
def credentials(data: bytes) -> object:
    """``Authorization``, cookies, and links to one source."""
    shown = text(data)
    with suppress(CookieError):  # as the gate does
        SimpleCookie(shown)
    keys = Keys("t" * 32, key=b"k" * 32)
    assert keys.right_of(shown) is None or shown == "t" * 32
    assert keys.right_of_cookie(shown) is None
    return spelled(shown), password_of(shown), link_id(shown)


@parser
def cells_path(data: bytes) -> object:
    """A path of a data set of cells."""
    part, inner = paths.part_of(text(data))
    return part, paths.parse(inner)


@parser
def zarr_key(data: bytes) -> object:
    """A key of a Zarr hierarchy."""
    return chunks.parse(text(data))


@parser
def image_query(data: bytes) -> object:
    """What is asked of a tile or a block."""
    query = QueryParams(text(data))
    found = select.positions(query), select.shown(query), select.picture_format(query.get("fmt", "raw"))
    return found, select.integers(query.get("start", ""), "start"), slices.reduction(query.get("reduce", "mean"))


@parser
def network_query(data: bytes) -> object:
    """What is asked of a network."""
    query = QueryParams(text(data))
    return asked.count(query, "bins", 5, 1024), asked.length(query, "reach"), asked.corner(query, "low")


@parser
def remote_address(data: bytes) -> object:
    """Addresses of sources on other machines."""
    return Address.parse(data.decode("utf-8", "replace"))


@parser
def server_address(data: bytes) -> object:
    """Addresses of servers, as clients are given them."""
    return client_address(data.decode("utf-8", "replace"))


@parser
def web_origin(data: bytes) -> object:
    """Origins of pages that may show a viewer in a frame."""
    dialogue = Dialogue()
    dialogue.embed(data.decode("utf-8", "replace"))
    (origin,) = dialogue.origins
    assert not set(origin) & set(" ;,'\"\r\n\t*")
    return origin


# --- bodies ---------------------------------------------------------------------------------------------------------


@parser
def slice_body(data: bytes) -> object:
    """``POST /api/slice`` and ``/api/render``."""
    content = object_in(data) or {}
    return slices.Wanted.read(content), slices.Rendering.read(content)


@cache
def _cells() -> Cells:
    place = Path(mkdtemp(prefix="coverslip-parsers-"))
    with ZipFile(Path(__file__).parent / "formats" / "exports" / "cellucid-0.9.4-0.zip") as packed:
        packed.extractall(place)
    return Cells(open_source(place / "demo").root, Options())


@parser
def analysis_body(data: bytes) -> object:
    """Questions about groups of cells: the first byte says which."""
    content = object_in(data[1:]) or {}
    return plan_of(KINDS[(data[0] if data else 0) % len(KINDS)], content, _cells())


@parser
def hsds_select(data: bytes) -> object:
    """``select`` of HSDS: what it gives is what numpy gives."""
    found = selection.parse(text(data), SHAPE)
    assert all(n <= max(m, len(data)) for n, m in zip(found.shape, SHAPE, strict=True))  # a list may say one twice
    return found


@parser
def hsds_points(data: bytes) -> object:
    """Points as bytes, and in JSON."""
    told = _posted(data, "application/octet-stream")
    if told is None:
        return selection.points_from(data, SHAPE)
    return selection.points_of(told.get("points"), SHAPE)


@parser
def hsds_query(data: bytes) -> object:
    """``query`` of HSDS over rows."""
    test = compile_query(data.decode("utf-8", "replace"), KIND)
    try:
        found = test(ROWS)
    except (TypeError, ValueError, OverflowError) as error:  # as `matching` does
        raise BadRequest(f"The query does not fit the data: {error}") from error
    assert found.shape == ROWS.shape
    return found


@parser
def hsds_body(data: bytes) -> object:
    """Names and ids that a POST asks for."""
    found = hsds.wishes(data, "titles", "grp_ids", "g-0")
    return found, hsds.is_single(data)


@parser
def grove_selection(data: bytes) -> object:
    """``selection`` of h5grove: as numpy has it."""
    words = text(data)
    found, kept = selected(words, SHAPE)
    plain = np.arange(35).reshape(SHAPE)[tuple(found.axes)]
    assert plain.size == int(np.prod(kept))
    return found


@parser
def dialogue_event(data: bytes) -> object:
    """What a viewer tells a notebook."""
    return document(data)


@parser
def upload(data: bytes) -> object:
    """Where an upload belongs, and what it is."""
    content = object_in(data) or {}
    target = Target.of(str(content.get("array_id", "")))
    assert ".." not in target.path
    assert all("/" not in part and part not in ("", ".") for part in target.path)
    shape, chunks = _integers(content.get("shape", [1])), _integers(content.get("chunks", []))
    axes = [Axis(str(name)) for name in _list(content.get("axes", ["y", "x"]))]
    return Declared.of(target, shape, str(content.get("dtype", "uint8")), chunks, axes)


def _list(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def _integers(given: Any) -> list[int]:
    """As protobuf gives them."""
    return [n for n in _list(given) if isinstance(n, int)]


# --- documents ------------------------------------------------------------------------------------------------------


@parser
def configuration(data: bytes) -> object:
    """A configuration file, and the same as a page saves it."""
    words = data.decode("utf-8", "replace")
    given = config.decoded(words, Path("coverslip.json" if words.lstrip()[:1] == "{" else "coverslip.toml"))
    if isinstance(given, dict):
        config.faults(given, Path("coverslip.toml"))
    return config.read(given, Path("coverslip.toml"))


@parser
def session(data: bytes) -> object:
    """A session that the viewer saved."""
    content = object_in(data)
    return sessions.read_session(content) if content is not None else None


@parser
def system_documents(data: bytes) -> object:
    """``graph.json`` and ``mea.json`` of a neural system."""
    content = object_in(data)
    found = answers.layers(content), answers.electrodes(content)
    json.dumps(found, allow_nan=True)
    try:
        return found, documents.read_elements(content)
    except (KeyError, TypeError, ValueError, AttributeError):  # Python's own, as its callers expect: not of a server
        return found


@parser
def ome(data: bytes) -> object:
    """OME-XML."""
    return ome_xml.read_ome(data)


@parser
def zarr_document(data: bytes) -> object:
    """``.zarray`` and ``zarr.json``."""
    meta = zarr_meta.parse("a", data)
    return zarr_meta.array_v2("a", meta, {}, False) if meta.get("zarr_format") == 2 else zarr_meta.array_v3("a", meta)


@parser
def jpeg(data: bytes) -> object:
    """Headers of JPEG and JPEG 2000 in DICOM; what they raise is made one of ours by who calls them."""
    found: list[Any] = []
    for read in (dicom_codestream.jpeg_header, dicom_codestream.jpeg2000_header):
        with suppress(*dicom_codestream.NONSENSE):
            found.append(read(data))
    return found

"""What lies in folders of state and configuration, which others may have written, cut short or damaged; and what other
machines answer a client of ours: as one function of bytes each, beside `parsers`.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import warnings
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from email.message import Message
from functools import cache
from io import BytesIO
from pathlib import Path
from unittest import mock

import numpy as np
import pyarrow as pa

from coverslip.app import describe
from coverslip.cli.status import asked, shown
from coverslip.client import flight_facts, http, saved
from coverslip.client.flight_errors import plain
from coverslip.client.local import local_server
from coverslip.client.metadata import Told
from coverslip.core.errors import BadRequest, CoverslipError, Damaged
from coverslip.core.node import Source
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.daemon import compose, flags, record
from coverslip.daemon.places import Places
from coverslip.daemon.rehearsal import ports_of
from coverslip.domains.cells import Options
from coverslip.engine import certificate
from coverslip.engine.annotation import Annotation, Place
from coverslip.engine.annotations import Annotations
from coverslip.engine.links import Links
from coverslip.engine.overrides import Override, overridden
from coverslip.engine.store import Row, open_store
from coverslip.engine.uploads import Uploads
from coverslip.formats.remote.credentials import KINDS, from_environment
from coverslip.fronts.access.front import _listed
from coverslip.fronts.hsds.requests import json_in
from coverslip.fronts.http import to_json as told_json
from coverslip.hsds.store import Store
from coverslip.notebook.cells import from_event
from coverslip.systems import connection, hub
from parsers import Parser, object_in
from parsers_of_files import scratch

STATE: dict[str, Parser] = {}
PID = b"4242"
"""Where the bytes mean this process."""


def state(function: Parser) -> Parser:
    """Keep a parser by its name."""
    STATE[function.__name__] = function
    return function


# --- the server in the background -------------------------------------------------------------------------------------


@cache
def _places() -> Places:
    places = Places(scratch() / "state")
    places.folder.mkdir()
    record.claim(places)
    return places


def _looked_at(places: Places) -> object:
    """What ``coverslip server status`` and clients make of the files; nobody is asked."""
    with mock.patch("socket.create_connection", side_effect=ConnectionRefusedError):
        now = record.known(places)
        told = asked(now, places)
    json.dumps(told)
    found = local_server({"COVERSLIP_STATE_DIR": str(places.folder)})
    if now.record is None:
        raise BadRequest("No record")
    return shown(now, told, places), ports_of(now.record), found


@state
def server_record(data: bytes) -> object:
    """``server.json``."""
    places = _places()
    places.record.write_bytes(data.replace(PID, str(os.getpid()).encode()))
    return _looked_at(places)


@state
def server_pid(data: bytes) -> object:
    """``server.pid``: no process but the one that was written down is meant."""
    places = Places(scratch() / "state-pid")
    places.folder.mkdir(exist_ok=True)
    places.pid.write_bytes(data.replace(PID, str(os.getpid()).encode()))
    now = record.known(places)
    shown(now, asked(now, places), places)
    if now.state == "stopped" or (now.identity is not None and not now.identity.pid):
        raise BadRequest("No process")
    assert not now.running
    return now


@state
def server_flags(data: bytes) -> object:
    """``server.flags.json``: what a restart begins with."""
    places = Places(scratch() / "state-flags")
    places.folder.mkdir(exist_ok=True)
    places.flags.write_bytes(data)
    kept = flags.kept(places)
    if kept == flags.Flags():
        raise BadRequest("Nothing is kept")
    both = flags.Flags(paths=("/data",)).over(kept)
    again = flags.Flags.of(json.loads(both.dumped()))
    assert again == both
    return compose.wanted(again, compose.config_of(again))


# --- databases --------------------------------------------------------------------------------------------------------


@state
def catalog_file(data: bytes) -> object:
    """The kept list of sources: what is damaged is made anew, or listed in memory."""
    file = scratch() / "catalog" / "list.sqlite"
    file.parent.mkdir(exist_ok=True)
    for other in file.parent.iterdir():
        other.unlink()
    file.write_bytes(data)
    with closing(open_store(file)) as store:
        try:
            rows = store.rows()
            found = store.find("a", {}, "name", 10, 0)
            store.put([Row("new", "", "new", "new", "npy", "arrays"), *rows[:3]])
            return rows, found, store.all_metadata(), store.counts(), store.device("lab")
        except sqlite3.Error as error:  # as `Rows.do` takes it
            raise Damaged("The list is damaged") from error


@state
def annotations_file(data: bytes) -> object:
    """The kept annotations: told as damaged, and left as they are."""
    file = scratch() / "annotations" / "kept.sqlite"
    file.parent.mkdir(exist_ok=True)
    for other in file.parent.iterdir():
        other.unlink()
    file.write_bytes(data)
    kept, place = Annotations(file), Place("/data/a.tif", "", "a", "file:///a")
    try:
        found = kept.read(place), kept.sets(place), list(kept.everything(lambda place, inner: "a"))
        kept.put(place, [Annotation("", "set", "", "{}")])
        kept.prune(1, lambda place, inner: None, True)
        return found
    finally:
        kept.close()


# --- uploads ----------------------------------------------------------------------------------------------------------


def _uploads(name: str, data: bytes) -> object:
    """A folder of uploads, one READY and one begun, with one file of each replaced."""
    whole, place = scratch() / "uploads-whole", scratch() / "uploads"
    if not whole.exists():
        _write_uploads(whole)
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(whole, place)
    for inner in (f"scratch/@fields/ready/{name}", f".uploads/pending/{'6' * 32}/{name}"):
        (place / inner).write_bytes(data)
    uploads = Uploads(place)
    try:
        there = list(uploads._all.values())
        if not there:
            raise BadRequest("No upload")
        return [(u.left_s, u.ended, bytes.fromhex(u.id), u.declared.expected, len(u.written)) for u in there]
    finally:
        uploads.close()


def _write_uploads(place: Path) -> None:
    from coverslip.core.ngff import Axis
    from coverslip.engine.upload import Declared, Target, Upload
    from coverslip.engine.upload_files import UploadFiles

    files = UploadFiles(place)
    for number, name in (("5", "ready"), ("6", "begun")):
        target = Target.of(f"scratch/@fields/{name}")
        made = Upload(number * 32, Declared.of(target, (4, 6), "uint16", (2, 6), [Axis("y"), Axis("x")]))
        files.create(made)
        files.write(made, (0, 0), np.zeros((2, 6), "u2"))
        if name == "ready":
            files.publish(made)
    files.close()


@state
def upload_group(data: bytes) -> object:
    """``zarr.json`` of an upload: what says which it is."""
    return _uploads("zarr.json", data)


@state
def upload_array(data: bytes) -> object:
    """``0/zarr.json`` of an upload."""
    return _uploads("0/zarr.json", data)


@state
def link_note(data: bytes) -> object:
    """A note of a link to one source, as a list tells it."""
    folder = scratch() / "links"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / f"{'0' * 16}.json").write_bytes(data)
    links = Links(folder)
    links.look("0" * 16)
    listed = [told_json(_listed(note)) for note in links.all(("t",), 0.0)]
    if not listed:
        raise BadRequest("No note")
    return listed, links.revoke("0" * 16, ("t",), 5.0)


# --- configuration beside our own -------------------------------------------------------------------------------------


@state
def saved_address(data: bytes) -> object:
    """The configuration in which a client keeps the server that was used last: as TOML, and as biopb's JSON."""
    base = scratch() / "saved"
    file = base / saved.FILES[1 if data[:1] == b"{" else 0]
    for name in saved.FILES:
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).unlink(missing_ok=True)
    file.write_bytes(data)
    found = saved.saved_url({"XDG_CONFIG_HOME": str(base)})
    saved.save_url("grpc://other:1", {"XDG_CONFIG_HOME": str(base)})
    if found is None:
        raise BadRequest("Nothing is saved")
    return found


@state
def shared_credentials(data: bytes) -> object:
    """``~/.aws/credentials`` and ``config``."""
    home = scratch() / "home"
    (home / ".aws").mkdir(parents=True, exist_ok=True)
    for name in ("credentials", "config"):
        (home / ".aws" / name).write_bytes(data)
    return [from_environment(kind, {"HOME": str(home), "AWS_PROFILE": "lab"}) for kind in sorted(set(KINDS.values()))]


@state
def livn_variable(data: bytes) -> object:
    """``LIVN_HSDS``."""
    words = data.replace(b"\0", b"").decode("utf-8", "replace")
    with mock.patch.dict(os.environ, {connection.VARIABLE: words}):
        found = connection.configured()
    if found is None:
        raise BadRequest("It is not set")
    return found.file_url("a b", "graph.json")


@state
def hsds_record(data: bytes) -> object:
    """``server.json`` of a store of HSDS."""
    store = Store(scratch() / "hsds")
    store.folder.mkdir(exist_ok=True)
    (store.folder / "server.json").write_bytes(data)
    store._clear()
    found = store._known()
    if found is None:
        raise BadRequest("No record")
    assert store.running() is None
    return found


@state
def certificate_pair(data: bytes) -> object:
    """A certificate and its key in one file."""
    file = scratch() / "pair.pem"
    file.write_bytes(data)
    file.chmod(0o600)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what a later release of the library will refuse
        kept = certificate.kept(file)
        found = certificate.load(file, file, datetime(2026, 12, 1, tzinfo=UTC))
    return found.warning(found.not_before), found.names, kept


@state
def certificate_names(data: bytes) -> object:
    """Names for a certificate, as ``--san`` gives them."""
    name = certificate.normal(data.decode("utf-8", "replace"))
    return certificate.general_name(name)


# --- what other servers answer ----------------------------------------------------------------------------------------


@state
def client_descriptor(data: bytes) -> object:
    """An image as a tensor server describes it over Flight."""
    found = flight_facts.described(data)
    return found, found.numpy_dtype, repr(found)


@state
def client_answer(data: bytes) -> object:
    """What a server answers over HTTP: the first byte says to which question."""
    content = json_in(data[1:])
    match (data[0] if data else 0) % 4:
        case 0:
            return http.read_entries(content)
        case 1:
            return http.read_entry(content)
        case 2:
            found = http.read_description(content)
            return found, found.numpy_dtype
        case _:
            return Told.of(content), plain(str(content))


@state
def client_rows(data: bytes) -> object:
    """Rows of the list of sources over Flight: a stream of Arrow."""
    try:
        table = pa.ipc.open_stream(data).read_all()
        table.validate(full=True)
        rows = table.to_pylist()
    except (pa.ArrowException, ValueError, OSError) as error:  # as the transport takes it
        raise BadRequest("No rows") from error
    return flight_facts.entries(rows)


@state
def hub_page(data: bytes) -> object:
    """A page of the list of a system's files, from the hub."""
    answer = mock.MagicMock()
    answer.__enter__.return_value = answer
    answer.read, answer.headers = BytesIO(data).read, Message()
    with mock.patch.object(hub, "_open", return_value=answer):
        return list(hub._listed("https://hub.example/tree"))


@state
def selected_cells(data: bytes) -> object:
    """Cells that a viewer selected, as they come to a notebook: the first byte says how they are written."""
    form = "bits" if data[:1] == b"b" else "numbers"
    found = from_event(form, 100, data[1:])
    assert found.size <= 100
    assert not found.size or (found.min() >= 0 and found.max() < 100)
    return found


# --- attributes of others, corrected by a person ----------------------------------------------------------------------


class Attributed(Source):
    """An image whose attributes are given."""

    def __init__(self, attrs: Mapping[str, object]) -> None:
        level = MemoryArray(np.zeros((2, 8, 6), "u2"), attrs)
        self.root, self.etag, self.modified_s = MemoryGroup({"0": level}, attrs), "1", 0.0

    def fresh(self) -> bool:
        return True


CORRECTION = Override(("c", "y", "x"), {"x": 0.5, "y": 0.5}, "micrometer", ("a", "b"), ("ff0000",))


@state
def overridden_attributes(data: bytes) -> object:
    """Attributes of an image of which a configuration corrects some."""
    content = object_in(data)
    if content is None:
        raise BadRequest("No attributes")
    found = None
    for given in (CORRECTION, Override(pixel_size={"x": 2.0}), Override(dim_labels=("c", "y", "x"))):
        try:
            found = describe(Options(), overridden(Attributed(content), given))
        except CoverslipError:
            if given is CORRECTION:
                raise
    return found

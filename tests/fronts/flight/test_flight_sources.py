"""Sources over Arrow Flight: opened when asked, looked at again, added and removed where that is allowed."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path

import flight_writing
import numpy as np
import pyarrow as pa
import pytest
from biopb.tensor.descriptor_pb2 import (
    AddSourceRequest,
    AddSourceResult,
    AddSourceStreamMessage,
    RemoveSourceRequest,
    RemoveSourceResult,
    ResolveStreamMessage,
)
from flight_writing import PIXELS, Client, Serve, liver, words
from pyarrow import flight

from coverslip.core.errors import Damaged
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.sources import beats

serve = flight_writing.serve


def add(client: Client, url: str) -> AddSourceResult:
    messages = [AddSourceStreamMessage.FromString(m) for m in client.action("add_source", AddSourceRequest(url=url))]
    assert all(m.WhichOneof("payload") == "progress" for m in messages[:-1])
    return messages[-1].result


def test_resolve_gives_the_row(serve: Serve) -> None:
    served = serve()
    messages = [ResolveStreamMessage.FromString(m) for m in served.client().action("resolve", liver(served).encode())]
    assert [m.WhichOneof("payload") for m in messages] == ["source_row"]
    (row,) = pa.ipc.open_stream(messages[0].source_row).read_all().to_pylist()
    assert (row["source_id"], row["is_resolved"], row["tensors"][0]["shape"]) == (liver(served), True, [6, 40, 50])
    for id in (b"nobody", b"", b"\xff\xfe"):
        with pytest.raises(flight.FlightServerError) as refused:
            served.client().action("resolve", id)
        assert words(refused) == {"code": "NOT_FOUND", "reason": "unknown_source"}


def test_who_waits_hears_that_work_goes_on() -> None:
    call = Call(True, "", lambda: False)
    free = threading.Event()
    heard = []
    for elapsed in beats(lambda: free.wait(5), call, every_s=0.02):
        heard.append(elapsed)
        if len(heard) == 3:
            free.set()
    assert heard == sorted(heard)

    def fail() -> None:
        raise Damaged("It is cut short")

    with pytest.raises(Damaged):
        list(beats(fail, call))
    gone = Call(True, "", lambda: True)
    assert list(beats(lambda: free.wait(0.1), gone, every_s=0.01)) in ([], [pytest.approx(0.01, abs=1)])


def test_what_is_offered_is_looked_at_again(serve: Serve) -> None:
    served = serve()
    client, image = served.client(), liver(served)
    again = add(client, str(served.data / "liver.zarr"))
    assert (list(again.already_present), list(again.refreshed), list(again.added)) == ([image], [image], [])
    np.save(served.data / "new.npy", PIXELS)
    (served.data / "notes.xyz").write_text("hello")
    found = add(client, (served.data / "new.npy").as_uri())
    present = {*found.added, *found.already_present}
    assert len(present) == 1
    assert next(iter(present)) in served.catalog
    failed = add(client, str(served.data / "notes.xyz"))
    assert [f.path for f in failed.failed] == [str(served.data / "notes.xyz")]
    whole = add(client, str(served.data))
    assert {image, *present} <= set(whole.refreshed)
    (served.data / "new.npy").unlink()
    lost = add(client, str(served.data / "new.npy"))
    assert not lost.refreshed
    assert next(iter(present)) not in served.catalog


def test_nothing_else_of_the_machine_can_be_added(serve: Serve, tmp_path: Path) -> None:
    served = serve()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    np.save(elsewhere / "secret.npy", PIXELS)
    (served.data / "link").symlink_to(elsewhere)
    refusals = set()
    for url in (
        str(elsewhere), str(elsewhere / "secret.npy"), "/nowhere/at/all", "/etc/passwd", f"file://{elsewhere}",
        f"{served.data}/../elsewhere", f"{served.data}/link", f"{served.data}2",
    ):  # fmt: skip
        with pytest.raises(flight.FlightError) as refused:
            add(served.client(), url)
        refusals.add(str(refused.value).split(". Detail")[0])
    assert len(refusals) == 1, "nobody learns what there is"
    for url in ("relative.npy", "", "s3://bucket/x", "http://169.254.169.254/latest", "file://other/x", "/a\0b"):
        with pytest.raises(flight.FlightError):
            add(served.client(), url)
    assert {r.name for r in served.catalog.entries()[0]} == {"liver.zarr", "scratch"}


def test_where_it_is_allowed_more_can_be_added_and_removed(serve: Serve, tmp_path: Path) -> None:
    served = serve(adding=True)
    client = served.client()
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "inner").mkdir(parents=True)
    for name in ("a.npy", "inner/b.npy"):
        np.save(elsewhere / name, PIXELS)
    (elsewhere / "notes.txt").write_text("nothing")
    found = add(client, str(elsewhere))
    assert len(found.added) == 2
    assert not found.failed
    rows = {id: served.catalog.get(id) for id in found.added}
    assert {row.url for row in rows.values()} == {"dnd:///elsewhere/a.npy", "dnd:///elsewhere/inner/b.npy"}
    for id in found.added:
        assert client.plan(id).endpoints
    assert sorted(add(client, str(elsewhere)).refreshed) == sorted(found.added)
    single = add(client, str(shutil.copy(elsewhere / "a.npy", tmp_path / "one.npy")))
    assert len(single.added) == 1
    wrong = add(client, str(shutil.copy(elsewhere / "notes.txt", tmp_path / "notes.txt")))
    assert "format coverslip does not know" in wrong.failed[0].reason
    with pytest.raises(flight.FlightServerError, match="Path not found"):
        add(client, "/nowhere/at/all")
    (body,) = client.action("remove_source", RemoveSourceRequest(root_url="dnd:///elsewhere"))
    assert sorted(RemoveSourceResult.FromString(body).removed) == sorted(found.added)
    assert not any(id in served.catalog for id in found.added)
    assert single.added[0] in served.catalog
    for url in ("dnd:///elsewhere", "dnd:///data", "file:///data", str(served.data), "dnd://"):
        with pytest.raises(flight.FlightServerError):
            client.action("remove_source", RemoveSourceRequest(root_url=url))
    assert liver(served) in served.catalog
    time.sleep(0.1)
    assert len(add(client, str(elsewhere)).added) == 2


def test_the_folder_of_uploads_cannot_be_added(serve: Serve, tmp_path: Path) -> None:
    place = tmp_path / "elsewhere" / "uploads"
    place.parent.mkdir()
    served = serve(adding=True, place=place)
    client = served.client()
    np.save(place.parent / "a.npy", PIXELS)
    client.declare("zarr://scratch/@fields/x")
    client.move("scratch/@fields/x", "READY")
    for path in (place, place / "scratch", place / "scratch" / "@fields" / "x"):
        assert "cannot be written to as well" in add(client, str(path)).failed[0].reason
    (added,) = add(client, str(place.parent)).added
    assert served.catalog.get(added).name == "a.npy"


def test_the_folder_of_uploads_is_not_listed_as_data(serve: Serve) -> None:
    served = serve()
    client = served.client()
    client.declare("zarr://scratch/@fields/x")
    client.move("scratch/@fields/x", "READY")
    add(client, str(served.data))
    assert served.catalog.wait_idle(20)
    assert {r.name for r in served.catalog.entries()[0]} == {"liver.zarr", "scratch"}

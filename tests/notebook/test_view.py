"""A view's two sides: Python, and HTTP as the viewer speaks it. The real one is in ``tests/e2e/test_notebook.py``."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anndata
import numpy as np
import pytest

import coverslip
import make
from coverslip.core.errors import BadUsage, CoverslipError, NotFound, TimedOut, Unsupported
from coverslip.notebook import View, stop_all
from coverslip.notebook.cells import BadCells, from_event, numbers_of, to_bits

PAGE = "http://localhost:8888"
OTHER = "https://evil.example.com"


class Viewer:
    """A browser's side."""

    def __init__(self, view: View) -> None:
        self.url = view.url
        self.token = view.viewer_url.partition("#token=")[2]
        self.last: int | None = None

    def ask(self, path: str, method: str = "GET", body: bytes | None = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {self.token}", **{k.replace("_", "-"): v for k, v in headers.items()}}
        request = urllib.request.Request(f"{self.url}/{path}", body, sent, method=method)
        return urllib.request.urlopen(request, timeout=30)

    def commands(self) -> list[dict[str, Any]]:
        with self.ask("api/dialogue/commands" + ("" if self.last is None else f"?after={self.last}")) as answer:
            told = json.load(answer)
        self.last = told["last"]
        return list(told["commands"])

    def cells(self, command: dict[str, Any]) -> np.ndarray:
        with self.ask(f"api/dialogue/cells/{command['number']}") as answer:
            bits = np.frombuffer(answer.read(), np.uint8)
        return np.flatnonzero(np.unpackbits(bits, bitorder="little", count=command["n"]))

    def tell(self, what: str, body: bytes) -> None:
        self.ask(f"api/dialogue/events/{what}", "PUT", body).close()


def status(viewer: Viewer, *asked: Any, **headers: str) -> int:
    try:
        with viewer.ask(*asked, **headers) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


@pytest.fixture(scope="module")
def shared() -> Iterator[View]:
    with coverslip.show(make.adata(), dataset_name="Blood") as view:
        yield view


@pytest.fixture
def view(shared: View) -> View:
    shared.clear_hooks()
    shared._dialogue._commands.clear()
    return shared


def soon(check: Any) -> None:
    end = time.monotonic() + 20
    while not check():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.01)


# -- sets of cells ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 7, 8, 9, 50, 1000])
def test_cells_travel_both_ways(n: int) -> None:
    rng = np.random.default_rng(n)
    mask = rng.random(n) < 0.5
    numbers = np.flatnonzero(mask)
    for given in (mask, mask.tolist(), numbers, numbers[::-1], numbers.astype(np.uint16), np.repeat(numbers, 2)):
        np.testing.assert_array_equal(numbers_of(given, n), numbers)
    np.testing.assert_array_equal(from_event("bits", n, to_bits(numbers, n)), numbers)
    np.testing.assert_array_equal(from_event("numbers", n, numbers.astype("<u4").tobytes()), numbers)
    assert len(to_bits(numbers, n)) == -(-n // 8)


@pytest.mark.parametrize("wrong", [[-1], [50], [0.5], ["cell-1"], np.zeros(49, bool), np.zeros((2, 2), int), [True]])
def test_what_are_no_cells(wrong: Any) -> None:
    with pytest.raises(BadCells):
        numbers_of(wrong, 50)


def test_events_of_the_wrong_length() -> None:
    for form, body in (("bits", bytes(6)), ("numbers", bytes(5)), ("numbers", b"\xff\xff\xff\xff")):
        with pytest.raises(ValueError, match=r"bytes|cell"):
            from_event(form, 50, body)


# -- from the viewer ----------------------------------------------------------------------------------------------


def test_a_selection_arrives_as_an_array(view: View) -> None:
    viewer, heard = Viewer(view), []
    view.on_selection(heard.append)
    for cells in ([3, 5, 49], [], list(range(50))):
        viewer.tell("selection?form=bits&n=50", to_bits(np.array(cells, int), 50))
        assert view.selection.tolist() == cells
        viewer.tell("selection?form=numbers&n=50", np.array(cells, "<u4").tobytes())
        assert view.selection.tolist() == cells
        assert make.adata()[view.selection].n_obs == len(cells)
    soon(lambda: len(heard) == 3)  # only when it changes
    assert [cells.tolist() for cells in heard] == [[3, 5, 49], [], list(range(50))]


def test_two_million_cells_arrive() -> None:
    n = 2_000_003
    adata = anndata.AnnData(obsm={"X_umap": np.zeros((n, 2), np.float32)})
    with coverslip.show(adata) as view:
        viewer = Viewer(view)
        inside = np.random.default_rng(0).random(n) < 0.99
        viewer.tell(f"selection?form=bits&n={n}", np.packbits(inside, bitorder="little").tobytes())
        np.testing.assert_array_equal(view.selection, np.flatnonzero(inside))
        view.highlight(inside, name="most")
        np.testing.assert_array_equal(viewer.cells(viewer.commands()[0]), view.selection)


def test_hover_click_and_ready(view: View, capsys: pytest.CaptureFixture[str]) -> None:
    viewer, heard = Viewer(view), []

    @view.on_hover
    def _(told: dict[str, Any]) -> None:
        heard.append(("hover", told))
        raise RuntimeError("a mistake of a person's")

    view.on_click(lambda told: heard.append(("click", told)))
    with pytest.raises(TimedOut, match=r"display\(view\)"):
        view.wait_for_ready(0.01)
    viewer.tell("hover", b'{"cell": 3}')
    viewer.tell("click", b'{"cell": 3, "button": 0, "shift": true, "ctrl": false}')
    viewer.tell("ready", b'{"n_cells": 50, "dataset": "x"}')
    assert view.wait_for_ready(10).state["n_cells"] == 50
    view.on_ready(lambda told: heard.append(("ready", told)))
    soon(lambda: len(heard) == 3)
    assert heard[0] == ("hover", {"cell": 3})
    assert heard[1][1]["shift"] is True
    assert "a mistake" in capsys.readouterr().err
    viewer.tell("problem", b'{"message": "There is no gene NOPE"}')
    soon(lambda: "NOPE" in capsys.readouterr().err)
    with pytest.raises(NotFound, match="selection, hover"):
        view.register_hook("selektion", print)


def test_callbacks_of_a_notebook_run_on_its_own_thread() -> None:
    """Where an event loop ran when the view was made."""
    threads: list[str] = []

    async def cell() -> None:
        with coverslip.show(make.adata()) as view:
            view.on_click(lambda told: threads.append(threading.current_thread().name))
            await asyncio.to_thread(Viewer(view).tell, "click", b"{}")
            for _ in range(200):
                if threads:
                    break
                await asyncio.sleep(0.01)

    asyncio.run(cell())
    assert threads == ["MainThread"]


@pytest.mark.parametrize(
    ("what", "body", "code"),
    [
        ("selection?form=bits&n=50", bytes(6), 400),
        ("selection?form=bits&n=x", bytes(7), 400),
        ("selection?form=words&n=50", b"", 400),
        ("hover", b"[]", 400),
        ("hover", b"\xff", 400),
        ("hover", b'"' + b"x" * (2 << 20), 413),
        ("console", b"{}", 404),
    ],
)
def test_events_that_cannot_be(view: View, what: str, body: bytes, code: int) -> None:
    assert status(Viewer(view), f"api/dialogue/events/{what}", "PUT", body) == code


# -- to the viewer ------------------------------------------------------------------------------------------------


def test_commands_in_their_order(view: View) -> None:
    viewer = Viewer(view)
    view.highlight([1, 2], color="#d55e00", name="few")
    view.highlight(np.arange(50) % 2 == 0)
    view.color_by("kind")
    view.set_camera([0, 0.5, 2])
    view.select([7])
    told = viewer.commands()
    assert [c["do"] for c in told] == ["highlight", "highlight", "color", "camera", "select"]
    assert (told[0]["name"], told[0]["color"]) == ("few", "#d55e00")
    assert [viewer.cells(c).tolist() for c in told if c["cells"]] == [[1, 2], list(range(0, 50, 2)), [7]]
    assert (told[2]["key"], told[3]["camera"]) == ("kind", [0, 0.5, 2])
    view.reset_view()
    view.set_color_by("SYM3")
    view.highlight_cells([4], name="few")
    assert [c["do"] for c in viewer.commands()] == ["camera", "color", "highlight"]


def test_a_viewer_that_comes_late_is_told_what_holds(view: View) -> None:
    for key in ("kind", "batch"):
        view.color_by(key)
    view.highlight([1], name="a")
    view.highlight([2], name="a")
    view.highlight([3], name="ab")
    view.highlight([4])
    view.clear_highlights("a")
    told = Viewer(view).commands()
    assert [c.get("key") or c.get("name") for c in told][:2] == ["batch", "ab"]
    assert len(told) == 3
    view.clear_highlights()
    assert [c["do"] for c in Viewer(view).commands()] == ["color"]


def test_a_question_waits_for_the_next_command(view: View) -> None:
    viewer = Viewer(view)
    view.color_by("kind")
    viewer.commands()
    threading.Timer(0.2, lambda: view.color_by("batch")).start()
    began = time.monotonic()
    assert [c["key"] for c in viewer.commands()] == ["batch"]
    assert time.monotonic() - began > 0.1


def test_cells_of_a_command_that_no_longer_holds(view: View) -> None:
    viewer = Viewer(view)
    view.select([1])
    [first] = viewer.commands()
    view.select([2])
    assert status(viewer, f"api/dialogue/cells/{first['number']}") == 404
    assert status(viewer, "api/dialogue/cells/99999") == 404
    assert status(viewer, "api/dialogue/nothing") == 404
    assert status(viewer, "api/dialogue/commands", "PUT", b"") == 405


def test_what_cannot_be_asked(view: View) -> None:
    for wrong in ([50], np.zeros(3, bool), ["cell-1"]):
        with pytest.raises(ValueError, match="cell"):
            view.highlight(wrong)
    for color in ("red", "#12", "#12345g"):
        with pytest.raises(BadUsage, match="colour"):
            view.highlight([1], color=color)
    for camera in ([1, 2], [1, 2, float("nan")], range(7)):
        with pytest.raises(BadUsage, match="camera"):
            view.set_camera(camera)
    with pytest.raises(BadUsage, match="height"):
        coverslip.show(make.adata(), height=5)
    with pytest.raises(CoverslipError, match="latent_kee"):
        coverslip.show(make.adata(), latent_kee="X")
    assert Viewer(view).commands() == []


def test_a_session_of_the_viewer(view: View) -> None:
    viewer = Viewer(view)
    viewer.commands()
    document = {"format": "coverslip session", "version": 1, "saved": "", "groups": [],
                "dataset": {"name": "x", "cells": {"n": 50, "digest": None}}}  # fmt: skip

    def answer() -> None:
        soon(lambda: any(c["do"] == "session" for c in viewer.commands()))
        viewer.tell("session", json.dumps(document).encode())

    answering = threading.Thread(target=answer)
    answering.start()
    assert view.session(20) == document
    answering.join()
    with pytest.raises(TimedOut):
        view.session(0.05)


# -- who may ask --------------------------------------------------------------------------------------------------


def test_nothing_is_told_without_the_token() -> None:
    with coverslip.show(make.adata()) as view:  # who guesses has to wait, and the others at that address too
        stranger = Viewer(view)
        stranger.token = "wrong-wrong-wrong-wrong"
        for path in ("dataset_identity.json", "api/dialogue/commands", "_cellucid/datasets"):
            assert status(stranger, path) in (401, 429)
        for what in ("selection?form=bits&n=50", "ready"):
            assert status(stranger, f"api/dialogue/events/{what}", "PUT", b"{}") in (401, 429)
        assert "token" not in repr(view)
        assert Viewer(view).token not in repr(view)


def test_only_the_notebooks_own_page_may_show_it(view: View) -> None:
    viewer = Viewer(view)
    with viewer.ask("") as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = answer.read()
    assert policy.endswith("frame-ancestors 'self'")
    assert b"<html data-notebook" in page
    assert status(viewer, "api/instance", Origin=PAGE) == 403
    assert status(viewer, "api/instance?knock=wrong", Origin=PAGE) == 403
    assert status(viewer, f"api/instance?knock={view._dialogue.knock}", Origin="null") == 403
    assert status(viewer, f"api/instance?knock={view._dialogue.knock}", Origin=PAGE) == 200
    with viewer.ask("") as answer:
        assert answer.headers["Content-Security-Policy"].endswith(f"frame-ancestors 'self' {PAGE}")
    with urllib.request.urlopen(
        urllib.request.Request(f"{view.url}/api/instance", headers={"Origin": PAGE}), timeout=20
    ) as answer:
        assert answer.headers["Access-Control-Allow-Origin"] == PAGE
        assert json.load(answer) == {"instance": view._dialogue.instance}
    assert status(viewer, "api/instance", Origin=OTHER) == 403
    assert status(viewer, "dataset_identity.json", Origin=PAGE) == 403, "the notebook's page reads no data"
    assert status(viewer, "api/dialogue/events/hover", "PUT", b"{}", Origin=OTHER) == 403


@pytest.mark.parametrize(
    "wrong", ["null", "", "file://", "http://a b", "http://a;script-src *", "https://x/y", "//x", "http://é"]
)
def test_what_is_no_origin(view: View, wrong: str) -> None:
    with pytest.raises(CoverslipError):
        view._dialogue.embed(wrong)


def test_behind_a_proxy_under_another_name(view: View) -> None:
    """jupyter-server-proxy keeps the browser's Host and Origin."""
    viewer = Viewer(view)
    behind = {"Host": "hub.example.org", "Origin": "https://hub.example.org", "X_Forwarded_Proto": "https"}
    assert status(viewer, "dataset_identity.json", **behind) == 200
    assert status(viewer, "api/dialogue/events/hover", "PUT", b"{}", **behind) == 204
    assert status(viewer, "dataset_identity.json", **{**behind, "Origin": OTHER}) == 403


# -- its end ------------------------------------------------------------------------------------------------------


def test_stopped_views_answer_nothing_and_say_so() -> None:
    view = coverslip.show(make.adata())
    viewer = Viewer(view)
    waiting: list[dict[str, Any]] = []

    def wait() -> None:
        with viewer.ask("api/dialogue/commands?after=0") as answer:
            waiting.append(json.load(answer))

    asking = threading.Thread(target=wait)
    asking.start()
    soon(lambda: view._dialogue._waiting)
    began = time.monotonic()
    view.stop()
    asking.join(20)
    assert waiting[0]["ended"] is True
    assert time.monotonic() - began < 15
    assert not view.is_running()
    view.stop()
    with pytest.raises(Unsupported, match="ended"):
        view.color_by("kind")
    assert "ended" in repr(view)


def test_all_views_end_with_the_kernel() -> None:
    code = (
        "import coverslip, make, threading\n"
        "view = coverslip.show(make.adata())\n"
        "print(sorted(t.name for t in threading.enumerate() if t.name == 'coverslip-server'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"PYTHONPATH": "tests"},
        check=True,
    )
    assert done.stdout.strip() == "['coverslip-server']"
    assert done.stderr == ""
    views = [coverslip.show_anndata(make.adata()) for _ in range(2)]
    stop_all()
    assert not any(view.is_running() for view in views)


def test_running_a_cell_again_ends_its_views(monkeypatch: pytest.MonkeyPatch) -> None:
    from coverslip.notebook import runs

    class Events:
        def __init__(self) -> None:
            self.called: list[Any] = []

        def register(self, name: str, callback: Any) -> None:
            assert name == "pre_run_cell"
            self.called.append(callback)

    class Shell:
        events = Events()
        cell = "one"

        def get_parent(self) -> dict[str, Any]:
            return {"metadata": {"cellId": self.cell}}

        def run(self, cell: str) -> View:
            self.cell = cell
            for callback in self.events.called:
                callback(None)
            return coverslip.show(make.adata())

    shell = Shell()
    monkeypatch.setattr(runs, "get_ipython", lambda: shell)
    first, other = shell.run("one"), shell.run("two")
    again = shell.run("one")
    assert [v.is_running() for v in (first, other, again)] == [False, True, True]
    assert len(Shell.events.called) == 1
    stop_all()


# -- the widget ------------------------------------------------------------------------------------------------------


def test_the_page_is_told_the_way_and_keeps_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("anywidget")
    from coverslip.notebook import widget

    told: list[dict[str, Any]] = []
    with coverslip.show(make.adata(), height=333) as view:
        frame = widget.make(view._server, view._dialogue, view.height)
        monkeypatch.setattr(frame, "send", lambda content, buffers=None: told.append(content))
        frame.call()
        soon(lambda: len(told) >= 2)  # until a page has come
        assert told[0] == {
            "kind": "open", "port": int(view.url.rpartition(":")[2]), "addresses": [],
            "instance": view._dialogue.instance, "knock": view._dialogue.knock, "token": Viewer(view).token,
        }  # fmt: skip
        assert status(Viewer(view), f"api/instance?knock={view._dialogue.knock}") == 200
        soon(lambda: not any(t.name == "coverslip-call" for t in threading.enumerate()))
        count = len(told)
        frame._asked(frame, {"kind": "open"}, [])
        frame._asked(frame, "nonsense", [])
        assert len(told) == count + 1
        kept = json.dumps([frame.get_state(), widget.bundle(frame)], default=str)
        assert "333" in kept
        assert "run the cell again" in kept
        for secret in (Viewer(view).token, view._dialogue.knock, view._dialogue.instance):
            assert secret not in kept
        view._widget = frame
    assert told[-1] == {"kind": "closed"}
    frame._asked(frame, {"kind": "open"}, [])
    assert told[-1] == {"kind": "closed"}


def test_an_address_can_be_given(monkeypatch: pytest.MonkeyPatch, view: View) -> None:
    port = view.url.rpartition(":")[2]
    for given, address in (
        ("https://hub.example.org/user/me/proxy/{port}/", f"https://hub.example.org/user/me/proxy/{port}/"),
        ("http://localhost:9000", "http://localhost:9000/"),
    ):
        monkeypatch.setenv("CELLUCID_CLIENT_SERVER_URL", given)
        assert view._server.addresses() == [address]
    for wrong in ("javascript:alert(1)", "hub.example.org"):
        monkeypatch.setenv("CELLUCID_CLIENT_SERVER_URL", wrong)
        with pytest.raises(BadUsage, match="CELLUCID_CLIENT_SERVER_URL"):
            view._server.addresses()


def test_without_anywidget_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    from coverslip.notebook import widget

    monkeypatch.setitem(sys.modules, "anywidget", None)
    widget._kind.cache_clear()
    with pytest.raises(Unsupported, match=r"coverslip\[notebook\]"):
        widget._kind()
    widget._kind.cache_clear()

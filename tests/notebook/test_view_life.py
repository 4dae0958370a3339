"""Who may see a view, how a page finds it, and how it ends."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from typing import Any

import pytest
import viewers
from viewers import Viewer, soon, status

import coverslip
import make
from coverslip.core.errors import BadUsage, CoverslipError, Unsupported
from coverslip.notebook import View, stop_all

shared = viewers.shared
view = viewers.view

PAGE = "http://localhost:8888"
OTHER = "https://evil.example.com"


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

"""A view's two sides, Python and HTTP as the viewer speaks it: cells, events, commands, sessions."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from typing import Any

import anndata
import numpy as np
import pytest
import viewers
from viewers import Viewer, soon, status

import coverslip
import make
from coverslip.core.errors import BadUsage, CoverslipError, NotFound, TimedOut
from coverslip.notebook import View
from coverslip.notebook.cells import BadCells, from_event, numbers_of, to_bits

shared = viewers.shared
view = viewers.view


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


def test_what_is_done_again_and_again_takes_no_more_memory(view: View) -> None:
    viewer = Viewer(view)
    viewer.commands()
    for cell in range(20):
        view.clear_highlights()
        view.highlight([cell], name="walk")
    assert [command["do"] for command in viewer.commands()] == ["clear", "highlight"]
    assert len(view._dialogue._commands) == 2


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

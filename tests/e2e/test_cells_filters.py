"""Filters, groups, undo, session files and links, as a person uses them, on real cells; counts are numpy's."""

from __future__ import annotations

import base64
import json
import re
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
from conftest import ROOT, Open, Running, Start, Watched, eventually, fetch, linked, wait_for

import coverslip

PHONE = {"width": 390, "height": 844}
GENE, LEAST = "CST3", 0.5


@pytest.fixture(scope="module")
def server(start: Start, pbmc: Path) -> Running:
    return start(pbmc)


@pytest.fixture(scope="module")
def cells(pbmc: Path) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an old file
        return anndata.read_h5ad(pbmc)


def expressed(cells: anndata.AnnData) -> np.ndarray:
    values: np.ndarray = np.asarray(cells[:, GENE].X, np.float32).ravel()
    return values >= np.float32(LEAST)


def shown(watched: Watched) -> int:
    """What the bar above tells."""
    words = watched.page.get_by_test_id("cell-count").inner_text().replace(",", "")
    found = re.search(r"(\d+) shown", words) or re.search(r"(\d+) cells", words)
    assert found
    return int(found[1])


def wait_shown(watched: Watched, count: int) -> None:
    wait_for(lambda: shown(watched) == count, f"{count} shown cells, not {shown(watched)}")


def drag(watched: Watched, *corners: tuple[float, float]) -> None:
    """Over the plot; places are shares of its width and height."""
    box = watched.page.get_by_test_id("scatter").first.bounding_box()
    assert box
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in corners]
    watched.page.mouse.move(*places[0])
    watched.page.mouse.down()
    for place in places[1:]:
        watched.page.mouse.move(*place, steps=4)
    watched.page.mouse.up()


def selected(watched: Watched) -> int:
    return int(watched.attribute("selected"))


def linked_cells(watched: Watched) -> list[int]:
    """The selection in the address bar."""
    runs = linked(watched.page).get("selected", "")
    ends = [[int(end) for end in run.split("-")] for run in runs.split(",") if run]
    return [cell for run in ends for cell in range(run[0], run[-1] + 1)]


def unpacked(saved: dict[str, Any], n: int) -> list[int]:
    """As docs/reference/session.md says, without coverslip."""
    raw = base64.b64decode(saved["bits"])
    if saved["encoding"] == "base64+deflate":
        raw = zlib.decompress(raw)
    bits: list[int] = np.flatnonzero(np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little", count=n)).tolist()
    assert len(bits) == saved["count"]
    return bits


def made(watched: Watched) -> dict[str, Any]:
    """What a person made, as the page tells it."""

    def told(id: str, *names: str) -> list[list[str | None]]:
        # At one go: what comes or goes meanwhile would be waited for.
        each = "(all, names) => all.map((one) => names.map((name) => one.dataset[name] ?? null))"
        rows: list[list[str | None]] = watched.page.get_by_test_id(id).evaluate_all(each, list(names))
        return rows

    return {
        "filters": told("filter", "kind", "key", "on", "kept"),
        "groups": told("group", "name", "count", "shown"),
        "shown": shown(watched),
        "selected": selected(watched),
    }


def test_filters_groups_undo_session_and_link(
    server: Running, look: Open, cells: anndata.AnnData, tmp_path: Path
) -> None:
    watched = look(server.url)
    watched.ready("field:bulk_labels")
    page = watched.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    filters_by_category_and_gene(watched, cells)
    passing = (cells.obs["bulk_labels"] != "CD14+ Monocyte").to_numpy() & expressed(cells)

    # Only what passes can be selected; a lasso becomes a group.
    page.keyboard.press("l")
    drag(watched, (0.7, 0.45), (0.98, 0.45), (0.98, 0.97), (0.7, 0.97), (0.7, 0.5))
    wait_for(lambda: selected(watched) > 20, "a selection")
    wait_for(lambda: len(linked_cells(watched)) == selected(watched), "the selection in the link")
    lassoed = linked_cells(watched)
    assert passing[lassoed].all()
    page.keyboard.press("g")
    group = page.get_by_test_id("group")
    group.wait_for()
    wait_for(lambda: group.get_attribute("data-count") == str(len(lassoed)), "its cells")
    group.get_by_test_id("group-name").fill("Lassoed")
    page.keyboard.press("Enter")

    undo_and_redo(watched)
    sets_of_cells(watched, passing, lassoed)
    counts = [str(len(lassoed)), str(passing.sum() - len(lassoed))]

    def whole() -> dict[str, Any]:
        found = made(watched)
        assert [row[1] for row in found["groups"]] == counts
        assert found == made(watched), "it still changes"
        return found

    before = eventually(whole)
    assert page.evaluate("[document.documentElement.scrollHeight - innerHeight, document.body.scrollTop]") == [0, 0]
    page.screenshot(path=tmp_path / "filters.png")

    # Saved, and opened again by a page that knows nothing of it.
    page.locator("body").click(position={"x": 640, "y": 22})
    with page.expect_download() as download:
        page.keyboard.press("s")
    assert download.value.suggested_filename == "10x_pbmc68k_reduced.coverslip.json"
    path = tmp_path / "x.coverslip.json"
    download.value.save_as(path)
    session = json.loads(path.read_text())
    assert session["dataset"]["cells"] == json.loads(fetch(f"{server.url}cells/digest.json"))
    assert unpacked(session["groups"][0], cells.n_obs) == lassoed
    applied = coverslip.apply_session(cells, path, inplace=False)
    assert np.flatnonzero(applied.obs["cellucid_highlight__Lassoed"]).tolist() == lassoed
    second = look(server.url)
    second.ready()
    second.page.get_by_test_id("session-file").set_input_files(path)
    second.page.get_by_text("Opened x.coverslip.json").wait_for()
    wait_for(lambda: made(second) == before, f"{before}, not {made(second)}")
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps({**session, "dataset": {"cells": {"n": 3, "digest": None}}}))
    second.page.get_by_test_id("session-file").set_input_files(wrong)
    second.page.get_by_text("it is of 3 cells, and 10x_pbmc68k_reduced has 700 cells").wait_for()
    assert made(second) == before

    # The link shows the same, and says what it cannot hold.
    page.get_by_test_id("share").click()
    note = page.get_by_test_id("share-note")
    wait_for(lambda: "2 groups are only in the session file" in note.inner_text(), f"a note, not {note.inner_text()}")
    third = look(page.evaluate("navigator.clipboard.readText()"))
    third.ready()
    third.page.get_by_test_id("filter").nth(1).wait_for()
    wait_for(lambda: made(third) == {**before, "groups": []}, f"{before}, not {made(third)}")
    assert (watched.problems, second.problems, third.problems) == ([], [], [])


def filters_by_category_and_gene(watched: Watched, cells: anndata.AnnData) -> None:
    page = watched.page
    page.get_by_test_id("filter-add").select_option(label="bulk_labels")
    item = page.get_by_test_id("filter-item").filter(has_text="Monocyte")
    item.locator("input").uncheck()
    others = (cells.obs["bulk_labels"] != "CD14+ Monocyte").to_numpy()
    wait_shown(watched, int(others.sum()))
    page.get_by_test_id("filter-add").select_option("gene")
    page.get_by_test_id("filter-gene").fill(GENE)
    page.get_by_test_id("filter-gene-option").first.click()
    page.get_by_test_id("filter-min").fill(str(LEAST))
    page.keyboard.press("Enter")
    high = expressed(cells)
    wait_shown(watched, int((others & high).sum()))

    def kept() -> list[str | None]:
        lines: list[str | None] = page.get_by_test_id("filter").evaluate_all("(all) => all.map((f) => f.dataset.kept)")
        return lines

    wait_for(lambda: kept() == [str(others.sum()), str(high.sum())], f"what each lets through, not {kept()}")
    # The legend counts what passes the other filters: those it hides itself, too.
    labels = cells.obs["bulk_labels"]
    row = page.get_by_test_id("legend-item").filter(has_text="Dendritic").locator(".count")
    passing = f"{(high & (labels == 'Dendritic')).sum()} of {(labels == 'Dendritic').sum()}"
    wait_for(lambda: row.inner_text() == passing, f"{passing}, not {row.inner_text()}")
    hidden = page.get_by_test_id("legend-item").filter(has_text="Monocyte").locator(".count")
    theirs = f"{(high & ~others).sum()} of {(~others).sum()}"
    wait_for(lambda: hidden.inner_text() == theirs, f"{theirs}, not {hidden.inner_text()}")
    # Another colour, the same cells.
    page.get_by_test_id("color-select").select_option(label="n_counts")
    watched.ready("field:n_counts")
    wait_shown(watched, int((others & high).sum()))
    page.get_by_test_id("filter").nth(1).get_by_role("checkbox").first.uncheck()
    wait_shown(watched, int(others.sum()))
    page.get_by_test_id("filter").nth(1).get_by_role("checkbox").first.check()
    wait_shown(watched, int((others & high).sum()))


def undo_and_redo(watched: Watched) -> None:
    """Rename, group, selection, the filter off and on: five steps."""
    page = watched.page
    page.locator("body").click(position={"x": 640, "y": 22})
    after = made(watched)
    chosen = after["selected"]
    steps: list[tuple[str, Callable[[dict[str, Any]], bool]]] = [
        ("the name", lambda seen: [row[0] for row in seen["groups"]] == ["Group 1"]),
        ("the group", lambda seen: (seen["groups"], seen["selected"]) == ([], chosen)),
        ("the selection", lambda seen: seen["selected"] == 0),
        ("the filter", lambda seen: seen["shown"] == 571),
    ]
    for name, undone in steps:
        page.keyboard.press("Control+z")
        wait_for(lambda undone=undone: undone(made(watched)), f"{name} undone, not {made(watched)}")  # type: ignore[misc]
    for name, undone in reversed(steps):
        page.keyboard.press("Control+Shift+z")
        wait_for(lambda undone=undone: not undone(made(watched)), f"{name} again, not {made(watched)}")  # type: ignore[misc]
    wait_for(lambda: made(watched) == after, f"{after}, not {made(watched)}")


def sets_of_cells(watched: Watched, passing: np.ndarray, lassoed: list[int]) -> None:
    page = watched.page
    page.get_by_test_id("group-more").click()
    page.get_by_test_id("group-others").click()
    wait_for(lambda: selected(watched) == passing.sum() - len(lassoed), "all others")
    page.get_by_test_id("keep-selection").click()
    page.get_by_test_id("group").nth(1).wait_for()
    page.get_by_test_id("group-intersection").click()
    page.get_by_text("There is no cell in Lassoed and Group 2").wait_for()
    page.get_by_text("Dismiss").click()
    page.get_by_test_id("group-union").click()
    page.get_by_test_id("group").nth(2).wait_for()
    union = page.get_by_test_id("group").nth(2)
    wait_for(lambda: union.get_attribute("data-count") == str(passing.sum()), "both together")
    page.locator("body").click(position={"x": 640, "y": 22})
    page.keyboard.press("Control+z")
    wait_for(lambda: page.get_by_test_id("group").count() == 2, "two groups")
    page.get_by_test_id("group-select").click()
    wait_for(lambda: selected(watched) == len(lassoed), "the group")


def test_a_lasso_in_3d_and_filters_to_it(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?embedding=X_pca&dim=3")
    watched.ready()
    page = watched.page
    page.keyboard.press("l")
    drag(watched, (0.12, 0.03), (0.5, 0.03), (0.5, 0.97), (0.12, 0.97), (0.12, 0.1))
    wait_for(lambda: selected(watched) > 0, "a selection")
    some = selected(watched)
    page.keyboard.press("f")
    wait_shown(watched, some)
    # What lies on the other half is hidden: nothing more can be selected there.
    drag(watched, (0.52, 0.02), (0.98, 0.02), (0.98, 0.98), (0.52, 0.98), (0.52, 0.1))
    wait_for(lambda: selected(watched) == 0, "nothing")
    page.keyboard.press("Control+a")
    wait_for(lambda: selected(watched) == some, "all that is shown")
    page.keyboard.press("h")
    wait_shown(watched, 0)
    page.keyboard.press("Control+z")
    wait_shown(watched, some)
    assert watched.problems == []


def test_on_a_phone_and_in_the_dark_nothing_is_out_of_reach(server: Running, look: Open, tmp_path: Path) -> None:
    link = f"{server.url}?filter=hide:6:bulk_labels&filter=range::1800:0:n_genes"
    watched = look(link, **PHONE, theme="dark")
    watched.ready()
    page = watched.page
    page.get_by_test_id("panel-open").click()
    page.get_by_test_id("filter").nth(1).locator(".filter-name").click()
    page.get_by_test_id("filter-max").wait_for()
    page.get_by_test_id("session-save").scroll_into_view_if_needed()
    page.screenshot(path=tmp_path / "phone.png")
    assert page.get_by_test_id("share-here").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    page.evaluate((ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [v["id"] for v in found if v["impact"] in ("serious", "critical")] == []
    assert watched.problems == []

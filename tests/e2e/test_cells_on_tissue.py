"""Cells on the picture of their tissue, and one selection in every view; read from pixels."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import tissue_pages
from conftest import (
    eventually,
    linked,
    repainted,
    wait_for,
)
from tissue_pages import HEIGHT, QUADRANTS, SPOT, STEP, WIDTH, Rgb, Tissue, grid, near

sample = tissue_pages.sample
server = tissue_pages.server
tissue = tissue_pages.tissue


def test_cells_lie_where_the_matrix_says(tissue: Tissue) -> None:
    places = grid()
    legend = tissue.legend()
    want = [legend["left" if column < WIDTH / 2 else "right"] for column, _ in places]

    def as_told() -> None:
        got = tissue.colors_at([tissue.where(*place) for place in places])
        assert all(near(g, w) for g, w in zip(got, want, strict=True)), list(zip(got, want, strict=True))

    eventually(as_told)
    # Between them the picture is seen, in its own colours: a quarter of its height and width from each corner.
    between = [(STEP * 1.5, STEP * 1.5), (WIDTH - 60, 60), (60, HEIGHT - 60), (WIDTH - 60, HEIGHT - 60)]
    got = tissue.colors_at([tissue.where(*place) for place in between])
    assert all(near(g, tuple(map(int, w))) for g, w in zip(got, QUADRANTS.reshape(-1, 3), strict=True)), got
    # A spot is as wide as it was measured: full just inside its edge, none just outside.
    column, row = places[0]
    inside, outside = SPOT / 2 - 3, SPOT / 2 + 3
    around = [
        (column + r * math.cos(t), row + r * math.sin(t)) for r in (inside, outside) for t in (0.3, 1.9, 3.5, 5.1)
    ]
    got = tissue.colors_at([tissue.where(*place) for place in around])
    assert all(near(g, want[0]) for g in got[:4])
    assert not any(near(g, want[0], 40) for g in got[4:])
    assert tissue.watched.problems == []


def test_a_lasso_on_the_tissue_dims_the_others_in_both_views(tissue: Tissue) -> None:
    legend, places = tissue.legend(), grid()

    def shown() -> dict[str, Counter[Rgb]]:
        return {view: tissue.pixels(view) for view in ("scatter", "tissue")}

    def all_in_colour() -> dict[str, Counter[Rgb]]:
        found = shown()
        assert all(seen[legend["left"]] > 0 < seen[legend["right"]] for seen in found.values())
        assert found == shown(), "it still moves"
        return found

    before = eventually(all_in_colour)
    tissue.watched.page.keyboard.press("l")
    corners = [(10, 10), (190, 12), (190, 290), (12, 288), (10, 20)]
    tissue.drag(*(tissue.where(*c) for c in corners))
    left = int((places[:, 0] < WIDTH / 2).sum())
    tissue.wait_selected(left)

    def dimmed() -> None:
        after = shown()
        for view in ("scatter", "tissue"):
            assert after[view][legend["right"]] == 0, "the others are dimmed"
            assert after[view][legend["left"]] == before[view][legend["left"]], "the selected ones are as they were"

    eventually(dimmed)
    page = tissue.watched.page
    rows = page.get_by_test_id("selection-row")
    told = "(rows) => rows.map((row) => [row.title, row.dataset.count])"
    wait_for(lambda: rows.evaluate_all(told) == [["left", str(left)]], "what is selected, group by group")
    page.get_by_test_id("color-select").select_option(label="column")
    tissue.watched.ready("field:column")
    mean = places[places[:, 0] < WIDTH / 2, 0].mean()
    told = page.get_by_test_id("selection-mean")
    wait_for(lambda: float(told.inner_text() or "nan") == pytest.approx(mean, rel=1e-3), f"the mean, {mean}")
    page.keyboard.press("Escape")
    tissue.wait_selected(0)
    assert tissue.watched.problems == []


def test_a_rectangle_in_the_embedding_lights_up_on_the_tissue(tissue: Tissue) -> None:
    legend, places = tissue.legend(), grid()
    tissue.watched.page.get_by_test_id("tool-rectangle").click()
    left, top, wide, high = tissue.box("scatter")
    # The upper half of this embedding is the right half of the picture.
    tissue.drag((left + 60, top + 4), (left + wide - 4, top + high / 2))
    right = int((places[:, 0] > WIDTH / 2).sum())
    middle = int((places[:, 0] == WIDTH / 2).sum())
    wait_for(lambda: int(tissue.attribute("selected")) > 0, "a selection")
    assert right - middle <= int(tissue.attribute("selected")) <= right + middle

    def lit() -> None:
        got = dict(zip(map(tuple, places), tissue.colors_at([tissue.where(*p) for p in places]), strict=True))
        for (column, row), color in got.items():
            if abs(column - WIDTH / 2) > STEP:
                assert near(color, legend["right"]) == (column > WIDTH / 2), (column, row, color)

    eventually(lit)
    wait_for(lambda: "selected" in linked(tissue.watched.page), "the selection in the link")
    assert "camera" not in linked(tissue.watched.page), "a drag with a tool moves nothing"


def test_single_cells_shift_alt_and_escape(tissue: Tissue) -> None:
    places = grid()
    mouse, keyboard = tissue.watched.page.mouse, tissue.watched.page.keyboard

    def click(i: int, key: str | None = None) -> None:
        if key:
            keyboard.down(key)
        mouse.click(*tissue.where(*places[i]))
        if key:
            keyboard.up(key)

    click(0)
    tissue.wait_selected(1)
    click(5)
    tissue.wait_selected(1)
    click(7, "Shift")
    tissue.wait_selected(2)
    click(5, "Alt")
    tissue.wait_selected(1)
    click(7)
    tissue.wait_selected(0)
    tissue.watched.page.get_by_test_id("select-shown").click()
    tissue.wait_selected(len(places))
    click(3, "Alt")
    tissue.wait_selected(len(places) - 1)
    tissue.watched.page.get_by_test_id("select-others").click()
    tissue.wait_selected(1)
    keyboard.press("Escape")
    tissue.wait_selected(0)
    # An outline that is given up changes nothing.
    click(0)
    tissue.wait_selected(1)
    keyboard.press("l")
    mouse.move(*tissue.where(10, 10))
    mouse.down()
    mouse.move(*tissue.where(300, 10), steps=5)
    mouse.move(*tissue.where(300, 250), steps=5)
    tissue.watched.page.get_by_test_id("outline").wait_for()
    keyboard.press("Escape")
    tissue.watched.page.get_by_test_id("outline").wait_for(state="detached")
    mouse.up()
    repainted(tissue.watched.page)
    tissue.wait_selected(1)
    assert tissue.watched.problems == []


def test_hidden_groups_are_hidden_on_the_tissue_and_cannot_be_selected(tissue: Tissue) -> None:
    legend = tissue.legend()
    page = tissue.watched.page
    page.get_by_test_id("legend-item").first.locator("input").uncheck()

    def hidden() -> bool:
        seen = tissue.pixels("tissue")
        return seen[legend["left"]] == 0 < seen[legend["right"]]

    wait_for(hidden, "the left ones hidden")
    page.get_by_test_id("tool-rectangle").click()
    tissue.drag(tissue.where(2, 2), tissue.where(WIDTH - 2, HEIGHT - 2))
    tissue.wait_selected(int((grid()[:, 0] >= WIDTH / 2).sum()))


def test_the_cell_under_the_pointer_is_marked_in_the_other_view(tissue: Tissue) -> None:
    page, places = tissue.watched.page, grid()
    page.mouse.move(*tissue.where(*places[11]))
    card = page.get_by_test_id("hover-card")
    card.get_by_text("SPOT-11").wait_for()
    wait_for(lambda: card.get_attribute("data-cell") == "11", "the cell under the pointer")
    ring = page.get_by_test_id("ring-embedding")
    wait_for(lambda: ring.get_attribute("data-cell") == "11", "its ring")
    found = ring.bounding_box()
    assert found
    # Where the ring is, the embedding has this very cell.
    page.mouse.move(found["x"] + found["width"] / 2, found["y"] + found["height"] / 2)
    page.get_by_test_id("ring-tissue").wait_for()
    wait_for(lambda: card.get_attribute("data-cell") == "11", "the cell under the pointer")
    x, y = tissue.where(*places[11])

    def around_it() -> None:
        back = page.get_by_test_id("ring-tissue").bounding_box()
        assert back
        assert back["x"] + back["width"] / 2 == pytest.approx(x, abs=1.5)
        assert back["y"] + back["height"] / 2 == pytest.approx(y, abs=1.5)

    eventually(around_it)

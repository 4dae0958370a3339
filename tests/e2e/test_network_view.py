"""Neural systems as networks in 3D, in real Chromium: what is drawn, picked, counted and linked."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import (
    ROOT,
    Open,
    Running,
    Start,
    Watched,
    fetch,
    href,
    repainted,
    still,
    wait_for,
)
from conftest import linked as query
from PIL import Image
from playwright.sync_api import Page, expect

from coverslip.testing.networks import culture, hippocampus, write_system

BLUE, ORANGE = (0, 114, 178), (230, 159, 0)
"""The first two colours of categories."""
DRAWN = """([color, edges]) => {
    const n = document.querySelector('[data-testid=network]')?.dataset;
    return n?.state === 'ready' && Number(n.neurons) > 0 && n.painted === n.neurons && n.color === color
        && (edges === null || Math.abs(Number(n.edges) - edges) <= edges * 0.02)
        && document.querySelector('[data-testid=progress]').textContent === '';
}"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("networks") / "lab"
    folder.mkdir()
    write_system(folder / "dish", culture(600, 20))
    write_system(folder / "hippo", hippocampus(1000, 20))
    bare = write_system(folder / "bare", culture(60, 5))
    (bare / "mea.json").unlink()
    (bare / "graph.json").unlink()
    return folder


@pytest.fixture(scope="module")
def server(start: Start, lab: Path) -> Running:
    running = start(lab)
    wait_for(lambda: len(networks(running)) == 3, "three networks in the list")
    return running


def networks(server: Running) -> dict[str, str]:
    """Ids by name."""
    sources = json.loads(fetch(f"{server.url}api/sources"))
    return {s["name"]: s["source_id"] for s in sources if s["kind"] == "network" and s["status"] == "ready"}


def about(server: Running, name: str, rest: str = "") -> Any:
    return json.loads(fetch(f"{server.url}api/networks/{networks(server)[name]}{rest}"))


def opened(server: Running, look: Open, name: str, query: str = "", color: str = "population", **size: Any) -> Watched:
    """A network's page, everything on it drawn."""
    watched = look(f"{server.url}?network={networks(server)[name]}{query}", **size)
    drawn(watched, color)
    return watched


def drawn(watched: Watched, color: str = "population", edges: int | None = None) -> None:
    watched.page.wait_for_function(DRAWN, arg=[color, edges])
    repainted(watched.page)


def told(page: Page, name: str) -> str:
    return page.get_by_test_id("network").get_attribute(f"data-{name}") or ""


def tells(page: Page, name: str, value: str) -> None:
    wait_for(lambda: told(page, name) == value, f"{name}={value}, not {told(page, name)}")


def pixels(page: Page) -> np.ndarray[Any, Any]:
    """What is on the screen, once nothing on it moves."""
    shot = still(page, page.locator("[data-testid=network] canvas").screenshot)
    return np.asarray(Image.open(io.BytesIO(shot)).convert("RGB")).astype(int)


def changes(page: Page, before: np.ndarray[Any, Any], most: int, by: int) -> None:
    """Wait until more pixels than ``most`` are others than before."""
    wait_for(lambda: int((np.abs(pixels(page) - before).max(axis=-1) > by).sum()) > most, f"{most} other pixels")


def like(found: np.ndarray[Any, Any], color: tuple[int, int, int]) -> int:
    """How many pixels have very nearly this colour."""
    return int((np.abs(found - np.array(color)).max(axis=-1) < 12).sum())


def colourful(found: np.ndarray[Any, Any]) -> int:
    return int((found.max(axis=-1) - found.min(axis=-1) > 40).sum())


def test_a_network_opens_from_the_home_page_by_population(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?page=home")
    page = watched.page
    page.locator("[data-testid=source][data-id^=dish] .open").click()
    drawn(watched, edges=2000)
    found = about(server, "dish")
    assert told(page, "neurons") == str(found["neurons"])
    rows = page.get_by_test_id("legend-item")
    wanted = [["EXC", "480"], ["INH", "120"]]
    wait_for(lambda: [row.split()[:2] for row in rows.all_inner_texts()] == wanted, f"{wanted} in the legend")

    def coloured() -> bool:
        picture = pixels(page)
        return like(picture, BLUE) > 1000 and like(picture, ORANGE) > 200

    wait_for(coloured, "both populations")
    wait_for(lambda: "600 neurons" in page.locator(".cell-count").inner_text(), "their number")
    told_edges = page.get_by_test_id("edges-told")
    wait_for(lambda: f"of {found['edges']:,} drawn" in told_edges.inner_text(), f"edges, not {told_edges.inner_text()}")
    assert watched.problems == []


def test_a_hidden_population_is_not_drawn(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish", "&edges=0")
    page = watched.page
    wait_for(lambda: like(pixels(page), ORANGE) > 100, "both populations")
    page.get_by_test_id("legend-item").nth(1).locator("input").uncheck()
    wait_for(lambda: like(pixels(page), ORANGE) == 0, "no orange")
    assert like(pixels(page), BLUE) > 500
    wait_for(lambda: query(page).get("hidden") == "1", "the link")
    page.reload()
    page.locator("[data-testid=network][data-state=ready]").wait_for()
    row = page.get_by_test_id("legend-item").nth(1).locator("input")
    row.wait_for()
    wait_for(lambda: not row.is_checked(), "the hidden one in the legend")
    wait_for(lambda: like(pixels(page), BLUE) > 500, "the others")
    wait_for(lambda: like(pixels(page), ORANGE) == 0, "no orange")


def test_numbers_colour_the_neurons(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish", "&edges=0")
    page = watched.page
    before = pixels(page)
    page.get_by_test_id("color-select").select_option("in-degree")
    drawn(watched, "in-degree")
    kind = page.get_by_test_id("legend")
    wait_for(lambda: kind.get_attribute("data-kind") == "continuous", "a legend of numbers")
    page.get_by_test_id("histogram").wait_for()
    changes(page, before, 1000, 30)
    wait_for(lambda: query(page).get("color") == "in-degree", "the colour in the link")
    again = look(href(page))
    drawn(again, "in-degree")
    assert watched.problems + again.problems == []


def test_connections_are_drawn_as_many_as_asked(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish")
    page = watched.page
    drawn(watched, edges=2000)
    some = colourful(pixels(page))
    page.get_by_test_id("edges-select").select_option("0")
    wait_for(lambda: told(page, "edges") == "0", "none")
    wait_for(lambda: colourful(pixels(page)) < some, "fewer lines")
    page.get_by_test_id("edges-select").select_option("20000")
    wait_for(lambda: int(told(page, "edges")) > 15_000, "about 20,000")  # near to all there are, the share is coarse
    wait_for(lambda: colourful(pixels(page)) > some, "more lines")
    wait_for(lambda: query(page).get("edges") == "20000", "the link")


def test_a_neuron_tells_its_inputs_and_outputs(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish")
    page = watched.page
    page.get_by_test_id("gid-input").fill("500")
    page.keyboard.press("Enter")
    card = page.get_by_test_id("neuron")
    card.get_by_test_id("inputs").wait_for()
    degrees = table(fetch(f"{server.url}api/networks/{networks(server)['dish']}/degrees"))
    tells(page, "inputs", str(degrees["in"][500]))
    tells(page, "outputs", str(degrees["out"][500]))

    def lines() -> int:
        seen = pixels(page)
        return like(seen, (213, 94, 0)) if like(seen, (0, 114, 178)) > 50 else 0

    wait_for(lambda: lines() > 50, "lines of inputs and of outputs")
    plain = pixels(page)
    page.get_by_test_id("weight-select").select_option("Connections/distance")
    wait_for(lambda: query(page).get("weight") == "Connections/distance", "the attribute in the link")
    wait_for(lambda: like(pixels(page), (213, 94, 0)) < like(plain, (213, 94, 0)), "lines by distance")
    card.get_by_test_id("inputs").locator("summary").click()
    rows = card.get_by_test_id("inputs").locator("tbody tr")
    wait_for(lambda: rows.count() == min(100, int(degrees["in"][500])), "a row for each")
    other = rows.first.locator("button").inner_text()
    rows.first.locator("button").click()
    tells(page, "picked", other)
    wait_for(lambda: query(page).get("gid") == other, "the neuron in the link")
    again = look(href(page))
    drawn(again)
    tells(again.page, "picked", other)
    page.keyboard.press("Escape")
    tells(page, "picked", "")
    assert watched.problems + again.problems == []


def table(body: bytes) -> dict[str, np.ndarray[Any, Any]]:
    """The columns of a table of ours."""
    start = 8 + int.from_bytes(body[4:8], "little")
    head = json.loads(body[8:start])
    return {
        c["name"]: np.frombuffer(body, c["dtype"], int(np.prod(c["shape"])), start + c["offset"])
        for c in head["columns"]
    }


def test_a_click_picks_the_neuron_under_the_pointer(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish", "&edges=0&without=electrodes,box,layers")
    page = watched.page
    box = page.locator("[data-testid=network] canvas").bounding_box()
    assert box is not None
    found = pixels(page)
    rows, columns = np.nonzero(np.abs(found - np.array(BLUE)).max(axis=-1) < 12)
    middle = int(np.argmin(np.abs(rows - box["height"] / 2) + np.abs(columns - box["width"] / 2)))
    x, y = box["x"] + int(columns[middle]), box["y"] + int(rows[middle])
    page.mouse.move(x, y)
    card = page.get_by_test_id("hover-card")
    card.wait_for()
    wait_for(lambda: card.inner_text() == f"EXC {card.get_attribute('data-gid')}", "the neuron's name")
    gid = card.get_attribute("data-gid")
    page.mouse.click(x, y)
    tells(page, "picked", str(gid))
    page.mouse.click(box["x"] + 5, box["y"] + 5)
    tells(page, "picked", "")


def test_it_turns_and_zooms_by_keyboard_and_mouse(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish")
    page = watched.page
    drawn(watched, edges=2000)
    before = pixels(page)
    bar = page.get_by_test_id("scale-bar").get_attribute("data-um")
    page.locator("[data-testid=network] .canvas-host").focus()
    page.keyboard.press("ArrowLeft")
    for _ in range(4):
        page.keyboard.press("+")
    wait_for(lambda: "camera" in query(page), "the camera in the link")
    changes(page, before, 5000, 30)
    scale = page.get_by_test_id("scale-bar")
    wait_for(lambda: float(scale.get_attribute("data-um") or bar or 0) < float(bar or 0), "a smaller scale bar")

    def numbers(text: str) -> list[float]:
        return [round(float(v), 2) for v in text.split(",") if v]

    zoomed = told(page, "camera")
    wait_for(lambda: numbers(query(page)["camera"]) == numbers(zoomed), f"{zoomed} in the link, not {href(page)}")
    again = look(href(page))
    drawn(again)
    wait_for(lambda: numbers(told(again.page, "camera")) == numbers(zoomed), "the same camera")
    page.keyboard.press("r")
    tells(page, "camera", "")
    page.mouse.move(600, 400)
    page.mouse.down()
    page.mouse.move(700, 440, steps=4)
    page.mouse.up()
    wait_for(lambda: told(page, "camera") != "", "a turned camera")


def test_figures_tell_what_the_server_counted(server: Running, look: Open) -> None:
    watched = opened(server, look, "hippo")
    page = watched.page
    for name in ("degrees", "distances", "matrix", "binned"):
        chart = page.get_by_test_id(f"chart-{name}")
        chart.locator("> summary").click()
        page.wait_for_function(
            "(id) => document.querySelector(`[data-testid=${id}]`).dataset.state === 'ready'", arg=f"chart-{name}"
        )
    matrix = about(server, "hippo", "/matrix")
    cells = page.locator("[data-testid=chart-matrix] tbody td")
    counts = [f"{n:,}" for row in matrix["connections"] for n in row]
    wait_for(lambda: [c.split()[0] for c in cells.all_inner_texts()] == counts, f"{counts} in the matrix")
    distances = about(server, "hippo", "/distances?bins=30")
    curves = page.locator("[data-testid=chart-distances] polyline")
    wait_for(lambda: curves.count() == len(distances["projections"]), "a curve for each")
    degrees = page.get_by_test_id("chart-degrees")
    degrees.locator(".as-table summary").first.click()
    rows = degrees.locator(".as-table").first.locator("tbody tr").all_inner_texts()
    counted = sum(int(n.replace(",", "")) for row in rows for n in row.split()[1:])
    histogram = about(server, "hippo", "/degrees/histogram?bins=40")
    assert counted == sum(sum(c) for c in histogram["in"]["counts"].values())
    binned = "(c) => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    wait_for(lambda: page.locator("canvas.binned").evaluate(binned) > 8, "the binned matrix")
    assert watched.problems == []


def test_electrodes_box_and_layers_can_be_left_out(server: Running, look: Open) -> None:
    watched = opened(server, look, "hippo", "&edges=0")
    page = watched.page
    for name in ("electrodes", "box", "layers"):
        before = pixels(page)
        page.get_by_test_id(f"show-{name}").uncheck()
        changes(page, before, 100, 20)
    wait_for(lambda: query(page).get("without") == "electrodes,box,layers", "the link")
    bare = opened(server, look, "bare")
    assert bare.page.get_by_test_id("show-electrodes").count() == 0
    assert bare.page.get_by_test_id("show-layers").count() == 0
    assert bare.problems == []


def test_names_outside_of_alphabetical_order_keep_their_neurons(server: Running, look: Open) -> None:
    watched = opened(server, look, "hippo")
    page = watched.page
    for population in about(server, "hippo")["populations"]:
        page.get_by_test_id("gid-input").fill(str(population["start"]))
        page.get_by_test_id("gid-find").click()
        tells(page, "picked", str(population["start"]))
        heading = page.get_by_test_id("neuron").locator("h2")
        expect(heading).to_have_text(f"{population['name']} {population['start']}")


def test_a_gid_that_is_not_there_says_so(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish")
    watched.page.get_by_test_id("gid-input").fill("99999")
    watched.page.get_by_test_id("gid-find").click()
    expect(watched.page.get_by_test_id("notice")).to_contain_text("no neuron 99999")


def test_what_is_no_network_says_so(server: Running, look: Open) -> None:
    watched = look(f"{server.url}?network=nothing")
    error = watched.page.get_by_test_id("error")
    error.wait_for()
    assert error.get_attribute("data-code") in ("source_not_found", "not_found")


def test_a_failing_figure_leaves_the_rest(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish")
    page = watched.page
    page.route("**/distances*", lambda route: route.abort())
    chart = page.get_by_test_id("chart-distances")
    chart.locator("> summary").click()
    chart.get_by_role("alert").wait_for()
    page.unroute("**/distances*")
    chart.locator("> summary").click()
    chart.locator("> summary").click()
    chart.locator("polyline").first.wait_for()
    assert told(page, "state") == "ready"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_fits_a_phone(server: Running, look: Open, theme: str) -> None:
    watched = opened(server, look, "dish", width=390, height=844, theme=theme)
    page = watched.page
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    wait_for(lambda: colourful(pixels(page)) > 1000, "the neurons")
    corner = pixels(page)[4, 4]
    assert (corner.max() < 60) if theme == "dark" else (corner.min() > 230)
    page.get_by_test_id("legend-open").click()
    page.get_by_test_id("legend-item").first.wait_for()
    page.get_by_test_id("chart-matrix").scroll_into_view_if_needed()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_it_is_accessible(server: Running, look: Open, theme: str) -> None:
    watched = opened(server, look, "dish", "&gid=3", theme=theme)
    page = watched.page
    for name in ("degrees", "distances", "matrix", "binned"):
        page.get_by_test_id(f"chart-{name}").locator("> summary").click()
    page.locator("canvas.binned").wait_for()
    name = page.locator("[data-testid=network] .canvas-host").get_attribute("aria-label") or ""
    assert name.startswith("Network of 600 neurons in 3D: 480 EXC, 120 INH; coloured by population;")
    page.evaluate((ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(v["id"], [n["html"][:200] for n in v["nodes"]]) for v in found] == []


def test_leaving_it_for_cells_leaves_nothing_behind(server: Running, look: Open) -> None:
    watched = opened(server, look, "dish", "&color=in-degree", color="in-degree")
    page = watched.page
    page.get_by_test_id("home-link").click()
    page.locator("[data-testid=source][data-id^=hippo] .open").click()
    drawn(watched)
    assert told(page, "neurons") == str(about(server, "hippo")["neurons"])
    wait_for(lambda: "network" in query(page) and "color" not in query(page), "a link of its own")
    page.go_back()
    page.get_by_test_id("listing").wait_for()
    assert watched.problems == []

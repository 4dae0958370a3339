"""The viewer in a real JupyterLab: directly, and through jupyter-server-proxy where only Jupyter can be reached."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from conftest import PATIENCE_S, Open, Watched, fetch, run, wait_for
from playwright.sync_api import Frame, expect
from surroundings import environment, free_port

TOKEN = "jupyter-jupyter-jupyter"
JUPYTER = ("jupyterlab==4.6.6", "jupyter-server-proxy==4.6.0", "anywidget==0.11.0", "anndata==0.12.19")
SHOW = """import anndata, coverslip, json
adata = anndata.read_h5ad({cells!r})
view = coverslip.show(adata, height=560, dataset_name="Blood")
view.on_selection(lambda cells: open("heard.json", "w").write(json.dumps(cells.tolist())))
view"""
ASK = """view.wait_for_ready(60)
view.color_by("bulk_labels")
view.highlight(adata.obs["bulk_labels"] == "Dendritic", color="#ff00aa", name="Dendritic")
view.select([3, 5, 699])
print("asked of", view.state["n_cells"])"""
TELL = """json.dump(adata[view.selection].obs_names.tolist(), open("names.json", "w"))
view.apply_session(adata, selection="chosen", column_conflict="overwrite")
adata.obs[["cellucid_highlight__Dendritic", "chosen"]].to_json("obs.json")
print("told")"""
FRAMES = "() => document.querySelectorAll('iframe[data-coverslip=view]').length"


@dataclass
class Lab:
    """A running JupyterLab."""

    folder: Path
    port: int

    def url(self, host: str, notebook: str) -> str:
        return f"http://{host}:{self.port}/base/lab/workspaces/w{host[0]}/tree/{notebook}?reset&token={TOKEN}"

    def end_kernels(self) -> None:
        kernels = f"http://127.0.0.1:{self.port}/base/api/kernels"
        for kernel in json.loads(fetch(f"{kernels}?token={TOKEN}")):
            asked = urllib.request.Request(f"{kernels}/{kernel['id']}?token={TOKEN}", method="DELETE")
            urllib.request.urlopen(asked, timeout=PATIENCE_S).close()


def notebook(folder: Path, name: str, *cells: str) -> None:
    """A notebook file with these cells."""
    made = [
        {"cell_type": "code", "id": f"cell{i}", "metadata": {}, "source": text, "outputs": [], "execution_count": None}
        for i, text in enumerate(cells)
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    (folder / name).write_text(json.dumps({"cells": made, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5}))


@pytest.fixture(scope="module")
def lab(wheel: Path, pbmc: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    python = environment(*JUPYTER)
    run(python, "-m", "pip", "install", "--quiet", wheel)  # what it needs
    run(python, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", wheel)
    folder, port = tmp_path_factory.mktemp("lab"), free_port()
    for name in ("direct.ipynb", "proxied.ipynb"):
        notebook(folder, name, SHOW.format(cells=str(pbmc)), ASK, TELL)
    own = {name: str(folder / "own") for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    flags = (
        f"--ServerApp.port={port}", "--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", "--no-browser",
        f"--ServerApp.root_dir={folder}", "--ServerApp.base_url=/base/", "--ServerApp.allow_remote_access=True",
        "--allow-root", "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None",
    )  # fmt: skip
    log = (folder / "jupyter.log").open("w")
    process = subprocess.Popen(
        [python, "-m", "jupyterlab", *flags], stdout=log, stderr=log, cwd=folder, env={**os.environ, **own},
        start_new_session=True,
    )  # fmt: skip
    try:
        wait_for(lambda: answers(f"http://127.0.0.1:{port}/base/api/status?token={TOKEN}"), "JupyterLab")
        yield Lab(folder, port)
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(PATIENCE_S)
        log.close()


def answers(url: str) -> bool:
    try:
        return bool(fetch(url))
    except (urllib.error.URLError, ConnectionError):
        return False


def run_cell(seen: Watched, number: int) -> None:
    """Run one cell of the notebook, and wait until its kernel has done so."""
    done = f"""async () => {{
        const app = window.jupyterapp;
        const panel = app.shell.currentWidget;
        await panel.context.ready;
        await panel.sessionContext.ready;
        panel.content.activeCellIndex = {number};
        await app.commands.execute('notebook:run-cell');
        const model = panel.content.widgets[{number}].model;
        return JSON.stringify(model.outputs.toJSON());
    }}"""
    told: list[dict[str, Any]] = json.loads(seen.page.evaluate(done))
    assert not [one for one in told if one["output_type"] == "error"], told


def run_all(seen: Watched) -> None:
    """Run all cells at one go, and wait until the kernel has done so."""
    done = """async () => {
        const app = window.jupyterapp;
        const panel = app.shell.currentWidget;
        await panel.context.ready;
        await panel.sessionContext.ready;
        await app.commands.execute('notebook:run-all-cells');
        return JSON.stringify(panel.content.widgets.flatMap((cell) => cell.model.outputs.toJSON()));
    }"""
    told: list[dict[str, Any]] = json.loads(seen.page.evaluate(done))
    assert not [one for one in told if one["output_type"] == "error"], told


def port_of(url: str) -> int:
    """The port of the server in the kernel."""
    parts = urllib.parse.urlsplit(url)
    proxied = re.search(r"/proxy/(\d+)/", parts.path)
    return int(proxied[1]) if proxied else parts.port or 80


def listens(port: int) -> bool:
    """Whether somebody serves there."""
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def heard(lab: Lab) -> list[int]:
    """What Python was told last."""
    try:
        found: list[int] = json.loads((lab.folder / "heard.json").read_text())
    except (FileNotFoundError, json.JSONDecodeError):  # it is being written
        return []
    return found


def viewer_of(seen: Watched) -> Frame:
    """The viewer's own page."""
    handle = seen.page.wait_for_selector("iframe[data-coverslip=view]")
    assert handle is not None
    frame = handle.content_frame()
    assert frame is not None
    frame.wait_for_url(re.compile("^http"), wait_until="commit")  # it is there before it is sent anywhere
    return frame


@pytest.mark.parametrize(("host", "name"), [("127.0.0.1", "direct"), ("hub.localhost", "proxied")])
def test_a_person_and_python_see_the_same(host: str, name: str, lab: Lab, look: Open, tmp_path: Path) -> None:
    for old in lab.folder.glob("*.json"):
        old.unlink()
    seen = look(lab.url(host, f"{name}.ipynb"), width=1280, height=800)
    seen.page.wait_for_selector(".jp-Notebook .jp-Cell")
    if name == "proxied":  # "Run all": the kernel is busy from the first cell on, and cannot be asked
        run_all(seen)
    else:
        run_cell(seen, 0)
    frame = viewer_of(seen)
    url = frame.url
    assert ("/proxy/" in frame.url) is (name == "proxied")
    scatter = frame.get_by_test_id("scatter")
    expect(scatter).to_have_attribute("data-cells", "700")
    assert "token" not in frame.url

    run_cell(seen, 1)
    expect(scatter).to_have_attribute("data-color", "field:bulk_labels")
    expect(scatter).to_have_attribute("data-selected", "3")
    expect(frame.get_by_text("Dendritic").first).to_be_visible()
    wait_for(lambda: heard(lab) == [3, 5, 699], "the selection")
    seen.page.screenshot(path=str(tmp_path / f"{name}.png"))

    frame.get_by_test_id("tool-rectangle").click()
    box = scatter.bounding_box()
    assert box is not None
    seen.page.mouse.move(box["x"] + 60, box["y"] + 60)
    seen.page.mouse.down()
    seen.page.mouse.move(box["x"] + box["width"] - 60, box["y"] + box["height"] - 60, steps=5)
    seen.page.mouse.up()
    wait_for(lambda: int(scatter.get_attribute("data-selected") or 0) > 50, "a selection")
    chosen = int(scatter.get_attribute("data-selected") or 0)
    wait_for(lambda: len(heard(lab)) == chosen, "the new selection")

    run_cell(seen, 2)
    names = json.loads((lab.folder / "names.json").read_text())
    obs = json.loads((lab.folder / "obs.json").read_text())
    assert len(names) == chosen
    assert [cell for cell, inside in obs["chosen"].items() if inside] == names
    assert sum(obs["cellucid_highlight__Dendritic"].values()) == 240

    if name == "direct":  # as through a tunnel that leads to Jupyter only
        seen.page.route(re.compile(r"127\.0\.0\.1:\d+/api/instance"), lambda route: route.abort())
    run_cell(seen, 0)  # once more: one frame, one server
    again = viewer_of(seen)
    assert "/proxy/" in again.url
    expect(again.get_by_test_id("scatter")).to_have_attribute("data-cells", "700")
    assert seen.page.evaluate(FRAMES) == 1
    first, second = (port_of(one) for one in (url, again.url))
    wait_for(lambda: not listens(first), "the end of the cell's earlier server")
    assert listens(second)
    seen.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
    wait_for(lambda: "coverslip" in (lab.folder / f"{name}.ipynb").read_text(), "the notebook on disk")
    saved = (lab.folder / f"{name}.ipynb").read_text()
    assert "run the cell again" in saved
    assert "api/instance" not in saved
    assert "token" not in saved.replace(TOKEN, "")
    if name == "direct":
        seen.page.route(re.compile("/api/instance"), lambda route: route.abort())
        run_cell(seen, 0)
        words = seen.page.locator("[data-coverslip=words]")
        expect(words).to_contain_text("Install jupyter-server-proxy")
    lab.end_kernels()
    wait_for(lambda: not listens(second), "the end of the server with its kernel")

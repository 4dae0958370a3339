"""What cellucid documents of its server, line by line of its list of acceptance checks, through the Python API.

The command's side of the same lines is in ``tests/cli`` and ``tests/e2e``.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
import warnings
import zipfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest

import coverslip
import make
from coverslip.cell_servers import AnnDataServer, CellucidServer, UnknownOption
from coverslip.core.errors import CannotListen, CoverslipError, Damaged, NotFound
from coverslip.server import Server
from refused import refused_with

EXPORTS = Path(__file__).parent / "formats" / "exports"
REQUIRED = inspect.Parameter.empty
COMMON = {"port": 8765, "host": "127.0.0.1"}
DOCUMENTED: dict[str, dict[str, Any]] = {
    "serve": {"data_dir": REQUIRED, **COMMON, "open_browser": True, "quiet": False},
    "serve_anndata": {"data": REQUIRED, **COMMON, "open_browser": True, "quiet": False, "kwargs": "**"},
    "CellucidServer": {"data_dir": REQUIRED, **COMMON, "open_browser": False, "quiet": False},
    "AnnDataServer": {"data": REQUIRED, **COMMON, "open_browser": False, "quiet": False, "adapter_kwargs": "**"},
}
METHODS = {"start": {"blocking": True}, "start_background": {}, "stop": {}, "is_running": {}, "wait": {}}


def get(url: str, **headers: str) -> bytes:
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=20) as response:
        return bytes(response.read())


def datasets(server: CellucidServer | AnnDataServer, **headers: str) -> list[dict[str, Any]]:
    found = json.loads(get(f"{server.url}/_cellucid/datasets", **headers))["datasets"]
    return list(found)


def patiently(server: CellucidServer, count: int) -> list[dict[str, Any]]:
    """The data sets of a folder, once that many were found and one of them turned out to be incomplete."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        found = datasets(server)
        if len(found) >= count and any(one["status"] != "ok" for one in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"only {found}")


def export(folder: Path, name: str = "demo", packed: str = "cellucid-0.0.9-8") -> Path:
    with zipfile.ZipFile(EXPORTS / f"{packed}.zip") as file:
        for member in file.infolist():
            if member.filename.startswith("demo/"):
                file.extract(member, folder)
    return (folder / "demo").rename(folder / name)


@pytest.fixture
def h5ad(tmp_path: Path) -> Path:
    make.adata().write_h5ad(tmp_path / "cells.h5ad")
    return tmp_path / "cells.h5ad"


def write_zarr(path: Path, version: int) -> None:
    with warnings.catch_warnings(action="ignore"):  # of both versions, and of choosing one, anndata says something
        before, anndata.settings.zarr_write_format = anndata.settings.zarr_write_format, version
        try:
            make.adata().write_zarr(path)
        finally:
            anndata.settings.zarr_write_format = before


def documented(callable_: Any) -> dict[str, Any]:
    """Positional parameters and their defaults, and the last ``**``."""
    found = {}
    for name, parameter in inspect.signature(callable_).parameters.items():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            found[name] = "**"
        elif parameter.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD:
            found[name] = parameter.default
    return found


# 1 -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["export", "h5ad", "v2.zarr", "v3.zarr", "v2", "v3"])
def test_line_1_exports_h5ad_and_zarr_are_served_with_no_other_word(what: str, tmp_path: Path) -> None:
    path = tmp_path / what
    if what == "export":
        path = export(tmp_path)
    elif what == "h5ad":
        path = tmp_path / "cells.h5ad"
        make.adata().write_h5ad(path)
    else:
        write_zarr(path, 3 if "v3" in what else 2)
    with CellucidServer(str(path), port=0, quiet=True) as server:
        [one] = datasets(server)
        assert (one["path"], one["status"]) == ("/", "ok")
        assert json.loads(get(f"{server.url}/dataset_identity.json"))["stats"]["n_cells"] > 0
        assert get(f"{server.url}/points_2d.bin")


# 2 -----------------------------------------------------------------------------------------------------------------


def test_line_2_the_printed_address_opens_the_data(h5ad: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for host in ("127.0.0.1", "0.0.0.0", "::1") if socket.has_ipv6 else ("127.0.0.1", "0.0.0.0"):
        with AnnDataServer(h5ad, port=0, host=host) as server:
            printed = re.search(r"http://\S+", capsys.readouterr().out)
            assert printed is not None
            assert printed[0] == server.viewer_url
            assert ":0/" not in printed[0]
            page, _, token = printed[0].partition("#token=")
            assert get(page).startswith(b"<!doctype")
            assert datasets(server, **({"Authorization": f"Bearer {token}"} if token else {}))[0]["status"] == "ok"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = AnnDataServer(h5ad, port=taken.getsockname()[1], quiet=True)
        for start in (server.start_background, server.start, lambda: server.start(blocking=False)):
            with pytest.raises(CannotListen, match=str(taken.getsockname()[1])):
                start()
        assert not server.is_running()
    server.start_background()  # the port is free now
    server.stop()


# 3 -----------------------------------------------------------------------------------------------------------------


def test_line_3_started_again_at_once_on_the_same_port(h5ad: Path) -> None:
    with AnnDataServer(h5ad, port=0, quiet=True) as first:
        port = int(first.url.rpartition(":")[2])
        datasets(first)
    server = AnnDataServer(h5ad, port=port, quiet=True)
    for _ in range(2):
        server.start_background()
        assert server.url == f"http://127.0.0.1:{port}"
        assert len(datasets(server)) == 1
        server.stop()


# 4 -----------------------------------------------------------------------------------------------------------------


def test_line_4_the_page_needs_nothing_from_elsewhere(h5ad: Path) -> None:
    with AnnDataServer(h5ad, port=0, quiet=True) as server:
        page = get(server.viewer_url).decode()
        for part in re.findall(r'(?:src|href)="([^"]+)"', page):
            assert not re.match(r"[a-z]+:|//", part), part
            assert get(f"{server.url}/{part.removeprefix('./')}")
        with urllib.request.urlopen(server.viewer_url, timeout=20) as page:
            policy = page.headers["Content-Security-Policy"]
        assert "default-src 'self'" in policy


# 5 -----------------------------------------------------------------------------------------------------------------


def test_line_5_a_folder_of_several_lists_all_and_what_is_missing(tmp_path: Path) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    for name in ("one", "two", "half"):
        export(folder, name)
    next((folder / "half" / "obs").iterdir()).unlink()
    with CellucidServer(folder, port=0, quiet=True) as server:
        found = patiently(server, 3)
        assert len({one["id"] for one in found}) == 3
        assert [one["id"] for one in found] == [one["id"] for one in datasets(server)]
        half = next(one for one in found if one["status"] != "ok")
        assert half["status"] == "incomplete"
        assert half["missing"][0].startswith("obs/")
        for one in found:
            assert json.loads(get(f"{server.url}{one['path']}dataset_identity.json"))["stats"]["n_cells"] > 0


# 6 -----------------------------------------------------------------------------------------------------------------


def test_line_6_head_is_answered(h5ad: Path, tmp_path: Path) -> None:
    for data in (h5ad, export(tmp_path), make.adata()):
        with AnnDataServer(data, port=0, quiet=True) as server:
            for path in ("_cellucid/health", "_cellucid/info", "_cellucid/datasets", "dataset_identity.json"):
                asked = urllib.request.Request(f"{server.url}/{path}", method="HEAD")
                with urllib.request.urlopen(asked, timeout=20) as response:
                    assert response.status == 200
                    assert int(response.headers["Content-Length"]) > 0
                    assert response.read() == b""


# 7 -----------------------------------------------------------------------------------------------------------------


def test_line_7_a_wrong_path_names_the_whole_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for call in (CellucidServer, AnnDataServer, coverslip.serve, coverslip.serve_anndata):
        with pytest.raises(FileNotFoundError, match=re.escape(f"Data directory not found: {tmp_path / 'nowhere'}")):
            call("nowhere")
        with pytest.raises(NotFound):
            call(Path("nowhere"))
    (tmp_path / "bad.h5ad").write_bytes(b"not HDF5 at all")
    for call in (coverslip.serve, coverslip.serve_anndata, lambda path: CellucidServer(path).start()):
        with pytest.raises(CoverslipError) as told:
            call("bad.h5ad")
        assert "\n" not in str(told.value)
    (tmp_path / "cut.npy").write_bytes(b"\x93NUMPY")
    server = AnnDataServer("cut.npy", port=0, quiet=True)
    for _ in range(2):  # as often as it is tried
        with pytest.raises(Damaged):
            server.start_background()
        assert not server.is_running()


# 10 ----------------------------------------------------------------------------------------------------------------


def test_line_10_no_other_name_no_other_page_and_nothing_outside_the_folder(tmp_path: Path) -> None:
    folder = export(tmp_path, "demo")
    (tmp_path / "secret.txt").write_text("sesame")
    (folder / ".hidden").write_text("sesame")
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    with CellucidServer(folder, port=0, quiet=True) as server:
        with refused_with(421):
            get(f"{server.url}/_cellucid/health", Host="evil.example.com")
        with refused_with(403) as foreign:
            get(f"{server.url}/_cellucid/health", Origin="https://evil.example.com")
        assert foreign.headers["Access-Control-Allow-Origin"] is None
        for path in ("../secret.txt", "..%2fsecret.txt", "%2e%2e/secret.txt", ".hidden", "link.txt", "obs/", "obs"):
            with refused_with(404):
                get(f"{server.url}/{path}")


# 11 ----------------------------------------------------------------------------------------------------------------


def test_line_11_where_others_can_reach_there_is_a_token_and_a_word(
    h5ad: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with CellucidServer(h5ad, port=0, host="0.0.0.0") as server:
        assert "can read the data" in capsys.readouterr().out
        with refused_with(401):
            datasets(server)
        token = server.viewer_url.partition("#token=")[2]
        assert len(datasets(server, Authorization=f"Bearer {token}")) == 1
        assert "token" not in server.url


# 12 ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", DOCUMENTED)
def test_line_12_parameters_and_defaults_are_those_documented(name: str) -> None:
    assert documented(getattr(coverslip, name)) == DOCUMENTED[name]
    added = set(inspect.signature(getattr(coverslip, name)).parameters) - set(DOCUMENTED[name])
    assert added == ({"block"} if name == "serve_anndata" else set())


@pytest.mark.parametrize("kind", [CellucidServer, AnnDataServer])
def test_line_12_methods_and_properties(kind: Any) -> None:
    for name, parameters in METHODS.items():
        given = documented(getattr(kind, name))
        assert given.pop("self") is REQUIRED
        assert given == parameters
    assert isinstance(inspect.getattr_static(kind, "url"), property)
    assert isinstance(inspect.getattr_static(kind, "viewer_url"), property)


def test_line_12_from_start_to_stop(h5ad: Path) -> None:
    server = AnnDataServer(h5ad, port=0, quiet=True)
    server.stop()  # nothing to stop
    server.start(blocking=False)
    assert server.is_running()
    assert server.viewer_url == f"{server.url}/"
    waiting = threading.Thread(target=server.wait)
    waiting.start()
    server.stop()
    waiting.join(20)
    assert not waiting.is_alive()
    assert not server.is_running()
    server.wait()


def stop_once_it_runs(server: AnnDataServer) -> None:
    end = time.monotonic() + 60
    while time.monotonic() < end:
        with suppress(OSError):
            datasets(server)
            break
        time.sleep(0.01)
    server.stop()


def test_line_12_a_blocking_start_ends_when_another_thread_stops_it(h5ad: Path) -> None:
    server = AnnDataServer(h5ad, port=0, quiet=True)
    serving = threading.Thread(target=server.start)
    serving.start()
    stop_once_it_runs(server)
    serving.join(20)
    assert not serving.is_alive()
    with pytest.raises(urllib.error.URLError):
        datasets(server)


def test_line_12_serve_anndata_returns_the_server(h5ad: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    running = coverslip.serve_anndata(h5ad, 0, "127.0.0.1", False, True, block=False, dataset_name="Blood")
    assert running.is_running()
    assert [one["name"] for one in datasets(running)] == ["Blood"]
    running.stop()
    monkeypatch.setattr(Server, "run", lambda self: (_ for _ in ()).throw(KeyboardInterrupt))
    stopped = coverslip.serve_anndata(h5ad, 0, open_browser=False, quiet=True)
    assert not stopped.is_running()
    assert coverslip.serve(h5ad, 0, open_browser=False, quiet=True) is None


def test_line_12_a_thread_with_an_event_loop_can_block_too(h5ad: Path) -> None:
    server = AnnDataServer(h5ad, port=0, quiet=True)

    async def cell() -> None:  # how a notebook runs one
        threading.Thread(target=stop_once_it_runs, args=(server,)).start()
        server.start()

    asyncio.run(cell())
    assert not server.is_running()


SCRIPT = """
import sys, coverslip
coverslip.serve(sys.argv[1], port=0, open_browser=False)
print("ended well")
"""


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_line_12_serve_blocks_until_ctrl_c(h5ad: Path) -> None:
    import signal

    with subprocess.Popen([sys.executable, "-u", "-c", SCRIPT, h5ad], stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        assert "http://127.0.0.1:" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, wrong = process.communicate(timeout=30)
    assert (said, wrong, process.returncode) == ("ended well\n", "", 0)


# 14 ----------------------------------------------------------------------------------------------------------------


def test_line_14_verbose_tells_how_long_it_took(h5ad: Path) -> None:
    code = "from coverslip.cli.main import main; main()"
    command = [sys.executable, "-u", "-c", code, "serve", str(h5ad), "--port", "0", "--no-browser", "--verbose"]
    with subprocess.Popen(command, stdout=-1, stderr=-1, text=True) as process:
        assert process.stdout is not None
        lines = []
        while not re.search(r"Ready after \d+\.\d\d s", lines[-1] if lines else ""):
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read() if process.stderr else ""
        process.terminate()
        process.communicate(timeout=30)


# The adapter's arguments --------------------------------------------------------------------------------------------


def test_arguments_of_the_adapter_keep_their_meaning(h5ad: Path) -> None:
    given: dict[str, Any] = {
        "latent_key": "X_umap",
        "gene_id_column": "feature_name",
        "normalize_embeddings": False,
        "backed": "r",
        "centroid_outlier_quantile": 0.5,
        "centroid_min_points": 3,
        "dataset_name": "My cells",
        "dataset_id": "mine",
    }
    for data in (h5ad, make.adata()):
        with AnnDataServer(data, port=0, quiet=True, **given) as server:
            [one] = datasets(server)
            assert (one["id"], one["name"]) == ("mine", "My cells")
            identity = json.loads(get(f"{server.url}/mine/dataset_identity.json"))
            assert (identity["id"], identity["name"]) == ("mine", "My cells")
            points = np.frombuffer(get(f"{server.url}/points_2d.bin"), "<f4").reshape(-1, 2)
            np.testing.assert_array_equal(points, make.adata().obsm["X_umap"].astype(np.float32))
            obs = json.loads(get(f"{server.url}/obs_manifest.json"))
            assert (obs["latent_key"], obs["centroid_outlier_quantile"]) == ("X_umap", 0.5)
            assert ["SYM3"] in json.loads(get(f"{server.url}/var_manifest.json"))["fields"]
    with AnnDataServer(h5ad, port=0, quiet=True) as server:
        assert np.abs(np.frombuffer(get(f"{server.url}/points_2d.bin"), "<f4")).max() == pytest.approx(1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"latent_kee": "X"}, "Did you mean latent_key"),
        ({"normalise_embeddings": True}, "Did you mean normalize_embeddings"),
        ({"name": "x"}, "Unknown option: name"),
        ({"backed": "r+"}, "only read"),
    ],
)
def test_unknown_arguments_are_refused(given: dict[str, Any], told: str, h5ad: Path) -> None:
    with pytest.raises(UnknownOption, match=re.escape(told)):
        AnnDataServer(h5ad, **given)
    with pytest.raises(TypeError):
        coverslip.serve_anndata(h5ad, **given)


def test_objects_that_are_no_cells_are_refused() -> None:
    with pytest.raises(TypeError, match="ndarray"):
        AnnDataServer(np.zeros(3))
    with pytest.raises(TypeError, match="AnnDataServer"):
        CellucidServer(make.adata())  # type: ignore[arg-type]

"""The same questions to both engines of ``coverslip ui server``; and what a real HSDS must never do around it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import h5pyd
import numpy as np
import psutil
import pytest
import yaml
from surroundings import environment, free_pair

from coverslip.hsds.environment import VARIABLE
from coverslip.systems import System, predefined
from coverslip.systems.connection import VARIABLE as CONNECTION
from coverslip.testing.networks import culture, hippocampus, write_system

PATIENCE_S = 120
COMMAND_S = 400
COVERSLIP = [sys.executable, "-c", "from coverslip.cli.main import main; main()"]
SYSTEMS = ("EI1", "E", "CA1", "WHOLE")


@dataclass
class Served:
    """A running ``coverslip ui server``."""

    process: subprocess.Popen[str]
    port: int
    root: Path
    printed: str

    @property
    def endpoint(self) -> str:
        return f"http://localhost:{self.port}"

    @property
    def store(self) -> Path:
        return self.root / ".hsds"

    @property
    def password(self) -> str:
        return (self.store / "password").read_text().strip()

    def nodes(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode

    def get(self, path: str, port: int | None = None, method: str = "GET", **headers: str) -> tuple[int, bytes]:
        url = f"http://localhost:{port or self.port}{path}"
        request = urllib.request.Request(url, headers=headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()


@pytest.fixture(scope="module")
def python() -> Path:
    return environment("hsds==1.0.2", "h5pyd==1.0.0")


@pytest.fixture(scope="module")
def environ(python: Path) -> dict[str, str]:
    # Imports start as few nodes as will do: each takes a second of a machine with two cores.
    return {**os.environ, VARIABLE: str(python), "PYTHONUNBUFFERED": "1", "COVERSLIP_HSDS_NODES": "1"}


@pytest.fixture(scope="module")
def systems(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples, one with a name of one letter, one whose order is not alphabetical, one with all in one file."""
    root = tmp_path_factory.mktemp("data") / "graphs"
    root.mkdir()
    shutil.copytree(predefined("EI1"), root / "EI1")
    write_system(root / "E", culture(60), block_edges=90, silent=0.25)
    write_system(root / "CA1", hippocampus(120), block_edges=60, silent=0.3)
    write_system(root / "WHOLE", culture(40), single_file=True, compression="gzip")
    return root


def coverslip(environ: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COVERSLIP, *map(str, words)], capture_output=True, text=True, check=False, timeout=COMMAND_S, env=environ
    )


def imported(environ: dict[str, str], root: Path, *words: str) -> str:
    done = coverslip(environ, "ui", "import", "--root-dir", root, *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def launch(environ: dict[str, str], root: Path, *words: str) -> Served:
    port = free_pair()
    process = subprocess.Popen(
        [*COVERSLIP, "ui", "server", f"port={port}", f"root_dir={root}", "--launch", *words],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ,
    )  # fmt: skip
    assert process.stdout is not None
    lines = []
    while not lines or "Ctrl+C" not in lines[-1]:
        lines.append(process.stdout.readline())
        assert lines[-1], process.stderr.read() if process.stderr else ""
    return Served(process, port, root, "".join(lines))


@pytest.fixture(scope="module", params=["native", "hsds"])
def served(request: pytest.FixtureRequest, environ: dict[str, str], systems: Path) -> Iterator[Served]:
    if request.param == "hsds":
        imported(environ, systems)
    running = launch(
        environ, systems, "--engine", request.param, *(("--nodes", "2") if request.param == "hsds" else ())
    )
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="module")
def hsds(environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    root = tmp_path_factory.mktemp("one") / "graphs"
    shutil.copytree(predefined("EI1"), root / "EI1")
    imported(environ, root)
    running = launch(environ, root, "--engine", "hsds", "--nodes", "2")
    try:
        yield running
    finally:
        running.stop()


class TestBothEngines:
    """What a client is told does not depend on who serves it."""

    def opened(self, served: Served, domain: str) -> Any:
        return h5pyd.File(domain, "r", endpoint=served.endpoint)

    def test_the_page_is_followed(self, served: Served) -> None:
        with self.opened(served, "/EI1/cells.h5") as file:
            assert list(file["Populations"].keys()) == ["EXC", "INH"]
            assert [tuple(row) for row in file["H5Types/Populations"][:].tolist()] == [(0, 8, 10), (8, 2, 11)]
        assert served.get("/systems", served.port + 1) == (
            200,
            json.dumps(sorted(SYSTEMS), separators=(",", ":")).encode(),
        )
        assert served.get("/files/EI1/graph.json", served.port + 1)[0] == 200
        assert served.get("/files/EI1/cells.h5", served.port + 1)[0] == 404

    @pytest.mark.parametrize("name", SYSTEMS)
    def test_a_system(self, served: Served, systems: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        local = System(systems / name, backend="local")
        monkeypatch.setenv(CONNECTION, re.findall(r"LIVN_HSDS='(.+)'", served.printed)[0])
        with System(f"systems/graphs/{name}") as remote:
            assert remote.backend == "h5pyd"
            assert remote.populations == local.populations
            assert remote.population_ranges == local.population_ranges
            assert (remote.neuron_coordinates == local.neuron_coordinates).all()
            assert vars(remote.cells_meta_data) == vars(local.cells_meta_data)
            assert remote.projection_pairs() == local.projection_pairs()
            for pre, post in local.projection_pairs():
                ours, theirs = local.projection_matrix(pre, post), remote.projection_matrix(pre, post)
                assert ours.nnz
                assert (ours != theirs).nnz == 0
                for (gid, (sources, more)), (gid_, (sources_, more_)) in zip(
                    local.projections(pre, post), remote.projections(pre, post), strict=True
                ):
                    assert gid == gid_
                    assert (np.asarray(sources) == sources_).all()
                    assert more.keys() == more_.keys()
            for population in local.populations:
                assert [g for g, _ in remote.synapses(population)] == [g for g, _ in local.synapses(population)]
            assert remote.weight_names == local.weight_names

    @pytest.mark.parametrize("domain", ["EI1/cells.h5", "CA1/connections.h5", "WHOLE/graph.h5", "E/cells.h5"])
    def test_every_object(self, served: Served, systems: Path, domain: str) -> None:
        with h5py.File(systems / domain, "r") as ours, self.opened(served, f"/{domain}") as theirs:
            names: list[str] = []
            ours.visit(names.append)
            found: list[str] = []
            theirs.visit(lambda name: found.append(name))
            assert sorted(found) == sorted(names)
            for name in names:
                a, b = ours[name], theirs[name]
                assert dict(b.attrs) == dict(a.attrs)
                if not isinstance(a, h5py.Dataset):
                    continue
                assert (b.shape, b.maxshape, b.dtype) == (a.shape, a.maxshape, a.dtype)
                assert b[...].tobytes() == a[...].tobytes()
                if a.size > 3 and a.dtype.names is None:
                    assert (b[1:3] == a[1:3]).all()
                    assert (b[0 : a.size : 2] == a[0 : a.size : 2]).all()
                    assert (b[[0, 2]] == a[[0, 2]]).all()

    def test_folders(self, served: Served) -> None:
        assert sorted(h5pyd.Folder("/", endpoint=served.endpoint)) == sorted(SYSTEMS)
        assert sorted(h5pyd.Folder("/EI1/", endpoint=served.endpoint)) == ["cells.h5", "connections.h5"]
        assert sorted(h5pyd.Folder("/E/", endpoint=served.endpoint)) == ["cells.h5", "connections.h5"]

    def test_errors(self, served: Served) -> None:
        for domain in ("/EI1/other.h5", "/nobody/cells.h5"):
            with pytest.raises(OSError, match=r"404|not found|Not Found"):
                self.opened(served, domain)
        with self.opened(served, "/EI1/cells.h5") as file:
            with pytest.raises(KeyError):
                file["nothing"]
            with pytest.raises((ValueError, OSError, TypeError)):
                file["H5Types/Populations"][5:9, 0:2]
            root = file.id.uuid if isinstance(file.id.uuid, str) else file.id.id
        assert served.get("/groups/nothing?domain=/EI1/cells.h5")[0] in (400, 404)
        assert served.get(f"/groups/{root}/links/nothing?domain=/EI1/cells.h5")[0] == 404
        assert served.get("/?domain=../etc/passwd")[0] in (400, 404)

    def test_nobody_writes_without_being_asked_who_he_is(self, served: Served) -> None:
        with pytest.raises(OSError, match=r"40[135]|Unauthorized|Forbidden|Not Allowed|read-only"):
            h5pyd.File("/EI1/new.h5", "w", endpoint=served.endpoint, username="admin", password="admin", retries=1)
        for method in ("PUT", "DELETE"):
            assert served.get("/?domain=/EI1/cells.h5", method=method)[0] in (401, 403, 405)

    def test_other_pages_and_names(self, served: Served) -> None:
        assert served.get("/?domain=/EI1/cells.h5", Origin="http://evil.example")[0] == 403
        assert served.get("/?domain=/EI1/cells.h5", Host="evil.example")[0] == 421
        assert served.get("/systems", served.port + 1, Origin=served.endpoint)[0] == 200

    def test_nothing_of_the_machine_is_told(self, served: Served) -> None:
        told = json.loads(served.get("/about")[1])
        assert told["state"] == "READY"
        assert "/" not in "".join(map(str, told["dn_urls"]))


class TestHsds:
    """A real HSDS keeps to itself, and ends."""

    def test_nothing_listens_but_us(self, hsds: Served) -> None:
        nodes = hsds.nodes()
        assert len(nodes) == 3
        for node in nodes:
            assert [c for c in node.net_connections("inet") if c.status == psutil.CONN_LISTEN] == []
        own = [
            c.laddr for c in psutil.Process(hsds.process.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN
        ]
        assert sorted(own) == [("127.0.0.1", hsds.port), ("127.0.0.1", hsds.port + 1)]

    def test_no_password_is_on_a_command_line(self, hsds: Served) -> None:
        record = json.loads((hsds.store / "server.json").read_text())
        for process in (*hsds.nodes(), psutil.Process(hsds.process.pid)):
            line = " ".join(process.cmdline())
            assert record["password"] not in line
            assert hsds.password not in line
            assert record["password"] not in " ".join(process.environ().values())
        assert record["password"] not in (hsds.store / "log" / "hsds.log").read_text()
        for name in ("server.json", "password"):
            assert (hsds.store / name).stat().st_mode & 0o077 == 0
        socket = Path(record["socket"])
        assert socket.parent.stat().st_mode & 0o077 == 0

    def test_who_knows_the_password_writes(self, hsds: Served) -> None:
        known: dict[str, Any] = {"endpoint": hsds.endpoint, "username": "admin", "password": hsds.password}
        values = np.arange(3_000_000, dtype="f8")
        with h5pyd.File("/EI1/written.h5", "w", **known) as file:
            file.create_dataset("a", data=values, chunks=(100_000,))
            file.attrs["who"] = "me"
        with h5pyd.File("/EI1/written.h5", "r", endpoint=hsds.endpoint) as file:
            assert file.attrs["who"] == "me"
            assert (file["a"][:] == values).all()
        basic = b64encode(f"admin:{hsds.password}".encode()).decode()
        status, said = hsds.get("/?domain=/EI1/written.h5", method="DELETE", Authorization=f"Basic {basic}")
        assert status == 200, said
        assert hsds.get("/?domain=/EI1/written.h5")[0] in (404, 410)

    def test_two_do_not_meet(self, hsds: Served, environ: dict[str, str], tmp_path: Path) -> None:
        (tmp_path / "graphs").mkdir()
        shutil.copytree(predefined("EI1"), tmp_path / "graphs" / "OTHER")
        other = launch(environ, tmp_path / "graphs", "--engine", "hsds", "--nodes", "1")
        try:
            imported(environ, tmp_path / "graphs")
            assert list(h5pyd.Folder("/", endpoint=other.endpoint)) == ["OTHER"]
            assert list(h5pyd.Folder("/", endpoint=hsds.endpoint)) == ["EI1"]
        finally:
            assert other.stop(signal.SIGINT) == 130

    def test_one_store_one_server(self, hsds: Served, environ: dict[str, str]) -> None:
        done = coverslip(environ, "ui", "server", "port=0", f"root_dir={hsds.root}", "--launch", "--engine", "hsds")
        assert done.returncode == 2
        assert f"port {hsds.port}" in done.stderr
        taken = coverslip(environ, "ui", "server", f"port={hsds.port}", f"root_dir={hsds.root}", "--launch",
                          "--engine", "hsds", "--store", hsds.root.parent / "other")  # fmt: skip
        assert taken.returncode == 1
        assert "already in use" in taken.stderr

    def test_a_node_that_ends_is_started_again(self, hsds: Served) -> None:
        before = {node.pid for node in hsds.nodes()}
        data = next(n for n in hsds.nodes() if "--node_type=dn" in n.cmdline())
        data.kill()
        until(lambda: {n.pid for n in hsds.nodes()} - before and hsds.get("/?domain=/EI1/cells.h5")[0] == 200)
        with h5pyd.File("/EI1/cells.h5", "r", endpoint=hsds.endpoint) as file:
            assert list(file["Populations"].keys()) == ["EXC", "INH"]

    def test_its_settings_are_the_manifest_s(self, python: Path) -> None:
        deploy = Path(__file__).parents[2] / "deploy" / "hsds" / "hsds.yaml"
        manifest = next(d for d in yaml.safe_load_all(deploy.read_text()) if d["kind"] == "ConfigMap")
        ours = yaml.safe_load(manifest["data"]["override.yml"])
        where = "import importlib.resources as r; print(r.files('admin.config').joinpath('config.yml').read_text())"
        theirs = yaml.safe_load(
            subprocess.run([python, "-c", where], capture_output=True, text=True, check=True).stdout
        )
        assert ours.keys() <= theirs.keys()
        commands = python.parent
        assert (commands / "hsds-servicenode").exists()
        assert (commands / "hsds-datanode").exists()

    @pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
    def test_no_process_is_left(self, environ: dict[str, str], tmp_path: Path, how: signal.Signals) -> None:
        (tmp_path / "graphs").mkdir()
        running = launch(environ, tmp_path / "graphs", "--engine", "hsds", "--nodes", "1")
        nodes = running.nodes()
        folder = Path(json.loads((running.store / "server.json").read_text())["socket"]).parent
        assert len(nodes) == 2
        assert running.stop(how) == (130 if how == signal.SIGINT else -how if how == signal.SIGKILL else 128 + how)
        until(lambda: not any(alive(node) for node in nodes))
        if how != signal.SIGKILL:
            assert not folder.exists()
            assert not (running.store / "server.json").exists()
        else:
            again = launch(environ, tmp_path / "graphs", "--engine", "hsds", "--nodes", "1")  # the lock went with it
            assert again.stop() == 128 + signal.SIGTERM
            assert not folder.exists()


class TestEnvironment:
    """Nobody installs anything by hand."""

    def test_no_network(self, tmp_path: Path) -> None:
        shutil.copytree(predefined("EI1"), tmp_path / "graphs" / "EI1")
        index = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_EXTRA_INDEX_URL": "", "PIP_FIND_LINKS": ""}
        environ = {**os.environ, **index, "PIP_CONFIG_FILE": os.devnull, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        environ.pop(VARIABLE, None)
        asked = coverslip(environ, "ui", "import", "--root-dir", tmp_path / "graphs")
        assert asked.returncode == 2
        assert "--yes" in asked.stderr
        done = coverslip(environ, "ui", "import", "--yes", "--root-dir", tmp_path / "graphs")
        assert done.returncode == 1
        assert "index cannot be reached" in done.stderr
        assert VARIABLE in done.stderr
        assert [p.suffix for p in (tmp_path / "cache" / "coverslip" / "environments").iterdir()] == [".lock"]

    @pytest.mark.timeout(900)
    def test_it_is_made_and_used(self, tmp_path: Path) -> None:
        shutil.copytree(predefined("EI1"), tmp_path / "graphs" / "EI1")
        environ = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), "PIP_CACHE_DIR": pip_cache()}
        environ.pop(VARIABLE, None)
        process = subprocess.Popen(
            [*COVERSLIP, "ui", "import", "--yes", "--root-dir", str(tmp_path / "graphs")],
            stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environ,
        )  # fmt: skip
        assert process.stderr is not None
        while "collecting" not in (line := process.stderr.readline()):
            assert line
        process.kill()
        process.communicate(timeout=PATIENCE_S)
        done = coverslip(environ, "ui", "import", "--yes", "--root-dir", tmp_path / "graphs")
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("imported, ") == 2
        again = coverslip(environ, "ui", "import", "--root-dir", tmp_path / "graphs")
        assert "collecting" not in again.stderr
        assert again.stdout.count("already there") == 2


def pip_cache() -> str:
    done = subprocess.run([sys.executable, "-m", "pip", "cache", "dir"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


class TestImport:
    """Systems come in whole, once, and as they are."""

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        shutil.copytree(predefined("EI1"), tmp_path / "graphs" / "EI1")
        return tmp_path / "graphs"

    def domains(self, environ: dict[str, str], root: Path) -> list[str]:
        running = launch(environ, root, "--engine", "hsds", "--nodes", "1")
        try:
            found = []
            for name in h5pyd.Folder("/", endpoint=running.endpoint):
                found += [f"/{name}/{one}" for one in h5pyd.Folder(f"/{name}/", endpoint=running.endpoint)]
            return sorted(found)
        finally:
            running.stop()

    def test_again_and_again(self, environ: dict[str, str], root: Path) -> None:
        first = imported(environ, root, "EI1")
        assert "chunks of /H5Types/Populations" in first
        assert first.count("imported, ") == 2
        assert imported(environ, root).count("already there") == 2
        (root / ".hsds" / "imported.json").unlink()
        compared = imported(environ, root)
        assert compared.count("already there, ") == 2
        assert re.findall(r"sha256 \S+", compared)[0].rstrip(",") == re.findall(r"sha256 \S+", first)[0].rstrip(",")
        with h5py.File(root / "EI1" / "cells.h5", "r+") as file:
            file["Populations/EXC/Generated Coordinates/X Coordinate/Attribute Value"][0] = 1e6
        refused = coverslip(environ, "ui", "import", "--root-dir", root)
        assert refused.returncode == 1
        assert "--replace" in refused.stderr
        assert imported(environ, root, "--replace").count("imported, ") == 1
        running = launch(environ, root, "--engine", "hsds", "--nodes", "1")
        try:
            with h5pyd.File("/EI1/cells.h5", "r", endpoint=running.endpoint) as file:
                assert file["Populations/EXC/Generated Coordinates/X Coordinate/Attribute Value"][0] == 1e6
        finally:
            running.stop()

    def test_nothing_is_half_imported(self, environ: dict[str, str], root: Path) -> None:
        with h5py.File(root / "EI1" / "connections.h5", "r+") as file:
            file["complex"] = np.ones(3, "c16")  # HSDS makes it something else
        refused = coverslip(environ, "ui", "import", "--root-dir", root)
        assert refused.returncode == 1
        assert "/complex" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert self.domains(environ, root) == []

    def test_an_import_that_was_killed(self, environ: dict[str, str], root: Path) -> None:
        with h5py.File(root / "EI1" / "connections.h5", "r+") as file:
            file.create_dataset("big", data=np.random.default_rng(0).random((400, 20_000)), chunks=(4, 20_000))
        for how in (signal.SIGTERM, signal.SIGKILL):
            self.killed(environ, root, how)
            assert [name for name in self.domains(environ, root) if "importing" not in name] == []
        assert imported(environ, root).count("imported, ") == 2
        assert self.domains(environ, root) == ["/EI1/cells.h5", "/EI1/connections.h5"]

    def killed(self, environ: dict[str, str], root: Path, how: signal.Signals) -> None:
        """An import that ends in the middle of its second file, and is seen not to have been done by then."""
        process = subprocess.Popen(
            [*COVERSLIP, "ui", "import", "--root-dir", str(root)],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environ,
        )  # fmt: skip
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("/EI1/connections.h5"):
                break
        children = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(how)
        rest, _ = process.communicate(timeout=PATIENCE_S)
        assert "imported, " not in rest, "it was done before it was killed: make the file larger"
        until(lambda: not any(alive(child) for child in children))

    def test_an_endpoint_of_somebody_else(self, environ: dict[str, str], root: Path, hsds: Served) -> None:
        (root / "EI1").rename(root / "FAR")
        words = ["--endpoint", f"http://127.0.0.1:{hsds.port}", "--username", "admin"]
        refused = coverslip({**environ, "HS_PASSWORD": "wrong"}, "ui", "import", "--root-dir", root, *words)
        assert refused.returncode == 1
        assert "credentials" in refused.stderr
        with_password = {**environ, "HS_PASSWORD": hsds.password, "COVERSLIP_STATE_DIR": str(root / "state")}
        assert imported(with_password, root, *words).count("imported, ") == 2
        assert imported(with_password, root, *words).count("already there") == 2
        with h5pyd.File("/FAR/cells.h5", "r", endpoint=hsds.endpoint) as file:
            assert list(file["Populations"].keys()) == ["EXC", "INH"]

    def test_what_cannot_be(self, environ: dict[str, str], root: Path) -> None:
        missing = coverslip(environ, "ui", "import", "--root-dir", root, "EI7")
        assert missing.returncode == 1
        assert "There is EI1" in missing.stderr
        nobody = coverslip({**environ, VARIABLE: "/bin/true"}, "ui", "import", "--root-dir", root)
        assert nobody.returncode == 2
        assert VARIABLE in nobody.stderr
        (root / "EI1" / "cells.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
        damaged = coverslip(environ, "ui", "import", "--root-dir", root)
        assert damaged.returncode == 1
        assert "cells.h5 cannot be read" in damaged.stderr
        away = coverslip(environ, "ui", "import", "--root-dir", root, "--endpoint", "http://127.0.0.1:9")
        assert away.returncode == 1
        assert "does not answer" in away.stderr


def alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def until(true: Callable[[], Any]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < end, "it does not come to pass"
        time.sleep(0.2)

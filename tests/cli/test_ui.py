"""``coverslip ui server``: words, flags, what is printed, and the server itself."""

from __future__ import annotations

import gc
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import h5pyd
import pytest
from click.testing import CliRunner
from surroundings import free_port

from coverslip.cli.main import cli
from coverslip.companion import Launch, two_ports
from coverslip.core.errors import CannotListen, Forbidden, NotFound
from coverslip.server import listen
from coverslip.systems import System, predefined
from coverslip.systems.connection import VARIABLE

PATIENCE_S = 60
LAUNCH = [sys.executable, "-c", "from coverslip.cli.main import main; main()", "ui", "server", "--launch"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(predefined("EI1"), tmp_path / "graphs" / "EI1")
    return tmp_path / "graphs"


def told(*words: str) -> dict[str, str]:
    done = CliRunner().invoke(cli, ["ui", "server", *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return dict(re.findall(r"^(\w+): +(.+)$", done.output, re.MULTILINE))


def test_the_configuration_is_printed(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = told("port=5202", f"root_dir={root}")
    assert shown == {
        "engine": "native",
        "host": "127.0.0.1",
        "port": "5202",
        "files_port": "5203",
        "root_dir": str(root),
        "systems": "EI1",
    }
    assert told("--port", "5202", "--root-dir", str(root)) == shown
    assert told("--port", "1", f"root_dir={root}", "port=5202", "--engine", "native") == shown
    monkeypatch.chdir(root.parents[0])
    default = told()
    assert (default["port"], default["root_dir"]) == ("5101", str(root.parents[0] / "systems" / "graphs"))
    assert default["systems"] == "root_dir does not exist"
    monkeypatch.setenv("COVERSLIP_UI_PORT", "7")
    monkeypatch.setenv("COVERSLIP_UI_ROOT", str(root))
    assert (told()["port"], told()["systems"]) == ("7", "EI1")


@pytest.mark.parametrize(
    "words",
    [("port",), ("port=",), ("port=x",), ("port=-1",), ("prot=5",), ("graphs",), ("=5",), ("engine=other",),
     ("--engine", "other"), ("--port", "x")],
)  # fmt: skip
def test_what_cannot_be_understood(words: tuple[str, ...]) -> None:
    done = CliRunner().invoke(cli, ["ui", "server", *words])
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


def test_ports_that_cannot_be_had() -> None:
    port = free_port()
    first = listen("127.0.0.1", port)
    try:
        with pytest.raises(CannotListen, match=str(port)):
            two_ports(listen, "127.0.0.1", port)
        with pytest.raises(CannotListen, match=str(port)):
            two_ports(listen, "127.0.0.1", port - 1)
        listen("127.0.0.1", port - 1).close()  # the first one was given back
    finally:
        first.close()
    with pytest.raises(CannotListen, match="no port after"):
        two_ports(listen, "127.0.0.1", 65535)
    pair = two_ports(listen, "127.0.0.1", 0)
    assert pair[1].getsockname()[1] == pair[0].getsockname()[1] + 1
    for sock in pair:
        sock.close()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no folder"):
        Launch(tmp_path / "nothing").check()
    (tmp_path / "file").write_text("")
    with pytest.raises(NotFound):
        Launch(tmp_path / "file").check()


def answers(url: str, **headers: str) -> Any:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        return json.loads(response.read())


def two_free() -> int:
    pair = two_ports(listen, "127.0.0.1", 0)
    port: int = pair[0].getsockname()[1]
    for sock in pair:
        sock.close()
    return port


@contextmanager
def started(*command: str) -> Iterator[list[str]]:
    """A server; the lines it prints until it is ready. Interrupted at the end, and gone then."""
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"}
    )
    try:
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or "Ctrl+C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read() if process.stderr else ""
        yield lines
    finally:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 130
    assert errors.strip() == ""


def same(served: System, local: System) -> None:
    assert served.backend == "h5pyd"
    assert served.population_ranges == local.population_ranges
    assert (served.neuron_coordinates == local.neuron_coordinates).all()
    assert (served.connectivity_matrix() != local.connectivity_matrix()).nnz == 0
    assert served.weight_names == local.weight_names
    assert vars(served.cells_meta_data) == vars(local.cells_meta_data)
    assert [g for g, _ in served.synapses("INH")] == [g for g, _ in local.synapses("INH")]
    assert (served.electrodes == local.electrodes).all()


def test_the_servers(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The seed's page, followed word by word, but for the import that nobody needs."""
    port = two_free()
    with started(*LAUNCH, f"port={port}", f"root_dir={root}") as lines:
        connection = json.loads(re.findall(r"LIVN_HSDS='(.+)'", "".join(lines))[0])
        assert connection == {"endpoint": f"http://localhost:{port}"}
        assert answers(f"http://localhost:{port + 1}/systems") == ["EI1"]
        with h5pyd.File("/EI1/cells.h5", "r", endpoint=f"http://localhost:{port}") as file:
            assert list(file["Populations"].keys()) == ["EXC", "INH"]
            assert [tuple(row) for row in file["H5Types/Populations"][:].tolist()] == [(0, 8, 10), (8, 2, 11)]
        monkeypatch.setenv(VARIABLE, json.dumps(connection))
        with System("systems/graphs/EI1") as served:
            same(served, System(root / "EI1", backend="local"))
        again = subprocess.run(
            [*LAUNCH, f"port={port}", f"root_dir={root}"],
            capture_output=True, text=True, check=False, timeout=PATIENCE_S,
        )  # fmt: skip
        assert again.returncode == 1
        assert "already in use" in again.stderr
        assert "Traceback" not in again.stderr
    for taken in (port, port + 1):
        listen("127.0.0.1", taken).close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # h5pyd leaves its connection to the garbage collector
def test_with_a_token(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "t" * 24
    with started(*LAUNCH, f"port={two_free()}", f"root_dir={root}", "--token", token) as lines:
        connection = json.loads(re.findall(r"LIVN_HSDS='(.+)'", "".join(lines))[0])
        assert connection["password"] == token
        monkeypatch.setenv(VARIABLE, json.dumps(connection))
        with System("EI1") as served:
            same(served, System(root / "EI1", backend="local"))
        for wrong in ({"password": "x" * 24}, {"username": None, "password": None}):
            monkeypatch.setenv(VARIABLE, json.dumps(connection | wrong))
            system = System(root / "EI1")
            for read in (lambda s: s.populations, lambda s: s.elements):
                with pytest.raises(Forbidden):
                    read(system)
        del system
        gc.collect()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # h5pyd leaves its connection to the garbage collector
def test_a_link_to_one_system(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Made, used as a password by our own client and h5pyd, behind a prefix, and taken back."""
    shutil.copytree(root / "EI1", root / "EI2")
    token, port = "t" * 24, two_free()
    words = ("--token", token, "--read-token", "auto", "--root-path", "/lab")
    with started(*LAUNCH, f"port={port}", f"root_dir={root}", *words) as lines:
        [reading] = re.findall(r"^Reading: password (\S+),", "".join(lines), re.MULTILINE)

        def share(*words: str) -> str:
            monkeypatch.setenv("COVERSLIP_TOKEN", token)
            done = CliRunner().invoke(cli, ["share", *words, "--url", f"http://localhost:{port}/lab"])
            assert done.exit_code == 0, done.output
            return done.stdout.strip()

        def reads(password: str, name: str) -> list[str]:
            files = f"http://localhost:{port + 1}/lab/files"
            connection = {"endpoint": f"http://localhost:{port}/lab", "files_endpoint": files,
                          "username": "guest", "password": password}  # fmt: skip
            monkeypatch.setenv(VARIABLE, json.dumps(connection))
            with System(f"graphs/{name}") as served:
                assert served.elements is not None
                return list(served.populations)

        link = share("EI1", "--label", "Ada")
        assert link.startswith("s2.")
        assert reads(link, "EI1") == reads(reading, "EI2") == ["EXC", "INH"]
        with pytest.raises(NotFound):
            reads(link, "EI2")
        assert "Ada" in share("--list")
        assert "EI1 opens nothing any more" in share("--revoke", link)
        with pytest.raises(Forbidden):
            reads(link, "EI1")
        gc.collect()


def test_beside_everything_else(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`coverslip serve` speaks the same at /hsds and /files."""
    port = free_port()
    serve = [*LAUNCH[:3], "serve", str(root), "--port", str(port), "--no-browser"]
    with started(*serve):
        base = f"http://127.0.0.1:{port}"
        monkeypatch.setenv(VARIABLE, json.dumps({"endpoint": f"{base}/hsds", "files_endpoint": f"{base}/files"}))
        with System("EI1") as served:
            same(served, System(root / "EI1", backend="local"))


def test_every_flag_is_in_the_reference() -> None:
    here = (Path(__file__).parents[2] / "docs" / "reference" / "systems.md").read_text().splitlines()
    group = cli.get_command(click.Context(cli), "ui")
    assert isinstance(group, click.Group)
    for option in group.commands["server"].params:
        if isinstance(option, click.Option):
            row = next((line for line in here if line.startswith(f"| `{option.opts[-1]}`")), None)
            assert row is not None, option.opts
            for name in (*option.opts, option.envvar):
                assert name is None or f"`{name}`" in row, (name, row)

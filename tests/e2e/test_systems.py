"""livn 2.0.0, in an environment of its own, beside coverslip: the same files, and the same files through our server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Open, Running, Start, fetch, run, wait_for
from surroundings import environment, free_pair

from coverslip.systems import System, predefined
from coverslip.testing.networks import culture, hippocampus, write_system

DUMP = Path(__file__).parent / "clients" / "system_dump.py"
SYSTEMS = ("EI1", "CULTURE", "WHOLE")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Systems that livn reads rightly: several blocks of destinations, empty and absent rows, one file for all."""
    root = tmp_path_factory.mktemp("data") / "graphs"
    root.mkdir()
    (root / "EI1").symlink_to(predefined("EI1"))
    write_system(root / "CULTURE", culture(120), block_edges=90, silent=0.25)
    write_system(root / "WHOLE", culture(90), single_file=True, compression="gzip")
    write_system(root / "CA1", hippocampus(200), block_edges=60, silent=0.3)
    return root


@pytest.fixture(scope="module")
def livn() -> Path:
    python = environment("livn==2.0.0")
    if subprocess.run([python, "-c", "import h5pyd"], capture_output=True, check=False).returncode:
        run(python, "-m", "pip", "install", "--quiet", "h5pyd>=1")
    return python


def dumped(python: str | Path, module: str, path: Path | str, cwd: Path, **variables: str) -> tuple[Any, str]:
    """All that a system tells, and what was said on the way."""
    done = subprocess.run(
        [python, DUMP, module, str(path)],
        capture_output=True, text=True, check=False, cwd=cwd, env={**os.environ, **variables},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.fixture(scope="module")
def server(command: Path, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """``coverslip ui server --launch`` of the installed wheel; what its page says to export."""
    copy = tmp_path_factory.mktemp("served")
    for name in ("EI1", "CULTURE", "WHOLE", "CA1"):
        run("cp", "-rL", root / name, copy / name)
    port = free_pair()
    process = subprocess.Popen(
        [command, "ui", "server", f"port={port}", f"root_dir={copy}", "--launch"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    running = Running(process)
    assert process.stdout is not None
    while "Ctrl+C" not in (line := process.stdout.readline()):
        assert line, process.stderr.read() if process.stderr else ""
        running.lines.append(line)
    exported = next(line for line in running.lines if "LIVN_HSDS" in line)
    yield {"LIVN_HSDS": exported.split("'")[1]}
    assert running.stop(signal.SIGINT) == 130
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@pytest.mark.parametrize("name", SYSTEMS)
def test_equal_values_from_the_same_files(name: str, root: Path, livn: Path, tmp_path: Path) -> None:
    theirs, _ = dumped(livn, "livn.system", root / name, tmp_path)
    ours, _ = dumped(sys.executable, "coverslip.systems", root / name, tmp_path)
    assert theirs == ours


@pytest.mark.parametrize("name", ["EI1", "CULTURE"])
def test_livn_reads_through_our_server(
    name: str, root: Path, livn: Path, server: dict[str, str], tmp_path: Path
) -> None:
    """Where the system is nowhere on the disk, so that nothing else can be read in its place."""
    theirs, said = dumped(livn, "livn.system", f"systems/graphs/{name}", tmp_path, **server)
    assert "falling back" not in said
    assert "failed" not in said
    ours, _ = dumped(sys.executable, "coverslip.systems", root / name, tmp_path)
    assert theirs == ours


@pytest.mark.parametrize("name", [*SYSTEMS, "CA1"])
def test_our_client_reads_through_our_server(name: str, root: Path, server: dict[str, str], tmp_path: Path) -> None:
    served, _ = dumped(sys.executable, "coverslip.systems", f"systems/graphs/{name}", tmp_path, **server)
    local, _ = dumped(sys.executable, "coverslip.systems", root / name, tmp_path)
    assert served == local


def test_an_order_that_is_not_alphabetical(root: Path, livn: Path) -> None:
    """livn without NeuroH5 gives populations each other's cells; what NeuroH5 reads is in `tests/golden/systems`."""
    code = "import sys, json; from livn.system import System; print(json.dumps(System(sys.argv[1]).population_ranges))"
    theirs = json.loads(run(livn, "-c", code, root / "CA1").stdout)
    system = System(root / "CA1", backend="local")
    assert system.population_ranges["PYR"] == (0, 160)
    assert theirs["PYR"] != [0, 160]
    assert sorted(theirs.values()) == sorted([list(span) for span in system.population_ranges.values()])


def test_the_file_server(server: dict[str, str]) -> None:
    endpoint = json.loads(server["LIVN_HSDS"])["endpoint"]
    base, _, port = endpoint.rpartition(":")
    files = f"{base}:{int(port) + 1}"
    assert json.loads(fetch(f"{files}/systems")) == ["CA1", "CULTURE", "EI1", "WHOLE"]
    assert json.loads(fetch(f"{files}/files/EI1/graph.json")) == json.loads(
        (Path(predefined("EI1")) / "graph.json").read_text()
    )


def test_the_wheel_has_the_sample_and_says_what_it_lacks(command: Path, tmp_path: Path) -> None:
    code = "from coverslip.systems import System, predefined; s = System(predefined('EI1')); print(s.summary())"
    python = command.parent / "python"
    assert "'num_neurons': 10, 'num_projections': 39" in run(python, "-c", code, cwd=tmp_path).stdout
    lacking = subprocess.run(
        [python, "-c", f"{code}\ns.connectivity_matrix()"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert "pip install 'coverslip[systems]'" in lacking.stderr


def test_the_home_page_lists_networks(start: Start, look: Open, tmp_path: Path) -> None:
    for name in ("A", "B"):
        write_system(tmp_path / name, culture(30))
    page = look(start(tmp_path).url)
    cards = page.page.get_by_test_id("source")
    kinds = "(all) => all.map((one) => `${one.dataset.kind} ${one.dataset.status}`)"
    wait_for(lambda: cards.evaluate_all(kinds) == ["network ready"] * 2, "two networks")
    wait_for(lambda: "Networks" in cards.first.inner_text(), "their kind")
    cards.first.click()
    page.page.wait_for_url("**/?network=*")
    page.page.go_back()
    wait_for(lambda: cards.count() == 2, "both again")
    assert page.problems == []

"""``coverslip prepare``: what it says, how it ends, and what is left when it is ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from scipy import sparse

import make
from coverslip.cli.main import cli

SLOW = """
import sys, time
from pathlib import Path
from coverslip.cli.main import main
from coverslip.domains.export.files import Files

written, marker = Files.array, Path(sys.argv.pop())

def slow(self, path, values, light=False):
    name = written(self, path, values, light)
    if path.startswith("var/"):
        marker.touch()
        time.sleep(1)
    return name

Files.array = slow
main()
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    make.adata(sparse.csr_matrix(make.dense_matrix())).write_h5ad(tmp_path / "in.h5ad")
    return tmp_path / "in.h5ad"


def listed(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def run(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(cli, ["prepare", *map(str, arguments)])
    return result.exit_code, result.output if result.exception is None else f"{result.output}{result.exception}"


def test_it_says_what_was_written(data: Path, tmp_path: Path) -> None:
    """One line, notes before it, and how to look at it."""
    code, said = run(data, tmp_path / "out", "--var-quantization", "8", "--compression", "6")
    assert code == 0
    assert "50 cells, 12 genes" in said
    assert "'HLA/A' as 'HLA/A (2)'" in said
    assert f"Look at it: coverslip serve {tmp_path / 'out'}" in said
    assert run(data, tmp_path / "out")[1].endswith("is there already. --force (force=True) replaces it.")
    assert run(data, tmp_path / "out", "--force", "-q") == (0, "")


def test_genes_from_a_file(data: Path, tmp_path: Path) -> None:
    """One a line; one that is not there is told before anything is written."""
    (tmp_path / "genes.txt").write_text("β\n\nMT-CO1\n")
    assert "2 genes" in run(data, tmp_path / "out", "--genes", tmp_path / "genes.txt", "--gene", "β")[1]
    said = run(data, tmp_path / "other", "--gene", "β", "--gene", "MT-CO2")[1]
    assert "There is no gene MT-CO2" in said
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--var-quantization", "12"], "'12' is not one of '8', '16'"),
        (["--compression", "0"], "0 is not in the range"),
        (["--obs-key", "nothing"], "not in obs"), (["--part", "mod/rna"], "There is no 'mod/rna'"),
        (["--expression", "layer:none"], "Expression matrix not found"), (["--latent-key", "X_none"], "X_none"),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(data: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    """And nothing is written."""
    code, said = run(data, tmp_path / "out", *arguments)
    assert code != 0
    assert words in said
    assert listed(tmp_path) == ["in.h5ad"]


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -9)])
def test_ended_in_the_middle(data: Path, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """Nothing half-written appears; what even a killed one leaves, the next removes."""
    marker = tmp_path / "marker"
    arguments = [sys.executable, "-c", SLOW, "prepare", data, tmp_path / "out", marker]
    with subprocess.Popen(list(map(str, arguments)), stderr=subprocess.PIPE, text=True) as process:
        end = time.monotonic() + 60
        while not marker.exists():
            assert time.monotonic() < end
            assert process.poll() is None, process.stderr.read() if process.stderr else ""
            time.sleep(0.02)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == code
    assert "Traceback" not in said
    assert not (tmp_path / "out").exists()
    left = [name for name in listed(tmp_path) if name.startswith(".out")]
    assert bool(left) == (number == signal.SIGKILL)
    assert run(data, tmp_path / "out")[0] == 0
    assert listed(tmp_path) == ["in.h5ad", "marker", "out"]

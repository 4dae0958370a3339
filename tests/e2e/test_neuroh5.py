"""The back end of NeuroH5 itself, alone and with two processes.

NeuroH5 is on no package index: it is built from source, with MPI and parallel HDF5. Where ``COVERSLIP_NEUROH5_PYTHON``
(or ``.cache/peers/neuroh5-py311``) names no Python that has it, these tests say so; what it reads of two systems is
kept in ``tests/golden/systems`` and compared everywhere.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import run
from surroundings import CACHE

import network_files
from coverslip.systems import predefined
from coverslip.testing.networks import culture, write_system

PYTHON = Path(os.environ.get("COVERSLIP_NEUROH5_PYTHON") or CACHE / "peers" / "neuroh5-py311" / "bin" / "python")
DUMP = Path(__file__).parent / "clients" / "system_dump.py"
pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="no NeuroH5 here: it must be built from source")

RANKS = """
import json, sys
from mpi4py import MPI
from coverslip.systems import System
system = System(sys.argv[1], comm=MPI.COMM_WORLD)
assert system.backend == "neuroh5"
told = [system.summary(), {f"{a}>{b}": [g for g, _ in system.projections(a, b)] for a, b in system.projection_pairs()},
        system.neuron_coordinates.tolist()]
every = MPI.COMM_WORLD.gather(told)
if MPI.COMM_WORLD.rank == 0:
    print(json.dumps(every))
"""


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """NeuroH5's environment with this checkout's wheel."""
    run(PYTHON, "-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps", wheel)
    run(PYTHON, "-m", "pip", "install", "--quiet", "scipy", "msgspec", "platformdirs")
    return PYTHON


@pytest.mark.parametrize("name", ["EI1", "CULTURE", "CA1"])
def test_equal_values(name: str, installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / name
    if name == "EI1":
        shutil.copytree(predefined("EI1"), folder)
    elif name == "CA1":
        network_files.hippocampal(folder)
    else:
        write_system(folder, culture(120), block_edges=90, silent=0.25)
    environment = {k: v for k, v in os.environ.items() if k != "LIVN_HSDS"}
    dumps = [
        json.loads(run(python, DUMP, "coverslip.systems", folder, cwd=tmp_path, env=environment).stdout)
        for python in (installed, sys.executable)
    ]
    assert dumps[0] == dumps[1]


def test_two_processes_have_all_of_it(installed: Path, tmp_path: Path) -> None:
    mpirun = shutil.which("mpirun")
    if mpirun is None:
        pytest.skip("no mpirun here")
    folder = network_files.hippocampal(tmp_path / "CA1")
    done = subprocess.run(
        [mpirun, "--allow-run-as-root", "--oversubscribe", "-n", "2", installed, "-c", RANKS, folder],
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    first, second = json.loads(done.stdout)
    alone = json.loads(run(installed, "-c", RANKS, folder).stdout)[0]
    assert first == second == alone

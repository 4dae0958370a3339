"""biopb's own client and command, unmodified, read from a server."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import psutil
import pytest
import tifffile
import zarr
from conftest import PATIENCE_S, fetch, first_line, wait_for
from surroundings import environment, free_port

PEER = "biopb[tensor]==0.13.0"
TURNS = int(os.environ.get("COVERSLIP_STRESS_TURNS", "2"))
CLIENTS = Path(__file__).parent / "clients"
TOKEN = "the-token-of-this-lab"
RANDOM = np.random.default_rng(5)
CELLS = RANDOM.integers(0, 60_000, (6, 700, 821), dtype=np.uint16)
PLANES = RANDOM.integers(0, 255, (3, 2, 300, 410), dtype=np.uint8)
BRAIN = RANDOM.normal(size=(40, 30, 20)).astype(np.float32)
TRACES = RANDOM.integers(-500, 500, (9, 4000)).astype(">i4")
FETCHED = """
import pickle, sys
import numpy as np
from biopb.tensor import SerializedTensor, TensorFlightClient
data = open(sys.argv[1], "rb").read()
if sys.argv[2] == "pkl":
    lazy = pickle.loads(data)
else:
    lazy = TensorFlightClient.tensor_from_pb(SerializedTensor.FromString(data))
np.save(sys.argv[3], lazy.compute())
"""
"""Reads what the command wrote, in another process."""


@dataclass
class Lab:
    """A server and what it serves."""

    folder: Path
    flight: str
    url: str
    process: subprocess.Popen[str]
    token: str = ""

    def client(self, *arguments: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        """The peer's Python on these arguments."""
        env = {**os.environ, "BIOPB_TENSOR_URL": self.flight, "BIOPB_TENSOR_TOKEN": self.token, **more}
        command = [str(environment(PEER)), *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=env, timeout=PATIENCE_S * 4, check=False)

    def command(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        """The peer's ``biopb tensor``."""
        return self.client(environment(PEER).parent / "biopb", "tensor", *arguments, **{"COLUMNS": "200", **more})

    def sources(self) -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        found: list[dict[str, Any]] = json.loads(fetch(f"{self.url}api/sources", **headers))
        return found


Serve = Callable[..., Lab]


def make(folder: Path) -> Path:
    """Files of several formats in ``data``, their pixels by other libraries in ``pixels``."""
    data, kept = folder / "data", folder / "pixels"
    data.mkdir()
    kept.mkdir()
    group = zarr.open_group(data / "cells.zarr", mode="w", zarr_format=2)
    levels = [CELLS, CELLS[:, ::2, ::2]]
    for number, level in enumerate(levels):
        group.create_array(str(number), data=level, chunks=(1, 256, 256))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    steps = [[{"type": "scale", "scale": [2.0, 0.5 * f, 0.5 * f]}] for f in (1, 2)]
    sets = [{"path": str(n), "coordinateTransformations": step} for n, step in enumerate(steps)]
    group.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": sets}]
    tifffile.imwrite(data / "planes.ome.tif", PLANES, metadata={"axes": "ZCYX"}, tile=(128, 128), compression="zlib")
    nibabel.save(nibabel.Nifti1Image(BRAIN, np.diag([2, 2, 3, 1])), data / "brain.nii.gz")
    with h5py.File(data / "several.h5", "w") as file:
        file.create_dataset("lab/traces", data=TRACES, chunks=(3, 500), compression="gzip")
        file["lab/zeros"] = np.zeros((4, 5), bool)
    np.save(kept / "cells.npy", CELLS)
    np.save(kept / "planes.npy", PLANES.transpose(1, 0, 2, 3)[None])
    np.save(kept / "brain.npy", BRAIN.T)
    np.save(kept / "several.npy", TRACES)
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Starts servers of this checkout over the same data."""
    folder = make(tmp_path_factory.mktemp("flight"))
    started = []

    def begin(token: str = "", *options: str) -> Lab:
        port = free_port()
        command = [Path(sys.executable).parent / "coverslip", "serve", folder / "data", "--port", "0"]
        state = {name: str(folder / name) for name in ("COVERSLIP_CACHE_DIR", "COVERSLIP_STATE_DIR")}
        process = subprocess.Popen(
            [*command, "--flight", str(port), "--no-browser", "--quiet", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **state, "COVERSLIP_TOKEN": token},
        )
        started.append(process)
        url = re.split("[?#]", first_line(process))[0]
        lab = Lab(folder, f"grpc://127.0.0.1:{port}", url, process, token)
        wait_for(lambda: [s["status"] for s in lab.sources()] == ["ready"] * 4, "every source to be listed")
        return lab

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.fixture(scope="module")
def lab(serve: Serve) -> Lab:
    return serve()


@pytest.fixture(scope="module")
def guarded(serve: Serve) -> Lab:
    return serve(TOKEN)


def source(lab: Lab, name: str) -> str:
    return next(str(s["source_id"]) for s in lab.sources() if s["source_id"].rpartition("-")[0] == name)


@pytest.mark.parametrize("which", ["lab", "guarded"])
def test_every_call_of_the_client_that_reads(which: str, request: pytest.FixtureRequest) -> None:
    lab: Lab = request.getfixturevalue(which)
    done = lab.client(CLIENTS / "biopb_reads.py", lab.flight, lab.token, lab.folder / "pixels")
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["names"] == ["brain", "cells", "planes", "several"]
    assert found["levels"]["cells"] >= 2
    assert found["scale"] == [[2.0, 0.5, 0.5], ["micrometer"] * 3]
    assert found["no_scale"] is None
    assert "multiscales" in found["metadata"]
    assert found["health"]["protocol"] == 3
    assert found["token_in_message"] == ""
    assert "Source not found: nobody" in found["unknown"]
    assert "Tensor not found" in found["no_tensor"]
    assert "has multiple tensors (2), tensor_id must be specified" in found["ambiguous"]
    assert "Slice hint dimensionality mismatch: expected 3, got 1" in found["rank"]
    assert "disabled" in found["sql"]
    assert sum(row["n"] for row in found["kinds"]) == 4
    assert found["rates"] >= 4


def test_the_command_lists_describes_counts_and_fetches(lab: Lab, tmp_path: Path) -> None:
    cells = source(lab, "cells")
    listed = lab.command("query")
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert all(source(lab, name) in listed.stdout for name in ("brain", "cells", "planes", "several"))
    assert "[6, 700, 821]" in listed.stdout
    described = lab.command("metadata", cells)
    assert described.returncode == 0, described.stderr
    assert "multiscales" in described.stdout
    counted = lab.command("stats", cells, "--slice", "1:3,0:700,10:800")
    assert counted.returncode == 0, counted.stderr
    part = CELLS[1:3, :, 10:800]
    assert str(part.min()) in counted.stdout
    assert str(part.max()) in counted.stdout
    for form in ("pkl", "pb"):
        out = str(tmp_path / f"out.{form}")
        fetched = lab.command("get", cells, "--output", out, "--slice", "0:2,5:300,7:400")
        assert fetched.returncode == 0, fetched.stderr
        read = lab.client("-c", FETCHED, out, form, tmp_path / f"{form}.npy", BIOPB_TENSOR_TOKEN="")
        assert read.returncode == 0, read.stderr
        assert np.array_equal(np.load(tmp_path / f"{form}.npy"), CELLS[0:2, 5:300, 7:400])


@pytest.mark.parametrize("token", ["", "not-the-token-of-this-lab"])
def test_the_wrong_token_reads_nothing(guarded: Lab, token: str) -> None:
    program = (
        "import sys\nfrom biopb.tensor import Connection\nc = Connection()\n"
        "print(c.connect(sys.argv[1], sys.argv[2] or None), c.last_message)"
    )
    refused = guarded.client("-c", program, guarded.flight, token)
    assert refused.stdout.startswith("False Authentication"), refused.stdout + refused.stderr
    assert guarded.client("-c", program, guarded.flight, TOKEN).stdout.startswith("True")
    listed = guarded.command("query", BIOPB_TENSOR_TOKEN=token)
    assert listed.returncode != 0
    assert source(guarded, "cells") not in listed.stdout
    assert guarded.command("query").returncode == 0


@pytest.mark.timeout(180 + 90 * TURNS)
def test_hostile_and_dying_clients_harm_nobody(guarded: Lab, capsys: pytest.CaptureFixture[str]) -> None:
    """Readers that check every pixel, beside ones that are killed, forge seals, send garbage, and take nothing.

    ``COVERSLIP_STRESS_TURNS=40`` makes it ten minutes; what it tells of each turn shows whether anything grows.
    """
    server = psutil.Process(guarded.process.pid)
    script = [environment(PEER), CLIENTS / "biopb_stress.py"]
    env = {**os.environ, "BIOPB_TENSOR_TOKEN": TOKEN}
    cells = source(guarded, "cells")

    def begin(role: str, seconds: float, seed: int) -> subprocess.Popen[str]:
        args = [guarded.flight, cells, str(guarded.folder / "pixels" / "cells.npy"), role, str(seconds), str(seed)]
        return subprocess.Popen(
            [*map(str, script), *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        )

    seconds = 7.0
    held: list[tuple[int, int, int]] = []
    for turn in range(TURNS):
        readers = [begin("read", seconds, 10 * turn + n) for n in range(4)]
        hostile = [begin(role, seconds, turn) for role in ("garbage", "forge", "slow", "large")]
        doomed = [begin("read", 600, 99 + n) for n in range(3)]
        for process in doomed:
            with pytest.raises(subprocess.TimeoutExpired):
                process.communicate(timeout=2)
            process.kill()
        told = [process.communicate(timeout=PATIENCE_S * 3) for process in readers + hostile]
        assert [process.returncode for process in readers + hostile] == [0] * len(told), [
            err[-2000:] for _, err in told
        ]
        counts = [int(out) for out, _ in told]
        assert min(counts) > 0, "one did nothing"
        assert sum(counts) > 5 * len(counts), "they did nearly nothing"
        for process in doomed:
            process.communicate(timeout=PATIENCE_S)
        assert guarded.process.poll() is None
        held.append((server.memory_info().rss >> 20, server.num_threads(), server.num_fds()))
        told_of = "{} MiB, {} threads, {} files".format(*held[-1])
        with capsys.disabled():
            print(f"\nturn {turn + 1}: {sum(counts)} requests; {told_of}", end="")
    most = held[0][0] + 120
    wait_for(lambda: server.memory_info().rss >> 20 < most, "memory to be given back")
    wait_for(lambda: server.num_fds() < held[0][2] + 50, "files and connections to be closed")
    assert server.num_threads() < held[0][1] + 50
    assert guarded.command("query").returncode == 0

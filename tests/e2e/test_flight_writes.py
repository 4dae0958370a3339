"""biopb's own client, unmodified, writes to a server; read back by itself, over HTTP by zarr-python, and from disk."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr
from conftest import PATIENCE_S, fetch, first_line, wait_for
from surroundings import environment, free_port

PEER = "biopb[tensor]==0.13.0"
CLIENTS = Path(__file__).parent / "clients"
PIXELS = np.random.default_rng(3).integers(0, 60_000, (4, 300, 421), dtype=np.uint16)
KILLED = """
import sys, numpy as np
from biopb.tensor import TensorFlightClient
client = TensorFlightClient(sys.argv[1])
number = 0
while True:
    pixels = np.full((2, 64, 64), number + 1, np.uint16)
    name = f"zarr://scratch/@fields/n{number}"
    desc = client.setup_array_upload(name, pixels, chunk_shape=(1, 32, 32), dim_labels=["z", "y", "x"])
    client.upload_array(desc, pixels)
    print(number, flush=True)
    number += 1
"""


@dataclass
class Lab:
    """A writable server and what it serves."""

    folder: Path
    flight: str
    url: str
    process: subprocess.Popen[str]

    def client(self, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
        """The peer's Python on these arguments."""
        env = {**os.environ, "BIOPB_TENSOR_URL": self.flight, "BIOPB_TENSOR_TOKEN": token}
        python = environment(PEER)
        return subprocess.run([python, *arguments], capture_output=True, text=True, env=env, timeout=PATIENCE_S * 4)

    def sources(self, token: str = "") -> list[dict[str, Any]]:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        found: list[dict[str, Any]] = json.loads(fetch(f"{self.url}api/sources", **headers))
        return found

    def source(self, token: str = "") -> str:
        """The id of the image, once it was opened."""

        def ready() -> list[str]:
            return [s["source_id"] for s in self.sources(token) if s["name"] == "liver" and s["status"] == "ready"]

        wait_for(lambda: bool(ready()), "the image to be listed")
        return str(ready()[0])


Serve = Callable[..., Lab]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Starts servers of this checkout; called again, on the same folders as before."""
    group = zarr.open_group(tmp_path / "data" / "liver", mode="w", zarr_format=3)
    group.create_array("0", data=PIXELS, chunks=(1, 128, 128))
    axes = [{"name": name, "type": "space", "unit": "micrometer"} for name in "zyx"]
    scale = [{"type": "scale", "scale": [2.0, 0.5, 0.5]}]
    ome: Any = {"multiscales": [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]}
    group.attrs["ome"] = {"version": "0.5", **ome}
    np.save(tmp_path / "pixels.npy", PIXELS)
    config = tmp_path / "lab.toml"
    config.write_text('[server]\nwritable = true\nwrite_dir = "data/uploads"\nadd_source = true\n')
    started = []

    def begin(token: str = "") -> Lab:
        port = free_port()
        command: list[str | Path] = [
            Path(sys.executable).parent / "coverslip",
            "serve",
            tmp_path / "data",
            "--config",
            config,
        ]
        options = ["--port", "0", "--flight", str(port), "--no-browser", "--quiet"]
        state = {name: str(tmp_path / name) for name in ("COVERSLIP_CACHE_DIR", "COVERSLIP_STATE_DIR")}
        process = subprocess.Popen(
            [*command, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **state, "COVERSLIP_TOKEN": token},
        )
        started.append(process)
        url = re.split("[?#]", first_line(process))[0]
        return Lab(tmp_path, f"grpc://127.0.0.1:{port}", url, process)

    yield begin
    for process in started:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()


@pytest.mark.parametrize("token", ["", "the-token-of-this-lab"])
def test_every_call_of_the_client_that_writes(serve: Serve, token: str) -> None:
    lab = serve(token)
    source = lab.source(token)
    done = lab.client(str(CLIENTS / "biopb_writes.py"), lab.flight, source, str(lab.folder / "pixels.npy"), token)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["scale"] == [[2.0, 0.5, 0.5], ["micrometer"] * 3]
    assert "still being uploaded" in found["pending_read"]
    assert "is taken" in found["taken"]
    assert "is not one chunk" in found["no_chunk"]
    assert found["sealed"] == "UploadRefused: Upload already finished for source 'scratch/@fields/pieces'"
    assert found["discarded"].endswith("Upload discarded for source 'scratch/@fields/worse': the model diverged")
    assert "Source not found: nobody" in found["unknown_source"]
    assert "unsigned integers" in found["signed_labels"]
    assert found["roi_rows"] == [{"set_name": "nuclei", "n": 1}, {"set_name": "vessels", "n": 1}]
    assert found["handle_token"] == ""
    assert "server's own" in found["reserved"]
    assert found["unseen"] == 0
    assert "Source not found" in found["no_image"]
    assert "Source not found" in found["resolve_unknown"]

    for name, expected in (
        ("scratch/@fields/numpy", PIXELS),
        (f"{source}/@fields/filtered", 65535 - PIXELS),
        (source, PIXELS),
    ):
        assert np.array_equal(over_http(lab, name, token), expected), name
    assert over_http(lab, f"{source}/labels/cells", token).max() == 7
    stored: Any = zarr.open_group(lab.folder / "data" / "uploads" / source / "@fields" / "filtered", mode="r")
    assert np.array_equal(stored["0"][:], 65535 - PIXELS)
    assert {s["name"] for s in lab.sources(token)} == {"liver", "scratch"}
    assert not list((lab.folder / "data" / "uploads" / ".uploads" / "pending").iterdir())


def over_http(lab: Lab, name: str, token: str) -> np.ndarray:
    """Level 0 of an image as zarr-python reads it."""
    options = {"headers": {"Authorization": f"Bearer {token}"}} if token else {}
    store = zarr.storage.FsspecStore.from_url(f"{lab.url}zarr/{name}", storage_options=options, read_only=True)
    group: Any = zarr.open_group(store, mode="r")
    return np.asarray(group["0"][:])


def test_a_server_killed_while_clients_upload(serve: Serve) -> None:
    """What was confirmed is there after a restart and is right; what was not finished is not shown."""
    lab = serve()
    uploading = subprocess.Popen(
        [environment(PEER), "-c", KILLED, lab.flight], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert uploading.stdout is not None
    confirmed = [int(uploading.stdout.readline()) for _ in range(5)]
    time.sleep(0.03)
    lab.process.send_signal(signal.SIGKILL)
    confirmed += [int(line) for line in uploading.stdout.read().split()]
    uploading.wait(PATIENCE_S)
    uploading.stdout.close()

    again = serve()
    check = (
        "import sys, json\nfrom biopb.tensor import TensorFlightClient\nclient = TensorFlightClient(sys.argv[1])\n"
        "row = client.query(\"SELECT tensors FROM sources WHERE source_id = 'scratch'\", format='records')[0]\n"
        "names = [t['array_id'] for t in row['tensors']]\n"
        "print(json.dumps({n: [int(v) for v in set(client.get_array(n).ravel())] for n in names}))\n"
    )

    def shown() -> dict[str, list[int]]:
        done = again.client("-c", check, again.flight)
        assert done.returncode == 0, done.stderr[-2000:]
        found: dict[str, list[int]] = json.loads(done.stdout)
        return found

    wait_for(lambda: len(shown()) >= len(confirmed), "what was uploaded to be listed")
    found = shown()
    assert {f"scratch/@fields/n{number}" for number in confirmed} <= set(found)
    for name, values in found.items():
        assert values == [int(name.rpartition("n")[2]) + 1]


def test_the_clients_commands_and_paths_dropped_on_it(serve: Serve) -> None:
    lab = serve()
    source = lab.source()
    extra = lab.folder / "extra"
    extra.mkdir()
    np.save(extra / "more.npy", PIXELS)
    program = (
        "import sys\nfrom biopb.image import ROI, Point, RoiAnnotation\nfrom biopb.tensor import TensorFlightClient\n"
        "client = TensorFlightClient(sys.argv[1])\nseen = []\n"
        "found = client.register_local_path(sys.argv[2], on_progress=seen.append)\n"
        "(added,) = found.added\n"
        "row = client.query('SELECT * FROM sources WHERE source_id = ' + repr(added), format='records')[0]\n"
        "assert row['source_url'] == 'dnd:///extra/more.npy', row\n"
        "name = row['tensors'][0]['array_id']\n"
        "assert client.get_array(name).shape == (4, 300, 421)\n"
        "assert list(client.register_local_path(sys.argv[2]).refreshed) == [added]\n"
        "client.put_rois(name, [RoiAnnotation(set_name='s', roi=ROI(point=Point(x=1, y=1)))])\n"
        "client.put_rois(sys.argv[3], [RoiAnnotation(set_name='s', roi=ROI(point=Point(x=1, y=1)))])\n"
        "assert list(client.deregister_local_path('dnd:///extra').removed) == [added]\n"
    )
    done = lab.client("-c", program, lab.flight, str(extra), source)
    assert done.returncode == 0, done.stderr[-2000:]
    biopb = [str(environment(PEER).parent / "biopb"), "tensor", "prune-annotations", "--days", "0"]
    report = subprocess.run([*biopb, "--server", lab.flight], capture_output=True, text=True, timeout=PATIENCE_S)
    assert "Nothing unseen for 0 days" in report.stdout, report.stdout + report.stderr
    (extra / "more.npy").unlink()
    report = subprocess.run([*biopb, "--server", lab.flight], capture_output=True, text=True, timeout=PATIENCE_S)
    assert "1 annotation(s) would be deleted" in report.stdout
    done = subprocess.run(
        [*biopb, "--apply", "--server", lab.flight], capture_output=True, text=True, timeout=PATIENCE_S
    )
    assert "Deleted 1 annotation(s)" in done.stdout

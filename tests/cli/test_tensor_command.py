"""``coverslip tensor``: words, numbers and exit codes, over HTTP and Arrow Flight."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import tifffile

from coverslip.cli import main as module
from coverslip.cli.plain import plain_lines
from coverslip.cli.table import table
from coverslip.cli.tensor import tell_source
from coverslip.client.model import Entry
from coverslip.server import Server
from coverslip.settings import Settings

TOKEN = "a-token-for-the-command-1"
PIXELS = np.random.default_rng(2).integers(0, 4000, (3, 40, 50), np.uint16)
HOLES = np.full((4, 6), 2.5, np.float32)
HOLES[1, 1:4] = np.nan


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("offered")
    about = {"axes": "ZYX", "unit": "um", "spacing": 2}
    tifffile.imwrite(folder / "liver.tif", PIXELS, imagej=True, resolution=(2, 2), metadata=about)
    tifffile.imwrite(folder / "holes.tif", HOLES)
    then = time.time() - 60
    for file in [folder, *folder.iterdir()]:
        os.utime(file, (then, then))
    server = Server(folder, Settings(port=0, flight_port=0, token=TOKEN))
    server.start_background()
    deadline = time.monotonic() + 60
    while (counts := server.counts()) is None or not counts["scanned"] or counts["by_status"].get("pending"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield server
    server.stop()


@pytest.fixture(params=["http", "flight"])
def url(server: Server, request: pytest.FixtureRequest) -> str:
    found = server.url if request.param == "http" else server.flight_url
    assert found is not None
    return found


@pytest.fixture(autouse=True)
def own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("BIOPB_", "COVERSLIP_URL", "COVERSLIP_TOKEN", "COVERSLIP_TLS")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "own-config"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command here; its exit code and what it wrote."""

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["coverslip", "tensor", *arguments])
        with pytest.raises(SystemExit) as ended:
            module.main()
        told = capsys.readouterr()
        return int(ended.value.code or 0), told.out, told.err

    return call


@pytest.fixture
def at(run: Run, url: str) -> Run:
    """The same, at the server."""
    return lambda name, *arguments: run(name, *arguments, "--server", url, "--token", TOKEN)


@pytest.fixture
def liver(at: Run) -> str:
    sources = json.loads(at("query", "--json")[1])["sources"]
    id: str = next(source["source_id"] for source in sources if source["name"] == "liver.tif")
    return id


def test_query(at: Run, url: str, liver: str) -> None:
    code, out, err = at("query")
    assert code == 0
    lines = out.splitlines()
    assert lines[0].strip() == "Available Tensor Sources"
    assert [word.strip() for word in lines[2].strip("┃|").replace("|", "┃").split("┃")] == [
        "Source ID", "Tensor ID", "Shape", "Dtype",
    ]  # fmt: skip
    row = next(line for line in lines if liver in line)
    assert "[3, 40, 50]" in row
    assert "u" in row
    assert lines[-1].startswith(f"Server: {url}  Sources: 2")
    assert lines[-2] == ""
    assert ("Cache: " in lines[-1]) == url.startswith("grpc")
    assert err.startswith("Completed in ")


def test_query_as_json(at: Run, url: str) -> None:
    code, out, err = at("query", "--json")
    told = json.loads(out)
    assert (code, err, told["server"], len(told["sources"])) == (0, "", url, 2)
    one = next(source for source in told["sources"] if source["name"] == "liver.tif")
    assert one["tensors"][0]["shape"] == [3, 40, 50]
    assert one["tensors"][0]["dim_labels"] == ["z", "y", "x"]


def test_query_of_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    server = Server(tmp_path / "empty", Settings(port=0))
    server.start_background()
    try:
        code, out, _ = run("query", "-s", server.url)
    finally:
        server.stop()
    assert (code, out) == (0, f"No sources found on {server.url}\n")


def test_metadata(at: Run, liver: str) -> None:
    code, out, _ = at("metadata", liver)
    assert code == 0
    lines = out.splitlines()
    assert lines[:2] == [f"Source: {liver}", "Tensors: 1"]
    assert lines[2].startswith(f"  {liver} shape=[3, 40, 50] dtype=")
    told = out.partition("Source Metadata:\n")[2]
    assert json.loads(told)["imagej"]["spacing"] == 2
    code, out, _ = at("metadata", "liver.tif", "--tensor", liver)
    assert code == 0
    assert f"Tensor Descriptor: {liver}" in out
    assert '"x": "0.5 micrometer"' in out
    told_json = json.loads(at("metadata", liver, "--tensor", liver, "--json")[1])
    assert told_json["descriptor"]["Axes"] == ["z", "y", "x"]
    assert told_json["metadata"]


def test_metadata_of_what_there_is_not(at: Run, liver: str) -> None:
    code, out, err = at("metadata", "nosuch")
    assert (code, out) == (1, "")
    assert err.startswith("Source not found: nosuch")
    code, _, err = at("metadata", liver, "--tensor", "nope")
    assert (code, err) == (1, "Tensor not found: nope\n")


@pytest.mark.parametrize(("reason", "told"), [("damaged", "Not opened: damaged\n"), ("", "")])
def test_a_source_that_was_not_opened_says_why(reason: str, told: str, capsys: pytest.CaptureFixture[str]) -> None:
    tell_source(Entry("x", reason=reason), None)
    got = capsys.readouterr()
    assert (got.out, got.err) == ("Source: x\nTensors: 0\n", told)


def test_stats(at: Run, liver: str) -> None:
    code, out, err = at("stats", liver)
    assert code == 0
    assert err.startswith(f"Computing statistics for {liver}\n")
    assert "Tensor Statistics" in out
    cells = {row.split("│")[1].strip(): row.split("│")[2].strip() for row in out.splitlines() if row.startswith("│")}
    assert cells["min"] == f"{PIXELS.min():.6g}"
    assert cells["mean"] == f"{PIXELS.mean():.6g}"
    assert cells["count"] == str(PIXELS.size)
    code, out, err = at("stats", liver, "--slice", "0:1,0:10,:-30", "--json")
    region = PIXELS[0:1, 0:10, :-30]
    told = json.loads(out)
    assert code == 0
    assert "(region: 0:1,0:10,:-30)" in err
    assert told["shape"] == list(region.shape)
    assert (told["min"], told["max"], told["count"]) == (region.min(), region.max(), region.size)
    assert abs(told["mean"] - region.mean()) < 1e-9


def test_stats_leave_out_what_is_no_number(at: Run) -> None:
    told = json.loads(at("stats", "holes.tif", "--json")[1])
    assert (told["min"], told["max"], told["mean"], told["count"], told["nan"]) == (2.5, 2.5, 2.5, 24, 3)
    code, out, _ = at("stats", "holes.tif", "-S", "1:2,1:4")
    assert (code, out.count("nan")) == (0, 4)
    assert json.loads(at("stats", "holes.tif", "-S", "1:2,1:4", "--json")[1])["mean"] is None


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nosuch",), "Source not found: nosuch"),
        (("liver.tif", "-S", "0:1,3"), "Invalid slice format: Slice must be in start:stop format"),
        (("liver.tif", "-S", "0:x,0:1,0:1"), "Invalid slice format: Slice must be in start:stop format, not '0:x'"),
        (
            ("liver.tif", "-S", "0:1"),
            "Metadata error for liver.tif: Slice hint dimensionality mismatch: expected 3, got start=1 stop=1",
        ),
        (("liver.tif", "-S", "0:4,0:1,0:1"), "Slice stop exceeds tensor shape on axis 0"),
        (("liver.tif", "-S", "2:1,0:1,0:1"), "Slice start must be <= stop on axis 0"),
        (("liver.tif", "-S", "-9:1,0:1,0:1"), "Slice bounds must be non-negative on axis 0"),
        (("liver.tif", "-S", "1:1,0:1,0:1"), "The region is empty"),
        (("liver.tif", "--level", "9"), "There is no level 9"),
    ],
)
def test_stats_that_cannot_be(at: Run, arguments: tuple[str, ...], words: str) -> None:
    code, out, err = at("stats", *arguments)
    assert (code, out) == (1, "")
    assert f"Failed to compute statistics: {words}" in err


def test_get(at: Run, tmp_path: Path) -> None:
    path = tmp_path / "x.npy"
    code, out, err = at("get", "liver.tif", "-o", str(path))
    assert (code, out) == (0, "")
    assert err.startswith("Fetching tensor liver.tif (format: npy)\nWritten to ")
    np.testing.assert_array_equal(np.load(path), PIXELS)
    code, _, err = at("get", "liver.tif", "-o", str(path))
    assert code == 1
    assert "is there already. Write it over with --force." in err
    assert at("get", "liver.tif", "-o", str(path), "--force", "--slice", "0:1,0:2,0:3")[0] == 0
    np.testing.assert_array_equal(np.load(path), PIXELS[:1, :2, :3])


def test_get_to_standard_output(server: Server) -> None:
    code = "from coverslip.cli.main import main; main()"
    arguments = ["tensor", "get", "liver.tif", "-f", "npy"]
    given = {**os.environ, "COVERSLIP_URL": server.url, "COVERSLIP_TOKEN": TOKEN}
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, env=given, check=True)
    np.testing.assert_array_equal(np.load(io.BytesIO(done.stdout)), PIXELS)
    assert b"Completed" in done.stderr


def test_get_that_cannot_be(at: Run, tmp_path: Path) -> None:
    for arguments, words in (
        (("nosuch", "-o", str(tmp_path / "x.npy")), "Failed to fetch tensor: Source not found: nosuch"),
        (("liver.tif", "-f", "zarr"), "zarr needs a file"),
        (("liver.tif", "-o", str(tmp_path / "no" / "x.npy")), "There is no folder"),
    ):
        code, _, err = at("get", *arguments)
        assert code == 1
        assert words in err
    assert at("get", "liver.tif", "-f", "bmp")[0] == 2
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_does_not_answer(run: Run) -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    for name, context in (
        ("query", "Error querying server"),
        ("metadata x", "Error fetching metadata"),
        ("stats x", "Failed to compute statistics"),
        ("get x -o x.npy", "Failed to fetch tensor"),
    ):
        code, out, err = run(*name.split(), "-s", f"grpc://127.0.0.1:{port}")
        assert (code, out) == (1, "")
        assert f"{context}: No server answers at grpc://127.0.0.1:{port}: connection refused" in err
        assert "Traceback" not in err


def test_tokens(run: Run, url: str) -> None:
    code, _, err = run("query", "-s", url)
    assert (code, "asks for a token" in err) == (1, True)
    code, _, err = run("query", "-s", url, "-t", "another-token-1234567")
    assert (code, "does not take the token" in err, "another" in err) == (1, True, False)


def test_the_question_loads_little(server: Server) -> None:
    """What a query of the list imports is most of the time that it takes."""
    code = "import sys; sys.argv[1:] = ['tensor', 'query']\nfrom coverslip.cli.main import main\ntry: main()\nfinally: "
    listed = "print(*sorted(sys.modules), file=sys.stderr)"
    for url, unwanted in (
        (server.url, {"pyarrow", "numpy"}),
        (server.flight_url, {"biopb", "pyarrow.dataset", "pandas"}),
    ):
        given = {**os.environ, "COVERSLIP_URL": str(url), "COVERSLIP_TOKEN": TOKEN}
        done = subprocess.run(
            [sys.executable, "-c", code + listed], capture_output=True, text=True, env=given, check=True
        )
        loaded = set(done.stderr.split())
        assert loaded.isdisjoint({"dask", "xarray", "h5py", "tensorstore", "starlette", "uvicorn", *unwanted})


class Stalling(BaseHTTPRequestHandler):
    """A server that describes a large image, sends a little of it, and then nothing."""

    protocol_version = "HTTP/1.1"
    asked = threading.Event()

    def do_GET(self) -> None:
        axes = [{"name": name, "type": "space", "unit": None, "scale": 1} for name in "zyx"]
        shape = [64, 2048, 2048]
        told = {"service": "coverslip", "ready": True, "array_id": "x", "name": "x", "version": "1", "dtype": "uint16",
                "axes": axes, "chunk_shape": [1, 2048, 2048], "rgb": False, "is_label": False, "labels": [],
                "channels": [], "levels": [{"shape": shape, "downsample": [1, 1, 1]}]}  # fmt: skip
        body = json.dumps(told).encode()
        stalls = self.path.startswith("/api/block")
        self.send_response(200)
        self.send_header("Content-Length", str(2 * 2048 * 2048 * 2 if stalls else len(body)))
        self.end_headers()
        if stalls:
            self.wfile.write(bytes(1000))
            self.asked.set()
            self.rfile.read(1)
        else:
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize("arguments", [("stats", "x"), ("get", "x", "-f", "npy", "-o", "x.npy")])
def test_ctrl_c_in_the_middle(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Stalling) as stalling:
        stalling.daemon_threads = True
        thread = threading.Thread(target=stalling.serve_forever)
        thread.start()
        Stalling.asked.clear()
        code = "from coverslip.cli.main import main; main()"
        url = f"http://127.0.0.1:{stalling.server_port}"
        command = [sys.executable, "-c", code, "tensor", *arguments, "-s", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, cwd=tmp_path) as running:
            assert Stalling.asked.wait(30)
            time.sleep(0.1)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
        stalling.shutdown()
        thread.join()
    assert running.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_ends_it(server: Server, tmp_path: Path) -> None:
    """While it waits for a server that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        code = "from coverslip.cli.main import main; main()"
        command = [sys.executable, "-c", code, "tensor", "get", "x", "-o", str(tmp_path / "x.npy"), "-s", url]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
            sock, _ = silent.accept()
            sock.recv(100)
            running.send_signal(signal.SIGINT)
            _, err = running.communicate(timeout=20)
            sock.close()
    assert running.returncode == 130
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_server_steers_no_terminal() -> None:
    drawn = table("a\x1b[2J", ("b", "c"), [("\x1b]0;d\x07", "e\nf"), ("\x9b31m", "g")], "utf-8")
    assert drawn.replace("\n", "").isprintable()
    assert len(drawn.splitlines()) == 7
    assert r"\x1b]0;d\x07" in drawn
    assert plain_lines("a\x1b[2J\r\nb") == "a\\x1b[2J\\r\nb"

"""Data sets whose elements lie in other files: virtual ones and external storage, good and hostile, beside h5py."""

from __future__ import annotations

import logging
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt
import pytest
from h5py import h5d, h5p, h5s, h5t
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]
OCTETS = {"accept": "application/octet-stream"}
RNG = np.random.default_rng(3)


class Client:
    """One file over the protocol."""

    def __init__(self, client: TestClient, domain: str = "/a.h5") -> None:
        self.client, self.domain = client, domain

    def describe(self, path: str) -> Any:
        return self.client.get("/hsds/datasets/", params={"domain": self.domain, "h5path": path}).json()

    def value(self, path: str, select: str = "", points: Any = None) -> Any:
        told = self.describe(path)
        url, query = f"/hsds/datasets/{told['id']}/value", {"domain": self.domain}
        if points is not None:
            return self.client.post(url, params=query, json={"points": points}, headers=OCTETS)
        return self.client.get(url, params={**query, **({"select": select} if select else {})}, headers=OCTETS)

    def read(self, path: str, dtype: Any, select: str = "", points: Any = None) -> npt.NDArray[Any]:
        answer = self.value(path, select, points)
        assert answer.status_code == 200, answer.text
        return np.frombuffer(answer.content, dtype)


def sources(folder: Path) -> None:
    for i in range(4):
        with h5py.File(folder / f"s{i}.h5", "w") as f:
            f["d"] = RNG.integers(0, 1000, (10, 12), dtype="i4")
            f["line"] = np.arange(120, dtype="i4") + 1000 * i
            f["soft"] = h5py.SoftLink("/d")
            f["deep/er/d"] = np.full((10, 12), i, "f4")


def virtual(file: h5py.File, name: str, shape: tuple[int, ...], *parts: Any, dtype: str = "i4", fill: int = -7) -> None:
    layout = h5py.VirtualLayout(shape, dtype)
    for into, source, part in parts:
        layout[into] = source if part is None else source[part]
    file.create_virtual_dataset(name, layout, fillvalue=fill)


def source(file: str, name: str = "d", shape: tuple[int, ...] = (10, 12)) -> h5py.VirtualSource:
    return h5py.VirtualSource(file, name, shape)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("virtual")
    (root / "sub").mkdir()
    sources(root)
    sources(root / "sub")
    with h5py.File(root / "a.h5", "w") as f:
        f["own"] = np.arange(24, dtype="i4").reshape(4, 6)
        virtual(f, "stack", (4, 10, 12), *((i, source(f"s{i}.h5"), None) for i in range(4)))
        virtual(
            f, "strided", (20, 12), (slice(0, 20, 2), source("s0.h5"), None), (slice(1, 20, 2), source("s1.h5"), None)
        )
        virtual(f, "part", (6, 8), (np.s_[1:4, 2:8:3], source("sub/s1.h5"), np.s_[2:8:2, 5:7]))
        virtual(f, "gaps", (4, 12), (1, source("s2.h5"), np.s_[3, :]), (3, source("none.h5"), np.s_[3, :]))
        virtual(f, "reshaped", (10, 12), (np.s_[:, :], source("s0.h5", "line", (120,)), None))
        virtual(f, "same", (4, 6), (np.s_[:, :], source(".", "own", (4, 6)), None))
        virtual(f, "soft", (10, 12), (np.s_[:, :], source("s1.h5", "soft"), None))
        virtual(f, "cast", (10, 12), (np.s_[:, :], source("s3.h5", "/deep/er/d"), None))
        virtual(f, "absolute", (10, 12), (np.s_[:, :], source(str(root / "s3.h5")), None))
        virtual(f, "upwards", (10, 12), (np.s_[:, :], source(f"../{root.name}/sub/../s3.h5"), None))
        virtual(f, "lacking", (10, 12), (np.s_[:, :], source("s1.h5", "nothing"), None))
        virtual(f, "nested", (10, 12), (np.s_[:, :], source("sub/b.h5", "v"), None))
    with h5py.File(root / "sub" / "b.h5", "w") as f:
        virtual(f, "v", (10, 12), (np.s_[:5, :], source("s0.h5"), np.s_[:5, :]))
    irregular(root)
    return root


def irregular(root: Path) -> None:
    """Selections that h5py's own layout does not write: several blocks of different sizes."""
    into, origin = h5s.create_simple((10, 12)), h5s.create_simple((10, 12))
    into.select_hyperslab((0, 0), (2, 3))
    into.select_hyperslab((5, 6), (1, 4), op=h5s.SELECT_OR)
    origin.select_hyperslab((1, 1), (1, 5))
    origin.select_hyperslab((8, 2), (1, 5), op=h5s.SELECT_OR)
    plist = h5p.create(h5p.DATASET_CREATE)
    plist.set_layout(h5d.VIRTUAL)
    plist.set_virtual(into, b"s1.h5", b"d", origin)
    with h5py.File(root / "a.h5", "a") as f:
        h5d.create(f.id, b"blocks", h5t.NATIVE_INT32, h5s.create_simple((10, 12)), plist)


@pytest.fixture(scope="module")
def served(serve_all: Serve, folder: Path) -> Client:
    return Client(serve_all(folder))


NAMES = ["stack", "strided", "part", "gaps", "reshaped", "same", "soft", "cast", "absolute", "upwards", "lacking",
         "nested", "blocks"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_virtual_data_sets_read_as_h5py_reads_them(served: Client, folder: Path, name: str) -> None:
    with h5py.File(folder / "a.h5", "r", locking=False) as f:
        wanted = f[name][...]
        told = served.describe(name)
        assert told["shape"]["dims"] == list(wanted.shape)
        assert told["creationProperties"]["layout"]["class"] == "H5D_VIRTUAL"
        assert np.array_equal(served.read(name, "i4").reshape(wanted.shape), wanted)
        rows, columns = wanted.shape[-2:]
        lead = "1," if wanted.ndim == 3 else ""
        part = wanted[1] if wanted.ndim == 3 else wanted
        for select, cut in (
            (f"[{lead}1:{rows}:2,0:{columns}:3]", part[1:rows:2, 0:columns:3]),
            (f"[{lead}{rows - 1},2:5]", part[rows - 1, 2:5]),
            (f"[{lead}0:{rows},[0,3,5]]", part[:, [0, 3, 5]]),
        ):
            assert np.array_equal(served.read(name, "i4", select), cut.ravel()), select
        points = np.stack([RNG.integers(0, n, 30) for n in wanted.shape], axis=1)
        assert np.array_equal(served.read(name, "i4", points=points.tolist()), wanted[tuple(points.T)])


def test_h5grove_reads_them_too(served: Client, folder: Path) -> None:
    answer = served.client.get("/h5grove/data/", params={"file": "a.h5", "path": "/stack", "format": "bin"})
    with h5py.File(folder / "a.h5", "r", locking=False) as f:
        assert np.array_equal(np.frombuffer(answer.content, "i4").reshape(4, 10, 12), f["stack"][...])


def test_a_missing_source_is_told_once_in_the_log(serve: Serve, tmp_path: Path, caplog: Any) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as f:
        virtual(f, "v", (10, 12), (np.s_[:, :], source("none.h5"), None), fill=4)
    client = Client(serve(tmp_path))
    with caplog.at_level(logging.WARNING, "coverslip.hdf5"):
        for _ in range(3):
            assert (client.read("v", "i4") == 4).all()
    assert len([r for r in caplog.records if r.name == "coverslip.hdf5" and "'none.h5:d'" in r.getMessage()]) == 1


# --- what must not be read --------------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A served folder, with a secret file outside of it and ways there."""
    root, private = tmp_path / "root", tmp_path / "root-private"
    root.mkdir()
    private.mkdir()
    sources(private)
    (private / "raw.bin").write_bytes(np.arange(120, dtype="i4").tobytes())
    (root / "out.h5").symlink_to(private / "s0.h5")
    (root / "out.bin").symlink_to(private / "raw.bin")
    (root / "outside").symlink_to(private)
    (root / ".hidden").mkdir()
    sources(root / ".hidden")
    os.mkfifo(root / "pipe.h5")
    return root


WAYS = ["{private}/s0.h5", "../root-private/s0.h5", "out.h5", "outside/s0.h5", ".hidden/s0.h5", "/etc/passwd",
        "pipe.h5", "..", "x\0y", "sub/../../root-private/s0.h5"]  # fmt: skip


@pytest.mark.parametrize("way", WAYS)
def test_sources_elsewhere_are_refused_by_name(
    serve: Serve, hostile: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = hostile.with_name("root-private")
    monkeypatch.setenv("HDF5_VDS_PREFIX", str(private))
    monkeypatch.chdir(private)
    name = way.format(private=private)
    with h5py.File(hostile / "a.h5", "w") as f:
        if "\0" not in name:
            virtual(f, "v", (10, 12), (np.s_[:, :], source(name), None), fill=4)
        virtual(f, "relative", (10, 12), (np.s_[:, :], source("s0.h5"), None), fill=4)
    client = Client(serve(hostile))
    assert (client.read("relative", "i4") == 4).all(), "neither the working folder nor the environment is looked at"
    if "\0" not in name:
        refused = client.value("v")
        assert refused.status_code == 403, refused.text
        assert str(private) not in refused.text.replace(name, "")


def test_data_sets_that_grow_open_nothing(serve: Serve, hostile: Path) -> None:
    """Asked for the extent of one, HDF5 would open its sources: here a pipe, where it would wait for ever."""
    (hostile / "pipe.h5").unlink()
    with h5py.File(hostile / "pipe.h5", "w") as f:
        f.create_dataset("d", (10, 12), "i4", maxshape=(None, 12), chunks=(5, 12))
    with h5py.File(hostile / "a.h5", "w") as f:
        layout = h5py.VirtualLayout((10, 12), "i4", maxshape=(None, 12))
        grown = h5py.VirtualSource("pipe.h5", "d", (10, 12), maxshape=(None, 12))
        layout[0 : h5s.UNLIMITED, :] = grown[0 : h5s.UNLIMITED, :]
        f.create_virtual_dataset("v", layout)
    (hostile / "pipe.h5").unlink()
    os.mkfifo(hostile / "pipe.h5")
    found: list[Any] = []

    def ask() -> None:
        client = Client(serve(hostile))
        told = client.describe("v")
        found.extend(
            [
                told["shape"]["dims"],
                client.value("v").status_code,
                client.client.get("/hsds/?domain=/a.h5&getobjs=1").status_code,
            ]
        )

    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(30)
    assert found == [[10, 12], 501, 200]


def test_circles_end(serve: Serve, tmp_path: Path) -> None:
    for own, other in (("a", "b"), ("b", "a")):
        with h5py.File(tmp_path / f"{own}.h5", "w") as f:
            virtual(f, "d", (10, 12), (np.s_[:, :], source(f"{other}.h5"), None))
            virtual(f, "self", (10, 12), (np.s_[:, :], source(".", "self"), None))
            f["ring"] = h5py.SoftLink("/ring")
            virtual(f, "to_ring", (10, 12), (np.s_[:, :], source(".", "ring"), None))
    client = Client(serve(tmp_path))
    for name in ("d", "self"):
        refused = client.value(name)
        assert refused.status_code == 400
        assert "circle" in refused.text
    assert (client.read("to_ring", "i4") == -7).all()


def test_sources_that_multiply_end(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.formats.trees.hdf5_virtual.MOST_READS", 1000)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["d0"] = np.zeros((10, 12), "i4")
        for i in range(1, 8):
            virtual(f, f"d{i}", (10, 12), *((row, source(".", f"d{i - 1}"), np.s_[row, :]) for row in range(10)))
        virtual(f, "wide", (10, 12), *[(np.s_[:, :], source(".", "d7"), None)])
    client = Client(serve(tmp_path))
    assert (client.read("d3", "i4") == 0).all()
    layers = client.value("wide")
    assert layers.status_code == 200, layers.text
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["d0"] = np.zeros((10, 12), "i4")
        for i in range(1, 8):
            virtual(f, f"d{i}", (10, 12), *([(np.s_[:, :], source(".", f"d{i - 1}"), None)] * 10))
    refused = client.value("d7")
    assert (refused.status_code, "1,000 pieces" in refused.text) == (413, True)


def test_a_source_that_is_damaged_or_of_another_type(serve: Serve, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "s0.h5", "w") as f:
        f["d"] = np.zeros((10, 12), "S4")
        f["small"] = np.zeros((3, 3), "i4")
    (tmp_path / "cut.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with h5py.File(tmp_path / "a.h5", "w") as f:
        virtual(f, "text", (10, 12), (np.s_[:, :], source("s0.h5"), None))
        virtual(f, "small", (10, 12), (np.s_[:, :], source("s0.h5", "small"), np.s_[:, :]))
        virtual(f, "cut", (10, 12), (np.s_[:, :], source("cut.h5"), None))
    client = Client(serve(tmp_path))
    assert client.value("text").status_code == 501
    assert client.value("cut").status_code == 422
    assert client.value("small").status_code in (200, 422)


# --- external storage -------------------------------------------------------------------------------------------------


def test_external_storage_reads_as_h5py_reads_it(serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = RNG.integers(0, 1000, (50, 40), dtype="i4")
    data = values.tobytes()
    (tmp_path / "one.bin").write_bytes(b"head" + data[:3000])
    (tmp_path / "two.bin").write_bytes(data[3000:6000])
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "three.bin").write_bytes(data[6000:7000])
    with h5py.File(tmp_path / "a.h5", "w") as f:
        pieces = [("one.bin", 4, 3000), ("two.bin", 0, 3000), ("sub/three.bin", 0, h5py.h5f.UNLIMITED)]
        f.create_dataset("raw", (50, 40), "i4", external=pieces)
        f.create_dataset("absolute", (10,), ">f4", external=[(str(tmp_path / "two.bin"), 8, 40)])
    monkeypatch.chdir(tmp_path)
    with h5py.File(tmp_path / "a.h5", "r", locking=False) as f:
        wanted, absolute = f["raw"][...], f["absolute"][...]
    monkeypatch.chdir("/")
    assert (wanted.ravel()[:1750] == values.ravel()[:1750]).all()
    assert (wanted.ravel()[1750:] == 0).all()
    client = Client(serve(tmp_path))
    assert np.array_equal(client.read("raw", "i4").reshape(50, 40), wanted)
    assert client.read("absolute", ">f4").tobytes() == absolute.tobytes()
    for select, cut in (
        ("[10:30,:]", wanted[10:30]), ("[3,5:9]", wanted[3, 5:9]), ("[0:50:3,1:40:7]", wanted[::3, 1:40:7]),
        ("[0:50,[1,9,3]]", wanted[:, [1, 9, 3]]), ("[0:50:1,0:40:2]", wanted[:, ::2]),
    ):  # fmt: skip
        assert np.array_equal(client.read("raw", "i4", select), cut.ravel()), select
    points = np.stack([RNG.integers(0, n, 200) for n in wanted.shape], axis=1)
    assert np.array_equal(client.read("raw", "i4", points=points.tolist()), wanted[tuple(points.T)])


@pytest.mark.parametrize("way", ["{private}/raw.bin", "../root-private/raw.bin", "out.bin", "outside/raw.bin",
                                 "pipe.h5", "/dev/zero", ".hidden/s0.h5", "socket"])  # fmt: skip
def test_raw_files_elsewhere_are_refused_by_name(
    serve: Serve, hostile: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    private = hostile.with_name("root-private")
    monkeypatch.setenv("HDF5_EXTFILE_PREFIX", str(private))
    monkeypatch.chdir(hostile)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        monkeypatch.chdir(private)
        with h5py.File(hostile / "a.h5", "w") as f:
            f.create_dataset("raw", (10,), "i4", external=[(way.format(private=private), 0, 40)])
            f.create_dataset("missing", (10,), "i4", external=[("raw.bin", 0, 40)])
            f.create_dataset("text", (10,), h5py.string_dtype(), external=[("raw.bin", 0, 160)])
        client = Client(serve(hostile))
        refused = client.value("raw")
        assert refused.status_code == 403, refused.text
        assert refused.text.count(str(private)) == way.count("{private}")
        missing = client.value("missing")
        assert (missing.status_code, "'raw.bin'" in missing.text) == (404, True)
        assert client.value("text").status_code == 501


def test_a_file_that_is_served_alone_has_no_neighbours(serve: Serve, tmp_path: Path) -> None:
    sources(tmp_path)
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["own"] = np.arange(3)
        virtual(f, "v", (10, 12), (np.s_[:, :], source("s0.h5"), None))
    refused = Client(serve([tmp_path / "a.h5", tmp_path / "s1.h5"])).value("v")
    assert refused.status_code == 403

"""Images written to files: equal pixels by other readers, whole or not at all; figures of them."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import zarr
from conftest import LIVER, TOKEN, VOLUME, url_of

import coverslip
from coverslip.client import Client, files
from coverslip.client.figures import figures_of, stream_figures
from coverslip.client.region import region
from coverslip.core.errors import BadRequest, CoverslipError, DiskFull, Unreadable, Unsupported
from coverslip.server import Server


def part(client: Client, name: str, where: str | None = None, level: int = 0) -> files.Part:
    image = client[name]
    shape = image.level(level).shape
    return files.Part(image, level, region(where, name, shape, image.dims), lambda n: None)


def back(path: Path) -> Any:
    match path.suffix:
        case ".npy":
            return np.load(path)
        case ".tif":
            return tifffile.imread(path)
        case ".zarr":
            return zarr.open_array(path, mode="r")[...]
        case _:
            return np.fromfile(path, "<u2")


@pytest.mark.parametrize("ending", [".npy", ".tif", ".zarr", ".raw"])
@pytest.mark.parametrize("where", [None, "0:2,1:3,0:1,100:300,7:107"])
def test_formats(client: Client, tmp_path: Path, ending: str, where: str | None) -> None:
    path = tmp_path / f"x{ending}"
    files.write(part(client, "liver.ome.tif", where), files.format_of(path.name, None), str(path))
    want = LIVER if where is None else LIVER[0:2, 1:3, 0:1, 100:300, 7:107]
    found = back(path)
    np.testing.assert_array_equal(found.reshape(want.shape), want)
    assert ending == ".raw" or found.shape == want.shape or found.shape == want.squeeze().shape
    assert [one.name for one in tmp_path.iterdir()] == [path.name]


def test_facts_go_along(client: Client, tmp_path: Path) -> None:
    files.write(part(client, "liver.ome.tif", "0:2,1:3,0:2,0:620,0:530"), "tiff", str(tmp_path / "x.tif"))
    with tifffile.TiffFile(tmp_path / "x.tif") as file:
        told = tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]
    assert [channel["Name"] for channel in told["Channel"]] == ["GFP", "Cy5"]
    assert (told["PhysicalSizeX"], told["PhysicalSizeXUnit"]) == (0.5, "µm")
    files.write(part(client, "liver.ome.tif", level=1), "tiff", str(tmp_path / "coarse.tif"))
    with tifffile.TiffFile(tmp_path / "coarse.tif") as file:
        assert tifffile.xml2dict(file.ome_metadata)["OME"]["Image"]["Pixels"]["PhysicalSizeX"] == 1
    files.write(part(client, "liver.ome.tif"), "zarr", str(tmp_path / "x.zarr"))
    array = zarr.open_array(tmp_path / "x.zarr", mode="r")
    assert array.metadata.dimension_names == ("t", "c", "z", "y", "x")
    assert array.attrs["coverslip"]["channels"] == ["DAPI", "GFP", "Cy5"]


def test_planes_and_tiles_of_a_tiff(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = files.blocks
    monkeypatch.setattr(files, "blocks", lambda *given: blocks(*given, 100_000))
    files.write(part(client, "liver.ome.tif"), "tiff", str(tmp_path / "planes.tif"))
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "planes.tif"), LIVER)
    monkeypatch.setattr(files, "PLANE_BYTES", 1000)
    files.write(part(client, "liver.ome.tif", "0:1,0:2,0:2,3:620,5:530"), "tiff", str(tmp_path / "tiles.tif"))
    with tifffile.TiffFile(tmp_path / "tiles.tif") as file:
        assert file.pages[0].is_tiled
        np.testing.assert_array_equal(file.asarray().squeeze(), LIVER[0, :2, :2, 3:, 5:])


def test_references(server: Server, tmp_path: Path) -> None:
    from biopb.tensor.serialized_pb2 import SerializedTensor

    with coverslip.connect(url_of(server, "flight"), TOKEN) as client:
        wanted = part(client, "volume.zarr", "2:4,0:130,5:60")
        files.write(wanted, "pb", str(tmp_path / "x.pb"))
        files.write(wanted, "pickle", str(tmp_path / "x.pkl"))
    told = SerializedTensor.FromString((tmp_path / "x.pb").read_bytes())
    assert told.location == url_of(server, "flight").replace("grpc://", "grpc+tcp://")
    assert told.auth_token == "", "a sealed plan needs no token"
    lazy = pickle.loads((tmp_path / "x.pkl").read_bytes())
    np.testing.assert_array_equal(lazy.compute(), VOLUME[2:4, :, 5:60])
    assert (tmp_path / "x.pkl").stat().st_mode & 0o77 == 0
    with coverslip.connect(url_of(server, "http"), TOKEN) as client, pytest.raises(Unsupported, match="grpc://"):
        files.write(part(client, "volume.zarr"), "pb", str(tmp_path / "y.pb"))
    assert not (tmp_path / "y.pb").exists()


@pytest.mark.parametrize("form", ["npy", "raw", "tiff"])
def test_a_link_at_a_name_that_could_be_guessed_is_not_followed(client: Client, tmp_path: Path, form: str) -> None:
    victim, target = tmp_path / "victim", tmp_path / "a"
    victim.write_text("precious")
    target.with_name(f".a.{os.getpid()}.part").symlink_to(victim)
    files.write(part(client, "volume.zarr", "0:1,0:9,0:9"), form, str(target))
    assert victim.read_text() == "precious"
    assert not target.is_symlink()
    assert target.stat().st_size


def test_nothing_is_written_over_unasked(client: Client, tmp_path: Path) -> None:
    for name in ("x.npy", "x.zarr"):
        path = tmp_path / name
        files.write(part(client, "volume.zarr", "0:1,0:9,0:9"), files.format_of(name, None), str(path))
        with pytest.raises(BadRequest, match=r"is there already. Write it over with --force"):
            files.write(part(client, "volume.zarr"), files.format_of(name, None), str(path))
        assert back(path).shape == (1, 9, 9)
        files.write(part(client, "volume.zarr", "0:2,0:9,0:9"), files.format_of(name, None), str(path), force=True)
        assert back(path).shape == (2, 9, 9)
    assert len(list(tmp_path.iterdir())) == 2


@pytest.mark.parametrize("form", ["npy", "zarr", "tiff"])
def test_what_was_begun_is_removed(client: Client, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any) -> Iterator[Any]:
        yield (slice(0, 1), slice(0, 130), slice(0, 150)), VOLUME[:1]
        raise CoverslipError("the server went away")

    monkeypatch.setattr(files, "blocks", broken)
    target = tmp_path / "x"
    target.write_text("kept")
    with pytest.raises(CoverslipError, match="went away"):
        files.write(part(client, "volume.zarr"), form, str(target), force=True)
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert target.read_text() == "kept"


def test_places_that_cannot_be_written(client: Client, tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="no folder"):
        files.write(part(client, "volume.zarr"), "npy", str(tmp_path / "no" / "x.npy"))
    with pytest.raises(Unreadable, match="Cannot write"):
        files.write(part(client, "volume.zarr"), "npy", "/proc/x.npy")
    (tmp_path / "folder").mkdir()
    with pytest.raises(Unreadable, match="Cannot write"):
        files.write(part(client, "volume.zarr"), "npy", str(tmp_path / "folder"), force=True)


def test_a_full_disk(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, os.strerror(28))

    monkeypatch.setattr(files, "_stream", full)
    with pytest.raises(DiskFull, match="no room"):
        files.write(part(client, "volume.zarr"), "npy", str(tmp_path / "x.npy"))
    assert list(tmp_path.iterdir()) == []


def test_figures(client: Client) -> None:
    for name, want in (("liver.ome.tif", LIVER), ("volume.zarr", VOLUME)):
        image = client[name]
        seen: list[int] = []
        found = stream_figures(client.transport, image.about, 0, [range(n) for n in want.shape], seen.append)
        assert (found.low, found.high) == (np.nanmin(want), np.nanmax(want))
        assert math.isclose(found.mean, np.nanmean(want, dtype=np.float64), rel_tol=1e-6, abs_tol=1e-9)
        assert (found.nan, found.count) == (int(np.isnan(want).sum()), int((~np.isnan(want)).sum()))
        assert sum(seen) == want.size
    with pytest.raises(BadRequest, match="empty"):
        stream_figures(client.transport, image.about, 0, [range(0), range(1), range(1)])


@pytest.mark.parametrize("dtype", ["u1", "i1", "u2", "i4", "u8", "i8", ">i8", "f2", "f4", ">f8", "?"])
def test_figures_are_exact(dtype: str) -> None:
    kind = np.dtype(dtype)
    draw = np.random.default_rng(1)
    if kind.kind in "iu":
        about = np.iinfo(kind)
        values = draw.integers(about.min, about.max, 5000, kind.newbyteorder("="), endpoint=True).astype(kind)
    else:
        values = (
            (draw.normal(0, 3, 5000) > 0).astype(kind) if kind.kind == "b" else draw.normal(0, 3, 5000).astype(kind)
        )
    found = figures_of(values)
    numbers = [int(v) if kind.kind in "iub" else float(v) for v in values]
    assert (found.low, found.high, found.count) == (min(numbers), max(numbers), 5000)
    assert found.total == sum(numbers) if kind.kind in "iub" else math.isclose(found.total, math.fsum(numbers))


def test_figures_of_nothing() -> None:
    found = figures_of(np.array([np.nan, np.nan]))
    assert (found.count, found.nan) == (0, 2)
    assert math.isnan(found.mean)

"""Zarr stores that are damaged, odd or hostile: always our own error, never a crash, never a file from elsewhere."""

from __future__ import annotations

import json
import os
import shutil
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numcodecs import Blosc
from zarr.codecs import BloscCodec

from coverslip.core.errors import CoverslipError, Damaged, NotFound, UnsafeLink, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source, recognise
from coverslip.formats.trees import blosc, zarr_store
from coverslip.formats.trees.zarr_store import FolderStore
from fuzz import rounds
from zarr_files import V3_CODECS, axes, datasets, pixels, pyramid, write_group, write_image


def simple(path: Path, data: np.ndarray[Any, Any], version: int = 3, **options: Any) -> Path:
    ome = {"multiscales": [{"axes": axes("zyx"[-data.ndim :]), "datasets": datasets(1, [1.0] * data.ndim)}]}
    return write_image(path, [data], ome, version, **options)


@pytest.mark.parametrize("version", [2, 3])
def test_chunks_that_are_not_stored_hold_the_fill_value(tmp_path: Path, version: int) -> None:
    data = np.full((32, 32), 7, "uint16")
    data[:16, :16] = 1
    path = simple(tmp_path / "a.zarr", data, version, fill_value=7)
    assert len([f for f in (path / "0").rglob("*") if f.is_file()]) == (3 if version == 2 else 2)
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


def test_the_own_metadata_is_plain_json(tmp_path: Path) -> None:
    path = simple(tmp_path / "a.zarr", pixels((4, 4), "uint8"), 2)
    attrs = json.loads((path / ".zattrs").read_text()) | {"gain": float("nan"), "from": "/home/me/x.czi", "kept": "a/b"}
    (path / ".zattrs").write_text(json.dumps(attrs))
    source = open_source(path)
    raw = source.root.attrs["coverslip"]["raw"]
    assert (raw["gain"], raw["from"], raw["kept"]) == ("nan", "x.czi", "a/b")
    json.dumps(dict(source.root.attrs), allow_nan=False)
    source.close()


def test_a_level_that_is_gone_leaves_the_finer_ones(tmp_path: Path) -> None:
    ome = {"multiscales": [{"axes": axes("yx"), "datasets": datasets(3, [1.0, 1.0])}]}
    path = write_image(tmp_path / "a.zarr", pyramid(pixels((16, 16), "uint8"), 3), ome)
    shutil.rmtree(path / "1")
    source = open_source(path)
    assert len(source.root.attrs["ome"]["multiscales"][0]["datasets"]) == 1
    assert "1" in source.root.attrs["coverslip"]["left_out"]
    source.close()
    shutil.rmtree(path / "0")
    with pytest.raises(CoverslipError):
        open_source(path)


def test_anndata_is_left_to_others(tmp_path: Path) -> None:
    from coverslip.formats.ome_zarr import FORMAT

    path = write_group(tmp_path / "a.zarr", {"encoding-type": "anndata"})
    assert not FORMAT.claims(path, b"")


@pytest.mark.parametrize("suffix", [".zip", ".ozx"])
def test_zips_of_other_things_are_not_claimed(tmp_path: Path, suffix: str) -> None:
    from coverslip.formats.ome_zarr import FORMAT

    path = tmp_path / f"a{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/zarr.json", "{}")
    assert not FORMAT.claims(path, path.read_bytes()[:4096])


# What is hostile or damaged.


def test_a_chunk_that_is_a_link_outwards_is_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(256))
    path = simple(tmp_path / "a.zarr", pixels((16, 32), "uint8"), compressors=None)
    chunk = path / "0" / "c" / "0" / "1"
    chunk.unlink()
    chunk.symlink_to(secret)
    source = open_source(path)
    array = source.root.array("0")
    array.read(Box((0, 0), (16, 16)))
    with pytest.raises(UnsafeLink):
        array.read(Box((0, 0), (16, 17)))
    with pytest.raises(UnsafeLink):
        array.stored_chunk((0, 1))  # type: ignore[attr-defined]
    source.close()


def test_a_folder_that_is_a_link_outwards_is_refused(tmp_path: Path) -> None:
    other = simple(tmp_path / "other.zarr", pixels((16, 16), "uint8"))
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"))
    shutil.rmtree(path / "0")
    (path / "0").symlink_to(other / "0")
    with pytest.raises(UnsafeLink):
        open_source(path)
    (path / "0").unlink()
    shutil.copytree(other / "0", path / "0")
    shutil.rmtree(path / "0" / "c")
    (path / "0" / "c").symlink_to(other / "0" / "c")
    source = open_source(path)
    with pytest.raises(UnsafeLink):
        source.root.array("0").read_all()
    source.close()


@pytest.mark.parametrize("swapped", ["", "0", "0/c", "0/c/0"])
def test_a_folder_that_a_link_takes_the_place_of_is_not_followed(swapped: str, tmp_path: Path) -> None:
    paths = [simple(tmp_path / name, pixels((16, 32), "uint8"), compressors=None) for name in ("a.zarr", "other.zarr")]
    source = open_source(paths[0])
    array = source.root.array("0")
    array.read(Box((0, 0), (16, 16)))  # so that its folders are known
    store = FolderStore(paths[0])
    assert store.read("0/c/0/0")
    (paths[0] / swapped).rename(tmp_path / "kept")
    (paths[0] / swapped).symlink_to(paths[1] / swapped)
    if Path("/proc/self/fd").exists():
        with pytest.raises(UnsafeLink):
            store.read("0/c/0/1")  # at once
    store._known.clear()  # as they are a second later
    with pytest.raises(UnsafeLink):
        store.read("0/c/0/1")
    array._bytes._known.clear()  # type: ignore[attr-defined]
    with pytest.raises(UnsafeLink):
        array.read(Box((0, 16), (16, 32)))
    source.close()


def test_what_is_known_of_folders_is_soon_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"), compressors=None)
    monkeypatch.setattr(zarr_store, "FOLDER_S", -1.0)
    store = FolderStore(path)
    assert store.size("0/c/0/0")
    (path / "0" / "c").rename(tmp_path / "kept")
    (path / "0" / "c").symlink_to(tmp_path / "kept")
    with pytest.raises(UnsafeLink):
        store.size("0/c/0/0")


def test_links_inside_the_store_are_followed(tmp_path: Path) -> None:
    data = pixels((16, 16), "uint8")
    path = simple(tmp_path / "a.zarr", data)
    (path / "0").rename(path / "real")
    (path / "0").symlink_to("real")
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    source.close()


@pytest.mark.parametrize("dataset", ["../b.zarr/0", "x/../../b.zarr/0", "..\\b.zarr"])
def test_paths_that_lead_upwards_are_refused(tmp_path: Path, dataset: str) -> None:
    simple(tmp_path / "b.zarr", pixels((16, 16), "uint8"))
    ome = {"multiscales": [{"axes": axes("yx"), "datasets": [{"path": dataset}]}]}
    path = write_group(tmp_path / "a.zarr", {"ome": ome})
    with pytest.raises(UnsafeLink):
        open_source(path)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are POSIX")
def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"))
    (path / "0" / "c" / "0" / "0").unlink()
    os.mkfifo(path / "0" / "c" / "0" / "0")
    source = open_source(path)
    with pytest.raises(Damaged):
        source.root.array("0").read_all()
    source.close()


def edited(path: Path, **changes: Any) -> Path:
    """The image with other metadata of its level."""
    file = next(f for f in (path / "0" / "zarr.json", path / "0" / ".zarray") if f.exists())
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    return path


HUGE = {"name": "regular", "configuration": {"chunk_shape": [1 << 40, 1 << 20]}}


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": [1 << 40, 1 << 20], "chunk_grid": HUGE},
        {"shape": [-1, 4]},
        {"shape": "16"},
        {"shape": [16]},
        {"shape": [16.5, 3]},
        {"chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [0, 4]}}},
        {"chunk_grid": {"name": "rectilinear", "configuration": {"chunk_shape": [4, 4]}}},
        {"chunk_grid": None},
        {"codecs": None},
        {"codecs": [{"name": "bytes"}, {"name": "my.codec"}]},
        {"codecs": []},
        {"codecs": [{"name": "sharding_indexed", "configuration": "x"}]},
        {"codecs": [{"name": "sharding_indexed", "configuration": {"chunk_shape": [4]}}]},
        {"codecs": [7]},
        {"chunk_key_encoding": {"name": "default", "configuration": {"separator": "/../../"}}},
        {"data_type": "r64"},
        {"data_type": {"name": "numpy.datetime64", "configuration": {"unit": "s", "scale_factor": 1}}},
        {"node_type": "tree"},
        {"zarr_format": 9},
        {"fill_value": "seven"},
        {"storage_transformers": [{"name": "x"}]},
        {"extra": {"must_understand": True}},
    ],
)
def test_metadata_of_arrays_that_makes_no_sense(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = edited(simple(tmp_path / "a.zarr", pixels((16, 16), "uint8")), **changes)
    with pytest.raises((Damaged, Unsupported)) as caught:
        open_source(path).root.array("0").read(Box((0, 0), (2, 2)))
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "changes",
    [
        {"dimension_separator": "/../../"},
        {"dtype": [["a", "<i4"], ["b", "<f4"]]},
        {"dtype": "<M8[ns]"},
        {"dtype": "|O", "filters": [{"id": "pickle"}]},
        {"dtype": "nonsense"},
        {"filters": [{"id": "delta", "dtype": "|u1"}]},
        {"filters": {"id": "delta"}},
        {"compressor": {"id": "lz4", "acceleration": 1}},
        {"chunks": [4]},
        {"order": "Q"},
    ],
)
def test_metadata_of_v2_arrays_that_makes_no_sense(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = edited(simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"), 2), **changes)
    with pytest.raises((Damaged, Unsupported)) as caught:
        open_source(path).root.array("0").read(Box((0, 0), (2, 2)))
    assert str(tmp_path) not in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    "multiscales",
    [{}, [], [{}], [{"datasets": []}], [{"datasets": [{}]}], [{"datasets": [{"path": "nowhere"}]}], [3], "x", [None]],
)
def test_ome_metadata_that_makes_no_sense(tmp_path: Path, multiscales: Any) -> None:
    path = write_group(tmp_path / "a.zarr", {"ome": {"multiscales": multiscales, "plate": None, "labels": []}})
    if recognise(path).name == "zarr":  # nothing in it says image
        open_source(path).close()
        return
    with pytest.raises(CoverslipError):
        open_source(path)


@pytest.mark.parametrize("plate", [{"wells": 3}, {"wells": [3]}, {"wells": []}, {"wells": [{"path": "../x"}]}, 5])
def test_plates_that_make_no_sense(tmp_path: Path, plate: Any) -> None:
    path = write_group(tmp_path / "a.zarr", {"ome": {"plate": plate}})
    with pytest.raises(CoverslipError):
        open_source(path)


def test_a_channel_axis_of_any_length_opens_at_once(tmp_path: Path) -> None:
    data = pixels((2, 16, 16), "uint8")
    ome = {
        "multiscales": [{"axes": axes("cyx"), "datasets": datasets(1, [1.0, 1.0, 1.0])}],
        "omero": {"channels": [{"label": "a"}]},
    }
    source = open_source(edited(write_image(tmp_path / "a.zarr", [data], ome), shape=[1 << 40, 16, 16]))
    np.testing.assert_array_equal(source.root.array("0").read(Box((0, 0, 0), (2, 16, 16))), data)
    source.close()


def test_odd_ome_metadata_still_shows_the_pixels(tmp_path: Path) -> None:
    data = pixels((2, 16, 16), "uint8")
    ome = {
        "multiscales": [{
            "axes": [{"name": "c"}, {"name": "y", "type": 3, "unit": 4}, {"name": "x"}],
            "datasets": [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, "2"]}, 7]}],
            "coordinateTransformations": 5.5,
        }],
        "omero": {"channels": [{"label": None, "color": 17, "window": {"start": "x"}}, 5]},
        "image-label": None,
    }  # fmt: skip
    source = open_source(write_image(tmp_path / "a.zarr", [data], ome))
    np.testing.assert_array_equal(source.root.array("0").read_all(), data)
    assert source.root.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1.0, 1.0, 1.0]}
    ]
    source.close()


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b'{"a": ' * 100_000, b"\xff\xfe", b"null"])
@pytest.mark.parametrize("where", ["zarr.json", "0/zarr.json"])
def test_metadata_that_is_no_json(tmp_path: Path, text: bytes, where: str) -> None:
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"))
    (path / where).write_bytes(text)
    with pytest.raises(CoverslipError):
        open_source(path)


@pytest.mark.parametrize("codec", ["blosc", "gzip", "zstd", "raw"])
def test_damaged_chunks_are_told_or_differ(tmp_path: Path, codec: str) -> None:
    """No damage ends the process, hangs, or raises anything but our own errors."""
    data = pixels((32, 32), "uint16")
    path = simple(tmp_path / "a.zarr", data, compressors=V3_CODECS[codec], chunks=(32, 32))
    chunk = path / "0" / "c" / "0" / "0"
    whole = chunk.read_bytes()
    rng = np.random.default_rng(5)
    told: list[str] = []
    for trial in rounds(60):
        broken = bytearray(whole)
        if trial % 3 == 0:
            del broken[int(rng.integers(0, len(broken))) :]
        else:
            for at in rng.integers(0, min(len(broken), 64 if trial % 3 == 1 else len(broken)), 2):
                broken[at] ^= int(rng.integers(1, 256))
        chunk.write_bytes(broken)
        source = open_source(path)
        try:
            assert source.root.array("0").read_all().shape == data.shape
        except CoverslipError as error:
            told.append(str(error))
        finally:
            source.close()
    assert len(told) >= 20
    assert not [text for text in told if str(tmp_path) in text or "\n" in text]


def test_a_damaged_shard_index_is_told(tmp_path: Path) -> None:
    data = pixels((32, 32), "uint16")
    path = simple(tmp_path / "a.zarr", data, chunks=(8, 8), shards=(32, 32))
    shard = path / "0" / "c" / "0" / "0"
    whole = bytearray(shard.read_bytes())
    whole[-10] ^= 1
    shard.write_bytes(whole)
    source = open_source(path)
    with pytest.raises(Damaged):
        source.root.array("0").read_all()
    source.close()


def test_a_chunk_larger_than_it_can_be_is_not_read(tmp_path: Path) -> None:
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"))
    chunk = path / "0" / "c" / "0" / "0"
    with chunk.open("ab") as file:
        file.truncate(1 << 40)
    source = open_source(path)
    with pytest.raises(Damaged, match="larger"):
        source.root.array("0").read_all()
    source.close()


@pytest.mark.parametrize("version", [2, 3])
def test_a_small_chunk_that_unpacks_to_gigabytes_is_not_unpacked(tmp_path: Path, version: int) -> None:
    codec: Any = Blosc() if version == 2 else BloscCodec()
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint16"), version, compressors=codec)
    (chunk,) = (
        f for f in (path / "0").rglob("*") if f.is_file() and not f.name.startswith(".") and f.suffix != ".json"
    )
    source = open_source(path)
    source.root.array("0").read_all()
    data = bytearray(chunk.read_bytes())
    assert struct.unpack_from("<I", data, 4) == (512,)
    struct.pack_into("<I", data, 4, 2_000_000_000)
    chunk.write_bytes(data)
    with pytest.raises(Damaged, match="larger than it can be"):
        source.root.array("0").read_all()
    source.close()


@pytest.mark.parametrize(
    ("codecs", "frames"),
    [(["bytes"], False), (["bytes", "blosc"], True), (["bytes", "blosc", "crc32c"], True), (["bytes", "gzip"], False)],
)
def test_which_chunks_are_blosc_frames(codecs: list[str], frames: bool) -> None:
    assert blosc.is_outermost({"codecs": [{"name": name} for name in codecs]}) == frames
    with pytest.raises(Damaged):
        blosc.is_outermost({"codecs": [{"name": "bytes"}, {"name": "blosc"}, {"name": "gzip"}]})


def test_a_chunk_that_may_not_be_read(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    path = simple(tmp_path / "a.zarr", pixels((16, 16), "uint8"))
    (path / "0" / "c" / "0" / "0").chmod(0)
    source = open_source(path)
    with pytest.raises(CoverslipError, match="ermission"):
        source.root.array("0").read_all()
    source.close()


def test_boxes_outside_are_refused(tmp_path: Path) -> None:
    source = open_source(simple(tmp_path / "a.zarr", pixels((16, 16), "uint8")))
    with pytest.raises(NotFound):
        source.root.array("0").read(Box((0, 0), (17, 1)))
    source.close()


def test_what_others_changed_is_read_anew(tmp_path: Path) -> None:
    """A chunk written in place is not answered from a cache."""
    path = simple(tmp_path / "a.zarr", np.zeros((16, 16), "uint8") + 1, compressors=None)
    source = open_source(path)
    assert source.root.array("0").read_all().max() == 1
    (path / "0" / "c" / "0" / "0").write_bytes(bytes([9]) * 256)
    assert source.root.array("0").read_all().min() == 9
    source.close()

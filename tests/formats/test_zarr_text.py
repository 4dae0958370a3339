"""Text in Zarr, in every encoding that is read, against zarr-python."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import BloscCodec, GzipCodec, ZstdCodec

from coverslip.core.errors import Damaged, NotFound, Unsupported
from coverslip.core.node import Array
from coverslip.core.spec import Box
from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
from coverslip.formats.trees.zarr_store import open_store
from fuzz import rounds
from zarr_files import write_group, zipped

pytestmark = pytest.mark.filterwarnings("ignore:The data type")  # zarr-python: text has no v3 specification yet

WORDS = np.array([f"größe {i} 細胞" * (i % 4) for i in range(23)], dtype=object)
TABLE = WORDS[:20].reshape(4, 5)
V3: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": ZstdCodec(level=1)},
    "gzip": {"compressors": GzipCodec()},
    "blosc": {"compressors": BloscCodec(cname="lz4", typesize=1)},
    "checked": {"compressors": [ZstdCodec(), {"name": "crc32c"}]},
    "shards": {"shards": (20,), "chunks": (5,)},
}
V2: dict[str, dict[str, Any]] = {
    "plain": {"compressors": None},
    "zstd": {"compressors": numcodecs.Zstd()},
    "blosc": {"compressors": numcodecs.Blosc()},
    "gzip": {"compressors": numcodecs.GZip()},
    "zlib": {"compressors": numcodecs.Zlib()},
    "bz2": {"compressors": numcodecs.BZ2()},
}
CASES = [(3, n, o) for n, o in V3.items()] + [(2, n, o) for n, o in V2.items()]


def written(path: Path, data: np.ndarray[Any, Any], version: int, **options: Any) -> Path:
    group = write_group(path, {}, version)
    dtype: Any = str if data.dtype.kind == "O" else data.dtype
    options = {"chunks": tuple(min(n, 7) for n in data.shape)} | options
    array = zarr.create_array(group / "text", shape=data.shape, dtype=dtype, zarr_format=version, **options)
    array[...] = data
    return path


def opened(path: Path) -> Array:
    root = open_hierarchy(open_store(path))
    assert isinstance(root, ZarrGroup)
    return root.array("text")


@pytest.mark.parametrize(("version", "name", "options"), CASES, ids=[f"v{v}-{n}" for v, n, _ in CASES])
def test_text_of_any_length(tmp_path: Path, version: int, name: str, options: dict[str, Any]) -> None:
    array = opened(written(tmp_path / "a.zarr", WORDS, version, **options))
    assert array.spec.text
    assert array.spec.shape == WORDS.shape
    assert list(array.read_all()) == list(WORDS)
    assert list(array.read(Box((6,), (9,)))) == list(WORDS[6:9])
    assert array.read(Box((3,), (3,))).shape == (0,)
    with pytest.raises(NotFound):
        array.read(Box((0,), (24,)))


@pytest.mark.parametrize("version", [2, 3])
def test_tables_of_text(tmp_path: Path, version: int) -> None:
    array = opened(written(tmp_path / "a.zarr", TABLE, version, chunks=(3, 2)))
    np.testing.assert_array_equal(array.read_all(), TABLE)
    np.testing.assert_array_equal(array.read(Box((1, 1), (4, 3))), TABLE[1:4, 1:3])


@pytest.mark.parametrize("dtype", ["<U4", ">U4", "|S3"])
def test_text_of_fixed_length(tmp_path: Path, dtype: str) -> None:
    data = np.array(["a", "bcd", "", "xy"] * 5, dtype=dtype)
    array = opened(written(tmp_path / "a.zarr", data, 2))
    assert array.spec.text
    assert list(array.read_all()) == [str(v) for v in data.astype("U")]


def test_text_that_is_not_stored_is_empty(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", WORDS, 3)
    (path / "text" / "c" / "1").unlink()
    assert list(opened(path).read_all()[5:9]) == [*WORDS[5:7], "", ""]


def test_text_in_a_zip(tmp_path: Path) -> None:
    path = zipped(written(tmp_path / "a.zarr", WORDS, 3), tmp_path / "a.zip")
    assert list(opened(path).read_all()) == list(WORDS)


@pytest.mark.parametrize("name", ["plain", "zstd", "gzip", "blosc", "shards"])
def test_damaged_text_is_told(tmp_path: Path, name: str) -> None:
    path = written(tmp_path / "a.zarr", WORDS, 3, **V3[name])
    chunk = path / "text" / "c" / "0"
    whole = chunk.read_bytes()
    for cut in (0, 3, 17, len(whole) // 2, len(whole) - 1):
        chunk.write_bytes(whole[:cut])
        with pytest.raises(Damaged) as caught:
            opened(path).read_all()
        assert caught.value.hint
        assert str(tmp_path) not in str(caught.value)
    rng = np.random.default_rng(3)
    for _ in rounds(12):
        broken = bytearray(whole)
        broken[int(rng.integers(0, len(broken)))] ^= int(rng.integers(1, 256))
        chunk.write_bytes(broken)
        try:
            assert opened(path).read_all().shape == WORDS.shape
        except (Damaged, Unsupported):  # zstd calls some damage unsupported
            continue


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": [{"id": "pickle"}]},
        {"filters": [{"id": "json2"}]},
        {"filters": None},
        {"compressor": {"id": "lz4"}},
        {"order": "F"},
        {"dtype": "<Ux", "filters": None},
    ],
)
def test_objects_in_other_encodings_are_never_decoded(tmp_path: Path, changes: dict[str, Any]) -> None:
    path = written(tmp_path / "a.zarr", WORDS, 2)
    file = path / "text" / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))
    with pytest.raises(Unsupported):
        opened(path)


def test_v3_text_in_an_unknown_encoding(tmp_path: Path) -> None:
    path = written(tmp_path / "a.zarr", WORDS, 3)
    file = path / "text" / "zarr.json"
    meta = json.loads(file.read_text())
    for codecs in (
        [{"name": "vlen-json"}],
        [{"name": "vlen-utf8"}, {"name": "brotli"}],
        [{"name": "vlen-utf8"}, {}],
        [],
    ):
        file.write_text(json.dumps(meta | {"codecs": codecs}))
        with pytest.raises((Unsupported, Damaged)):
            opened(path)

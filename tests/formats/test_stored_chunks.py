"""Stored chunks handed out as they are: put together again as a Zarr v3 store, another reader reads the same pixels."""

from __future__ import annotations

import json
from itertools import product
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import pytest
import zarr
from zarr.codecs import TransposeCodec

from coverslip.core.ability import RawChunks, raw_chunks
from coverslip.core.errors import NotFound, UnsafeLink
from coverslip.core.node import Array
from coverslip.core.spec import Box
from coverslip.core.tree import MemoryArray
from coverslip.formats import open_source
from zarr_files import V3_CODECS, pixels, write_array, zipped

V2 = {
    "blosc": {"compressors": numcodecs.Blosc("lz4", 5, numcodecs.Blosc.SHUFFLE)},
    "bitshuffle": {"compressors": numcodecs.Blosc("zstd", 3, numcodecs.Blosc.BITSHUFFLE)},
    "zstd": {"compressors": numcodecs.Zstd(level=3)},
    "gzip": {"compressors": numcodecs.GZip(level=1)},
    "raw": {"compressors": None},
    "fortran": {"compressors": numcodecs.Zstd(), "order": "F"},
    "nested": {"compressors": None, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
}
V3: dict[str, dict[str, Any]] = {name: {"compressors": codec} for name, codec in V3_CODECS.items()}
V3["shards"] = {"compressors": V3_CODECS["zstd"], "shards": (8, 32), "chunks": (4, 16)}
V3["transposed"] = {"filters": [TransposeCodec(order=(1, 0))], "compressors": V3_CODECS["gzip"]}
CASES = [(2, name, options) for name, options in V2.items()] + [(3, name, options) for name, options in V3.items()]


def put_together(array: Array, path: Path) -> Path:
    """A Zarr v3 array made of another one's stored chunks."""
    raw = raw_chunks(array)
    assert raw is not None
    layout = raw.layout
    assert layout is not None
    meta = {
        "zarr_format": 3, "node_type": "array", "shape": list(array.spec.shape), "data_type": layout.data_type,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(layout.chunk_shape)}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": layout.fill_value, "codecs": list(layout.codecs), "attributes": {},
    }  # fmt: skip
    path.mkdir()
    (path / "zarr.json").write_text(json.dumps(meta))
    counts = [-(-n // c) for n, c in zip(array.spec.shape, layout.chunk_shape, strict=True)]
    for index in product(*map(range, counts)):
        stored = raw.stored_chunk(index)
        assert raw.stored_size(index) == (None if stored is None else len(stored))
        if stored is not None:
            target = path.joinpath("c", *map(str, index))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(stored)
    return path


@pytest.mark.parametrize(
    ("dtype", "place"), [("<u2", "folder"), (">i4", "folder"), ("<f4", "folder"), ("|u1", "folder"), (">i4", "zip")]
)
@pytest.mark.parametrize(("version", "name", "options"), CASES, ids=[f"v{v}-{n}" for v, n, _ in CASES])
def test_another_reader_reads_the_same(
    tmp_path: Path, version: int, name: str, options: dict[str, Any], dtype: str, place: str
) -> None:
    data = pixels((20, 75), dtype)
    data[8:16, 32:64] = 3  # one chunk that is not stored
    path = tmp_path / "a.zarr"
    write_array(path, data, version, fill_value=3, **({"chunks": (8, 32)} | options))
    source = open_source(path if place == "folder" else zipped(path, tmp_path / "a.zarr.zip"))
    array = source.root.array("0")
    raw = raw_chunks(array)
    assert raw is not None
    assert raw.stored_chunk((1, 1)) is None
    again = zarr.open_array(put_together(array, tmp_path / "again.zarr"), mode="r")
    np.testing.assert_array_equal(again[...], data)
    source.close()


def test_a_part_of_a_shard(tmp_path: Path) -> None:
    write_array(tmp_path / "a.zarr", pixels((64, 64), "uint16"), shards=(64, 64), chunks=(16, 16))
    source = open_source(tmp_path / "a.zarr")
    raw = raw_chunks(source.root.array("0"))
    assert raw is not None
    whole, size = raw.stored_chunk((0, 0)), raw.stored_size((0, 0))
    assert whole is not None
    assert size is not None
    assert raw.stored_chunk((0, 0), size - 100, size) == whole[-100:]
    assert raw.stored_chunk((0, 0), 10, 20) == whole[10:20]
    assert raw.stored_chunk((0, 0), size, size + 5) == b""
    source.close()


@pytest.mark.parametrize("index", [(2, 0), (0, 2), (-1, 0), (0,), (0, 0, 0)])
def test_there_is_no_chunk_outside(tmp_path: Path, index: tuple[int, ...]) -> None:
    write_array(tmp_path / "a.zarr", pixels((32, 32), "uint8"))
    source = open_source(tmp_path / "a.zarr")
    raw = raw_chunks(source.root.array("0"))
    assert raw is not None
    for ask in (raw.stored_chunk, raw.stored_size):
        with pytest.raises(NotFound):
            ask(index)
    source.close()


def test_v2_compressors_that_v3_has_no_words_for(tmp_path: Path) -> None:
    write_array(tmp_path / "a.zarr", pixels((32, 32), "uint8"), 2, compressors=numcodecs.Zlib())
    source = open_source(tmp_path / "a.zarr")
    array = source.root.array("0")
    assert isinstance(array, RawChunks)
    assert raw_chunks(array) is None
    assert array.read(Box((0, 0), (3, 3))).shape == (3, 3)
    source.close()


def test_arrays_without_stored_chunks() -> None:
    assert raw_chunks(MemoryArray([1, 2, 3])) is None


def test_no_chunk_from_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    write_array(tmp_path / "a.zarr", pixels((32, 32), "uint8"))
    chunk = tmp_path / "a.zarr" / "c" / "0" / "0"
    chunk.unlink()
    chunk.symlink_to(tmp_path / "secret")
    source = open_source(tmp_path / "a.zarr")
    raw = raw_chunks(source.root.array("0"))
    assert raw is not None
    with pytest.raises(UnsafeLink):
        raw.stored_chunk((0, 0))
    source.close()

"""What Zarr's metadata says of an array, of either version, in one form.

Source: Zarr v2 storage specification; Zarr v3 core specification 3.1 and its codecs; numcodecs' configurations.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from coverslip.core.ability import ChunkLayout
from coverslip.core.errors import Damaged, Unsupported
from coverslip.formats.trees.arrays import NUMBERS

REWRITE = "Write it again with zarr-python."
BLOSC_SHUFFLE = {0: "noshuffle", 1: "shuffle", 2: "bitshuffle"}
KEPT_V2 = ("zarr_format", "shape", "chunks", "dtype", "compressor", "fill_value", "order", "filters")


@dataclass(frozen=True)
class ArrayMeta:
    """One array's metadata.

    Attributes
    ----------
    shape, dtype
        As read: native byte order, ``object`` for text.
    chunks
        The smallest part that is decoded at once.
    grid
        Shape of one stored chunk: ``chunks``, or the shard that holds several.
    driver, metadata
        What TensorStore opens; empty for text, which it does not read.
    prefix, separator
        Of a chunk's key.
    codecs
        As v3 lists them, or None when v3 has no words for them.
    fill_value
        As v3 writes it.
    names
        Names of the axes, or None.
    text
        ``vlen-utf8``, ``U`` or ``S`` for text, else empty; ``stored`` is the dtype its chunks decode to.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    grid: tuple[int, ...]
    separator: str
    prefix: str
    attrs: Mapping[str, Any]
    driver: str = ""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    codecs: Sequence[Mapping[str, Any]] | None = None
    fill_value: Any = 0
    names: tuple[str, ...] | None = None
    text: str = ""
    stored: str = ""

    def key(self, index: tuple[int, ...]) -> str:
        """Where a chunk is stored, below the array."""
        parts = [str(i) for i in index]
        if self.prefix:
            return self.separator.join([self.prefix, *parts])
        return self.separator.join(parts) or "0"

    @cached_property
    def layout(self) -> ChunkLayout | None:
        """How chunks are stored, in v3's words."""
        if self.codecs is None or self.text:
            return None
        return ChunkLayout(self.grid, self.dtype.name, self.codecs, self.fill_value)


def parse(name: str, text: bytes) -> dict[str, Any]:
    """A metadata document.

    Raises
    ------
    Damaged
        When it is not a JSON object.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{name} is not JSON: {error}", REWRITE) from error
    if not isinstance(found, dict):
        raise Damaged(f"{name} holds no JSON object", REWRITE)
    return found


def array_v2(name: str, meta: Mapping[str, Any], attrs: Mapping[str, Any], nested: bool) -> ArrayMeta:
    """The metadata of a v2 array, from ``.zarray`` and ``.zattrs``.

    Parameters
    ----------
    nested
        Whether its chunks lie in folders; files written before 2021 do not say.
    """
    shape = _sizes(name, meta.get("shape"), 0)
    chunks = _sizes(name, meta.get("chunks"), 1)
    if len(shape) != len(chunks):
        raise Damaged(f"{name} has {len(shape)} axes and chunks of {len(chunks)}", REWRITE)
    separator = meta.get("dimension_separator") or ("/" if nested else ".")
    if separator not in ("/", "."):
        raise Damaged(f"{name} separates the numbers of chunks by {separator!r}", REWRITE)
    common: dict[str, Any] = {"separator": separator, "prefix": "", "attrs": attrs, "names": _names(attrs, len(shape))}
    given = meta.get("dtype")
    filters = meta.get("filters") or []
    if not isinstance(filters, list) or not all(isinstance(f, Mapping) for f in filters):
        raise Damaged(f"{name} has filters that make no sense", REWRITE)
    text = _text_v2(name, given, filters)
    if text:
        codecs = [_codec_v2(meta.get("compressor"), 1)] if meta.get("compressor") else []
        if None in codecs or meta.get("order") == "F":
            raise Unsupported(f"{name} holds text compressed in a way coverslip does not read", REWRITE)
        known = [codec for codec in codecs if codec]
        return ArrayMeta(
            shape, np.dtype(object), chunks, chunks, codecs=known, text=text, stored=str(given), fill_value="", **common
        )
    if not isinstance(given, str) or filters:
        what = "records" if not isinstance(given, str) else f"the filter {filters[0].get('id')!r}"
        raise Unsupported(f"{name} is stored with {what}", "Write it as plain numbers without filters.")
    dtype = _dtype(name, given)
    metadata = {key: meta.get(key) for key in KEPT_V2} | {"filters": None, "dimension_separator": separator}
    fill = 0 if meta.get("fill_value") is None else meta["fill_value"]
    return ArrayMeta(
        shape, dtype.newbyteorder("="), chunks, chunks, driver="zarr", metadata=metadata,
        codecs=_codecs_v2(meta, dtype, len(shape)), fill_value=bool(fill) if dtype.kind == "b" else fill, **common,
    )  # fmt: skip


def array_v3(name: str, meta: Mapping[str, Any]) -> ArrayMeta:
    """The metadata of a v3 array, from ``zarr.json``."""
    shape = _sizes(name, meta.get("shape"), 0)
    try:
        grid = _sizes(name, meta["chunk_grid"]["configuration"]["chunk_shape"], 1)
        encoding = meta["chunk_key_encoding"]
        encoding = encoding if isinstance(encoding, Mapping) else {"name": encoding}
        default = encoding["name"] == "default"
        separator = (encoding.get("configuration") or {}).get("separator", "/" if default else ".")
        codecs = [dict(c) if isinstance(c, Mapping) else {"name": c} for c in meta["codecs"]]
        names = [c["name"] for c in codecs]
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged(f"{name}: zarr.json is incomplete ({error})", REWRITE) from error
    if len(shape) != len(grid):
        raise Damaged(f"{name} has {len(shape)} axes and chunks of {len(grid)}", REWRITE)
    if separator not in ("/", ".") or encoding["name"] not in ("default", "v2"):
        raise Unsupported(f"{name} names its chunks in a way coverslip does not know", REWRITE)
    attrs = meta.get("attributes")
    attrs = attrs if isinstance(attrs, Mapping) else {}
    given = meta.get("data_type")
    common: dict[str, Any] = {
        "separator": separator, "prefix": "c" if default else "", "attrs": attrs, "codecs": codecs,
        "names": _names({"_ARRAY_DIMENSIONS": meta.get("dimension_names")}, len(shape)) or _names(attrs, len(shape)),
    }  # fmt: skip
    chunks = grid
    if names[:1] == ["sharding_indexed"]:
        inner = codecs[0].get("configuration")
        chunks = _sizes(name, inner.get("chunk_shape") if isinstance(inner, Mapping) else None, 1)
        if len(chunks) != len(grid):
            raise Damaged(f"{name} has shards of {len(grid)} axes and chunks of {len(chunks)}", REWRITE)
    if given in ("string", "variable_length_utf8"):
        return ArrayMeta(shape, np.dtype(object), chunks, grid, text="vlen-utf8", fill_value="", **common)
    if not isinstance(given, str) or given not in NUMBERS:
        what = given.get("name") if isinstance(given, Mapping) else given
        raise Unsupported(f"{name} holds {what}, which coverslip does not read", "Write it as plain numbers.")
    metadata = {k: v for k, v in meta.items() if k not in ("attributes", "consolidated_metadata", "dimension_names")}
    return ArrayMeta(
        shape, np.dtype(given), chunks, grid, driver="zarr3", metadata=metadata, fill_value=meta.get("fill_value"),
        **common,
    )  # fmt: skip


def _sizes(name: str, given: Any, least: int) -> tuple[int, ...]:
    whole = isinstance(given, list) and all(isinstance(n, int) and not isinstance(n, bool) for n in given)
    if not whole or not all(least <= n < 1 << 62 for n in given):
        raise Damaged(f"{name} has no sensible shape", REWRITE)
    return tuple(given)


def _names(attrs: Mapping[str, Any], n: int) -> tuple[str, ...] | None:
    """Names of axes as v3 and xarray give them; None unless every one is there and no two are alike."""
    given = attrs.get("_ARRAY_DIMENSIONS")
    if isinstance(given, list) and len(given) == n and all(isinstance(g, str) and g for g in given):
        return tuple(given) if len(set(given)) == n else None
    return None


def _dtype(name: str, given: str) -> np.dtype[Any]:
    try:
        dtype = np.dtype(given)
    except (TypeError, ValueError, SyntaxError) as error:  # numpy reads some of it as Python
        raise Damaged(f"{name} has no sensible dtype: {given!r}", REWRITE) from error
    if dtype.name not in NUMBERS:
        raise Unsupported(f"{name} holds {dtype}, which coverslip does not read", "Write it as plain numbers.")
    return dtype


def _text_v2(name: str, given: Any, filters: Any) -> str:
    if not isinstance(given, str) or given[1:2] not in ("O", "U", "S"):
        return ""
    ids = [f.get("id") for f in filters]
    if given[1] == "O" and ids != ["vlen-utf8"]:
        # Pickles among them, which run code when loaded.
        raise Unsupported(f"{name} holds objects stored with {ids or 'nothing'}", "Write it as text or numbers.")
    if given[1] in "US" and (ids or not given[2:].isdigit()):
        raise Unsupported(f"{name} holds {given} stored with {ids}", "Write it as text without filters.")
    return "vlen-utf8" if given[1] == "O" else given[1]


def _codecs_v2(meta: Mapping[str, Any], dtype: np.dtype[Any], n: int) -> list[dict[str, Any]] | None:
    """v2's storage as v3's codecs: order, byte order, compressor."""
    codecs: list[dict[str, Any]] = []
    if meta.get("order") == "F" and n > 1:
        codecs.append({"name": "transpose", "configuration": {"order": list(range(n))[::-1]}})
    if dtype.itemsize > 1:
        endian = "big" if dtype.byteorder == ">" else "little"
        codecs.append({"name": "bytes", "configuration": {"endian": endian}})
    else:
        codecs.append({"name": "bytes"})
    if meta.get("compressor"):
        codec = _codec_v2(meta["compressor"], dtype.itemsize)
        if codec is None or codec["name"] not in ("blosc", "zstd", "gzip"):
            return None
        codecs.append(codec)
    return codecs


def _whole(given: Any, otherwise: int) -> int:
    return given if isinstance(given, int) else otherwise


def _codec_v2(compressor: Any, itemsize: int) -> dict[str, Any] | None:
    """A v2 compressor as a v3 codec; zlib and bz2 under their own names, which v3 does not know."""
    given = compressor if isinstance(compressor, Mapping) else {}
    kind = given.get("id")
    if kind == "blosc":
        shuffle = given.get("shuffle", 1)
        shuffle = (2 if itemsize == 1 else 1) if shuffle == -1 else shuffle
        configuration = {
            "cname": given.get("cname", "lz4"), "clevel": given.get("clevel", 5), "typesize": itemsize,
            "shuffle": BLOSC_SHUFFLE.get(_whole(shuffle, 0), "noshuffle"), "blocksize": given.get("blocksize", 0),
        }  # fmt: skip
        return {"name": "blosc", "configuration": configuration}
    if kind == "zstd":
        level, checksum = given.get("level", 0), bool(given.get("checksum", False))
        return {"name": "zstd", "configuration": {"level": level, "checksum": checksum}}
    if kind in ("gzip", "zlib", "bz2"):
        return {"name": kind, "configuration": {"level": max(0, _whole(given.get("level", 5), 5))}}
    return None

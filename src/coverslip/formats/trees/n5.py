"""N5 hierarchies as images: each array of numbers, and groups of ``s0``, ``s1``, … as the levels of one image.

N5 counts the axes with the fastest first; arrays here have them the other way round, as everywhere else.

Source: N5 specification 4 (https://github.com/saalfeldlab/n5); the conventions of n5-viewer (``scales``,
``downsamplingFactors``, ``pixelResolution``), of COSEM (``transform``), of Neuroglancer (``axes``, ``units``,
``resolution``) and of BigDataViewer (``setup0/timepoint0/s0``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.finite import is_finite
from coverslip.core.ngff import Axis, ImageMeta, unit_name
from coverslip.core.node import Array, Group
from coverslip.core.spec import ArraySpec
from coverslip.formats.trees import blosc
from coverslip.formats.trees.arrays import MOST_ARRAYS, arranged, offered, plain
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.tensorstore import PartArray
from coverslip.formats.trees.zarr_meta import parse
from coverslip.formats.trees.zarr_store import Store

DTYPES = {f"{kind}{bits}" for kind in ("uint", "int") for bits in (8, 16, 32, 64)} | {"float32", "float64"}
STORAGE = ("dimensions", "blockSize", "dataType", "compression", "compressionType", "n5")
COMPRESSION = {
    "raw": (), "gzip": ("level", "useZlib"), "bzip2": ("blockSize",), "xz": ("preset",), "zstd": ("level",),
    "blosc": ("cname", "clevel", "shuffle", "blocksize"),
}  # fmt: skip
"""What TensorStore reads, and what it must be told of it."""
LEVEL = re.compile(r"s(\d+)")
MOST_FOLDERS = 50_000
SLACK_BYTES = 1 << 16
REWRITE = "Write it again with an N5 writer."


class N5Array(PartArray):
    """An array of an N5 hierarchy, its axes in C order."""

    def __init__(self, store: Store, path: str, meta: Mapping[str, Any]) -> None:
        self._bytes, self._path = store, path
        name = path or "The array"
        shape, blocks, dtype = _sizes(name, meta)
        elements = math.prod(blocks) * dtype.itemsize
        self._most = elements * 5 // 4 + SLACK_BYTES
        self._head = 4 + 4 * len(blocks)
        compression = _compression(name, meta)
        self._unpacked = elements if compression["type"] == blosc.NAME else None
        metadata = {
            "dimensions": list(shape), "blockSize": list(blocks), "dataType": dtype.name, "compression": compression,
        }  # fmt: skip
        attrs = {k: v for k, v in meta.items() if k not in STORAGE}
        spec = ArraySpec(shape[::-1], dtype, blocks[::-1])
        open_spec = {"driver": "n5", "kvstore": store.kvstore(path), "metadata": metadata}
        super().__init__(name, spec, open_spec, blocks[::-1], attrs, reverse=True)

    def look(self, index: tuple[int, ...]) -> None:
        """See that the block lies inside the folder, and is no larger than it can be."""
        key = "/".join([self._path, *map(str, index[::-1])] if self._path else map(str, index[::-1]))
        size = self._bytes.size(key)
        if size is not None and size > self._most:
            raise Damaged(f"The block {key} is larger than it can be", REWRITE)
        if size is not None and self._unpacked is not None:  # a frame stands behind the block's own head
            frame = self._bytes.read(key, self._head, self._head + blosc.HEAD_BYTES)
            blosc.check_frame(key, frame, self._unpacked, REWRITE)


def n5_tree(store: Store, name: str) -> Group:
    """Every image below the root of a store.

    Raises
    ------
    Damaged
        When the root is an array that makes no sense.
    """
    root = attributes(store, "")
    if "dimensions" in root:
        return _image([N5Array(store, "", root)], [root], {}, name)
    found: dict[str, Group] = {}
    left_out: dict[str, str] = {}
    raws: dict[str, Any] = {"": root}
    _gather(store, found, raws, left_out)
    return arranged(found, raws, left_out)


def attributes(store: Store, path: str) -> dict[str, Any]:
    """What ``attributes.json`` says; empty when there is none."""
    key = f"{path}/attributes.json" if path else "attributes.json"
    text = store.document(key)
    return {} if text is None else parse(key, text)


def _gather(store: Store, found: dict[str, Group], raws: dict[str, Any], left_out: dict[str, str]) -> None:
    stack, left = [""], MOST_FOLDERS
    while stack and left and len(found) < MOST_ARRAYS:
        path = stack.pop()
        names = store.folders(path)
        levels = sorted((n for n in names if LEVEL.fullmatch(n)), key=lambda n: int(n[1:]))
        if levels[:1] == ["s0"] and _pyramid(store, path, levels, found, raws, left_out):
            names = [n for n in names if n not in levels]
        for name in reversed(names):
            here = f"{path}/{name}".lstrip("/")
            left -= 1
            try:
                meta = attributes(store, here)
                if "dimensions" not in meta:
                    raws[here] = meta
                    stack.append(here)
                    continue
                array = N5Array(store, here, meta)
            except CoverslipError as error:
                left_out[here] = error.message
                continue
            if offered(array):
                found[here] = _image([array], [meta], {}, here)


def _pyramid(
    store: Store,
    path: str,
    names: Sequence[str],
    found: dict[str, Group],
    raws: Mapping[str, Any],
    left_out: dict[str, str],
) -> bool:
    """Offer ``s0``, ``s1``, … as one image; False when ``s0`` is no array."""
    levels: list[Array] = []
    metas: list[Mapping[str, Any]] = []
    for name in names:
        here = f"{path}/{name}".lstrip("/")
        try:
            meta = attributes(store, here)
            if "dimensions" not in meta:
                break
            array = N5Array(store, here, meta)
        except CoverslipError as error:
            left_out[here] = error.message
            break
        if not offered(array) or (levels and not _coarser(array.spec.shape, levels[-1].spec.shape)):
            break
        levels.append(array)
        metas.append(meta)
    if levels:
        found[path or "s0"] = _image(levels, metas, raws.get(path, {}), path.rsplit("/", 1)[-1])
    return bool(levels) or bool(left_out.get(f"{path}/s0".lstrip("/")))


def _coarser(shape: tuple[int, ...], before: tuple[int, ...]) -> bool:
    return len(shape) == len(before) and shape != before and all(a <= b for a, b in zip(shape, before, strict=True))


def _image(levels: Sequence[Array], metas: Sequence[Mapping[str, Any]], group: Mapping[str, Any], name: str) -> Group:
    """One image; attributes of its level 0 come before those of the group."""
    n = len(levels[0].spec.shape)
    said = {**group, **metas[0]}
    names = _names(said, n)
    steps, unit, origin = _base(said, n)
    axes = [
        Axis(a, s, unit_name(u), o, None if a in "tczyx" else "")
        for a, s, u, o in zip(names, steps, unit, origin, strict=True)
    ]
    raw = plain({k: v for k, v in said.items() if k not in STORAGE})
    ordered, meta = in_order(levels, ImageMeta(axes=axes, name=name, raw=raw))
    made = image(ordered, meta)
    for number, (entry, level) in enumerate(zip(made.attrs["ome"]["multiscales"][0]["datasets"], metas, strict=True)):
        factors = _factors(level, group, number, n)
        if factors is not None:
            _rescale(entry, axes, [a.name for a in meta.axes], factors)
    return made


def _rescale(entry: dict[str, Any], axes: Sequence[Axis], order: Sequence[str], factors: Sequence[float]) -> None:
    """A level's scale by the file's own factors instead of by its size."""
    step = {a.name: a.step * f for a, f in zip(axes, factors, strict=True)}
    shift = {
        a.name: a.origin + (a.step * (f - 1) / 2 if a.type == "space" else 0.0)
        for a, f in zip(axes, factors, strict=True)
    }
    entry["coordinateTransformations"] = [{"type": "scale", "scale": [step[name] for name in order]}]
    if any(shift.values()):
        entry["coordinateTransformations"].append({"type": "translation", "translation": [shift[n] for n in order]})


def _names(said: Mapping[str, Any], n: int) -> list[str]:
    """Names of axes in C order."""
    for given in _axes_given(said):
        if len(given) == n and all(isinstance(a, str) and a for a in given) and len(set(given)) == n:
            return [str(a) for a in given]
    return [f"d{i}" for i in range(n - 3)] + list("zyx")[-min(n, 3) :]


def _axes_given(said: Mapping[str, Any]) -> Iterator[list[Any]]:
    transform = said.get("transform")
    if isinstance(transform, Mapping) and isinstance(transform.get("axes"), list):
        yield transform["axes"] if transform.get("ordering", "C") == "C" else transform["axes"][::-1]
    if isinstance(said.get("axes"), list):
        yield said["axes"][::-1]


def _base(said: Mapping[str, Any], n: int) -> tuple[list[float], list[str | None], list[float]]:
    """Steps, units and origins of level 0 along each axis, in C order."""
    transform = said.get("transform")
    if isinstance(transform, Mapping) and (scale := _vector(transform.get("scale"), n)):
        units, shift = transform.get("units"), _vector(transform.get("translate"), n, positive=False) or [0.0] * n
        units = units if isinstance(units, list) and len(units) == n else [None] * n
        turn = 1 if transform.get("ordering", "C") == "C" else -1
        return scale[::turn], [_text(u) for u in units[::turn]], shift[::turn]
    size: Any = said.get("pixelResolution")
    unit: Any = None
    if isinstance(size, Mapping):
        size, unit = size.get("dimensions"), size.get("unit")
    vector = _vector(size, n) or _vector(said.get("resolution"), n)
    if vector is None:
        return [1.0] * n, [None] * n, [0.0] * n
    units = said.get("units")
    named = units[::-1] if isinstance(units, list) and len(units) == n else [unit] * n
    return vector[::-1], [_text(u) for u in named], [0.0] * n


def _factors(level: Mapping[str, Any], group: Mapping[str, Any], number: int, n: int) -> list[float] | None:
    """How much coarser a level is than level 0 along each axis, in C order; None when nothing says."""
    candidates = [level.get("downsamplingFactors")]
    for key in ("downsamplingFactors", "scales"):
        given = group.get(key)
        if isinstance(given, list) and number < len(given):
            candidates.append(given[number])
    found = next((v for c in candidates if (v := _vector(c, n))), None)
    return found[::-1] if found else None


def _vector(given: Any, n: int, positive: bool = True) -> list[float] | None:
    if not isinstance(given, list) or len(given) != n:
        return None
    fits = all(map(is_finite, given))
    return [float(v) for v in given] if fits and (not positive or min(given) > 0) else None


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) and given else None


def _sizes(name: str, meta: Mapping[str, Any]) -> tuple[tuple[int, ...], tuple[int, ...], np.dtype[Any]]:
    shape, blocks = meta.get("dimensions"), meta.get("blockSize")
    for given, least in ((shape, 0), (blocks, 1)):
        whole = isinstance(given, list) and all(isinstance(v, int) and not isinstance(v, bool) for v in given)
        if not whole or not given or not all(least <= v < 1 << 62 for v in given):
            raise Damaged(f"{name} has no sensible shape", REWRITE)
    assert isinstance(shape, list)
    assert isinstance(blocks, list)
    if len(shape) != len(blocks):
        raise Damaged(f"{name} has {len(shape)} axes and blocks of {len(blocks)}", REWRITE)
    if str(meta.get("dataType")) not in DTYPES:
        raise Unsupported(f"{name} holds {meta.get('dataType')}", "coverslip shows arrays of numbers.")
    return tuple(shape), tuple(blocks), np.dtype(meta["dataType"])


def _compression(name: str, meta: Mapping[str, Any]) -> dict[str, Any]:
    """The compression as TensorStore wants it told; ``compressionType`` is how N5 1 wrote it."""
    given: Any = meta.get("compression") or {"type": meta.get("compressionType", "raw")}
    kind = str(given.get("type") if isinstance(given, Mapping) else given)
    if kind not in COMPRESSION:
        raise Unsupported(f"{name} is compressed with {kind}", "Write it with gzip, blosc, zstd, xz or bzip2.")
    known = {k: given[k] for k in COMPRESSION[kind] if k in given} if isinstance(given, Mapping) else {}
    if kind == "blosc":
        known = {"cname": "lz4", "clevel": 5, "shuffle": 1, **known}
    return {"type": kind, **known}

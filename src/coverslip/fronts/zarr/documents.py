"""The metadata of a source as a Zarr v3 hierarchy of OME-NGFF 0.5 images.

Sources: Zarr core specification v3; OME-NGFF 0.5; zarr-python's inline consolidated metadata.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from coverslip.core.ability import raw_chunks
from coverslip.core.errors import NotFound
from coverslip.core.ngff import VERSION, Channel
from coverslip.core.node import Array, Group
from coverslip.domains.images import Image, Images, ome_of

CHUNK_BYTES = (1 << 16, 8 << 20)
"""A stored chunk shape is kept when a chunk has this many bytes; readers fetch whole chunks."""
TILE = 512
LINE = 1 << 18
MOST_CONSOLIDATED = 500
"""Images in the root's consolidated metadata; a plate of thousands is read well by well."""
LITTLE_ENDIAN = [{"name": "bytes", "configuration": {"endian": "little"}}]
ONE_BYTE = [{"name": "bytes"}]


def grid(array: Array) -> tuple[int, ...]:
    """The chunk shape an array is offered in."""
    stored = raw_chunks(array)
    if stored is not None and stored.layout is not None:
        return stored.layout.chunk_shape
    spec = array.spec
    itemsize = spec.dtype.itemsize
    if spec.chunks and CHUNK_BYTES[0] <= math.prod(spec.chunks) * itemsize <= CHUNK_BYTES[1]:
        return tuple(max(min(c, n), 1) for c, n in zip(spec.chunks, spec.shape, strict=True))
    if len(spec.shape) == 1:
        return (max(min(LINE, spec.shape[0]), 1),)
    chunk = [1] * len(spec.shape)
    chunk[-2:] = [max(min(TILE, n), 1) for n in spec.shape[-2:]]
    for axis in range(len(chunk) - 3, -1, -1):  # small planes: several of them in one chunk
        chunk[axis] = max(min(CHUNK_BYTES[0] // (math.prod(chunk) * itemsize), spec.shape[axis]), 1)
    return tuple(chunk)


def array_document(array: Array, dims: tuple[str, ...]) -> dict[str, Any]:
    """``zarr.json`` of one level."""
    spec = array.spec
    stored = raw_chunks(array)
    layout = stored.layout if stored is not None else None
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": list(spec.shape),
        "data_type": layout.data_type if layout is not None else spec.dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": list(grid(array))}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": layout.fill_value if layout is not None else _zero(spec.dtype),
        "codecs": list(layout.codecs if layout is not None else LITTLE_ENDIAN if spec.dtype.itemsize > 1 else ONE_BYTE),
        "dimension_names": list(dims),
        "attributes": {},
    }


def _zero(dtype: np.dtype[Any]) -> Any:
    return {"b": False, "f": 0.0, "c": [0.0, 0.0]}.get(dtype.kind, 0)


def image_attributes(image: Image) -> dict[str, Any]:
    """``attributes`` of an image's group, its levels named by number."""
    datasets = []
    for number, level in enumerate(image.levels):
        pairs = list(zip(image.axes, level.downsample, strict=True))
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": [a.step * d for a, d in pairs]}]
        shift = [a.origin + (a.step * (d - 1) / 2 if a.type == "space" else 0.0) for a, d in pairs]
        if any(shift):
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(number), "coordinateTransformations": transforms})
    axes = [
        {"name": a.name, **({"type": a.type} if a.type else {}), **({"unit": a.unit} if a.unit else {})}
        for a in image.axes
    ]
    ome: dict[str, Any] = {
        "version": VERSION,
        "multiscales": [{"name": image.name or "image", "axes": axes, "datasets": datasets}],
    }
    if image.label:
        ome["image-label"] = {"version": VERSION}
    else:
        info = image.array.spec.dtype
        ome["omero"] = {"channels": [_channel(c, info) for c in image.channels]}
        if image.rgb:  # Vitessce takes the model for the picture's: three channels that are red, green and blue
            ome["omero"]["rdefs"] = {"model": "color"}
    return {"ome": ome}


def _channel(channel: Channel, dtype: np.dtype[Any]) -> dict[str, Any]:
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else (0, 1)
    start, end = channel.window or (low, high)
    window = {"min": min(low, start), "max": max(high, end), "start": start, "end": end}
    return {"label": channel.label, "color": channel.color or "FFFFFF", "active": channel.active, "window": window}


def group_document(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """``zarr.json`` of a group."""
    return {"zarr_format": 3, "node_type": "group", "attributes": dict(attributes)}


def document(images: Images, path: str) -> dict[str, Any]:
    """``zarr.json`` at a path of a source.

    Raises
    ------
    NotFound
        When there is no group or array there.
    """
    if path == "":
        return _root(images)
    if path == "OME" and _is_collection(images):
        return group_document({"ome": {"version": VERSION, "series": list(images.paths)}})
    parent, _, last = path.rpartition("/")
    if last.isdigit() and (image := _image(images, parent)) is not None and int(last) < len(image.levels):
        return array_document(image.levels[int(last)].array, image.dims)
    if (image := _image(images, path)) is not None:
        return group_document(image_attributes(image))
    node = images.node(path)
    if not isinstance(node, Group):
        raise NotFound(f"There is no {path!r} in this source", "", "array_not_found")
    ome = ome_of(node)
    return group_document({"ome": {"version": VERSION, **ome}} if ome else {})


def _image(images: Images, path: str) -> Image | None:
    try:
        return images[path]
    except NotFound:
        return None


def _is_collection(images: Images) -> bool:
    return len(images.paths) > 1 and "plate" not in images.attrs


def _root(images: Images) -> dict[str, Any]:
    if "" in images.paths:
        root = group_document(image_attributes(images[""]))
    elif _is_collection(images):
        root = group_document({"ome": {"version": VERSION, "bioformats2raw.layout": 3, **images.attrs}})
    else:
        root = group_document({"ome": {"version": VERSION, **images.attrs}} if images.attrs else {})
    if len(images.paths) <= MOST_CONSOLIDATED:
        inner = dict(_below(images))
        root["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": inner}
    return root


def _below(images: Images) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every node below the root, by path, parents first."""
    told: set[str] = set()

    def parents(path: str) -> Iterator[tuple[str, dict[str, Any]]]:
        parts = path.split("/")
        for depth in range(1, len(parts)):
            above = "/".join(parts[:depth])
            if above not in told:
                told.add(above)
                yield above, document(images, above)

    if _is_collection(images):
        yield "OME", document(images, "OME")
    for path in images.paths:
        yield from parents(path)
        for child in (path, *images[path].labels):
            image = images[child]
            if child:
                yield from parents(child)
                if child not in told:
                    told.add(child)
                    yield child, group_document(image_attributes(image))
            for number, level in enumerate(image.levels):
                yield f"{child}/{number}".lstrip("/"), array_document(level.array, image.dims)

"""What is answered about one image: its description, tiles, figures, thumbnails and rendered slices."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
from starlette.datastructures import QueryParams

from coverslip.core.node import Array
from coverslip.core.stop import Stop
from coverslip.domains.images import Image, Images, ome_of
from coverslip.domains.planes import Plane, is_picture, level_within, plane_of, read_tile, read_whole
from coverslip.domains.pyramid import TILE
from coverslip.domains.render import FORMATS, composite, encode
from coverslip.domains.statistics import statistics
from coverslip.fronts.http import Body, text_body, to_json
from coverslip.fronts.tensors.select import (
    LARGEST_TILE,
    SMALLEST_TILE,
    Shown,
    integer,
    picture_format,
    positions,
    shown,
)

STATISTICS_PIXELS = 4_000_000
MOST_SIBLINGS = 5000
MOST_METADATA = 100
OCTETS = "application/octet-stream"
HEADER_SAFE = " !#$&'()*+/:;<=>?@[]^`{|}"
WINDOW_PIXELS = 1 << 26
"""A rendered tile without a window is shown in that of its plane, where this many pixels tell it at most."""


@dataclass(frozen=True)
class Answer:
    """A body and the headers that belong to it."""

    body: Body
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes held."""
        return self.body.nbytes


def array_id(source: str, path: str) -> str:
    """What an image is called outside."""
    return f"{source}/{path}" if path else source


def split_id(id: str) -> tuple[str, str]:
    """The source and the path in it of an ``array_id``."""
    source, _, path = id.partition("/")
    return source, "/".join(filter(None, path.split("/")))


def image_at(images: Images, path: str) -> Image:
    """The image at a path; of a source with several, its own name stands for the first."""
    if not path and images.paths and "" not in images.paths:
        return images[images.paths[0]]
    return images[path]


def tensor(source: str, image: Image) -> dict[str, Any]:
    """One image, as ``/api/sources`` lists it."""
    spec = image.array.spec
    return {
        "array_id": array_id(source, image.path),
        "name": image.name,
        "dim_labels": list(image.dims),
        "shape": list(spec.shape),
        "chunk_shape": list(spec.chunks or spec.shape),
        "dtype": spec.dtype.name,
    }


def tile_info(source: str, images: Images, image: Image, version: str) -> dict[str, Any]:
    """Everything a viewer needs to know of an image before it asks for pixels."""
    array = image.array
    return {
        **tensor(source, image),
        "source_id": source,
        "version": version,
        "axes": [
            {"name": a.name, "type": a.type, "unit": a.unit, "scale": a.step, "origin": a.origin} for a in image.axes
        ],
        "tile_size": TILE,
        "picture": is_picture(image),
        "levels": [_level(i, level.array, level.downsample) for i, level in enumerate(image.levels)],
        "rgb": image.rgb,
        "is_label": image.label,
        "channels": [
            {
                "index": i,
                "label": c.label,
                "color": f"#{c.color}",
                "active": c.active,
                "window": _window(c.window, array.spec.dtype),
            }
            for i, c in enumerate(image.channels)
        ],
        "labels": [array_id(source, path) for path in image.labels],
        "plate": images.attrs.get("plate"),
        "siblings": [
            {"array_id": array_id(source, path), "name": path or image.name} for path in images.paths[:MOST_SIBLINGS]
        ],
    }


def _level(number: int, array: Array, downsample: tuple[float, ...]) -> dict[str, Any]:
    return {"level": number, "shape": list(array.spec.shape), "downsample": list(downsample)}


def _window(window: tuple[float, float] | None, dtype: np.dtype[Any]) -> dict[str, float] | None:
    if window is None:
        return None
    low, high = (np.iinfo(dtype).min, np.iinfo(dtype).max) if dtype.kind in "iu" else window
    return {"min": float(low), "max": float(high), "start": window[0], "end": window[1]}


def raw(pixels: npt.NDArray[Any], etag: str, dims: tuple[str, ...]) -> Answer:
    """Pixels as they are, little-endian."""
    if pixels.dtype.kind == "b":
        pixels = pixels.view(np.uint8)
    little = np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("<"))
    body = Body(memoryview(little.reshape(-1).view(np.uint8).data), OCTETS, etag)
    return Answer(body, raw_headers(pixels.shape, pixels.dtype, dims))


def raw_headers(shape: Sequence[int], dtype: np.dtype[Any], dims: Sequence[str]) -> dict[str, str]:
    """What tells the bytes' meaning; names of axes that a header cannot hold as they are, are percent-encoded."""
    return {
        "X-Shape": ",".join(map(str, shape)),
        "X-Dtype": "uint8" if dtype.kind == "b" else dtype.name,
        "X-Dim-Labels": ",".join(quote(name, safe=HEADER_SAFE) for name in dims),
    }


def tile(image: Image, query: QueryParams, etag: str, stop: Stop) -> Answer:
    """``GET /api/tile``: one tile, raw or rendered."""
    level = integer(query.get("level", "0"), "level")
    size = integer(query.get("size", str(TILE)), "size", SMALLEST_TILE, LARGEST_TILE)
    row, column = integer(query.get("row", "0"), "row"), integer(query.get("col", "0"), "col")
    form = picture_format(query.get("fmt", "raw"))
    at, project = positions(query), query.get("project")

    def read(plane: Plane) -> npt.NDArray[Any]:
        return read_tile(image, level, row, column, size, plane, stop)

    if form == "raw":
        pixels = read(plane_of(image, at, project))
        return raw(pixels, etag, ("c", "y", "x") if pixels.ndim == 3 else ("y", "x"))
    return rendered(image, query, etag, at, read, form, stop)


def rendered(
    image: Image,
    query: QueryParams,
    etag: str,
    at: dict[str, int],
    read: Callable[[Plane], npt.NDArray[Any]],
    form: str,
    stop: Stop,
) -> Answer:
    """Planes that ``read`` gives, as a picture in the colours asked for."""
    wanted = shown(query)
    project = query.get("project")

    def window(one: Shown, plane: Plane, channel: int) -> tuple[float, float]:
        return one.window or _window_of(image, plane, channel, stop) or _range(read(plane))

    if image.rgb and wanted[0].channel is None and wanted[0].color is None and "c" not in at and project != "c":
        plane = plane_of(image, at, project)
        look = wanted[0].look(window(wanted[0], plane, 0), None)
        picture = np.stack([composite([pixels], [look]) for pixels in read(plane)], -1)
        return _picture(picture, form, etag)
    planes, looks = [], []
    for one in wanted:
        channel = one.channel if one.channel is not None else at.get("c", 0)
        chosen = {**at, "c": channel} if image.axis("c") is not None or one.channel else at
        plane = plane_of(image, chosen, project)
        color = image.channels[channel].color if channel < len(image.channels) else None
        planes.append(plane)
        looks.append(one.look(window(one, plane, channel), color))
    return _picture(composite(map(read, planes), looks), form, etag)


def _window_of(image: Image, plane: Plane, channel: int, stop: Stop) -> tuple[float, float] | None:
    """Contrast that is the same for all tiles of a plane: the file's own, or what the coarsest level holds.

    None where that level would first have to be made of too many pixels.
    """
    own = image.channels[channel].window if channel < len(image.channels) else None
    if own is not None:
        return own
    dtype = image.array.spec.dtype
    if dtype.kind == "b":
        return 0.0, 1.0
    if dtype.kind == "u" and dtype.itemsize == 1:
        return 0.0, 255.0
    stored = next(level for level in reversed(image.levels) if level.stored is not None)
    if math.prod(stored.array.spec.shape[-2:]) > WINDOW_PIXELS or plane.project is not None:
        return None
    return _range(read_whole(image, len(image.levels) - 1, plane, stop))


def _range(pixels: npt.NDArray[Any]) -> tuple[float, float]:
    if pixels.dtype.kind == "f":
        pixels = pixels[np.isfinite(pixels)]
    return (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 1.0)


def _picture(picture: npt.NDArray[np.uint8], form: str, etag: str) -> Answer:
    headers = {"X-Image-Width": str(picture.shape[1]), "X-Image-Height": str(picture.shape[0])}
    return Answer(Body(encode(picture, form), FORMATS[form], etag), headers)


def figures(
    image: Image, query: QueryParams, etag: str, stop: Stop, done: dict[tuple[str, int | None], dict[str, Any]]
) -> Answer:
    """``GET /api/statistics``: figures of a plane of one channel, or of every one.

    ``done`` keeps what is known already, for when this is stopped and begun again.
    """
    at, project = positions(query), query.get("project")
    level = level_within(image, STATISTICS_PIXELS)
    axis = image.axis("c")
    if axis is None or project == "c":
        channels: list[int | None] = [None]
    elif "c" in at:
        channels = [at["c"]]
    else:
        channels = list(range(min(image.array.spec.shape[axis], len(image.channels))))
    found = []
    for channel in channels:
        if (etag, channel) not in done:
            plane = plane_of(image, at if channel is None else {**at, "c": channel}, project)
            done[etag, channel] = statistics(read_whole(image, level, plane, stop))
        found.append({"index": channel or 0, **done[etag, channel], "level": level, "sampled": level > 0})
    return Answer(text_body(to_json({"channels": found}), "application/json", etag))


def metadata(images: Images, path: str) -> Mapping[str, Any]:
    """The file's own metadata: of one image, or of the whole source with that of its images."""
    if path:
        return images[path].raw
    root = images.root.attrs
    own = root.get("coverslip", {})
    whole: dict[str, Any] = dict(own.get("raw", {})) if isinstance(own, Mapping) else {}
    if "" in images.paths:
        return dict(images[""].raw) or {"ome": ome_of(images.root)}
    if not whole:
        whole = {k: v for k, v in root.items() if k != "coverslip"}
    return {**whole, "images": {p: images[p].raw for p in images.paths[:MOST_METADATA]}}

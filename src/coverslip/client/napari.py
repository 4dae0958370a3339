"""A reader for napari: images of a server as lazy layers. napari itself is not imported.

Addresses: ``grpc://host:8815/SOURCE``, ``http://host:8765/SOURCE`` or ``…/zarr/SOURCE``, with ``/FIELD`` after it where
a source has several images; without a source all images of a small server.
Source: https://napari.org/stable/plugins/building_a_plugin/guides.html#readers
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any
from urllib.parse import unquote, urlsplit

from coverslip.client.address import SCHEMES, choose
from coverslip.client.client import Client
from coverslip.client.connection import connect
from coverslip.client.image import Image, RemoteArray
from coverslip.client.tls import trust_of
from coverslip.client.transport import open_transport
from coverslip.core.errors import BadRequest, CoverslipError

Layer = tuple[Any, dict[str, Any], str]
Reader = Callable[[Any], list[Layer]]
MOST_IMAGES = 8
MOST_PIXELS = 4_000_000
"""Of a plane from which contrast is told."""
ZARR = "/zarr/"


def get_reader(path: str | Sequence[str]) -> Reader | None:
    """What reads these addresses; None when they are no server's."""
    paths = [path] if isinstance(path, str) else list(path)
    return read if paths and all(_is_server(one) for one in paths) else None


def read(path: str | Sequence[str]) -> list[Layer]:
    """The layers of one or more addresses.

    Raises
    ------
    CoverslipError
        When a server does not answer, or a source is not there.
    """
    paths = [path] if isinstance(path, str) else list(path)
    return [layer for one in paths for layer in _layers_at(one)]


def split(url: str) -> tuple[str, str]:
    """The address of a server, and the image in it that a URL names (empty for none)."""
    parts = urlsplit(url)
    path, tail = parts.path, f"?{parts.query}" if parts.query else ""
    tail += f"#{parts.fragment}" if parts.fragment else ""
    before, found, after = path.partition(ZARR)
    if not found or parts.scheme.startswith("grpc"):
        before, after = "", path
    return f"{parts.scheme}://{parts.netloc}{before}{tail}", unquote(after.strip("/"))


def _is_server(url: str) -> bool:
    scheme = url.partition("://")[0].lower() if isinstance(url, str) and "://" in url else ""
    if scheme not in SCHEMES:
        return False
    if scheme.startswith("grpc"):
        return True
    try:  # any web address comes here; only our own servers are ours to read
        transport = open_transport(choose(split(url)[0], None), trust_of(None, None))
        with closing(transport):
            transport.health()
    except CoverslipError:
        return False
    return True


def _layers_at(url: str) -> list[Layer]:
    address, id = split(url)
    client = connect(address)
    ids = [id] if id else _all(client)
    return [layer for one in ids for layer in layers(client, client[one])]


def _all(client: Client) -> list[str]:
    entries = client.transport.page(0, MOST_IMAGES + 1)
    ids = [image.array_id for entry in entries for image in entry.images or ()]
    if not ids or len(ids) > MOST_IMAGES or len(entries) > MOST_IMAGES:
        named = f"{client.url}/{ids[0]}" if ids else "its address and its id"
        count = "no image" if not ids else "many images"
        raise BadRequest(f"{client.url} has {count}", f"Name one, as {named}.", "not_an_image")
    return ids


def layers(client: Client, image: Image) -> list[Layer]:
    """An image and its labels, as napari takes them."""
    found = [_labels(image) if image.is_label else _rgb(image) if _is_rgb(image) else _image(image)]
    for id in image.labels:
        with suppress(CoverslipError):  # labels that cannot be read leave the image as it is
            found.append(_labels(client[id]))
    return found


def _is_rgb(image: Image) -> bool:
    axis = _channel_axis(image)
    return image.rgb and axis is not None and image.shape[axis] in (3, 4)


def _channel_axis(image: Image) -> int | None:
    return next((i for i, axis in enumerate(image.axes) if axis.type == "channel"), None)


def _data(image: Image, change: Callable[[Any], Any] = lambda array: array) -> tuple[Any, bool]:
    arrays = [change(level.dask()) for level in image.levels]
    return (arrays, True) if len(arrays) > 1 else (arrays[0], False)


def _about(image: Image, without: int | None) -> dict[str, Any]:
    """Where the image is, leaving out the channels' axis."""
    axes = [axis for i, axis in enumerate(image.axes) if i != without]
    found: dict[str, Any] = {
        "scale": [axis.step for axis in axes],
        "translate": [axis.origin for axis in axes],
        "metadata": {"coverslip": {"id": image.id, "server": str(image.transport.address)}},
    }
    if _knows_units():
        found |= {"axis_labels": [axis.name for axis in axes], "units": [axis.unit or "pixel" for axis in axes]}
    return found


def _knows_units() -> bool:
    try:
        major, minor = version("napari").split(".")[:2]
        return (int(major), int(minor)) >= (0, 5)
    except (PackageNotFoundError, ValueError):
        return False


def _image(image: Image) -> Layer:
    axis = _channel_axis(image)
    data, multiscale = _data(image)
    about = {**_about(image, axis), "multiscale": multiscale}
    if axis is None:
        limits = _limits(image, None, 0)
        return data, {**about, "name": image.name, **({"contrast_limits": limits} if limits else {})}, "image"
    channels = [image.channels[i] if i < len(image.channels) else None for i in range(image.shape[axis])]
    labels = [f"{image.name} {c.label if c is not None and c.label else i}" for i, c in enumerate(channels)]
    many = len(channels) > 1
    about |= {
        "channel_axis": axis,
        "name": labels if many else labels[0],
        "visible": [c is None or c.active for c in channels],
        "blending": "additive" if many else "translucent",
    }
    if any(c is not None and c.color for c in channels):
        colors = [_colormap(c.color if c is not None and c.color else "FFFFFF") for c in channels]
        about["colormap"] = colors if many else colors[0]
    limits_of_all = [_limits(image, axis, i) for i in range(len(channels))]
    if all(limits_of_all):
        about["contrast_limits"] = limits_of_all
    return data, about, "image"


def _rgb(image: Image) -> Layer:
    import dask.array as da

    axis = _channel_axis(image)
    assert axis is not None
    data, multiscale = _data(image, lambda array: da.moveaxis(array, axis, -1))
    return data, {**_about(image, axis), "name": image.name, "rgb": True, "multiscale": multiscale}, "image"


def _labels(image: Image) -> Layer:
    def whole(array: Any) -> Any:
        return array if array.dtype.kind in "iu" else array.astype("uint8" if array.dtype.kind == "b" else "int32")

    data, multiscale = _data(image, whole)
    return data, {**_about(image, None), "name": image.name, "multiscale": multiscale}, "labels"


def _colormap(color: str) -> dict[str, Any]:
    """From black to a colour."""
    full = [int(color[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return {"colors": [[0.0, 0.0, 0.0, 1.0], [*full, 1.0]], "name": f"#{color}"}


def _limits(image: Image, axis: int | None, channel: int) -> tuple[float, float] | None:
    """Contrast of a channel: the file's own, else what a plane of the coarsest level holds."""
    if channel < len(image.channels) and image.channels[channel].window is not None:
        return image.channels[channel].window
    coarsest = image.levels[-1]
    if image.dtype.kind not in "iuf" or not coarsest.size:
        return None
    values = _plane(coarsest, axis, channel)
    if values is None:
        return None
    import numpy as np

    values = values[np.isfinite(values)] if values.dtype.kind == "f" else values
    if not values.size:
        return None
    low, high = (float(v) for v in np.percentile(values, (0.1, 99.9)))
    return (low, high) if low < high else (low, low + 1)


def _plane(array: RemoteArray, axis: int | None, channel: int) -> Any:
    index: list[Any] = [channel if i == axis else n // 2 for i, n in enumerate(array.shape)]
    flat = [i for i in range(array.ndim) if i != axis][-2:]
    pixels = 1
    for i in flat:
        index[i] = slice(None)
        pixels *= array.shape[i]
    return array[tuple(index)] if pixels <= MOST_PIXELS else None

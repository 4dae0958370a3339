"""Images: what a tree of arrays means by OME-NGFF's convention, whatever file it came from.

Source: OME-NGFF 0.5 (``multiscales``, ``omero``, ``labels``, ``plate``, ``bioformats2raw.layout``). Readers of vendor
formats emit the same attributes (`coverslip.core.ngff`); arrays without them are images of unnamed axes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged, NotFound
from coverslip.core.finite import is_finite
from coverslip.core.ngff import Axis, Channel
from coverslip.core.node import Array, Group, Node, Source
from coverslip.domains.pyramid import Level, pyramid
from coverslip.domains.tissue import holds_cells, tissue_array, tissue_parts, tissues
from coverslip.engine.sidecar import Shelf

MOST_IMAGES = 20_000
MOST_DEPTH = 12
MOST_CHANNELS = 1000
NAMES = "tczyx"
ADDED = "@fields"
"""The group of images that were uploaded to a source (`coverslip.engine.uploads`)."""
COLORS = ("0080FF", "00FF00", "FF00FF", "FFD500", "FF4000", "00FFFF", "FF80A0", "A0FF40")
"""For channels without a colour of their own: told apart on black by every kind of sight as far as eight can be."""


@dataclass(frozen=True)
class Image:
    """One image.

    Attributes
    ----------
    path
        Where it is in the source's tree; empty for the root.
    name
        What a person calls it.
    axes
        One for each dimension.
    levels
        Finest first, each half as high and wide as the one before.
    channels
        One for each element of the channel axis (at most 1,000), every one with a colour.
    rgb
        Whether the channels are one picture's red, green and blue.
    label
        Whether pixels are numbers of objects.
    labels
        Paths of the label images that belong to it.
    raw
        The file's own metadata.
    stored
        Every level that the file has, finest first, also those that are not among `levels`.
    """

    path: str
    name: str
    axes: tuple[Axis, ...]
    levels: tuple[Level, ...]
    channels: tuple[Channel, ...]
    rgb: bool = False
    label: bool = False
    labels: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)
    stored: tuple[Array, ...] = ()

    @property
    def array(self) -> Array:
        """Level 0."""
        return self.levels[0].array

    @property
    def dims(self) -> tuple[str, ...]:
        """Names of the axes."""
        return tuple(axis.name for axis in self.axes)

    def axis(self, name: str) -> int | None:
        """The number of an axis, or None when there is none of this name."""
        return self.dims.index(name) if name in self.dims else None


class Images:
    """The images of one source, found without reading a pixel.

    Parameters
    ----------
    source
        The opened source.
    shelf
        Where tiles of levels that the file does not store are kept.
    """

    def __init__(self, source: Source, shelf: Shelf | None = None) -> None:
        self.root = source.root
        self._shelf = shelf or Shelf()
        self._made: dict[str, Image] = {}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Paths of all images but label images, in the file's order; then those that were added to it."""
        if holds_cells(self.root):
            own = [tissue.path for tissue in tissues(self.root)]
        else:
            own = [path for path, _ in _walk(self.root)]
        added = self.root.group(ADDED)
        return (*own, *(f"{ADDED}/{name}" for name in added or ()))

    @property
    def attrs(self) -> Mapping[str, Any]:
        """The ``ome`` attributes of the root: its layout when it holds several images."""
        return ome_of(self.root)

    def __getitem__(self, path: str) -> Image:
        """One image.

        Raises
        ------
        NotFound
            When there is none at ``path``.
        """
        if path not in self._made:
            self._made[path] = self._make(path)
        return self._made[path]

    def __contains__(self, path: object) -> bool:
        try:
            return isinstance(path, str) and self[path] is not None
        except NotFound:
            return False

    def __iter__(self) -> Iterator[Image]:
        return (self[path] for path in self.paths)

    def node(self, path: str) -> Node:
        """The node at a path of the tree."""
        node: Node = self.root
        for part in filter(None, path.split("/")):
            if not isinstance(node, Group) or part not in node:
                raise NotFound(f"There is no {path!r} in this source", "GET /api/sources lists it.", "array_not_found")
            node = node[part]
        return node

    def _make(self, path: str) -> Image:
        node = self.node(path)
        shelf = self._shelf.sub(path)
        if isinstance(node, Array) and holds_cells(self.root):
            return self._tissue(path, node, shelf)
        if isinstance(node, Array):
            return _plain(path, node, shelf)
        if "multiscales" in ome_of(node):
            return _multiscale(path, node, shelf)
        what = f"{path!r} is a group, not an image" if path else "This source itself is no image"
        raise NotFound(what, "GET /api/sources lists the images.", "array_not_found")

    def _tissue(self, path: str, array: Array, shelf: Shelf) -> Image:
        picture = tissue_array(array)
        if picture is None or path not in self.paths:
            raise NotFound(f"{path!r} is no image", "GET /api/sources lists the images.", "array_not_found")
        axes, channels = tissue_parts(picture)
        name = "/".join(path.split("/")[2::2])
        return Image(path, name, axes, tuple(pyramid([("", picture)], False, shelf)), channels, len(channels) >= 3)


def ome_of(node: Node) -> dict[str, Any]:
    """The OME attributes of a node, from where either version of the convention keeps them."""
    inner = node.attrs.get("ome")
    if isinstance(inner, Mapping):
        return dict(inner)
    keys = ("multiscales", "omero", "labels", "plate", "well", "image-label", "bioformats2raw.layout")
    return {key: node.attrs[key] for key in keys if key in node.attrs}


def _walk(root: Group) -> Iterator[tuple[str, Node]]:
    found = 0
    stack: list[tuple[str, Node, int]] = [("", root, 0)]
    while stack and found < MOST_IMAGES:
        path, node, depth = stack.pop()
        if isinstance(node, Array):
            if node.spec.shape and node.spec.dtype.kind in "biufc":
                found += 1
                yield path, node
        elif "multiscales" in ome_of(node):
            found += 1
            yield path, node
        elif depth < MOST_DEPTH and node.attrs.get("encoding-type") != "anndata":
            children = [(f"{path}/{name}".lstrip("/"), name) for name in node if not _private(path, name)]
            for child, name in reversed(children):
                try:
                    stack.append((child, node[name], depth + 1))
                except CoverslipError:
                    continue  # one bad entry hides no others


def _private(path: str, name: str) -> bool:
    return name.startswith(".") or (not path and name in ("OME", ADDED))


def _plain(path: str, array: Array, shelf: Shelf) -> Image:
    shape = array.spec.shape
    names = _dimension_names(array, len(shape))
    steps = _vector(array.attrs.get("step"), shape) or [1.0] * len(shape)
    unit = _text(array.attrs.get("unit"))
    axes = tuple(Axis(n, s, unit if n in "zyx" else None) for n, s in zip(names, steps, strict=True))
    spatial = len(shape) >= 2
    name = path.rsplit("/", 1)[-1]
    raw = {k: v for k, v in array.attrs.items() if k not in ("dimension_names", "step", "unit")}
    channels = _channels({}, shape[names.index("c")] if "c" in names else 1, False)
    return Image(path, name, axes, tuple(pyramid([("", array)], False, shelf, spatial)), channels, raw=raw)


def _dimension_names(array: Array, n: int) -> list[str]:
    """The names the file gives; else the last two (three) are ``y x`` (``z y x``), those before them numbered."""
    given = array.attrs.get("dimension_names")
    if isinstance(given, (list, tuple)) and len(set(map(str, given))) == n and all(given):
        return [str(g) for g in given]
    if n == 1:
        return ["x"]
    tail = ["y", "x"] if n == 2 else ["z", "y", "x"]
    return [f"d{i}" for i in range(n - len(tail))] + tail


def _multiscale(path: str, group: Group, shelf: Shelf) -> Image:
    ome = ome_of(group)
    try:
        scale = ome["multiscales"][0]
        datasets = scale["datasets"]
        stored = [(str(d["path"]), _array_at(group, str(d["path"]))) for d in datasets]
        shape = stored[0][1].spec.shape
    except (KeyError, IndexError, TypeError) as error:
        raise Damaged(f"The multiscales metadata of {path or 'the image'} is incomplete", "Write it again.") from error
    axes = _axes(scale, datasets[0], shape)
    own = group.attrs.get("coverslip")
    own = own if isinstance(own, Mapping) else {}
    label = "image-label" in ome
    names = [axis.name for axis in axes]
    omero = ome.get("omero")
    rgb = bool(own.get("rgb")) or _looks_rgb(omero, names, shape, str(stored[0][1].spec.dtype))
    channels = _channels(
        omero if isinstance(omero, Mapping) else {}, shape[names.index("c")] if "c" in names else 1, rgb
    )
    raw = own.get("raw") or {k: v for k, v in group.attrs.items() if k != "coverslip"}
    return Image(
        path,
        str(scale.get("name") or "") or path.rsplit("/", 1)[-1],
        axes,
        tuple(pyramid(stored, label, shelf, names[-2:] == ["y", "x"])),
        channels,
        rgb,
        label,
        tuple(_labels(path, group)),
        raw,
        tuple(array for _, array in stored),
    )


def _array_at(group: Group, path: str) -> Array:
    node: Node = group
    for part in path.split("/"):
        if not isinstance(node, Group):
            raise KeyError(path)
        node = node[part]
    if not isinstance(node, Array):
        raise KeyError(path)
    return node


def _axes(scale: Mapping[str, Any], dataset: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[Axis, ...]:
    given = scale.get("axes")
    entries = [a if isinstance(a, Mapping) else {"name": a} for a in given] if isinstance(given, list) else []
    if len(entries) != len(shape):
        entries = [{"name": name} for name in (NAMES[-len(shape) :] if len(shape) <= 5 else [])]
        entries = [{"name": f"d{i}"} for i in range(len(shape) - len(entries))] + entries
    step, origin = [1.0] * len(shape), [0.0] * len(shape)
    for holder in (dataset, scale):  # a transformation of the whole image comes after the level's own
        for transform in _mappings(holder.get("coordinateTransformations")):
            factors, shift = _vector(transform.get("scale"), shape), _vector(transform.get("translation"), shape)
            if factors:
                step = [a * b for a, b in zip(step, factors, strict=True)]
                origin = [a * b for a, b in zip(origin, factors, strict=True)]
            if shift:
                origin = [a + b for a, b in zip(origin, shift, strict=True)]
    return tuple(
        Axis(str(e.get("name")), s, _text(e.get("unit")), o, _text(e.get("type")))
        for e, s, o in zip(entries, step, origin, strict=True)
    )


def _vector(value: Any, shape: tuple[int, ...]) -> list[float] | None:
    if not isinstance(value, list) or len(value) != len(shape):
        return None
    return [float(v) for v in value] if all(map(is_finite, value)) else None


def _mappings(value: Any) -> list[Mapping[str, Any]]:
    """The objects of a list; none of what is no list."""
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _looks_rgb(omero: Any, names: list[str], shape: tuple[int, ...], dtype: str) -> bool:
    """Three channels called (or coloured) red, green and blue are one picture, if they hold bytes."""
    if not isinstance(omero, Mapping) or "c" not in names or shape[names.index("c")] != 3 or dtype != "uint8":
        return False
    channels = _mappings(omero.get("channels"))
    return [str(c.get("label", "")).lower()[:1] for c in channels] == ["r", "g", "b"] and [
        str(c.get("color", "")).upper() for c in channels
    ] == ["FF0000", "00FF00", "0000FF"]


def _channels(omero: Mapping[str, Any], n: int, rgb: bool) -> tuple[Channel, ...]:
    listed = omero.get("channels")
    given = [c if isinstance(c, Mapping) else {} for c in listed] if isinstance(listed, list) else []
    names = ("Red", "Green", "Blue") if rgb else ()
    colors = ("FF0000", "00FF00", "0000FF") if rgb else ("FFFFFF",) if n == 1 else COLORS
    found = []
    for i in range(min(n, MOST_CHANNELS)):
        entry = given[i] if i < len(given) else {}
        label = str(entry.get("label") or "") or (names[i] if i < len(names) else f"Channel {i + 1}")
        color = str(entry.get("color") or "").lstrip("#").upper()
        color = color if len(color) == 6 and all(d in "0123456789ABCDEF" for d in color) else colors[i % len(colors)]
        found.append(Channel(label, color, _window(entry.get("window")), entry.get("active") is not False))
    return tuple(found)


def _window(given: Any) -> tuple[float, float] | None:
    if not isinstance(given, Mapping):
        return None
    low, high = given.get("start"), given.get("end")
    if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low < high:
        return float(low), float(high)
    return None


def _labels(path: str, group: Group) -> Iterator[str]:
    labels = group.group("labels")
    if labels is None:
        return
    named = ome_of(labels).get("labels")
    for name in named if isinstance(named, list) else list(labels):
        if isinstance(name, str) and name in labels and isinstance(labels[name], Group):
            yield f"{path}/labels/{name}".lstrip("/")

"""What a person knows better than the file: names of axes and channels, pixel size, colours, which data set is meant.

Works on OME-NGFF attributes (`coverslip.core.ngff`) and on the attributes of plain arrays; pixels stay as they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from coverslip.core.errors import BadRequest, Damaged, NotFound
from coverslip.core.ngff import KINDS, VERSION
from coverslip.core.node import Array, Attrs, Group, Node, Source
from coverslip.core.spec import ArraySpec, Box

SPACE = "zyx"
HINT = "Correct it in the configuration."
CODE = "override_does_not_fit"


@dataclass(frozen=True)
class Override:
    """What is configured for one source.

    Attributes
    ----------
    dim_labels
        Names of all axes, in the order of the file.
    pixel_size
        Distance of neighbours along axes, by the axes' names, in ``unit``.
    unit
        As NGFF writes it: ``micrometer``.
    channel_names
        In order; those that follow keep their names.
    channel_colors
        ``RRGGBB``, in order.
    dataset
        Path of the group or array inside the file that is offered instead of the whole file.
    """

    dim_labels: tuple[str, ...] = ()
    pixel_size: Mapping[str, float] = field(default_factory=dict)
    unit: str | None = None
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[str, ...] = ()
    dataset: str = ""

    @property
    def empty(self) -> bool:
        """Whether nothing is overridden."""
        return self == Override()


def overridden(source: Source, override: Override) -> Source:
    """The source as it is configured; the source itself when nothing is."""
    if override.empty:
        return source
    try:
        return OverriddenSource(source, override)
    except (BadRequest, NotFound):
        source.close()
        raise


class OverriddenSource(Source):
    """A source of which some attributes are others than the file says.

    Raises
    ------
    NotFound
        When the data set is not there.
    """

    def __init__(self, source: Source, override: Override) -> None:
        self._source = source
        node = _at(source.root, override.dataset)
        made = _wrap(node, override)
        self.root = made if isinstance(made, Group) else _Only(override.dataset.rsplit("/", 1)[-1], made)
        mark = hashlib.sha256(repr(override).encode()).hexdigest()[:8]
        self.etag, self.modified_s = f"{source.etag}-{mark}", source.modified_s

    def fresh(self) -> bool:
        """As the source."""
        return self._source.fresh()

    def close(self) -> None:
        """As the source."""
        self._source.close()


class OverriddenGroup(Group):
    """A group whose attributes are changed; so are those of all below it."""

    def __init__(self, group: Group, override: Override) -> None:
        self._group = group
        self._override = override
        self._image = _multiscales(group.attrs) is not None
        self.attrs: Attrs = image_attributes(group.attrs, override) if self._image else group.attrs

    def __iter__(self) -> Iterator[str]:
        return iter(self._group)

    def __contains__(self, name: object) -> bool:
        return name in self._group

    def __getitem__(self, name: str) -> Node:
        node = self._group[name]
        if self._image and (isinstance(node, Array) or name == "labels"):
            return node  # a level is described by its image; labels have their own axes and no channels
        return _wrap(node, self._override)


class OverriddenArray(Array):
    """An array that is no level of an image, with names and sizes of its axes."""

    def __init__(self, array: Array, override: Override) -> None:
        self._array = array
        self.attrs = array_attributes(array.attrs, array.spec, override)

    @property
    def spec(self) -> ArraySpec:
        """As the array's."""
        return self._array.spec

    def read(self, box: Box) -> Any:
        """As the array's."""
        return self._array.read(box)


class _Only(Group):
    def __init__(self, name: str, array: Array) -> None:
        self._name = name
        self._array = array
        self.attrs = {}

    def __iter__(self) -> Iterator[str]:
        return iter((self._name,))

    def __contains__(self, name: object) -> bool:
        return name == self._name

    def __getitem__(self, name: str) -> Node:
        if name != self._name:
            raise NotFound(f"There is no {name!r} here")
        return self._array


def image_attributes(attrs: Attrs, override: Override) -> dict[str, Any]:
    """The attributes of an image, overridden.

    Raises
    ------
    BadRequest
        When there are more or fewer names than axes, or a size for an axis that is not there.
    Damaged
        When the attributes make no sense.
    """
    found = dict(attrs)
    inner = found.get("ome")
    ome = dict(inner) if isinstance(inner, Mapping) else found
    try:
        ome["multiscales"] = [_image(dict(scale), override) for scale in ome["multiscales"]]
        if override.channel_names or override.channel_colors:
            ome["omero"] = _channels(ome.get("omero"), override)
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError) as error:
        raise Damaged("The metadata of the image is incomplete", "Write it again, or correct none of it.") from error
    if ome is not found:
        found["ome"] = {"version": VERSION, **ome}
    return found


def array_attributes(attrs: Attrs, spec: ArraySpec, override: Override) -> dict[str, Any]:
    """The attributes of a plain array, overridden; those of an array with another number of axes stay."""
    found = dict(attrs)
    n = len(spec.shape)
    if len(override.dim_labels) == n:
        found["dimension_names"] = list(override.dim_labels)
    named = found.get("dimension_names")
    names = [str(a) for a in named] if isinstance(named, (list, tuple)) and len(named) == n else _guess(n)
    if set(override.pixel_size) & set(names):
        given = found.get("step")
        steps = list(given) if isinstance(given, (list, tuple)) and len(given) == n else [1.0] * n
        found["step"] = [override.pixel_size.get(name, step) for name, step in zip(names, steps, strict=True)]
        found["dimension_names"] = names
        if override.unit:
            found["unit"] = override.unit
    return found


def _guess(n: int) -> list[str]:
    tail = list("zyx"[-n:] if n else "")
    return [f"d{i}" for i in range(n - len(tail))] + tail


def _image(scale: dict[str, Any], override: Override) -> dict[str, Any]:
    axes = [dict(a) if isinstance(a, Mapping) else {"name": str(a)} for a in scale.get("axes") or ()]
    if override.dim_labels:
        if axes and len(axes) != len(override.dim_labels):
            raise BadRequest(f"There are {len(axes)} axes and {len(override.dim_labels)} dim_labels", HINT, CODE)
        axes = [_named(old, name) for old, name in zip(axes or ({},) * 9, override.dim_labels, strict=False)]
    names = [str(axis.get("name")) for axis in axes]
    missing = set(override.pixel_size) - set(names)
    if missing:
        raise BadRequest(f"There is no axis {', '.join(sorted(missing))}", f"There is {' '.join(names)}. {HINT}", CODE)
    if override.unit:
        for axis in axes:
            if axis["name"] in override.pixel_size:
                axis["unit"] = override.unit
    scale["axes"] = axes
    return _scaled(scale, names, override.pixel_size) if override.pixel_size else scale


def _named(old: Mapping[str, Any], name: str) -> dict[str, Any]:
    kind = KINDS.get(name, "")
    kept = old if kind == old.get("type") else {k: v for k, v in old.items() if k not in ("type", "unit")}
    return {**kept, "name": name, **({"type": kind} if kind else {})}


def _scaled(scale: dict[str, Any], names: list[str], sizes: Mapping[str, float]) -> dict[str, Any]:
    """The image with its levels' transformations multiplied so that level 0 has the sizes."""
    n = len(names)
    datasets = [dict(d) for d in scale.get("datasets") or ()]
    whole = _scale_of(scale.get("coordinateTransformations"), n)
    first = _scale_of(datasets[0].get("coordinateTransformations"), n) if datasets else [1.0] * n
    factors = [sizes[name] / (first[i] * whole[i] or 1.0) if name in sizes else 1.0 for i, name in enumerate(names)]
    for dataset in datasets:
        given = list(dataset.get("coordinateTransformations") or ({"type": "scale", "scale": [1.0] * n},))
        dataset["coordinateTransformations"] = [_times(transform, factors) for transform in given]
    scale["datasets"] = datasets
    return scale


def _scale_of(transforms: Any, n: int) -> list[float]:
    found = [1.0] * n
    for transform in transforms or ():
        given = transform.get("scale") if isinstance(transform, Mapping) else None
        if isinstance(given, list) and len(given) == n:
            found = [a * float(b) for a, b in zip(found, given, strict=True)]
    return found


def _times(transform: Mapping[str, Any], factors: list[float]) -> dict[str, Any]:
    found = dict(transform)
    for key in ("scale", "translation"):
        given = found.get(key)
        if isinstance(given, list) and len(given) == len(factors):
            found[key] = [float(a) * b for a, b in zip(given, factors, strict=True)]
    return found


def _channels(omero: Any, override: Override) -> dict[str, Any]:
    found = dict(omero) if isinstance(omero, Mapping) else {}
    channels = [dict(c) if isinstance(c, Mapping) else {} for c in found.get("channels") or ()]
    wanted = max(len(override.channel_names), len(override.channel_colors))
    channels += [{} for _ in range(wanted - len(channels))]
    for channel, label in zip(channels, override.channel_names, strict=False):
        channel["label"] = label
    for channel, color in zip(channels, override.channel_colors, strict=False):
        channel["color"] = color
    return {**found, "channels": channels}


def _multiscales(attrs: Attrs) -> Any:
    inner = attrs.get("ome", attrs)
    return inner.get("multiscales") if isinstance(inner, Mapping) else None


def _wrap(node: Node, override: Override) -> Node:
    return OverriddenGroup(node, override) if isinstance(node, Group) else OverriddenArray(node, override)


def _at(root: Group, path: str) -> Node:
    node: Node = root
    for part in filter(None, path.split("/")):
        if not isinstance(node, Group) or part not in node:
            raise NotFound(f"There is no data set {path!r} in the file", HINT, CODE)
        node = node[part]
    return node

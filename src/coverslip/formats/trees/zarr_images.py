"""OME-NGFF in a Zarr hierarchy as images: every version's metadata in the form of 0.5.

Levels are named ``0``, ``1``, … whatever the file calls them; transformations of the whole image are worked into those
of its levels; axes are put in the order t c z y x.

Source: OME-NGFF 0.1 to 0.5, https://ngff.openmicroscopy.org/ (``multiscales``, ``omero``, ``labels``, ``plate``,
``well``, ``bioformats2raw.layout``); SpatialData 0.1 and 0.2 (``images`` and ``labels`` of its stores).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.finite import is_finite
from coverslip.core.ngff import Axis, Channel, ImageMeta, unit_name
from coverslip.core.node import Array, Group, Node
from coverslip.core.tree import MemoryGroup
from coverslip.formats.trees.arrays import NUMBERS, default_names, plain
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.zarr import ZarrGroup, nodes

KEYS = ("multiscales", "omero", "plate", "well", "labels", "image-label", "bioformats2raw.layout", "series")
LAYOUT = "bioformats2raw.layout"
VERSION = "0.5"
MOST_CHANNELS = 1000
RGB = ["FF0000", "00FF00", "0000FF"]
BROKEN = "The OME metadata is incomplete; write it again, or see what the OME-NGFF validator says."


def ome_of(attrs: Mapping[str, Any]) -> dict[str, Any]:
    """The OME attributes, from where either version keeps them."""
    inner = attrs.get("ome")
    return dict(inner) if isinstance(inner, Mapping) else {key: attrs[key] for key in KEYS if key in attrs}


def is_ome(attrs: Mapping[str, Any]) -> bool:
    """Whether a group's attributes say that it holds images."""
    ome = ome_of(attrs)
    return (
        any(ome.get(key) for key in ("multiscales", "plate", "well", "labels", LAYOUT)) or "spatialdata_attrs" in attrs
    )


def ome_tree(group: ZarrGroup) -> Group:
    """The images of a group that `is_ome`.

    Raises
    ------
    Damaged
        When its metadata does not fit what is stored.
    """
    ome = ome_of(group.attrs)
    if ome.get("plate"):
        return plate(group, ome)
    if ome.get("multiscales"):
        return multiscale(group)
    if ome.get("well"):
        return well(group)
    if ome.get(LAYOUT):
        return series(group)
    if ome.get("labels"):
        return labels(group) or MemoryGroup({})
    return spatial(group)


def multiscale(group: ZarrGroup, name: str = "", label: bool = False) -> Group:
    """One image with its levels and label images."""
    ome = ome_of(group.attrs)
    try:
        scale = ome["multiscales"][0]
        datasets = [dict(d) for d in scale["datasets"]]
        paths = [str(d["path"]) for d in datasets]
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise Damaged("The multiscales metadata is incomplete", BROKEN) from error
    levels, left_out = _levels(group, paths)
    shape = levels[0].spec.shape
    axes = _axes(scale, len(shape))
    steps = [_steps(scale, d, axes, shape, level.spec.shape) for d, level in zip(datasets, levels, strict=False)]
    label = label or "image-label" in ome
    meta = ImageMeta(
        axes=[Axis(a.name, s, a.unit, o, a.kind) for a, s, o in zip(axes, *steps[0], strict=True)],
        name=str(scale.get("name") or name),
        label=label,
        raw=plain(dict(group.attrs)),
    )
    own = labels(group.at("labels")) if group.holds("labels") else None
    made = _arranged(levels, meta, ome, steps)
    if left_out:
        made.attrs["coverslip"]["left_out"] = left_out
    if own is None:
        return made
    return MemoryGroup({**{n: made[n] for n in made}, "labels": own}, made.attrs)


def _arranged(
    levels: Sequence[Array], meta: ImageMeta, ome: Mapping[str, Any], steps: Sequence[tuple[list[float], list[float]]]
) -> Group:
    """The image in NGFF's order of axes, with the file's own transformations."""
    names = [a.name for a in meta.axes]
    ordered, meta = in_order(levels, meta)
    channels, rgb = _channels(ome.get("omero"), [a.name for a in meta.axes], ordered[0])
    meta = ImageMeta(meta.axes, channels, meta.name, rgb, meta.label, meta.raw)
    made = image(ordered, meta)
    now = ["c" if n == "s" and "c" not in names else n for n in names]
    order = [now.index(a.name) for a in meta.axes]
    found = made.attrs["ome"]
    for entry, (step, origin) in zip(found["multiscales"][0]["datasets"], steps, strict=True):
        entry["coordinateTransformations"] = [{"type": "scale", "scale": [step[i] for i in order]}]
        if any(origin):
            entry["coordinateTransformations"].append(
                {"type": "translation", "translation": [origin[i] for i in order]}
            )
    for shown, given in zip(found.get("omero", {}).get("channels", ()), _entries(ome.get("omero")), strict=False):
        limits = _limits(given.get("window"))
        if limits:
            shown["window"] = limits
    if meta.label and isinstance(ome.get("image-label"), Mapping):
        found["image-label"] = plain(dict(ome["image-label"]))
    return made


def _levels(group: ZarrGroup, paths: Sequence[str]) -> tuple[list[Array], dict[str, str]]:
    """The levels that can be read, finest first; the first must be there."""
    levels: list[Array] = []
    left_out: dict[str, str] = {}
    for path in paths:
        try:
            node = group.at(path)
            if not isinstance(node, Array) or node.spec.dtype.name not in NUMBERS or not all(node.spec.shape):
                raise Damaged(f"The level {path!r} is no array of numbers", BROKEN)
            if levels and not _coarser(node.spec.shape, levels[-1].spec.shape):
                raise Damaged(f"The level {path!r} is not smaller than the one before", BROKEN)
        except CoverslipError as error:
            if not levels:
                raise
            left_out[path] = error.message
            break  # what follows stands for other sizes than the transformations say
        levels.append(node)
    if not levels:
        raise Damaged("The image has no levels", BROKEN)
    return levels, left_out


def _coarser(shape: tuple[int, ...], before: tuple[int, ...]) -> bool:
    return len(shape) == len(before) and shape != before and all(a <= b for a, b in zip(shape, before, strict=True))


def _axes(scale: Mapping[str, Any], n: int) -> list[Axis]:
    """Names, kinds and units: objects since 0.4, names in 0.3, always t c z y x before."""
    given = scale.get("axes")
    entries = [a if isinstance(a, Mapping) else {"name": a} for a in given] if isinstance(given, list) else []
    names = [str(e.get("name") or "") for e in entries]
    if len(names) != n or len(set(names)) != n or not all(names):
        return [Axis(name) for name in (list("tczyx")[-n:] if n <= 5 else default_names(n))]
    return [
        Axis(name, unit=unit_name(_text(e.get("unit"))), kind=_text(e.get("type")))
        for name, e in zip(names, entries, strict=True)
    ]


def _steps(
    scale: Mapping[str, Any],
    dataset: Mapping[str, Any],
    axes: Sequence[Axis],
    base: tuple[int, ...],
    shape: tuple[int, ...],
) -> tuple[list[float], list[float]]:
    """Step and origin of a level along each axis; by the sizes where the file does not say."""
    n = len(shape)
    own, whole = _transforms(dataset), _transforms(scale)
    step, origin = [1.0] * n, [0.0] * n
    if not any(_vector(t.get("scale"), n) for t in own):
        step = [b / s for b, s in zip(base, shape, strict=True)]
        origin = [(r - 1) / 2 if a.type == "space" else 0.0 for r, a in zip(step, axes, strict=True)]
    for transform in (*own, *whole):  # the whole image's come after the level's
        factors, shift = _vector(transform.get("scale"), n), _vector(transform.get("translation"), n)
        if factors:
            step = [a * b for a, b in zip(step, factors, strict=True)]
            origin = [a * b for a, b in zip(origin, factors, strict=True)]
        if shift:
            origin = [a + b for a, b in zip(origin, shift, strict=True)]
    return step, origin


def _transforms(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    given = holder.get("coordinateTransformations")
    return [t for t in given if isinstance(t, Mapping)] if isinstance(given, list) else []


def _vector(given: Any, n: int) -> list[float] | None:
    if not isinstance(given, list) or len(given) != n:
        return None
    fits = all(map(is_finite, given))
    return [float(v) for v in given] if fits else None


def _text(given: Any) -> str | None:
    return given if isinstance(given, str) and given else None


def _entries(omero: Any) -> list[Mapping[str, Any]]:
    given = omero.get("channels") if isinstance(omero, Mapping) else None
    return [c if isinstance(c, Mapping) else {} for c in given] if isinstance(given, list) else []


def _channels(omero: Any, names: Sequence[str], array: Array) -> tuple[list[Channel], bool]:
    """The channels, and whether they are one picture's red, green and blue."""
    entries = _entries(omero)
    if not entries:
        return [], False
    n = array.spec.shape[list(names).index("c")] if "c" in names else 1
    found = []
    for i in range(min(n, MOST_CHANNELS)):
        entry = entries[i] if i < len(entries) else {}
        color = str(entry.get("color") or "").lstrip("#").upper()
        known = len(color) == 6 and all(d in "0123456789ABCDEF" for d in color)
        limits = _limits(entry.get("window"))
        window = (limits["start"], limits["end"]) if limits else None
        label = str(entry.get("label") if entry.get("label") is not None else "")
        found.append(Channel(label, color if known else None, window, entry.get("active") is not False))
    rgb = array.spec.dtype.name == "uint8" and [c.color for c in found] == RGB
    rgb = rgb and all(c.window in (None, (0.0, 255.0)) for c in found)
    return found, rgb


def _limits(given: Any) -> dict[str, float] | None:
    if not isinstance(given, Mapping):
        return None
    found = {k: float(v) for k, v in given.items() if k in ("min", "max", "start", "end") and _vector([v], 1)}
    if "start" not in found or "end" not in found:
        return None
    return {"min": found["start"], "max": found["end"], **found}


def labels(group: Node) -> Group | None:
    """The label images of a ``labels`` group; None when it names none."""
    if not isinstance(group, ZarrGroup):
        return None
    named = ome_of(group.attrs).get("labels")
    names = [str(n) for n in named] if isinstance(named, list) else list(group)
    found: dict[str, Callable[[], Node]] = {
        name.strip("/").replace("/", "_"): partial(_label, group, name) for name in names if group.holds(name)
    }
    return MemoryGroup(found, {"ome": {"version": VERSION, "labels": list(found)}}) if found else None


def _label(group: ZarrGroup, name: str) -> Group:
    return multiscale(_group(group, name), name, label=True)


def _group(group: ZarrGroup, path: str) -> ZarrGroup:
    node = group.at(path)
    if not isinstance(node, ZarrGroup):
        raise Damaged(f"{path!r} is an array, not a group", BROKEN)
    return node


def _images(group: ZarrGroup, names: Sequence[str]) -> dict[str, Callable[[], Node]]:
    return {name: partial(_image, group, name) for name in names if group.holds(name)}


def _image(group: ZarrGroup, name: str) -> Group:
    return multiscale(_group(group, name), name)


def series(group: ZarrGroup) -> Group:
    """The images of a ``bioformats2raw.layout`` collection, in the order its ``OME`` group gives."""
    given: Any = None
    if group.holds("OME"):
        ome = group.at("OME")
        given = ome_of(ome.attrs).get("series")
    names = [str(n) for n in given] if isinstance(given, list) else sorted((n for n in group if n.isdigit()), key=int)
    found = _images(group, names)
    if not found:
        raise Damaged("The collection names no image", BROKEN)
    return MemoryGroup(found, _attrs(group, {LAYOUT: 3, "series": list(found)}))


def plate(group: ZarrGroup, ome: Mapping[str, Any]) -> Group:
    """A plate: rows of columns of wells of fields, each field an image."""
    given = ome["plate"]
    wells = given.get("wells") if isinstance(given, Mapping) else None
    paths = (
        [str(w["path"]) for w in wells if isinstance(w, Mapping) and w.get("path")] if isinstance(wells, list) else []
    )
    if not paths:
        raise Damaged("The plate names no wells", BROKEN)
    tree: dict[str, Any] = {}
    for path in paths:
        if not group.holds(path):
            continue  # not every well of a plate is imaged
        here = tree
        *folders, last = [p for p in path.split("/") if p]
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = partial(_well, group, path)
    return MemoryGroup({k: _rows(v) for k, v in tree.items()}, _attrs(group, {"plate": plain(dict(given))}))


def _rows(value: Any) -> Any:
    return MemoryGroup({k: _rows(v) for k, v in value.items()}) if isinstance(value, dict) else value


def _well(group: ZarrGroup, path: str) -> Group:
    return well(_group(group, path))


def well(group: ZarrGroup) -> Group:
    """The fields of one well."""
    given = ome_of(group.attrs).get("well")
    given = dict(given) if isinstance(given, Mapping) else {}
    entries = given.get("images")
    names = (
        [str(e["path"]) for e in entries if isinstance(e, Mapping) and "path" in e] if isinstance(entries, list) else []
    )
    return MemoryGroup(_images(group, names), _attrs(group, {"well": plain(given)}))


def spatial(group: ZarrGroup) -> Group:
    """The images and labels of a SpatialData store."""
    nodes_: dict[str, Node] = {}
    for part, label in (("images", False), ("labels", True)):
        if not group.holds(part):
            continue
        inner = _group(group, part)
        found = {name: partial(multiscale, node, name, label) for name, node in _multiscales(inner)}
        nodes_[part] = MemoryGroup(found)
    return MemoryGroup(nodes_, {"ome": {"version": VERSION, LAYOUT: 3}, "coverslip": {"raw": plain(dict(group.attrs))}})


def _multiscales(group: ZarrGroup) -> Iterator[tuple[str, ZarrGroup]]:
    for name, node in nodes(group):
        if isinstance(node, ZarrGroup) and ome_of(node.attrs).get("multiscales"):
            yield name, node


def _attrs(group: ZarrGroup, ome: Mapping[str, Any]) -> dict[str, Any]:
    return {"ome": {"version": VERSION, **ome}, "coverslip": {"raw": plain(dict(group.attrs))}}

"""Plain arrays as images: for stores of arrays that follow no convention of images."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from coverslip.core.ngff import Axis, ImageMeta
from coverslip.core.node import Array, Group, Node
from coverslip.core.tree import MemoryGroup
from coverslip.formats.trees.image import ORDER, image, in_order

NUMBERS = frozenset(
    ["bool", "complex64", "complex128", "float16", "float32", "float64"]
    + [f"{kind}{bits}" for kind in ("int", "uint") for bits in (8, 16, 32, 64)]
)
"""The dtypes of arrays that are offered, by name: those that Zarr v3 has, too."""
MOST_ARRAYS = 20_000
"""How many arrays of one source are offered."""
ABSOLUTE = re.compile(r"(file://|/(?:[^/]+/)+|[A-Za-z]:[\\/])[^/\\]*")


def array_image(
    array: Array,
    name: str,
    names: Sequence[str] | None = None,
    steps: Sequence[float] | None = None,
    units: Sequence[str | None] | None = None,
) -> Group:
    """One array as an image of one level.

    Parameters
    ----------
    names, steps, units
        Of its axes as the file gives them; axes without names are called ``y x`` and ``z y x`` from the last, those
        before them ``d0``, ``d1``, ….
    """
    n = len(array.spec.shape)
    used = list(names) if names and len(names) == n and len(set(names)) == n else default_names(n)
    step = list(steps) if steps and len(steps) == n else [1.0] * n
    unit = list(units) if units and len(units) == n else [None] * n
    axes = [Axis(a, s, u) for a, s, u in zip(used, step, unit, strict=True)]
    meta = ImageMeta(axes=axes, name=name, raw=plain(dict(array.attrs)))
    if set(used) <= set(ORDER):  # the letters of images: then in their order, too
        return image(*in_order([array], meta))
    return image([array], meta)


def default_names(n: int) -> list[str]:
    """Names for axes that have none."""
    tail = ["x"] if n == 1 else ["y", "x"] if n == 2 else ["z", "y", "x"]
    return [f"d{i}" for i in range(n - len(tail))] + tail[:n]


def offered(node: object) -> bool:
    """Whether an array is one of numbers that can be looked at: of one axis at least, and not empty."""
    return (
        isinstance(node, Array) and node.spec.dtype.name in NUMBERS and bool(node.spec.shape) and all(node.spec.shape)
    )


def arranged(found: Mapping[str, Group], raws: Mapping[str, Mapping[str, Any]], left_out: Mapping[str, str]) -> Group:
    """Images by their paths as nested groups; a single one is the root itself.

    Parameters
    ----------
    raws
        Attributes of groups, by path.
    left_out
        Arrays that are not offered, and why.
    """
    if len(found) == 1 and not left_out:
        return next(iter(found.values()))
    tree: dict[str, Any] = {}
    for path, node in found.items():
        *folders, last = path.split("/")
        here = tree
        for folder in folders:
            here = here.setdefault(folder, {})
        here[last] = node
    root = _groups("", tree, raws)
    root.attrs = {**root.attrs, "ome": {"version": "0.5", "bioformats2raw.layout": 3}}
    if left_out:
        root.attrs["coverslip"]["left_out"] = dict(left_out)
    return root


def _groups(path: str, tree: Mapping[str, Any], raws: Mapping[str, Mapping[str, Any]]) -> MemoryGroup:
    nodes: dict[str, Node] = {
        name: value if isinstance(value, Group) else _groups(f"{path}/{name}".lstrip("/"), value, raws)
        for name, value in tree.items()
    }
    return MemoryGroup(nodes, {"coverslip": {"raw": plain(dict(raws.get(path, {})))}})


def plain(value: Any) -> Any:
    """Metadata as JSON that tells nothing of the machine it was written on.

    Infinite and undefined numbers become text; of absolute paths only the last name is kept.
    """
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, complex) or (isinstance(value, float) and not math.isfinite(value)):
        return str(value)
    if isinstance(value, str):
        return re.split(r"[\\/]", value)[-1] if ABSOLUTE.fullmatch(value) else value
    return value if isinstance(value, (int, float, bool, type(None))) else str(value)

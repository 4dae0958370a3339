"""What a ``TensorReadOption`` asks for, checked against the tensor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from coverslip.core.errors import BadRequest
from coverslip.core.node import Array
from coverslip.domains.images import Image
from coverslip.fronts.flight.grid import Aims, grid_shape
from coverslip.fronts.flight.region import Region
from coverslip.fronts.flight.tensors import Tensor

METHODS = {
    "nearest": "nearest",
    "stride": "nearest",
    "decimate": "nearest",
    "area": "area",
    "mean": "area",
    "linear": "area",
    "precompute": "precompute",
    "precomputed": "precompute",
}
FIELDS = frozenset({"endpoints", "metadata_json", "pyramid", "upload_status", "is_resident", "ticket_stub"})
MOST_SCALE = 1 << 24
DEFAULT = "area"


@dataclass(frozen=True, slots=True)
class Native:
    """A level that the file stores.

    Attributes
    ----------
    array
        Its elements.
    scale
        How many elements of level 0 each stands for, on each axis.
    """

    array: Array
    scale: tuple[int, ...]


def fields_of(option: Any) -> frozenset[str]:
    """The optional parts that are asked for.

    Raises
    ------
    BadRequest
        When there is no such part.
    """
    asked = frozenset(option.fields.paths)
    unknown = sorted(asked - FIELDS)
    if unknown:
        raise BadRequest(f"Unknown field mask path: {unknown[0][:100]}", f"There is {', '.join(sorted(FIELDS))}.")
    return asked


def region_of(tensor: Tensor, option: Any, aims: Aims) -> Region:
    """What is read, cut into chunks.

    Raises
    ------
    BadRequest
        When slice, scale or method do not fit the tensor.
    """
    shape = tensor.shape
    start, stop = _slice(option, shape)
    scale = _scale(option, len(shape))
    method = _method(option.reduction_method, tensor.image, scale)
    low = tuple(a // s for a, s in zip(start, scale, strict=True))
    high = tuple(-(-b // s) for b, s in zip(stop, scale, strict=True))
    if tensor.grid is not None and math.prod(scale) == 1:
        return _on_grid(tensor, tensor.grid, low, high)
    array = tensor.array
    weight = math.prod(scale)
    if method == "precompute":
        array = native(tensor.image, scale).array
        high = tuple(min(b, n) for b, n in zip(high, array.spec.shape, strict=True))
        low = tuple(min(a, b) for a, b in zip(low, high, strict=True))
        weight = 1
    spec = array.spec
    stored = spec.chunks
    if stored is not None and method != "precompute":
        stored = tuple(max(c // s, 1) for c, s in zip(stored, scale, strict=True))
    sent = [b - a for a, b in zip(low, high, strict=True)]
    grid = grid_shape(sent, spec.dtype.itemsize, stored, aims, weight)
    # Where a chunk spans an axis it does so wherever it begins: there is no multiple of the grid inside.
    grid = tuple(max(b, 1) if g >= n else g for g, n, b in zip(grid, sent, high, strict=True))
    return Region(tensor.array_id, tensor.version, low, high, scale, method, grid)


def _on_grid(tensor: Tensor, grid: tuple[int, ...], low: Sequence[int], high: Sequence[int]) -> Region:
    """Whole chunks of a grid that is given."""
    first = tuple(a // g * g for a, g in zip(low, grid, strict=True))
    last = tuple(min(-(-b // g) * g, n) for b, g, n in zip(high, grid, tensor.shape, strict=True))
    return Region(tensor.array_id, tensor.version, first, last, (1,) * len(grid), "", grid)


def native(image: Image, scale: Sequence[int]) -> Native:
    """The stored level with exactly this scale.

    Raises
    ------
    BadRequest
        When the file stores none.
    """
    found = next((level for level in natives(image) if level.scale == tuple(scale)), None)
    if found is None:
        raise BadRequest(
            f"There is no precomputed level of scale {list(scale)}", "The descriptor's pyramid lists them.", "no_level"
        )
    return found


def natives(image: Image) -> list[Native]:
    """The levels that the file stores, level 0 among them, whose sizes are whole fractions of level 0's."""
    base = image.array.spec
    found = [Native(image.array, (1,) * len(base.shape))]
    for array in image.stored:
        spec = array.spec
        if spec.dtype != base.dtype or len(spec.shape) != len(base.shape) or 0 in spec.shape:
            continue
        scale = tuple(max(round(n / m), 1) for n, m in zip(base.shape, spec.shape, strict=True))
        whole = all(m in (n // s, -(-n // s)) for n, m, s in zip(base.shape, spec.shape, scale, strict=True))
        if whole and all(scale != level.scale for level in found):
            found.append(Native(array, scale))
    return found


def _slice(option: Any, shape: Sequence[int]) -> tuple[list[int], list[int]]:
    if not option.HasField("slice_hint"):
        return [0] * len(shape), list(shape)
    start, stop = list(option.slice_hint.start), list(option.slice_hint.stop)
    for side in (start, stop):
        if len(side) != len(shape):
            raise BadRequest(f"Slice hint dimensionality mismatch: expected {len(shape)}, got {len(side)}")
    for axis, (a, b, n) in enumerate(zip(start, stop, shape, strict=True)):
        if a < 0 or b < 0:
            raise BadRequest(f"Slice bounds must be non-negative on axis {axis}")
        if a > b:
            raise BadRequest(f"Slice start must be <= stop on axis {axis}")
        if b > n:
            raise BadRequest(f"Slice stop exceeds tensor shape on axis {axis}")
    return start, stop


def _scale(option: Any, rank: int) -> tuple[int, ...]:
    given = tuple(option.scale_hint)
    if not given:
        return (1,) * rank
    if len(given) != rank:
        raise BadRequest(f"Scale hint dimensionality mismatch: expected {rank}, got {len(given)}")
    for axis, factor in enumerate(given):
        if factor < 1:
            raise BadRequest(f"Scale hint must be positive on axis {axis}")
        if factor > MOST_SCALE:
            raise BadRequest(f"Scale hint is too large on axis {axis}")
    return given


def _method(name: str, image: Image, scale: Sequence[int]) -> str:
    """How to reduce; of numbers of objects one is kept, since the mean of two is a third object."""
    found = METHODS.get(name.lower()) if name else DEFAULT
    if found is None:
        raise BadRequest(f"Unknown reduction method: {name[:100]}", f"There is {', '.join(METHODS)}.")
    if all(factor == 1 for factor in scale):
        return ""
    if found != "precompute" and (image.label or image.array.spec.dtype.kind not in "biuf"):
        return "nearest"
    return found

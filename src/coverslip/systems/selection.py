"""Some of a system's cells: so many, a share, a region, or named ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest

Gids = dict[str, npt.NDArray[np.int64]]
METHODS = ("first", "random", "patch")
Ranges = Mapping[str, tuple[int, int]]


def select(
    ranges: Ranges,
    spec: Any,
    populations: Sequence[str],
    coordinates: Callable[[str], npt.NDArray[np.float64]],
    seed: int | None = 123,
    method: str = "first",
    bounds: Any = None,
) -> Gids | None:
    """Gids by population; see `coverslip.systems.System.selection`."""
    if spec is None and bounds is None:
        return None
    if method not in METHODS:
        raise BadRequest(f"There is no method {method!r}", f"There is {', '.join(METHODS)}.")
    names = [name for name in populations if name in ranges]
    named = isinstance(spec, Mapping) and all(_is_list(v) for v in spec.values())
    if method == "patch" and not named:
        if isinstance(spec, Mapping):
            raise BadRequest("A patch is one region for all populations", "Give a share of the area, or a number.")
        return _patch(spec, {name: coordinates(name) for name in names}, bounds)
    if bounds is not None:
        raise BadRequest("bounds is for patches", "Use method='patch'.")
    rng = np.random.default_rng(seed)
    found: Gids = {}
    for name in names:
        start, count = ranges[name]
        if isinstance(spec, Mapping) and _is_list(spec.get(name)):
            found[name] = np.sort(np.asarray(spec[name], np.int64))
            continue
        wanted = min(_wanted(spec, name, ranges, names), count)
        if wanted <= 0:
            continue
        if method == "random":
            found[name] = np.sort(rng.choice(count, size=wanted, replace=False).astype(np.int64)) + start
        else:
            found[name] = np.arange(start, start + wanted, dtype=np.int64)
    return found


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple, np.ndarray))


def _wanted(spec: Any, name: str, ranges: Ranges, names: Sequence[str]) -> int:
    """How many cells of a population are wanted."""
    if isinstance(spec, Mapping):
        spec = spec.get(name, 0)
        if not isinstance(spec, float):
            return int(spec)
    count = ranges[name][1]
    if isinstance(spec, float):
        return 0 if spec <= 0 else count if spec >= 1 else max(1, round(spec * count))
    if isinstance(spec, bool) or not isinstance(spec, (int, np.integer)):
        raise BadRequest(f"A selection cannot be a {type(spec).__name__}", "Give a number, a share, or a dict.")
    total = sum(ranges[other][1] for other in names)
    return round(int(spec) * count / total) if total else 0


def _patch(spec: Any, cells: Mapping[str, npt.NDArray[np.float64]], bounds: Any) -> Gids:
    """Cells in a rectangle of x and y, or the ones nearest to the middle."""
    held = {name: table for name, table in cells.items() if len(table)}
    if not held:
        return {}
    stacked = np.concatenate(list(held.values()))
    low, high = stacked[:, 1:3].min(axis=0), stacked[:, 1:3].max(axis=0)
    if bounds is not None:
        corners = np.asarray(bounds, np.float64)
        if corners.shape != (2, 2):
            raise BadRequest("bounds is not two corners", "Write [[x0, y0], [x1, y1]].")
        low, high = corners.min(axis=0), corners.max(axis=0)
    elif isinstance(spec, float):
        if spec <= 0:
            return {}
        if spec < 1:
            middle, half = (low + high) / 2, (high - low) * np.sqrt(spec) / 2
            low, high = middle - half, middle + half
    else:
        return _nearest(int(spec), stacked, (low + high) / 2, held)
    found = {}
    for name, table in held.items():
        inside = ((table[:, 1:3] >= low) & (table[:, 1:3] <= high)).all(axis=1)
        if inside.any():
            found[name] = np.sort(table[inside, 0].astype(np.int64))
    return found


def _nearest(
    count: int, stacked: npt.NDArray[np.float64], middle: npt.NDArray[np.float64], held: Mapping[str, Any]
) -> Gids:
    if count <= 0:
        return {}
    squares = ((stacked[:, 1:3] - middle) ** 2).sum(axis=1)
    chosen = stacked[np.lexsort((stacked[:, 0], squares))[:count], 0]
    found = {name: np.sort(table[np.isin(table[:, 0], chosen), 0].astype(np.int64)) for name, table in held.items()}
    return {name: gids for name, gids in found.items() if len(gids)}

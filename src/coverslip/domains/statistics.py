"""Figures of a plane's pixels: range, moments, percentiles, histogram."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

BINS = 256
PERCENTILES = (0.1, 1.0, 50.0, 99.0, 99.9)


def statistics(pixels: npt.NDArray[Any]) -> dict[str, Any]:
    """Figures of pixels of any shape and real dtype; values that are not finite are left out.

    Returns
    -------
    dict
        ``min``, ``max``, ``mean``, ``std``, ``percentiles`` (by name) and ``histogram`` (``lo``, ``hi`` and the counts
        of 256 equal bins between them); null where there is no finite pixel.
    """
    values = pixels.reshape(-1)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    if values.dtype.kind == "f":
        values = values[np.isfinite(values)]
    if not values.size:
        empty = {"lo": None, "hi": None, "counts": [0] * BINS}
        return {
            **dict.fromkeys(("min", "max", "mean", "std")),
            "percentiles": {_name(p): None for p in PERCENTILES},
            "histogram": empty,
        }
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return _counted(values)
    low, high = values.min(), values.max()
    values = values.astype(np.float64, copy=False)  # differences of the others may be more than they hold
    with np.errstate(over="ignore", invalid="ignore"):  # what a number cannot hold is told as null
        return {
            "min": low.item(),
            "max": high.item(),
            "mean": float(values.mean(dtype=np.float64)),
            "std": float(values.std(dtype=np.float64)),
            "percentiles": {
                _name(p): float(v) for p, v in zip(PERCENTILES, np.percentile(values, PERCENTILES), strict=True)
            },
            "histogram": {"lo": float(low), "hi": float(high), "counts": _bins(values, float(low), float(high))},
        }


def _bins(values: npt.NDArray[Any], low: float, high: float) -> list[int]:
    try:
        counts, _ = np.histogram(values, BINS, (low, high if high > low else low + 1.0))
    except ValueError:  # the range, or a 256th of it, is more than a number holds or less than it tells apart
        span = high / 4 - low / 4
        place = (values / 4 - low / 4) / span * BINS if span else np.zeros(values.size)
        counts = np.bincount(np.minimum(place.astype(np.intp), BINS - 1), minlength=BINS)
    found: list[int] = counts.tolist()
    return found


def _counted(values: npt.NDArray[Any]) -> dict[str, Any]:
    """The same from a count of every value, which is exact and several times faster for small integers."""
    counts = np.bincount(values)
    seen = np.flatnonzero(counts)
    low, high = int(seen[0]), int(seen[-1])
    level = np.arange(counts.size, dtype=np.float64)
    mean = float(counts @ level) / values.size
    spread = float(counts @ (level - mean) ** 2) / values.size
    total = np.cumsum(counts)
    cut = [int(np.searchsorted(total, p / 100 * (values.size - 1), side="right")) for p in PERCENTILES]
    width = max(high - low, 1) / BINS
    bins = np.minimum(((seen - low) / width).astype(np.intp), BINS - 1)
    return {
        "min": low,
        "max": high,
        "mean": mean,
        "std": spread**0.5,
        "percentiles": {_name(p): float(v) for p, v in zip(PERCENTILES, cut, strict=True)},
        "histogram": {
            "lo": float(low),
            "hi": float(high),
            "counts": np.bincount(bins, counts[seen], BINS).astype(np.int64).tolist(),
        },
    }


def _name(percent: float) -> str:
    return f"{percent:g}"

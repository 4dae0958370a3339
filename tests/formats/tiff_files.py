"""What the tests of TIFF share."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from coverslip.formats import open_source


def noise(shape: tuple[int, ...], dtype: str = "uint16") -> np.ndarray[Any, Any]:
    """Numbers of the whole range of a dtype, the same every time."""
    rng = np.random.default_rng(math.prod(shape))
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return rng.normal(size=shape).astype(kind)
    info = np.iinfo(kind)
    return rng.integers(info.min, info.max, shape, dtype=kind.newbyteorder("="), endpoint=True).astype(kind)


def whole(path: Path) -> np.ndarray[Any, Any]:
    """All pixels of the only image of a file."""
    source = open_source(path)
    try:
        return source.root.array("0").read_all()
    finally:
        source.close()

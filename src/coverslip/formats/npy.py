"""A numpy ``.npy`` file: coordinates, one row a cell, or any other array of numbers.

A table of numbers with a few columns becomes the embedding named after the file, everything else an array. Pickles
(arrays of objects) are never loaded.

Source: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import math
from pathlib import Path
from tokenize import TokenError
from typing import Any

from numpy.lib import format as npy

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.node import Array, Source
from coverslip.core.spec import ArraySpec
from coverslip.core.tree import MemoryGroup, Rearranged
from coverslip.formats.trees.flat import FlatArray, open_bytes
from coverslip.formats.trees.source import PathSource

MAGIC = b"\x93NUMPY"
# What numpy raises for headers that make no sense: it reads them as Python.
NONSENSE = (ValueError, SyntaxError, TokenError, TypeError, KeyError, RecursionError, MemoryError)
MOST_COLUMNS = 64
"""Wider tables are pictures rather than coordinates."""


def _header(path: Path, file: Any) -> tuple[ArraySpec, bool]:
    try:
        version = npy.read_magic(file)
        reader = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = reader(file)
    except NONSENSE as error:
        what = " ".join(str(error).split())[:200]
        raise Damaged(f"{path} is not a whole .npy file: {what}", "Write it again with numpy.save.") from error
    if any(n < 0 for n in shape):
        raise Damaged(f"{path} has an axis with {min(shape)} elements", "Write it again with numpy.save.")
    if dtype.kind not in "biufc" or not shape:
        raise Unsupported(f"{path} holds {dtype} of shape {shape}", "Arrays of numbers with one axis or more are read.")
    return ArraySpec(shape, dtype), fortran


class Npy:
    """Arrays saved with ``numpy.save``."""

    name = "npy"
    expects = ".npy file of coordinates or of an array"
    kind = "cells"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix or the magic bytes."""
        return path.is_file() and (path.suffix.lower() == ".npy" or head.startswith(MAGIC))

    def open(self, path: Path) -> Source:
        """Read the header and see that all bytes are there."""
        with path.open("rb") as file:
            spec, fortran = _header(path, file)
            offset = file.tell()
        shape = spec.shape[::-1] if fortran else spec.shape
        data = open_bytes(path, offset + spec.dtype.itemsize * math.prod(shape))
        flat = FlatArray(data, offset, shape, spec.dtype)
        array: Array = Rearranged(flat, tuple(reversed(range(len(shape))))) if fortran else flat
        if len(shape) == 2 and spec.shape[1] <= MOST_COLUMNS and spec.dtype.kind in "iuf":
            obsm = MemoryGroup({f"X_{path.stem}": array})
            return PathSource(path, MemoryGroup({"obsm": obsm}, {"encoding-type": "anndata"}), data.close)
        return PathSource(path, MemoryGroup({path.stem: array}), data.close)


FORMAT: Format = Npy()

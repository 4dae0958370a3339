"""Arrays in files of their own: headerless, little-endian, in a gzip file or not, quantised or not.

Source: the files that cellucid 0.0.9 and 0.9.4 write.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound
from coverslip.core.made import MadeArray
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.zarr_store import Store, safe_path

INCOMPLETE = "incomplete"
AGAIN = "Write the export again, or copy the missing file."
GZIP = 31


@dataclass(frozen=True)
class Stored:
    """How one array is stored.

    Attributes
    ----------
    key
        Its file, with slashes.
    shape, dtype
        As stored, little-endian.
    low, high
        What the codes 0 and the largest but one stand for; None when values are stored as they are.
    """

    key: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    low: float | None = None
    high: float | None = None


def find(store: Store, key: str) -> str | None:
    """The file of this name, with ``.gz`` or without; None when there is none."""
    key = safe_path(key)
    other = key.removesuffix(".gz") if key.endswith(".gz") else f"{key}.gz"
    return next((k for k in (key, other) if store.size(k) is not None), None)


def read(store: Store, stored: Stored) -> npt.NDArray[Any]:
    """The array, quantised values as float32 with NaN where there is none.

    Raises
    ------
    Damaged
        When the file is missing (``incomplete``), or holds more or less than the array.
    """
    key = find(store, stored.key)
    raw = store.read(key) if key is not None else None
    if key is None or raw is None:
        raise Damaged(f"{stored.key} is missing", AGAIN, INCOMPLETE)
    size = math.prod(stored.shape) * stored.dtype.itemsize
    data = _inflated(key, raw, size) if key.endswith(".gz") else raw
    if len(data) != size:
        raise Damaged(f"{key} holds {len(data):,} bytes instead of {size:,}", AGAIN)
    values: npt.NDArray[Any] = np.frombuffer(data, stored.dtype).reshape(stored.shape)
    if stored.low is None or stored.high is None or stored.dtype.kind != "u":
        return values
    restored: npt.NDArray[Any] = _levels(stored.low, stored.high, stored.dtype)[values]
    return restored


def _inflated(key: str, raw: bytes, size: int) -> bytes:
    whole = zlib.decompressobj(GZIP)
    try:
        data = whole.decompress(raw, size + 1)
        data += whole.decompress(whole.unconsumed_tail, 1) if len(data) <= size and whole.unconsumed_tail else b""
    except zlib.error as error:
        raise Damaged(f"{key} cannot be decompressed: {error}", AGAIN) from error
    if len(data) <= size and not whole.eof:
        raise Damaged(f"{key} ends too early", AGAIN)
    return data


def _levels(low: float, high: float, dtype: np.dtype[Any]) -> npt.NDArray[np.float32]:
    """What each code stands for; the largest code is NaN."""
    most = int(np.iinfo(dtype).max)
    levels = (low + np.arange(most + 1) * ((high - low) / (most - 1))).astype(np.float32)
    levels[most] = np.nan
    return levels


def array(store: Store, stored: Stored, attrs: dict[str, Any] | None = None, plain: bool = False) -> Array:
    """The same as a node, read when asked for.

    Parameters
    ----------
    plain
        Whether codes are wanted as they are stored.
    """
    quantised = stored.low is not None and stored.dtype.kind == "u" and not plain
    dtype = np.dtype(np.float32) if quantised else stored.dtype.newbyteorder("=")
    return MadeArray(stored.shape, dtype, partial(read, store, stored), attrs)


def texts(store: Store, key: str, count: int) -> Array:
    """As many texts as are said, in a file that holds a JSON list."""

    def make() -> npt.NDArray[Any]:
        there = find(store, key)
        raw = store.read(there) if there is not None else None
        if there is None or raw is None:
            raise Damaged(f"{key} is missing", AGAIN, INCOMPLETE)
        try:
            found = json.loads(zlib.decompress(raw, GZIP) if there.endswith(".gz") else raw)
        except (ValueError, RecursionError, zlib.error) as error:
            raise Damaged(f"{there} is no JSON list: {error}", AGAIN) from error
        if not isinstance(found, list) or len(found) != count:
            raise Damaged(f"{there} does not hold {count:,} texts", AGAIN)
        return np.array([*map(str, found), None], object)[:-1]

    return MadeArray((count,), np.dtype(object), make)


class GeneFiles(Array):
    """A matrix of cells × genes, each gene in a file of its own.

    Parameters
    ----------
    n_cells
        Rows.
    genes
        The file of each gene; None where another gene's values were written over its own.
    names
        Of the genes, for messages.
    """

    def __init__(self, store: Store, n_cells: int, genes: Sequence[Stored | None], names: Sequence[str]) -> None:
        self._store, self._genes, self._names = store, genes, names
        self._spec = ArraySpec((n_cells, len(genes)), np.dtype(np.float32), (max(n_cells, 1), 1))
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Cells and genes, float32; a chunk is one gene."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; whole files are read."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        out = np.empty(box.shape, np.float32)
        for i, gene in enumerate(range(box.start[1], box.stop[1])):
            stored = self._genes[gene]
            if stored is None:
                raise Damaged(
                    f"The values of {self._names[gene]!r} were overwritten by another gene's when it was exported",
                    "cellucid 0.0.9 gave both one file; serve the data it was exported from.",
                )
            out[:, i] = read(self._store, stored)[box.slices[0]]
        return out

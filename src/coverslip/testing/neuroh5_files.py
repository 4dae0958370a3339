"""Files in NeuroH5's layout, written from their beginning to their end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import numpy.typing as npt

from coverslip.testing.recipes import COORDINATES, Cells, Recipe

AnyArray = npt.NDArray[Any]
CHUNK = 4000
"""Elements of a chunk in NeuroH5's files."""
MOST_AT_ONCE = 1 << 22
DENDRITE, SOMA = 4, 1
"""Kinds of compartments in SWC files."""
Drawn = tuple[int, AnyArray, AnyArray, AnyArray]
"""First destination, connections of each destination, sources and distances."""


class Growing:
    """A data set that is written from its beginning to its end."""

    def __init__(self, group: h5py.Group, name: str, dtype: str, options: Mapping[str, Any]) -> None:
        self._set = group.create_dataset(name, (0,), dtype, maxshape=(None,), chunks=(CHUNK,), **options)

    def append(self, values: npt.ArrayLike) -> None:
        """Write what comes next."""
        array = np.asarray(values)
        if len(array):
            size = self._set.shape[0]
            self._set.resize(size + len(array), axis=0)
            self._set[size:] = array


class ProjectionWriter:
    """Writes one projection from its first destination to its last.

    Parameters
    ----------
    block_edges
        After how many connections a new block begins; 0 = never for this reason.
    taken
        How many synapses each destination has of other projections.
    """

    def __init__(
        self, file: h5py.File, pre: str, post: str, block_edges: int, options: Mapping[str, Any], taken: AnyArray
    ) -> None:
        group = file.create_group(f"Projections/{post}/{pre}")
        edges = group.create_group("Edges")
        self._first = Growing(edges, "Destination Block Index", "<u4", options)
        self._begin = Growing(edges, "Destination Block Pointer", "<u8", options)
        self._pointer = Growing(edges, "Destination Pointer", "<u8", options)
        self._sources = Growing(edges, "Source Index", "<u4", options)
        self._distance = Growing(group.create_group("Connections"), "distance", "<f4", options)
        self._syn_id = Growing(group.create_group("Synapses"), "syn_id", "<u4", options)
        self._most = block_edges
        self._taken = taken

    def write(self, drawn: Iterable[Drawn], absent: AnyArray) -> AnyArray:
        """Write all connections; how many each destination received."""
        received = np.zeros(len(absent), np.int64)
        rows = edges = in_block = 0
        previous = -2
        for first, counts, sources, distance in drawn:
            received[first : first + len(counts)] = counts
            kept = np.flatnonzero(~absent[first : first + len(counts)])
            begins, starts, pointers = [], [], []
            for row in kept:
                cell = first + int(row)
                if cell != previous + 1 or (self._most and in_block > self._most):
                    begins.append(rows)
                    starts.append(cell)
                    in_block = 0
                pointers.append(edges)
                previous, rows = cell, rows + 1
                edges += int(counts[row])
                in_block += int(counts[row])
            for target, values in ((self._first, starts), (self._begin, begins), (self._pointer, pointers)):
                target.append(np.array(values, np.uint64))
            self._sources.append(sources)
            self._distance.append(distance)
            ends = np.cumsum(counts)
            within = np.arange(len(sources)) - np.repeat(ends - counts, counts)
            self._syn_id.append(within + np.repeat(self._taken[first : first + len(counts)], counts))
        self._begin.append([rows + 1])
        self._pointer.append([edges])
        return received


@contextmanager
def system_file(
    path: Path, mode: str, ordered: Mapping[str, Cells], starts: Mapping[str, int], recipe: Recipe
) -> Iterator[h5py.File]:
    """One file of a system, with its types."""
    with h5py.File(path, mode) as file:
        if "H5Types" not in file:
            _write_types(file, ordered, starts, recipe)
        yield file


def _write_types(file: h5py.File, ordered: Mapping[str, Cells], starts: Mapping[str, int], recipe: Recipe) -> None:
    labels = h5py.enum_dtype({name: cells.number for name, cells in ordered.items()}, np.uint16)
    span = np.dtype([("Start", "<u8"), ("Count", "<u4"), ("Population", labels)])
    pair = np.dtype([("Source", labels), ("Destination", labels)])
    types = file.create_group("H5Types")
    for name, dtype in (("Population labels", labels), ("Population range", span), ("Population projections", pair)):
        types[name] = dtype
    rows = [(starts[name], cells.count, cells.number) for name, cells in ordered.items()]
    # As NeuroH5 does, not by the committed type, which pyfive cannot follow. (It makes chunks of 512 rows; today's HDF5
    # refuses chunks larger than a fixed size.)
    types.create_dataset("Populations", data=np.array(rows, span))
    pairs = [(ordered[pre].number, ordered[post].number) for pre, post in recipe.kernels]
    types.create_dataset(
        "Valid population projections", data=np.array(pairs, pair), dtype=types["Population projections"]
    )


def _attribute(
    file: h5py.File, path: str, counts: AnyArray, values: Iterable[AnyArray], dtype: str, options: Mapping[str, Any]
) -> None:
    group = file.create_group(path)
    Growing(group, "Cell Index", "<u4", options).append(np.arange(len(counts), dtype=np.uint32))
    Growing(group, "Attribute Pointer", "<u8", options).append(np.concatenate(([0], np.cumsum(counts))))
    held = Growing(group, "Attribute Value", dtype, options)
    for part in values:
        held.append(part)


def write_cells(file: h5py.File, name: str, places: AnyArray, options: Mapping[str, Any]) -> None:
    """Write where the cells of a population are."""
    ones = np.ones(len(places), np.int64)
    columns = {"X": places[:, 0], "Y": places[:, 1], "Z": places[:, 2],
               "U": places[:, 0], "V": places[:, 1], "L": places[:, 2]}  # fmt: skip
    for letter, values in columns.items():
        path = f"Populations/{name}/{COORDINATES}/{letter} Coordinate"
        _attribute(file, path, ones, [values.astype("<f4")], "<f4", options)


def write_synapses(
    file: h5py.File, name: str, counts: Sequence[tuple[bool, AnyArray]], n: int, options: Mapping[str, Any]
) -> None:
    """Write the synapses of a population's cells, of each projection in turn.

    Parameters
    ----------
    counts
        Of each projection, whether it excites, and how many connections each cell receives.
    """
    total = sum((received for _, received in counts), np.zeros(n, np.int64))
    kinds = np.array([0 if excitatory else 1 for excitatory, _ in counts], np.uint8)
    table = np.stack([received for _, received in counts], axis=1)

    def pieces(of: str) -> Iterator[AnyArray]:
        step = max(1, MOST_AT_ONCE // max(1, int(total.max(initial=1))))
        for first in range(0, n, step):
            here = total[first : first + step]
            size = int(here.sum())
            kind = np.repeat(np.tile(kinds, len(here)), table[first : first + step].ravel())
            if of == "syn_ids":
                yield np.arange(size) - np.repeat(np.cumsum(here) - here, here)
            elif of == "syn_types":
                yield kind
            elif of == "swc_types":
                yield np.where(kind == 0, DENDRITE, SOMA)
            else:
                yield np.full(size, 0.5 if of == "syn_locs" else 0)

    dtypes = {"syn_ids": "<u4", "syn_types": "u1", "syn_cdists": "<f4", "syn_locs": "<f4", "syn_secs": "<i2",
              "syn_layers": "u1", "swc_types": "u1"}  # fmt: skip
    for attribute, dtype in dtypes.items():
        path = f"Populations/{name}/Synapse Attributes/{attribute}"
        _attribute(file, path, total, pieces(attribute), dtype, options)

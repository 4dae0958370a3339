"""Small neural systems, and a reading of them that is slow and plain: written from the layout's description alone."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import h5py
import numpy as np

from coverslip.testing.networks import hippocampus, write_system

Edges = dict[int, list[tuple[int, float, int]]]


def hippocampal(folder: Path, **options: object) -> Path:
    """Populations whose order is not that of their names, in several blocks, with empty and absent rows."""
    given = {"block_edges": 60, "silent": 0.3, **options}
    return write_system(folder, hippocampus(200), 7, **given)  # type: ignore[arg-type]


def ranges(path: Path) -> dict[str, tuple[int, int]]:
    """Start and count of each population."""
    with h5py.File(path) as file:
        table = file["H5Types/Populations"]
        names = {v: k for k, v in h5py.check_enum_dtype(table.dtype["Population"]).items()}
        return {names[int(row[2])]: (int(row[0]), int(row[1])) for row in table}


def edges(path: Path, pre: str, post: str) -> Edges:
    """(source gid, distance, syn_id) of every edge by destination gid, one by one."""
    spans = ranges(path)
    found: Edges = defaultdict(list)
    with h5py.File(path) as file:
        group = file[f"Projections/{post}/{pre}"]
        first = group["Edges/Destination Block Index"][:].tolist()
        begin = group["Edges/Destination Block Pointer"][:].tolist()
        pointer = group["Edges/Destination Pointer"][:].tolist()
        sources = group["Edges/Source Index"][:].tolist()
        distance = group["Connections/distance"][:].tolist()
        syn_id = group["Synapses/syn_id"][:].tolist()
    for b in range(len(first)):
        for place, k in enumerate(range(begin[b], begin[b + 1])):
            if k >= len(pointer) - 1:
                continue
            gid = spans[post][0] + first[b] + place
            for e in range(pointer[k], pointer[k + 1]):
                found[gid].append((spans[pre][0] + sources[e], distance[e], syn_id[e]))
    return dict(found)


def projection(path: Path, post: str, pre: str, first: list[int], begin: list[int], pointer: list[int],
               sources: list[int]) -> None:  # fmt: skip
    """Write one projection number by number."""
    with h5py.File(path, "a") as file:
        if f"Projections/{post}/{pre}" in file:
            del file[f"Projections/{post}/{pre}"]
        group = file.create_group(f"Projections/{post}/{pre}/Edges")
        group["Destination Block Index"] = np.array(first, "u4")
        group["Destination Block Pointer"] = np.array(begin, "u8")
        group["Destination Pointer"] = np.array(pointer, "u8")
        group["Source Index"] = np.array(sources, "u4")
        file[f"Projections/{post}/{pre}/Connections/distance"] = np.arange(len(sources), dtype="f4")
        file[f"Projections/{post}/{pre}/Synapses/syn_id"] = np.arange(len(sources), dtype="u4")

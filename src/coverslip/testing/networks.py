"""Neural systems of any size, made up: populations in layers, connections that depend on distance, electrodes.

What is written can be read by livn and by NeuroH5. The same recipe and seed give the same values. Connections are
written as they are drawn, so that memory does not grow with their number; all pairs of cells are looked at, so that
time grows with the number of pairs.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.testing.neuroh5_files import Drawn, ProjectionWriter, system_file, write_cells, write_synapses
from coverslip.testing.recipes import Cells, Kernel, Recipe
from coverslip.testing.system_documents import electrodes, graph_document

AnyArray = npt.NDArray[Any]
BLOCK_PAIRS = 1 << 22
EXACT_PAIRS = 1 << 24


def culture(neurons: int = 100, in_degree: float = 10.0, side: float = 1000.0) -> Recipe:
    """A flat culture of excitatory and inhibitory cells, four to one.

    Parameters
    ----------
    neurons
        Of both kinds.
    in_degree
        Of each projection.
    side
        Of the square they lie in, in µm.
    """
    excitatory = max(1, round(neurons * 0.8))
    populations = {"EXC": Cells(10, excitatory), "INH": Cells(11, max(1, neurons - excitatory), excitatory=False)}
    kernels = {(pre, post): Kernel(in_degree) for pre in populations for post in populations}
    return Recipe(populations, kernels, ((0.0, 0.0), (side, side)))


def hippocampus(neurons: int = 400, in_degree: float = 8.0) -> Recipe:
    """Layers and some populations of CA1, whose numbers are not in the order of their names."""
    share = {"PYR": (100, 0.8, {"SP": 1.0}, True), "PVBC": (101, 0.06, {"SP": 0.7, "SO": 0.3}, False),
             "AAC": (103, 0.04, {"SP": 1.0}, False), "OLM": (104, 0.05, {"SO": 1.0}, False),
             "NGFC": (102, 0.05, {"SR": 0.4, "SLM": 0.6}, False)}  # fmt: skip
    populations = {
        name: Cells(number, max(2, round(neurons * part)), layers, excitatory)
        for name, (number, part, layers, excitatory) in share.items()
    }
    kernels = {("PYR", post): Kernel(in_degree, 300.0, "exponential") for post in populations}
    kernels |= {(pre, "PYR"): Kernel(in_degree / 2, 150.0) for pre in populations if pre != "PYR"}
    layers = {"SO": (0.0, 100.0), "SP": (100.0, 150.0), "SR": (150.0, 350.0), "SLM": (350.0, 450.0)}
    return Recipe(populations, kernels, ((-1000.0, -1000.0), (1000.0, 1000.0)), layers, 200.0)


def write_system(
    folder: Path,
    recipe: Recipe,
    seed: int = 123,
    *,
    single_file: bool = False,
    compression: str | None = None,
    block_edges: int = 0,
    silent: float = 0.0,
    synapses: bool = True,
) -> Path:
    """Write a system into a folder, which is made.

    Parameters
    ----------
    single_file
        One ``graph.h5`` in place of ``cells.h5`` and ``connections.h5``.
    compression
        ``gzip`` as newer NeuroH5 writes, or none.
    block_edges
        After how many connections a new block of destinations begins; 0 = one block, if nothing else divides it.
    silent
        The share of cells that receive nothing. Of these one half have an empty row, the others none.
    synapses
        Whether cells have their ``Synapse Attributes``, which take as much space as the connections.

    Returns
    -------
    folder
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    options: dict[str, Any] = {"compression": compression, "compression_opts": 9 if compression else None}
    ordered = dict(sorted(recipe.populations.items(), key=lambda item: item[1].number))
    starts = dict(zip(ordered, np.cumsum([0, *(c.count for c in ordered.values())]).tolist(), strict=False))
    places = {name: _placed(cells, recipe, rng) for name, cells in ordered.items()}
    names = ("graph.h5", "graph.h5") if single_file else ("cells.h5", "connections.h5")
    counts: dict[str, list[tuple[bool, AnyArray]]] = {name: [] for name in ordered}
    with system_file(folder / names[1], "w", ordered, starts, recipe) as file:
        for post in ordered:
            for pre in (p for p in ordered if (p, post) in recipe.kernels):
                taken = sum((n for _, n in counts[post]), np.zeros(ordered[post].count, np.int64))
                writer = ProjectionWriter(file, pre, post, block_edges, options, taken)
                skipped = _silent(ordered[post].count, silent, rng)
                drawn = _draw(recipe.kernels[pre, post], places[pre], places[post], skipped[0], rng, pre == post)
                counts[post].append((ordered[pre].excitatory, writer.write(drawn, skipped[1])))
    with system_file(folder / names[0], "a" if single_file else "w", ordered, starts, recipe) as file:
        for name, cells in ordered.items():
            write_cells(file, name, places[name], options)
            if synapses and counts[name]:
                write_synapses(file, name, counts[name], cells.count, options)
    document = graph_document(recipe, names, {name: cells.count for name, cells in ordered.items()})
    (folder / "graph.json").write_text(json.dumps(document))
    if recipe.pitch:
        (folder / "mea.json").write_text(json.dumps(electrodes(recipe)))
    return folder


def _placed(cells: Cells, recipe: Recipe, rng: np.random.Generator) -> AnyArray:
    """Coordinates in µm, float32 ``(count, 3)``."""
    (x0, y0), (x1, y1) = recipe.area
    shares = np.array(list(cells.layers.values()))
    layer = rng.choice(len(shares), cells.count, p=shares / shares.sum())
    spans = np.array([recipe.layers[name] for name in cells.layers])[layer]
    z = spans[:, 0] + rng.random(cells.count) * (spans[:, 1] - spans[:, 0])
    xy = [rng.uniform(x0, x1, cells.count), rng.uniform(y0, y1, cells.count)]
    return np.stack([*xy, z], axis=1).astype(np.float32)


def _silent(count: int, share: float, rng: np.random.Generator) -> tuple[AnyArray, AnyArray]:
    """Who receives nothing, and who of these has no row either."""
    none = rng.random(count) < share
    return none, none & (np.arange(count) % 2 == 0)


def _distances(a: AnyArray, b: AnyArray) -> AnyArray:
    d2 = np.zeros((len(a), len(b)), np.float32)
    for axis in range(3):
        d = a[:, axis, None] - b[None, :, axis]
        d2 += d * d
    return np.sqrt(d2)


def _amplitude(kernel: Kernel, pre: AnyArray, post: AnyArray, rng: np.random.Generator) -> float:
    """What makes the mean number of connections right; from a sample where there are very many pairs."""
    if len(pre) * len(post) <= EXACT_PAIRS:
        step = max(1, BLOCK_PAIRS // len(pre))
        total = sum(float(kernel(_distances(post[i : i + step], pre)).sum()) for i in range(0, len(post), step))
        mean = total / len(post) / len(pre)
    else:
        a, b = (cells[rng.integers(0, len(cells), BLOCK_PAIRS)] for cells in (pre, post))
        mean = float(kernel(np.sqrt(((a - b) ** 2).sum(axis=1))).mean())
    return kernel.in_degree / (mean * len(pre)) if mean else 0.0


def _draw(
    kernel: Kernel, pre: AnyArray, post: AnyArray, silent: AnyArray, rng: np.random.Generator, same: bool
) -> Iterator[Drawn]:
    amplitude = _amplitude(kernel, pre, post, rng)
    step = max(1, BLOCK_PAIRS // len(pre))
    for first in range(0, len(post), step):
        distance = _distances(post[first : first + step], pre)
        rows = np.arange(len(distance))
        chosen = rng.random(distance.shape, np.float32) < amplitude * kernel(distance)
        chosen[silent[first : first + step]] = False
        if same and not kernel.self_connections:
            chosen[rows, rows + first] = False
        row, source = np.nonzero(chosen)
        yield first, np.bincount(row, minlength=len(rows)), source.astype(np.uint32), distance[row, source]

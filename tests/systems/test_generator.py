"""The generator of neural systems."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from coverslip.systems import System
from coverslip.testing import Recipe, write_system
from coverslip.testing.networks import culture, hippocampus
from coverslip.testing.recipes import Cells, Kernel


def content(path: Path) -> dict[str, bytes]:
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()].tobytes()}) if hasattr(item, "shape") else None)
    return found


def test_the_same_seed_gives_the_same_system(tmp_path: Path) -> None:
    folders = [write_system(tmp_path / str(i), culture(60), seed) for i, seed in enumerate((1, 1, 2))]
    for name in ("cells.h5", "connections.h5"):
        first, again, other = (content(folder / name) for folder in folders)
        assert first == again != other
    assert (folders[0] / "graph.json").read_text() == (folders[1] / "graph.json").read_text()


def test_connections_are_as_many_and_as_long_as_asked(tmp_path: Path) -> None:
    populations = {"A": Cells(2, 1500), "B": Cells(1, 500, excitatory=False)}
    kernels = {("A", "B"): Kernel(40, 100.0), ("B", "A"): Kernel(5, 300.0, "exponential"), ("A", "A"): Kernel(10)}
    system = System(write_system(tmp_path / "s", Recipe(populations, kernels), synapses=False), backend="local")
    assert system.population_ranges == {"B": (0, 500), "A": (500, 1500)}
    for (pre, post), kernel in kernels.items():
        matrix = system.projection_matrix(pre, post, "Connections/distance")
        degree = matrix.nnz / populations[post].count
        assert degree == pytest.approx(kernel.in_degree, rel=0.1)
        at = {name: system.coordinate_array(name)[:, 1:] for name in (pre, post)}
        coo = matrix.tocoo()
        apart = np.linalg.norm(at[post][coo.row] - at[pre][coo.col], axis=1)
        np.testing.assert_allclose(coo.data, apart, rtol=1e-4)
        every = np.linalg.norm(at[post][:, None] - at[pre][None], axis=2)
        weights = kernel(every.astype(np.float32))
        assert apart.mean() == pytest.approx((every * weights).sum() / weights.sum(), rel=0.05)
    assert not system.projection_matrix("A", "A").diagonal().any()


def test_layers(tmp_path: Path) -> None:
    recipe = hippocampus(300)
    system = System(write_system(tmp_path / "s", recipe, synapses=False), backend="local")
    for name, cells in recipe.populations.items():
        z = system.coordinate_array(name)[:, 3]
        spans = [recipe.layers[layer] for layer in cells.layers]
        assert all(any(low <= v <= high for low, high in spans) for v in z)
    assert list(system.population_ranges) == ["PYR", "PVBC", "NGFC", "AAC", "OLM"]


def test_synapses_match_the_connections(tmp_path: Path) -> None:
    system = System(write_system(tmp_path / "s", hippocampus(100)), backend="local")
    for post in system.populations:
        received: dict[int, list[int]] = {}
        for pre in (p for p, q in system.projection_pairs() if q == post):
            for gid, (_, attributes) in system.projections(pre, post):
                received.setdefault(gid, []).extend(attributes["Synapses"]["syn_id"].tolist())
        held = {gid: synapses["syn_ids"].tolist() for gid, synapses in system.synapses(post)}
        assert all(sorted(ids) == held[gid] for gid, ids in received.items())


def test_one_file_and_compression(tmp_path: Path) -> None:
    plain = write_system(tmp_path / "plain", culture(50))
    one = write_system(tmp_path / "one", culture(50), single_file=True, compression="gzip")
    assert sorted(p.name for p in one.iterdir()) == ["graph.h5", "graph.json", "mea.json"]
    with h5py.File(one / "graph.h5") as file:
        assert file["Projections/EXC/EXC/Edges/Source Index"].compression == "gzip"
    a, b = System(plain, backend="local"), System(one, backend="local")
    assert (a.connectivity_matrix() != b.connectivity_matrix()).nnz == 0
    assert b.files == {name: str(one / "graph.h5") for name in ("cells", "connections")}


def test_electrodes_fill_the_area(tmp_path: Path) -> None:
    recipe = culture(20)
    folder = write_system(tmp_path / "s", recipe, synapses=False)
    places = np.array(json.loads((folder / "mea.json").read_text())["electrode_coordinates"])
    assert places.shape == (64, 4)
    assert places[:, 1:3].min() >= 0
    assert places[:, 1:3].max() <= 1000
    np.testing.assert_allclose(places[:, 1:3].mean(axis=0), [500, 500])

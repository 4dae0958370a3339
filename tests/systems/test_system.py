"""`System`, compared with what the real NeuroH5 read, and with a plain reading of the files."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from scipy import sparse

import network_files
from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, Unsupported
from coverslip.systems import Element, System, predefined
from coverslip.systems.readers import choose

GOLDEN = json.loads((Path(__file__).parents[1] / "golden" / "systems" / "neuroh5.json").read_text())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_files.hippocampal(tmp_path_factory.mktemp("systems") / "CA1")


@pytest.fixture(scope="module")
def system(folder: Path) -> System:
    return System(folder, backend="local")


@pytest.mark.parametrize("name", GOLDEN)
def test_as_neuroh5_reads_it(name: str, folder: Path) -> None:
    system = System(predefined(name) if name == "EI1" else folder, backend="local")
    golden = GOLDEN[name]
    assert system.population_ranges == {key: tuple(span) for key, span in golden["ranges"].items()}
    assert {">".join(pair) for pair in system.projection_pairs()} == set(golden["projections"])
    for pre, post in system.projection_pairs():
        rows = [(gid, sources.tolist()) for gid, (sources, _) in system.projections(pre, post)]
        digest = hashlib.sha256("\n".join(f"{gid}:{sources}" for gid, sources in rows).encode()).hexdigest()
        told = golden["projections"][f"{pre}>{post}"]
        assert (len(rows), sum(len(s) for _, s in rows), digest) == tuple(told.values())


def test_the_sample() -> None:
    system = System(predefined("EI1"))
    assert system.name == "EI1"
    assert system.populations == ["EXC", "INH"]
    assert system.population_ranges == {"EXC": (0, 8), "INH": (8, 2)}
    assert system.summary() == {
        "num_neurons": 10,
        "num_projections": 39,
        "population_counts": {"EXC": 8, "INH": 2},
    }
    assert system.gids.tolist() == list(range(10))
    assert isinstance(system.elements["architecture"], Element)
    assert system.elements["connections"]["culture2d"].config["population_definitions"] == {"EXC": 10, "INH": 11}
    assert system.weight_names[:2] == ["EXC_EXC-dend-AMPA-weight", "EXC_EXC-dend-NMDA-weight"]
    assert system.synapse_projections()[-1] == ("INH", "INH", "soma", "GABA_A", "inhibitory")
    assert system.electrodes.shape == (1, 4)
    assert system.version == 0
    low, high = system.bounding_box
    np.testing.assert_allclose(system.center_point, (low + high) / 2)
    assert (system.neuron_coordinates[:, 1:] >= low - 1e-4).all()
    assert (system.neuron_coordinates[:, 1:] <= high + 1e-4).all()


def test_cells(system: System, folder: Path) -> None:
    meta = system.cells_meta_data
    assert meta.population_names == sorted(meta.population_ranges) == system.populations
    assert meta.cell_count() == system.num_neurons == sum(map(system.population_count, system.populations))
    assert meta.has("PYR", "Synapse Attributes")
    assert not meta.has("PYR", "Trees")
    assert system.neuron_coordinates[:, 0].tolist() == list(range(system.num_neurons))
    with h5py.File(folder / "cells.h5") as file:
        for name, (start, count) in system.population_ranges.items():
            table = system.coordinate_array(name)
            group = file[f"Populations/{name}/Generated Coordinates"]
            assert table[:, 0].tolist() == list(range(start, start + count))
            for axis, letter in enumerate("XYZ", 1):
                assert table[:, axis].tolist() == group[f"{letter} Coordinate/Attribute Value"][:].tolist()
            first = next(system.coordinates(name))
            assert first == (start, tuple(table[0, 1:]))
            table[:] = 0
            assert system.coordinate_array(name).any()


def test_ragged_attributes_and_synapses(system: System, folder: Path) -> None:
    with h5py.File(folder / "cells.h5") as file:
        group = file["Populations/PYR/Synapse Attributes/syn_ids"]
        pointer, values = group["Attribute Pointer"][:].astype(int), group["Attribute Value"][:]
    held = system.attribute("PYR", "Synapse Attributes", "syn_ids")
    assert held.values.dtype == values.dtype
    assert held.lengths.tolist() == np.diff(pointer).tolist()
    assert held[3].tolist() == values[pointer[3] : pointer[4]].tolist()
    assert held[-1].tolist() == values[pointer[-2] :].tolist()
    with pytest.raises(IndexError):
        held[len(held)]
    start = system.population_ranges["PYR"][0]
    cells = dict(system.synapses("PYR"))
    assert list(cells) == held.gids.tolist()
    assert set(cells[start]) == {"syn_ids", "syn_locs", "syn_secs", "syn_layers", "syn_types", "swc_types"}
    assert cells[start + 3]["syn_ids"].tolist() == held[3].tolist()
    assert list(dict(system.synapses("PYR", {start + 1}))) == [start + 1]
    with pytest.raises(NotFound, match="syn_weights"):
        system.attribute("PYR", "Synapse Attributes", "syn_weights")


def test_matrices(system: System, folder: Path) -> None:
    total = sparse.lil_array((system.num_neurons, system.num_neurons), dtype=np.float32)
    for pre, post in system.projection_pairs():
        expected = network_files.edges(folder / "connections.h5", pre, post)
        origin, target = (system.population_ranges[name] for name in (pre, post))
        distances = np.zeros((target[1], origin[1]))
        for gid, sources in expected.items():
            for source, distance, _ in sources:
                distances[gid - target[0], source - origin[0]] += distance
                total[source, gid] += 1 if pre == "PYR" else -1
        for format in ("csr", "csc"):
            matrix = system.projection_matrix(pre, post, "Connections/distance", format)
            assert matrix.format == format
            np.testing.assert_allclose(matrix.toarray(), distances, rtol=1e-6)
        assert system.projection_matrix(pre, post).toarray().tolist() == (distances > 0).astype(float).tolist()
    matrix = system.connectivity_matrix()
    assert matrix.dtype == np.float32
    assert (matrix != total.tocsr()).nnz == 0
    gids = [350, 3, 199]
    chosen = system.connectivity_matrix({"PYR_PYR": 0.5}, gids=[199, 3, 150], dense=True)
    assert chosen.shape == (3, 3)
    with pytest.raises(NotFound, match="no neuron 350"):
        system.connectivity_matrix(gids=gids)
    with pytest.raises(BadRequest):
        system.projection_matrix("PYR", "PYR", format="coo")
    with pytest.raises(NotFound, match="Connections/distance"):
        system.projection_matrix("PYR", "PYR", "weight")


def test_random_weights_are_those_of_the_seed(system: System) -> None:
    a, b, c = (system.connectivity_matrix(seed=seed) for seed in (123, 123, 124))
    assert (a != b).nnz == 0
    assert (a != c).nnz > 0
    assert (np.abs(a.data) < 1).all()


def test_what_is_missing_is_told_with_what_there_is(system: System) -> None:
    for read in (
        lambda: system.projection_array("AAC", "OLM"),
        lambda: system.projection_matrix("AAC", "OLM"),
        lambda: system.coordinate_array("CA3"),
        lambda: list(system.synapses("CA3")),
        lambda: system.population_count("CA3"),
        lambda: system.load_file("params/default.json"),
        lambda: system.selection("small"),
    ):
        with pytest.raises(NotFound) as caught:
            read()
        assert caught.value.hint


def test_no_such_system(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no system"):
        System(tmp_path / "EI9")
    with pytest.raises(CoverslipError):
        _ = System(tmp_path).populations


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(predefined("EI1"), tmp_path / "EI1"))


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda graph: graph | {"version": 1}, None),
        (lambda graph: graph | {"version": 2}, Unsupported),
        (lambda graph: graph | {"version": "one"}, Damaged),
        (lambda graph: graph | {"version": True}, Damaged),
        (lambda graph: graph | {"version": -1}, Damaged),
        (lambda graph: [graph], Damaged),
        (lambda graph: {"architecture": {"uuid": "x", "config": None}}, None),
        (lambda graph: {"architecture": {"a": {"b": {"uuid": "x"}}}}, None),
    ],
)
def test_versions_of_graph_json(copy: Path, change: Callable[[Any], Any], error: type[CoverslipError] | None) -> None:
    graph = json.loads((copy / "graph.json").read_text())
    (copy / "graph.json").write_text(json.dumps(change(graph)))
    if error is None:
        assert System(copy).num_neurons == 10
        return
    with pytest.raises(error):
        System(copy)


def test_files_that_change_are_read_anew(copy: Path) -> None:
    system = System(copy, backend="local")
    before = system.coordinate_array("EXC")
    with h5py.File(copy / "cells.h5", "a") as file:
        file["Populations/EXC/Generated Coordinates/X Coordinate/Attribute Value"][...] += 1
    os.utime(copy / "cells.h5", (1, 1))
    np.testing.assert_allclose(system.coordinate_array("EXC")[:, 1], before[:, 1] + 1, rtol=1e-6)
    with system:
        pass
    assert system.num_neurons == 10


def test_a_lone_file_and_one_without_documents(copy: Path, folder: Path) -> None:
    (copy / "graph.json").unlink()
    (copy / "mea.json").unlink()
    for path in (copy, copy / "cells.h5"):
        system = System(path, backend="local")
        assert system.num_neurons == 10
        assert system.electrodes.shape == (0, 4)
        np.testing.assert_allclose(system.bounding_box[0], system.neuron_coordinates[:, 1:].min(axis=0))
        with pytest.raises(NotFound):
            _ = system.elements
    assert System(copy).connectivity_matrix().sum() > 0
    with pytest.raises(NotFound):
        _ = System(copy / "connections.h5").bounding_box


def test_only_files_of_the_system(system: System) -> None:
    for name in ("../graph.json", "/etc/hosts", "a//b.json", "", ".", "a\\b", "a\0b", ["..", "graph.json"], ["a/b"]):
        with pytest.raises(BadRequest):
            system.load_file(name)
    assert system.load_file("nothing.json", None) is None


def test_stored_selections_and_parameters(copy: Path) -> None:
    system = System(copy)
    uuid = system.elements["architecture"].uuid
    (copy / "selection").mkdir()
    (copy / "params").mkdir()
    (copy / "selection" / "small.json").write_text(json.dumps({"gids": {"EXC": [5, 2]}, "meta": {"graph": uuid}}))
    (copy / "selection" / "old.json").write_text(json.dumps({"gids": {"EXC": [5]}, "meta": {"graph": "other"}}))
    (copy / "selection" / "empty.json").write_text("{}")
    (copy / "params" / "default.json").write_text('{"a": 1}')
    assert system.selections() == ["empty", "old", "small"]
    chosen = system.selection("small")
    assert chosen is not None
    assert chosen["EXC"].tolist() == [2, 5]
    assert system.params_document() == ("params/default.json", {"a": 1})
    assert system.params_document("small") == (None, None)
    for name in ("old", "empty"):
        with pytest.raises(Damaged):
            system.selection(name)
    with pytest.raises(BadRequest):
        system.selection("small", method="random")


@pytest.mark.parametrize("asked", ["pyfive", "h5pyd", "neuroh5"])
def test_a_back_end_that_cannot_be_had(asked: str) -> None:
    with pytest.raises((BadRequest, Unsupported)):
        choose(asked, None)
    assert choose("local", None) == "local"

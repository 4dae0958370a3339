"""Networks in NeuroH5's layout, compared with a plain reading of the same files."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest

import network_files
from coverslip.core.errors import CoverslipError, Damaged, NotFound, Unsupported
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.networks import Network, is_network
from coverslip.domains.populations import Attribute, Population
from coverslip.domains.projection import Projection
from coverslip.domains.wiring import by_distance, sample
from coverslip.engine.sidecar import Shelf, Sidecar
from coverslip.formats import open_source
from coverslip.testing.networks import culture, write_system


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_files.hippocampal(tmp_path_factory.mktemp("systems") / "CA1")


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return Network(open_source(folder).root)


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return write_system(tmp_path / "small", culture(20), single_file=True, synapses=False) / "graph.h5"


def opened(path: Path) -> Network:
    return Network(open_source(path).root)


def test_populations_are_named_by_the_enumeration(folder: Path, network: Network) -> None:
    spans = network_files.ranges(folder / "cells.h5")
    assert {name: (p.start, p.count) for name, p in network.populations.items()} == spans
    assert list(network.populations) != sorted(network.populations)
    assert network.gids.tolist() == list(range(sum(count for _, count in spans.values())))
    for name, (start, count) in spans.items():
        assert network.cell(start) == (network.population(name), 0)
        assert network.cell(start + count - 1)[0].name == name
    with pytest.raises(NotFound, match="no neuron"):
        network.cell(network.n_neurons)


def test_coordinates_and_attributes(folder: Path, network: Network) -> None:
    with h5py.File(folder / "cells.h5") as file:
        for name, population in network.populations.items():
            group = file[f"Populations/{name}"]
            x = group["Generated Coordinates/X Coordinate/Attribute Value"][:]
            assert (network.coordinates[population.rows, 0] == x).all()
            attribute = network.attributes[name]["Synapse Attributes/syn_ids"]
            pointer = group["Synapse Attributes/syn_ids/Attribute Pointer"][:].astype(int)
            values = group["Synapse Attributes/syn_ids/Attribute Value"][:]
            for cell in (0, population.count - 1):
                assert attribute.of(cell).tolist() == values[pointer[cell] : pointer[cell + 1]].tolist()
            lists = [values[a:b] for a, b in pairwise(pointer)]
            assert attribute.one_each("count").tolist() == [len(part) for part in lists]
            np.testing.assert_allclose(
                attribute.one_each("mean"), [part.mean() if len(part) else np.nan for part in lists]
            )
            np.testing.assert_array_equal(
                attribute.one_each("first"), [part[0] if len(part) else np.nan for part in lists]
            )
            np.testing.assert_allclose(
                attribute.one_each("sum"), [part.sum() if len(part) else np.nan for part in lists]
            )
            assert not attribute.single
            assert network.attributes[name]["Generated Coordinates/X Coordinate"].single


def test_a_cell_without_a_number_takes_none_from_others() -> None:
    members = {"Cell Index": [0, 1, 3, 4], "Attribute Pointer": [0, 2, 4, 4, 5]}
    values = np.array([1.0, np.nan, np.inf, 4.0, 5.0, 9.0])
    nodes = {name: MemoryArray(np.array(given, np.int64)) for name, given in members.items()}
    group = MemoryGroup({**nodes, "Attribute Value": MemoryArray(values)})
    attribute = Attribute(group, Population("GC", 0, 0, 5, 0), "Synapses", "weight")
    np.testing.assert_array_equal(attribute.one_each("sum"), [np.nan, np.inf, np.nan, np.nan, 5])
    np.testing.assert_array_equal(attribute.one_each("mean"), [np.nan, np.inf, np.nan, np.nan, 5])


def test_cells_in_a_box(network: Network) -> None:
    low, high = (-500.0, -250.0, 0.0), (300.0, 800.0, 120.0)
    inside = [
        row
        for row, place in enumerate(network.coordinates.tolist())
        if all(a <= v <= b for a, v, b in zip(low, place, high, strict=True))
    ]
    assert inside
    assert network.inside(low, high).tolist() == inside
    bounds = network.bounds
    assert bounds is not None
    assert len(network.inside(*bounds)) == network.n_neurons


def check(projection: Projection, expected: network_files.Edges) -> None:
    """Everything a projection tells, by another reading of it."""
    pre, post = projection.pre.start, projection.post.start
    assert projection.n_edges == sum(map(len, expected.values()))
    outgoing: dict[int, list[int]] = {}
    for cell in range(projection.post.count):
        found = projection.inputs(cell)
        assert (found.cells + pre).tolist() == [source for source, _, _ in expected.get(cell + post, [])]
        distance = projection.values("Connections/distance", found.edges)
        assert distance.tolist() == [d for _, d, _ in expected.get(cell + post, [])]
        for source in found.cells.tolist():
            outgoing.setdefault(source, []).append(cell)
    assert projection.in_degrees.tolist() == [len(expected.get(c + post, [])) for c in range(projection.post.count)]
    assert projection.out_degrees().tolist() == [len(outgoing.get(c, [])) for c in range(projection.pre.count)]
    for cell in range(projection.pre.count):
        sent = projection.outputs(cell)
        assert Counter(sent.cells.tolist()) == Counter(outgoing.get(cell, []))
        assert projection.destinations_of(sent.edges).tolist() == sent.cells.tolist()
    pointer, sources, order = projection.csr()
    syn_id = projection.attributes["Synapses/syn_id"].read_all()[order]
    for cell in range(projection.post.count):
        part = slice(pointer[cell], pointer[cell + 1])
        told = [(int(s) + pre, int(i)) for s, i in zip(sources[part], syn_id[part], strict=True)]
        assert told == [(source, i) for source, _, i in expected.get(cell + post, [])]


def test_projections_with_blocks_and_empty_rows(folder: Path, network: Network) -> None:
    with h5py.File(folder / "connections.h5") as file:
        blocks = file["Projections/PYR/PYR/Edges/Destination Block Index"].shape[0]
        lengths = np.diff(file["Projections/PYR/PYR/Edges/Destination Pointer"][:].astype(int))
    assert blocks > 3
    assert (lengths == 0).any()
    assert len(lengths) < network.population("PYR").count
    for (pre, post), projection in network.projections.items():
        check(projection, network_files.edges(folder / "connections.h5", pre, post))
    assert len(network.projections) == 9
    assert not network.left_out


def test_an_index_changes_no_answer(folder: Path, tmp_path: Path) -> None:
    sidecar = Sidecar(tmp_path / "kept")
    for _ in range(2):  # made, then taken from where it was kept
        network = Network(open_source(folder).root, Shelf(sidecar, ("one",)))
        for (pre, post), projection in network.projections.items():
            assert projection.index()
            assert projection.indexed
            check(projection, network_files.edges(folder / "connections.h5", pre, post))
    for kept in (tmp_path / "kept").rglob("outgoing-targets"):
        data = bytearray(kept.read_bytes())
        data[-1] ^= 255
        kept.unlink()
        kept.write_bytes(data)
    network = Network(open_source(folder).root, Shelf(Sidecar(tmp_path / "kept"), ("one",)))
    projection = network.projection("PYR", "PYR")
    projection.index()
    check(projection, network_files.edges(folder / "connections.h5", "PYR", "PYR"))


def test_destinations_in_any_order_and_more_than_once(small: Path) -> None:
    network_files.projection(small, "EXC", "INH", [9, 2, 9], [0, 2, 3, 5], [0, 2, 3, 3, 6], [3, 1, 0, 2, 2, 3])
    expected = network_files.edges(small, "INH", "EXC")
    assert len(expected[9]) == 5
    projection = opened(small).projection("INH", "EXC")
    check(projection, expected)
    projection.index()
    check(projection, expected)


def test_a_projection_without_connections(small: Path) -> None:
    network_files.projection(small, "EXC", "INH", [], [0], [], [])
    network_files.projection(small, "EXC", "EXC", [0], [0, 3], [0, 0, 0], [])
    network = opened(small)
    for pair in (("INH", "EXC"), ("EXC", "EXC")):
        projection = network.projection(*pair)
        check(projection, {})
        assert projection.index()
        check(projection, {})


@pytest.mark.parametrize(
    ("first", "begin", "pointer", "sources"),
    [
        ([0], [0, 3], [0, 1, 5], [0, 1]),
        ([0], [0, 3], [0, 2, 1], [0, 1]),
        ([0, 1], [0, 3], [0, 1, 2], [0, 1]),
        ([0, 4], [0, 3, 2], [0, 1, 2], [0, 1]),
        ([15], [0, 3], [0, 1, 2], [0, 1]),
    ],
)
def test_wrong_pointers_are_told(
    small: Path, first: list[int], begin: list[int], pointer: list[int], sources: list[int]
) -> None:
    network_files.projection(small, "EXC", "INH", first, begin, pointer, sources)
    projection = opened(small).projection("INH", "EXC")
    with pytest.raises(Damaged):
        projection.inputs(0)
    with pytest.raises(Damaged):
        projection.csr()


@pytest.mark.parametrize("source", [400, -1])
def test_sources_that_do_not_exist_are_told(small: Path, source: int) -> None:
    network_files.projection(small, "EXC", "INH", [0], [0, 2], [0, 1], [0])
    with h5py.File(small, "a") as file:
        edges = file["Projections/EXC/INH/Edges"]
        del edges["Source Index"]
        edges["Source Index"] = np.array([source], "i4")
    projection = opened(small).projection("INH", "EXC")
    for read in (lambda: projection.inputs(0), lambda: projection.outputs(0), projection.csr, projection.index):
        with pytest.raises(Damaged, match="does not have"):
            read()


def spoilt(path: Path, table: np.ndarray | None) -> None:
    with h5py.File(path, "a") as file:
        del file["H5Types/Populations"]
        if table is not None:
            file["H5Types/Populations"] = table


def rows(labels: object, *values: tuple[int, int, int]) -> np.ndarray:
    return np.array(list(values), np.dtype([("Start", "u8"), ("Count", "u4"), ("Population", labels)]))


NAMES = h5py.enum_dtype({"EXC": 10, "INH": 11}, np.uint16)


@pytest.mark.parametrize(
    "table",
    [
        None,
        np.arange(4),
        rows(np.uint16, (0, 8, 10), (8, 2, 11)),
        rows(NAMES, (0, 8, 10), (6, 4, 11)),
        rows(NAMES, (0, 8, 10), (8, 4, 10)),
        rows(NAMES, (0, 8, 10), (8, 4, 12)),
        rows(NAMES, (0, 8, 10), (2**63, 4, 11)),
    ],
)
def test_populations_that_cannot_be_told(small: Path, table: np.ndarray | None) -> None:
    spoilt(small, table)
    with pytest.raises(CoverslipError) as caught:
        opened(small)
    assert caught.value.hint


def test_rows_of_the_table_may_be_in_any_order(small: Path) -> None:
    spoilt(small, rows(NAMES, (16, 4, 11), (0, 16, 10)))
    network = opened(small)
    assert [(p.name, p.start, p.offset) for p in network.populations.values()] == [("EXC", 0, 0), ("INH", 16, 16)]


def test_gids_may_leave_gaps(small: Path) -> None:
    spoilt(small, rows(NAMES, (100, 16, 10), (1000, 4, 11)))
    network = opened(small)
    assert network.gids[[0, 15, 16]].tolist() == [100, 115, 1000]
    assert network.cell(1003) == (network.population("INH"), 3)
    for gid in (0, 99, 116, 999, 1004):
        with pytest.raises(NotFound):
            network.cell(gid)


def test_what_names_no_population_is_left_out(small: Path) -> None:
    network_files.projection(small, "EXC", "GHOST", [0], [0, 2], [0, 1], [0])
    with h5py.File(small, "a") as file:
        file.create_group("Projections/INH/EXC2/Connectivity")
        del file["Projections/INH/INH/Edges/Source Index"]
    network = opened(small)
    assert set(network.projections) == {("EXC", "EXC"), ("INH", "EXC"), ("EXC", "INH")}
    assert set(network.left_out) == {"GHOST>EXC", "EXC2>INH", "INH>INH"}


def test_connections_alone(folder: Path) -> None:
    source = open_source(folder / "connections.h5")
    network = Network(source.root)
    assert is_network(source.root)
    assert network.bounds is None
    assert np.isnan(network.coordinates).all()
    assert network.projection("PYR", "AAC").n_edges > 0
    with pytest.raises(NotFound, match="no projection AAC>OLM"):
        network.projection("AAC", "OLM")
    with pytest.raises(NotFound, match="no attribute"):
        network.projection("PYR", "AAC").values("Connections/weight", np.arange(1))


def test_values_that_lie_far_apart(small: Path) -> None:
    network_files.projection(small, "EXC", "EXC", [0], [0, 2], [0, 200_000], [0] * 200_000)
    projection = opened(small).projection("EXC", "EXC")
    wanted = np.array([199_999, 3, 100_000, 4, 3])
    assert projection.values("Synapses/syn_id", wanted).tolist() == wanted.tolist()


def test_sizes_that_no_machine_holds(small: Path) -> None:
    """What a damaged or hostile file claims to have is not made room for."""
    original = small.read_bytes()
    spoilt(small, rows(NAMES, (0, 2_000_000_000, 10), (2_000_000_000, 4, 11)))
    with pytest.raises(Unsupported, match="cells"):
        opened(small)
    for name in ("Destination Pointer", "Destination Block Index"):
        small.write_bytes(original)
        with h5py.File(small, "a") as file:
            edges = file["Projections/EXC/EXC/Edges"]
            del edges[name]
            edges.create_dataset(name, (1 << 40,), "u8", chunks=(1 << 16,))
        with pytest.raises(Damaged, match="more destinations"):
            opened(small).projection("EXC", "EXC").inputs(0)
    small.write_bytes(original)
    with h5py.File(small, "a") as file:
        group = file["Populations/EXC/Generated Coordinates/X Coordinate"]
        for name in ("Cell Index", "Attribute Value"):
            del group[name]
            group.create_dataset(name, (1 << 40,), "u4", chunks=(1 << 16,))
    with pytest.raises(Damaged, match="more cells"):
        _ = opened(small).coordinates


LOOKS: list[Callable[[Network], object]] = [
    lambda n: n.coordinates,
    lambda n: n.n_edges,
    lambda n: n.projection("EXC", "INH").csr(),
    lambda n: n.projection("EXC", "EXC").inputs(2),
    lambda n: by_distance(n, n.projection("INH", "EXC"), 9),
    lambda n: sample(list(n.projections.values()), 50),
]


def test_bytes_changed_at_random_give_errors_of_ours(small: Path) -> None:
    whole = small.read_bytes()
    used = [at for at, byte in enumerate(whole) if byte]
    draw = random.Random(3)
    for _ in range(20):
        data = bytearray(whole)
        for _ in range(draw.choice((1, 4, 20))):
            data[draw.choice(used)] = draw.randrange(256)
        small.write_bytes(data)
        with suppress(CoverslipError):
            source = open_source(small)
            try:
                network = Network(source.root)
                for look in LOOKS:
                    with suppress(CoverslipError):
                        look(network)
            finally:
                source.close()

"""Figures of how a network is connected, where they are estimates and where numbers are large."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coverslip.core.stop import Stop
from coverslip.domains import wiring
from coverslip.domains.network_columns import Column
from coverslip.domains.networks import Network
from coverslip.domains.outgoing import _stable_order
from coverslip.engine.sidecar import Shelf, Sidecar
from coverslip.formats import open_source
from coverslip.testing.networks import culture, write_system


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_system(tmp_path_factory.mktemp("s") / "s", culture(600, 20.0), synapses=False)


@pytest.fixture(scope="module")
def network(folder: Path) -> Network:
    return Network(open_source(folder).root)


def test_pairs_of_a_sample_are_as_many_as_all(network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    projection = network.projection("EXC", "INH")
    exact = wiring.by_distance(network, projection, 12)
    monkeypatch.setattr(wiring, "EXACT_PAIRS", 1000)
    estimate = wiring.by_distance(network, projection, 12)
    assert (exact.sampled, estimate.sampled) == (False, True)
    assert exact.pairs.sum() == 480 * 120
    assert estimate.pairs.sum() == pytest.approx(480 * 120, rel=1e-9)
    many = exact.pairs > 1000
    np.testing.assert_allclose(estimate.pairs[many], exact.pairs[many], rtol=0.05)
    assert estimate.connections.tolist() == exact.connections.tolist()


def test_a_reach_leaves_out_what_is_farther(network: Network) -> None:
    found = wiring.by_distance(network, network.projection("EXC", "EXC"), 10, 100.0)
    assert found.edges[-1] == 100.0
    assert 0 < found.connections.sum() < network.projection("EXC", "EXC").n_edges


@pytest.mark.parametrize("block", [7, 1000, 1 << 22])
def test_blocks_of_any_size_give_the_same(
    block: int, network: Network, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    projections = list(network.projections.values())
    whole = wiring.sample(projections, 500)
    counts = wiring.binned_matrix(network, projections, 9)[0]
    sent = projections[0].out_degrees()
    monkeypatch.setattr("coverslip.domains.projection.BLOCK_EDGES", block)
    again = wiring.sample(projections, 500)
    assert again.sources.tolist() == whole.sources.tolist()
    assert again.destinations.tolist() == whole.destinations.tolist()
    assert wiring.binned_matrix(network, projections, 9)[0].tolist() == counts.tolist()
    assert counts.sum() == network.n_edges
    indexed = Network(open_source(folder).root, Shelf(Sidecar(tmp_path), ("a",))).projection("EXC", "EXC")
    plain = network.projection("EXC", "EXC")
    assert indexed.index()
    assert projections[0].out_degrees().tolist() == sent.tolist()
    for cell in (0, 17, 479):
        a, b = indexed.outputs(cell), plain.outputs(cell)
        assert a.cells.tolist() == b.cells.tolist()
        assert a.edges.tolist() == b.edges.tolist()
        for name in plain.attributes:
            assert indexed.output_values(name, cell, a.edges).tolist() == plain.values(name, b.edges).tolist()


def test_sorting_by_count_is_stable() -> None:
    values = np.random.default_rng(0).integers(0, 1 << 18, 20_000, dtype=np.uint32)
    for held in (values, values % 100, values[:0]):
        assert _stable_order(held).tolist() == np.argsort(held, kind="stable").tolist()


def test_long_work_ends_when_nobody_waits(network: Network) -> None:
    stop = Stop()
    stop.set()
    projections = list(network.projections.values())
    for work in (
        lambda: wiring.sample(projections, 100, stop),
        lambda: wiring.binned_matrix(network, projections, 9, stop),
        lambda: wiring.by_distance(network, projections[0], 9, None, stop),
        lambda: wiring.degrees(network, projections, stop),
        lambda: projections[0].index(stop),
        lambda: projections[0].csr(stop),
        lambda: Column("in-degree").read(network, "first", stop),
    ):
        with pytest.raises(Exception, match="Nobody waits"):
            work()


def test_too_many_connections_for_an_index(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.domains.projection.MOST_INDEXED", 10)
    projection = Network(open_source(folder).root).projection("EXC", "EXC")
    assert not projection.index()
    assert not projection.indexed
    assert len(projection.outputs(0).cells) == projection.out_degrees()[0]

"""A look at all that a source holds, as its fronts would take: for tests of damaged ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import numpy as np

from coverslip.app import describe
from coverslip.core.errors import CoverslipError
from coverslip.core.finite import is_finite
from coverslip.core.node import Array, Group, Node
from coverslip.core.spec import Box
from coverslip.domains.cells import Cells, Options
from coverslip.domains.check_cells import check_cells
from coverslip.domains.graph import undirected_edges, weights
from coverslip.domains.modalities import data_sets
from coverslip.domains.networks import Network, is_network
from coverslip.domains.tissue import tissues
from coverslip.formats import open_source, recognise

MOST_ARRAYS, MOST_ALONG, MOST_ITEMS = 12, 48, 1 << 18
MOST_SETS, MOST_OF_EACH = 4, 6


def look(path: Path, of_network: Callable[[Network], object] | None = None) -> object:
    """Open a source, describe it, and read a little of everything; of a network by `look_at_network` or another."""
    recognise(path)
    source = open_source(path)
    try:
        told = describe(Options(), source)
        for number, array in enumerate(arrays(source.root)):
            shape = array.spec.shape
            end = tuple(min(n, MOST_ALONG) for n in shape)
            if number >= MOST_ARRAYS or int(np.prod(end, dtype=np.int64)) > MOST_ITEMS:
                break
            read = array.read(Box((0,) * len(shape), end))
            assert read.shape == end
        if told.kind == "cells":
            for made in list(data_sets(source.root).values())[:MOST_SETS]:
                with suppress(CoverslipError):
                    look_at_cells(made())
            look_at_tissues(source.root)
        elif is_network(source.root):
            (of_network or look_at_network)(Network(source.root))
        return told
    finally:
        source.close()


def arrays(group: Group, depth: int = 0) -> Iterator[Array]:
    """The arrays of a tree, as far as anybody would look."""
    for name in list(group)[:20] if depth < 6 else ():
        try:
            node = group[name]
        except CoverslipError:
            continue
        if isinstance(node, Array):
            yield node
        else:
            yield from arrays(node, depth + 1)


def look_at_cells(root: Group) -> None:
    """All that is drawn of cells; what cannot be read must not hide the rest."""
    cells = Cells(root, Options())
    with suppress(CoverslipError):
        list(check_cells(root, cells))
    with suppress(CoverslipError):
        assert len(cells.cell_names(0, 5)) == min(5, cells.n_cells)
    for embedding in cells.embeddings[:MOST_OF_EACH]:
        with suppress(CoverslipError):
            found = embedding.points(embedding.dimensions[:2])
            assert found.shape == (cells.n_cells, len(embedding.dimensions[:2]))
    for column in cells.fields:
        with suppress(CoverslipError):
            assert len(column.between(0, min(5, column.n_rows))) == min(5, column.n_rows)
        with suppress(CoverslipError):
            assert not column.n_rows or column.at(0) == column.between(0, 1)[0]
    for expression in list(cells.expressions.values())[:MOST_OF_EACH]:
        count = expression.matrix.shape[1]
        with suppress(CoverslipError):
            assert len(expression.genes.names) == count
            expression.genes.find(expression.genes.names[0] if count else "none")
        for gene in {0, count - 1} if count else ():
            with suppress(CoverslipError):
                assert expression.gene(gene).shape == (cells.n_cells,)
    with suppress(CoverslipError):
        if (graph := cells.graph) is not None:
            weights(graph, undirected_edges(graph))
    for part in ("log_base", "points", "default_embedding", "latent_key"):
        with suppress(CoverslipError):
            getattr(cells, part)
    with suppress(CoverslipError):
        cells.stored_outliers("kind")


def look_at_tissues(root: Group) -> None:
    """The pictures that lie under cells: each is there, and its matrix leads from cells to pixels."""
    for tissue in tissues(root)[:MOST_OF_EACH]:
        assert len(tissue.matrix) == 6
        assert all(map(is_finite, tissue.matrix)), tissue.matrix
        node: Node = root
        for part in tissue.path.split("/"):
            assert isinstance(node, Group)
            node = node[part]


def look_at_network(network: Network) -> None:
    """All that is shown of a network."""
    for part in ("n_neurons", "gids", "attributes", "coordinates", "bounds", "n_edges"):
        with suppress(CoverslipError):
            getattr(network, part)
    for of_one in network.attributes.values():
        for attribute in list(of_one.values())[:MOST_OF_EACH]:
            for how in ("first", "mean", "count"):
                with suppress(CoverslipError):
                    attribute.one_each(how)
            with suppress(CoverslipError):
                attribute.of(0)
    for projection in network.projections.values():
        for name in projection.attributes:
            with suppress(CoverslipError):
                projection.values(name, np.arange(min(3, projection.n_edges)))
        with suppress(CoverslipError):
            assert projection.in_degrees.sum() <= projection.n_edges
        with suppress(CoverslipError):
            projection.inputs(0)
        with suppress(CoverslipError):
            projection.outputs(0)
        with suppress(CoverslipError):
            projection.csr()

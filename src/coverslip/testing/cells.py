"""The tests that every format of cells passes: subclass, say what the file holds, get the tests.

::

    class TestLoom(CellsTests):
        format_name = "loom"

        def write(self, folder):
            path = folder / "a.loom"
            loompy.create(str(path), …)
            return path

        def golden(self, sample):
            return {"": anndata.io.read_loom(sample)}
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from coverslip.core.errors import CoverslipError
from coverslip.core.node import Source
from coverslip.domains.cells import Cells, as_category
from coverslip.domains.columns import Category, Continuous, Text
from coverslip.domains.graph import undirected_edges, weights
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source, recognise
from coverslip.testing.files import FileTests, assert_one_line, bytes_read, copied, files_of, handles, wait_for_handles
from coverslip.testing.formats import OPENING_SHARE, THREADS

FLOOR_BYTES = 300_000


class CellsTests(FileTests):
    """Subclass, and give ``format_name``, ``write`` and ``golden``."""

    format_name: ClassVar[str]
    can_be_truncated: ClassVar[bool] = True
    """Whether the first half of the largest file alone must be refused."""
    tolerance: ClassVar[float] = 0.0
    """How far numbers may be from the golden ones, as a share of their range (quantised files)."""
    shows: ClassVar[tuple[str, ...]] = ()
    """What the samples hold beside columns and genes: ``embeddings``, ``graph``, ``vectors``."""

    def write(self, folder: Path) -> Path:
        """Write a sample."""
        raise NotImplementedError

    def write_large(self, folder: Path) -> Path | None:
        """Write a sample of at least 2 MB, mostly expression; None where genes cannot be read one by one."""
        return None

    def golden(self, sample: Path) -> dict[str, Any]:
        """What each data set of the sample must be, as ``AnnData``, by its path in the tree; ``""`` for the first."""
        raise NotImplementedError

    @pytest.fixture
    def sample(self, tmp_path: Path, once: Callable[[Callable[[Path], Path]], Path]) -> Path:
        """A file or folder of the format, written once and copied."""
        return once(self.write)

    @pytest.fixture
    def source(self, sample: Path) -> Iterator[Source]:
        """The sample, opened."""
        source = open_source(sample)
        yield source
        source.close()

    def test_is_recognised(self, sample: Path) -> None:
        """The file is claimed by its format, and no format before it."""
        assert recognise(sample).name == self.format_name

    def test_columns(self, sample: Path, source: Source) -> None:
        """Names of cells, and every column of ``obs``."""
        for path, wanted in self.golden(sample).items():
            assert_same_columns(Cells(data_sets(source.root)[path]()), wanted, self.tolerance)

    def test_genes(self, sample: Path, source: Source) -> None:
        """Names of genes, and every value of every gene."""
        for path, wanted in self.golden(sample).items():
            assert_same_genes(Cells(data_sets(source.root)[path]()), wanted, self.tolerance)

    def test_embeddings(self, sample: Path, source: Source, record_property: Callable[[str, object], None]) -> None:
        """Coordinates as stored."""
        for path, wanted in self.golden(sample).items():
            assert_same_embeddings(Cells(data_sets(source.root)[path]()), wanted)
        for what in self.shows:
            record_property("shows", what)

    def test_many_threads(self, sample: Path, source: Source) -> None:
        """Every gene from eight threads at once."""
        for path, wanted in self.golden(sample).items():
            cells = Cells(data_sets(source.root)[path]())
            if not cells.n_genes:
                continue
            expression = cells.expression()
            with ThreadPoolExecutor(THREADS) as pool:
                found = list(pool.map(expression.gene, range(cells.n_genes)))
            _close(np.stack(found, 1), _dense(wanted.X), self.tolerance)

    def test_metadata_is_plain_and_private(self, sample: Path, source: Source) -> None:
        """Attributes of the root are JSON, and none of them tells where on this machine the file lies."""
        assert str(sample.parent) not in json.dumps(dict(source.root.attrs))

    @pytest.mark.skipif(sys.platform != "linux", reason="counts open files through /proc")
    def test_closing_gives_files_back(self, sample: Path) -> None:
        """No file handle is left after close, even after reading."""
        open_source(sample).close()  # libraries may open files of their own the first time
        before = handles(sample)
        source = open_source(sample)
        for tree in data_sets(source.root).values():
            read_everything(Cells(tree()))
        source.close()
        wait_for_handles(sample, before)

    def test_a_truncated_file_is_refused(self, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Half a file gives one clear error, on opening or on reading, and never wrong numbers."""
        if not self.can_be_truncated:
            pytest.skip("not told by a format of this kind")
        half = copied(sample, tmp_path_factory.mktemp("half"))
        cut = max(files_of(half), key=lambda file: file.stat().st_size)
        os.truncate(cut, cut.stat().st_size // 2)
        with pytest.raises(CoverslipError) as caught:
            _read_file(half)
        assert_one_line(caught.value)

    @pytest.mark.skipif(sys.platform != "linux", reason="counts bytes through /proc")
    def test_opening_and_a_gene_read_little(
        self,
        tmp_path: Path,
        tmp_path_factory: pytest.TempPathFactory,
        record_property: Callable[[str, object], None],
    ) -> None:
        """Opening reads a small part of the file, and one gene does too."""
        large = self.write_large(tmp_path)
        if large is None:
            pytest.skip("genes of this format are not read one by one")
        total = sum(file.stat().st_size for file in files_of(large))
        assert total >= 2_000_000
        other = open_source(self.write(tmp_path_factory.mktemp("other")))  # loads libraries
        Cells(data_sets(other.root)[""]()).expression().gene(1)
        other.close()
        before = bytes_read()
        source = open_source(large)
        try:
            cells = Cells(data_sets(source.root)[""]())
            opened = bytes_read() - before
            assert opened <= max(total * OPENING_SHARE, FLOOR_BYTES), f"{opened:,} of {total:,} bytes"
            before = bytes_read()
            cells.expression().gene(1)
            read = bytes_read() - before
            assert read <= max(total * OPENING_SHARE, FLOOR_BYTES), f"{read:,} of {total:,} bytes"
            record_property("shows", "lazy")
        finally:
            source.close()


def assert_same(cells: Cells, wanted: Any, tolerance: float = 0.0) -> None:
    """Every value that both can tell."""
    assert_same_columns(cells, wanted, tolerance)
    assert_same_genes(cells, wanted, tolerance)
    assert_same_embeddings(cells, wanted)


def assert_same_columns(cells: Cells, wanted: Any, tolerance: float = 0.0) -> None:
    """Names of cells and ``obs``; ``wanted`` is AnnData."""
    assert cells.n_cells == wanted.n_obs
    assert cells.cell_names(0, cells.n_cells) == list(wanted.obs_names)
    assert [f.key for f in cells.fields] == list(wanted.obs.columns)
    assert not cells.unreadable
    for field in cells.fields:
        column = wanted.obs[field.key]
        if isinstance(field, Continuous):
            expected = column.astype("float64").to_numpy(dtype=np.float32, na_value=np.nan)
            _close(field.values(), expected, tolerance)
            continue
        category = as_category(field)
        assert category is not None
        told = [None if c < 0 else category.categories[c] for c in category.codes()]
        assert told == [None if missing else str(v) for v, missing in zip(column, column.isna(), strict=True)]


def assert_same_genes(cells: Cells, wanted: Any, tolerance: float = 0.0) -> None:
    """Names of genes and ``X``."""
    assert cells.n_genes == wanted.n_vars
    if not wanted.n_vars or wanted.X is None:
        return
    expression = cells.expression()
    assert expression.genes.names == list(wanted.var_names)
    _close(np.stack([expression.gene(i) for i in range(wanted.n_vars)], 1), _dense(wanted.X), tolerance)


def assert_same_embeddings(cells: Cells, wanted: Any) -> None:
    """Every array of ``obsm`` but vector fields."""
    for embedding in cells.embeddings:
        expected = np.asarray(wanted.obsm[embedding.key], np.float32).reshape(wanted.n_obs, -1)
        np.testing.assert_array_equal(embedding.coordinates(), expected)
    assert {e.key for e in cells.embeddings} == set(wanted.obsm)


def read_everything(cells: Cells, strict: bool = False) -> None:
    """Every column, gene, coordinate, vector and edge.

    Parameters
    ----------
    strict
        Whether a column that cannot be read is an error.
    """
    for why in cells.unreadable.values() if strict else ():
        raise CoverslipError(why, "The column cannot be read.")
    cells.cell_names(0, cells.n_cells)
    for field in cells.fields:
        if isinstance(field, Continuous):
            field.values()
        elif isinstance(field, (Category, Text)):
            category = as_category(field)
            _ = category.codes() if category is not None else None
    for expression in cells.expressions.values():
        for i in range(expression.matrix.shape[1]):
            expression.gene(i)
    for embedding in cells.embeddings:
        embedding.coordinates()
    for made in cells.vector_fields.values():
        for d in made.arrows:
            made.vectors(d, range(d))
    if cells.graph is not None:
        weights(cells.graph, undirected_edges(cells.graph))


def _read_file(path: Path) -> None:
    source = open_source(path)
    try:
        for tree in data_sets(source.root).values():
            read_everything(Cells(tree()), strict=True)
    finally:
        source.close()


def _dense(x: Any) -> Any:
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, np.float32)


def _close(found: Any, wanted: Any, tolerance: float) -> None:
    if not tolerance:
        np.testing.assert_array_equal(found, wanted)
        return
    finite = wanted[np.isfinite(wanted)]
    span = float(finite.max() - finite.min()) if finite.size else 0.0
    np.testing.assert_allclose(found, wanted, rtol=0, atol=tolerance * max(span, 1e-9))

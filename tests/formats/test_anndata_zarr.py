"""AnnData in Zarr against what anndata reads."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import anndata
import numpy as np
import pytest
from scipy import sparse

import make
from coverslip.core.errors import CoverslipError
from coverslip.domains.cells import Cells
from coverslip.domains.columns import Category
from coverslip.formats import open_source, recognise
from coverslip.testing.cells import CellsTests, assert_same

LAYOUTS = {"dense": np.asarray, "csr": sparse.csr_matrix, "csc": sparse.csc_matrix}


def write(adata: anndata.AnnData, path: Path, version: int = 2, **options: Any) -> Path:
    """Write as anndata does, without what it and zarr-python say of the future."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        before, anndata.settings.zarr_write_format = anndata.settings.zarr_write_format, version
        try:
            adata.write_zarr(path, **options)
        finally:
            anndata.settings.zarr_write_format = before
    return path


def read(path: Path) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_zarr(path)


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as target:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                target.write(file, file.relative_to(folder).as_posix())
    return path


class AnnDataZarrTests(CellsTests):
    format_name = "anndata-zarr"
    shows = ("embeddings", "graph")
    version: ClassVar[int]
    name: ClassVar[str]

    def write(self, folder: Path) -> Path:
        return write(make.adata(sparse.csc_matrix(make.dense_matrix())), folder / self.name, self.version)

    def write_large(self, folder: Path) -> Path | None:
        x = sparse.random(4000, 300, 0.4, "csc", np.float32, random_state=1)
        return write(anndata.AnnData(x), folder / self.name, self.version)

    def golden(self, sample: Path) -> dict[str, Any]:
        return {"": read(sample)}


class TestVersion2(AnnDataZarrTests):
    version, name = 2, "cells.zarr"


class TestVersion3(AnnDataZarrTests):
    version, name = 3, "cells.zarr"


class TestVersion3WithoutASuffix(AnnDataZarrTests):
    version, name = 3, "cells"


class TestZip(AnnDataZarrTests):
    version, name = 2, "cells.zarr"

    def write(self, folder: Path) -> Path:
        return zipped(super().write(folder), folder / "cells.zarr.zip")

    def write_large(self, folder: Path) -> Path | None:
        return zipped(super().write_large(folder), folder / "cells.zarr.zip")

    def golden(self, sample: Path) -> dict[str, Any]:
        with zipfile.ZipFile(sample) as packed:
            packed.extractall(sample.parent / "unpacked")
        return {"": read(sample.parent / "unpacked")}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout(tmp_path: Path, layout: str, version: int) -> None:
    path = write(make.adata(LAYOUTS[layout](make.dense_matrix())), tmp_path / "plain", version)
    source = open_source(path)
    cells = Cells(source.root)
    assert recognise(path).name == "anndata-zarr"
    assert_same(cells, read(path))
    assert cells.expression("X").matrix.layout == layout
    kind = cells.fields[0]
    assert isinstance(kind, Category)
    assert kind.ordered
    assert kind.colors == ["#ff0000", "#00ff00", "#0000ff", "#123456"]
    counts = make.adata().layers["counts"].toarray()
    for gene in range(make.GENES):
        np.testing.assert_array_equal(cells.expression("layer:counts").gene(gene), counts[:, gene])
    source.close()


def test_raw(tmp_path: Path) -> None:
    adata = make.with_raw()
    source = open_source(write(adata, tmp_path / "raw.zarr"))
    raw = Cells(source.root).expression("raw")
    np.testing.assert_array_equal(raw.gene(3), adata.raw.X.toarray()[:, 3])
    source.close()


def test_a_root_that_says_nothing(tmp_path: Path) -> None:
    """anndata before 0.8 marked no group."""
    path = write(make.adata(), tmp_path / "old.zarr")
    (path / ".zattrs").unlink()
    (path / ".zmetadata").unlink(missing_ok=True)
    assert recognise(path).name == "anndata-zarr"
    source = open_source(path)
    assert Cells(source.root).n_cells == make.N
    source.close()


def test_without_consolidated_metadata(tmp_path: Path) -> None:
    path = write(make.adata(), tmp_path / "a.zarr")
    (path / ".zmetadata").unlink(missing_ok=True)
    source = open_source(path)
    assert_same(Cells(source.root), read(path))
    source.close()


def test_damaged_metadata_is_told(tmp_path: Path) -> None:
    path = write(make.adata(), tmp_path / "a.zarr")
    (path / ".zmetadata").unlink(missing_ok=True)
    (path / "obs" / ".zattrs").write_text("{")
    with pytest.raises(CoverslipError) as caught:
        Cells(open_source(path).root)
    assert "\n" not in str(caught.value)

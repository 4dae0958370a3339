"""10x Genomics' files, written by the book, against what scanpy reads."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path
from typing import Any, ClassVar

import h5py
import numpy as np
import pytest
import scipy.io
from scipy import sparse

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.domains.cells import Cells
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source, recognise
from coverslip.formats.tenx_folder import MatrixText
from coverslip.testing.cells import CellsTests

N, GENES = 30, 8
SYMBOLS = ["ACTB", "CD3E", "HLA-A", "MATR3", "MATR3", "B2M", "MT-CO1", "CD19_TotalC"]
"""Two genes of one symbol, as in every real file."""


def counts(n: int = N, genes: int = GENES) -> sparse.csc_matrix:
    found = sparse.random(genes, n, 0.4, "csc", random_state=7)
    found.data = np.ceil(found.data * 90)
    return found.astype(np.int32)


def barcodes(n: int) -> list[str]:
    return [f"{'ACGT'[i % 4]}{i:08d}-1" for i in range(n)]


def fill(group: h5py.Group, x: sparse.csc_matrix) -> None:
    group["barcodes"] = np.array(barcodes(x.shape[1]), "S")
    group["shape"] = np.array(x.shape, np.int32)
    group.create_dataset("data", data=x.data, chunks=(min(80_000, x.nnz),), compression="gzip")
    group.create_dataset("indices", data=x.indices.astype(np.int64), chunks=(min(80_000, x.nnz),), compression="gzip")
    group["indptr"] = x.indptr.astype(np.int64)


def version3(path: Path, x: sparse.csc_matrix, symbols: list[str]) -> Path:
    with h5py.File(path, "w") as file:
        file.attrs["filetype"] = "matrix"
        group = file.create_group("matrix")
        fill(group, x)
        features = group.create_group("features")
        features["_all_tag_keys"] = np.array(["genome"], "S")
        features["id"] = np.array([f"ENSG{i:011d}" for i in range(len(symbols))], "S")
        features["name"] = np.array([s.encode() for s in symbols])
        kinds = ["Antibody Capture" if s.endswith("_TotalC") else "Gene Expression" for s in symbols]
        features["feature_type"] = np.array(kinds, "S")
        features["genome"] = np.array(["GRCh38"] * len(symbols), "S")
    return path


def version2(path: Path, genomes: tuple[str, ...]) -> Path:
    with h5py.File(path, "w") as file:
        for genome in genomes:
            group = file.create_group(genome)
            fill(group, counts())
            group["genes"] = np.array([f"ENSG{i:011d}" for i in range(GENES)], "S")
            group["gene_names"] = np.array([s.encode() for s in SYMBOLS])
    return path


def scanpys(function: str, *arguments: Any, **named: Any) -> Any:
    """What scanpy reads; imported when first needed, for it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import scanpy

        return getattr(scanpy, function)(*arguments, **named)


class TestVersion3(CellsTests):
    format_name = "10x-h5"

    def write(self, folder: Path) -> Path:
        return version3(folder / "filtered_feature_bc_matrix.h5", counts(), SYMBOLS)

    def golden(self, sample: Path) -> dict[str, Any]:
        return {"": scanpys("read_10x_h5", sample, gex_only=False)}


class TestVersion2(CellsTests):
    format_name = "10x-h5"

    def write(self, folder: Path) -> Path:
        return version2(folder / "filtered_gene_bc_matrices_h5.h5", ("hg19", "mm10"))

    def golden(self, sample: Path) -> dict[str, Any]:
        human, mouse = (scanpys("read_10x_h5", sample, genome=g) for g in ("hg19", "mm10"))
        return {"": human, "tables/hg19": human, "tables/mm10": mouse}


class FolderTests(CellsTests):
    format_name = "10x-folder"
    packed: ClassVar[bool]

    def write(self, folder: Path) -> Path:
        path = folder / "filtered_feature_bc_matrix"
        path.mkdir()
        kinds = ["Antibody Capture" if s.endswith("_TotalC") else "Gene Expression" for s in SYMBOLS]
        rows = [f"ENSG{i:011d}\t{s}" for i, s in enumerate(SYMBOLS)]
        features = [f"{row}\t{kind}" for row, kind in zip(rows, kinds, strict=True)] if self.packed else rows
        scipy.io.mmwrite(path / "matrix.mtx", counts())
        (path / "barcodes.tsv").write_text("\n".join(barcodes(N)) + "\n")
        (path / ("features.tsv" if self.packed else "genes.tsv")).write_text("\n".join(features) + "\n", "utf-8")
        for file in list(path.iterdir()) if self.packed else ():
            Path(f"{file}.gz").write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()
        return path

    def golden(self, sample: Path) -> dict[str, Any]:
        return {"": scanpys("read_10x_mtx", sample, make_unique=False, gex_only=False)}


class TestFolder(FolderTests):
    packed = True


class TestOldFolder(FolderTests):
    packed = False


def test_symbols_ids_and_kinds(tmp_path: Path) -> None:
    source = open_source(version3(tmp_path / "a.h5", counts(), SYMBOLS))
    cells = Cells(source.root)
    var = scanpys("read_10x_h5", tmp_path / "a.h5", gex_only=False).var
    assert cells.expression().genes.find("CD3E") == 1
    with pytest.raises(CoverslipError, match="2 genes are called"):
        cells.expression().genes.find("MATR3")
    for column in ("gene_ids", "feature_types", "genome"):
        told = source.root["var"][column].read_all().tolist()  # type: ignore[index, union-attr]
        assert told == list(var[column])
    assert cells.embeddings == []
    source.close()


def test_other_hdf5_is_left_alone(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["matrix"] = np.zeros((4, 4))
    assert recognise(tmp_path / "a.h5").name == "hdf5"


def test_several_genomes_are_several_data_sets(tmp_path: Path) -> None:
    source = open_source(version2(tmp_path / "one.h5", ("hg19",)))
    assert list(data_sets(source.root)) == [""]
    source.close()


@pytest.mark.parametrize(
    "text",
    [
        "nonsense",
        "%%MatrixMarket matrix coordinate integer general\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 x\n",
        "%%MatrixMarket matrix coordinate integer general\n3 2 1\n1 1 1\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 3 1\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 1\n0 1 1\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 2\n1 1 1\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 1\n2 2 2\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1\n",
        "%%MatrixMarket matrix coordinate integer general\n2 2 1\n1 1 abc\n",
    ],
)
def test_a_matrix_that_makes_no_sense_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "matrix.mtx").write_text(text)
    with pytest.raises(Damaged):
        _ = MatrixText(tmp_path / "matrix.mtx", 2, 2).parts


def test_a_matrix_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "matrix.mtx").write_text("%%MatrixMarket matrix coordinate real general\n%x\n2 3 2\n2 3 1.5\n1 1 2\n")
    data, genes, starts = MatrixText(tmp_path / "matrix.mtx", 2, 3).parts
    assert (data.tolist(), genes.tolist(), starts.tolist()) == ([2, 1.5], [0, 1], [0, 1, 1, 2])

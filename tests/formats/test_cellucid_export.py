"""Exported folders that cellucid 0.0.9 and 0.9.4 wrote, against what they were given.

``exports/*.zip`` were written by ``tests/e2e/clients/cellucid_prepare.py``; ``tests/e2e/test_exports.py`` writes such
folders anew.
"""

from __future__ import annotations

import gzip
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import anndata
import numpy as np
import pandas as pd
import pytest

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.domains.cells import Cells
from coverslip.domains.graph import undirected_edges, weights
from coverslip.formats import open_source, recognise
from coverslip.testing.cells import CellsTests

EXPORTS = Path(__file__).parent / "exports"
OVERWRITTEN = "HLA/A"
"""Shares its file with ``HLA A`` in the first generation."""


def unpacked(name: str, folder: Path) -> Path:
    with zipfile.ZipFile(EXPORTS / f"{name}.zip") as packed:
        packed.extractall(folder)
    return folder / "demo"


def given(name: str) -> Any:
    with zipfile.ZipFile(EXPORTS / f"{name}.zip") as packed, packed.open("input.npz") as file:
        return dict(np.load(file))


def floats(folder: Path, name: str, width: int) -> np.ndarray:
    """A file of coordinates, read in the plainest way."""
    plain = folder / name
    data = plain.read_bytes() if plain.is_file() else gzip.decompress((folder / f"{name}.gz").read_bytes())
    return np.frombuffer(data, "<f4").reshape(-1, width)


def drawn(coordinates: np.ndarray) -> np.ndarray:
    """Centred, the longest axis from -1 to 1."""
    low, high = coordinates.min(0), coordinates.max(0)
    return (coordinates - (low + high) / 2) * (2 / (high - low).max())


class ExportTests(CellsTests):
    format_name = "cellucid-export"
    shows = ("embeddings", "graph", "vectors")
    export: ClassVar[str]

    def write(self, folder: Path) -> Path:
        return unpacked(self.export, folder)

    def write_large(self, folder: Path) -> Path:
        return by_hand(folder / "large", 3000, 300)

    def golden(self, sample: Path) -> dict[str, Any]:
        was = given(self.export)
        obs = pd.DataFrame(
            {"n counts": was["counts"], "α": was["score"], "kind": was["kind"], "flag": was["flag"]},
            index=[str(i) for i in range(60)],
        )
        first = "0.0.9" in self.export
        kept = [g for g in was["genes"] if g != OVERWRITTEN] if first else list(was["genes"])
        at = [list(was["genes"]).index(g) for g in kept]
        made = anndata.AnnData(was["x"][:, at], obs, pd.DataFrame(index=kept))
        flat, deep = ("points_2d.bin", "points_3d.bin") if first else ("embeddings/0_2d.bin", "embeddings/1_3d.bin")
        names = ("X_umap_2d", "X_umap_3d") if first else ("flat", "deep")
        made.obsm[names[0]], made.obsm[names[1]] = floats(sample, flat, 2), floats(sample, deep, 3)
        return {"": made}

    def test_columns_of_categories(self, sample: Path) -> None:
        """Categories in their order, the empty one too."""
        source = open_source(sample)
        cells = Cells(source.root)
        kind = cells.fields[cells.find_field("kind")]
        assert kind.categories == ["T", "B", "NK", "empty"]  # type: ignore[attr-defined]
        source.close()

    def test_coordinates_vectors_and_graph(self, sample: Path) -> None:
        """Drawn as they were exported; vectors in the same units; every edge."""
        was = given(self.export)
        source = open_source(sample)
        cells = Cells(source.root)
        assert list(cells.points) == [2, 3]
        (field,) = cells.vector_fields.values()
        for d, coordinates in ((2, was["flat"]), (3, was["deep"])):
            wanted = drawn(coordinates)
            np.testing.assert_allclose(cells.points[d].points(range(d)), wanted, atol=2e-6)
            scale = 2 / (coordinates.max(0) - coordinates.min(0)).max()
            np.testing.assert_allclose(field.vectors(d, range(d)), coordinates / 9 * scale, atol=2e-6)
        assert cells.graph is not None
        edges = undirected_edges(cells.graph)
        a, b = np.nonzero(np.triu(was["graph"], 1))
        np.testing.assert_array_equal(np.stack([edges.sources, edges.targets]), np.stack([a, b]))
        if "0.9.4" in self.export:
            np.testing.assert_allclose(weights(cells.graph, edges), was["graph"][a, b], rtol=1e-6)
        source.close()

    def test_outliers(self, sample: Path) -> None:
        """As stored, and as our own rule has it."""
        from coverslip.domains.groups import outlier_quantiles

        was = given(self.export)
        source = open_source(sample)
        cells = Cells(source.root)
        kind = cells.fields[cells.find_field("kind")]
        found = cells.stored_outliers("kind")
        wanted = outlier_quantiles(was["latent"].astype(np.float32), kind.codes(), 4, 10)  # type: ignore[attr-defined]
        np.testing.assert_allclose(found, wanted, atol=self.tolerance + 1e-6)
        assert cells.latent_key == "latent_space"
        source.close()


class FirstGeneration(ExportTests):
    """Genes whose names are one when made safe share a file."""

    def test_genes(self, sample: Path, source: Any) -> None:
        """Every gene but the one that was overwritten, which is told."""
        wanted = self.golden(sample)[""]
        expression = Cells(source.root).expression()
        largest = float(wanted.X.max())
        for i, name in enumerate(wanted.var_names):
            found = expression.gene(expression.genes.find(name))
            np.testing.assert_allclose(found, wanted.X[:, i], atol=self.tolerance * largest)
        with pytest.raises(Damaged, match="overwritten"):
            expression.gene(expression.genes.find(OVERWRITTEN))

    def test_many_threads(self, sample: Path, source: Any) -> None:
        """Looked at with the genes that can be read."""
        from concurrent.futures import ThreadPoolExecutor

        expression = Cells(source.root).expression()
        numbers = [i for i, name in enumerate(expression.genes.names) if name != OVERWRITTEN] * 8
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(expression.gene, numbers))
        for number, values in zip(numbers, found, strict=True):
            np.testing.assert_array_equal(values, expression.gene(number))

    def test_closing_gives_files_back(self, sample: Path) -> None:
        """Files are open only while they are read."""
        source = open_source(sample)
        Cells(source.root).expression().gene(1)
        source.close()

    def test_a_truncated_file_is_refused(self, sample: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
        """Each kind of file, cut in half."""
        for pattern in ("points_2d*", "obs/kind.codes*", "var/CD3E*", "obs_manifest.json"):
            (file,) = sample.glob(pattern)
            whole = file.read_bytes()
            file.write_bytes(whole[: len(whole) // 2])
            with pytest.raises(CoverslipError):
                read_some(sample)
            file.write_bytes(whole)


class TestFirstQuantised(FirstGeneration):
    export, tolerance = "cellucid-0.0.9-8", 1 / 254


class TestFirstPlain(FirstGeneration):
    export, tolerance = "cellucid-0.0.9-0", 1e-7


class TestSecondQuantised(ExportTests):
    export, tolerance = "cellucid-0.9.4-16", 1 / 65534


class TestSecondPlain(ExportTests):
    export, tolerance = "cellucid-0.9.4-0", 1e-7


def read_some(folder: Path) -> None:
    source = open_source(folder)
    cells = Cells(source.root)
    cells.points[2].points(range(2))
    cells.fields[cells.find_field("kind")].codes()  # type: ignore[attr-defined]
    cells.expression().gene(1)
    source.close()


def by_hand(folder: Path, n: int, genes: int) -> Path:
    """An export of the first generation as section by section documented, without gzip."""
    rng = np.random.default_rng(1)
    (folder / "obs").mkdir(parents=True)
    (folder / "var").mkdir()
    rng.random((n, 2)).astype("<f4").tofile(folder / "points_2d.bin")
    rng.random(n).astype("<f4").tofile(folder / "obs" / "depth.values.f32")
    for i in range(genes):
        rng.random(n).astype("<f4").tofile(folder / "var" / f"G{i}.values.f32")
    continuous = {"pathPattern": "obs/{key}.values.f32", "ext": "f32", "dtype": "float32", "quantized": False}
    documents = {
        "dataset_identity": {
            "version": 2, "id": "same", "name": f"By hand, {folder.name}", "cellucid_data_version": "0.0.9",
            "stats": {"n_cells": n, "n_genes": genes, "has_connectivity": False},
            "embeddings": {"available_dimensions": [2], "files": {"2d": "points_2d.bin"}},
            "obs_fields": [{"key": "depth", "kind": "continuous"}],
        },
        "obs_manifest": {
            "_format": "compact_v1", "n_points": n, "_obsSchemas": {"continuous": continuous},
            "_continuousFields": [["depth"]], "_categoricalFields": [],
        },
        "var_manifest": {
            "_format": "compact_v1", "n_points": n, "fields": [[f"G{i}"] for i in range(genes)],
            "_varSchema": {**continuous, "pathPattern": "var/{key}.values.f32"},
        },
    }  # fmt: skip
    for name, document in documents.items():
        (folder / f"{name}.json").write_text(json.dumps(document))
    return folder


def changed(folder: Path, name: str, change: Callable[[Any], None]) -> None:
    document = json.loads((folder / name).read_text())
    change(document)
    (folder / name).write_text(json.dumps(document))


@pytest.mark.parametrize("name", ["obs_manifest.json", "points_2d.bin"])
def test_without_the_least_nothing_can_be_shown(tmp_path: Path, name: str) -> None:
    folder = by_hand(tmp_path / "part", 5, 2)
    (folder / name).unlink()
    assert recognise(folder).name == "cellucid-export"
    with pytest.raises(Damaged, match=f"incomplete: {name} is missing") as caught:
        open_source(folder)
    assert caught.value.name == "incomplete"


@pytest.mark.parametrize(
    "name", ["dataset_identity.json", "var_manifest.json", "var/G1.values.f32", "obs/depth.values.f32"]
)
def test_with_less_than_all_the_rest_is_shown(tmp_path: Path, name: str) -> None:
    folder = by_hand(tmp_path / "part", 5, 2)
    (folder / name).unlink()
    source = open_source(folder)
    assert source.root.attrs["coverslip"]["missing"] == [name]
    assert Cells(source.root).points[2].points(range(2)).shape == (5, 2)
    source.close()


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("obs_manifest.json", lambda d: d.update(n_points="five")),
        ("obs_manifest.json", lambda d: d.update(n_points=-5)),
        ("obs_manifest.json", lambda d: d.update(_format="compact_v9")),
        ("obs_manifest.json", lambda d: d.update(_continuousFields=[[]])),
        ("obs_manifest.json", lambda d: d.update(_continuousFields="depth")),
        ("obs_manifest.json", lambda d: d["_obsSchemas"]["continuous"].pop("pathPattern")),
        ("obs_manifest.json", lambda d: d["_obsSchemas"]["continuous"].update(quantized=True, ext="u8")),
        ("obs_manifest.json", lambda d: d["_obsSchemas"]["continuous"].update(pathPattern="../../../etc/{key}")),
        ("dataset_identity.json", lambda d: d["embeddings"].update(files=7)),
        ("dataset_identity.json", lambda d: d["embeddings"].update(files={"2d": "../points_2d.bin"})),
    ],
)
def test_documents_that_make_no_sense_are_told(tmp_path: Path, name: str, change: Callable[[Any], None]) -> None:
    folder = by_hand(tmp_path / "odd", 5, 2)
    changed(folder, name, change)
    with pytest.raises(CoverslipError) as caught:
        Cells(open_source(folder).root)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


def test_links_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    folder = by_hand(tmp_path / "a", 5, 2)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(20))
    gene = folder / "var" / "G1.values.f32"
    gene.unlink()
    gene.symlink_to(secret)
    with pytest.raises(CoverslipError):
        read_some(folder)

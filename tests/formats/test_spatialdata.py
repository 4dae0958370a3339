"""SpatialData stores: images by the conformance suite, tables against anndata."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pytest
import zarr

import make
from coverslip.app import catalog_of, describe
from coverslip.domains.cells import Cells, Options
from coverslip.domains.columns import Category, Continuous
from coverslip.domains.tissue import cells_root, tissues
from coverslip.formats import open_source, recognise
from coverslip.testing import FormatTests, Golden
from zarr_files import axes, datasets, pixels, pyramid, write_group, write_image

PICTURE, LABELS = pixels((3, 24, 24), "uint8"), pixels((24, 24), "int64")
HALF = {"type": "scale", "scale": [1.0, 2.0, 2.0], "input": {"name": "cyx"}, "output": {"name": "global"}}


def cells() -> anndata.AnnData:
    """Fifty cells with a place each."""
    made = anndata.AnnData(make.dense_matrix(), make.table())
    made.obsm["spatial"] = np.random.default_rng(3).random((make.N, 2)) * 48
    return made


def write_table(path: Path, version: int) -> None:
    """One table, as SpatialData writes it: an AnnData with the attributes of its own."""
    group = zarr.open_group(path, mode="a", zarr_format=version)  # type: ignore[arg-type]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # anndata tells what its next versions will do
        anndata.io.write_elem(group, "table", cells())
    group["table"].attrs.update({"spatialdata-encoding-type": "ngff:regions_table", "region": "he"})


def write_store(path: Path, version: int = 3, marked: bool = True) -> Path:
    """A store by hand: one picture, one label image, one table."""
    write_group(path, {"spatialdata_attrs": {"version": "0.2"}} if marked else {}, version)
    for part in ("images", "labels", "tables"):
        write_group(path / part, {}, version)
    scale: dict[str, Any] = {"axes": axes("cyx", None), "datasets": datasets(2, [1.0, 1.0, 1.0])}
    scale["coordinateTransformations"] = [HALF]
    more = {} if version == 3 else {"version": "0.4"}
    write_image(path / "images" / "he", pyramid(PICTURE, 2), {"multiscales": [scale | more]}, version)
    plain = {"axes": axes("yx", None), "datasets": datasets(1, [1.0, 1.0])} | more
    write_image(path / "labels" / "cells", [LABELS], {"multiscales": [plain]}, version)
    write_table(path / "tables", version)
    return path


class Stores(FormatTests):
    """Written by hand, which is what its design document says."""

    format_name = "spatialdata"
    version, marked = 3, True
    can_be_truncated = False  # the largest file is the table's

    @pytest.fixture
    def sample(self, once: Any) -> Path:
        return once(lambda folder: write_store(folder / "sd.zarr", self.version, self.marked))

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"images/he": Golden(PICTURE, "cyx", levels=2), "labels/cells": Golden(LABELS, "yx")}

    def test_tables_are_cells(self, source: Any) -> None:
        want = cells()
        found = Cells(cells_root(source.root), Options())
        assert found.n_cells == want.n_obs
        assert found.cell_names(0, make.N) == list(want.obs_names)
        assert found.cell_name(7) == want.obs_names[7]
        fields = {field.key: field for field in found.fields}
        assert list(fields) == list(want.obs.columns)
        kind, score = fields["kind"], fields["score"]
        assert isinstance(kind, Category)
        assert isinstance(score, Continuous)
        assert list(kind.categories) == list(want.obs["kind"].cat.categories)
        np.testing.assert_array_equal(score.values(), want.obs["score"].to_numpy(np.float32))
        np.testing.assert_array_equal(found.expression("X").gene(2), want.X[:, 2])
        (spatial,) = [e for e in found.embeddings if e.key == "spatial"]
        np.testing.assert_array_equal(spatial.coordinates(), want.obsm["spatial"].astype(np.float32))

    def test_pictures_lie_under_the_cells(self, source: Any) -> None:
        (found,) = tissues(source.root)
        assert (found.path, found.name, found.embedding) == ("images/he", "he", "spatial")
        assert found.matrix == pytest.approx((0.5, 0, 0, 0, 0.5, 0))

    def test_it_is_listed_as_cells_with_its_picture(self, source: Any) -> None:
        told = describe(Options(), source)
        assert told.kind == "cells"
        assert [t["path"] for t in told.tensors] == ["images/he", "labels/cells"]


class TestZarr3(Stores):
    """SpatialData 0.5 and later."""


class TestZarr2(Stores):
    """Before 0.5."""

    version = 2


class TestUnmarked(Stores):
    """The first versions say at the root only that it is a group."""

    version, marked = 2, False


def test_a_folder_of_stores_is_a_folder_of_cells(tmp_path: Path) -> None:
    write_store(tmp_path / "a.zarr")
    catalog = catalog_of(tmp_path)
    catalog.start()
    try:
        (row,) = catalog.entries()[0]
        assert (row.name, row.kind) == ("a.zarr", "cells")
    finally:
        catalog.close()


def test_a_store_without_tables_is_images(tmp_path: Path) -> None:
    path = write_group(tmp_path / "sd.zarr", {"spatialdata_attrs": {"version": "0.2"}})
    write_group(path / "images", {})
    write_group(path / "tables", {})
    assert recognise(path).name == "ome-zarr"


def test_a_table_that_is_no_anndata_leaves_the_pictures(tmp_path: Path) -> None:
    path = write_store(tmp_path / "sd.zarr")
    zarr.open_group(path / "tables" / "table", mode="a").attrs.put({})
    source = open_source(path)
    assert describe(Options(), source).kind == "images"
    assert tissues(source.root) == []
    source.close()

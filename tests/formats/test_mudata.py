"""MuData against what mudata reads."""

from __future__ import annotations

import importlib
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coverslip.core.errors import CoverslipError
from coverslip.domains.cells import Cells
from coverslip.domains.modalities import data_sets
from coverslip.formats import open_source
from coverslip.testing.cells import CellsTests

pytestmark = pytest.mark.filterwarnings("ignore")
"""mudata warns of what pandas will do."""


def mudata() -> Any:
    """Imported when first needed, for it takes seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = importlib.import_module("mudata")
    if hasattr(found, "set_options"):  # before 0.4, which does so always
        found.set_options(pull_on_update=False)
    return found


def multi() -> Any:
    """RNA of the cells 0 to 29, protein of the cells 20 to 39 in another order."""
    rng = np.random.default_rng(4)
    rna = anndata.AnnData(sparse.random(30, 9, 0.4, "csr", np.float32, random_state=1))
    rna.obs_names = [f"c{i}" for i in range(30)]
    rna.var_names = [f"g{i}" for i in range(9)]
    rna.obs["type"] = pd.Categorical(rng.choice(["T", "B"], 30))
    rna.obs["flag"] = rng.random(30) < 0.5
    rna.obsm["X_umap"] = rng.random((30, 2))
    prot = anndata.AnnData(rng.random((20, 4)).astype(np.float32))
    prot.obs_names = [f"c{i}" for i in rng.permutation(np.arange(20, 40))]
    prot.var_names = ["CD3", "CD4", "CD8", "CD19"]
    prot.obs["depth"] = np.arange(20)
    prot.obs["text"] = rng.choice(["x", "y"], 20)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = mudata().MuData({"rna": rna, "prot": prot})
    made.obs["weight"] = rng.random(40)
    made.obsm["X_wnn"] = rng.random((40, 3))
    return made


def placed(values: Any, part: Any, made: Any) -> Any:
    """Rows of a modality where the whole has them."""
    values = np.asarray(values, np.float64)
    out = np.full((made.n_obs, values.shape[1]), np.nan)
    out[[made.obs_names.get_loc(name) for name in part.obs_names]] = values
    return out


class MuDataTests(CellsTests):
    format_name = "mudata"
    shows = ("embeddings",)

    def golden(self, sample: Path) -> dict[str, Any]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = mudata().read_zarr(sample) if sample.is_dir() else mudata().read_h5mu(sample)
            made.pull_obs()
        rna, prot = made["rna"], made["prot"]
        columns = ["weight", "rna:type", "rna:flag", "prot:depth", "prot:text"]
        whole = anndata.AnnData(
            placed(rna.X.toarray(), rna, made), made.obs[columns], pd.DataFrame(index=rna.var_names)
        )
        whole.obsm["X_wnn"] = made.obsm["X_wnn"]
        whole.obsm["rna:X_umap"] = placed(rna.obsm["X_umap"], rna, made)
        return {"": whole, "mod/rna": rna, "mod/prot": prot}


class TestH5mu(MuDataTests):
    def write(self, folder: Path) -> Path:
        multi().write(folder / "multi.h5mu")
        return folder / "multi.h5mu"


class TestZarr(MuDataTests):
    def write(self, folder: Path) -> Path:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            multi().write_zarr(folder / "multi.zarr")
        return folder / "multi.zarr"


def test_each_modality_has_its_matrix_in_the_whole(tmp_path: Path) -> None:
    made = multi()
    made.write(tmp_path / "a.h5mu")
    source = open_source(tmp_path / "a.h5mu")
    cells = Cells(data_sets(source.root)[""]())
    assert [(e.id, e.label) for e in cells.expressions.values()] == [("rna:X", "rna"), ("prot:X", "prot")]
    prot = made["prot"]
    wanted = placed(prot.X, prot, made).astype(np.float32)
    protein = cells.expression("prot:X")
    for i, name in enumerate(prot.var_names):
        np.testing.assert_array_equal(protein.gene(protein.genes.find(name)), wanted[:, i])
    source.close()


def test_a_map_that_points_outside_is_told(tmp_path: Path) -> None:
    import h5py

    multi().write(tmp_path / "a.h5mu")
    with h5py.File(tmp_path / "a.h5mu", "r+") as file:
        file["obsmap/rna"][3] = 999
    source = open_source(tmp_path / "a.h5mu")
    cells = Cells(data_sets(source.root)[""]())
    with pytest.raises(CoverslipError, match="outside"):
        cells.expression("rna:X").gene(0)
    source.close()

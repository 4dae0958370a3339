"""``coverslip check``: what it finds in data that was made with it, and its exit codes."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import anndata
import h5py
import mudata
import numpy as np
import pytest
from click.testing import CliRunner
from scipy import sparse

import make
import network_files
import odd_cells
from coverslip.cli.main import cli
from coverslip.domains import check_cells
from coverslip.preparing import prepare


def looked_at(path: Path) -> tuple[int, dict[str, dict[str, Any]], dict[str, Any]]:
    """Exit code, findings by code, and the first source."""
    result = CliRunner().invoke(cli, ["check", str(path), "--json"])
    found = json.loads(result.stdout)
    return result.exit_code, {f["code"]: f for one in found for f in one["findings"]}, found[0]


def test_a_good_file(tmp_path: Path) -> None:
    """Exit code 0, and what it is."""
    made = make.adata(sparse.csc_matrix(make.dense_matrix()))
    made.var_names = [f"G{i}" for i in range(made.n_vars)]
    made.obs["kind"] = made.obs["kind"].cat.remove_unused_categories()
    made.uns["kind_colors"] = made.uns["kind_colors"][:3]
    made.write_h5ad(tmp_path / "a.h5ad")
    code, found, one = looked_at(tmp_path / "a.h5ad")
    assert (code, found) == (0, {})
    assert (one["kind"], one["format"], one["about"]["n_cells"]) == ("cells", "h5ad", 50)
    said = CliRunner().invoke(cli, ["check", str(tmp_path / "a.h5ad")])
    assert "nothing to say" in said.output


@pytest.mark.parametrize("name", ["\x1b[2J\x1b[31mred", "\x1b]0;title\x07", "two\nlines", "\x9b31m", "\u202egnp"])
def test_names_steer_no_terminal(name: str, tmp_path: Path) -> None:
    np.save(tmp_path / f"{name}.npy", np.zeros((3, 4)))
    for data in ({}, {"obs": {name: np.array([name, name, None])}}):
        made = anndata.AnnData(np.eye(3, dtype=np.float32), **data)
        made.write_h5ad(tmp_path / f"{name} {len(data)}.h5ad")
    shown = CliRunner().invoke(cli, ["check", str(tmp_path)], color=True).output
    assert name not in shown  # it says no word in the middle of a line in colour
    assert name.encode("unicode_escape").decode() in shown


def test_odd_cells(tmp_path: Path) -> None:
    """Everything that is odd is said, with what to do; some of it does not work."""
    made = odd_cells.odd()
    made.obs["long"] = np.arange(made.n_obs)
    made.write_h5ad(tmp_path / "odd.h5ad")
    with h5py.File(tmp_path / "odd.h5ad", "r+") as file:
        del file["obs/long"]
        file["obs/long"] = np.zeros(3)
    code, found, _ = looked_at(tmp_path / "odd.h5ad")
    assert code == 1
    assert {"unreadable_column", "cells_without_coordinates", "no_coordinates", "duplicate_genes", "duplicate_cells",
            "names_alike", "empty_column", "empty_categories", "no_graph", "no_raw"} <= set(found)  # fmt: skip
    assert found["unreadable_column"]["weight"] == "broken"
    assert found["cells_without_coordinates"]["message"].startswith("2 of 300 cells")


def test_slow_matrices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By cell and compressed: how long a gene takes, and what helps."""
    for name in ("LEAST_ITEMS", "LEAST_ROWS", "LARGE_ITEMS"):  # what is smaller is not worth a word
        monkeypatch.setattr(check_cells, name, 1000)
    x = sparse.random(2500, 20, 0.9, "csr", np.float64, random_state=0)
    made = anndata.AnnData(x)
    made.obs["wide"] = np.random.default_rng(0).random(2500)
    made.obs["many"] = [f"k{i % 2000}" for i in range(2500)]
    made.obsm["X_umap"] = np.zeros((2500, 2)) + np.arange(2500)[:, None]
    made.write_h5ad(tmp_path / "slow.h5ad", compression="gzip")
    code, found, _ = looked_at(tmp_path / "slow.h5ad")
    assert code == 0
    assert "by cell, gzip-compressed" in found["by_cell"]["message"]
    assert "coverslip prepare" in found["by_cell"]["hint"]
    assert "2,000 categories" in found["many_categories"]["message"]
    assert "wide" in found["float64_columns"]["message"]
    assert found["float64_matrix"]["weight"] == "slow"


def test_no_embedding_and_text(tmp_path: Path) -> None:
    """Nothing to draw is exit code 1; text for each cell is slow."""
    made = make.adata()
    del made.obsm
    made.obs["sample"] = ["a", "b"] * 25
    made.write_h5ad(tmp_path / "a.h5ad")
    with h5py.File(tmp_path / "a.h5ad", "r+") as file:
        del file["obs/batch"]
        text = file["obs"].create_dataset("batch", data=np.array(["a"] * 50, object), dtype=h5py.string_dtype())
        text.attrs.update({"encoding-type": "string-array", "encoding-version": "0.2.0"})
    code, found, _ = looked_at(tmp_path / "a.h5ad")
    assert code == 1
    assert found["no_embedding"]["hint"] == "scanpy.tl.umap makes obsm['X_umap']."
    assert found["object_column"]["where"] == "obs/batch"


def test_an_incomplete_export(tmp_path: Path) -> None:
    """The file that is missing is named."""
    out = prepare(data=make.adata(), out_dir=tmp_path / "out").path
    assert looked_at(out)[0] == 0
    (out / "var" / "plain.values.f32").unlink()
    code, found, _ = looked_at(out)
    assert code == 1
    assert "var/plain.values.f32" in found["incomplete"]["message"]
    (out / "obs_manifest.json").unlink()
    code, found, _ = looked_at(out)
    assert code == 1
    assert "obs_manifest.json" in found["incomplete"]["message"]


@pytest.mark.parametrize("content", [b"nonsense", b"\x89HDF\r\n\x1a\n" + b"x" * 99])
def test_what_cannot_be_opened(tmp_path: Path, content: bytes) -> None:
    """Exit code 1 and one finding; 2 where there is nothing."""
    (tmp_path / "bad.h5ad").write_bytes(content)
    code, found, one = looked_at(tmp_path / "bad.h5ad")
    assert (code, one["kind"], len(found)) == (1, "", 1)
    assert "not a whole HDF5 file" in json.dumps(found)
    assert CliRunner().invoke(cli, ["check", str(tmp_path / "nothing")]).exit_code == 2


def test_a_folder_of_everything(tmp_path: Path) -> None:
    """Every source in it: cells, an image without pyramid or pixel size, a plain array, a network without places."""
    make.adata().write_h5ad(tmp_path / "a.h5ad")
    np.save(tmp_path / "plain.npy", np.zeros((5, 5, 5), np.float32))
    huge = np.lib.format.open_memmap(tmp_path / "huge.npy", "w+", np.uint8, (9000, 9000))
    huge.flush()
    result = CliRunner().invoke(cli, ["check", str(tmp_path), "--json"])
    found = {one["name"]: one for one in json.loads(result.stdout)}
    assert sorted(found) == ["a.h5ad", "huge.npy", "plain.npy"]
    codes = {f["code"] for f in found["huge.npy"]["findings"]}
    assert codes == {"no_pyramid", "huge_chunks", "no_pixel_size"}
    assert found["plain.npy"]["kind"] == "arrays"


def test_a_network(tmp_path: Path) -> None:
    """Cells that nobody knows the places of cannot be drawn."""
    folder = network_files.hippocampal(tmp_path / "CA1")
    code, _, one = looked_at(folder)
    assert (code, one["kind"]) == (0, "network")
    with h5py.File(folder / "cells.h5", "r+") as file:
        for population in file["Populations"].values():
            del population["Generated Coordinates"]
    code, found, _ = looked_at(folder)
    assert code == 1
    assert found["no_coordinates"]["weight"] == "broken"


def test_any_other_hdf5_file(tmp_path: Path) -> None:
    """It is arrays; what cells and networks would need is said."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/values"] = np.zeros((40, 30), np.float32)
    code, found, one = looked_at(tmp_path / "a.h5")
    assert (code, one["about"]) == (0, {"arrays": 1})
    assert "H5Types" in found["plain_hdf5"]["hint"]


def test_what_is_so_of_many_images_is_said_once(tmp_path: Path) -> None:
    """With the names of some; what is written for programs has each."""
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for number in range(7):
            file[f"group/array{number}"] = np.zeros((40, 30), np.float64)
    said = CliRunner().invoke(cli, ["check", str(tmp_path / "a.h5")]).stdout
    assert said.count("float32 is what is shown.") == 1
    assert "In group/array0, group/array1, group/array2, group/array3 and 3 more." in said
    found = json.loads(CliRunner().invoke(cli, ["check", str(tmp_path / "a.h5"), "--json"]).stdout)
    assert [f["code"] for f in found[0]["findings"]].count("float64_pixels") == 7


def test_several_data_sets_in_one_file(tmp_path: Path) -> None:
    """A modality needs no coordinates of its own; what ails it is said of it."""
    rna, prot = make.adata(), anndata.AnnData(make.dense_matrix()[:, :3])
    prot.obs_names = rna.obs_names
    prot.var_names = ["p", "p", "q"]
    path = tmp_path / "m.h5mu"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what pandas will do, and of names that are there twice
        mudata.MuData({"rna": rna, "prot": prot}).write(path)
    code, found, one = looked_at(path)
    assert (code, one["kind"]) == (0, "cells")
    assert found["duplicate_genes"]["where"] == "mod/prot/X genes"
    assert found["duplicate_genes"]["message"].startswith("mod/prot: ")

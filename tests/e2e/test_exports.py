"""Exports that cellucid writes now, served by cellucid 0.0.9 itself and by coverslip: the same values.

And a folder of every other format of cells, served by the command.
"""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PATIENCE_S
from surroundings import environment, free_port, peer_command

from coverslip.formats.trees.export import safe_name
from refused import refused_with

pytestmark = pytest.mark.e2e
PREPARE = Path(__file__).parent / "clients" / "cellucid_prepare.py"
OVERWRITTEN = "HLA/A"


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=PATIENCE_S) as answer:
        return bytes(answer.read())


@contextmanager
def serving(*command: str | Path) -> Iterator[str]:
    """A server in a process of its own, until the end of the block."""
    port = free_port()
    with subprocess.Popen(
        [*map(str, command), "--no-browser", "--port", str(port)], stdout=subprocess.DEVNULL
    ) as server:
        try:
            url = f"http://127.0.0.1:{port}/"
            deadline = time.monotonic() + PATIENCE_S
            while True:
                try:
                    if json.loads(get(f"{url}_cellucid/datasets"))["datasets"]:
                        break
                except (urllib.error.URLError, OSError):
                    pass
                assert time.monotonic() < deadline, "the server did not start"
                time.sleep(0.1)
            yield url
        finally:
            server.terminate()
            server.wait(PATIENCE_S)


def written(release: str, folder: Path, bits: int, level: int) -> Path:
    python = environment(f"cellucid=={release}")
    command = [python, PREPARE, folder / "demo", folder / "input.npz", str(bits), str(level)]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "demo"


def values(url: str, dtype: str, low: float | None, high: float | None) -> np.ndarray[Any, Any]:
    """A stored array as cellucid's viewer understands it."""
    data = get(url)
    codes = np.frombuffer(gzip.decompress(data) if url.endswith(".gz") else data, dtype)
    if low is None or high is None or codes.dtype.kind != "u":
        return codes
    most = np.iinfo(codes.dtype).max
    decoded = low + codes * ((high - low) / (most - 1))
    return np.where(codes == most, np.nan, decoded).astype(np.float32)


@pytest.mark.parametrize(("bits", "level"), [(8, 6), (16, 1), (0, 0)])
def test_the_first_generation_reads_equal(tmp_path: Path, command: Path, bits: int, level: int) -> None:
    """What its own server gives of its own export."""
    folder = written("0.0.9", tmp_path, bits, level)
    with serving(peer_command(), "serve", folder) as theirs, serving(command, "serve", folder) as ours:
        told, mine = (json.loads(get(f"{url}dataset_identity.json")) for url in (theirs, ours))
        for key in ("n_cells", "n_genes", "n_obs_fields", "n_categorical_fields", "n_continuous_fields", "n_edges"):
            assert mine["stats"][key] == told["stats"][key]
        assert (mine["name"], mine["version"]) == (told["name"], told["version"])
        assert mine["embeddings"]["available_dimensions"] == told["embeddings"]["available_dimensions"]
        assert set(mine["vector_fields"]["fields"]) == set(told["vector_fields"]["fields"])
        for d, file in told["embeddings"]["files"].items():
            wanted = values(theirs + file, "<f4", None, None)
            np.testing.assert_array_equal(np.frombuffer(get(f"{ours}points_{d}.bin"), "<f4"), wanted)
            vector = told["vector_fields"]["fields"]["velocity_umap"]["files"][d]
            found = np.frombuffer(get(f"{ours}vectors/velocity_umap_{d}.bin"), "<f4")
            np.testing.assert_array_equal(found, values(theirs + vector, "<f4", None, None))
        same_columns(theirs, ours)
        same_genes(theirs, ours)
        graph = json.loads(get(f"{theirs}connectivity_manifest.json"))
        for part, key in (("src", "sourcesPath"), ("dst", "destinationsPath")):
            wanted = values(theirs + graph[key], graph["index_dtype"], None, None)
            np.testing.assert_array_equal(np.frombuffer(get(f"{ours}connectivity/edges.{part}.bin"), "<u2"), wanted)


def same_columns(theirs: str, ours: str) -> None:
    manifest, mine = (json.loads(get(f"{url}obs_manifest.json")) for url in (theirs, ours))
    schema = manifest["_obsSchemas"]
    for key, *span in manifest["_continuousFields"]:
        path = schema["continuous"]["pathPattern"].replace("{key}", safe_name(key))
        wanted = values(theirs + path, schema["continuous"]["dtype"], *(span or [None, None]))
        found = np.frombuffer(get(f"{ours}obs/{safe_name(key)}.values.f32"), "<f4")
        np.testing.assert_array_equal(found, wanted)
    for theirs_entry, ours_entry in zip(manifest["_categoricalFields"], mine["_categoricalFields"], strict=True):
        key, names, dtype, missing, centres, *span = theirs_entry
        assert ours_entry[:4] == [key, names, dtype, missing]
        for d, wanted in centres.items():
            found = ours_entry[4][d]
            assert [(c["category"], c["n_points"]) for c in found] == [(c["category"], c["n_points"]) for c in wanted]
            np.testing.assert_allclose([c["position"] for c in found], [c["position"] for c in wanted], atol=1e-6)
        path = schema["categorical"]["codesPathPattern"].replace("{key}", safe_name(key)).replace("{ext}", "u8")
        assert get(f"{ours}obs/{safe_name(key)}.codes.u8") == values(theirs + path, "u1", None, None).tobytes()
        path = schema["categorical"]["outlierPathPattern"].replace("{key}", safe_name(key))
        wanted = values(theirs + path, schema["categorical"]["outlierDtype"], *(span or [None, None]))
        np.testing.assert_array_equal(np.frombuffer(get(f"{ours}obs/{safe_name(key)}.outliers.f32"), "<f4"), wanted)


def same_genes(theirs: str, ours: str) -> None:
    manifest = json.loads(get(f"{theirs}var_manifest.json"))
    schema = manifest["_varSchema"]
    mine = json.loads(get(f"{ours}var_manifest.json"))
    assert [g[0] for g in mine["fields"]] == [g[0] for g in manifest["fields"]]
    for i, (name, *span) in enumerate(manifest["fields"]):
        if name == OVERWRITTEN:
            with refused_with(502):
                get(f"{ours}genes/{i}.values.f32")
            continue
        path = schema["pathPattern"].replace("{key}", safe_name(name))
        wanted = values(theirs + path, schema["dtype"], *(span or [None, None]))
        np.testing.assert_array_equal(np.frombuffer(get(f"{ours}genes/{i}.values.f32"), "<f4"), wanted)


@pytest.mark.parametrize(("bits", "level"), [(8, 6), (0, 0)])
def test_what_we_prepare_reads_equal_in_cellucids_server(tmp_path: Path, command: Path, bits: int, level: int) -> None:
    """Every gene, column, edge and coordinate of a file through cellucid 0.0.9, and the same from ours."""
    from scipy import sparse

    import make

    adata = make.adata(sparse.csr_matrix(make.dense_matrix()))
    rng = np.random.default_rng(4)
    adata.obsm["velocity_umap"] = rng.normal(size=(adata.n_obs, 2))
    adata.obsm["X_umap"][7] = np.nan
    adata.write_h5ad(tmp_path / "in.h5ad")
    options = ["--var-quantization", bits, "--obs-continuous-quantization", bits] if bits else []
    options += ["--compression", level] if level else []
    done = subprocess.run(
        list(map(str, [command, "prepare", tmp_path / "in.h5ad", tmp_path / "out", *options])),
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "'HLA/A' as 'HLA/A (2)'" in done.stderr
    theirs_says = [peer_command(), "serve", tmp_path / "out"]
    with serving(*theirs_says) as theirs, serving(command, "serve", tmp_path / "out") as ours:
        told = json.loads(get(f"{theirs}dataset_identity.json"))
        assert (told["version"], told["stats"]["n_cells"], told["stats"]["n_genes"]) == (2, 50, 12)
        points = values(theirs + told["embeddings"]["files"]["2d"], "<f4", None, None).reshape(-1, 2)
        assert np.flatnonzero(np.isnan(points).any(1)).tolist() == [7], "a cell without coordinates is the only one"
        np.testing.assert_array_equal(np.frombuffer(get(f"{ours}points_2d.bin"), "<f4").reshape(-1, 2), points)
        manifest = json.loads(get(f"{theirs}var_manifest.json"))
        assert len({g[0] for g in manifest["fields"]}) == 12
        for i, (name, *span) in enumerate(manifest["fields"]):
            path = manifest["_varSchema"]["pathPattern"].replace("{key}", safe_name(name))
            found = values(theirs + path, manifest["_varSchema"]["dtype"], *(span or [None, None]))
            wanted = adata.X[:, [i]].toarray().ravel()
            step = (wanted.max() - wanted.min()) / 254 if bits else 0
            np.testing.assert_allclose(found, wanted, rtol=1e-6 if bits else 0, atol=0.5001 * step)
            np.testing.assert_array_equal(np.frombuffer(get(f"{ours}genes/{i}.values.f32"), "<f4"), found)
        assert json.loads(get(f"{ours}genes.json"))["names"] == adata.var_names.tolist()
        same_columns(theirs, ours)
        graph = json.loads(get(f"{theirs}connectivity_manifest.json"))
        links = adata.obsp["connectivities"] + adata.obsp["connectivities"].T
        source, target = sparse.triu(links, 1).tocsr().sorted_indices().nonzero()
        for key, wanted in (("sourcesPath", source), ("destinationsPath", target)):
            np.testing.assert_array_equal(values(theirs + graph[key], graph["index_dtype"], None, None), wanted)


@pytest.mark.parametrize(("bits", "level"), [(16, 6), (0, 0)])
def test_the_second_generation_is_what_it_was_made_of(tmp_path: Path, command: Path, bits: int, level: int) -> None:
    """cellucid 0.0.9 refuses it."""
    folder = written("0.9.4", tmp_path, bits, level)
    was = np.load(tmp_path / "input.npz")
    with serving(command, "serve", folder) as ours:
        names = json.loads(get(f"{ours}genes.json"))["names"]
        assert names == was["genes"].tolist()
        for i in range(len(names)):
            found = np.frombuffer(get(f"{ours}genes/{i}.values.f32"), "<f4")
            np.testing.assert_allclose(found, was["x"][:, i], atol=was["x"].max() / 65534)
        a, b = np.nonzero(np.triu(was["graph"], 1))
        np.testing.assert_array_equal(np.frombuffer(get(f"{ours}connectivity/edges.src.bin"), "<u2"), a)
        weights = np.frombuffer(get(f"{ours}connectivity/edges.weights.f32.bin"), "<f4")
        np.testing.assert_allclose(weights, was["graph"][a, b], rtol=1e-6)


def test_a_folder_of_every_format(tmp_path: Path, command: Path) -> None:
    """Each format of cells, found by itself; one gene of each data set as the library that wrote it has it."""
    sys.path[:0] = [str(Path(__file__).resolve().parents[1] / name) for name in ("formats", "fronts")]
    from test_anndata_zarr import write, zipped
    from test_cellucid_export import by_hand
    from test_loom import read
    from test_loom import write as write_loom
    from test_mudata import multi
    from test_tenx import SYMBOLS, counts, version3

    import make

    data = tmp_path / "lab"
    data.mkdir()
    adata = make.adata()
    adata.write_h5ad(data / "file.h5ad")
    write(adata, data / "second.zarr", 2)
    write(adata, data / "third", 3)
    zipped(write(adata, tmp_path / "in.zarr", 2), data / "packed.zarr.zip")
    many = multi()
    many.write(data / "multi.h5mu")
    version3(data / "matrix.h5", counts(), SYMBOLS)
    loom = read(write_loom(data / "rows.loom"))
    by_hand(data / "export", 8, 2)
    by_hand(data / "part", 8, 2)
    (data / "part" / "points_2d.bin").unlink()
    wanted = dict.fromkeys(("file.h5ad", "second.zarr", "third", "packed.zarr.zip"), adata.X[:, 1])
    wanted |= {"rows.loom": loom.X[:, 1], "matrix.h5": counts().toarray()[1]}
    wanted["multi.h5mu, rna"] = many["rna"].X.toarray()[:, 1]
    wanted["multi.h5mu, prot"] = many["prot"].X[:, 1]
    wanted["By hand, export"] = np.fromfile(data / "export" / "var" / "G1.values.f32", "<f4")
    with serving(command, "serve", data) as url:
        deadline = time.monotonic() + PATIENCE_S
        listed: dict[str, Any] = {}
        while time.monotonic() < deadline and (len(listed) < len(wanted) + 2 or listed["part"]["status"] == "ok"):
            listed = {d["name"]: d for d in json.loads(get(f"{url}_cellucid/datasets"))["datasets"]}
            time.sleep(0.1)
        assert set(listed) == {*wanted, "multi.h5mu", "part"}, listed
        assert (listed["part"]["status"], listed["part"]["missing"]) == ("incomplete", ["points_2d.bin"])
        for name, values_of_gene in wanted.items():
            found = np.frombuffer(get(f"{url}{listed[name]['path'].lstrip('/')}genes/1.values.f32"), "<f4")
            np.testing.assert_array_equal(found, np.asarray(values_of_gene, np.float32), err_msg=name)

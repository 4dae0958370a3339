"""Statistics of groups of cells from an installed server, beside scanpy: in a process of its own that ends with it."""

from __future__ import annotations

import json
import signal
import urllib.request
import warnings
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import psutil
import pytest
import scanpy
from conftest import PATIENCE_S, Running, Start, fetch, wait_for
from scipy import sparse

N, GENES, EACH = 30_000, 400, 150
GROUP = {"kind": "category", "field": 0, "codes": [0]}


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    """4.5 million values: as many as a process is begun for."""
    random = np.random.default_rng(0)
    columns = np.argsort(random.random((N, GENES), dtype=np.float32), axis=1)[:, :EACH].astype(np.int32)
    values = np.log1p(random.poisson(2, N * EACH) + 1).astype(np.float32)
    matrix = sparse.csr_matrix((values, columns.reshape(-1), np.arange(0, N * EACH + 1, EACH)), shape=(N, GENES))
    matrix.sort_indices()
    sides = pd.Categorical(random.choice(["left", "right", "none"], N))
    obs = pd.DataFrame({"side": sides}, [f"c{i}" for i in range(N)])
    return anndata.AnnData(matrix, obs, pd.DataFrame(index=[f"g{i}" for i in range(GENES)]))


@pytest.fixture(scope="module")
def path(cells: anndata.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("statistics") / "cells.h5ad"
    cells.write_h5ad(target)
    return target


def ask(server: Running, kind: str, **body: Any) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{server.url}analysis/{kind}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
        found: dict[str, Any] = json.loads(response.read())
        return found


def state(server: Running, job: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(fetch(f"{server.url}analysis/jobs/{job}"))
    return found


def test_markers_of_every_group_as_scanpy(start: Start, path: Path, cells: anndata.AnnData, tmp_path: Path) -> None:
    """With the gene index, which the question has made; as JSON and as CSV."""
    server = start(path, COVERSLIP_CACHE_DIR=str(tmp_path / "cache"), TMPDIR=str(tmp_path))
    told = ask(server, "markers", groups={"field": 0}, tie_correct=True, top=None)
    job = told["job"]
    wait_for(lambda: state(server, job)["state"] == "done", "the markers")
    assert json.loads(fetch(f"{server.url}gene_index.json"))["state"] == "ready"
    found = json.loads(fetch(f"{server.url}{state(server, job)['result']}"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.tl.rank_genes_groups(cells, "side", method="wilcoxon", tie_correct=True)
        for one in found["results"]:
            theirs = scanpy.get.rank_genes_groups_df(cells, one["name"]).set_index("names").loc[one["names"]]
            for name in ("scores", "pvals", "pvals_adj", "logfoldchanges"):
                np.testing.assert_allclose(one[name], theirs[name].astype(float), rtol=1e-6, atol=1e-9)
    table = pd.read_csv(f"{server.url}analysis/jobs/{job}/result.csv", float_precision="round_trip")
    assert table["names"].tolist() == [name for one in found["results"] for name in one["names"]]
    assert table["pvals"].tolist() == [p for one in found["results"] for p in one["pvals"]]
    assert not list(tmp_path.glob("coverslip-*"))


def test_a_question_ends_with_the_server_however_that_ends(start: Start, path: Path, tmp_path: Path) -> None:
    server = start(path, "--no-index", COVERSLIP_CACHE_DIR=str(tmp_path / "cache"), TMPDIR=str(tmp_path))
    me = psutil.Process(server.process.pid)
    ask(server, "differential", group=GROUP)
    wait_for(lambda: bool(me.children()) and bool(list(tmp_path.glob("coverslip-*"))), "the process")
    begun = me.children()
    server.stop(signal.SIGKILL)
    wait_for(lambda: not any(one.is_running() for one in begun), "the end of the process")
    assert not list(tmp_path.glob("coverslip-*"))

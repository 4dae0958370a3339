"""Statistics of groups of cells over HTTP, beside scanpy."""

from __future__ import annotations

import base64
import csv
import io
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy
from scipy import sparse
from starlette.testclient import TestClient

from coverslip.domains import analyses, gene_indexes
from coverslip.domains.analysis import COLUMNS, table
from coverslip.engine.job import ENDED
from coverslip.settings import Settings

Serve = Callable[..., TestClient]
N, GENES = 400, 60
KINDS = ["B", "NK", "T"]


def data(matrix: Callable[[Any], Any] = sparse.csr_matrix) -> anndata.AnnData:
    """Cells of three kinds and some of none, genes with ties, negative ones, and some that never vary."""
    rng = np.random.default_rng(7)
    values = np.log1p(rng.poisson(1.0, (N, GENES)) * (rng.random((N, GENES)) < 0.5)).astype(np.float32)
    values[:, 3] = rng.normal(size=N)
    values[:, 4], values[:, 5] = 0, 2
    kinds = rng.choice(4, N, p=[0.4, 0.2, 0.3, 0.1]) - 1
    values[kinds == 0, :3] += 1
    obs = pd.DataFrame(
        {
            "kind": pd.Categorical.from_codes(kinds, KINDS),
            "batch": pd.Categorical(rng.choice(["x", "y"], N)),
            "depth": np.where(rng.random(N) < 0.05, np.nan, rng.normal(1000, 50, N)),
        },
        index=[f"c{i}" for i in range(N)],
    )
    # As float64, so that scanpy does not round to 32 bits on the way; the values are the same.
    return anndata.AnnData(matrix(values.astype(np.float64)), obs, pd.DataFrame(index=[f"g{i}" for i in range(GENES)]))


@pytest.fixture(scope="module")
def cells() -> anndata.AnnData:
    return data()


@pytest.fixture(scope="module")
def path(cells: anndata.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("analysis") / "cells.h5ad"
    cells.write_h5ad(target)
    return target


@pytest.fixture(scope="module")
def client(serve_all: Serve, path: Path) -> Iterator[TestClient]:
    return serve_all(path)


def ask(client: TestClient, kind: str, **body: Any) -> dict[str, Any]:
    """The result, however long it takes."""
    response = client.post(f"/analysis/{kind}", json=body)
    if response.status_code == 202:
        job = response.json()["job"]
        end = time.monotonic() + 60
        while (told := client.get(f"/analysis/jobs/{job}").json())["state"] == "running":
            assert time.monotonic() < end
            time.sleep(0.02)
        assert told["state"] == "done", told
        response = client.get(f"/{told['result']}")
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def category(*codes: int, field: int = 0) -> dict[str, Any]:
    return {"kind": "category", "field": field, "codes": list(codes)}


def bits(mask: np.ndarray) -> dict[str, Any]:
    packed = np.packbits(mask.astype(np.uint8), bitorder="little").tobytes()
    return {"kind": "cells", "bits": base64.b64encode(packed).decode()}


def rank(cells: anndata.AnnData, **how: Any) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # scanpy's own: logarithms of negative means, frames that are fragmented
        scanpy.tl.rank_genes_groups(cells, "kind", **how)


def ranked(cells: anndata.AnnData, group: str) -> pd.DataFrame:
    """What `rank` left of one group."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of pandas, about how scanpy uses it
        return scanpy.get.rank_genes_groups_df(cells, group).set_index("names")


def equal_to_scanpy(cells: anndata.AnnData, one: dict[str, Any]) -> None:
    """One group's figures, for the same genes, as ``rank_genes_groups`` left them."""
    theirs = ranked(cells, one["name"])
    ours = pd.DataFrame({name: one[name] for name in ("scores", "logfoldchanges", "pvals", "pvals_adj")}, one["names"])
    theirs = theirs.loc[ours.index]
    for name in ours:
        np.testing.assert_allclose(
            ours[name].astype(float), theirs[name].astype(float), rtol=1e-6, atol=1e-12, err_msg=name
        )
    assert len(ours) == len(theirs)


@pytest.mark.parametrize("method", ["wilcoxon", "t-test", "t-test_overestim_var"])
@pytest.mark.parametrize("reference", ["rest", "T"])
def test_markers_as_scanpy(client: TestClient, cells: anndata.AnnData, method: str, reference: str) -> None:
    """Every group, against the rest (with cells of no kind) and against another group."""
    body: dict[str, Any] = {"groups": {"field": 0}, "method": method, "top": None, "tie_correct": True}
    if reference != "rest":
        body["reference"] = category(KINDS.index(reference))
    found = ask(client, "markers", **body)
    rank(cells, method=method, reference=reference, tie_correct=method == "wilcoxon")
    assert [one["name"] for one in found["results"]] == [kind for kind in KINDS if kind != reference]
    for one in found["results"]:
        equal_to_scanpy(cells, one)
        assert one["reference"] == reference
    assert found["n_tested"] == GENES


def test_two_sets_of_cells_as_scanpy(client: TestClient, cells: anndata.AnnData) -> None:
    """Without the correction for ties, as scanpy does unless told; cells in neither set do not count."""
    kinds = cells.obs["kind"]
    found = ask(client, "differential", group=bits((kinds == "B").to_numpy()), reference=category(1), name="B")
    rank(cells, groups=["B"], reference="NK", method="wilcoxon")
    (one,) = found["results"]
    equal_to_scanpy(cells, one)
    assert (one["reference"], one["n_cells"], one["n_reference"]) == ("NK", sum(kinds == "B"), sum(kinds == "NK"))
    np.testing.assert_allclose(np.power(10.0, one["log10_pvals"]), one["pvals"], rtol=1e-9)
    dense = np.asarray(cells.X.todense())[(kinds == "B").to_numpy()][:, one["genes"]]
    np.testing.assert_allclose(one["means"], dense.mean(axis=0), rtol=1e-9)
    np.testing.assert_allclose(one["fractions"], (dense != 0).mean(axis=0))
    rows = list(csv.DictReader(io.StringIO(client.get(f"/analysis/jobs/{found['job']}/result.csv").text)))
    assert [row["names"] for row in rows] == one["names"]
    assert [float(row["pvals_adj"]) for row in rows] == one["pvals_adj"]
    again = ask(client, "differential", group=bits((kinds == "B").to_numpy()), reference=category(1), name="B")
    assert again["job"] == found["job"]
    assert again["seconds"] == found["seconds"]


@pytest.mark.parametrize(
    ("name", "told"), [("=HYPERLINK(A1)", "'=HYPERLINK(A1)"), ("+a|b!A0", "'+a|b!A0"), ("-1", "-1"), ("T/NK", "T/NK")]
)
def test_a_table_holds_no_formulas(client: TestClient, cells: anndata.AnnData, name: str, told: str) -> None:
    found = ask(client, "differential", group=category(0), reference=category(1), name=name, top=2)
    assert found["results"][0]["name"] == name
    rows = list(csv.DictReader(io.StringIO(client.get(f"/analysis/jobs/{found['job']}/result.csv").text)))
    assert {row["group"] for row in rows} == {told}
    genes = {column: np.array([name], object) for column in COLUMNS.values()}
    (row,) = csv.DictReader(io.StringIO(table([{"name": "a", **genes}]).decode()))
    assert row["names"] == told


def test_summary_as_pandas(client: TestClient, cells: anndata.AnnData) -> None:
    """Genes by number and by name, and a field of numbers with holes."""
    body: dict[str, Any] = {"groups": {"field": 0}, "genes": [3, "g0", 4], "fields": [2], "threshold": 0.5}
    found = ask(client, "summary", **body)
    kinds = cells.obs["kind"]
    codes = [{"name": kind, "n_cells": int((kinds == kind).sum()), "code": i} for i, kind in enumerate(KINDS)]
    assert found["groups"] == codes
    assert [(row.get("gene"), row.get("field"), row["name"]) for row in found["rows"]] == [
        (3, None, "g3"), (0, None, "g0"), (4, None, "g4"), (None, 2, "depth"),
    ]  # fmt: skip
    dense = cells.X.toarray()
    columns = [dense[:, 3], dense[:, 0], dense[:, 4], cells.obs["depth"].to_numpy(np.float32).astype(float)]
    for row, column in zip(found["rows"], columns, strict=True):
        by = pd.Series(column).groupby(kinds.to_numpy(), observed=True)
        over = by.apply(lambda part: part[part > 0.5])
        expected = {
            "n": by.count(), "mean": by.mean(), "sd": by.std(), "min": by.min(), "max": by.max(),
            "n_expressing": by.apply(lambda part: (part > 0.5).sum()),
            "mean_expressing": by.apply(lambda part: part[part > 0.5].mean()),
        }  # fmt: skip
        assert over is not None
        for name, figures in expected.items():
            np.testing.assert_allclose(np.array(row[name], float), figures.to_numpy(float), rtol=1e-6, err_msg=name)
        np.testing.assert_allclose(row["fraction"], np.array(row["n_expressing"]) / np.array(row["n"]))


def test_distribution_as_numpy(client: TestClient, cells: anndata.AnnData) -> None:
    groups = [{"name": "mine", "cells": category(0, 2)}, {"cells": {"kind": "rest"}}]
    found = ask(client, "distribution", groups=groups, genes=[3, 0, 4], fields=[2], bins=10)
    assert [group["name"] for group in found["groups"]] == ["mine", "rest"]
    dense = cells.X.toarray()
    mine = cells.obs["kind"].isin(["B", "T"]).to_numpy()
    columns = [dense[:, 3], dense[:, 0], dense[:, 4], cells.obs["depth"].to_numpy(np.float32).astype(float)]
    for row, column in zip(found["rows"], columns, strict=True):
        known = column[~np.isnan(column)]
        assert (row["low"], row["high"]) == (known.min(), known.max())
        assert len(row["edges"]) == 11
        for i, mask in enumerate((mine, ~mine)):
            own = column[mask & ~np.isnan(column)]
            np.testing.assert_allclose(row["quantiles"][i], np.quantile(own, found["quantiles"]), rtol=1e-12)
            np.testing.assert_array_equal(row["counts"][i], np.histogram(own, row["edges"])[0])
            assert row["n"][i] == own.size
            assert row["n_zero"][i] == (own == 0).sum()
            assert row["mean"][i] == pytest.approx(own.mean())


def test_composition_within_some_cells(client: TestClient, cells: anndata.AnnData) -> None:
    some = np.arange(N) % 3 == 0
    found = ask(client, "composition", groups={"field": 0, "codes": [2, 0]}, field=1, within=bits(some))
    cross = pd.crosstab(cells.obs["kind"][some], cells.obs["batch"][some]).loc[["T", "B"]]
    assert found["counts"] == cross.to_numpy().tolist()
    assert found["categories"] == ["x", "y"]
    assert found["totals"] == cells.obs["batch"][some].value_counts().loc[["x", "y"]].tolist()
    assert (found["n_missing"], found["total_missing"]) == ([0, 0], 0)
    backwards = ask(client, "composition", groups={"field": 1}, field=0)
    missing = cells.obs["kind"].isna()
    assert backwards["n_missing"] == [int((missing & (cells.obs["batch"] == batch)).sum()) for batch in "xy"]
    assert backwards["total_missing"] == missing.sum()


@pytest.mark.parametrize("control", [{}, {"control_size": 3, "bins": 5, "seed": 9}, {"control_from_set": False}])
def test_score_as_scanpy(client: TestClient, cells: anndata.AnnData, control: dict[str, Any]) -> None:
    genes = ["g7", "g20", "g21", "nobody"]
    found = ask(client, "score", genes=genes, **control)
    names = {"control_size": "ctrl_size", "bins": "n_bins", "seed": "random_state", "control_from_set": "ctrl_as_ref"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.tl.score_genes(cells, genes, **{names[name]: value for name, value in control.items()})
    values = np.frombuffer(client.get(f"/{found['values']}").content, "<f4")
    np.testing.assert_allclose(values, cells.obs["score"], atol=1e-6)
    assert (found["names"], found["missing"]) == (["g7", "g20", "g21"], ["nobody"])
    assert found["controls"]
    assert not set(found["controls"]) & {7, 20, 21}
    assert found["min"] == pytest.approx(values.min())
    assert client.get(f"/analysis/jobs/{found['job']}/result.csv").status_code == 404


def test_means_of_a_set_of_genes(client: TestClient, cells: anndata.AnnData) -> None:
    dense = cells.X.toarray()
    for method, expected in (
        ("mean", dense[:, [7, 3]].mean(axis=1)),
        ("zmean", scanpy.pp.scale(dense)[:, [7, 3, 4]].mean(axis=1)),
    ):
        found = ask(client, "score", genes=[7, 3] if method == "mean" else [7, 3, 4], method=method)
        values = np.frombuffer(client.get(f"/{found['values']}").content, "<f4")
        np.testing.assert_allclose(values, expected, atol=1e-6)
        assert found["controls"] == []


SINGLES = [{"cells": bits(np.arange(N) == i)} for i in range(70)]
WRONG: list[tuple[str, dict[str, Any], int, str]] = [
    ("differential", {}, 400, "bad_request"),
    ("differential", {"group": category(0), "method": "guess"}, 400, "bad_request"),
    ("differential", {"group": category(0), "metod": "t-test"}, 400, "bad_request"),
    ("differential", {"group": category(0), "reference": category(0, 1)}, 400, "groups_overlap"),
    ("differential", {"group": category(7)}, 400, "no_category"),
    ("differential", {"group": category(0, field=99)}, 404, "field_not_found"),
    ("differential", {"group": category(0, field=2)}, 400, "no_category"),
    ("differential", {"group": {"kind": "cells", "bits": "AA=="}}, 400, "bad_request"),
    ("differential", {"group": {"kind": "cells", "bits": "!"}}, 400, "bad_request"),
    ("differential", {"group": {"kind": "all"}}, 400, "small_group"),
    ("differential", {"group": bits(np.arange(N) == 3)}, 400, "small_group"),
    ("differential", {"group": bits(np.arange(N) < 0)}, 400, "empty_group"),
    ("differential", {"group": category(0), "genes": [GENES]}, 404, "gene_not_found"),
    ("differential", {"group": category(0), "genes": []}, 400, "bad_request"),
    ("differential", {"group": category(0), "top": 0}, 400, "bad_request"),
    ("differential", {"group": category(0), "expression": "no"}, 404, "expression_not_found"),
    ("differential", {"group": category(0), "tie_correct": 1}, 400, "bad_request"),
    ("markers", {}, 400, "bad_request"),
    ("markers", {"groups": {"field": 0}, "reference": category(0, 1)}, 400, "groups_overlap"),
    ("markers", {"groups": {"field": 0, "codes": [1]}, "reference": category(1)}, 400, "groups_overlap"),
    ("summary", {"groups": {"field": 0}}, 400, "bad_request"),
    ("summary", {"groups": {"field": 0}, "genes": ["no"]}, 404, "gene_not_found"),
    ("summary", {"groups": {"field": 0}, "fields": [0]}, 400, "no_numbers"),
    ("summary", {"groups": [{"cells": category(0)}, {"cells": {"kind": "all"}}], "genes": [1]}, 400, "groups_overlap"),
    ("distribution", {"groups": {"field": 0}, "genes": [1], "bins": 1}, 400, "bad_request"),
    ("distribution", {"groups": SINGLES, "genes": list(range(GENES)), "bins": 1000}, 400, "too_many"),
    ("composition", {"groups": {"field": 0}, "field": 2}, 400, "no_category"),
    ("score", {"genes": ["no"]}, 404, "gene_not_found"),
    ("score", {"genes": [0], "bins": 500}, 400, "few_genes"),
]


@pytest.mark.parametrize(("kind", "body", "status", "code"), WRONG)
def test_what_cannot_be_answered_is_said_in_a_line(
    client: TestClient, kind: str, body: dict[str, Any], status: int, code: str
) -> None:
    response = client.post(f"/analysis/{kind}", json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    told = response.json()["error"]
    assert told["message"]
    assert told["hint"]
    assert "\n" not in told["message"]


def test_what_is_no_question(client: TestClient) -> None:
    for content, status in ((b"[1]", 400), (b"{", 400), (b"", 400)):
        response = client.post("/analysis/summary", content=content, headers={"content-type": "application/json"})
        assert response.status_code == status
    form = client.post("/analysis/summary", content=b"{}", headers={"content-type": "text/plain"})
    assert (form.status_code, form.json()["error"]["code"]) == (415, "not_json")
    assert client.get("/analysis/summary").status_code == 405
    assert client.post(f"/analysis/jobs/{'0' * 32}", json={}).status_code == 405
    assert client.get(f"/analysis/jobs/{'0' * 32}").json()["error"]["code"] == "job_not_found"
    assert client.post("/analysis/guess", json={}).status_code == 405
    assert client.post("/nobody/analysis/summary", json={}).status_code == 404


def test_questions_pass_the_gate(serve: Serve, path: Path) -> None:
    """A page of another origin and who has no token ask nothing."""
    body = {"groups": {"field": 0}, "genes": [1]}
    client = serve(path, Settings(token="s" * 20))
    assert client.post("/analysis/summary", json=body).status_code == 401
    token = {"authorization": f"Bearer {'s' * 20}"}
    assert client.post("/analysis/summary", json=body, headers=token).status_code in (200, 202)
    foreign = client.post("/analysis/summary", json=body, headers={**token, "origin": "http://evil.example"})
    assert foreign.status_code == 403
    assert client.delete(f"/analysis/jobs/{'0' * 32}", headers=token).status_code == 404


@pytest.mark.parametrize("index", [True, False])
def test_in_a_process_of_its_own(
    serve: Serve, path: Path, cells: anndata.AnnData, monkeypatch: pytest.MonkeyPatch, index: bool
) -> None:
    """Which reads the gene index where there is one."""
    monkeypatch.setattr(analyses, "LEAST_VALUES", 0)
    monkeypatch.setattr(gene_indexes.GeneIndexes.__init__, "__defaults__", (1 << 30, True, 1 << 28, 1))
    client = serve(path, Settings(gene_index=index))
    found = ask(client, "markers", groups={"field": 0}, top=None)
    rank(cells, method="wilcoxon")
    for one in found["results"]:
        equal_to_scanpy(cells, one)
    state = client.get("/gene_index.json").json()["state"]
    assert state == ("ready" if index else "off")
    scored = ask(client, "score", genes=["g7", "g20"], bins=5)
    assert len(client.get(f"/{scored['values']}").content) == 4 * N


def test_cancelled(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process ends at once; the question can be asked again."""
    monkeypatch.setattr(analyses, "LEAST_VALUES", 0)
    monkeypatch.setattr(analyses, "COMMAND", ("-c", "import sys; sys.stdin.read()"))
    client = serve(path, Settings(gene_index=False))
    body = {"group": category(0)}
    told = client.post("/analysis/differential", json=body)
    assert told.status_code == 202
    job = told.json()["job"]
    assert client.post("/analysis/differential", json=body).json()["job"] == job
    assert client.get(f"/analysis/jobs/{job}/result.json").json()["error"]["code"] == "job_running"
    assert client.delete(f"/analysis/jobs/{job}").json()["state"] == "cancelled"
    assert client.get(f"/analysis/jobs/{job}").json()["state"] == "cancelled"
    assert client.get(f"/analysis/jobs/{job}/result.json").json()["error"]["code"] == "job_cancelled"
    monkeypatch.undo()
    found = ask(client, "differential", **body)
    assert found["job"] == job
    assert len(found["results"][0]["genes"]) == GENES


def test_a_process_that_was_ended_is_told(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analyses, "LEAST_VALUES", 0)
    monkeypatch.setattr(analyses, "COMMAND", ("-c", "import os; os.kill(os.getpid(), 9)"))
    client = serve(path, Settings(gene_index=False))
    response = client.post("/analysis/differential", json={"group": category(0)})
    while response.status_code == 202:
        job = response.json()["job"]
        if client.get(f"/analysis/jobs/{job}").json()["state"] == "failed":
            response = client.get(f"/analysis/jobs/{job}/result.json")
    assert (response.status_code // 100, response.json()["error"]["message"]) in ((4, ENDED), (5, ENDED))


def test_an_object_in_memory(serve: Serve, cells: anndata.AnnData) -> None:
    client = serve(cells)
    found = ask(client, "differential", group=category(0), reference=category(1), top=5)
    rank(cells, groups=["B"], reference="NK", method="wilcoxon")
    names = ranked(cells, "B").index[:5].tolist()
    assert found["results"][0]["names"] == names

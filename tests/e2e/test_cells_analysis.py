"""The analysis of the page of cells: real Chromium on scanpy's blood cells, beside scanpy's and numpy's own numbers."""

from __future__ import annotations

import csv
import io
import json
import warnings
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from conftest import ROOT, Open, Running, Start, Watched, fetch, wait_for
from playwright.sync_api import Page

PHONE = {"width": 390, "height": 844}
A, B = "CD19+ B", "CD14+ Monocyte"


@pytest.fixture(scope="module")
def cells(pbmc: Path) -> anndata.AnnData:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return anndata.read_h5ad(pbmc)


@pytest.fixture(scope="module")
def slow(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough cells that their test takes more than a second."""
    random = np.random.default_rng(0)
    n, genes, each = 60_000, 1500, 150
    columns = random.integers(0, genes, n * each, dtype=np.int32)
    values = random.integers(1, 9, n * each).astype(np.float32)
    matrix = scipy.sparse.csr_matrix((values, columns, np.arange(0, n * each + 1, each)), shape=(n, genes))
    obs = pd.DataFrame({"half": pd.Categorical(np.where(np.arange(n) % 2, "odd", "even"))}, [str(i) for i in range(n)])
    made = anndata.AnnData(matrix, obs, obsm={"X_umap": random.normal(size=(n, 2)).astype(np.float32)})
    path = tmp_path_factory.mktemp("slow") / "slow.h5ad"
    made.write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def server(start: Start, pbmc: Path, slow: Path, tmp_path_factory: pytest.TempPathFactory) -> Running:
    return start(pbmc, slow, COVERSLIP_CACHE_DIR=str(tmp_path_factory.mktemp("cache")))


def address(server: Running, name: str) -> str:
    listed = json.loads(fetch(f"{server.url}_cellucid/datasets"))["datasets"]
    found: str = next(d["id"] for d in listed if d["name"].startswith(name))
    return f"{server.url}?dataset={found}"


def saved(page: Page, button: str) -> bytes:
    """What a button puts into the downloads."""
    with page.expect_download() as waited:
        page.get_by_test_id(button).click()
    return Path(waited.value.path()).read_bytes()


def table(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode())))


def compare(page: Page) -> None:
    page.get_by_test_id("tab-compare").click()
    for side, name in (("a", A), ("b", B)):
        page.get_by_test_id(f"operand-{side}").select_option(label="bulk_labels")
        category = page.get_by_test_id(f"operand-{side}-category")
        category.wait_for()
        category.select_option(
            label=next(t for t in category.locator("option").all_inner_texts() if t.startswith(name))
        )


def test_two_groups_are_compared_as_scanpy_does(server: Running, look: Open, cells: anndata.AnnData) -> None:
    import scanpy

    watched = look(address(server, "10x"))
    watched.ready()
    page = watched.page
    page.keyboard.press("a")
    page.get_by_test_id("analysis").wait_for()
    compare(page)
    kind = page.get_by_test_id("matrix-warning")
    wait_for(lambda: kind.get_attribute("data-kind") == "scaled", "the warning")
    page.get_by_test_id("analysis-matrix").select_option("raw")
    page.get_by_test_id("matrix-warning").wait_for(state="detached")
    page.get_by_test_id("compare").click()
    volcano = page.get_by_test_id("volcano")
    volcano.wait_for()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scanpy.tl.rank_genes_groups(cells, "bulk_labels", groups=[A], reference=B, method="wilcoxon", use_raw=True)
        expected = scanpy.get.rank_genes_groups_df(cells, A).set_index("names")
    rows = table(saved(page, "de-csv"))
    got = pd.DataFrame(rows).set_index("names")
    assert len(got) == len(expected) == int(volcano.get_attribute("data-points") or 0) == 765
    for column in ("scores", "logfoldchanges", "pvals_adj"):
        np.testing.assert_allclose(got[column].astype(float), expected.loc[got.index, column], rtol=1e-4, atol=1e-12)
    strong = expected[expected.pvals_adj <= 0.05]
    told = page.get_by_test_id("significant")
    for name, count in (("up", (strong.logfoldchanges >= 1).sum()), ("down", (strong.logfoldchanges <= -1).sum())):
        wait_for(lambda name=name, count=count: told.get_attribute(f"data-{name}") == str(count), name)  # type: ignore[misc]

    best = page.get_by_test_id("gene-row").first
    assert best.get_attribute("data-gene") == got.index[0] == expected.index[0]
    best.get_by_role("button").click()
    watched.ready(f"gene:{expected.index[0]}")
    page.get_by_test_id("gene-table-search").fill("CD79")
    matches = sum("CD79" in name for name in expected.index)
    wait_for(lambda: page.get_by_test_id("gene-row").count() == matches, "the genes that were searched")
    drawing = ElementTree.fromstring(saved(page, "volcano-svg"))
    assert drawing.tag.endswith("svg")
    assert any(element.text == expected.index[0] for element in drawing.iter())
    assert saved(page, "volcano-png").startswith(b"\x89PNG")
    assert watched.problems == []
    by_group(page, watched, cells)
    a_score(page, watched, cells)


def by_group(page: Page, watched: Watched, cells: anndata.AnnData) -> None:
    """Dot plot and violins hold numpy's numbers; a pasted list says what it does not know."""
    page.get_by_test_id("tab-genes").click()
    add = page.get_by_test_id("gene-add")
    add.click()
    page.evaluate(
        """(text) => {
            const data = new DataTransfer();
            data.setData('text', text);
            document.activeElement.dispatchEvent(new ClipboardEvent('paste', {clipboardData: data, bubbles: true}));
        }""",
        "CD79A, LYZ\nNOT-A-GENE",
    )
    said = page.get_by_test_id("gene-add-said")
    wait_for(lambda: "NOT-A-GENE" in said.inner_text(), f"what is not known, not {said.inner_text()!r}")
    wait_for(lambda: page.locator("[data-testid=chosen-gene][data-gene=LYZ]").count() == 1, "what is known")
    names = page.get_by_test_id("chosen-gene").evaluate_all("all => all.map(one => one.dataset.gene)")
    page.wait_for_function("n => document.querySelectorAll('[data-testid=grid-gene]').length === n", arg=len(names))
    rows = table(saved(page, "dots-csv"))
    raw = cells.raw[:, names].X.toarray()
    labels = cells.obs["bulk_labels"]
    assert len(rows) == len(names) * 10
    for row in rows:
        values = raw[(labels == row["group"]).to_numpy(), names.index(row["gene"])]
        assert int(row["cells"]) == len(values)
        assert float(row["mean"]) == pytest.approx(values.mean(), rel=1e-5, abs=1e-7)
        assert float(row["fraction"]) == pytest.approx((values > 0).mean())
    page.get_by_test_id("grid-gene").filter(has_text="LYZ").click()
    watched.ready("gene:LYZ")
    page.get_by_role("button", name=f"Select {A}").click()
    wait_for(lambda: watched.attribute("selected") == str(int((labels == A).sum())), "the group")

    page.get_by_test_id("as-violin").click()
    page.get_by_test_id("violin-of").select_option(label="LYZ")
    page.wait_for_function("() => document.querySelector('[data-testid=chart-violin] svg')?.ariaLabel.includes('LYZ')")
    lyz = cells.raw[:, ["LYZ"]].X.toarray().ravel()
    spread = table(saved(page, "violin-csv"))
    medians = {row["group"]: float(row["median"]) for row in spread}
    expected = {group: float(np.median(lyz[(labels == group).to_numpy()])) for group in labels.cat.categories}
    assert medians == pytest.approx(expected, rel=1e-5)


def a_score(page: Page, watched: Watched, cells: anndata.AnnData) -> None:
    """A gene set from a GMT file becomes a number to colour by."""
    page.get_by_test_id("tab-scores").click()
    text = "B genes\tmade here\tCD79A\tCD79B\tMS4A1\nbroken line\n"
    page.get_by_test_id("gmt").set_input_files({"name": "my.gmt", "mimeType": "text/plain", "buffer": text.encode()})
    page.get_by_test_id("gmt-set").get_by_role("button").click()
    found = page.get_by_test_id("score-found")
    wait_for(lambda: found.inner_text().startswith("3 genes found"), f"3 genes, not {found.inner_text()}")
    page.get_by_test_id("score-method").select_option("mean")
    page.get_by_test_id("score").click()
    watched.ready("score:B genes")
    values = cells.raw[:, ["CD79A", "CD79B", "MS4A1"]].X.toarray().mean(1)

    def span() -> tuple[float, ...]:
        return tuple(float(page.get_by_test_id(f"range-{end}").input_value()) for end in ("min", "max"))

    wait_for(lambda: span() == pytest.approx((values.min(), values.max()), rel=1e-3), "its range")
    page.get_by_test_id("range-min").fill("1")
    page.get_by_test_id("range-min").press("Enter")
    page.get_by_test_id("filter-by-color").click()
    shown = f"700 cells · {int((values >= 1).sum())} shown"
    wait_for(lambda: page.get_by_test_id("cell-count").inner_text() == shown, "the filter")
    # What passes is what counts.
    page.get_by_test_id("tab-makeup").click()
    page.get_by_test_id("bar").first.wait_for()

    def counted() -> int:
        return sum(int(row["count"]) for row in table(saved(page, "makeup-csv")))

    wait_for(lambda: counted() == int((values >= 1).sum()), "what passes")
    page.get_by_test_id("color-select").select_option("none")
    watched.ready("none")
    page.get_by_test_id("color-select").select_option(label="B genes")
    watched.ready("score:B genes")


def test_what_takes_long_is_called_off(server: Running, look: Open) -> None:
    watched = look(address(server, "slow"))
    watched.ready()
    page = watched.page
    page.get_by_test_id("analyse").click()
    page.get_by_test_id("tab-compare").click()
    page.get_by_test_id("operand-a").select_option(label="half")
    page.get_by_test_id("operand-a-category").wait_for()
    # Whole numbers: it is said what they look like.
    page.get_by_test_id("matrix-warning").wait_for()
    kind = page.get_by_test_id("matrix-warning")
    wait_for(lambda: kind.get_attribute("data-kind") == "counts", "the warning")
    with page.expect_request(lambda asked: asked.method == "DELETE") as waited:
        page.get_by_test_id("compare").click()
        page.get_by_test_id("cancel-compare").click()
    work = page.get_by_test_id("work-compare")
    wait_for(lambda: work.get_attribute("data-state") == "cancelled", "its end on the page")
    wait_for(lambda: json.loads(fetch(waited.value.url))["state"] == "cancelled", "the job's end")
    page.get_by_role("button", name="Do it after all").click()
    page.get_by_test_id("volcano").wait_for()
    assert watched.problems == []


@pytest.mark.parametrize(("theme", "size"), [("light", PHONE), ("dark", {"width": 1280, "height": 800})])
def test_the_dock_is_accessible(server: Running, look: Open, tmp_path: Path, theme: str, size: dict[str, int]) -> None:
    watched = look(address(server, "10x"), theme=theme, **size)
    watched.ready()
    page = watched.page
    page.get_by_test_id("analysis-open" if size is PHONE else "analyse").click()
    page.get_by_test_id("markers").click()
    page.get_by_test_id("grid-gene").first.wait_for()
    axe = (ROOT / "viewer" / "node_modules" / "axe-core" / "axe.min.js").read_text()
    page.evaluate(axe)

    def check(name: str) -> None:
        page.screenshot(path=tmp_path / f"{name}-{theme}-{size['width']}.png")
        found = page.evaluate("axe.run(document.querySelector('[data-testid=analysis]'))")["violations"]
        serious = [(v["id"], [n["html"] for n in v["nodes"]]) for v in found if v["impact"] in ("serious", "critical")]
        assert serious == []

    check("genes")
    compare(page)
    page.get_by_test_id("compare").click()
    page.get_by_test_id("volcano").wait_for()
    check("compare")
    page.get_by_test_id("tab-makeup").click()
    page.get_by_test_id("bar").first.wait_for()
    wait_for(lambda: "G1" in page.get_by_test_id("chart-makeup").inner_text(), "the phases")
    check("makeup")
    # The plot stays beside it on a wide screen.
    plot = page.get_by_test_id("scatter").bounding_box()
    assert plot is not None
    assert size is PHONE or plot["height"] > 300

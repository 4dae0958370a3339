"""Questions about groups of cells, and the documents that answer them (``docs/reference/http-analysis.md``)."""

from __future__ import annotations

import csv
import io
import re
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import numpy as np

from coverslip.core.stop import NEVER, Stop
from coverslip.domains.cell_sets import CellSets
from coverslip.domains.cells import Cells, Expression
from coverslip.domains.differential import LISTS, Ranked, Test, Told, compare
from coverslip.domains.gene_scores import Score, score
from coverslip.domains.group_statistics import QUANTILES, composition, distribution, rows_by_group, summary
from coverslip.domains.plan import CSV, JSON, VALUES, Document, Plan

SCORE_QUANTILES = (0.0, 0.01, 0.5, 0.99, 1.0)
FORMULA = re.compile(r"[=@\t\r]|[+-].*[(!|]", re.DOTALL)
"""What a spreadsheet takes for a formula, which may send or start something; ``-1`` and ``+`` are names."""
COLUMNS = {
    "names": "names", "scores": "scores", "logfoldchanges": "logfoldchanges", "pvals": "pvals",
    "pvals_adj": "pvals_adj", "pct_nz_group": "fractions", "pct_nz_reference": "fractions_reference",
    "mean_group": "means", "mean_reference": "means_reference", "log10_pvals": "log10_pvals",
    "log10_pvals_adj": "log10_pvals_adj", "gene": "genes", "n_nan": "n_nan",
}  # fmt: skip
"""Columns of the table after ``group``, as scanpy names them, and the lists that they hold."""


def answer(
    plan: Plan, cells: Cells, job: str, told: Told = lambda done, total: None, workers: int = 1, stop: Stop = NEVER
) -> dict[str, bytes]:
    """The files that answer a question, by name.

    Raises
    ------
    CoverslipError
        When the data cannot be read, or the question turns out to have no answer.
    """
    started = time.perf_counter()
    settings = plan.settings or {}
    expression = cells.expression(plan.expression) if plan.expression is not None else None
    head: Document = {"job": job, "kind": plan.kind}
    if expression is not None:
        head["expression"] = expression.id
    files: dict[str, bytes] = {}
    if plan.kind == "score":
        assert expression is not None
        body, files[VALUES] = _score(plan, expression, job, settings, told, stop)
    elif plan.kind in ("differential", "markers"):
        assert expression is not None
        body = _differential(plan, expression, settings, partial(_compare, told=told, workers=workers, stop=stop))
        files[CSV] = table(body["results"])
    elif plan.kind == "composition":
        assert plan.labels is not None
        body = composition(CellSets(cells), plan.labels, plan.fields[0])
    else:
        body = _rows(plan, cells, expression, settings, told, stop)
    document = head | body | {"seconds": round(time.perf_counter() - started, 3)}
    return {JSON: msgspec.json.encode(document, enc_hook=np.ndarray.tolist), **files}


def _rows(
    plan: Plan, cells: Cells, expression: Expression | None, settings: Document, told: Told, stop: Stop
) -> Document:
    assert plan.labels is not None
    if plan.kind == "summary":
        make, body = summary(settings["threshold"]), {"threshold": settings["threshold"]}
    else:
        make, body = distribution(settings["bins"]), {"quantiles": QUANTILES}
    rows = rows_by_group(cells, plan.labels, expression, plan.genes, plan.fields, make, told, stop)
    return body | {"groups": plan.labels.told(), "rows": rows}


Comparing = Callable[[Plan, Expression, Test], list[Ranked]]


def _compare(plan: Plan, expression: Expression, test: Test, *, told: Told, workers: int, stop: Stop) -> list[Ranked]:
    assert plan.labels is not None
    return compare(expression.matrix, plan.labels, plan.genes, test, told, workers, stop=stop)


def _differential(plan: Plan, expression: Expression, settings: Document, comparing: Comparing) -> Document:
    labels = plan.labels
    assert labels is not None
    reference = settings["reference"]
    test = Test(**{name: value for name, value in settings.items() if name != "reference"})
    found = comparing(plan, expression, test)
    sizes = labels.sizes
    names = np.array(expression.genes.names, object)
    results = []
    for i, (name, ranked) in enumerate(zip(labels.names, found, strict=True)):
        others = int(sizes[: labels.rest + 1].sum() - sizes[i]) if test.joint else int(sizes[labels.rest])
        head = {"name": name, "n_cells": int(sizes[i]), "reference": reference, "n_reference": others}
        if labels.categories is not None:
            head["code"] = labels.categories[i]
        lists = {"genes": ranked["genes"], "names": names[ranked["genes"]]} | {n: ranked[n] for n in LISTS[1:]}
        results.append(head | lists)
    return {
        "method": test.method, "tie_correct": test.tie_correct, "correction": test.correction,
        "log_base": test.log_base, "n_tested": len(plan.genes), "results": results,
    }  # fmt: skip


def ranked(plan: Plan, cells: Cells, workers: int = 1) -> list[Document]:
    """The results of ``differential`` or ``markers``: names, figures and one array for each list."""
    results: list[Document] = _differential(
        plan,
        cells.expression(plan.expression),
        plan.settings or {},
        partial(_compare, told=lambda done, total: None, workers=workers, stop=NEVER),
    )["results"]
    return results


def table(results: list[Document]) -> bytes:
    """Results as a table, as spreadsheets and pandas read it; a name that is a formula there has a ``'`` before it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["group", *COLUMNS])
    for one in results:
        columns = [[_cell(value) for value in one[name].tolist()] for name in COLUMNS.values()]
        writer.writerows((_cell(one["name"]), *row) for row in zip(*columns, strict=True))
    return text.getvalue().encode()


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def _score(
    plan: Plan, expression: Expression, job: str, settings: Document, told: Told, stop: Stop
) -> tuple[Document, bytes]:
    how = Score(**{name: value for name, value in settings.items() if name != "missing"})
    values, controls = score(expression.matrix, plan.genes, how, told, stop)
    finite = values[np.isfinite(values)].astype(np.float64)
    known = bool(finite.size)
    body = {
        "method": how.method, "genes": plan.genes, "names": [expression.genes.names[gene] for gene in plan.genes],
        "missing": settings["missing"], "controls": controls, "n": finite.size,
        "min": finite.min() if known else None, "max": finite.max() if known else None,
        "mean": finite.mean() if known else None, "quantiles": SCORE_QUANTILES,
        "at": np.quantile(finite, SCORE_QUANTILES) if known else [None] * len(SCORE_QUANTILES),
        "values": f"analysis/jobs/{job}/{VALUES}",
    }  # fmt: skip
    body = {name: value.item() if isinstance(value, np.generic) else value for name, value in body.items()}
    return body, values.astype("<f4").tobytes()

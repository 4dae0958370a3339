"""Statistics of groups of cells, as OpenAPI describes them."""

from __future__ import annotations

from typing import get_args

from coverslip.domains.differential import METHODS
from coverslip.domains.gene_scores import SCORE_METHODS
from coverslip.domains.tails import Correction
from coverslip.fronts.cellucid.described import with_and_without
from coverslip.fronts.openapi.words import (
    BYTES,
    COUNT,
    DOCUMENT,
    FLAG,
    JSON,
    NUMBER,
    OCTETS,
    SOURCE,
    TEXT,
    Paths,
    content,
    many,
    maybe,
    obj,
    one_of,
    operation,
    placed,
    ref,
    sent,
    told,
    whole,
)

ANALYSIS = "Analysis"
TAGS = {ANALYSIS: "Statistics of groups of cells; what takes longer than 0.3 s is a job."}
JOB_ID = placed("job", {**TEXT, "pattern": "^[0-9a-f]{32}$"}, "A job's id", "0" * 32)
CELLS = ref("schemas", "CellSet")
GROUPS = ref("schemas", "CellGroups")
GENES = many({"oneOf": [TEXT, COUNT]}, maxItems=2000)
EXPRESSION = maybe(TEXT)
SCHEMAS: dict[str, JSON] = {
    "CellSet": {
        "oneOf": [
            obj({"kind": one_of("category"), "field": COUNT, "codes": many(COUNT)}),
            obj({"kind": one_of("cells"), "bits": {**TEXT, "contentEncoding": "base64"}}),
            obj({"kind": one_of("rest", "all")}),
        ]
    },
    "CellGroups": {
        "oneOf": [
            obj({"field": COUNT}, {"codes": maybe(many(COUNT))}),
            many(obj({"cells": CELLS}, {"name": maybe(TEXT)}), minItems=1, maxItems=1000),
        ]
    },
    "Job": obj(
        {"job": TEXT, "kind": TEXT, "state": one_of("running", "done", "failed", "cancelled"),
         "progress": {**NUMBER, "minimum": 0, "maximum": 1}, "message": maybe(TEXT), "result": TEXT}
    ),
    "Result": obj({"job": TEXT, "kind": TEXT, "seconds": NUMBER}),
}  # fmt: skip
COMPARING: dict[str, JSON] = {
    "expression": EXPRESSION,
    "method": one_of(*METHODS),
    "tie_correct": FLAG,
    "correction": one_of(*get_args(Correction)),
    "genes": maybe(GENES),
    "top": maybe(whole(1)),
    "rank_by_abs": FLAG,
    "within": CELLS,
    "reference": CELLS,
    "reference_name": TEXT,
}


def closed(needed: dict[str, JSON], further: dict[str, JSON], example: JSON) -> tuple[JSON, JSON]:
    """A question: an object in which nothing else may be; and an example of it."""
    return {**obj(needed, further), "additionalProperties": False}, example


def questions() -> dict[str, tuple[str, JSON, JSON]]:
    """By kind: what it answers, the schema of the question, and an example."""
    groups = {"field": 0}
    rows = {"genes": GENES, "fields": many(COUNT), "expression": EXPRESSION, "within": CELLS}
    return {
        "differential": (
            "One group of cells against another, gene by gene",
            *closed({"group": CELLS}, {**COMPARING, "name": TEXT},
                    {"group": {"kind": "category", "field": 0, "codes": [0]}}),
        ),
        "markers": (
            "Every group against the rest, or against one reference",
            *closed({"groups": GROUPS}, COMPARING, {"groups": groups}),
        ),
        "summary": (
            "Mean, fraction and number of cells that express, by group",
            *closed({"groups": GROUPS}, {**rows, "threshold": NUMBER}, {"groups": groups, "genes": [0]}),
        ),
        "distribution": (
            "Quantiles and histograms, by group",
            *closed({"groups": GROUPS}, {**rows, "bins": whole(2, 1000)}, {"groups": groups, "genes": [0]}),
        ),
        "composition": (
            "How many cells of each category are in each group",
            *closed({"groups": GROUPS, "field": COUNT}, {"within": CELLS}, {"groups": groups, "field": 0}),
        ),
        "score": (
            "One number for each cell from a set of genes",
            *closed(
                {"genes": GENES},
                {"method": one_of(*SCORE_METHODS), "expression": EXPRESSION, "control_size": whole(1, 10_000),
                 "bins": whole(2, 10_000), "seed": whole(0, 2**32 - 1), "control_from_set": FLAG},
                {"genes": [0], "method": "mean"},
            ),
        ),
    }  # fmt: skip


def paths() -> Paths:
    """Operations on data sets of cells, with and without the id of one."""
    found: Paths = {}
    result, job = content(DOCUMENT, ref("schemas", "Result")), content(DOCUMENT, ref("schemas", "Job"))
    for kind, (summary, schema, example) in questions().items():
        asking = operation(
            ANALYSIS, summary, told("The answer", result), further={202: told("A job that will answer", job)},
            refuses=(400, 409, 415, *SOURCE), body=sent("The question", schema, example=example), kept=True,
        )  # fmt: skip
        found |= with_and_without(f"/analysis/{kind}", asking, "post")
    one = operation(ANALYSIS, "How far a job is", told("Its state", job), parameters=[JOB_ID], refuses=(404,))
    end = operation(ANALYSIS, "Cancel a job", told("Its state", job), parameters=[JOB_ID], refuses=(404, 405))
    for path, both in with_and_without("/analysis/jobs/{job}", one).items():
        own = {**end, **{key: both["get"][key] for key in ("parameters", "x-same-as") if key in both["get"]}}
        found[path] = {**both, "delete": own}
    files = {
        "result.json": ("Its answer", DOCUMENT, ref("schemas", "Result")),
        "result.csv": ("A table", "text/csv", TEXT),
        "values.f32": ("A score, float32 `(n_cells,)`", OCTETS, BYTES),
    }
    for name, (words, media, schema) in files.items():
        file = operation(
            ANALYSIS, words, told(words, content(media, schema)), parameters=[JOB_ID], refuses=(404, 409), kept=True
        )
        found |= with_and_without(f"/analysis/jobs/{{job}}/{name}", file)
    return found

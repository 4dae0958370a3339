"""What a question about cells asks, as ``docs/reference/http-analysis.md`` writes it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import numpy as np

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.finite import is_finite
from coverslip.domains.cell_sets import CellSets, Labels, overlap
from coverslip.domains.cells import Cells, Expression
from coverslip.domains.differential import METHODS
from coverslip.domains.gene_scores import SCORE_METHODS
from coverslip.domains.group_statistics import MOST_COUNTS, number_field
from coverslip.domains.plan import Plan
from coverslip.domains.tails import Correction
from coverslip.fronts.cellucid.arrays import find_gene

Body = dict[str, Any]
MOST_ROWS = 2000
MOST_DISTRIBUTIONS = 100
MOST_BINS = 1000
MOST_TESTED = 4_000_000
MOST_ANSWERED = 300_000
TOP = 100
REST = {"kind": "rest"}


def plan_of(kind: str, body: Body, cells: Cells) -> Plan:
    """The question that a body asks of a data set.

    Raises
    ------
    BadRequest, NotFound, Ambiguous
        When it cannot be understood, or names what is not there.
    """
    _known(kind, body)
    return READ[kind](body, cells)


COMPARING = "expression method tie_correct correction genes top rank_by_abs within"
WORDS = {
    "differential": f"group reference name reference_name {COMPARING}",
    "markers": f"groups reference reference_name {COMPARING}",
    "summary": "groups genes fields expression threshold within",
    "distribution": "groups genes fields expression bins within",
    "composition": "groups field within",
    "score": "genes method expression control_size bins seed control_from_set",
}


def _known(kind: str, body: Body) -> None:
    """What is misspelt would be left out without a word."""
    words = WORDS[kind].split()
    for name in body:
        if name not in words:
            raise BadRequest(f"{name[:100]!r} is not known here", f"Known are {', '.join(words)}.")


def _differential(body: Body, cells: Cells) -> Plan:
    sets = CellSets(cells, body.get("within"))
    if "group" not in body:
        raise BadRequest("group is missing", 'Write {"group": {"kind": "category", "field": 3, "codes": [0]}}.')
    names = _text(body, "name", ""), _text(body, "reference_name", "")
    reference = body.get("reference", REST)
    labels = sets.pair(body["group"], reference, (names[0] or None, names[1] or None))
    shown = names[1] or ("rest" if sets.is_rest(reference) else sets.name(reference, 1))
    return _comparing("differential", body, cells, labels, shown, joint=True, top=None)


def _markers(body: Body, cells: Cells) -> Plan:
    sets = CellSets(cells, body.get("within"))
    labels = sets.labels(body.get("groups"))
    reference = body.get("reference", REST)
    shown = _text(body, "reference_name", "")
    if sets.is_rest(reference):
        return _comparing("markers", body, cells, labels, shown or "rest", joint=True, top=TOP)
    labels = _with_reference(sets, labels, reference, shown or sets.name(reference, 0))
    shown = shown or sets.name(reference, 0)
    return _comparing("markers", body, cells, labels, shown, joint=False, top=TOP)


def _with_reference(sets: CellSets, labels: Labels, reference: object, name: str) -> Labels:
    """The groups with a reference as their rest; a group that is the reference is none of them any more."""
    mask = sets.mask(reference, "reference") & sets.counted()
    if not mask.any():
        raise BadRequest(f"No cell is in {name!r}", "Choose another reference.", "empty_group")
    shared = np.bincount(labels.codes[mask], minlength=labels.rest + 2)[: labels.rest]
    sizes, size = labels.sizes, int(mask.sum())
    same = [i for i in range(labels.rest) if shared[i] == sizes[i] == size]
    for i in np.flatnonzero(shared).tolist():
        if i not in same:
            raise overlap(labels.names[i], name, int(shared[i]))
    kept = [i for i in range(labels.rest) if i not in same]
    if not kept:
        raise BadRequest("The only group is the reference", "Choose another reference.", "groups_overlap")
    place = np.full(labels.rest + 2, len(kept) + 1, np.uint16)
    place[kept] = np.arange(len(kept))
    codes = place[labels.codes]
    codes[mask] = len(kept)
    categories = None if labels.categories is None else tuple(labels.categories[i] for i in kept)
    return Labels(codes, tuple(labels.names[i] for i in kept), categories)


def _comparing(
    kind: str, body: Body, cells: Cells, labels: Labels, reference: str, *, joint: bool, top: int | None
) -> Plan:
    expression = _expression(body, cells)
    genes = _genes(body["genes"], expression)[0] if body.get("genes") is not None else range(expression.matrix.shape[1])
    if "top" in body:
        top = None if body["top"] is None else _whole(body, "top", 1, 1 << 40)
    _check_sizes(labels, reference, joint)
    if labels.rest * len(genes) > MOST_TESTED or labels.rest * min(top or len(genes), len(genes)) > MOST_ANSWERED:
        raise BadRequest(f"{labels.rest:,} groups × {len(genes):,} genes are too many", "Ask for fewer.", "too_many")
    if not genes:
        raise BadRequest("There is no gene to test", "Name genes, or leave them out for all.")
    settings = {
        "method": _choice(body, "method", METHODS), "tie_correct": _flag(body, "tie_correct", False),
        "correction": _choice(body, "correction", get_args(Correction)), "joint": joint, "top": top,
        "rank_by_abs": _flag(body, "rank_by_abs", False), "log_base": cells.log_base, "reference": reference,
    }  # fmt: skip
    return Plan(kind, expression.id, tuple(genes), (), labels, settings)


def _check_sizes(labels: Labels, reference: str, joint: bool) -> None:
    """Two cells on each side, else nothing varies."""
    sizes = labels.sizes[: labels.rest + 1]
    total = int(sizes.sum())
    for i, name in enumerate(labels.names):
        other = total - int(sizes[i]) if joint else int(sizes[-1])
        for what, size in ((name, int(sizes[i])), (reference, other)):
            if size < 2:
                few = "one cell" if size else "no cell"
                raise BadRequest(f"{what!r} has {few}", "Two groups of two cells at least are compared.", "small_group")


def _summary(body: Body, cells: Cells) -> Plan:
    labels, expression, genes, fields = _rows(body, cells, MOST_ROWS)
    _check_answer(labels.rest * (len(genes) + len(fields)), MOST_ANSWERED)
    threshold = body.get("threshold", 0)
    if not is_finite(threshold):
        raise BadRequest("threshold is no number", "Write 0, or 0.5.")
    return Plan("summary", expression, genes, fields, labels, {"threshold": threshold})


def _distribution(body: Body, cells: Cells) -> Plan:
    labels, expression, genes, fields = _rows(body, cells, MOST_DISTRIBUTIONS)
    bins = _whole(body, "bins", 2, MOST_BINS, 64)
    _check_answer(labels.rest * (len(genes) + len(fields)) * bins, MOST_COUNTS)
    return Plan("distribution", expression, genes, fields, labels, {"bins": bins})


def _rows(body: Body, cells: Cells, most: int) -> tuple[Labels, str | None, tuple[int, ...], tuple[int, ...]]:
    asked, fields = body.get("genes", []), body.get("fields", [])
    expression = _expression(body, cells) if asked else None
    genes = _genes(asked, expression)[0] if expression is not None else []
    if not isinstance(fields, list) or not all(isinstance(f, int) and not isinstance(f, bool) for f in fields):
        raise BadRequest("fields names no fields", "Write fields: a list of numbers.")
    for number in fields:
        number_field(cells, number)
    if not genes and not fields:
        raise BadRequest("Neither genes nor fields are asked for", 'Write {"genes": [17]}.')
    if len(genes) + len(fields) > most:
        raise BadRequest(f"{len(genes) + len(fields):,} rows are too many", f"Ask for {most:,} at most.", "too_many")
    labels = CellSets(cells, body.get("within")).labels(body.get("groups"))
    return labels, expression.id if expression is not None else None, tuple(genes), tuple(fields)


def _check_answer(size: int, most: int) -> None:
    if size > most:
        raise BadRequest(f"The answer would be {size:,} numbers", "Ask for fewer groups, rows or bins.", "too_many")


def _composition(body: Body, cells: Cells) -> Plan:
    sets = CellSets(cells, body.get("within"))
    sets.category(body.get("field"))
    return Plan("composition", None, (), (body["field"],), sets.labels(body.get("groups")))


def _score(body: Body, cells: Cells) -> Plan:
    expression = _expression(body, cells)
    genes, missing = _genes(body.get("genes"), expression, missing=True)
    if not genes:
        raise NotFound("None of these genes is there", "genes.json lists them.", "gene_not_found")
    settings = {
        "method": _choice(body, "method", SCORE_METHODS), "control_size": _whole(body, "control_size", 1, 10_000, 50),
        "bins": _whole(body, "bins", 2, 10_000, 25), "seed": _whole(body, "seed", 0, 2**32 - 1, 0),
        "control_from_set": _flag(body, "control_from_set", True), "missing": missing,
    }  # fmt: skip
    return Plan("score", expression.id, tuple(genes), (), None, settings)


READ: dict[str, Callable[[Body, Cells], Plan]] = {
    "differential": _differential, "markers": _markers, "summary": _summary, "distribution": _distribution,
    "composition": _composition, "score": _score,
}  # fmt: skip


def _expression(body: Body, cells: Cells) -> Expression:
    id = body.get("expression")
    if id is not None and not isinstance(id, str):
        raise BadRequest("expression is no text", "dataset_identity.json lists the matrices.")
    return cells.expression(id)


def _genes(asked: object, expression: Expression, missing: bool = False) -> tuple[list[int], list[str]]:
    """Numbers of genes, each once, and the names that none has, where some may be missing."""
    if not isinstance(asked, list) or not all(isinstance(g, (int, str)) and not isinstance(g, bool) for g in asked):
        raise BadRequest("genes names no genes", "Write genes: a list of numbers and names.")
    count = expression.matrix.shape[1]
    found: dict[int, None] = {}
    gone: list[str] = []
    for gene in asked:
        if isinstance(gene, int):
            if not 0 <= gene < count:
                raise NotFound(f"Gene not found: number {gene}", f"{expression.label} has {count:,}.", "gene_not_found")
            found[gene] = None
            continue
        try:
            found[find_gene(expression, gene)] = None
        except NotFound:
            if not missing:
                raise
            gone.append(gene)
    if missing and len(found) > MOST_ROWS:
        raise BadRequest(f"{len(found):,} genes are too many", f"Ask for {MOST_ROWS:,} at most.", "too_many")
    return list(found), gone


def _choice(body: Body, name: str, choices: tuple[str, ...]) -> str:
    value = body.get(name, choices[0])
    if not isinstance(value, str) or value not in choices:
        raise BadRequest(f"{name} is not known", f"Write {', '.join(choices)}.")
    return value


def _flag(body: Body, name: str, default: bool) -> bool:
    value = body.get(name, default)
    if not isinstance(value, bool):
        raise BadRequest(f"{name} is neither true nor false", "Write true or false.")
    return value


def _whole(body: Body, name: str, least: int, most: int, default: int | None = None) -> int:
    value = body.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise BadRequest(f"{name} is no number that can be used", f"Write a whole number from {least:,} to {most:,}.")
    return value


def _text(body: Body, name: str, default: str) -> str:
    value = body.get(name, default)
    if not isinstance(value, str):
        raise BadRequest(f"{name} is no text", f'Write {{"{name}": "…"}}.')
    return value[:200]

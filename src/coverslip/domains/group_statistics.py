"""Genes and numbers of ``obs`` by group of cells: means, fractions, distributions; categories within groups."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.cell_sets import CellSets, Codes, Labels
from coverslip.domains.cells import Cells, Expression
from coverslip.domains.columns import Continuous, Float32
from coverslip.domains.differential import Told, measured
from coverslip.domains.gene_entries import Entries, batches

QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
MOST_COUNTS = 4_000_000
Row = dict[str, Any]


def number_field(cells: Cells, number: int) -> Continuous:
    """A field of numbers.

    Raises
    ------
    BadRequest, NotFound
        When there is none of this number.
    """
    column = cells.field(number)
    if not isinstance(column, Continuous):
        raise BadRequest(f"{column.key} holds no numbers", "Ask for its composition.", "no_numbers")
    return column


def rows_by_group(
    cells: Cells,
    labels: Labels,
    expression: Expression | None,
    genes: Sequence[int],
    fields: Sequence[int],
    make: Callable[[Codes, int, Entries], Row],
    told: Told = lambda done, total: None,
    stop: Stop = NEVER,
) -> list[Row]:
    """One row of ``make`` for each gene, then for each field of numbers, with what it is of.

    Parameters
    ----------
    make
        Called with codes that count (below the number of groups), that number and what is not 0; cells that do not
        count have larger codes.
    """
    rows: list[Row] = []
    for head, codes, entries in _parts(cells, labels, expression, genes, fields, stop):
        rows.append(head | make(codes, labels.rest, entries))
        told(len(rows), len(genes) + len(fields))
    return rows


def _parts(
    cells: Cells, labels: Labels, expression: Expression | None, genes: Sequence[int], fields: Sequence[int], stop: Stop
) -> Iterator[tuple[Row, Codes, Entries]]:
    if genes and expression is not None:
        plain, codes = measured(expression.matrix, labels.codes)
        each = list(dict.fromkeys(genes))
        for batch, read in batches(plain, each, stop=stop):
            for gene in batch:
                yield {"gene": gene, "name": expression.genes.names[gene]}, codes, read(gene)
    for number in fields:
        stop.check()
        column = number_field(cells, number)
        values = column.values()
        values[~np.isfinite(values)] = np.nan
        there = np.flatnonzero(values)
        yield {"field": number, "name": column.key}, labels.codes, (there, values[there])


def summary(threshold: float) -> Callable[[Codes, int, Entries], Row]:
    """What makes a row of means and counts; cells with more than ``threshold`` count as expressing."""

    def make(codes: Codes, n_groups: int, entries: Entries) -> Row:
        own, values, n = _counted(codes, n_groups, entries)
        exact = values.astype(np.float64)
        zeros = n - np.bincount(own, minlength=n_groups)
        more = exact > threshold
        zero_more = zeros if threshold < 0 else np.zeros_like(zeros)
        expressing = np.bincount(own[more], minlength=n_groups) + zero_more
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            mean = np.bincount(own, exact, n_groups) / n
            squares = np.bincount(own, (exact - mean[own]) ** 2, n_groups) + zeros * mean * mean
            spread = np.sqrt(np.where(n > 1, squares / (n - 1), np.nan))
            mean_expressing = np.bincount(own[more], exact[more], n_groups) / expressing
            fraction = expressing / n
        low, high = _extremes(own, exact, zeros, n)
        return {
            "n": n, "mean": mean, "sd": spread, "min": low, "max": high, "n_expressing": expressing,
            "fraction": fraction, "mean_expressing": mean_expressing,
        }  # fmt: skip

    return make


def _counted(codes: Codes, n_groups: int, entries: Entries) -> tuple[Codes, Float32, npt.NDArray[np.int64]]:
    """Codes and values that are in a group and no NaN, and how many cells of each group have a value."""
    cells, values = entries
    own = codes[cells]
    counts = own < n_groups
    own, values = own[counts], values[counts]
    missing = np.isnan(values)
    n = np.bincount(codes, minlength=n_groups)[:n_groups] - np.bincount(own[missing], minlength=n_groups)
    return own[~missing], values[~missing], n


def _extremes(
    own: Codes, values: npt.NDArray[np.float64], zeros: npt.NDArray[Any], n: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    low, high = np.full(n.size, np.inf), np.full(n.size, -np.inf)
    np.minimum.at(low, own, values)
    np.maximum.at(high, own, values)
    low, high = np.where(zeros > 0, np.minimum(low, 0), low), np.where(zeros > 0, np.maximum(high, 0), high)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def distribution(bins: int) -> Callable[[Codes, int, Entries], Row]:
    """What makes a row of quantiles and of histograms on the same bins for all groups."""

    def make(codes: Codes, n_groups: int, entries: Entries) -> Row:
        cells, values = entries
        finite = np.where(np.isfinite(values), values, np.float32(np.nan))
        own, values, n = _counted(codes, n_groups, (cells, finite))
        order = np.lexsort((values, own))
        own, exact = own[order], values[order].astype(np.float64)
        edges = np.searchsorted(own, np.arange(n_groups + 1))
        groups = [exact[a:b] for a, b in pairwise(edges)]
        zeros = [int(count) - part.size for count, part in zip(n, groups, strict=True)]
        ends = [float(v) for part in groups if part.size for v in (part[0], part[-1])] + [0.0] * any(zeros)
        low, high = (min(ends), max(ends)) if ends else (None, None)
        bounds = np.histogram_bin_edges([], bins, _span(low, high)) if low is not None and high is not None else None
        told = {"n": n, "low": low, "high": high, "edges": bounds}
        parts = list(zip(groups, zeros, strict=True))
        return told | {
            "quantiles": [_quantiles(part, z) for part, z in parts],
            "counts": [_histogram(part, z, bounds, bins) for part, z in parts],
            "n_zero": zeros,
            "mean": [float(part.sum()) / (part.size + z) if part.size + z else None for part, z in parts],
        }

    return make


def _span(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _histogram(part: npt.NDArray[Any], zeros: int, bounds: npt.NDArray[Any] | None, bins: int) -> npt.NDArray[Any]:
    if bounds is None:
        return np.zeros(bins, np.int64)
    span = (float(bounds[0]), float(bounds[-1]))
    counts = np.histogram(part, bins, span)[0]
    return counts + np.histogram([0.0], bins, span)[0] * zeros if zeros else counts


def _quantiles(part: npt.NDArray[Any], zeros: int) -> list[float | None]:
    """Of sorted values and of zeros that are not among them, linear between two."""
    n = part.size + zeros
    if not n:
        return [None] * len(QUANTILES)
    negative = int(np.searchsorted(part, 0.0))

    def at(i: int) -> float:
        if i < negative:
            return float(part[i])
        return 0.0 if i < negative + zeros else float(part[i - zeros])

    found: list[float | None] = []
    for q in QUANTILES:
        place = q * (n - 1)
        first = int(place)
        low, high = at(first), at(min(first + 1, n - 1))
        found.append(low + (high - low) * (place - first))
    return found


def composition(sets: CellSets, labels: Labels, number: int) -> Row:
    """How many cells of each category of a field are in each group.

    Raises
    ------
    BadRequest, NotFound
        When there is no such field, or too many categories.
    """
    category = sets.category(number)
    width = category.n_categories + 1
    if width * labels.rest > MOST_COUNTS:
        raise BadRequest(f"{category.key} has too many categories for these groups", "Choose fewer groups.", "too_many")
    codes = sets.codes(number).astype(np.int64)
    codes[codes < 0] = category.n_categories
    counted = labels.codes <= labels.rest
    mine = labels.codes < labels.rest
    cross = np.bincount(labels.codes[mine] * width + codes[mine], minlength=labels.rest * width)
    cross = cross.reshape(labels.rest, width)
    totals = np.bincount(codes[counted], minlength=width)
    return {
        "field": number, "name": category.key, "categories": category.categories, "groups": labels.told(),
        "counts": cross[:, :-1], "n_missing": cross[:, -1], "totals": totals[:-1], "total_missing": int(totals[-1]),
    }  # fmt: skip

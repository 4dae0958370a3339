"""Which genes differ between groups of cells: rank sums and t-tests, gene by gene.

Sources: Wilcoxon's rank sum with the normal approximation and its correction for ties (Mann and Whitney 1947; Lehmann
1975, section 1.4), Welch 1947, and the definitions of scanpy's ``rank_genes_groups``, whose figures these are.

Only values that are not 0 are sorted: the zeros of a gene are one block of ties whose place and size are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from coverslip.core.stop import NEVER, Stop
from coverslip.domains.cell_sets import Codes, Labels
from coverslip.domains.columns import Float32
from coverslip.domains.gene_entries import MEMORY_BYTES, Entries, batches
from coverslip.domains.matrix import Matrix
from coverslip.domains.tails import Correction, Floats, adjusted, log_normal, log_student

Method = Literal["wilcoxon", "t-test", "t-test_overestim_var"]
METHODS: tuple[str, ...] = get_args(Method)
SMALL = 1e-9
"""Added to both sides of a fold change, as scanpy does."""
MOST_APART = 4
"""So many groups are summed up one by one, quicker than all together, and beside Python's lock."""
Told = Callable[[int, int], None]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Test:
    """How groups are compared.

    Attributes
    ----------
    method, tie_correct, correction
        As scanpy calls them.
    joint
        Whether each group is compared with all other cells that count; else with the rest of the labels only.
    log_base
        Of the logarithm that the values are; None = the natural one.
    top
        How many genes are kept of each group, best first; None = all.
    rank_by_abs
        Whether the best score is the largest one without its sign.
    """

    __test__ = False  # no class of tests

    method: Method = "wilcoxon"
    tie_correct: bool = False
    correction: Correction = "benjamini-hochberg"
    joint: bool = True
    log_base: float | None = None
    top: int | None = None
    rank_by_abs: bool = False


LISTS = (
    "genes", "scores", "logfoldchanges", "pvals", "pvals_adj", "log10_pvals", "log10_pvals_adj", "means",
    "means_reference", "fractions", "fractions_reference", "n_nan",
)  # fmt: skip
Ranked = dict[str, npt.NDArray[Any]]
"""One array for each of `LISTS`, one item for each gene, best first."""


@dataclass
class Moments:
    """What was found of every gene; one row for each.

    Attributes
    ----------
    n, expressing
        Cells with a value, and with one that is not 0; int64 ``(n_genes, n_groups + 1)``, the last column is the rest.
    mean, squares
        Mean, and sum of squared distances from it; float64 of the same shape.
    nan
        Cells without a value, of the same shape.
    ranks
        Rank sums of the groups, float64 ``(n_genes, n_groups)``; zeros for t-tests.
    ties
        Sum of t³ - t over blocks of t equal values; float64 of the same shape.
    """

    n: Ints
    expressing: Ints
    mean: Floats
    squares: Floats
    nan: Ints
    ranks: Floats
    ties: Floats

    @classmethod
    def empty(cls, n_genes: int, n_groups: int) -> Moments:
        """With room for all genes."""
        ints = [np.zeros((n_genes, n_groups + 1), np.int64) for _ in range(3)]
        floats = [np.zeros((n_genes, n_groups + 1)) for _ in range(2)]
        ranks = [np.zeros((n_genes, n_groups)) for _ in range(2)]
        return cls(ints[0], ints[1], floats[0], floats[1], ints[2], ranks[0], ranks[1])


def compare(
    matrix: Matrix,
    labels: Labels,
    genes: Sequence[int],
    test: Test,
    told: Told = lambda done, total: None,
    workers: int = 1,
    memory_bytes: int = MEMORY_BYTES,
    stop: Stop = NEVER,
) -> list[Ranked]:
    """Each group's genes, best first.

    Parameters
    ----------
    matrix
        Cells × genes, values as logarithms.
    labels
        The groups; each of them, and what it is compared with, has two cells at least.
    genes
        Numbers of the genes to test, each once.
    told
        Called with genes done and genes in all, from any thread.

    Returns
    -------
    list
        For each group the arrays of `LISTS`.
    """
    plain, codes = measured(matrix, labels.codes)
    one = _Gene(codes, labels.rest, test)
    found = Moments.empty(len(genes), labels.rest)
    done = 0
    with ThreadPoolExecutor(workers, "coverslip-compare") as pool:
        for batch, read in batches(plain, genes, memory_bytes, stop):
            futures = [
                pool.submit(lambda i, g: one.add(found, i, read(g)), done + i, gene)  # noqa: B023  (ends before it)
                for i, gene in enumerate(batch)
            ]
            try:
                for future in futures:
                    stop.check()
                    future.result()
                    done += 1
                    told(done, len(genes))
            finally:
                for future in futures:
                    future.cancel()
    numbers = np.asarray(genes, np.int64)
    return [_ranked(found, numbers, group, test) for group in range(labels.rest)]


def measured(matrix: Matrix, codes: Codes) -> tuple[Matrix, Codes]:
    """The matrix of the cells that were measured, and these cells' codes."""
    plain, rows = matrix.measured
    if rows is None:
        return plain, codes
    there = rows >= 0
    own = np.full(plain.shape[0], codes.max(initial=0) + 1, np.uint16)
    own[rows[there]] = codes[there]
    return plain, own


class _Gene:
    """What is found of one gene.

    Parameters
    ----------
    codes
        As of `Labels`; larger ones do not count.
    rest
        The code of the rest.
    """

    def __init__(self, codes: Codes, rest: int, test: Test) -> None:
        self._codes, self._rest, self._test = codes, rest, test
        sizes = np.bincount(codes, minlength=rest + 2)
        self._sizes: Ints = sizes[: rest + 1]
        self._all_count = not sizes[rest + 1 :].any()

    def add(self, found: Moments, row: int, entries: Entries) -> None:
        """Put one gene into its row."""
        cells, values = entries
        codes = self._codes.take(cells)
        if not self._all_count:
            counts = codes <= self._rest
            codes, values = codes[counts], values[counts]
        width = self._rest + 1
        missing = np.isnan(values)
        if missing.any():
            found.nan[row] = np.bincount(codes[missing], minlength=width)
            codes, values = codes[~missing], values[~missing]
        n = self._sizes - found.nan[row]
        with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
            expressing, mean, squares = moments(codes, values.astype(np.float64), n)
            squares += (n - expressing) * mean * mean
        found.n[row], found.expressing[row], found.mean[row], found.squares[row] = n, expressing, mean, squares
        if self._test.method == "wilcoxon":
            found.ranks[row], found.ties[row] = self._rank_sums(codes, values, n, n - expressing)

    def _rank_sums(self, codes: Codes, values: Float32, n: Ints, zeros: Ints) -> tuple[Floats, Any]:
        """Rank sums of the groups, and sums of t³ - t over ties."""
        order, own, starts = _sorted(codes, values)
        negative = int(np.searchsorted(order, ZERO))  # order: the values' bits, rising as they do
        lengths = np.diff(starts, append=own.size)
        block_negative = starts < negative
        if self._test.joint:
            n_zeros = int(zeros.sum())
            middle = starts + (lengths + 1) / 2 + np.where(block_negative, 0, n_zeros)
            sums = np.bincount(own, np.repeat(middle, lengths), self._rest + 1) + zeros * (negative + (n_zeros + 1) / 2)
            ties = _cubes(lengths).sum() + _cubes(n_zeros) if self._test.tie_correct else 0.0
            return sums[: self._rest], ties
        return self._against_rest(own, starts, lengths, block_negative, n, zeros)

    def _against_rest(
        self, own: Codes, starts: Ints, lengths: Ints, block_negative: Any, n: Ints, zeros: Ints
    ) -> tuple[Floats, Floats]:
        """Rank sums among the cells of each group and those of the rest only."""
        rest = self._rest
        edges = np.concatenate((starts, [own.size])).astype(np.int64)
        before = np.concatenate(([0], np.cumsum(own == rest)))[edges]
        of_rest = np.diff(before)
        rest_zeros = int(zeros[rest])
        below = before[:-1] + of_rest / 2 + np.where(block_negative, 0, rest_zeros)
        negative_rest = int(of_rest[block_negative].sum())
        wins = np.bincount(own, np.repeat(below, lengths), rest + 1) + zeros * (negative_rest + rest_zeros / 2)
        sums = (wins + n * (n + 1) / 2)[:rest]
        if not self._test.tie_correct:
            return sums, np.zeros(rest)
        # Runs of one group within a block; `own` is sorted within each.
        new = np.ones(own.size, bool)
        new[1:] = own[1:] != own[:-1]
        new[starts] = True
        runs = np.flatnonzero(new)
        counts = np.diff(runs, append=own.size)
        block = np.repeat(of_rest, np.add.reduceat(new, starts)) if own.size else counts
        more = _cubes(counts + block) - _cubes(block)
        ties = np.bincount(own[runs], more, rest + 1)[:rest] + _cubes(of_rest).sum() + _cubes(zeros[:rest] + rest_zeros)
        return sums, ties


def moments(codes: Codes, exact: Floats, n: Ints) -> tuple[Ints, Floats, Floats]:
    """For each group the number of values, their sum over ``n``, and the sum of their squared distances from that."""
    width = n.size
    if width > MOST_APART or not np.isfinite(exact).all():  # infinity times nothing is no number
        mean = np.bincount(codes, exact, width) / n
        distance = exact - mean.take(codes)
        squares = np.bincount(codes, distance * distance, width).astype(np.float64, copy=False)
        return np.bincount(codes, minlength=width), mean, squares
    counts, mean, squares = np.zeros(width, np.int64), np.empty(width), np.empty(width)
    for group in range(width):
        mine = codes == group
        counts[group], weight = np.count_nonzero(mine), mine.astype(np.float64)
        mean[group] = (exact * weight).sum() / n[group]
        distance = exact - mean[group]
        distance *= weight
        distance *= distance
        squares[group] = distance.sum()
    return counts, mean, squares


ZERO = np.uint32(0x80000000)


def _sorted(codes: Codes, values: Float32) -> tuple[npt.NDArray[np.uint32], Codes, Ints]:
    """Values as rising bits and their codes, sorted by both, and where blocks of equal values begin.

    One sort of 64-bit keys, which numpy does several times as fast as an ``argsort``.
    """
    bits = np.ascontiguousarray(values).view(np.uint32)
    bits = np.where(bits & ZERO, ~bits, bits | ZERO)
    keys = bits.astype(np.uint64) << np.uint64(16)
    keys |= codes
    keys.sort()
    order = (keys >> np.uint64(16)).astype(np.uint32)
    new = np.ones(order.size, bool)
    np.not_equal(order[1:], order[:-1], out=new[1:])
    return order, keys.astype(np.uint16), np.flatnonzero(new)


def _cubes(counts: Any) -> Any:
    exact = np.asarray(counts, np.float64)
    return exact * exact * exact - exact


def _ranked(found: Moments, numbers: Ints, group: int, test: Test) -> Ranked:
    """A group's genes, best first."""
    n, mean, squares = found.n[:, group], found.mean[:, group], found.squares[:, group]
    others = [i for i in range(found.n.shape[1]) if i != group] if test.joint else [found.n.shape[1] - 1]
    n_ref, mean_ref, squares_ref = _pooled(found, others)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        if test.method == "wilcoxon":
            scores = _wilcoxon(found.ranks[:, group], found.ties[:, group], n, n_ref, test.tie_correct)
            log_p = log_normal(scores)
        else:
            counted = n if test.method == "t-test_overestim_var" else n_ref
            scores, log_p = _welch((n, mean, squares / (n - 1)), (counted, mean_ref, squares_ref / (n_ref - 1)))
        base = 1.0 if test.log_base is None else math.log(test.log_base)
        change = np.log2((np.expm1(mean * base) + SMALL) / (np.expm1(mean_ref * base) + SMALL))
        expressing, expressing_ref = found.expressing[:, group], found.expressing[:, others].sum(axis=1)
        fractions = expressing / n, expressing_ref / n_ref
    log_adjusted = adjusted(log_p, test.correction)
    order = np.argsort(-np.abs(scores) if test.rank_by_abs else -scores, kind="stable")[: test.top]
    missing = found.nan[:, group] + found.nan[:, others].sum(axis=1)
    lists = (
        numbers, scores, change, np.exp(log_p), np.exp(log_adjusted), log_p / math.log(10), log_adjusted / math.log(10),
        mean, mean_ref, *fractions, missing,
    )  # fmt: skip
    return {name: values[order] for name, values in zip(LISTS, lists, strict=True)}


def _pooled(found: Moments, others: Sequence[int]) -> tuple[Ints, Floats, Floats]:
    """Number, mean and sum of squares of several groups together; adds only, so that nothing cancels."""
    n, mean, squares = (part[:, others] for part in (found.n, found.mean, found.squares))
    known = n > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        total = n.sum(axis=1)
        whole = np.where(known, n * mean, 0.0).sum(axis=1) / total
        apart = np.where(known, squares + n * (mean - whole[:, None]) ** 2, 0.0)
    return total, whole, apart.sum(axis=1)


def _wilcoxon(ranks: Floats, ties: Floats, n: Ints, m: Ints, tie_correct: bool) -> Floats:
    size = (n + m).astype(np.float64)
    factor = 1 - ties / (size**3 - size) if tie_correct else 1.0
    spread = np.sqrt(factor * n * m * (size + 1) / 12)
    scores: Floats = (ranks - n * (size + 1) / 2) / spread
    scores[~np.isfinite(scores)] = 0.0
    return scores


def _welch(one: tuple[Any, Any, Any], other: tuple[Any, Any, Any]) -> tuple[Floats, Floats]:
    """t, and the logarithm of its p-value; of numbers, means and variances."""
    a, b = one[2] / one[0], other[2] / other[0]
    scores: Floats = (one[1] - other[1]) / np.sqrt(a + b)
    freedom = (a + b) ** 2 / (a * a / (one[0] - 1) + b * b / (other[0] - 1))
    freedom = np.where(np.isnan(freedom), 1.0, freedom)  # nothing varies: t is infinite, or there is none
    log_p = log_student(scores, freedom)
    gone = np.isnan(scores)
    scores[gone] = 0.0
    log_p[np.isnan(log_p)] = 0.0
    return scores, log_p

"""One number for each cell from a set of genes.

Source: scanpy's ``score_genes`` (Tirosh et al. 2016, as Seurat does it), with the same random numbers for a seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.columns import Float32
from coverslip.domains.differential import Told
from coverslip.domains.gene_entries import Entries, batches
from coverslip.domains.matrix import Matrix
from coverslip.domains.tails import Floats

ScoreMethod = Literal["scanpy", "mean", "zmean"]
SCORE_METHODS: tuple[str, ...] = get_args(ScoreMethod)


@dataclass(frozen=True)
class Score:
    """How a set of genes becomes a number.

    Attributes
    ----------
    method
        ``scanpy``: mean of the genes less that of control genes; ``mean``; ``zmean``: mean of standardised genes.
    control_size, bins, seed, control_from_set
        scanpy's ``ctrl_size``, ``n_bins``, ``random_state`` and ``ctrl_as_ref``.
    """

    method: ScoreMethod = "scanpy"
    control_size: int = 50
    bins: int = 25
    seed: int = 0
    control_from_set: bool = True


def score(
    matrix: Matrix,
    genes: Sequence[int],
    how: Score,
    told: Told = lambda done, total: None,
    stop: Stop = NEVER,
) -> tuple[Float32, list[int]]:
    """The score of every cell, float32 ``(n_cells,)``, NaN where there is none; and the control genes.

    Parameters
    ----------
    genes
        Numbers of the set, each once; one at least.

    Raises
    ------
    BadRequest
        When there are too few genes for so many bins, or no control genes.
    """
    plain, rows = matrix.measured
    total = plain.shape[1] + len(genes) if how.method == "scanpy" else len(genes)
    steps = _Steps(told, total)
    chosen: list[int] = []
    if how.method == "scanpy":
        chosen = controls(_means(plain, steps, stop), genes, how)
        steps.total += len(chosen)
    own = _mean_of(plain, genes, how.method == "zmean", steps, stop)
    if chosen:
        own -= _mean_of(plain, chosen, False, steps, stop)
    if rows is None:
        return own.astype(np.float32), chosen
    result = np.full(rows.size, np.nan, np.float32)
    there = rows >= 0
    result[there] = own[rows[there]]
    return result, chosen


class _Steps:
    """Counts genes that were read."""

    def __init__(self, told: Told, total: int) -> None:
        self._told, self.total, self._done = told, total, 0

    def one(self) -> None:
        self._done += 1
        self._told(self._done, self.total)


def _means(matrix: Matrix, steps: _Steps, stop: Stop) -> Floats:
    means = np.zeros(matrix.shape[1])
    for batch, read in batches(matrix, range(matrix.shape[1]), stop=stop):
        for gene in batch:
            means[gene] = _moments(read(gene), matrix.shape[0])[0]
            steps.one()
    return means


def _moments(entries: Entries, n_cells: int) -> tuple[float, float]:
    """Mean and standard deviation (n - 1) of the values that are not NaN."""
    values = entries[1].astype(np.float64)
    known = values[~np.isnan(values)]
    n = n_cells - (values.size - known.size)
    with np.errstate(invalid="ignore", over="ignore"):
        mean = float(known.sum() / n) if n else float("nan")
        squares = float(((known - mean) ** 2).sum()) + (n - known.size) * mean * mean
        return mean, (squares / (n - 1)) ** 0.5 if n > 1 else 0.0


def _mean_of(matrix: Matrix, genes: Sequence[int], standard: bool, steps: _Steps, stop: Stop) -> Floats:
    """Mean of some genes in every cell; of each gene less its mean, by its spread, where ``standard``."""
    sums = np.zeros(matrix.shape[0])
    missing: npt.NDArray[Any] | None = None
    for batch, read in batches(matrix, genes, stop=stop):
        for gene in batch:
            cells, found = read(gene)
            values, shift = found.astype(np.float64), 0.0
            if standard:
                mean, spread = _moments((cells, found), matrix.shape[0])
                values, shift = (values / spread, mean / spread) if spread else (values * 0, 0.0)
            gone = np.isnan(values)
            if gone.any():
                missing = np.zeros(matrix.shape[0], np.int32) if missing is None else missing
                missing[cells[gone]] += 1
                sums[cells[gone]] += shift
                values[gone] = 0.0
            sums[cells] += values
            sums -= shift
            steps.one()
    with np.errstate(invalid="ignore", divide="ignore"):
        return sums / (len(genes) if missing is None else len(genes) - missing)


def controls(means: Floats, genes: Sequence[int], how: Score) -> list[int]:
    """The genes that a set is compared with: as many as the set's own bins hold, up to a number, drawn by a seed.

    Parameters
    ----------
    means
        Of every gene; those that are not finite are in no bin.

    Raises
    ------
    BadRequest
        When there are too few genes for so many bins, or no control genes.
    """
    finite = np.flatnonzero(np.isfinite(means))
    size = int(np.round(finite.size / (how.bins - 1)))
    if not size:
        raise BadRequest(
            f"{finite.size:,} genes cannot be cut into {how.bins} bins", "Ask for fewer bins, or the mean.", "few_genes"
        )
    values = means[finite]
    cut = np.full(means.size, -1, np.int64)
    cut[finite] = (np.searchsorted(np.sort(values), values, "left") + 1) // size  # scanpy ranks from 1
    chosen = np.asarray(genes, np.int64)
    in_set = np.zeros(means.size, bool)
    in_set[chosen] = True
    drawn: set[int] = set()
    draw = np.random.RandomState(how.seed)  # scanpy's numbers are those of this generator
    for one in np.unique(cut[chosen[cut[chosen] >= 0]]):
        pool = np.flatnonzero((cut == one) & (True if how.control_from_set else ~in_set))
        if how.control_size < pool.size:
            pool = pool[draw.choice(pool.size, how.control_size, replace=False)]
        drawn.update(pool[~in_set[pool]].tolist())
    if not drawn:
        raise BadRequest("No control genes are left", "Set control_from_set to false, or ask for a mean.", "few_genes")
    return sorted(drawn)

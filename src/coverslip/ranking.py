"""Differential expression in Python: ``coverslip.rank_genes``, the server's figures without a server."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import NotFound, Unsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd


def rank_genes(
    data: Any,
    groupby: str,
    *,
    groups: Sequence[str] | None = None,
    reference: str = "rest",
    method: str = "wilcoxon",
    tie_correct: bool = False,
    correction: str = "benjamini-hochberg",
    expression: str | None = None,
    top: int | None = None,
) -> pd.DataFrame:
    """Which genes are higher or lower in each group of cells than in the others.

    A file is read gene by gene and never held in memory.

    Parameters
    ----------
    data
        A path of anything that coverslip shows as cells, or an AnnData object.
    groupby
        A column of ``obs`` that holds categories.
    groups
        Categories to compare; all of them that have a cell when None.
    reference
        ``rest``, or the category that each group is compared with.
    method
        ``wilcoxon``, ``t-test`` (Welch's) or ``t-test_overestim_var``.
    tie_correct
        Whether ties make the variance of the rank sum smaller.
    correction
        ``benjamini-hochberg`` or ``bonferroni``.
    expression
        ``X``, ``raw`` or ``layer:<name>``; the first matrix when None.
    top
        How many genes of each group, best first; all of them when None.

    Returns
    -------
    pandas.DataFrame
        A row for each group and gene, with the columns of ``result.csv`` (``docs/reference/http-analysis.md``).

    Raises
    ------
    CoverslipError
        When there is no such column, category or matrix, or a group has less than two cells.
    """
    try:
        import pandas as pd
    except ImportError:
        raise Unsupported("A table needs pandas", "pip install pandas.") from None
    from coverslip.core.errors import BadRequest
    from coverslip.domains.analysis import COLUMNS, ranked
    from coverslip.domains.cells import Cells, as_category
    from coverslip.domains.plan import Plan
    from coverslip.fronts.analysis.questions import plan_of

    with ExitStack() as opened:
        cells = Cells(_root(data, opened))
        number = cells.find_field(groupby)
        category = as_category(cells.field(number))
        if category is None:
            raise BadRequest(f"{groupby} holds no categories", "Group by a field of categories.", "no_category")
        asked: dict[str, Any] = {"field": number}

        def code(name: str) -> int:
            if name not in category.categories:
                raise NotFound(f"{groupby} has no category {name!r}", f"It has {', '.join(category.categories[:20])}.")
            return category.categories.index(name)

        if groups is not None:
            asked["codes"] = [code(name) for name in groups]
        body: dict[str, Any] = {
            "groups": asked, "method": method, "tie_correct": tie_correct, "correction": correction, "top": top,
        }  # fmt: skip
        if expression is not None:
            body["expression"] = expression
        if reference != "rest":
            body["reference"] = {"kind": "category", "field": number, "codes": [code(reference)]}
        plan: Plan = plan_of("markers", body, cells)
        results = ranked(plan, cells, workers=max(1, min(os.cpu_count() or 1, 4)))
    frames = [
        pd.DataFrame({"group": one["name"], **{name: one[held] for name, held in COLUMNS.items()}}) for one in results
    ]
    return pd.concat(frames, ignore_index=True)


def _root(data: Any, opened: ExitStack) -> Any:
    """The tree of a data set of cells; what was opened is closed with ``opened``."""
    from coverslip.domains.modalities import data_sets

    if isinstance(data, (str, os.PathLike)):
        from coverslip.formats import open_source

        source = open_source(Path(data))
    else:
        from coverslip.formats.trees.anndata_memory import AnnDataSource

        source = AnnDataSource(data)
    opened.callback(source.close)
    return data_sets(source.root)[""]()

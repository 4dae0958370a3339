"""Genes: names and symbols of the columns of a matrix, found in constant time."""

from __future__ import annotations

from functools import cached_property

import numpy as np

from coverslip.core.errors import Ambiguous, NotFound
from coverslip.domains.anndata import Frame, as_text
from coverslip.domains.columns import Category, Column

SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "gene_names", "gene_name", "feature_name", "symbol", "symbols", "name")


class Genes:
    """The rows of ``var``.

    Parameters
    ----------
    var
        The frame.
    id_column
        The column that names genes, or ``index``.
    """

    def __init__(self, var: Frame, id_column: str = "index") -> None:
        self._var = var
        self._id_column = id_column
        self.count = var.n_rows
        symbols = [c for c in SYMBOL_COLUMNS if c in var.columns and c != id_column]
        self.symbol_column = next((c for c in symbols if var.column(c).kind != "continuous"), None)

    @cached_property
    def names(self) -> list[str]:
        """Names in column order; not necessarily distinct."""
        if self._id_column == "index":
            return as_text(self._var.index.read_all())
        return _text(self._var.column(self._id_column))

    @cached_property
    def symbols(self) -> list[str] | None:
        """Symbols in column order, or None when ``var`` has no column of them."""
        return _text(self._var.column(self.symbol_column)) if self.symbol_column else None

    @cached_property
    def _by_name(self) -> dict[str, list[int]]:
        return _places(self.names)

    @cached_property
    def _by_symbol(self) -> dict[str, list[int]]:
        return _places(self.symbols or [])

    def find(self, name: str) -> int:
        """The gene of exactly this name, else of exactly this symbol.

        Raises
        ------
        NotFound
            When there is none.
        Ambiguous
            When several columns carry it: they are told apart by number only.
        """
        places = self._by_name.get(name) or self._by_symbol.get(name)
        if places is None:
            raise NotFound(f"Gene not found: {name}", "var_manifest.json lists them.", "gene_not_found")
        if len(places) > 1:
            raise Ambiguous(f"{len(places)} genes are called {name!r}", f"Ask by number: {places[:10]}.")
        return places[0]


def _places(names: list[str]) -> dict[str, list[int]]:
    places: dict[str, list[int]] = {}
    for i, name in enumerate(names):
        places.setdefault(name, []).append(i)
    return places


def _text(column: Column) -> list[str]:
    if isinstance(column, Category):
        names = np.array([*column.categories, ""], dtype=object)
        picked: list[str] = names[column.codes()].tolist()
        return picked
    return column.names()

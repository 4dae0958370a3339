"""Cells: a single-cell data set, whatever file (or object) it came from.

Recognised by AnnData's convention: ``obs`` and ``var`` frames, ``X``, ``layers`` and ``raw`` matrices, ``obsm``
embeddings.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from coverslip.core.digest import NamesDigest
from coverslip.core.errors import Ambiguous, CoverslipError, Damaged, NotFound, Unsupported
from coverslip.core.node import Array, Group, Node
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.anndata import Frame, FrameArray, as_text, record_fields
from coverslip.domains.columns import Category, Column, Float32, Text, to_float32
from coverslip.domains.embedding import Embedding, best, umap_by_dimension
from coverslip.domains.genes import Genes
from coverslip.domains.matrix import Csr, Matrix, Scattered, read_matrix
from coverslip.domains.vectors import VectorField, vector_fields

LATENT_KEYS = ("scanvi", "scvi", "X_scvi", "X_pca", "harmony", "X_harmony")
NAMES_AT_ONCE = 1 << 16
MOST_CELLS, MOST_GENES = 1 << 28, 1 << 24
"""A file may claim any shape and hold no element."""


@dataclass(frozen=True)
class Options:
    """How a data set is to be read.

    Attributes
    ----------
    gene_id_column
        The ``var`` column that names genes, or ``index``.
    latent_key
        The ``obsm`` array in which outliers are measured; chosen when None.
    centroid_outlier_quantile
        Cells of a category beyond this quantile of distance do not move its centroid.
    centroid_min_points
        Smaller categories have no centroid.
    normalize_embeddings
        Whether coordinates are centred and scaled for drawing.
    """

    gene_id_column: str = "index"
    latent_key: str | None = None
    centroid_outlier_quantile: float = 0.95
    centroid_min_points: int = 10
    normalize_embeddings: bool = True


@dataclass(frozen=True)
class Expression:
    """One matrix of cells × genes with the names of its genes.

    Attributes
    ----------
    id
        ``X``, ``raw`` or ``layer:<name>``.
    label
        What a person calls it.
    """

    id: str
    label: str
    matrix: Matrix
    genes: Genes

    def gene(self, index: int, stop: Stop = NEVER) -> Float32:
        """Gene number ``index`` in every cell, float32 ``(n_cells,)``."""
        if not 0 <= index < self.matrix.shape[1]:
            raise NotFound(
                f"Gene not found: number {index}", f"{self.label} has {self.matrix.shape[1]:,}.", "gene_not_found"
            )
        return self.matrix.column(index, stop)

    def several(self, numbers: Sequence[int], stop: Stop = NEVER) -> Float32:
        """Several genes in every cell, float32 ``(len(numbers), n_cells)``."""
        for index in numbers:
            if not 0 <= index < self.matrix.shape[1]:
                raise NotFound(
                    f"Gene not found: number {index}", f"{self.label} has {self.matrix.shape[1]:,}.", "gene_not_found"
                )
        return self.matrix.columns(numbers, stop)


class Cells:
    """A data set of cells; constructing one reads no matrix, no coordinates and no column.

    Parameters
    ----------
    root
        A tree in AnnData's encoding.
    options
        How to read it.
    etag
        Of the source it is in.

    Raises
    ------
    Damaged
        When its parts do not fit together.
    """

    def __init__(self, root: Group, options: Options | None = None, etag: str = "") -> None:
        self.options = options or Options()
        self.etag = etag
        self._root = root
        self._uns = root.group("uns")
        self._obs = Frame(root["obs"], self._uns, "obs") if "obs" in root else None
        self._var = Frame(root["var"], self._uns, "var") if "var" in root else None
        arrays = list(self._find_embeddings())
        self.vector_fields = vector_fields(arrays)
        arrows = {pair[0] for made in self.vector_fields.values() for pair in made.arrows.values()}
        self.embeddings = [e for e in arrays if e not in arrows]
        self.expressions = {e.id: e for e in self._find_expressions()}
        self.n_cells = self._count_cells()
        self._check()

    @property
    def n_genes(self) -> int:
        """Genes of ``X``, or of the first matrix there is."""
        first = next(iter(self.expressions.values()), None)
        return first.matrix.shape[1] if first else 0

    # -- obs ---------------------------------------------------------------------------------------------------------

    @cached_property
    def _columns(self) -> tuple[list[Column], dict[str, str]]:
        readable: list[Column] = []
        unreadable: dict[str, str] = {}
        for name in self._obs.columns if self._obs else []:
            try:
                readable.append(self._obs.column(name))  # type: ignore[union-attr]
            except CoverslipError as error:
                unreadable[name] = error.message
        return readable, unreadable

    @property
    def fields(self) -> list[Column]:
        """The columns of ``obs`` that can be read, in the file's order."""
        return self._columns[0]

    @property
    def unreadable(self) -> dict[str, str]:
        """Columns of ``obs`` that cannot be read, and why; one of them must not hide the others."""
        return self._columns[1]

    @cached_property
    def _field_numbers(self) -> dict[str, int]:
        return {field.key: i for i, field in enumerate(self.fields)}

    def field(self, index: int) -> Column:
        """Column number ``index`` of ``obs``."""
        if not 0 <= index < len(self.fields):
            raise NotFound(f"Obs field not found: number {index}", f"There are {len(self.fields)}.", "field_not_found")
        return self.fields[index]

    def find_field(self, name: str) -> int:
        """The number of the column of this name."""
        if name not in self._field_numbers:
            raise NotFound(f"Obs field not found: {name}", "obs_manifest.json lists them.", "field_not_found")
        return self._field_numbers[name]

    def cell_names(self, start: int, stop: int) -> list[str]:
        """Names of the cells from ``start`` to before ``stop``; their numbers when the data set names no cells."""
        stop = min(stop, self.n_cells)
        if start >= stop:
            return []
        return as_text(self._obs.index.read_rows(start, stop)) if self._obs else [str(i) for i in range(start, stop)]

    def digest(self, stop: Stop = NEVER) -> str:
        """What tells whether other cells are these, in this order."""
        made = NamesDigest()
        for start in range(0, self.n_cells, NAMES_AT_ONCE):
            stop.check()
            made.add(self.cell_names(start, start + NAMES_AT_ONCE))
        return str(made)

    def cell_name(self, index: int) -> str:
        """One cell's name; its number when the data set names no cells."""
        if not 0 <= index < self.n_cells:
            raise NotFound(
                f"There is no cell {index}", f"Cells are numbered 0 to {self.n_cells - 1}.", "cell_not_found"
            )
        return as_text(self._obs.index.read_rows(index, index + 1))[0] if self._obs else str(index)

    # -- var ---------------------------------------------------------------------------------------------------------

    def expression(self, id: str | None = None) -> Expression:
        """The matrix of this id; ``X``, or the first there is, when None."""
        if id is None and self.expressions:
            return next(iter(self.expressions.values()))
        if id not in self.expressions:
            there = ", ".join(self.expressions) or "none: this data set has no genes"
            raise NotFound(f"Expression matrix not found: {id or 'X'}", f"There is {there}.", "expression_not_found")
        return self.expressions[id]

    # -- obsm, obsp --------------------------------------------------------------------------------------------------

    @cached_property
    def default_embedding(self) -> Embedding | None:
        """The embedding to show first."""
        first = next(iter(reversed(self.points.values())), None)
        return first or best(self.embeddings)

    @cached_property
    def points(self) -> dict[int, Embedding]:
        """Which embedding is shown in 1, 2 and 3 dimensions to clients that know one embedding."""
        named = {e.key: e for e in self.embeddings}
        wanted = {d: self._said("defaults", f"embedding{d}d") for d in (1, 2, 3)}
        chosen = {d: named[key.partition(":")[0]] for d, key in wanted.items() if key.partition(":")[0] in named}
        chosen = {d: e for d, e in chosen.items() if e.width >= d}
        return chosen or umap_by_dimension(self.embeddings)

    def vector_field(self, id: str) -> VectorField:
        """The vector field of this name."""
        if id not in self.vector_fields:
            there = ", ".join(self.vector_fields) or "none"
            raise NotFound(f"Vector field {id!r} not available", f"There is {there}.", "vectors_not_found")
        return self.vector_fields[id]

    def stored_outliers(self, key: str) -> Float32 | None:
        """How far out each cell lies in its category of a column, where the file holds that, else None."""
        held = self._own("outlierQuantiles")
        fields = held.group("fields") if held is not None else None
        if fields is None or key not in fields:
            return None
        stored = fields.array(key)
        fits = stored.spec.shape == (self.n_cells,) and stored.spec.dtype.kind in "iuf"
        return to_float32(stored.read_all()) if fits else None

    @property
    def latent_key(self) -> str | None:
        """Where outliers are measured, or were."""
        return self._said("outlierQuantiles", "latentKey") or (self.latent.key if self.latent is not None else None)

    @cached_property
    def log_base(self) -> float | None:
        """The base of the logarithm that values are, where ``uns['log1p']`` tells it; None = the natural one."""
        held = self._uns.group("log1p") if self._uns is not None else None
        node = held["base"] if held is not None and "base" in held else None
        if not isinstance(node, Array) or node.spec.dtype.kind not in "iuf" or np.prod(node.spec.shape) != 1:
            return None
        base = float(node.read_all().reshape(-1)[0])
        return base if 0 < base < np.inf and base != 1 else None

    def _own(self, name: str) -> Group | None:
        """A part of ``uns['cellucid']``, which cellucid's third generation writes."""
        own = self._uns.group("cellucid") if self._uns is not None else None
        return own.group(name) if own is not None else None

    def _said(self, part: str, name: str) -> str:
        held = self._own(part)
        node = held[name] if held is not None and name in held else None
        if not isinstance(node, Array) or not node.spec.text or node.spec.shape not in ((), (1,)):
            return ""
        return "".join(as_text(np.asarray(node.read_all(), object).reshape(-1)[:1]))

    @cached_property
    def latent(self) -> Embedding | None:
        """Where outliers are measured."""
        by_key = {e.key: e for e in self.embeddings}
        if self.options.latent_key is not None:
            if self.options.latent_key not in by_key:
                raise NotFound(
                    f"There is no obsm[{self.options.latent_key!r}]", f"There is {', '.join(by_key) or 'none'}."
                )
            return by_key[self.options.latent_key]
        known = next((by_key[key] for key in LATENT_KEYS if key in by_key), None)
        return known or next((e for e in self.embeddings if not e.key.startswith("X_umap")), None)

    @cached_property
    def graph(self) -> Csr | None:
        """The kNN graph, from ``obsp`` or (before anndata 0.7) from ``uns/neighbors``."""
        holders = [self._root.group("obsp"), self._uns.group("neighbors") if self._uns else None]
        for holder in holders:
            if holder is not None and "connectivities" in holder:
                matrix = read_matrix(holder["connectivities"])
                if isinstance(matrix, Csr) and matrix.shape == (self.n_cells, self.n_cells):
                    return matrix
        return None

    # -- finding things ----------------------------------------------------------------------------------------------

    def _find_embeddings(self) -> Iterator[Embedding]:
        if "obsm" not in self._root:
            return
        obsm = self._root["obsm"]
        nodes = record_fields(obsm) if isinstance(obsm, Array) else {name: obsm[name] for name in obsm}
        for key, found in (nodes or {}).items():
            node = found
            if isinstance(node, Group) and node.attrs.get("encoding-type") == "dataframe":
                with suppress(Unsupported):
                    node = FrameArray(node)
            if isinstance(node, Array) and len(node.spec.shape) in (1, 2) and node.spec.dtype.kind in "iuf":
                embedding = Embedding(key, node, as_stored=not self.options.normalize_embeddings)
                if embedding.width:
                    yield embedding

    def _find_expressions(self) -> Iterator[Expression]:
        yield from self._expressions_of(self._root, self._var)
        several = self._root.group("mod")
        for name in several if several is not None else ():
            part = several[name]  # type: ignore[index]
            if isinstance(part, Group) and "var" in part:
                at = part.array("positions")
                for e in self._expressions_of(part, Frame(part["var"], part.group("uns"), f"{name}/var"), strict=False):
                    label = name if e.id == "X" else f"{name}, {e.label}"
                    yield Expression(f"{name}:{e.id}", label, Scattered(e.matrix, at), e.genes)

    def _expressions_of(self, root: Group, var: Frame | None, strict: bool = True) -> Iterator[Expression]:
        """``X``, layers and ``raw`` of one tree."""
        if "X" in root and var is not None:
            yield Expression("X", "X", read_matrix(root["X"]), self._genes(var, strict))
        layers = root.group("layers")
        if layers is not None and var is not None:
            for name in layers:
                yield Expression(f"layer:{name}", name, read_matrix(layers[name]), self._genes(var, strict))
        raw = root.group("raw")
        parts: tuple[Node, Node] | None = None
        if raw is not None and "X" in raw and "var" in raw:
            parts = raw["X"], raw["var"]
        elif "raw.X" in root and "raw.var" in root:
            parts = root["raw.X"], root["raw.var"]
        if parts is not None:
            frame = Frame(parts[1], self._uns, "raw/var")
            yield Expression("raw", "raw", read_matrix(parts[0]), self._genes(frame, strict=False))

    def _genes(self, var: Frame, strict: bool = True) -> Genes:
        column = self.options.gene_id_column
        if column != "index" and column not in var.columns:
            if strict:
                raise NotFound(f"var has no column {column!r}", f"It has {', '.join(var.columns) or 'none'}.")
            column = "index"
        return Genes(var, column)

    def _count_cells(self) -> int:
        if self._obs is not None:
            return self._obs.n_rows
        counts = [e.matrix.shape[0] for e in self.expressions.values()] + [e.n_cells for e in self.embeddings]
        if not counts:
            raise Damaged(
                "There are no cells here: neither obs, nor X, nor obsm", "Write the file with AnnData.write_h5ad."
            )
        return counts[0]

    def _check(self) -> None:
        if self.n_cells > MOST_CELLS or any(e.matrix.shape[1] > MOST_GENES for e in self.expressions.values()):
            raise Unsupported(
                f"This data set says it has {self.n_cells:,} cells and {self.n_genes:,} genes",
                f"coverslip reads up to {MOST_CELLS:,} and {MOST_GENES:,}.",
            )
        rows = {f"obsm/{e.key}": e.n_cells for e in self.embeddings}
        rows |= {e.id: e.matrix.shape[0] for e in self.expressions.values()}
        for what, count in rows.items():
            if count != self.n_cells:
                raise Damaged(f"{what} has {count:,} cells, obs has {self.n_cells:,}", "Write the file again.")
        for e in self.expressions.values():
            if e.matrix.shape[1] != e.genes.count:
                raise Damaged(
                    f"{e.id} has {e.matrix.shape[1]:,} genes, var has {e.genes.count:,}", "Write the file again."
                )


def as_category(column: Column) -> Category | None:
    """The column as categories, when it is one (repeating text is)."""
    if isinstance(column, Category):
        return column
    return column.grouping if isinstance(column, Text) else None


def code_dtype(n_categories: int) -> np.dtype[np.unsignedinteger]:
    """The smallest unsigned type that holds the codes and, as its largest value, "missing"."""
    return np.dtype(np.uint8 if n_categories <= 254 else np.uint16 if n_categories <= 65534 else np.uint32)


def unique_match(names: list[str], wanted: str) -> str:
    """The only one of ``names``, else an `Ambiguous` error that lists them."""
    if len(names) > 1:
        shown = ", ".join(repr(n) for n in names[:5]) + (" …" if len(names) > 5 else "")
        raise Ambiguous(f"{wanted!r} could mean {shown}", "Ask by the exact, percent-encoded name or by number.")
    return names[0]

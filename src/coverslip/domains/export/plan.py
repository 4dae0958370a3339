"""What an export will hold, and what a person should know of it before it is written."""

from __future__ import annotations

from dataclasses import dataclass, field

from coverslip.core.errors import BadUsage
from coverslip.domains.cells import Cells, Expression, as_category
from coverslip.domains.columns import Column, Continuous
from coverslip.domains.export.names import labels, safe_name
from coverslip.domains.export.options import ExportOptions, chosen_fields, chosen_genes

FIRST_GENERATION = 65534
"""Categories that clients of cellucid's first generation can tell apart."""
MOST_SHOWN = 3
"""Names in a note; of more it is said how many."""


@dataclass
class Plan:
    """What an export will hold; making one reads names and no values.

    Attributes
    ----------
    cells, options
        The data set, and how it is written.
    name, id
        What it is called.
    fold
        Whether capital and small letters are one on the disk.
    labelled
        Whether files are called after genes and columns.
    fields, genes
        Numbers of the columns and genes that are written.
    field_labels, gene_labels
        What they are called in the manifests.
    notes
        What a person should know, a line each.
    """

    cells: Cells
    options: ExportOptions
    name: str
    fold: bool = False
    labelled: bool = True
    id: str = ""
    fields: list[int] = field(default_factory=list)
    genes: list[int] = field(default_factory=list)
    field_labels: list[str] = field(default_factory=list)
    gene_labels: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unknown_genes: list[str] = field(default_factory=list)
    expression: Expression | None = None

    def __post_init__(self) -> None:
        """Check everything that can be checked.

        Raises
        ------
        BadUsage
            When something asked for is not there, or cannot be.
        """
        cells, options = self.cells, self.options
        options.check()
        if not cells.points:
            raise BadUsage(
                "There is no embedding to show", "scanpy.tl.umap makes one; coverslip needs obsm['X_umap'] or the like."
            )
        if cells.expressions:
            self.expression = cells.expression(options.expression)
        elif options.expression is not None:
            cells.expression(options.expression)
        self.id = options.dataset_id or safe_name(self.name)
        self.fields = [i for i in chosen_fields(cells, options) if self._writable(cells.fields[i])]
        self.genes, self.unknown_genes = chosen_genes(self.expression, options.genes)
        self.field_labels = labels([cells.fields[i].key for i in self.fields], self.fold)
        names = self.expression.genes.names if self.expression is not None else []
        self.gene_labels = labels([names[g] for g in self.genes], self.fold)
        if self.labelled:
            self._tell_labels("genes", [names[g] for g in self.genes], self.gene_labels)
            self._tell_labels("columns", [cells.fields[i].key for i in self.fields], self.field_labels)
        for key, why in cells.unreadable.items() if options.obs_keys is None else ():
            self.notes.append(f"The column {key!r} is left out: {why}.")
        if self.unknown_genes:
            shown = ", ".join(self.unknown_genes[:MOST_SHOWN])
            more = f" and {len(self.unknown_genes) - MOST_SHOWN:,} more" if len(self.unknown_genes) > MOST_SHOWN else ""
            self.notes.append(f"There is no gene {shown}{more}.")

    def _writable(self, column: Column) -> bool:
        category = None if isinstance(column, Continuous) else as_category(column)
        if category is None and not isinstance(column, Continuous):
            self.notes.append(f"The column {column.key!r} is left out: nearly every cell has a text of its own.")
            return False
        if category is not None and category.n_categories > FIRST_GENERATION:
            self.notes.append(
                f"{column.key!r} has {category.n_categories:,} categories: coverslip shows them,"
                f" cellucid's viewer knows {FIRST_GENERATION:,} at most."
            )
        return True

    def _tell_labels(self, what: str, names: list[str], given: list[str]) -> None:
        changed = [(n, label) for n, label in zip(names, given, strict=True) if n != label]
        if changed:
            shown = ", ".join(f"{n!r} as {label!r}" for n, label in changed[:MOST_SHOWN])
            more = f" and {len(changed) - MOST_SHOWN:,} more" if len(changed) > MOST_SHOWN else ""
            self.notes.append(
                f"cellucid's file names cannot tell {len(changed):,} {what} from others: its viewer lists"
                f" {shown}{more}; coverslip shows their own names."
            )

    @property
    def bytes_needed(self) -> int:
        """Disk space that is needed at most while it is written: all files unpacked, packed ones by a rough measure."""
        cells, options = self.cells, self.options
        n = cells.n_cells
        obs = sum(2 * _width(options.obs_continuous_quantization) for _ in self.fields) * n
        graph = cells.graph.n_stored * 6 if cells.graph is not None else 0
        points = sum(4 * d for d in cells.points) * n * (1 + len(cells.vector_fields))
        genes = len(self.genes) * n * _width(options.var_quantization)
        bulk = self.expression.matrix.bulk if self.expression is not None else None
        index = 0 if bulk is None or not self.genes else min(6 * bulk.scan_items, 5 * bulk.shape[0] * bulk.shape[1])
        if options.compression is not None:
            genes = min(genes, genes // 64 + 3 * bulk.scan_items) if bulk is not None else genes // 4
        return obs + graph + points + genes + index


def _width(bits: int | None) -> int:
    return 4 if bits is None else bits // 8

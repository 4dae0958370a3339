"""AnnData's encoding of frames, whatever file it came from.

Three generations are read: records with ``uns/<column>_categories`` (before anndata 0.7), a group with ``__categories``
(0.7), and ``encoding-type`` on every element (since 0.8).

Source: anndata documentation, "On-disk format"; anndata's own older files.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.made import MadeArray
from coverslip.core.node import Array, Group, Node
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryArray
from coverslip.domains.columns import Category, Column, Continuous, Text

INDEX_NAMES = ("_index", "index")
MOST_COLORS = 1 << 20


class RecordField(Array):
    """One field of an array of records as an array of its own."""

    def __init__(self, records: Array, field: str) -> None:
        self._records = records
        self._field = field
        fields = records.spec.dtype.fields
        assert fields is not None
        base, inner = fields[field][0].base, fields[field][0].shape
        dtype = np.dtype(object) if base.kind in "SUO" else base
        self._spec = ArraySpec(records.spec.shape + inner, dtype)
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape and dtype of the field."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The field's elements of ``box``; text decoded as UTF-8."""
        values = self._records.read_rows(box.start[0], box.stop[0])[self._field]
        part: npt.NDArray[Any] = values[(slice(None), *box.slices[1:])]
        if self._spec.text:
            decoded = [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in part.ravel()]
            return np.array(decoded, dtype=object).reshape(part.shape)
        return part


class FrameArray(Array):
    """The numeric columns of a data frame side by side, as ``obsm`` may hold coordinates."""

    def __init__(self, frame: Group) -> None:
        order = names_in(frame.attrs.get("column-order"))
        columns = [node for name in order if name in frame and isinstance(node := frame[name], Array)]
        self._columns = [c for c in columns if c.spec.dtype.kind in "iuf" and len(c.spec.shape) == 1]
        if len({c.spec.shape for c in self._columns}) != 1:
            raise Unsupported("A data frame in obsm has no numeric columns, or they differ in length")
        self._spec = ArraySpec((self._columns[0].spec.shape[0], len(self._columns)), np.dtype(np.float64))
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Rows and numeric columns, as float64."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        chosen = self._columns[box.start[1] : box.stop[1]]
        return np.stack([c.read_rows(box.start[0], box.stop[0]).astype(np.float64) for c in chosen], axis=1)


def record_fields(node: Node) -> dict[str, Node] | None:
    """The fields of an array of records, or None for anything else."""
    if isinstance(node, Array) and node.spec.dtype.names is not None:
        return {name: RecordField(node, name) for name in node.spec.dtype.names}
    return None


class Frame:
    """A table of annotated rows: an index and named columns.

    Parameters
    ----------
    node
        A data frame group, or an array of records.
    uns
        The file's ``uns`` group, where the oldest files keep categories.
    label
        ``obs`` or ``var``, for messages.
    """

    def __init__(self, node: Node, uns: Group | None, label: str) -> None:
        self._label = label
        self._uns = uns
        records = record_fields(node)
        if records is not None:
            self._nodes: Group | dict[str, Node] = records
            order = list(records)
            self._index = next((n for n in (*INDEX_NAMES, *order) if n in records), "index")
        elif isinstance(node, Group):
            self._nodes = node
            attrs = node.attrs
            self._index = str(attrs.get("_index", "_index" if "_index" in node else "index"))
            order = names_in(attrs.get("column-order")) or [n for n in node if not n.startswith("__")]
        else:
            raise Damaged(
                f"{label} is neither a data frame nor records", "Write the file again with AnnData.write_h5ad."
            )
        if self._index not in self._nodes:
            raise Damaged(
                f"{label} has no index {self._index!r}", "The file was not written completely; write it again."
            )
        self.columns = [name for name in order if name != self._index and name in self._nodes]
        index = self.index.spec.shape
        if len(index) != 1:
            raise Damaged(
                f"{label}'s index has the shape {index}", "An index is one-dimensional; write the file again."
            )
        self.n_rows = index[0]

    @cached_property
    def index(self) -> Array:
        """The row names; text or, rarely, numbers."""
        node = self._nodes[self._index]
        if isinstance(node, Group):  # a categorical or nullable index, as pandas 3 writes all text
            column = self._column(self._index, node)
            return MadeArray((column.n_rows,), np.dtype(object), lambda: np.array(column.names(), object))
        return node

    def column(self, name: str) -> Column:
        """One column; reads no rows."""
        column = self._column(name, self._nodes[name])
        if column.n_rows != self.n_rows:
            raise Damaged(
                f"{self._label}[{name!r}] has {column.n_rows:,} rows, not {self.n_rows:,}", "Write the file again."
            )
        return column

    def _column(self, name: str, node: Node) -> Column:
        colors = self._list(f"{name}_colors")
        if isinstance(node, Group):
            return _group_column(name, node, colors)
        old = self._old_categories(name)
        if old is not None and node.spec.dtype.kind in "iu":
            return Category(name, node, old, colors=colors)
        if node.spec.dtype.kind == "b":
            return Category(name, node, MemoryArray(["False", "True"]), colors=colors)
        if node.spec.dtype.kind in "iuf":
            return Continuous(name, node)
        return Text(name, node, colors=colors)

    def _old_categories(self, name: str) -> Array | None:
        categories = self._nodes["__categories"] if "__categories" in self._nodes else None
        if isinstance(categories, Group) and name in categories:
            return categories.array(name)
        if isinstance(self._nodes, dict) and self._uns is not None and f"{name}_categories" in self._uns:
            return self._uns.array(f"{name}_categories")
        return None

    def _list(self, name: str) -> list[str] | None:
        node = self._uns[name] if self._uns is not None and name in self._uns else None
        if not isinstance(node, Array) or len(node.spec.shape) != 1 or node.spec.shape[0] > MOST_COLORS:
            return None
        return as_text(node.read_all())


def _group_column(name: str, node: Group, colors: list[str] | None) -> Column:
    attrs = node.attrs
    kind = attrs.get("encoding-type")
    if kind == "categorical" or "codes" in node:
        ordered = bool(attrs.get("ordered", False))
        return Category(name, node.array("codes"), node.array("categories"), ordered=ordered, colors=colors)
    values = node.array("values")
    mask = node.array("mask") if "mask" in node else None
    if values.spec.dtype.kind == "b":
        return Category(name, values, MemoryArray(["False", "True"]), mask=mask, colors=colors)
    if values.spec.text:
        return Text(name, values, mask=mask, colors=colors)
    return Continuous(name, values, mask=mask)


def names_in(value: Any) -> list[str]:
    """Names that an attribute lists; none where it holds something else."""
    return [str(v) for v in value] if isinstance(value, list) else [value] if isinstance(value, str) else []


def as_text(values: npt.NDArray[Any]) -> list[str]:
    """Elements as ``str``; bytes decoded as UTF-8."""
    return [v.decode("utf-8", "replace") if isinstance(v, bytes) else str(v) for v in values.tolist()]

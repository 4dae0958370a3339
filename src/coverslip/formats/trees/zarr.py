"""Zarr hierarchies of version 2 and 3 as a tree; consolidated metadata is used where there is some.

Arrays of numbers are read by TensorStore; arrays of text, which it does not read, by
`coverslip.formats.trees.zarr_text`.

Source: Zarr v2 storage specification; Zarr v3 core specification 3.1; zarr-python's consolidated metadata
(``.zmetadata``, and ``consolidated_metadata`` of ``zarr.json``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from coverslip.core.ability import ChunkLayout
from coverslip.core.errors import CoverslipError, Damaged, NotFound, UnsafeLink
from coverslip.core.node import Attrs, Group, Node
from coverslip.core.spec import ArraySpec
from coverslip.formats.trees import blosc
from coverslip.formats.trees.tensorstore import PartArray
from coverslip.formats.trees.zarr_meta import REWRITE, ArrayMeta, array_v2, array_v3, parse
from coverslip.formats.trees.zarr_store import Store, safe_path
from coverslip.formats.trees.zarr_text import TextArray

SLACK_BYTES = 1 << 16
"""How much more than its elements a stored chunk may take, beside a quarter of them."""


class ZarrArray(PartArray):
    """An array of numbers; offers its stored chunks as they are (`coverslip.core.ability.RawChunks`)."""

    def __init__(self, store: Store, path: str, meta: ArrayMeta) -> None:
        self._bytes, self._path, self._meta = store, path, meta
        # A stored chunk that is much larger than its elements is none; shards may hold what was written before.
        elements = math.prod(meta.grid) * meta.dtype.itemsize
        self._most = None if meta.grid != meta.chunks else elements + elements // 4 + SLACK_BYTES
        self._unpacked = elements if self._most is not None and blosc.is_outermost(meta.metadata) else None
        open_spec = {"driver": meta.driver, "kvstore": store.kvstore(path), "metadata": dict(meta.metadata)}
        super().__init__(
            path or "The array", ArraySpec(meta.shape, meta.dtype, meta.chunks), open_spec, meta.grid, meta.attrs
        )

    @property
    def names(self) -> tuple[str, ...] | None:
        """Names of the axes, when the file gives them."""
        return self._meta.names

    @property
    def layout(self) -> ChunkLayout | None:
        """How chunks are stored; None when they are compressed in a way that Zarr v3 does not know."""
        return self._meta.layout

    def stored_size(self, index: tuple[int, ...]) -> int | None:
        """Bytes of a stored chunk; None when it is not stored."""
        return self._bytes.size(self._key(index))

    def stored_chunk(self, index: tuple[int, ...], start: int = 0, stop: int | None = None) -> bytes | None:
        """The stored bytes of a chunk (a whole shard), or some of them; None when it is not stored."""
        return self._bytes.read(self._key(index), start, stop)

    def look(self, index: tuple[int, ...]) -> None:
        """See that the chunk lies inside the store, and is no larger than it can be."""
        key = self._key(index)
        size = self._bytes.size(key)
        if size is not None and self._most is not None and size > self._most:
            raise Damaged(f"The chunk {key} is larger than it can be", REWRITE)
        if size is not None and self._unpacked is not None:
            blosc.check_frame(key, self._bytes.read(key, 0, blosc.HEAD_BYTES), self._unpacked, REWRITE)

    def _key(self, index: tuple[int, ...]) -> str:
        shape, grid = self._meta.shape, self._meta.grid
        if len(index) != len(shape) or not all(0 <= i * n < s for i, n, s in zip(index, grid, shape, strict=True)):
            raise NotFound(f"There is no chunk {index}", "Chunks are counted from 0 along each axis.")
        key = self._meta.key(index)
        return f"{self._path}/{key}" if self._path else key


class ZarrGroup(Group):
    """A group of a Zarr hierarchy.

    Parameters
    ----------
    store
        Where the hierarchy lies.
    path
        Of this group inside it.
    attrs
        Its attributes.
    known
        Consolidated metadata, by path from the root of the store; None when there is none.
    """

    def __init__(self, store: Store, path: str, attrs: Attrs, known: Mapping[str, Mapping[str, Any]] | None) -> None:
        self.store, self.path, self.attrs = store, path, attrs
        self._known = known

    def __iter__(self) -> Iterator[str]:
        if self._known is not None:
            start = f"{self.path}/" if self.path else ""
            below = (key[len(start) :] for key in self._known if key.startswith(start) and key != self.path)
            return iter(sorted({name for name in below if name and "/" not in name}))
        return (name for name in self.store.folders(self.path) if _present(self.store, self._join(name)))

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str) or not name or "/" in name:
            return False
        try:
            return self.holds(name)
        except UnsafeLink:
            return False

    def __getitem__(self, name: str) -> Node:
        if "/" in name:
            raise NotFound(f"There is no {name!r} in {self.path or 'the hierarchy'}")
        return self.at(name)

    def holds(self, path: str) -> bool:
        """Whether there is a node at a path of several names below this group."""
        full = self._join(safe_path(path))
        return (self._known is not None and full in self._known) or _present(self.store, full)

    def at(self, path: str) -> Node:
        """The node at a path of several names below this group.

        Raises
        ------
        NotFound
            When there is none.
        UnsafeLink
            When the path leads upwards, or a link on the way out of the store.
        """
        full = self._join(safe_path(path))
        if self._known is not None and full in self._known:
            return _node(self.store, full, self._known[full], self._known)
        found = _document(self.store, full)
        if found is None:
            raise NotFound(f"There is no {path!r} in {self.path or 'the hierarchy'}")
        return _node(self.store, full, found, None)

    def _join(self, name: str) -> str:
        return f"{self.path}/{name}" if self.path and name else self.path or name


def open_hierarchy(store: Store) -> Node:
    """The node at the root of a store.

    Raises
    ------
    Damaged
        When there is no Zarr metadata, or it cannot be read.
    """
    found = _document(store, "")
    if found is None:
        raise Damaged("There is no Zarr metadata here", REWRITE)
    return _node(store, "", found, _consolidated(store, found))


def _present(store: Store, path: str) -> bool:
    """Whether there is a node."""
    start = f"{path}/" if path else ""
    return any(store.size(start + name) is not None for name in ("zarr.json", ".zarray", ".zgroup", ".zattrs"))


def _document(store: Store, path: str) -> dict[str, Any] | None:
    """What describes a node, as v3's ``zarr.json`` does; None when nothing does."""
    start = f"{path}/" if path else ""
    text = store.document(f"{start}zarr.json")
    if text is not None:
        return parse(f"{start}zarr.json", text)
    array = store.document(f"{start}.zarray")
    attrs = store.document(f"{start}.zattrs")
    if array is None and attrs is None and store.size(f"{start}.zgroup") is None:
        return None
    found: dict[str, Any] = {"attributes": parse(f"{start}.zattrs", attrs) if attrs is not None else {}}
    if array is not None:
        found["v2"] = parse(f"{start}.zarray", array)
    else:
        store.document(f"{start}.zgroup")
    return found


def _node(store: Store, path: str, found: Any, known: Mapping[str, Any] | None) -> Node:
    name = path or "The array"
    attrs = found.get("attributes")
    attrs = attrs if isinstance(attrs, Mapping) else {}
    if "v2" in found:
        meta = array_v2(name, found["v2"], attrs, _nested(store, path, found["v2"]))
    elif found.get("node_type") == "array":
        meta = array_v3(name, found)
    elif found.get("node_type", "group") == "group":
        return ZarrGroup(store, path, attrs, known)
    else:
        raise Damaged(f"{name} is neither a group nor an array", REWRITE)
    if meta.text:
        return TextArray(store, path, meta)
    if store.fetched:
        from coverslip.formats.remote.arrays import fetched_array  # which is built on this module

        return fetched_array(store, path, meta)
    return ZarrArray(store, path, meta)


def _nested(store: Store, path: str, meta: Mapping[str, Any]) -> bool:
    """Whether chunks lie in folders, where the metadata does not say."""
    shape = meta.get("shape")
    if "dimension_separator" in meta or not isinstance(shape, list) or len(shape) < 2:
        return False
    return bool(store.folders(path))


def _consolidated(store: Store, root: Mapping[str, Any]) -> dict[str, Any] | None:
    """Metadata of everything below the root, when it was gathered in one document."""
    if "consolidated_metadata" in root:
        given = root["consolidated_metadata"]
        entries = given.get("metadata") if isinstance(given, Mapping) else None
        return {k: v for k, v in entries.items() if isinstance(v, Mapping)} if isinstance(entries, Mapping) else None
    text = store.document(".zmetadata") if "node_type" not in root else None
    entries = parse(".zmetadata", text).get("metadata") if text is not None else None
    return _consolidated_v2(entries) if isinstance(entries, Mapping) else None


def _consolidated_v2(entries: Mapping[str, Any]) -> dict[str, Any]:
    known: dict[str, Any] = {}
    for key, value in entries.items():
        path, _, name = key.rpartition("/")
        if not isinstance(value, Mapping) or name not in (".zarray", ".zgroup", ".zattrs"):
            continue
        node = known.setdefault(path, {"attributes": {}})
        if name == ".zarray":
            node["v2"] = value
        elif name == ".zattrs":
            node["attributes"] = value
    return known


def nodes(group: ZarrGroup) -> Iterator[tuple[str, Node | CoverslipError]]:
    """Members of a group, or why they cannot be opened."""
    for name in group:
        try:
            yield name, group[name]
        except CoverslipError as error:
            yield name, error

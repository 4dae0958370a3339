"""An exported folder of cellucid as AnnData's tree.

What an export holds beside AnnData's parts is written where cellucid's third generation has it in AnnData
(``uns['cellucid']``): which embedding is shown in which dimension, and outlier quantiles. What coverslip's own exports
hold beyond that (real names, colours, names of cells) is under ``coverslip`` in each of the documents.

Source: ``dataset_identity.json`` versions 2 and 3, manifests ``compact_v1`` and ``compact_v2`` (cellucid 0.0.9, 0.9.4).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.node import Array, Group, Node
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.formats.trees.anndata_parts import anndata_tree, categorical, csr, frame, numbered
from coverslip.formats.trees.export_files import AGAIN, INCOMPLETE, GeneFiles, Stored, array, find, read, texts
from coverslip.formats.trees.zarr_store import FolderStore

IDENTITY, OBS, VAR, GRAPH = (
    "dataset_identity.json", "obs_manifest.json", "var_manifest.json", "connectivity_manifest.json",
)  # fmt: skip
NORMALISED = {"coverslip-normalised": True}
FIELD = "coverslip-vector-field"
MOST_MISSING = 100
FORMATS = ("compact_v1", "compact_v2")
DTYPES = {"f32": "<f4", "u8": "u1", "u16": "<u2", "u32": "<u4"}


class Export:
    """One exported folder.

    Parameters
    ----------
    store
        The folder.
    name
        What it is called where it does not say itself.

    Raises
    ------
    Damaged
        When a document makes no sense, or nothing could be shown without a file that is missing.
    """

    def __init__(self, store: FolderStore, name: str) -> None:
        self._store, self._name = store, name
        self._missing: list[str] = []
        self._shown: dict[str, str] = {}
        self._identity = self._document(IDENTITY) or {}
        if self._identity.get("static"):
            raise Unsupported(
                f"{name} is a web page of its own",
                "Any web host shows it; coverslip serve shows the data it was made of.",
            )
        obs = self._document(OBS)
        if obs is None:
            raise self._incomplete(OBS)
        if obs.get("_format") not in FORMATS:
            raise Damaged(f"{OBS} has the format {str(obs.get('_format'))[:40]!r}", f"coverslip reads {FORMATS}.")
        self._obs = obs
        self._second = obs["_format"] == FORMATS[1]
        self._n = _count(obs.get("n_points"), "n_points")
        if not self._identity:
            self._missing.append(IDENTITY)

    def tree(self) -> Group:
        """AnnData's tree; reads no array, but sees that every file of one is there."""
        columns, outliers = self._columns()
        points, defaults = self._points()
        if not points:
            raise self._incomplete("points_2d.bin")
        own: dict[str, Node] = {"defaults": MemoryGroup({k: MemoryArray(np.array(v)) for k, v in defaults.items()})}
        held: dict[str, Node] = {
            "fields": MemoryGroup(outliers),
            "latentKey": MemoryArray(np.array(str(self._obs.get("latent_key") or ""))),
        }
        own["outlierQuantiles"] = MemoryGroup(held)
        names, symbols, x = self._genes()
        graph = self._graph()
        tree = anndata_tree(
            frame(self._cell_names(), columns),
            frame(MemoryArray(names) if names else MemoryArray(np.empty(0, object)), symbols),
            x,
            obsm={**points, **self._vectors(points)},
            obsp={"connectivities": graph} if graph is not None else None,
            uns={"cellucid": MemoryGroup(own), **self._colors()},
        )
        missing = sorted(set(self._missing))
        told = {"raw": self._identity, "missing": missing[:MOST_MISSING]}
        return MemoryGroup({n: partial(tree.__getitem__, n) for n in tree}, {**tree.attrs, "coverslip": told})

    def _document(self, name: str) -> dict[str, Any] | None:
        text = self._store.document(name)
        if text is None:
            return None
        try:
            found = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{name} is not JSON: {error}", AGAIN) from error
        if not isinstance(found, dict):
            raise Damaged(f"{name} is no JSON object", AGAIN)
        return found

    def _incomplete(self, name: str) -> Damaged:
        return Damaged(f"{self._name} is incomplete: {name} is missing", AGAIN, INCOMPLETE)

    def _there(self, stored: Stored) -> bool:
        """Whether a file is there; noted as missing when not."""
        found = find(self._store, stored.key) is not None
        if not found:
            self._missing.append(stored.key)
        return found

    def _cell_names(self) -> Array:
        """Names of the cells; their numbers in exports of cellucid, which keeps none."""
        key = _own(self._identity).get("cell_names")
        if not isinstance(key, str) or find(self._store, key) is None:
            return numbered(self._n, "")
        return texts(self._store, key, self._n)

    # -- obs -----------------------------------------------------------------------------------------------------------

    def _colors(self) -> dict[str, Node]:
        """Colours of categories, as scanpy keeps them."""
        own = _own(self._obs)
        held = _mapping(own.get("colors", {}), OBS)
        return {f"{self._name_of(k)}_colors": MemoryArray([str(c) for c in _list(v, OBS)]) for k, v in held.items()}

    def _name_of(self, label: str) -> str:
        """A column's own name, where the manifest calls it otherwise to tell its file apart."""
        return str(_mapping(_own(self._obs).get("names", {}), OBS).get(label, label))

    def _columns(self) -> tuple[dict[str, Node], dict[str, Node]]:
        """Columns in the order of the identity, and outlier quantiles of the categories."""
        schemas = _mapping(self._obs.get("_obsSchemas", {}), OBS)
        found: dict[str, Node] = {}
        outliers: dict[str, Node] = {}
        ordered = _list(_own(self._obs).get("ordered", []), OBS)
        for entry in _list(self._obs.get("_continuousFields", []), OBS):
            index, key, rest = self._entry(entry)
            name = self._name_of(key)
            found[name] = self._numbers(_mapping(schemas.get("continuous"), OBS), index, key, rest)
        for entry in _list(self._obs.get("_categoricalFields", []), OBS):
            index, key, rest = self._entry(entry)
            schema = _mapping(schemas.get("categorical"), OBS)
            if len(rest) < 2 or not isinstance(rest[0], list):
                raise Damaged(f"{OBS} does not tell the categories of {key!r}", AGAIN)
            ext = {"uint8": "u8", "uint16": "u16", "uint32": "u32"}.get(str(rest[1]), "u16")
            codes = Stored(_path(schema, "codesPathPattern", index, key, ext), (self._n,), np.dtype(DTYPES[ext]))
            self._there(codes)
            name = self._name_of(key)
            found[name] = categorical(array(self._store, codes), [str(c) for c in rest[0]], key in ordered)
            quantiles = self._outliers(schema, index, key, rest[4:])
            if quantiles is not None:
                outliers[name] = quantiles
        told = _list(self._identity.get("obs_fields", []), IDENTITY)
        order = [self._name_of(str(f.get("key"))) for f in told if isinstance(f, dict)]
        return {
            k: found[k] for k in [*(k for k in order if k in found), *(k for k in found if k not in order)]
        }, outliers

    def _entry(self, entry: Any) -> tuple[int, str, list[Any]]:
        """Number (-1 in the first generation), name and what else a manifest tells of a column or gene."""
        parts = _list(entry, "The manifest")
        at = 1 if self._second else 0
        if len(parts) <= at:
            raise Damaged("The manifest has an entry without a name", AGAIN)
        return (_count(parts[0], "index") if self._second else -1), str(parts[at]), parts[at + 1 :]

    def _numbers(self, schema: Mapping[str, Any], index: int, key: str, rest: list[Any]) -> Array:
        stored = self._stored(schema, _path(schema, "pathPattern", index, key), rest)
        self._there(stored)
        return array(self._store, stored)

    def _outliers(self, schema: Mapping[str, Any], index: int, key: str, rest: list[Any]) -> Array | None:
        if "outlierPathPattern" not in schema:
            return None
        names = {"ext": schema.get("outlierExt"), "quantized": schema.get("outlierQuantized")}
        stored = self._stored(names, _path(schema, "outlierPathPattern", index, key), rest)
        return array(self._store, stored) if self._there(stored) else None

    def _stored(self, schema: Mapping[str, Any], path: str, rest: list[Any]) -> Stored:
        dtype = np.dtype(DTYPES.get(str(schema.get("ext")), "<f4"))
        if not schema.get("quantized"):
            return Stored(path, (self._n,), dtype)
        if len(rest) < 2 or not all(isinstance(v, (int, float)) for v in rest[:2]):
            raise Damaged(f"The manifest does not tell the range of {path}", AGAIN)
        return Stored(path, (self._n,), dtype, float(rest[0]), float(rest[1]))

    # -- embeddings and vectors ----------------------------------------------------------------------------------------

    def _points(self) -> tuple[dict[str, Node], dict[str, str]]:
        """Embeddings, and which of them is shown in which dimension."""
        said = _mapping(self._identity.get("embeddings", {}), IDENTITY)
        found: dict[str, Node] = {}
        if self._second:
            for key, item in _mapping(said.get("items", {}), IDENTITY).items():
                width = _count(_mapping(item, IDENTITY).get("dimension"), "dimension")
                self._add(found, str(key), Stored(str(item.get("file")), (self._n, width), np.dtype("<f4")))
            shown = _mapping(said.get("defaults", {}), IDENTITY)
            return found, {f"embedding{d}": str(key) for d, key in shown.items() if str(key) in found}
        files = _mapping(said.get("files", {}), IDENTITY)
        own = _own(said)
        if "items" in own:
            for key, item in _mapping(own.get("items"), IDENTITY).items():
                width = _count(_mapping(item, IDENTITY).get("dimension"), "dimension")
                self._add(found, str(key), Stored(str(item.get("file")), (self._n, width), np.dtype("<f4")))
            shown = _mapping(own.get("defaults", {}), IDENTITY)
            self._shown = {str(d): str(key) for d, key in shown.items() if str(key) in found}
            return found, {f"embedding{d}": key for d, key in self._shown.items()}
        for d in (1, 2, 3):
            key = str(files.get(f"{d}d", f"points_{d}d.bin"))
            if f"{d}d" in files or find(self._store, key) is not None:
                self._add(found, f"X_umap_{d}d", Stored(key, (self._n, d), np.dtype("<f4")))
        return found, {}

    def _add(self, found: dict[str, Node], key: str, stored: Stored) -> None:
        if self._there(stored):
            found[key] = array(self._store, stored, NORMALISED)

    def _vectors(self, points: Mapping[str, Node]) -> dict[str, Node]:
        """Vector fields, called as AnnData's are: after the embedding that they belong to."""
        said = _mapping(self._identity.get("vector_fields", {}) or {}, IDENTITY)
        found: dict[str, Node] = {}
        for id, item in _mapping(said.get("fields", {}), IDENTITY).items():
            for at, file in _mapping(_mapping(item, IDENTITY).get("files", {}), IDENTITY).items():
                base = str(at) if self._second else self._shown.get(str(at), f"X_umap_{at}")
                if base in points:
                    name = f"{id}_{base.removeprefix('X_')}" if self._second else f"{id}_{at}"
                    node = points[base]
                    assert isinstance(node, Array)
                    stored = Stored(str(file), node.spec.shape, np.dtype("<f4"))
                    if self._there(stored):
                        label = str(item.get("label") or id)
                        found[name] = array(self._store, stored, {FIELD: [str(id), label, base]})
        return found

    # -- genes and graph -----------------------------------------------------------------------------------------------

    def _genes(self) -> tuple[list[str], dict[str, Node], Node | None]:
        """Names, symbols where there are some, and the matrix."""
        manifest = self._document(VAR)
        if manifest is None:
            if _mapping(self._identity.get("stats", {}), IDENTITY).get("n_genes"):
                self._missing.append(VAR)
            return [], {}, None
        schema = _mapping(manifest.get("_varSchema", {}), VAR)
        own = _own(manifest)
        entries = [self._entry(entry) for entry in _list(manifest.get("fields", []), VAR)]
        names = [key for _, key, _ in entries]
        genes: list[Stored | None] = []
        last: dict[str, int] = {}
        for number, (index, key, rest) in enumerate(entries):
            path = _path(schema, "pathPattern", index, key)
            genes.append(self._stored(schema, path, rest))
            last[path] = number
        folders = {path.rpartition("/")[0] for path in last}
        there = {f"{folder}/{name}" for folder in folders for name in self._store.files(folder)}
        for number, stored in enumerate(genes):
            assert stored is not None
            if last[stored.key] != number:  # two names made safe are one: the file holds the last one's values
                genes[number] = None
            elif stored.key not in there:
                self._there(stored)
        real = _mapping(own.get("names", {}), VAR)
        names = [str(real.get(name, name)) for name in names]
        symbols = own.get("symbols")
        column: dict[str, Node] = {}
        if isinstance(symbols, list) and len(symbols) == len(names):
            column = {str(own.get("symbol_column") or "gene_symbols"): MemoryArray([str(s) for s in symbols])}
        return names, column, GeneFiles(self._store, self._n, genes, names)

    def _graph(self) -> Node | None:
        said = self._document(GRAPH)
        if said is None:
            if _mapping(self._identity.get("stats", {}), IDENTITY).get("has_connectivity"):
                self._missing.append(GRAPH)
            return None
        count, dtype = _count(said.get("n_edges"), "n_edges"), str(said.get("index_dtype"))
        if dtype not in ("uint16", "uint32", "uint64"):
            raise Damaged(f"{GRAPH} has the index_dtype {dtype[:20]!r}", AGAIN)
        ends = [Stored(str(said.get(k)), (count,), np.dtype(dtype)) for k in ("sourcesPath", "destinationsPath")]
        weight_dtype = str(said.get("weight_dtype") or "float64")
        if weight_dtype not in ("float32", "float64"):
            raise Damaged(f"{GRAPH} has the weight_dtype {weight_dtype[:20]!r}", AGAIN)
        weights = Stored(str(said.get("weightsPath")), (count,), np.dtype(weight_dtype))
        held = [self._there(end) for end in ends]
        if ("weightsPath" in said and not self._there(weights)) or not all(held):
            return None
        n = self._n

        def starts() -> Any:
            """Pairs are sorted by their first cell."""
            return np.searchsorted(read(self._store, ends[0]), np.arange(n + 1))

        from coverslip.core.made import MadeArray

        data = (
            array(self._store, weights)
            if "weightsPath" in said
            else MadeArray((count,), np.float32, lambda: np.ones(count, np.float32))
        )
        return csr(data, array(self._store, ends[1]), MadeArray((n + 1,), np.int64, starts), (n, n))


def safe_name(name: str) -> str:
    """The form in which the first generation writes a name into a path."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).strip("._") or "field"


def _path(schema: Mapping[str, Any], pattern: str, index: int, key: str, ext: str = "") -> str:
    """The file of a column or gene."""
    path = schema.get(pattern)
    if not isinstance(path, str):
        raise Damaged(f"The manifest has no {pattern}", AGAIN)
    return path.replace("{ext}", ext).replace("{index}", str(index)).replace("{key}", safe_name(key))


def _own(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """What coverslip wrote into a document beyond cellucid's words."""
    found = document.get("coverslip", {})
    return found if isinstance(found, dict) else {}


def _mapping(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise Damaged(f"{where} is not what cellucid writes", AGAIN)
    return value


def _list(value: Any, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise Damaged(f"{where} is not what cellucid writes", AGAIN)
    return value


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Damaged(f"The manifest has no {what}", AGAIN)
    return value

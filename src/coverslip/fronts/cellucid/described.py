"""Data sets of cells, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    ANY,
    BYTES,
    COUNT,
    DOCUMENT,
    FLAG,
    GZIP,
    JSON,
    NUMBER,
    OBJECT,
    OCTETS,
    SOURCE,
    TEXT,
    Paths,
    asked,
    by_name,
    content,
    many,
    maybe,
    obj,
    one_of,
    operation,
    placed,
    ref,
    told,
    whole,
)

CELLS = "Cells"
TAGS = {
    CELLS: "Data sets of single cells: documents in JSON, and headerless little-endian arrays. Every path is there "
    "for the first data set without `/{dataset}`, too; every array also as a gzip file, with `.gz` at its end."
}
REFUSES = (400, 409, *SOURCE)
DATASET = ref("parameters", "dataset")
EXPRESSION = asked("expression", TEXT, "Id of a matrix; the first when left out", example="X")
ORDER = asked("order", one_of("drawn"), "Items in the order in which the viewer draws")
NUMBERED = placed("index", COUNT, "Number, from 0", 0)
DIMENSIONS = placed("dimensions", one_of(1, 2, 3), "Number of dimensions", 2)
COLUMNS = asked("columns", TEXT, "Columns, from 0, with commas; the first ones when left out", example="0,1")
COLUMN_NAME = placed("field", TEXT, "A column's name, percent-encoded", "louvain")
STATES = ("ready", "building", "waiting", "none", "off", "failed")

FIELD = {
    "oneOf": [
        obj({"index": COUNT, "key": TEXT, "kind": one_of("category"), "ordered": FLAG, "categories": many(ANY),
             "counts": many(COUNT), "n_missing": COUNT, "dtype": one_of("uint8", "uint16", "uint32"),
             "missing": COUNT, "codes": TEXT, "colors": maybe(many(maybe(TEXT)))}),
        obj({"index": COUNT, "key": TEXT, "kind": one_of("continuous"), "min": maybe(NUMBER), "max": maybe(NUMBER),
             "n_missing": COUNT, "values": TEXT}),
        obj({"index": COUNT, "key": TEXT, "kind": one_of("text")}),
    ]
}  # fmt: skip
SCHEMAS: dict[str, JSON] = {
    "Identity": obj(
        {
            "version": one_of(2),
            "id": TEXT,
            "name": TEXT,
            "stats": obj(
                {"n_cells": COUNT, "n_genes": COUNT, "n_obs_fields": COUNT, "n_categorical_fields": COUNT,
                 "n_continuous_fields": COUNT, "has_connectivity": FLAG, "n_edges": maybe(COUNT)}
            ),
            "embeddings": obj(
                {
                    "available_dimensions": many(COUNT),
                    "default_dimension": maybe(COUNT),
                    "files": by_name(TEXT),
                    "items": many(
                        obj({"id": TEXT, "label": TEXT, "width": COUNT, "dimensions": many(COUNT), "default": FLAG,
                             "axes": many(TEXT), "files": by_name(TEXT)})
                    ),
                }
            ),
            "obs_fields": many(
                obj({"key": TEXT, "kind": one_of("category", "continuous", "text"), "index": COUNT, "info": TEXT})
            ),
            "unreadable_fields": many(obj({"key": TEXT, "message": TEXT})),
            "expression": obj(
                {"default": maybe(TEXT),
                 "items": many(obj({"id": TEXT, "label": TEXT, "n_genes": COUNT, "genes": TEXT}))}
            ),
            "tissue": many(obj({"array_id": TEXT, "name": TEXT, "embedding": TEXT, "matrix": many(NUMBER),
                                "spot": maybe(NUMBER)})),
            "orders": many(TEXT),
            "incomplete": many(TEXT),
        },
        {"vector_fields": obj({"default_field": TEXT, "fields": by_name(OBJECT)})},
    ),
    "ObsManifest": obj(
        {"_format": one_of("compact_v1"), "n_points": COUNT, "_obsSchemas": OBJECT, "_continuousFields": many(ANY),
         "_categoricalFields": many(ANY)}
    ),
    "VarManifest": obj(
        {"_format": one_of("compact_v1"), "n_points": COUNT, "_varSchema": OBJECT, "fields": many(many(TEXT))}
    ),
    "ConnectivityManifest": obj(
        {"format": one_of("edge_pairs"), "n_cells": COUNT, "n_edges": COUNT, "max_neighbors": COUNT,
         "index_bytes": COUNT, "index_dtype": TEXT, "sourcesPath": TEXT, "destinationsPath": TEXT, "weightsPath": TEXT}
    ),
    "Genes": obj(
        {"expression": TEXT, "names": many(TEXT), "symbols": maybe(many(maybe(TEXT))), "symbol_column": maybe(TEXT),
         "values": TEXT}
    ),
    "GeneIndex": obj(
        {"expression": TEXT, "state": one_of(*STATES), "share": maybe(NUMBER), "message": maybe(TEXT)}
    ),
    "Field": FIELD,
    "Cell": obj({"index": COUNT, "name": TEXT, "fields": OBJECT}),
    "CellNames": obj({"start": COUNT, "names": many(TEXT)}),
    "CellDigest": obj({"n": COUNT, "digest": {**TEXT, "pattern": "^sha256:"}}),
    "DataSets": obj(
        {
            "datasets": many(
                obj({"id": TEXT, "path": TEXT, "name": TEXT, "status": one_of("ok", "error", "incomplete")},
                    {"message": TEXT, "hint": TEXT, "missing": many(TEXT)})
            )
        }
    ),
}  # fmt: skip
ABOUT = {"type": TEXT, "version": TEXT}
ABOUT_MORE = {"format": TEXT, "is_backed": FLAG, "n_cells": maybe(COUNT), "n_genes": maybe(COUNT)}


def paths() -> Paths:
    """Operations on data sets of cells, with and without the id of one."""
    found: Paths = {}
    for path, what in _documents().items():
        found |= with_and_without(path, what)
    for path, what in _arrays().items():
        found |= with_and_without(path, what)
        packed = {**what, "responses": {**what["responses"]}, "x-same-as": f"/{{dataset}}{path}"}
        for status in ("200", "206"):
            packed["responses"][status] = {**what["responses"][status], "content": content(GZIP, BYTES)}
        found |= with_and_without(f"{path}.gz", packed)
    return {**_about(), **found}


def with_and_without(path: str, what: JSON, method: str = "get") -> Paths:
    """The path of a data set, and that of the first one, which needs no id."""
    own = {**what, "parameters": [DATASET, *what.get("parameters", ())]}
    return {f"/{{dataset}}{path}": {method: own}, path: {method: {**what, "x-same-as": f"/{{dataset}}{path}"}}}


def _document(summary: str, schema: str, *parameters: JSON) -> JSON:
    answer = told(summary, content(DOCUMENT, ref("schemas", schema)))
    return operation(CELLS, summary, answer, parameters=parameters, refuses=REFUSES, kept=True)


def _documents() -> dict[str, JSON]:
    span = (
        asked("start", whole(0, 9_999_999_999), "First cell"),
        asked("stop", whole(0, 9_999_999_999), "Cell after the last; 65,536 at most at once"),
    )
    index = told("Its state; never kept", content(DOCUMENT, ref("schemas", "GeneIndex")))
    return {
        "/dataset_identity.json": _document("What there is in a data set", "Identity"),
        "/obs_manifest.json": _document("Columns of `obs` that can be coloured by", "ObsManifest"),
        "/var_manifest.json": _document("Ids of genes", "VarManifest", EXPRESSION),
        "/connectivity_manifest.json": _document("The graph of neighbours", "ConnectivityManifest"),
        "/genes.json": _document("Names and symbols of genes", "Genes", EXPRESSION),
        "/gene_index.json": operation(
            CELLS, "How far the gene index is; asking begins it", index, parameters=[EXPRESSION], refuses=REFUSES
        ),
        "/fields/{index}.json": _document("A column of `obs`", "Field", NUMBERED),
        "/cells/{index}.json": _document("One cell, with every column", "Cell", NUMBERED),
        "/cells/names.json": _document("Names of cells", "CellNames", *span),
        "/cells/digest.json": _document("A digest of the names of all cells", "CellDigest"),
    }


def _array(summary: str, *parameters: JSON) -> JSON:
    answer = told(summary, content(OCTETS, BYTES))
    return operation(CELLS, summary, answer, parameters=parameters, refuses=REFUSES, kept=True)


def _arrays() -> dict[str, JSON]:
    coded = placed("extension", one_of("u8", "u16", "u32"), "As many bits as `dtype` says", "u8")
    end = placed("end", one_of("src", "dst"), "Which end of the pairs", "src")
    several = asked("genes", TEXT, "Numbers with commas", needed=True, example="0,1")
    stored = asked("coordinates", one_of("scaled", "stored"), "Scaled to be drawn, or as in the file")
    gene, vector = (
        placed("gene", TEXT, "A gene's name", "CD3E"),
        placed("vector_field", TEXT, "Its id", "velocity_umap"),
    )
    return {
        "/points_{dimensions}d.bin": _array("The default embedding, float32 `(n_cells, d)`", DIMENSIONS, ORDER),
        "/embeddings/{index}_{dimensions}d.bin": _array(
            "Any embedding, float32 `(n_cells, d)`", NUMBERED, DIMENSIONS, COLUMNS, stored, ORDER
        ),
        "/fields/{index}.values.f32": _array("Values of a column, float32 `(n_cells,)`", NUMBERED, ORDER),
        "/fields/{index}.outliers.f32": _array("Ranks in the cells' categories, float32", NUMBERED, ORDER),
        "/fields/{index}.codes.{extension}": _array("Codes of a category", NUMBERED, coded, ORDER),
        "/obs/{field}.values.f32": _array("Values of a column by its name", COLUMN_NAME, ORDER),
        "/obs/{field}.outliers.f32": _array("Ranks in the cells' categories by its name", COLUMN_NAME, ORDER),
        "/obs/{field}.codes.{extension}": _array("Codes of a category by its name", COLUMN_NAME, coded, ORDER),
        "/genes/{index}.values.f32": _array("A gene by its number, float32", NUMBERED, EXPRESSION, ORDER),
        "/genes/values.f32": _array("Several genes, float32 `(n_genes, n_cells)`", several, EXPRESSION, ORDER),
        "/var/{gene}.values.f32": _array("A gene by its name, float32", gene, EXPRESSION, ORDER),
        "/connectivity/edges.{end}.bin": _array("One end of every pair of neighbours", end, ORDER),
        "/connectivity/edges.weights.f32.bin": _array("The weight of every pair", ORDER),
        "/vectors/{vector_field}_{dimensions}d.bin": _array("A vector field", vector, DIMENSIONS, COLUMNS, ORDER),
    }  # fmt: skip


def _about() -> Paths:
    def one(summary: str, schema: JSON) -> JSON:
        return {"get": operation(CELLS, summary, told(summary, content(DOCUMENT, schema)), refuses=SOURCE)}

    return {
        "/_cellucid/health": one("How the server does", obj({"status": one_of("ok"), **ABOUT}, ABOUT_MORE)),
        "/_cellucid/info": one("Where it listens", obj({**ABOUT, "host": TEXT, "port": COUNT}, ABOUT_MORE)),
        "/_cellucid/datasets": one("Data sets of cells", ref("schemas", "DataSets")),
    }

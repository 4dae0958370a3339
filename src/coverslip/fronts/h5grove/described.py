"""h5grove's protocol as it is answered here, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    ANY,
    BYTES,
    COUNT,
    DOCUMENT,
    JSON,
    NUMBER,
    OBJECT,
    OCTETS,
    PLAIN,
    TEXT,
    Paths,
    asked,
    content,
    many,
    maybe,
    obj,
    one_of,
    operation,
    ref,
    told,
)

GROVE = "HDF5 (h5grove)"
TAGS = {GROVE: 'HDF5 files over the protocol of h5grove, read in place. Errors are `{"message"}`.'}
REFUSES = (403, 404, 413, 422, 501, 503)
SCHEMAS: dict[str, JSON] = {
    "Message": obj({"message": TEXT}),
    "GroveObject": obj(
        {"name": TEXT, "kind": one_of("group", "dataset", "datatype", "soft_link", "external_link", "other")},
        {"attributes": many(obj({"name": TEXT})), "children": many(OBJECT), "shape": maybe(many(COUNT)), "type": OBJECT,
         "chunks": maybe(many(COUNT)), "filters": maybe(many(OBJECT)), "target_path": TEXT, "target_file": TEXT},
    ),
}  # fmt: skip
CHOSEN = asked("selection", TEXT, "As numpy writes it: `0:10:2,5`", example="0:1")
RESOLVE = asked("resolve_links", one_of("only_valid", "all", "none"), "Which links are followed")


def paths() -> Paths:
    """Operations of h5grove's protocol."""
    form = asked("format", one_of("json", "bin", "npy", "csv", "tiff"), "Form of the values")
    dtype = asked("dtype", one_of("origin", "safe"), "`safe`: of a type that JavaScript has arrays for")
    flat = asked("flatten", one_of("true", "false"), "As one list")
    values = [content(DOCUMENT, ANY), *(content(media, BYTES) for media in (OCTETS, "text/csv", "image/tiff"))]
    figures = {name: maybe(NUMBER) for name in ("strict_positive_min", "positive_min", "min", "max", "mean", "std")}
    keys = asked("attr_keys", many(TEXT), "Names; all when left out", example=["title"])
    return {
        "/h5grove/": {
            "get": operation(GROVE, "Whether it is there", told("ok", content(PLAIN, TEXT)), refuses=())
        },
        "/h5grove/meta": _one("A description", [content(DOCUMENT, ref("schemas", "GroveObject"))], RESOLVE),
        "/h5grove/attr": _one("Values of attributes", [content(DOCUMENT, OBJECT)], keys),
        "/h5grove/data": _one("Values of a data set", values, CHOSEN, form, dtype, flat),
        "/h5grove/stats": _one("Extremes, mean and deviation", [content(DOCUMENT, obj(figures))], CHOSEN),
        "/h5grove/paths": _one("Every path below a group", [content(DOCUMENT, many(TEXT))], RESOLVE),
    }  # fmt: skip


def _one(summary: str, bodies: list[JSON], *parameters: JSON) -> JSON:
    listed = [ref("parameters", "hdf_file"), ref("parameters", "hdf_path"), *parameters]
    answer = told(summary, *bodies)
    return {"get": operation(GROVE, summary, answer, parameters=listed, refuses=REFUSES, errors="Message", kept=True)}

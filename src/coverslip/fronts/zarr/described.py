"""Images as Zarr, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    BYTES,
    DOCUMENT,
    OBJECT,
    OCTETS,
    SOURCE,
    TEXT,
    Paths,
    content,
    obj,
    one_of,
    operation,
    placed,
    ref,
    told,
)

ZARR = "Zarr"
TAGS = {ZARR: "Every image of every format as OME-Zarr 0.5: a Zarr v3 hierarchy at `/zarr/{source_id}`."}
IMAGE = placed("image", TEXT, "Path of an image in the source; of a level, `IMAGE/0`", "0")
CHUNK = placed("chunk", {**TEXT, "pattern": "^[0-9]+(/[0-9]+)*$"}, "The chunk's place in the grid, `0/0/1`", "0/0")


def paths() -> Paths:
    """Operations on Zarr hierarchies."""
    node = obj({"zarr_format": one_of(3), "node_type": one_of("group", "array")}, {"attributes": OBJECT})
    document = told("A group or an array", content(DOCUMENT, node))
    source = ref("parameters", "source_id")
    level = placed("level", {"type": "integer", "minimum": 0}, "Level; 0 is the whole image", 0)
    chunk = told("The chunk, encoded as its array's `codecs` say", content(OCTETS, BYTES))

    def get(summary: str, answer: dict[str, object], *parameters: dict[str, object]) -> dict[str, object]:
        return {"get": operation(ZARR, summary, answer, parameters=[source, *parameters], kept=True, refuses=SOURCE)}

    return {
        "/zarr/{source_id}/zarr.json": get("The root, with the metadata of everything below", document),
        "/zarr/{source_id}/{image}/zarr.json": get("A group or an array below the root", document, IMAGE),
        "/zarr/{source_id}/{level}/c/{chunk}": get("A chunk of the only image", chunk, level, CHUNK),
        "/zarr/{source_id}/{image}/{level}/c/{chunk}": get("A chunk of one of several", chunk, IMAGE, level, CHUNK),
    }

"""The file server of neural systems, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.openapi.words import ANY, DOCUMENT, TEXT, Paths, content, many, operation, placed, told

SYSTEMS = "Neural systems"
TAGS = {SYSTEMS: "Names of neural systems and their JSON files; their HDF5 files are below `/hsds`."}


def paths() -> Paths:
    """Operations of the file server."""
    place = [
        placed("system", TEXT, "Name of a system", "EI1"),
        placed("file", TEXT, "Path of a JSON file in it", "graph.json"),
    ]
    return {
        "/systems": {
            "get": operation(SYSTEMS, "Names", told("Names", content(DOCUMENT, many(TEXT))), refuses=(502,), kept=True)
        },
        "/files/{system}/{file}": {
            "get": operation(
                SYSTEMS, "A JSON file", told("The file", content(DOCUMENT, ANY)), parameters=place,
                refuses=(404, 413, 502), kept=True,
            )
        },
    }  # fmt: skip

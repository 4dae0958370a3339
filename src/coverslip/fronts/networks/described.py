"""Networks of neurons, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.networks.asked import DEFAULT_EDGES, LONGEST_UM, MOST_BINS, MOST_EDGES, SHORTEST_UM
from coverslip.fronts.networks.table import MEDIA_TYPE
from coverslip.fronts.openapi.words import (
    BYTES,
    COUNT,
    DOCUMENT,
    FLAG,
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

NETWORKS = "Networks"
TAGS = {NETWORKS: "Neurons and their connections. Tables are described in docs/reference/http-networks.md."}
SCHEMAS: dict[str, JSON] = {
    "Network": obj(
        {
            "name": TEXT,
            "unit": one_of("micrometer"),
            "neurons": COUNT,
            "edges": COUNT,
            "bounds": maybe(many(many(NUMBER))),
            "populations": many(obj({"name": TEXT, "number": COUNT, "start": COUNT, "count": COUNT, "offset": COUNT})),
            "projections": many(
                obj({"index": COUNT, "name": TEXT, "source": TEXT, "destination": TEXT, "type": maybe(TEXT),
                     "edges": COUNT, "attributes": many(obj({"name": TEXT, "dtype": TEXT})), "indexed": FLAG})
            ),
            "left_out": OBJECT,
            "layers": by_name(many(many(NUMBER))),
            "electrodes": maybe(OBJECT),
            "columns": many(obj({"index": COUNT, "key": TEXT, "populations": many(TEXT), "single": FLAG})),
        }
    ),
    "NetworkColumn": obj(
        {"index": COUNT, "key": TEXT, "populations": many(TEXT), "kind": one_of("number", "category"), "dtype": TEXT,
         "categories": maybe(many(TEXT)), "min": maybe(NUMBER), "max": maybe(NUMBER)}
    ),
    "Degrees": obj({side: obj({"edges": many(NUMBER), "counts": by_name(many(COUNT))}) for side in ("in", "out")}),
    "Distances": obj(
        {
            "unit": one_of("micrometer"),
            "projections": many(
                obj({"projection": COUNT, "edges": many(NUMBER), "connections": many(NUMBER), "pairs": many(NUMBER),
                     "probability": many(maybe(NUMBER)), "sampled": FLAG})
            ),
        }
    ),
    "Wiring": obj(
        {"populations": many(TEXT), "connections": many(many(COUNT)), "probability": many(many(maybe(NUMBER)))}
    ),
}  # fmt: skip
PROJECTION = asked("projection", TEXT, "`PRE>POST`; all when left out")
COLUMN = placed("column", whole(0, 99_999_999_999), "A column's number", 0)
GID = placed("gid", whole(0, 99_999_999_999), "A neuron", 0)
HOW = asked("how", one_of("first", "mean", "sum", "count"), "What becomes of several values of one neuron")
BINS = asked("bins", whole(1, MOST_BINS), "How many")


def paths() -> Paths:
    """Operations on networks."""
    attributes = asked("attributes", TEXT, "Names with commas", example="Connections/distance")
    corners = [asked(name, TEXT, "x,y,z in µm", needed=True, example="0,0,0") for name in ("low", "high")]
    limit = asked("limit", whole(1, MOST_EDGES), f"About how many; {DEFAULT_EDGES:,} when left out")
    reach = asked("reach", {**NUMBER, "minimum": SHORTEST_UM, "maximum": LONGEST_UM}, "How far, in µm")
    return {
        "/api/networks/{network_id}": _json("What there is in a network", "Network"),
        "/api/networks/{network_id}/coordinates": _bytes("x, y, z of each neuron, float32 `(neurons, 3)`", OCTETS),
        "/api/networks/{network_id}/columns/{column}": _json("What a column holds", "NetworkColumn", COLUMN, HOW),
        "/api/networks/{network_id}/columns/{column}.bin": _bytes("A column's values", OCTETS, COLUMN, HOW),
        "/api/networks/{network_id}/inputs/{gid}": _bytes(
            "What is connected to a neuron", MEDIA_TYPE, GID, attributes, PROJECTION
        ),
        "/api/networks/{network_id}/outputs/{gid}": _bytes(
            "What a neuron is connected to", MEDIA_TYPE, GID, attributes, PROJECTION
        ),
        "/api/networks/{network_id}/box": _bytes("Neurons in a box", MEDIA_TYPE, *corners),
        "/api/networks/{network_id}/degrees": _bytes("Connections of each neuron", MEDIA_TYPE, PROJECTION),
        "/api/networks/{network_id}/degrees/histogram": _json("How many have how many", "Degrees", BINS, PROJECTION),
        "/api/networks/{network_id}/edges": _bytes("Connections to draw, evenly spread", MEDIA_TYPE, limit, PROJECTION),
        "/api/networks/{network_id}/distances": _json(
            "How likely a connection is, by distance", "Distances", BINS, reach, PROJECTION
        ),
        "/api/networks/{network_id}/matrix": _json("Connections between populations", "Wiring"),
        "/api/networks/{network_id}/matrix/binned": _bytes(
            "Connections between neighbouring neurons", MEDIA_TYPE, BINS, PROJECTION
        ),
    }


def _json(summary: str, schema: str, *parameters: JSON) -> JSON:
    return _get(summary, content(DOCUMENT, ref("schemas", schema)), parameters)


def _bytes(summary: str, media: str, *parameters: JSON) -> JSON:
    return _get(summary, content(media, BYTES), parameters)


def _get(summary: str, body: JSON, parameters: tuple[JSON, ...]) -> JSON:
    network = ref("parameters", "network_id")
    return {
        "get": operation(
            NETWORKS, summary, told(summary, body), parameters=[network, *parameters], refuses=(400, *SOURCE), kept=True
        )
    }

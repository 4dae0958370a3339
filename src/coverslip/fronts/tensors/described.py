"""The catalog, images and health, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    ANY,
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
    WHOLE,
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
    sent,
    told,
    whole,
)

CATALOG, IMAGES, HEALTH = "Catalog", "Images", "Health"
TAGS = {
    CATALOG: "What is on offer.",
    IMAGES: "Pixels of every image, and pictures of them. `array_id` holds slashes, written as they are or as `%2F`. "
    "The WebSocket `/ws/render`, which OpenAPI has no words for, is described in docs/reference/http-images.md.",
    HEALTH: "For who watches over the server; answered without a token.",
}
RAW = ("X-Shape", "X-Dtype", "X-Dim-Labels")
COUNTS = ("X-Total-Sources", "X-Returned-Sources", "X-Truncated")
PICTURES = ("image/webp", "image/png", "image/jpeg")
ID, ARRAY, VERSION = ref("parameters", "source_id"), ref("parameters", "array_id"), ref("parameters", "v")

TENSOR = obj(
    {"array_id": TEXT, "name": TEXT, "dim_labels": many(TEXT), "shape": many(COUNT), "chunk_shape": many(COUNT),
     "dtype": TEXT}
)  # fmt: skip
SCHEMAS: dict[str, JSON] = {
    "Tensor": TENSOR,
    "Source": obj(
        {
            "source_id": TEXT,
            "name": TEXT,
            "source_url": TEXT,
            "source_type": maybe(TEXT),
            "kind": TEXT,
            "status": one_of("ready", "pending", "live", "failed"),
            "version": maybe(TEXT),
            "size_bytes": maybe(COUNT),
            "modified": maybe(NUMBER),
            "indexed_at": maybe(NUMBER),
            "error": maybe(obj({"code": TEXT, "message": TEXT, "hint": TEXT})),
            "metadata_json": maybe(TEXT),
            "tensors": maybe(many(ref("schemas", "TensorOfSource"))),
            "facts": maybe(by_name(COUNT)),
        }
    ),
    "TensorOfSource": obj({"array_id": TEXT, "name": TEXT, "dim_labels": many(TEXT), "shape": many(COUNT)}),
    "Catalog": obj(
        {"revision": WHOLE, "sources": COUNT, "by_kind": by_name(COUNT), "by_status": by_name(COUNT), "failed": COUNT,
         "scanning": FLAG, "scanned": FLAG, "roots": many(TEXT)}
    ),
    "TileInfo": obj(
        {
            **TENSOR["properties"],
            "source_id": TEXT,
            "version": TEXT,
            "axes": many(obj({"name": TEXT, "type": maybe(TEXT), "unit": maybe(TEXT), "scale": maybe(NUMBER)})),
            "tile_size": COUNT,
            "picture": FLAG,
            "levels": many(obj({"level": COUNT, "shape": many(COUNT), "downsample": many(NUMBER)})),
            "rgb": FLAG,
            "is_label": FLAG,
            "channels": many(
                obj({"index": COUNT, "label": TEXT, "color": TEXT, "active": FLAG, "window": maybe(OBJECT)})
            ),
            "labels": many(TEXT),
            "plate": maybe(OBJECT),
            "siblings": many(obj({"array_id": TEXT, "name": TEXT})),
        }
    ),
    "Statistics": obj(
        {
            "channels": many(
                obj(
                    {"index": maybe(COUNT), "min": maybe(NUMBER), "max": maybe(NUMBER), "mean": maybe(NUMBER),
                     "std": maybe(NUMBER), "percentiles": maybe(OBJECT), "histogram": maybe(OBJECT), "level": COUNT,
                     "sampled": FLAG}
                )
            )
        }
    ),
    "Slice": obj(
        {"source_id": TEXT},
        {
            "tensor_id": maybe(TEXT),
            "slice_start": maybe(many(COUNT, maxItems=8)),
            "slice_stop": maybe(many(COUNT, maxItems=8)),
            "scale_hint": maybe(many(whole(1, 1 << 20), maxItems=8)),
            "reduction_method": maybe(
                one_of("mean", "area", "average", "linear", "max", "nearest", "stride", "decimate", "precompute")
            ),
            "pixel_budget": maybe(whole(1)),
        },
    ),
    "Health": obj({"status": one_of("ok", "degraded"), "timestamp": TEXT}),
    "Readiness": obj(
        {"status": one_of("ok", "degraded"), "timestamp": TEXT, "ready": FLAG, "dev_mode": FLAG, "service": TEXT,
         "version": TEXT, "backend_health": OBJECT, "source_count": COUNT}
    ),
}  # fmt: skip
SCHEMAS["Render"] = {
    "allOf": [
        ref("schemas", "Slice"),
        obj(
            None,
            {
                "percentile_lo": maybe({**NUMBER, "minimum": 0, "maximum": 100}),
                "percentile_hi": maybe({**NUMBER, "minimum": 0, "maximum": 100}),
                "color": maybe(TEXT),
                "channel_name": maybe(TEXT),
                "use_min_max": maybe(FLAG),
                "output_format": maybe(one_of("png", "jpeg", "webp", "raw")),
            },
        ),
    ]
}
PLANE = (
    asked("t", COUNT, "Element of the axis `t`"),
    asked("z", COUNT, "Element of the axis `z`"),
    asked("c", COUNT, "Channel"),
    asked("sel", many(TEXT), "`axis:index` of any other axis; repeat for several", example=["t:0"]),
    asked("project", one_of("z", "t"), "Axis over which the maximum is taken"),
)


def pixels(words: str) -> JSON:
    """Pixels as they are, or a picture of them."""
    pictures = [content(media, BYTES) for media in PICTURES]
    return told(words, content(OCTETS, BYTES), *pictures)


def paths() -> Paths:
    """Operations of the catalog, of images, and of health."""
    return {**_catalog(), **_images(), **_slices(), **_health()}


def _catalog() -> Paths:
    sort = [f"{sign}{name}" for name in ("name", "kind", "size", "modified") for sign in ("", "-")]
    listing = (
        asked("limit", COUNT, "The most sources of one answer; all when left out"),
        asked("offset", COUNT, "How many to leave out first"),
        asked("search", TEXT, "Words that a name, a path or a channel holds"),
        asked("kind", one_of("cells", "images", "network", "arrays"), "Only sources of this kind"),
        asked("status", one_of("ready", "pending", "live", "failed"), "Only sources in this state"),
        asked("sort", one_of(*sort), "Order; `-` turns it round"),
    )
    rows = content(DOCUMENT, many(ref("schemas", "Source")))
    query = sent("SQL in DuckDB's dialect over the table `sources`", obj({"sql": TEXT}),
                 example={"sql": "SELECT name FROM sources LIMIT 5"})  # fmt: skip
    return {
        "/api/sources": {
            "get": operation(
                CATALOG, "Sources, by page", told("Sources", rows, headers=COUNTS), parameters=listing,
                refuses=(400, 422), kept=True,
            )
        },
        "/api/sources/{source_id}": {
            "get": operation(CATALOG, "One source", told("The source", content(DOCUMENT, ref("schemas", "Source"))),
                             parameters=[ID], refuses=(404,))
        },
        "/api/sources/{source_id}/metadata": {
            "get": operation(
                CATALOG, "The file's own metadata", told("Metadata", content(DOCUMENT, ANY)), kept=True,
                parameters=[ID, asked("path", TEXT, "The image in the source"), VERSION],
            )
        },
        "/api/sources/{source_id}/ticket/{ticket}": {
            "get": operation(
                CATALOG, "The chunk that a ticket of Arrow Flight stands for",
                told("Elements, little-endian", content(OCTETS, BYTES), headers=("X-Shape", "X-Dtype")), kept=True,
                parameters=[ID, placed("ticket", {**TEXT, "pattern": "^([0-9a-f]{2})+$"}, "In hexadecimal digits")],
                refuses=(400, *SOURCE),
            )
        },
        "/api/sources/query": {
            "post": operation(
                CATALOG, "Rows of the catalog by SQL",
                told("Rows", content(DOCUMENT, many(OBJECT)), headers=COUNTS), body=query,
                refuses=(400, 408, 413, 415, 422, 503),
            )
        },
        "/api/catalog": {
            "get": operation(CATALOG, "How much there is, and whether it is being looked at",
                             told("Counts", content(DOCUMENT, ref("schemas", "Catalog"))), refuses=())
        },
        "/api/thumbnail/{array_id}": {
            "get": operation(
                CATALOG, "A small picture of a source or an image",
                told("A picture", *(content(m, BYTES) for m in PICTURES)), kept=True,
                parameters=[ARRAY, asked("size", whole(16, 1024, 256), "The longest side, in pixels"),
                            asked("fmt", one_of("webp", "png", "jpeg"), "Form of the picture"), VERSION],
            )
        },
    }  # fmt: skip


def _images() -> Paths:
    tile = (
        asked("level", COUNT, "Level; 0 is the whole image"),
        asked("row", COUNT, "Row of tiles"),
        asked("col", COUNT, "Column of tiles"),
        asked("size", whole(64, 4096), "Width and height of a tile; `tile_size` when left out"),
        asked("fmt", one_of("raw", "webp", "png", "jpeg"), "Pixels as they are, or a picture"),
        asked("window", TEXT, "`lo,hi`: values shown black and in full colour", example="0,255"),
        asked("color", TEXT, "`#rrggbb` or a name", example="#00ff00"),
        asked("gamma", {**NUMBER, "minimum": 0.05, "maximum": 20}, "Gamma"),
        asked("channels", TEXT, "Several channels at once: `0:lo:hi:rrggbb,1:…`", example="0:0:255:ff0000"),
    )
    info = told("Description", content(DOCUMENT, ref("schemas", "TileInfo")))
    figures = told("Figures", content(DOCUMENT, ref("schemas", "Statistics")))
    return {
        "/api/tile_info/{array_id}": {
            "get": operation(IMAGES, "An image: axes, levels, channels", info, parameters=[ARRAY, VERSION], kept=True)
        },
        "/api/tile/{array_id}": {
            "get": operation(IMAGES, "One tile of one plane", pixels("The tile"), kept=True,
                             parameters=[ARRAY, *tile, *PLANE, VERSION])
        },
        "/api/statistics/{array_id}": {
            "get": operation(IMAGES, "Extremes, mean, percentiles and a histogram of a plane", figures, kept=True,
                             parameters=[ARRAY, *PLANE, VERSION])
        },
    }  # fmt: skip


def _slices() -> Paths:
    box = (
        asked("level", COUNT, "Level; 0 is the whole image"),
        asked("start", TEXT, "First element on each axis, with commas", example="0,0"),
        asked("stop", TEXT, "Element after the last on each axis", example="1,1"),
        asked("scale", TEXT, "How many elements become one on each axis", example="1,1"),
        asked("reduce", one_of("mean", "max", "nearest"), "How they do"),
    )
    elements = told("Elements, little-endian, C order", content(OCTETS, BYTES), headers=RAW)
    picture = {
        name: f"{name} of the picture"
        for name in ("X-Image-Width", "X-Image-Height", "X-Percentile-Lo-Value", "X-Percentile-Hi-Value")
    }
    drawn = {**pixels("A picture, or elements with `output_format` `raw`")}
    drawn["headers"] = {name: ref("headers", name) for name in (*picture, "X-Loaded-Region")}
    refuses = (400, 415, *SOURCE)
    return {
        "/api/block/{array_id}": {
            "get": operation(IMAGES, "Any box of an image, streamed", elements, parameters=[ARRAY, *box, VERSION],
                             kept=True)
        },
        "/api/slice": {
            "post": operation(IMAGES, "Any box of an image, in elements of level 0", elements, refuses=refuses,
                              parameters=[VERSION], kept=True,
                              body=sent("The box", ref("schemas", "Slice"), example={"source_id": "x"}))
        },
        "/api/render": {
            "post": operation(IMAGES, "A picture of a box", drawn, refuses=refuses, parameters=[VERSION], kept=True,
                              body=sent("The box, and how it is drawn", ref("schemas", "Render"),
                                        example={"source_id": "x"}))
        },
    }  # fmt: skip


def _health() -> Paths:
    ready = content(DOCUMENT, ref("schemas", "Readiness"))
    return {
        "/livez": {
            "get": operation(HEALTH, "Whether it runs", told("It runs", content(DOCUMENT, ref("schemas", "Health"))),
                             refuses=(), open_=True)
        },
        "/readyz": {
            "get": operation(HEALTH, "Whether every protocol is spoken by now", told("All of them", ready), refuses=(),
                             further={503: told("Not yet", ready)}, open_=True)
        },
        "/healthz": {
            "get": operation(HEALTH, "The same, always with status 200", told("As `ready` says", ready), refuses=(),
                             open_=True)
        },
    }  # fmt: skip

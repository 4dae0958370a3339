"""What who runs a server asks of it, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    ANY,
    COUNT,
    DOCUMENT,
    FLAG,
    JSON,
    NUMBER,
    OBJECT,
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
    sent,
    told,
)

ADMIN = "Administration"
TAGS = {ADMIN: "For who runs the server."}
SCHEMAS: dict[str, JSON] = {
    "Diagnostics": obj(
        {
            "timestamp": TEXT,
            "uptime_seconds": NUMBER,
            "requests": obj({"count": COUNT, "refused": COUNT, "failed": COUNT, "recent": COUNT, "latency_ms": OBJECT}),
            "cache": obj(
                {"hits": COUNT, "misses": COUNT, "hit_rate": maybe(NUMBER), "entries": COUNT, "bytes": COUNT}
            ),
            "last_error": maybe(obj({"time": TEXT, "status": COUNT, "code": TEXT, "message": TEXT, "path": TEXT})),
        }
    ),
    "Status": obj(
        {"status": one_of("ok"), "service": TEXT, "version": TEXT, "pid": COUNT, "python": TEXT, "platform": TEXT,
         "started_at": TEXT, "uptime_seconds": NUMBER, "memory_bytes": maybe(COUNT), "config": maybe(TEXT),
         "server": OBJECT, "catalog": ref("schemas", "Catalog")}
    ),
    "Folder": obj(
        {
            "path": TEXT,
            "parent": maybe(TEXT),
            "truncated": FLAG,
            "entries": many(
                obj({"name": TEXT, "path": TEXT, "type": one_of("directory", "file"), "size": maybe(COUNT),
                     "modified": maybe(NUMBER)})
            ),
        }
    ),
    "Configuration": obj(
        {"config": OBJECT, "effective": OBJECT, "schema": OBJECT, "path": maybe(TEXT), "writable": FLAG}
    ),
}  # fmt: skip


def paths() -> Paths:
    """Operations of the administration."""
    saved = obj({"saved": FLAG, "restart_required": FLAG, "path": TEXT})
    faults = obj({"detail": TEXT, "errors": many(obj({"path": TEXT, "message": TEXT}))})
    if_match = {"name": "If-Match", "in": "header", "required": False, "schema": TEXT,
                "description": "The ETag that `GET` told: refused when the file was changed since"}  # fmt: skip
    return {
        "/api/diagnostics": {
            "get": operation(
                ADMIN, "How it does", told("Figures", content(DOCUMENT, ref("schemas", "Diagnostics"))), refuses=(429,)
            )
        },
        "/api/admin/status": {
            "get": operation(ADMIN, "What runs", told("The process", content(DOCUMENT, ref("schemas", "Status"))),
                             refuses=())
        },
        "/api/admin/browse": {
            "get": operation(
                ADMIN, "What lies in an offered folder", told("Entries", content(DOCUMENT, ref("schemas", "Folder"))),
                parameters=[asked("path", TEXT, "`ROOT/relative/path`; what is offered when left out")],
                refuses=(403, 404, 502),
            )
        },
        "/api/config": {
            "get": operation(
                ADMIN, "The configuration file, and what the server runs with",
                told("The configuration, without its secrets", content(DOCUMENT, ref("schemas", "Configuration"))),
                refuses=(403, 502), further={304: told("As it was")},
            ),
            "put": operation(
                ADMIN, "A new configuration", told("Written", content(DOCUMENT, saved)), parameters=[if_match],
                body=sent("The whole of it, or `{\"config\": …}`", obj(None, {"config": ANY}), example={"server": {}}),
                refuses=(400, 409, 412, 413, 415, 502, 507),
                further={422: told("It could not be started with", content(DOCUMENT, faults))},
            ),
        },
    }  # fmt: skip

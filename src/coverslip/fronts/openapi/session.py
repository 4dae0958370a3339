"""The exchange of a token for a cookie, and this description itself, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    DOCUMENT,
    FLAG,
    NUMBER,
    OBJECT,
    TEXT,
    Paths,
    content,
    obj,
    one_of,
    operation,
    ref,
    sent,
    told,
)

ACCESS = "Access"
TAGS = {ACCESS: "Tokens (SECURITY.md). Without a token the server answers this machine only."}
SCHEMAS = {
    "Session": obj(
        {"token_needed": FLAG, "authenticated": FLAG},
        {"scope": one_of("admin", "read", "share"), "source": TEXT, "ends": NUMBER},
    ),
    "Problem": obj({"error": obj({"code": TEXT, "message": TEXT, "hint": TEXT}), "detail": TEXT}),
}
SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "`Authorization: Bearer TOKEN`"},
    "basic": {"type": "http", "scheme": "basic", "description": "Any user, the token as the password"},
    "header": {"type": "apiKey", "in": "header", "name": "X-Biopb-Token", "description": "As biopb's clients show it"},
    "query": {
        "type": "apiKey",
        "in": "query",
        "name": "token",
        "description": "Exchanged for the cookie at once: answered 303 without it",
    },
    "cookie": {
        "type": "apiKey",
        "in": "cookie",
        "name": "coverslip_token_8765",
        "description": "Given by `POST /api/session`; its name ends with the server's port",
    },
}
"""Where a token may be shown; any one of them will do."""


def paths() -> Paths:
    """Operations of access."""
    session = told("Whether a token is needed, and the cookie is there", content(DOCUMENT, ref("schemas", "Session")))
    return {
        "/api/session": {
            "get": operation(ACCESS, "Whether a token is needed", session, refuses=(), open_=True),
            "post": operation(
                ACCESS, "The cookie for a token", session, refuses=(400, 401, 415, 429), open_=True,
                body=sent("The token", obj({"token": TEXT}), example={"token": "…"}),
            ),
        },
        "/api/openapi.json": {
            "get": operation(
                ACCESS, "This description", told("OpenAPI 3.1", content(DOCUMENT, OBJECT)), refuses=(), kept=True
            )
        },
    }  # fmt: skip

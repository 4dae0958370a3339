"""Links to one source and other tokens, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    COUNT,
    DOCUMENT,
    NUMBER,
    TEXT,
    Paths,
    content,
    many,
    maybe,
    obj,
    operation,
    placed,
    sent,
    told,
)

SHARING = "Sharing"
TAGS = {SHARING: "For who shows the token that opens everything."}


def paths() -> Paths:
    """Operations of access."""
    made = {"id": TEXT, "source": TEXT, "label": TEXT, "token": TEXT, "expires": TEXT, "expires_s": COUNT}
    link = obj(made, {"fragment": TEXT})
    note = obj({
        "id": TEXT, "source": TEXT, "name": TEXT, "label": TEXT, "made": TEXT, "made_s": NUMBER, "expires": TEXT,
        "expires_s": NUMBER, "revoked": maybe(TEXT), "revoked_s": maybe(NUMBER),
    })  # fmt: skip
    tokens = obj({"token": TEXT, "read_token": maybe(TEXT), "grace_s": NUMBER})
    return {
        "/api/shares": {
            "get": operation(
                SHARING, "The links that have not ended, also those that were taken back",
                told("The links, without their secrets", content(DOCUMENT, obj({"shares": many(note)}))),
                refuses=(409, 502),
            ),
            "post": operation(
                SHARING, "A link that opens one source to read, and ends", told("The link", content(DOCUMENT, link)),
                body=sent("The source, by its id, name or path; seconds that it opens (a week without); whom it is for",
                          obj({"source": TEXT}, {"expires_s": NUMBER, "label": TEXT}),
                          example={"source": "…", "expires_s": 604800, "label": "for Ada"}),
                refuses=(400, 404, 409, 413, 415, 502, 507),
            ),
        },
        "/api/shares/{link}": {
            "delete": operation(
                SHARING, "Take a link back: it, its cookies and its connections end",
                told("What is listed of it", content(DOCUMENT, note)),
                parameters=[placed("link", TEXT, "The link's id, as the list tells it", "0123456789abcdef")],
                refuses=(404, 409, 502, 507),
            )
        },
        "/api/admin/token": {
            "post": operation(
                SHARING, "Other tokens from now on; cookies and links of the old one end",
                told("The new tokens", content(DOCUMENT, tokens)),
                body=sent("The new tokens, made where left out; seconds that the old ones still hold",
                          obj(None, {"token": TEXT, "read_token": TEXT, "grace_s": NUMBER}), example={"grace_s": 0}),
                refuses=(400, 409, 413, 415, 507),
            )
        },
    }  # fmt: skip

"""Links to one source and other tokens, as OpenAPI describes them."""

from __future__ import annotations

from coverslip.fronts.openapi.words import (
    COUNT,
    DOCUMENT,
    NUMBER,
    TEXT,
    Paths,
    content,
    maybe,
    obj,
    operation,
    sent,
    told,
)

SHARING = "Sharing"
TAGS = {SHARING: "For who shows the token that opens everything."}


def paths() -> Paths:
    """Operations of access."""
    link = obj({"source": TEXT, "token": TEXT, "fragment": TEXT, "expires": TEXT, "expires_s": COUNT})
    tokens = obj({"token": TEXT, "read_token": maybe(TEXT), "grace_s": NUMBER})
    return {
        "/api/shares": {
            "post": operation(
                SHARING, "A link that opens one source to read, and ends", told("The link", content(DOCUMENT, link)),
                body=sent("The source, by its id, name or path; seconds that the link opens (a week when left out)",
                          obj({"source": TEXT}, {"expires_s": NUMBER}), example={"source": "…", "expires_s": 604800}),
                refuses=(400, 404, 409, 413, 415),
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

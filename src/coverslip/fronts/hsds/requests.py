"""What a request of HSDS's protocol asks for.

Source: the HDF REST API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request

from coverslip.core.errors import BadRequest, TooLarge
from coverslip.fronts.prefixed import as_sent

OCTETS = "application/octet-stream"
MOST_BODY_BYTES = 64 << 20
MOST_JSON_BYTES = 16 << 20
MOST_LISTED = 1000
Query = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Asked:
    """One request: its method, where it was sent to, what it names, and its body."""

    method: str
    parts: tuple[str, ...]
    query: Query
    base: str
    accept: str
    body: bytes
    media_type: str

    @property
    def binary(self) -> bool:
        """Whether bytes are wanted."""
        return OCTETS in self.accept

    @property
    def domain(self) -> str:
        """The path of the domain; a name of a bucket before it is left out."""
        name = self.query.get("domain") or self.query.get("host") or ""
        if name and not name.startswith("/"):
            _, slash, rest = name.partition("/")
            name = f"/{rest}" if slash else name
        return name

    @property
    def suffix(self) -> str:
        """The domain as links of answers carry it."""
        return f"?domain={quote(self.domain, safe='/', errors='surrogateescape')}"


async def asked_of(request: Request, prefix: str) -> Asked:
    """What is asked for, below ``prefix`` of the address."""
    root = request.scope.get("root_path", "").strip("/")
    raw = request.scope.get("raw_path") or request.scope["path"].encode()
    above = [part for part in f"{root}/{prefix}".split("/") if part]
    parts = raw.decode("latin-1").partition("?")[0].split("/")[1:][len(above) :]
    while parts and not parts[-1]:
        parts.pop()
    base = f"{request.url.scheme}://{request.headers.get('host', '')}{as_sent(request.scope)}"
    base += "".join(f"/{part}" for part in prefix.split("/") if part)
    names = tuple(unquote(part, errors="surrogateescape") for part in parts)
    query = dict(request.query_params)
    if "domain" not in query and (header := request.headers.get("x-hdf-domain")):
        query["domain"] = header
    body = await _body(request) if request.method == "POST" else b""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return Asked(request.method, names, query, base, request.headers.get("accept", ""), body, media_type)


async def _body(request: Request) -> bytes:
    """The body of a POST.

    Raises
    ------
    TooLarge
        When it is larger than a list of points needs to be.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise TooLarge(f"A body has at most {MOST_BODY_BYTES} bytes", "Ask for fewer points at once.")
        parts.append(part)
    return b"".join(parts)


def json_in(body: bytes) -> Any:
    """What a body says in JSON.

    Raises
    ------
    BadRequest
        When it is none.
    TooLarge
        When it is larger than questions are: what it makes takes many times its size.
    """
    if len(body) > MOST_JSON_BYTES:
        raise TooLarge(f"A body of JSON has at most {MOST_JSON_BYTES} bytes", "Send points as bytes.")
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise BadRequest("Unable to load JSON body") from None


def wishes(body: bytes, names: str, ids: str, own: str) -> dict[str, list[str] | None]:
    """Which names of which objects a POST asks for; None = all of them."""
    told_body = json_in(body)
    if not isinstance(told_body, dict) or not (names in told_body or ids in told_body):
        raise BadRequest(f"Expected body to contain one of {names}, {ids}")
    wished, several = told_body.get(names), told_body.get(ids)
    if not (wished is None or _texts(wished)):
        raise BadRequest(f"{names} is a list of names")
    if several is None:
        return {own: wished}
    if _texts(several):
        return dict.fromkeys(several, wished)
    if isinstance(several, dict) and wished is None and all(v is None or _texts(v) for v in several.values()):
        return several
    raise BadRequest(f"{ids} is a list of ids, or names by id")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LISTED and all(isinstance(v, str) for v in value)


def is_single(body: bytes) -> bool:
    """Whether a POST asks about one object only."""
    return not any(key in msgspec.json.decode(body) for key in ("grp_ids", "obj_ids"))

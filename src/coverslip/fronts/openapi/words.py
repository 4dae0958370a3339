"""Words that the descriptions of the fronts are written in: pieces of an OpenAPI 3.1 document.

Source: OpenAPI Specification 3.1.1, JSON Schema 2020-12.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

JSON = dict[str, Any]
Paths = dict[str, JSON]
"""Operations by method, by path."""

TEXT: JSON = {"type": "string"}
NUMBER: JSON = {"type": "number"}
WHOLE: JSON = {"type": "integer"}
COUNT: JSON = {"type": "integer", "minimum": 0}
FLAG: JSON = {"type": "boolean"}
ANY: JSON = {}
OBJECT: JSON = {"type": "object"}
BYTES: JSON = {"type": "string", "contentMediaType": "application/octet-stream"}
OCTETS, DOCUMENT, PLAIN, GZIP = "application/octet-stream", "application/json", "text/plain", "application/gzip"

GATE = (401, 403, 404, 421, 429)
"""What the gate refuses before any front is asked; for who has a link to one source, nothing else is there."""
SOURCE = (404, 408, 413, 422, 502, 503)
"""What there is to say of a source that is not there, is damaged, is being written, or is asked for too much of."""
REASONS = {
    400: "The request cannot be understood",
    401: "No token, or a wrong one",
    403: "A page of another origin asked, a token for reading does not do, or this is not offered",
    404: "There is no such thing",
    405: "This is not done here",
    408: "It took longer than it may",
    409: "A name that several things answer to, or a state in which there is no answer",
    410: "The id is of an earlier version of the file",
    412: "It was changed meanwhile",
    413: "More than one answer may hold",
    415: "The body is not JSON",
    416: "The range lies outside",
    421: "This server does not answer to that host name",
    422: "What is asked for does not fit the data, or the file holds what is not read",
    429: "Too often, or too many wrong tokens",
    501: "The file needs what is not installed, or is not read",
    502: "The file is damaged or cannot be read",
    503: "Busy, or being written: try again",
    507: "The disk is full",
}


def ref(kind: str, name: str) -> JSON:
    """A reference to a component."""
    return {"$ref": f"#/components/{kind}/{name}"}


def maybe(schema: JSON) -> JSON:
    """What is described, or null."""
    if isinstance(schema.get("type"), str) and "enum" not in schema:
        return {**schema, "type": [schema["type"], "null"]}
    return {"anyOf": [schema, {"type": "null"}]}


def many(schema: JSON, **bounds: int) -> JSON:
    """A list."""
    return {"type": "array", "items": schema, **bounds}


def one_of(*values: Any) -> JSON:
    """One of some values."""
    return {"enum": list(values)}


def obj(needed: Mapping[str, JSON] | None = None, further: Mapping[str, JSON] | None = None) -> JSON:
    """An object: what is always there, and what may be; there may be more."""
    needed, further = dict(needed or {}), dict(further or {})
    made: JSON = {"type": "object", "properties": {**needed, **further}}
    return {**made, "required": list(needed)} if needed else made


def by_name(schema: JSON) -> JSON:
    """An object of values that are alike, by any name."""
    return {"type": "object", "additionalProperties": schema}


def whole(least: int = 0, most: int | None = None, default: int | None = None) -> JSON:
    """A whole number within bounds."""
    made: JSON = {"type": "integer", "minimum": least}
    if most is not None:
        made["maximum"] = most
    return made if default is None else {**made, "default": default}


def asked(name: str, schema: JSON, words: str, *, needed: bool = False, example: Any = None) -> JSON:
    """A parameter of the query."""
    made: JSON = {"name": name, "in": "query", "required": needed, "description": words, "schema": schema}
    return made if example is None else {**made, "example": example}


def placed(name: str, schema: JSON, words: str, example: Any = None) -> JSON:
    """A parameter of the path."""
    made: JSON = {"name": name, "in": "path", "required": True, "description": words, "schema": schema}
    return made if example is None else {**made, "example": example}


def content(media: str, schema: JSON) -> JSON:
    """A body of one media type."""
    return {media: {"schema": schema}}


def told(words: str, *bodies: JSON, headers: Iterable[str] = ()) -> JSON:
    """An answer."""
    made: JSON = {"description": words}
    if bodies:
        made["content"] = {media: about for body in bodies for media, about in body.items()}
    named = {name: ref("headers", name) for name in headers}
    return {**made, "headers": named} if named else made


def sent(words: str, schema: JSON, media: str = DOCUMENT, example: Any = None) -> JSON:
    """A body that a request carries."""
    about: JSON = {"schema": schema} if example is None else {"schema": schema, "example": example}
    return {"required": True, "description": words, "content": {media: about}}


def operation(
    tag: str,
    summary: str,
    answer: JSON,
    *,
    refuses: Iterable[int] = SOURCE,
    errors: str = "Problem",
    parameters: Iterable[JSON] = (),
    body: JSON | None = None,
    kept: bool = False,
    status: int = 200,
    further: Mapping[int, JSON] | None = None,
    open_: bool = False,
) -> JSON:
    """What one method of one path does.

    Parameters
    ----------
    answer, status
        The answer, and its status.
    refuses, errors
        Statuses of errors, and the component of `responses` that is their form.
    kept
        Whether the answer has an ETag and takes ranges: 206, 304 and 416.
    further
        Answers with other statuses.
    open_
        Whether it is answered without a token.
    """
    responses: JSON = {str(status): answer}
    if kept:
        responses["206"] = {**answer, "description": "The bytes asked for with `Range`"}
        responses["304"] = ref("responses", "Same")
        responses["416"] = ref("responses", "Outside")
    for code in refuses:
        responses[str(code)] = problem(code, errors)
    for code in (421,) if open_ else GATE:
        responses[str(code)] = problem(code, "Problem" if str(code) not in responses else f"{errors}OrProblem")
    for code, about in (further or {}).items():
        responses[str(code)] = about
    made: JSON = {"tags": [tag], "summary": summary, "responses": dict(sorted(responses.items()))}
    listed = list(parameters)
    if listed:
        made["parameters"] = listed
    if body is not None:
        made["requestBody"] = body
    return {**made, "security": []} if open_ else made


def problem(code: int, errors: str) -> JSON:
    """An error in one of the forms in which they are told."""
    return ref("responses", f"{errors}{code}")


def responses() -> dict[str, JSON]:
    """Every answer that `operation` refers to."""
    found = {
        f"{name}{code}": {"description": words, "content": form}
        for name, form in ERRORS.items()
        for code, words in REASONS.items()
    }
    same = {"description": "As it was: `If-None-Match` names it"}
    return {"Same": same, "Outside": {"description": REASONS[416]}, **found}


ERRORS: dict[str, JSON] = {
    "Problem": content(DOCUMENT, ref("schemas", "Problem")),
    "Line": content(PLAIN, TEXT),
    "Message": content(DOCUMENT, ref("schemas", "Message")),
}
ERRORS["ProblemOrProblem"] = ERRORS["Problem"]
ERRORS["LineOrProblem"] = {**ERRORS["Line"], **ERRORS["Problem"]}
ERRORS["MessageOrProblem"] = content(DOCUMENT, {"anyOf": [ref("schemas", "Message"), ref("schemas", "Problem")]})
"""Forms of errors: ours, one line of text (HSDS's), and h5grove's; or the gate's, where it refuses the same way."""


def headers(**words: str) -> JSON:
    """Headers of answers, by what they mean; ``_`` is ``-``."""
    return {name.replace("_", "-"): {"description": about, "schema": TEXT} for name, about in words.items()}

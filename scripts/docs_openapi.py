"""The description of what is answered over HTTP as tables of a page."""

from __future__ import annotations

import re
from typing import Any

from coverslip.fronts.openapi.document import document
from coverslip.fronts.openapi.words import GATE

KEPT = {"206", "304", "416"}
LEFT_OUT = {str(code) for code in GATE} | KEPT


def openapi_page() -> str:
    """A section for each tag: its operations, what they take, and what they answer."""
    whole = document("", notebook=True)
    parts = []
    for tag in whole["tags"]:
        rows = [row(whole, path, method, one) for path, method, one in listed(whole, tag["name"])]
        head = "| request | | takes | answers | refuses with |\n|---|---|---|---|---|"
        parts.append("\n".join([f"## {tag['name']}", "", tag["description"], "", head, *rows, ""]))
    return "\n".join(parts)


def listed(whole: dict[str, Any], tag: str) -> list[tuple[str, str, dict[str, Any]]]:
    """Operations of a tag, without those that are another form of one."""
    return [
        (path, method, one)
        for path, methods in whole["paths"].items()
        for method, one in methods.items()
        if tag in one["tags"] and "x-same-as" not in one
    ]


def row(whole: dict[str, Any], path: str, method: str, one: dict[str, Any]) -> str:
    """One operation."""
    responses = one["responses"]
    good = [f"{code} {media(responses[code])}".strip() for code in responses if code < "300" and code not in KEPT]
    told = [*good, *(["ETag"] if "304" in responses else [])]
    refused = ", ".join(code for code in responses if code >= "400" and code not in LEFT_OUT)
    takes = [parameter(whole, given) for given in one.get("parameters", ())]
    takes = [*filter(None, takes), *([f"body: {body(one)}"] if "requestBody" in one else [])]
    cells = [f"`{method.upper()} {path}`", one["summary"], "; ".join(takes), "; ".join(told), refused]
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def media(response: dict[str, Any]) -> str:
    """The types of an answer, shortly."""
    short = {"application/json": "JSON", "application/octet-stream": "bytes", "text/plain": "text"}
    return ", ".join(short.get(name, name) for name in response.get("content", {}))


def parameter(whole: dict[str, Any], given: dict[str, Any]) -> str:
    """A parameter of the query or of the headers; those of the path are seen in it."""
    name = given.get("$ref", "").rpartition("/")[2]
    found = whole["components"]["parameters"][name] if name else given
    if found["in"] == "path":
        return ""
    values = found["schema"].get("enum")
    shown = f"`{found['name']}`" + ("" if values is None or len(values) > 8 else f" ({', '.join(map(str, values))})")
    return f"**{shown}**" if found.get("required") else shown


def body(one: dict[str, Any]) -> str:
    """What a body is."""
    about = one["requestBody"]
    (first, schema), *_ = about["content"].items()
    named = ", ".join(f"`{name}`" for name in schema["schema"].get("properties", {}))
    words = re.sub(r"\s+", " ", about["description"])
    return f"{words}{f' ({named})' if named else ''}" if first == "application/json" else words

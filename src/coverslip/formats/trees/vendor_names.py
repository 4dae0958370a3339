"""Names and metadata as vendors write them, made into what a tree and JSON can hold."""

from __future__ import annotations

import math
import ntpath
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from xml.etree import ElementTree

from coverslip.core.errors import Damaged

ABSOLUTE = re.compile(r"(/[^/\s]+/.*|[A-Za-z]:[\\/].*|\\\\[^\\]+\\.*|file:/.*)", re.DOTALL)
MOST_DEPTH = 40


def unique_names(names: Iterable[str]) -> list[str]:
    """The same names without slashes, none of them empty and none twice; an empty one becomes its number."""
    found: list[str] = []
    seen: set[str] = set()
    for number, name in enumerate(names):
        clean = " ".join(re.sub(r"[/\\\x00-\x1f]+", " ", name).split()).strip(". ") or str(number)
        candidate, again = clean, 2
        while candidate in seen:
            candidate, again = f"{clean} ({again})", again + 1
        seen.add(candidate)
        found.append(candidate)
    return found


def plain(value: Any, depth: int = 0) -> Any:
    """``value`` as JSON can hold it: no NaN, no bytes, and of an absolute path only the last part."""
    if isinstance(value, str):
        text = value.replace("\x00", "")
        return _file_name(text) if ABSOLUTE.fullmatch(text) else text
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth > MOST_DEPTH:
        return None
    if isinstance(value, Mapping):
        return {str(k): plain(v, depth + 1) for k, v in value.items() if not isinstance(v, (bytes, bytearray))}
    if isinstance(value, Sequence) and not isinstance(value, (bytes, bytearray)):
        return [plain(v, depth + 1) for v in value]
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth + 1)
    return None


def _file_name(path: str) -> str:
    return ntpath.basename(path.rstrip("\\/")) if "\\" in path or path[1:2] == ":" else posixpath.basename(path)


def read_xml(text: str, name: str) -> ElementTree.Element:
    """The root element of XML in a file called ``name``.

    Raises
    ------
    Damaged
        When it is no XML, or declares entities.
    """
    if "<!ENTITY" in text or "<!DOCTYPE" in text:
        raise Damaged(f"The metadata of {name} declares entities", "No microscope writes that; write the file again.")
    try:
        return ElementTree.fromstring(text.rstrip("\x00 \r\n\t"))  # noqa: S314  (entities are refused above)
    except (ElementTree.ParseError, ValueError) as error:
        raise Damaged(f"The metadata of {name} is not XML: {error}", "The file is damaged; copy it again.") from error


def xml_tree(element: ElementTree.Element, depth: int = 0) -> Any:
    """An element as plain Python: its text, or a mapping of attributes (``@name``), children and text (``#text``)."""
    text = (element.text or "").strip()
    if (not element.attrib and not len(element)) or depth > MOST_DEPTH:
        return text
    found: dict[str, Any] = {f"@{key}": value for key, value in element.attrib.items()}
    for child in element:
        tag = child.tag.rpartition("}")[2] if isinstance(child.tag, str) else "?"
        value = xml_tree(child, depth + 1)
        if tag not in found:
            found[tag] = value
        elif isinstance(found[tag], list):
            found[tag].append(value)
        else:
            found[tag] = [found[tag], value]
    if text:
        found["#text"] = text
    return found


def number(text: str | None) -> float | None:
    """A finite number, or None for anything else."""
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def step_of(value: float | None, factor: float = 1.0) -> float | None:
    """A pixel size times ``factor``, rounded to 14 digits, when it is a positive number; else None."""
    return float(f"{value * factor:.14g}") if value is not None and math.isfinite(value) and value > 0 else None

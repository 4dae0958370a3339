"""What is in a source, as the catalog keeps it: its arrays, its metadata, the words it is found by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec

from coverslip.core.node import Group, Source
from coverslip.engine.store import Described, Row

MOST_METADATA = 8 << 20
"""Characters of a source's metadata that are kept."""


@dataclass(frozen=True)
class Description:
    """What is in a source.

    Attributes
    ----------
    tensors
        Its arrays; each ``path`` (inside the source, empty for its only image), ``name``, ``dim_labels``, ``shape``,
        ``chunk_shape`` and ``dtype``. The catalog makes ``array_id`` of ``path``.
    metadata
        The file's own metadata as plain data; taken from the root's attributes when left out.
    words
        What else it is to be found by: names of channels.
    kind
        ``cells``, ``images``, ``network`` or ``arrays`` where that is clearer now than from the format; None leaves it.
    """

    tensors: list[dict[str, Any]] = field(default_factory=list)
    metadata: Any = None
    words: tuple[str, ...] = ()
    kind: str | None = None


Describe = Callable[[Source], Description]


def described(row: Row, found: Description) -> Described:
    """A row with what is in it, its metadata as JSON, and the words it is found by."""
    tensors = []
    for tensor in found.tensors:
        inner = str(tensor.get("path", ""))
        rest = {key: value for key, value in tensor.items() if key != "path"}
        tensors.append({"array_id": f"{row.id}/{inner}" if inner else row.id, **rest})
    text = plain_json(found.metadata)
    if len(text) > MOST_METADATA:
        text = plain_json({"left_out": f"{len(text)} bytes of metadata are more than the catalog keeps"})
    words = " ".join((*found.words, *(str(t.get("name") or "") for t in tensors), _values(found.metadata)))
    kind = found.kind or row.kind
    clean: list[dict[str, Any]] = msgspec.json.decode(plain_json(tensors))
    return replace(row, kind=kind, tensors=clean), text, words


def plain_json(value: Any) -> str:
    """JSON of plain data and of numpy's; what is neither is written as text."""

    def plain(other: Any) -> Any:
        if isinstance(other, Mapping):
            return {str(key): item for key, item in other.items()}
        made = getattr(other, "tolist", None)
        return made() if callable(made) else str(other)

    try:
        return msgspec.json.encode(value, enc_hook=plain).decode()
    except (TypeError, ValueError, RecursionError) as error:
        return msgspec.json.encode({"left_out": f"metadata that is no JSON: {first_line(error)}"}).decode()


def completed(found: Description, root: Group) -> Description:
    """With the file's own metadata and the names of its channels, where nobody said better."""
    if found.metadata is None:
        found = replace(found, metadata=_own_metadata(root))
    return found if found.words else replace(found, words=_channels(root))


def _own_metadata(root: Group) -> Any:
    ours = root.attrs.get("coverslip")
    raw = ours.get("raw") if isinstance(ours, Mapping) else None
    if raw:
        return raw
    return {key: value for key, value in root.attrs.items() if key != "coverslip"}


def _channels(root: Group) -> tuple[str, ...]:
    omero = root.attrs.get("ome", root.attrs)
    channels = omero.get("omero", {}).get("channels", []) if isinstance(omero, Mapping) else []
    return tuple(str(c.get("label", "")) for c in channels if isinstance(c, Mapping))


def _values(value: Any, left: int = 2000) -> str:
    """The texts and numbers in plain data, at most ``left`` of them, to search in."""
    found: list[str] = []
    stack = [value]
    while stack and len(found) < left:
        item = stack.pop()
        if isinstance(item, Mapping):
            stack.extend(reversed(list(item.values())))
            found.extend(str(key) for key in item)
        elif isinstance(item, (list, tuple)):
            stack.extend(reversed(item[:100]))
        elif isinstance(item, (str, int, float)) and not isinstance(item, bool):
            found.append(str(item)[:500])
    return " ".join(found)


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    return (str(error).splitlines() or [""])[0][:300]

"""``graph.json``: how a system was made.

Source: livn's graph format: elements with ``uuid`` and ``config``, nested by name; a top-level ``version`` since 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coverslip.core.errors import Damaged, Unsupported

GRAPH_VERSION = 1
"""The newest version that is understood; documents of livn 1 have none, which counts as 0 and is read as well."""


@dataclass(frozen=True)
class Element:
    """One step of how a system was made.

    Attributes
    ----------
    uuid
        Its identifier.
    config
        What it was made with.
    kind, module, version, predicate, context, lineage
        As the document has them.
    """

    uuid: str
    config: Mapping[str, Any] = field(default_factory=dict)
    kind: str = "Element"
    module: str | None = None
    version: tuple[Any, ...] = ()
    predicate: Mapping[str, Any] | None = None
    context: Mapping[str, Any] | None = None
    lineage: tuple[str, ...] = ()


def read_elements(graph: Any) -> dict[str, Any]:
    """The elements of a document, nested as they are there.

    Raises
    ------
    Damaged
        When it is no such document.
    Unsupported
        When it is of a version that is not known yet.
    """
    if not isinstance(graph, Mapping):
        raise Damaged("graph.json is not an object", "Write the system again.")
    found = version_of(graph)
    if found > GRAPH_VERSION:
        raise Unsupported(
            f"graph.json is of version {found}; {GRAPH_VERSION} is the newest that is known", "Update coverslip."
        )
    return {name: _element(value) if isinstance(value, Mapping) else value for name, value in graph.items()}


def version_of(graph: Mapping[str, Any]) -> int:
    """The version of a document; 0 for those of before there were versions."""
    version = graph.get("version", 0)
    if isinstance(version, bool) or not isinstance(version, int) or version < 0:
        raise Damaged("The version in graph.json is no number", "Write the system again.")
    return version


def _element(value: Mapping[str, Any]) -> Any:
    if "uuid" not in value:
        return {name: _element(held) if isinstance(held, Mapping) else held for name, held in value.items()}
    known = {name: held for name, held in value.items() if name in Element.__dataclass_fields__}
    for name in ("version", "lineage"):
        if isinstance(known.get(name), list):
            known[name] = tuple(known[name])
    if not isinstance(known.get("config"), Mapping):
        known["config"] = {}
    return Element(**known)

"""Whether what was read from a file is of the types that it was written with: a file of state may be damaged, or
somebody may have written in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from coverslip.core.finite import is_finite

KINDS: dict[str, tuple[type, ...]] = {"int": (int,), "float": (int, float), "str": (str,), "bool": (bool,)}
TEXTS = "tuple[str, ...]"


def fits(cls: Any, given: Mapping[str, Any]) -> bool:
    """Whether a data class can be made of ``given``: fields of plain types, ``| None`` and tuples of text."""
    return all(_is(str(field.type), given[field.name]) for field in fields(cls) if field.name in given)


def _is(kind: str, value: Any) -> bool:
    if kind.endswith(" | None"):
        return value is None or _is(kind.removesuffix(" | None"), value)
    if kind == TEXTS:
        return isinstance(value, (list, tuple)) and all(isinstance(one, str) for one in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, KINDS[kind]) and (kind != "float" or is_finite(value))

"""Conformance suites for those who add a format (they need pytest), and made-up data."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coverslip.testing.cells import CellsTests as CellsTests
    from coverslip.testing.formats import FormatTests as FormatTests
    from coverslip.testing.formats import Golden as Golden
    from coverslip.testing.networks import write_system as write_system
    from coverslip.testing.recipes import Recipe as Recipe

__all__ = ["CellsTests", "FormatTests", "Golden", "Recipe", "write_system"]

_HOMES = {
    "CellsTests": "cells", "FormatTests": "formats", "Golden": "formats", "Recipe": "recipes",
    "write_system": "networks",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"coverslip.testing.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'coverslip.testing' has no attribute {name!r}")

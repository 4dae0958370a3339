"""Configured sources as roots of the catalog: with their own format, names and sizes. Part of the composition root."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from coverslip.config import SourceTable
from coverslip.core.errors import BadRequest, Unsupported
from coverslip.core.format import Format
from coverslip.core.node import Source
from coverslip.engine.overrides import Override, overridden
from coverslip.engine.places import Root
from coverslip.formats import formats, open_source, recognise

OTHER_NAMES = {"h5": "hdf5", "ome-tiff": "tiff", "aics": "bioio"}
"""What other programs' configuration calls a format."""


@dataclass(frozen=True)
class Named:
    """A path or an object in memory under a name and an id of its own.

    Attributes
    ----------
    item
        A path, or an ``anndata.AnnData``.
    name
        What a person calls it; empty for its own.
    id
        What addresses call it; empty for one made of its name.
    """

    item: Any
    name: str = ""
    id: str = ""

    @property
    def on_disk(self) -> bool:
        """Whether it is a path."""
        return isinstance(self.item, (str, Path))

    @property
    def edition(self) -> str:
        """Another one under another name."""
        return f"{self.item} {self.name} {self.id}" if self.on_disk else ""


def root_of(source: SourceTable) -> Root:
    """The root of one configured source; with a ``type``, the path itself is the source, whatever it holds.

    Raises
    ------
    CoverslipError
        When there is nothing at the path, or no such type.
    """
    if source.remote:
        raise Unsupported(f"{source.shown} is on another machine", "It is looked at by coverslip.remotes.")
    path = Path(source.path)
    named = format_named(source.type) if source.type else None
    return Root.at(
        path,
        source.alias,
        name=source.name,
        hidden=source.hidden if isinstance(source.hidden, tuple) else (),
        watch=False if source.monitor is False else None,
        recognise=partial(_as, named) if named is not None else None,
        open_source=opener(source, named),
    )


def opener(source: SourceTable, named: Format | None) -> Callable[[Path], Source] | None:
    """What opens a configured source, or None when it is opened as any other."""
    if source.override.empty and not source.identifiers and named is None:
        return None
    return partial(_open, named, source.identifiers, source.override)


def format_named(name: str) -> Format:
    """The format of this name.

    Raises
    ------
    BadRequest
        When there is none; names the nearest.
    """
    wanted = name.casefold().replace("_", "-")
    wanted = OTHER_NAMES.get(wanted, wanted)
    known = {form.name: form for form in formats()}
    for known_name, form in known.items():
        if known_name.casefold().replace("_", "-") == wanted:
            return form
    near = difflib.get_close_matches(wanted, list(known), 1)
    hint = f"Did you mean {near[0]}?" if near else f"There is {', '.join(sorted(known))}."
    raise BadRequest(f"There is no type {name!r}", hint, "bad_configuration")


def _as(named: Format, path: Path) -> Format:
    return named


def _open(named: Format | None, identifiers: bool, override: Override, path: Path) -> Source:
    form = named or recognise(path)
    asked = identifiers and "identifiers" in inspect.signature(form.open).parameters
    if named is None and not asked:
        return overridden(open_source(path), override)
    source = form.open(path, identifiers=True) if asked else form.open(path)  # type: ignore[call-arg]
    return overridden(source, override)

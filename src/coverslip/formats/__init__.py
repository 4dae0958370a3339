"""One module for each file format; see `coverslip.core.format` for what a module must hold."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path

from coverslip.core.errors import Damaged, NotFound, UnknownFormat, Unreadable
from coverslip.core.format import Format
from coverslip.core.node import Source

HEAD_BYTES = 4096


def _named() -> Iterator[object]:
    for module in pkgutil.iter_modules(__path__):
        if module.ispkg:
            continue
        yield getattr(importlib.import_module(f"{__name__}.{module.name}"), "FORMAT", None)
    for entry in entry_points(group="coverslip.formats"):
        yield entry.load()


@cache
def formats() -> tuple[Format, ...]:
    """Every format of this package and of installed plug-ins; those that claim much (``rank`` above 0) come last."""
    return tuple(sorted((f for f in _named() if isinstance(f, Format)), key=lambda f: (getattr(f, "rank", 0), f.name)))


def recognise(path: Path) -> Format:
    """The format that claims ``path``.

    Raises
    ------
    NotFound
        When there is nothing at ``path``.
    Unreadable
        When the system will not let us read it.
    UnknownFormat
        When no format claims it.
    """
    try:
        head = b""
        if path.is_file():
            with path.open("rb") as file:
                head = file.read(HEAD_BYTES)
        elif not path.exists():
            raise NotFound(f"Path not found: {path}", "Check the spelling, and that it is on this machine.")
    except OSError as error:
        raise Unreadable(f"Cannot read {path}: {error.strerror}", "Check who may read it: ls -l.") from error
    for candidate in formats():
        if candidate.claims(path, head):
            return candidate
    readable = ", ".join(f.expects for f in formats())
    what = "an empty file" if path.is_file() and not head else "a format coverslip does not know"
    raise UnknownFormat(f"{path} is {what}", f"It can serve: {readable}.")


def open_source(path: Path) -> Source:
    """Open ``path`` with the format that claims it; reads no data.

    Raises
    ------
    CoverslipError
        With one line that says what is wrong and what to do.
    """
    form = recognise(path)
    try:
        return form.open(path)
    except OSError as error:
        text = str(error).splitlines()[0] if str(error) else error.__class__.__name__
        raise Damaged(
            f"{path} cannot be read as {form.expects}: {text}",
            "It may be truncated or still being copied; copy it again.",
        ) from error

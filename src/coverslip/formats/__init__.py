"""One module for each file format; see `coverslip.core.format` for what a module must hold."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from coverslip.core.errors import Damaged, NotFound, UnknownFormat, Unreadable
from coverslip.core.format import Apart, Format, file_etag
from coverslip.core.mounts import network_mount
from coverslip.core.node import Source

HEAD_BYTES = 4096
TRIES = 4
"""What changes while it is opened is opened again so often; what grows all the time is then served as it is."""
SUFFIX = re.compile(r"(?<![\w])\.[a-z][a-z0-9]*(?:\.[a-z0-9]+)?")


@cache
def formats() -> tuple[Format, ...]:
    """Every format of this package and of installed plug-ins; those that claim much (``rank`` above 0) come last."""
    return _in_turn((*_ours(), *_plugged_in()))


@cache
def _ours() -> tuple[Format, ...]:
    modules = (module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)
    found = (getattr(importlib.import_module(f"{__name__}.{name}"), "FORMAT", None) for name in modules)
    return _in_turn(form for form in found if isinstance(form, Format))


def _plugged_in() -> Iterator[Format]:
    from importlib.metadata import entry_points  # reads what every installed package says of itself

    found = (entry.load() for entry in entry_points(group="coverslip.formats"))
    return (form for form in found if isinstance(form, Format))


def _in_turn(found: Iterable[Format]) -> tuple[Format, ...]:
    return tuple(sorted(found, key=lambda form: (_rank(form), form.name)))


def _rank(form: Format) -> int:
    rank: int = getattr(form, "rank", 0)
    return rank


def _candidates() -> Iterator[Format]:
    """Ours that know their files by what is in them; then plug-ins, looked for only then, and those that claim much."""
    yield from (form for form in _ours() if _rank(form) <= 0)
    yield from (form for form in formats() if _rank(form) > 0 or form not in _ours())


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
            message = f"{path} is a link that leads nowhere" if path.is_symlink() else f"Path not found: {path}"
            raise NotFound(message, "Check the spelling, and that it is on this machine.")
        elif not path.is_dir():
            raise NotFound(f"{path} is neither a file nor a folder", "Name what holds the data.")
    except OSError as error:
        raise Unreadable(f"Cannot read {path}: {error.strerror}", "Check who may read it: ls -l.") from error
    for candidate in _candidates():
        if candidate.claims(path, head):
            return candidate
    if path.is_file() and not head:
        raise UnknownFormat(f"{path} is an empty file", "It may still be being copied; look at its size: ls -l.")
    raise UnknownFormat(f"{path} is a format coverslip does not know", readable())


@cache
def readable() -> str:
    """In one line what can be opened, for who named something else."""
    suffixes = sorted({suffix for form in formats() for suffix in SUFFIX.findall(form.expects)})
    return (
        f"It opens {', '.join(suffixes)} and folders of 10x Genomics, DICOM, Micro-Manager, N5, NeuroH5, TIFF and Zarr."
    )


def open_source(path: Path) -> Source:
    """Open ``path`` with the format that claims it; reads no data.

    Raises
    ------
    CoverslipError
        With one line that says what is wrong and what to do.
    """
    form = recognise(path)
    try:
        if path.is_file() and path.stat().st_size == 0:
            raise Damaged(f"{path} is an empty file", "It may still be being copied; look at its size: ls -l.")
        return _opened(form, path)
    except OSError as error:
        text = str(error).splitlines()[0] if str(error) else error.__class__.__name__
        raise Damaged(
            f"{path} cannot be read as {form.expects}: {text}",
            "It may be truncated or still being copied; copy it again.",
        ) from error


def _opened(form: Format, path: Path) -> Source:
    """The source, of which all was read after the last change: else it would take the old file for the new one."""
    for left in reversed(range(TRIES)):
        before = _state(path)
        source = _open(form, path)
        if not left or _state(path) == before:
            return source
        source.close()
    raise AssertionError


def _open(form: Format, path: Path) -> Source:
    if not isinstance(form, Apart) or not form.apart or network_mount(path) is None:
        return form.open(path)
    from coverslip.formats.trees.apart import open_apart

    return open_apart(form.name, path)


def _state(path: Path) -> str:
    try:
        return file_etag(path.stat())
    except OSError:
        return ""

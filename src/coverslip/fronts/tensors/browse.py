"""What lies in the offered folders, data or not: ``GET /api/admin/browse``."""

from __future__ import annotations

import heapq
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from coverslip.core.errors import NotFound, Unreadable
from coverslip.engine.places import Root, check_inside, inside
from coverslip.engine.storage import STORAGE, place_of

MOST_ENTRIES = 2000
NAME_BYTES = 4096


def listing(roots: Sequence[Root], path: str) -> dict[str, Any]:
    """The entries of a folder, folders first; of the empty path: what is offered.

    Parameters
    ----------
    roots
        What is offered.
    path
        ``ALIAS/relative/path``.

    Raises
    ------
    CoverslipError
        When there is no such folder, it cannot be read, or it leads outside of what is offered.
    """
    if not path.strip("/"):
        told = [_told(root.alias, root.alias, _is_folder(root.path), None) for root in roots]
        return {"path": "", "parent": None, "entries": told[:MOST_ENTRIES], "truncated": len(told) > MOST_ENTRIES}
    root, relative = _found(roots, path.strip("/"))
    place = root.full(relative)
    STORAGE.visit(place_of(place))
    check_inside(place, roots)
    try:
        if not place.is_dir():
            raise _missing(path)
        with os.scandir(place) as entries:
            shown = (e for e in entries if _shows(roots, root, f"{relative}/{e.name}".lstrip("/"), e))
            first = heapq.nsmallest(MOST_ENTRIES + 1, ((not e.is_dir(), e.name, e) for e in shown), key=lambda t: t[:2])
    except OSError as error:
        raise Unreadable(f"Cannot read {place.name}", "Check who may read it.") from error
    whole = f"{root.alias}/{relative}".rstrip("/")
    told = [_told(e.name, f"{whole}/{e.name}", not is_file, e) for is_file, _, e in first[:MOST_ENTRIES]]
    parent = whole.rpartition("/")[0] if relative else ""
    return {"path": whole, "parent": parent, "entries": told, "truncated": len(first) > MOST_ENTRIES}


def _is_folder(path: Path) -> bool:
    STORAGE.visit(place_of(path))
    return path.is_dir()


def _found(roots: Sequence[Root], path: str) -> tuple[Root, str]:
    if len(path) <= NAME_BYTES and "\0" not in path:
        for root in sorted(roots, key=lambda r: -len(r.alias)):
            if path == root.alias or path.startswith(f"{root.alias}/"):
                relative = path[len(root.alias) + 1 :]
                parts = relative.split("/") if relative else []
                hidden = any(root.hides("/".join(parts[: i + 1])) for i in range(len(parts)))
                if not hidden and all(part and not part.startswith(".") for part in parts):
                    return root, relative
    raise _missing(path)


def _shows(roots: Sequence[Root], root: Root, relative: str, entry: os.DirEntry[str]) -> bool:
    if entry.name.startswith(".") or root.hides(relative):
        return False
    return not entry.is_symlink() or inside(entry.path, roots)


def _told(name: str, path: str, is_folder: bool, entry: os.DirEntry[str] | None) -> dict[str, Any]:
    size, modified = None, None
    if entry is not None:
        try:
            stat = entry.stat()
            size, modified = None if is_folder else stat.st_size, stat.st_mtime
        except OSError:  # it went this very moment, or a link leads to nothing
            pass
    kind = "directory" if is_folder else "file"
    return {"name": _text(name), "path": _text(path), "type": kind, "size": size, "modified": modified}


def _text(name: str) -> str:
    """A name as text, where its bytes are none."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _missing(path: str) -> NotFound:
    return NotFound(f"There is no folder {path[:200]}", "GET /api/admin/browse lists what is offered.")

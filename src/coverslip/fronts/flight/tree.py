"""``catalog_children``: the sources as a tree of folders, a folder at a time; and ``cache_stats``."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

import msgspec

from coverslip.core.errors import BadRequest, NotFound
from coverslip.fronts.flight.desk import Desk
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.http import to_json

MOST_CHILDREN = 10_000
STATS = (
    "total_entries", "total_bytes", "max_entries", "max_bytes", "hits", "misses", "evictions", "pending_waits",
    "ref_held_evictions_skipped", "oversized_skips",
)  # fmt: skip


class Folder:
    """A folder: those in it by name, and its sources as pairs of name and id."""

    def __init__(self) -> None:
        self.folders: dict[str, Folder] = {}
        self.sources: list[tuple[str, str]] = []


def tree(desk: Desk) -> None:
    """Answer ``catalog_children`` and ``cache_stats``."""
    Tree(desk)


class Tree:
    """The tree of folders, made once while nothing changes."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._lock = threading.Lock()
        self._kept: tuple[int, Folder] | None = None
        desk.registry.action("catalog_children", self._children)
        desk.registry.action("cache_stats", self._stats)

    def _stats(self, body: bytes, call: Call) -> Iterator[bytes]:
        told: dict[str, Any] = dict.fromkeys(STATS, 0)
        for stats in self._desk.registry.stats:
            told |= stats()
        yield to_json(told | {"pool_stats": {}})

    def _children(self, body: bytes, call: Call) -> Iterator[bytes]:
        key, limit = _question(body)
        folder = self._root()
        for part in filter(None, key.split("/")):
            if part not in folder.folders:
                raise NotFound(f"Folder not found: {key[:200]}", 'Ask for the key "" first.', "unknown_folder")
            folder = folder.folders[part]
        folders = [_collapsed(key, name, folder.folders[name]) for name in sorted(folder.folders, key=_bytes)]
        sources = [{"name": n, "source_id": id} for n, id in sorted(folder.sources, key=lambda s: (_bytes(s[0]), s[1]))]
        kept = folders[:limit]
        rest = sources[: limit - len(kept)]
        yield to_json(
            {
                "key": key,
                "folders": kept,
                "sources": rest,
                "truncated": len(kept) + len(rest) < len(folders) + len(sources),
            }
        )

    def _root(self) -> Folder:
        with self._lock:
            revision = self._desk.catalog.revision
            if self._kept is None or self._kept[0] != revision:
                root = Folder()
                for id, url in self._desk.catalog.urls():
                    _add(root, url, id)
                self._kept = revision, root
            return self._kept[1]


def _question(body: bytes) -> tuple[str, int]:
    try:
        asked = msgspec.json.decode(body) if body.strip() else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise BadRequest("The body is no JSON object", 'Send {"key": "", "limit": 2000}.', "malformed")
    key, limit = asked.get("key") or "", asked.get("limit", 2000)
    if not isinstance(key, str) or not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise BadRequest("key is a text and limit a number above 0", 'Send {"key": "", "limit": 2000}.', "malformed")
    return key.strip("/"), min(limit, MOST_CHILDREN)


def _add(root: Folder, url: str, id: str) -> None:
    split = urlsplit(url)
    path = [unquote(part, errors="replace") for part in split.path.split("/") if part]
    if split.scheme not in ("file", "memory"):
        path = [f"{split.scheme}:", split.netloc, *path]
    folder = root
    for part in path[:-1]:
        folder = folder.folders.setdefault(part.replace("/", "%2F"), Folder())
    folder.sources.append((path[-1] if path else id, id))


def _collapsed(key: str, name: str, folder: Folder) -> dict[str, str]:
    """A folder; one that holds nothing but another is told together with it."""
    names = [name]
    while not folder.sources and len(folder.folders) == 1:
        inner, folder = next(iter(folder.folders.items()))
        names.append(inner)
    shown = "/".join(names)
    return {"name": shown, "key": f"{key}/{shown}" if key else shown}


def _bytes(name: str) -> bytes:
    return name.encode("utf-8", "surrogateescape")

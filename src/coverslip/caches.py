"""What was computed once and kept: where it is, how much, and its removal."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

from coverslip.core.errors import Unreadable
from coverslip.engine.sidecar import cache_folder, private, user_folder

KINDS = {
    "catalog": "lists of sources",
    "genes": "gene indexes",
    "levels": "levels of images, indexes of networks",
    "remote": "copies of data on other machines",
}
"""Folders in the cache; nothing else there is ours to remove."""


def get_web_cache_dir() -> Path:
    """The folder in which this user's caches are (``COVERSLIP_CACHE_DIR``, ``CELLUCID_WEB_PROXY_CACHE_DIR``).

    The viewer comes with the package: of it nothing is fetched, and nothing is in there.
    """
    return cache_folder()


def clear_web_cache(*, cache_dir: str | Path | None = None) -> None:
    """Remove what was computed and kept; servers that run make again what they need.

    Parameters
    ----------
    cache_dir
        A folder that ``CELLUCID_WEB_PROXY_CACHE_DIR`` named; None for the one in use. Other users' caches in it, and
        whatever else is there, are left alone.

    Raises
    ------
    Unreadable
        When something cannot be removed, or the folder belongs to another user.
    """
    remove(cache_folder() if cache_dir is None else private(Path(cache_dir).expanduser() / user_folder()))


def remove(folder: Path, kinds: Iterable[str] = KINDS) -> int:
    """Remove some kinds from a cache folder; the bytes that became free.

    Raises
    ------
    Unreadable
        When something cannot be removed.
    """
    freed = 0
    for name in kinds:
        place = folder / name
        if place.is_symlink() or not place.is_dir():
            continue
        before = held(place)
        shutil.rmtree(place, ignore_errors=True)
        left = held(place)
        freed += before - left
        if left:
            raise Unreadable(f"{name} in {folder} cannot be removed", "Check who may write there: ls -l.")
    return freed


def held(folder: Path) -> int:
    """How many bytes the files below a folder hold."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
        except OSError:  # gone meanwhile
            continue
    return total

"""``coverslip cache``: what was computed once and kept."""

from __future__ import annotations

import shutil
from pathlib import Path

import click

KINDS = {
    "catalog": "lists of sources",
    "genes": "gene indexes",
    "levels": "levels of images, indexes of networks",
    "remote": "copies of data on other machines",
}
"""Folders in the cache; nothing else there is ours to remove."""


@click.group()
def cache() -> None:
    """What was computed once and kept: safe to remove at any time."""


@cache.command()
def show() -> None:
    """Print where the cache is and how much it holds."""
    from coverslip.engine.sidecar import cache_folder  # kept out of --help

    folder = cache_folder()
    click.echo(str(folder))
    for name, what in KINDS.items():
        click.echo(f"  {name:<8} {_size(folder / name) / 1e6:>12,.1f} MB  {what}")


@cache.command()
@click.option("--only", type=click.Choice(list(KINDS)), multiple=True, help="Remove this kind only.")
def clear(only: tuple[str, ...]) -> None:
    """Remove it; servers that are running go on, and make again what they need."""
    from coverslip.core.errors import Unreadable
    from coverslip.engine.sidecar import cache_folder

    folder, freed = cache_folder(), 0
    for name in only or KINDS:
        place = folder / name
        if place.is_symlink() or not place.is_dir():
            continue
        size = _size(place)
        shutil.rmtree(place, ignore_errors=True)
        left = _size(place)
        freed += size - left
        if left:
            raise Unreadable(f"{name} in {folder} cannot be removed", "Check who may write there: ls -l.")
    click.echo(f"{freed / 1e6:,.1f} MB removed from {folder}")


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += 0 if path.is_symlink() or path.is_dir() else path.stat().st_size
        except OSError:  # gone meanwhile
            continue
    return total

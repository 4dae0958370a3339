"""``coverslip cache``: what was computed once and kept."""

from __future__ import annotations

import click

from coverslip.caches import KINDS, held, remove
from coverslip.cli.helping import Listed


@click.group(cls=Listed)
def cache() -> None:
    """What was computed once and kept: safe to remove at any time."""


@cache.command()
def show() -> None:
    """Print where the cache is and how much it holds."""
    from coverslip.engine.sidecar import cache_folder  # kept out of --help

    folder = cache_folder()
    click.echo(str(folder))
    for name, what in KINDS.items():
        click.echo(f"  {name:<8} {held(folder / name) / 1e6:>12,.1f} MB  {what}")


@cache.command()
@click.option("--only", type=click.Choice(list(KINDS)), multiple=True, help="Remove this kind only.")
def clear(only: tuple[str, ...]) -> None:
    """Remove it; servers that are running go on, and make again what they need."""
    from coverslip.engine.sidecar import cache_folder

    folder = cache_folder()
    click.echo(f"{remove(folder, only or KINDS) / 1e6:,.1f} MB removed from {folder}")

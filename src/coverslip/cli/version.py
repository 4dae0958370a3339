"""``coverslip version``."""

from __future__ import annotations

import click

from coverslip import __version__


@click.command()
def version() -> None:
    """Show the installed version."""
    click.echo(f"coverslip {__version__}")

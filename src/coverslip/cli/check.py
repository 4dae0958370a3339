"""``coverslip check``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from coverslip.cli.helping import Sectioned
from coverslip.cli.plain import plain

if TYPE_CHECKING:
    from coverslip.checking import Checked
    from coverslip.domains.findings import Finding, Weight

EXAMPLES = (
    ("coverslip check cells.h5ad", "What a collaborator's file lacks."),
    ("coverslip check /data/screen7 --json", "All of a folder, for a script."),
)
MARKS = {"broken": "✗", "slow": "!", "note": "·"}
NAMED = 4
"""So many places are named where the same is so in several."""
COLORS = {"broken": "red", "slow": "yellow", "note": None}


@click.command(cls=Sectioned, examples=EXAMPLES)
@click.argument("path", type=click.Path(path_type=Path, readable=False))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Print errors in full.")
def check(path: Path, as_json: bool, verbose: bool) -> None:
    """Say what is missing or slow in PATH, a file or a folder of them, and what to do about it.

    Exit code 0: everything works; 1: something does not; 2: PATH cannot be asked about.
    """
    from coverslip.checking import check as look  # kept out of --help
    from coverslip.core.errors import NotFound

    try:
        found = look(path)
    except NotFound as error:
        raise click.UsageError(str(error)) from error
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], ensure_ascii=False, indent=2))
    else:
        for one in found:
            tell(one)
        if not found:
            click.echo(f"{plain(str(path))}: nothing here that coverslip can show")
    sys.exit(1 if any(one.broken for one in found) else 0)


def tell(one: Checked) -> None:
    """One source in words."""
    about = ", ".join(_fact(name, value) for name, value in one.about.items())
    head = f"{one.name}: {one.kind or 'cannot be opened'} ({one.format}){f', {about}' if about else ''}"
    click.echo(click.style(plain(head), bold=True))
    if not one.findings:
        click.echo("  nothing to say: it is whole and quick")
    for (weight, message, hint), places in alike(one.findings).items():
        mark = click.style(MARKS[weight], fg=COLORS[weight])
        click.echo(f"  {mark} {plain(message + _where(places))}")
        if hint:
            click.echo(f"      {plain(hint)}")


def alike(findings: list[Finding]) -> dict[tuple[Weight, str, str], list[str]]:
    """What is said, and where it is so: a file of a hundred images is not told the same a hundred times."""
    said: dict[tuple[Weight, str, str], list[str]] = {}
    for finding in findings:
        said.setdefault((finding.weight, finding.message, finding.hint), []).append(finding.where)
    return said


def _where(places: list[str]) -> str:
    if len(places) == 1:
        return ""
    more = f" and {len(places) - NAMED:,} more" if len(places) > NAMED else ""
    return f" In {', '.join(places[:NAMED])}{more}."


def _fact(name: str, value: object) -> str:
    what = name.removeprefix("n_")
    if isinstance(value, list):
        return f"{what} {', '.join(map(str, value)) or 'none'}"
    return (
        f"{value:,} {what.removesuffix('s') if value == 1 else what}" if isinstance(value, int) else f"{what} {value}"
    )

"""``coverslip version``."""

from __future__ import annotations

import platform
import re
from importlib import metadata

import click

from coverslip import __version__

EXTRA = re.compile(r"""extra\s*==\s*['"]([\w-]+)['"]""")
NAME = re.compile(r"[\w.-]+")
FOR_DEVELOPERS = ("all", "dev")


@click.command()
def version() -> None:
    """Show what is installed: coverslip, Python, and the libraries of each extra."""
    lines = {"coverslip": __version__, "python": platform.python_version()}
    lines |= {extra: libraries(extra, names) for extra, names in extras().items()}
    width = max(map(len, lines)) + 1
    for name, told in lines.items():
        click.echo(f"{name + ':':<{width}} {told}")


def extras() -> dict[str, list[str]]:
    """The packages that each extra asks for."""
    found: dict[str, list[str]] = {}
    for line in metadata.requires("coverslip") or []:
        extra, name = EXTRA.search(line), NAME.match(line)
        if extra and name and extra[1] not in FOR_DEVELOPERS and name[0] != "coverslip":
            found.setdefault(extra[1], []).append(name[0])
    return found


def libraries(extra: str, names: list[str]) -> str:
    """Which of an extra's packages are installed, and how the others come."""
    there = {name: found for name in names if (found := _installed(name))}
    missing = [name for name in names if name not in there]
    told = ", ".join(f"{name} {found}" for name, found in there.items())
    how = f"pip install 'coverslip[{extra}]'"
    if not there:
        return f"not installed ({how})"
    return f"{told}; not installed: {', '.join(missing)} ({how})" if missing else told


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

"""The reference names every option, and the settings say what each field is."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import click

from coverslip.cli.serve import serve
from coverslip.cli.server import restart, start
from coverslip.settings import Settings

ROOT = Path(__file__).parents[1]


def test_every_flag_and_variable_is_in_the_reference() -> None:
    rows = (ROOT / "docs" / "reference" / "command.md").read_text().splitlines()
    for option in serve.params:
        if not isinstance(option, click.Option):
            continue
        row = next((r for r in rows if r.startswith(f"| `{option.opts[-1]}`")), None)
        assert row is not None, option.opts
        variables = option.envvar if isinstance(option.envvar, (list, tuple)) else (option.envvar,)
        for name in (*option.opts, *variables, option.default if isinstance(option.default, str) else None):
            assert name is None or f"`{name}`" in row, (name, row)
    told = {flag for row in rows for flag in re.findall(r"^\| `(--[a-z-]+)`", row)}
    assert told <= {flag for option in serve.params for flag in option.opts}


def test_every_flag_of_the_background_server_is_in_its_reference() -> None:
    here = (ROOT / "docs" / "reference" / "server.md").read_text()
    rows = here.splitlines()
    shared = {option.name for option in serve.params} - {"host", "port", "config", "flight"}
    for option in (*start.params, *restart.params):
        if not isinstance(option, click.Option) or option.name == "timeout":
            continue
        if option.name in shared:
            assert f"`{option.opts[-1]}`" in here, option.opts
            continue
        row = next((r for r in rows if r.startswith(f"| `{option.opts[0 if option.name == 'flight' else -1]}`")), None)
        assert row is not None, option.opts
        variables = option.envvar if isinstance(option.envvar, (list, tuple)) else (option.envvar,)
        for name in (*option.opts, *option.secondary_opts, *variables):
            assert name is None or f"`{name}`" in row, (name, row)


def test_every_setting_is_described() -> None:
    for field in dataclasses.fields(Settings):
        assert re.search(rf"^    {field.name}$", Settings.__doc__ or "", re.MULTILINE), field.name


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "viewer" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"

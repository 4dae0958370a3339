"""``coverslip config``: what a server would run with, and who said so."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from coverslip.cli.helping import Listed
from coverslip.cli.table import table

if TYPE_CHECKING:
    from coverslip.config import Config

NO_SETTINGS = frozenset({"paths", "config", "help", "quiet", "verbose", "no_browser", "end_with_input"})
DEFAULT = "default"


@click.group(cls=Listed)
def config() -> None:
    """The settings of a server."""


@config.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("words", metavar="[FLAGS OF serve]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def show(ctx: click.Context, as_json: bool, words: tuple[str, ...]) -> None:
    """Print every setting that `coverslip serve` would have with these flags, and where each comes from.

    Flags come before the environment, then the file named by --config (or COVERSLIP_CONFIG), then the defaults.
    Tokens are not shown.
    """
    if set(words) & {"--help", "-h"}:
        click.echo(ctx.get_help())
        return
    rows = list(settings_of(list(words)))
    if as_json:
        click.echo(json.dumps({name: {"value": value, "from": where} for name, value, where in rows}, indent=2))
        return
    told = [(name, _words(value), where) for name, value, where in rows]
    click.echo(table("Settings", ("Setting", "Value", "From"), told))


def settings_of(words: list[str]) -> Iterator[tuple[str, Any, str]]:
    """Name, value and origin of every setting.

    Parameters
    ----------
    words
        Arguments of ``coverslip serve``.
    """
    from coverslip.cli.serve import serve  # kept out of --help
    from coverslip.config_file import redacted

    made = serve.make_context("coverslip config show", words)
    file: Config | None = made.params["config"]
    shown = Path(file.file).name if file is not None and file.file is not None else "file"
    for option in serve.params:
        if option.name is None or option.name in NO_SETTINGS:
            continue
        where = _origin(made, option, shown)
        value = made.params[option.name]
        yield option.name, redacted(_plain(value), option.name), where
    yield from _of_the_file(file, shown, {option.name or "" for option in serve.params})
    named = [str(path) for path in made.params["paths"]]
    if named:
        yield "paths", named, "flag"
    if file is not None and file.offered:
        yield "sources", [source.shown for source in file.offered], shown


def _origin(made: click.Context, option: click.Parameter, shown: str) -> str:
    source = made.get_parameter_source(option.name or "")
    if source is ParameterSource.COMMANDLINE:
        return "flag"
    if source is ParameterSource.ENVIRONMENT:
        names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
        return next((name for name in names if option.value_from_envvar(made) and _set(name)), "environment")
    return shown if source is ParameterSource.DEFAULT_MAP else DEFAULT


def _set(name: str) -> bool:
    import os

    return bool(os.environ.get(name))


def _of_the_file(file: Config | None, shown: str, flags: set[str]) -> Iterator[tuple[str, Any, str]]:
    """What only a file can say: its value, or what it is without."""
    from coverslip.config import Config
    from coverslip.config_file import effective, redacted
    from coverslip.settings import Settings, with_config

    own = effective(with_config(Settings(), file if file is not None else Config()), Settings().port)
    bare = effective(with_config(Settings(), Config()), Settings().port)
    same = {"allow_hosts", "allow_origins", "trusted_proxies", "flight_port"}  # flags of other names
    for name, values in own.items():
        for key, value in values.items():
            if name == "credentials" or (name == "server" and (key in flags or key in same)):
                continue
            yield f"{name}.{key}", redacted(_plain(value), key), DEFAULT if value == bare[name][key] else shown


def _plain(value: Any) -> Any:
    """As JSON can say it."""
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def _words(value: Any) -> str:
    if value is None or value == []:
        return "-"
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return {True: "yes", False: "no"}.get(value, str(value)) if isinstance(value, bool) else str(value)

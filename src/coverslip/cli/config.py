"""``coverslip config``: what a server would run with, and who said so."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from coverslip.cli.helping import Listed
from coverslip.cli.table import table
from coverslip.every_setting import COMMANDS, Setting, of_command

if TYPE_CHECKING:
    from coverslip.config import Config
    from coverslip.settings import Settings

FLAG, DEFAULT = "flag", "default"
Row = tuple[str, Any, str]
"""Name, value and origin."""


@click.group(cls=Listed)
def config() -> None:
    """The settings of a server."""


@config.command(context_settings={"ignore_unknown_options": True, "help_option_names": []})
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--of", "command", type=click.Choice(COMMANDS), default=COMMANDS[0], show_default=True,
              help="Of coverslip serve, coverslip server start or coverslip ui server.")  # fmt: skip
@click.argument("words", metavar="[FLAGS]...", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def show(ctx: click.Context, as_json: bool, command: str, words: tuple[str, ...]) -> None:
    """Print every setting that `coverslip serve` would have with these FLAGS, and where each comes from.

    Flags come before the environment, then the file named by --config (or COVERSLIP_CONFIG), then the defaults.
    Tokens are not shown.
    """
    if set(words) & {"--help", "-h"}:
        click.echo(ctx.get_help())
        return
    rows = list(settings_of(list(words), command))
    if as_json:
        click.echo(json.dumps({name: {"value": value, "from": where} for name, value, where in rows}, indent=2))
        return
    told = [(name, _words(value), where) for name, value, where in rows]
    click.echo(table("Settings", ("Setting", "Value", "From"), told))


def settings_of(words: list[str], command: str = "serve") -> Iterator[Row]:
    """Name, value and origin of every setting.

    Parameters
    ----------
    words
        Arguments of the command.
    command
        ``serve``, ``start`` or ``ui``.
    """
    from coverslip.config_file import redacted

    made, rows = {"serve": _serve, "start": _start, "ui": _ui}[command](words)
    for name, value, where in rows:
        yield name, redacted(_plain(value), name.rpartition(".")[2]), where
    if named := [str(path) for path in made.params.get("paths", ())]:
        yield "paths", named, FLAG


def _serve(words: list[str]) -> tuple[click.Context, list[Row]]:
    from coverslip.cli.serve import serve
    from coverslip.settings import Settings, with_config

    made = serve.make_context("coverslip config show", words)
    file = made.params["config"]
    rows = [_from_click(made, one.serve, _name_of(file)) for one in of_command("serve") if one.serve]
    config = _amended(file, "serve", made)
    settings = with_config(Settings(flight_host=config.server.flight_host), config)
    return made, [*rows, *_without_flag("serve", made, file, config, settings), *_sources(file)]


def _start(words: list[str]) -> tuple[click.Context, list[Row]]:
    from coverslip.cli.server import flags_of, start, with_default
    from coverslip.config import load
    from coverslip.daemon import compose

    made = start.make_context("coverslip config show", words)
    flags = with_default(flags_of(made.params))
    file = load(Path(flags.config)) if flags.config else None
    config = compose.config_of(flags)
    settings = compose.wanted(flags, config)
    rows = []
    for one in of_command("start"):
        if one.start:
            value = _value_of(one, settings, config)
            rows.append((one.start, value, _from_start(made, one, file)))
    return made, [*rows, *_without_flag("start", made, file, config, settings), *_sources(file)]


def _ui(words: list[str]) -> tuple[click.Context, list[Row]]:
    from coverslip.cli.ui import DEFAULT_PORT, DEFAULT_ROOT, server

    made = server.make_context("coverslip config show", words)
    file = made.find_root().meta.get("coverslip.config")
    told = {"port": DEFAULT_PORT, "root_dir": DEFAULT_ROOT, "host": "127.0.0.1", "engine": "native"}
    rows = []
    for one in of_command("ui"):
        name, value, where = _from_click(made, one.ui, _name_of(file))
        if (word := made.params["words"].get(name)) is not None:
            value, where = word, FLAG
        rows.append((name, told.get(name) if value is None else value, where))
    return made, rows


def _sources(file: Config | None) -> list[Row]:
    offered = file.offered if file is not None else ()
    return [("sources", [source.shown for source in offered], _name_of(file))] if offered else []


def _name_of(file: Config | None) -> str:
    return Path(file.file).name if file is not None and file.file is not None else "file"


def _amended(file: Config | None, command: str, made: click.Context) -> Config:
    from coverslip.config import Config
    from coverslip.said import amended, said

    return amended(file or Config(), said(command, made.params["more"]))


def _from_click(made: click.Context, name: str, shown: str) -> Row:
    """An option of a command whose file gives its options their defaults."""
    option = next(param for param in made.command.params if param.name == name)
    where = _said_by(made, option)
    if where is None:
        where = shown if made.get_parameter_source(name) is ParameterSource.DEFAULT_MAP else DEFAULT
    return name, made.params[name], where


def _said_by(made: click.Context, option: click.Parameter) -> str | None:
    """The flag or the variable that says an option."""
    source = made.get_parameter_source(option.name or "")
    if source is ParameterSource.COMMANDLINE:
        return FLAG
    if source is not ParameterSource.ENVIRONMENT:
        return None
    names = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    return next((name for name in names if os.environ.get(name)), "environment")


def _from_start(made: click.Context, one: Setting, file: Config | None) -> str:
    option = next(param for param in made.command.params if param.name == one.start)
    return _said_by(made, option) or (_name_of(file) if _in_file(one, file, "start") else DEFAULT)


def _in_file(one: Setting, file: Config | None, command: str) -> bool:
    """Whether a file says a setting, in its own words or in biopb's."""
    from coverslip.config import Config

    if file is None or not one.key:
        return False
    flight = {"server.flight_host": "server.host", "server.flight_port": "server.port"}
    keys = [one.key, flight.get(one.key)] if command == "start" else [one.key]
    return any(_of_table(file, key) != _of_table(Config(), key) for key in keys if key)


def _of_table(config: Config, key: str) -> Any:
    table, _, name = key.partition(".")
    return getattr(getattr(config, table), name)


def _value_of(one: Setting, settings: Settings, config: Config) -> Any:
    from coverslip.said import field_of

    if one.field == "gene_index":
        return not settings.gene_index
    scaled = {"cache.file_max_total_gb": 1 / (1 << 30), "metadata_db.query_timeout_ms": 1000}.get(one.key)
    if not one.field or one.key == "server.write_dir":  # it holds only together with another one
        return _of_table(config, one.key) or ("periodic" if not one.field else None)
    value = field_of(settings, one.field)
    return value * scaled if scaled is not None else value


def _without_flag(
    command: str, made: click.Context, file: Config | None, config: Config, settings: Settings
) -> Iterator[Row]:
    """What has no flag of its own: its value, and who said it."""
    from coverslip.said import said

    words = said(command, made.params["more"])
    for one in of_command(command):
        if not one.option(command):
            by_file = _name_of(file) if _in_file(one, file, command) else DEFAULT
            where = words[one.key].where if one.key in words else by_file
            yield one.key, _value_of(one, settings, config), where


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

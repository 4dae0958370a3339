"""Pages of the reference that are made of the code: every command with its flags, every setting."""

from __future__ import annotations

import inspect
import os
from collections.abc import Iterator
from typing import Any

import click

from coverslip.cli.config import settings_of
from coverslip.cli.main import cli
from coverslip.every_setting import COMMANDS, NOWHERE, OTHERS, SETTINGS, Setting

CALLED = {"serve": "coverslip serve", "start": "coverslip server start", "ui": "coverslip ui server"}
PATHS = {"serve": ("serve",), "start": ("server", "start"), "ui": ("ui", "server")}


def table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A table in Markdown."""
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def code(*words: str) -> str:
    """Words as they are typed."""
    return ", ".join(f"`{word}`" for word in words if word)


def command_of(path: tuple[str, ...]) -> click.Command:
    """A command by the names on the way to it."""
    command: click.Command = cli
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None, path
        command = found
    return command


def settings_page() -> str:
    """Every setting of the servers, and the variables that say something else."""
    told = {command: _defaults(command) for command in COMMANDS}
    rows = [_setting(one, told) for one in SETTINGS if one.serve != NOWHERE or one.start != NOWHERE]
    head = ("key of the file", "`serve`", "`server start`", "environment", "default", "meaning")
    short = ("key of the file", "flag", "environment", "default", "meaning")
    companion = [_of_companion(one, told["ui"]) for one in SETTINGS if one.ui != NOWHERE]
    others = [(code(name), meaning) for name, meaning in OTHERS.items()]
    return "\n\n".join(
        (
            "## `coverslip serve`, `coverslip server start`", table(head, rows),
            "## `coverslip ui server`", table(short, companion),
            "## Other variables", table(("environment", "meaning"), others),
        )
    )  # fmt: skip


def _defaults(command: str) -> dict[str, Any]:
    """What each setting is when nobody says anything."""
    own = {name for one in SETTINGS for name in one.variables} | {"COVERSLIP_CONFIG"}
    kept = {name: os.environ.pop(name) for name in own if name in os.environ}
    home = os.environ.get("XDG_CONFIG_HOME")
    os.environ["XDG_CONFIG_HOME"] = os.devnull  # no configuration is found there
    try:
        return {name: value for name, value, _ in settings_of([], command)}
    finally:
        os.environ.pop("XDG_CONFIG_HOME")
        os.environ.update(kept if home is None else {**kept, "XDG_CONFIG_HOME": home})


def _option(one: Setting, command: str) -> click.Option | None:
    options = (param for param in command_of(PATHS[command]).params if isinstance(param, click.Option))
    return next((option for option in options if option.name == one.option(command)), None)


def _flag(one: Setting, command: str) -> str:
    if one.option(command) == NOWHERE:
        return ""
    option = _option(one, command)
    return code(*reversed(option.opts)) if option is not None else "`--set`"


def _meaning(one: Setting) -> str:
    options = (_option(one, command) for command in COMMANDS)
    said = next((option.help for option in options if option is not None and option.help), "")
    words = one.meaning or said.partition("  [")[0]
    return f"{words} In {one.unit}." if one.unit else words


def _value(value: Any) -> str:
    if value is None or value in ([], "", ()):
        return ""
    if isinstance(value, bool):
        return code("yes" if value else "no")
    return code(f"{value:g}" if isinstance(value, float) else str(value))


def _setting(one: Setting, told: dict[str, dict[str, Any]]) -> tuple[str, ...]:
    values = [told[c].get(one.option(c) or one.key) for c in ("serve", "start") if one.option(c) != NOWHERE]
    shown = list(dict.fromkeys(_value(value) or "-" for value in values))
    default = "; ".join(shown) if shown != ["-"] else ""
    return code(one.key), _flag(one, "serve"), _flag(one, "start"), code(*one.variables), default, _meaning(one)


def _of_companion(one: Setting, told: dict[str, Any]) -> tuple[str, ...]:
    option = _option(one, "ui")
    given = option.envvar if option is not None and option.envvar else ()
    variables = [given] if isinstance(given, str) else list(given)
    meaning = (option.help or "").rpartition(" [")[0] or (option.help or "") if option is not None else one.meaning
    return code(one.key), _flag(one, "ui"), code(*variables), _value(told.get(one.ui)), meaning


def commands_page() -> str:
    """Every command with its arguments and flags."""
    return "\n\n".join(part for path, command in walk(cli, ()) for part in _command(path, command))


def walk(command: click.Command, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if path:
        yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            if found is not None and not found.hidden:
                yield from walk(found, (*path, name))


def _command(path: tuple[str, ...], command: click.Command) -> Iterator[str]:
    name = " ".join(("coverslip", *path))
    yield f"{'#' * (1 + len(path))} `{name}`"
    yield inspect.cleandoc((command.help or "").replace("\b", ""))
    if isinstance(command, click.Group):
        return
    usage = command.collect_usage_pieces(click.Context(command, info_name=name))
    yield f"```\n{name} {' '.join(usage)}\n```"
    rows = [_row(param) for param in command.params if isinstance(param, click.Option) and not param.hidden]
    if rows:
        yield table(("flag", "environment", "default", ""), rows)
    for line, what in getattr(command, "_examples", ()):
        yield f"{what}\n\n```sh\n{line}\n```"


def _row(option: click.Option) -> tuple[str, ...]:
    given = [option.envvar] if isinstance(option.envvar, str) else list(option.envvar or ())
    flags = code(*reversed(option.opts), *option.secondary_opts)
    if not option.is_flag and not option.count:
        flags += f" {option.make_metavar(click.Context(click.Command('none')))}"
    shown = option.default if isinstance(option.default, (str, int, float)) and not option.is_flag else None
    return flags, code(*given), _value(shown), (option.help or "").strip()

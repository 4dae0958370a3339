"""Settings that have no flag of their own, said in the environment or with ``--set KEY=VALUE``."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from coverslip.core.errors import BadUsage
from coverslip.every_setting import of_command, without_flag

if TYPE_CHECKING:
    from coverslip.config import Config

FLAG = "flag"
NO = {bool: "neither true nor false", int: "no whole number", float: "no number"}
SEE = "coverslip config show prints every setting; docs/reference/settings.md says what each means."


@dataclass(frozen=True)
class Said:
    """One setting that was said.

    Attributes
    ----------
    key, text
        The setting and its value, as text.
    where
        ``flag``, or the variable's name.
    """

    key: str
    text: str
    where: str


def said(command: str, flags: Iterable[str], environ: Mapping[str, str] | None = None) -> dict[str, Said]:
    """What was said of settings that have no flag of their own, by key; flags come before the environment.

    Parameters
    ----------
    command
        ``serve`` or ``start``.
    flags
        The values of ``--set``.
    environ
        The environment; this process' own when left out.

    Raises
    ------
    BadUsage
        When there is no such key, or it has a flag of its own.
    """
    environ = os.environ if environ is None else environ
    known = without_flag(command)
    found: dict[str, Said] = {}
    for key, setting in known.items():
        where = next((name for name in setting.variables if environ.get(name)), None)
        if where is not None:
            found[key] = Said(key, environ[where], where)
    for word in flags:
        key, equals, text = word.partition("=")
        if not equals:
            raise BadUsage(f"--set {word} has no value", "Write --set KEY=VALUE: --set server.read_threads=8.")
        if key not in known:
            raise _unknown(key, command, known)
        found[key] = Said(key, text, FLAG)
    return found


def _unknown(key: str, command: str, known: Iterable[str]) -> BadUsage:
    flagged = {s.key: s.option(command) for s in of_command(command) if s.key and s.option(command)}
    if key in flagged:
        return BadUsage(f"{key} has a flag of its own", f"Write --{flagged[key].replace('_', '-')}.", "has_a_flag")
    near = difflib.get_close_matches(key, sorted(known), 1, 0.5)
    hint = f"Did you mean {near[0]}? {SEE}" if near else SEE
    return BadUsage(f"There is no setting {key}", hint, "no_such_setting")


def amended(config: Config, words: Mapping[str, Said]) -> Config:
    """The configuration with what was said elsewhere in the place of what it says.

    Raises
    ------
    BadUsage
        When a value is impossible; names who said it.
    """
    import msgspec

    from coverslip.config import TABLES, problems

    for key, one in words.items():
        table, _, name = key.partition(".")
        fields = {field.name: field.type for field in msgspec.structs.fields(TABLES[table])}
        try:
            value: Any = msgspec.convert(one.text, fields[name], strict=False)
        except msgspec.ValidationError as error:
            raise _wrong(one, f"{one.text} is {_no(fields[name])}") from error
        if key == "server.write_dir":
            value = str(Path(one.text).expanduser().absolute())
        changed = msgspec.structs.replace(getattr(config, table), **{name: value})
        config = msgspec.structs.replace(config, **{table: changed})
    for problem in problems(config):
        key, _, told = problem.partition(" ")
        if key in words:
            raise _wrong(words[key], told)
    if config.server.monitor_mode == "off":
        sources = tuple(msgspec.structs.replace(source, monitor=False) for source in config.sources)
        config = msgspec.structs.replace(config, sources=sources)
    return config


def unwatched(paths: Iterable[str], config: Config) -> list[Any]:
    """What is named on a command line: addresses, paths; where no disk is to be watched, as sources that are not."""
    from coverslip.config import SourceTable
    from coverslip.formats.remote.address import is_url

    if config.server.monitor_mode != "off":
        return [path if is_url(path) else Path(path) for path in paths]
    return [path if is_url(path) else SourceTable(path=str(Path(path).absolute()), monitor=False) for path in paths]


def _no(kind: Any) -> str:
    """What a text is not, that cannot become a value of this kind."""
    kinds = set(get_args(kind) or (kind,))
    return next((word for known, word in NO.items() if known in kinds), "nothing that can stand there")


def _wrong(one: Said, problem: str) -> BadUsage:
    who = f"--set {one.key}" if one.where == FLAG else one.where
    return BadUsage(f"{who}: {problem}", SEE, "bad_setting")


def field_of(settings: Any, dotted: str) -> Any:
    """A field of settings, ``catalog.persist`` too."""
    for name in dotted.split("."):
        settings = getattr(settings, name)
    return settings

"""How commands tell of themselves: options under headings, examples at the end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

import click

OTHERS = "Other options"
SHORT = 160
"""Characters of a first sentence."""


class Sectioned(click.Command):
    """A command whose ``--help`` has its options under headings, and ends with examples.

    Parameters
    ----------
    sections
        Names of options by heading; those in none come last.
    examples
        What somebody would type, and what it is for.
    """

    def __init__(
        self, *words: Any, sections: Mapping[str, Sequence[str]] | None = None,
        examples: Sequence[tuple[str, str]] = (), **options: Any,
    ) -> None:  # fmt: skip
        super().__init__(*words, **options)
        self._sections = dict(sections or {})
        self._examples = examples

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The options, as click has them, under their headings."""
        by_name = {}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                by_name[param.name] = record
        for heading, names in self._sections.items():
            _section(formatter, heading, [by_name.pop(name) for name in names if name in by_name])
        _section(formatter, OTHERS if self._sections else "Options", list(by_name.values()))

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The examples, each in a line that can be copied."""
        super().format_epilog(ctx, formatter)
        if not self._examples:
            return
        with formatter.section("Examples"):
            for line, what in self._examples:
                formatter.write(f"{'':>{formatter.current_indent}}{line}\n")
                formatter.indent()
                formatter.write_text(what)
                formatter.dedent()


def _section(formatter: click.HelpFormatter, heading: str, records: list[tuple[str, str]]) -> None:
    if records:
        with formatter.section(heading):
            formatter.write_dl(records)


class Meant(click.Group):
    """A group that tells who misspelled a command which was meant."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """As click does."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            raise click.UsageError(f"{error.message} {self.meant(ctx, args)}", ctx) from error

    def meant(self, ctx: click.Context, args: list[str]) -> str:
        """What was probably meant, in a sentence; what there is, where nothing is alike."""
        there = self.list_commands(ctx)
        close = get_close_matches(args[0], there)
        return f"Did you mean {close[0]!r}?" if close else f"There are: {', '.join(there)}."


class Listed(Meant):
    """A group whose ``--help`` says of each command the whole of its first sentence."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The commands, none cut short."""
        found = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        rows = [(name, command.get_short_help_str(SHORT)) for name, command in found if command and not command.hidden]
        _section(formatter, "Commands", rows)

"""The ``coverslip`` command. Subcommands are imported when they are called, so that ``--help`` is instant."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
import warnings
from importlib import import_module
from typing import NoReturn

import click

from coverslip import __version__
from coverslip.cli.helping import Meant
from coverslip.cli.plain import plain
from coverslip.core.errors import CoverslipError

INTERRUPTED = 130
COMMANDS = {
    "serve": "Serve data to a browser tab.",
    "connect": "Serve data of another machine, through ssh.",
    "server": "Run a server in the background.",
    "share": "Make a link to one source, that ends.",
    "ui": "Serve neural systems to h5pyd and livn.",
    "check": "Say what is missing or slow in data.",
    "prepare": "Write cells as a folder of small files.",
    "tensor": "List, inspect and download what a server has.",
    "config": "Show the settings of a server, and where each comes from.",
    "cache": "Show or remove what was computed once and kept.",
    "doctor": "Look at this machine: what a server would stumble over.",
    "version": "Show what is installed.",
}
"""In the order in which people come to need them."""
FIRST = {
    "coverslip serve cells.h5ad": "a file, in a browser tab",
    "coverslip serve /data/screen7": "everything in a folder",
    "coverslip serve --help": "what else it can do",
}


class LazyGroup(Meant):
    """A group whose commands live in modules of the same name."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands' names."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """One command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(f"coverslip.cli.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def meant(self, ctx: click.Context, args: list[str]) -> str:
        """Who names data first wants to look at it."""
        if os.path.exists(args[0]) or "://" in args[0]:  # noqa: PTH110  (this module is to be imported quickly)
            return f"Did you mean: coverslip serve {shlex.join(args)}"
        return super().meant(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of commands, without importing any."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))
        with formatter.section("Begin with"):
            formatter.write_dl(list(FIRST.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", message="coverslip %(version)s")
def cli() -> None:
    """Serve what a biology lab has on disk, to a browser tab, to notebooks and to remote programs."""


def main() -> NoReturn:
    """Run the command; every failure is one line and an exit code, never a traceback."""
    verbose = "--verbose" in sys.argv or "-v" in sys.argv
    if not verbose and not sys.warnoptions:
        warnings.simplefilter("ignore")  # libraries warn of odd files, in words meant for programmers
    try:
        cli.main(prog_name="coverslip", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(INTERRUPTED)
    except CoverslipError as error:
        click.echo(f"Error: {plain(str(error))}", err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:  # the reader of our output went away (… | head)
        sys.stderr.close()
        sys.exit(1)
    except OSError as error:
        if verbose:
            traceback.print_exc()
        where = f"{error.filename}: " if isinstance(error.filename, str) else ""
        click.echo(f"Error: {plain(f'{where}{error.strerror or error}')}", err=True)
        sys.exit(1)
    except Exception as error:  # noqa: BLE001  (the top of the main thread)
        if verbose:
            traceback.print_exc()
        what = plain(f"{error.__class__.__name__}: {error}")
        click.echo(f"Error: {what}. Run again with --verbose and report it.", err=True)
        sys.exit(1)
    sys.exit(0)

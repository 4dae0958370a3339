"""What a start of the server tells on a terminal; scripts read these lines."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from coverslip.core.errors import CoverslipError

NAME = "TensorFlight server"


class Console:
    """Tells a person, or a script, how a start goes; `coverslip.daemon.voice.Voice` of a server in the foreground.

    Parameters
    ----------
    log
        Where it logs; None = to this terminal.

    Attributes
    ----------
    done
        Whether it was told how the start ended.
    code
        The exit code of that.
    """

    def __init__(self, log: Path | None) -> None:
        self._log = log
        self.done = False
        self.code = 0

    def hear(self, heard: dict[str, Any]) -> None:
        """One line of `coverslip.daemon.voice.Pipe`."""
        for what, told in heard.items():
            if what == "failed":
                self.failed(CoverslipError(told["message"], told["hint"], told["code"]), told["exit_code"])
            else:
                telling: dict[str, Callable[[Any], None]]
                telling = {"note": self.note, "token": self.token_made, "already": self.already, "ready": self.ready}
                telling[what](told)

    def note(self, text: str) -> None:
        """A line of the configuration without meaning."""
        click.echo(text, err=True)

    def token_made(self, token: str) -> None:
        """Shown once."""
        click.echo(f"Generated access token: {token}")

    def already(self, pid: int) -> None:
        """Somebody else was quicker."""
        self.done = True
        told_running(pid, False)

    def ready(self, told: dict[str, Any]) -> None:
        """It answers."""
        self.done = True
        click.echo(f"{NAME} started (PID {told['pid']})\n  HTTP: {told['http']}")
        if told.get("elsewhere") is not None:
            click.echo(f"  HTTP, from other machines: {told['elsewhere']}")
        if told["grpc"] is not None:
            click.echo(f"  gRPC: {told['grpc']}")
        if told.get("grpc_elsewhere") is not None:
            click.echo(f"  gRPC, from other machines: {told['grpc_elsewhere']}")
        if self._log is not None:
            click.echo(f"  Logs: {self._log}")

    def failed(self, error: CoverslipError, exit_code: int | None = None) -> None:
        """It cannot start."""
        self.done, self.code = True, error.exit_code if exit_code is None else exit_code
        if error.name == "port_in_use":
            click.echo("\n  ".join(error.message.splitlines()), err=True)
        else:
            click.echo(f"Error: {error}", err=True)

    def gave_up(self, *lines: str) -> None:
        """It did not come up, and did not say why."""
        if not self.done:
            self.done, self.code = True, 1
            click.echo("\n  ".join(lines), err=True)


def told_running(pid: int, differs: bool) -> None:
    """Say that there is a server."""
    click.echo(f"{NAME} already running (PID {pid})")
    if differs:
        click.echo("It goes on with the flags it was started with; coverslip server restart takes new ones.", err=True)

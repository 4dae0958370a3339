"""``coverslip server``: the server in the background. Asking it imports nothing heavy."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coverslip.cli.access import access_options, index_option, location_option, more_option
from coverslip.cli.console import NAME, Console, told_running
from coverslip.cli.helping import Listed, Sectioned
from coverslip.cli.status import asked, shown, waiting
from coverslip.core.errors import CoverslipError
from coverslip.daemon import record
from coverslip.daemon.flags import Flags, kept
from coverslip.daemon.places import Places, default_config
from coverslip.daemon.reading import LEVELS
from coverslip.daemon.record import Known, known
from coverslip.said import said

if TYPE_CHECKING:
    from coverslip.daemon.identity import Identity

STOP_S = 10.0
WAIT_LOOK_S = 0.25
AUTO = "auto"

SECTIONS = {
    "What is served": ("config", "no_index", "more"),
    "Where": ("host", "port", "web_host", "web_port", "flight", "external_location", "root_path"),
    "Who may ask": ("token", "read_token", "allow_host", "allow_origin", "trusted_proxy", "dev"),
    "Encryption": ("tls", "tls_cert", "tls_key", "san"),
    "The process": ("foreground", "log_level"),
}
EXAMPLES = (
    ("coverslip server start /data/screen7", "A folder, in the background; coverslip server status tells of it."),
    ("coverslip server start --config lab.toml --web-port 9000", "What a file says, but HTTP on another port."),
    (
        "coverslip server start /data --host 0.0.0.0 --web-host 0.0.0.0 --tls",
        "For the network: encrypted, a token is made.",
    ),
)

TOKEN_EXAMPLES = (
    ("coverslip server token", "What to type where the viewer asks for a token."),
    ("coverslip server token --rotate", "Another one from now on: who has the old one, or a link, is out."),
    ("coverslip server token --rotate --grace 1h", "Programs have an hour to learn it."),
)

Command = Callable[..., None]


@click.group(cls=Listed, context_settings={"help_option_names": ["-h", "--help"]})
def server() -> None:
    """Run a server in the background: Arrow Flight on 8815, the viewer, the API and Zarr on 8814."""


def start_options(command: Command) -> Command:
    """The flags of ``start`` and ``restart``."""
    text = click.STRING
    options = [
        click.argument("paths", metavar="[PATH]...", nargs=-1),
        click.option("-c", "--config", metavar="FILE", envvar="COVERSLIP_CONFIG",
                     help="TOML file with options and sources. Default: the first there is of "
                     "~/.config/coverslip/coverslip.toml and ~/.config/biopb/biopb.toml."),
        click.option("-H", "--host", type=text, envvar="COVERSLIP_FLIGHT_HOST",
                     help="Address of Arrow Flight.  [default: 127.0.0.1]"),
        click.option("-p", "--port", type=int, envvar="COVERSLIP_FLIGHT_PORT",
                     help="Port of Arrow Flight; 0 = any free one.  [default: 8815]"),
        click.option("--web-host", type=text, envvar="COVERSLIP_WEB_HOST",
                     help="Address of HTTP.  [default: 127.0.0.1]"),
        click.option("--web-port", type=int, envvar="COVERSLIP_WEB_PORT",
                     help="Port of HTTP; 0 = any free one.  [default: 8814]"),
        click.option("--flight/--no-flight", default=None, help="Whether to serve Arrow Flight.  [default: yes]"),
        click.option("-l", "--log-level", type=click.Choice(LEVELS, case_sensitive=False),
                     envvar=["COVERSLIP_LOG_LEVEL", "BIOPB_LOG_LEVEL"], help="What is logged.  [default: INFO]"),
        click.option("--static-dir", metavar="DIR", help="Without meaning: the viewer comes with coverslip."),
        click.option("--foreground", is_flag=True, help="Stay in this terminal and log to it."),
    ]  # fmt: skip
    command = location_option(index_option(more_option(access_options(command))))
    for option in reversed(options):
        command = option(command)
    return command


@server.command(cls=Sectioned, sections=SECTIONS, examples=EXAMPLES)
@start_options
def start(**given: Any) -> None:
    """Start the server; return once it answers.

    It serves PATHs (files, folders, s3:// and https:// addresses) and the sources of the configuration.
    """
    flags = flags_of(given)
    now = known(places := Places.here())
    if now.running and now.identity is not None:
        told_running(now.identity.pid, differs(flags, places))
        return
    told_leftover(now, places)
    begin(flags, places, given["foreground"])


@server.command()
@start_options
@click.option(
    "-t", "--timeout", default=STOP_S, help="Seconds to wait before the old one is killed.", show_default=True
)
def restart(timeout: float, **given: Any) -> None:
    """Stop the server and start it with the flags of its last start; flags given here come first."""
    places = Places.here()
    older, token, read_token = kept(places), record.token_of(places), record.read_token_of(places)
    flags = flags_of(given).over(older)
    if flags.token is None and older.token_kept:
        flags = replace(flags, token=token)
    if flags.read_token is None and older.read_token_kept:
        flags = replace(flags, read_token=read_token)
    now = known(places)
    if now.running and now.identity is not None:
        from coverslip.daemon.rehearsal import rehearse

        rehearse(with_default(flags), places, now.record)
        ended(now.identity, timeout)
    else:
        told_leftover(now, places)
    begin(flags, places, given["foreground"])


@server.command()
@click.option("-t", "--timeout", default=STOP_S, help="Seconds to wait before it is killed.", show_default=True)
def stop(timeout: float) -> None:
    """Stop the server; return once its ports are free."""
    now = known(places := Places.here())
    if now.running and now.identity is not None:
        ended(now.identity, timeout)
        return
    told_leftover(now, places)
    click.echo(f"No {NAME} running")


@server.command()
@click.option("-c", "--config", metavar="FILE", help="Accepted for scripts; the running server is asked.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
@click.option("-w", "--wait", metavar="SECONDS", type=float, help="Wait so long for all sources to be found.")
def status(config: str | None, as_json: bool, wait: float | None) -> None:
    """Show whether the server runs, how it is, what it found so far."""
    places = Places.here()
    now = known(places)
    told = asked(now, places)
    end, said = time.monotonic() + (wait or 0), ""
    while time.monotonic() < end and told["health"] != "SERVING":
        line = waiting(told)
        if line != said:
            click.echo(line, err=True)
        said = line
        time.sleep(WAIT_LOOK_S)
        now = known(places)
        told = asked(now, places)
    click.echo(json.dumps(told) if as_json else shown(now, told, places))


@server.command()
@click.option("-f", "--follow", is_flag=True, help="Go on as lines are written, until Ctrl+C.")
@click.option("-n", "--lines", "number", default=200, show_default=True, help="How many of the last lines.")
@click.option("--level", type=click.Choice(LEVELS, case_sensitive=False), help="Only of this level and above.")
@click.option("--path", "path_only", is_flag=True, help="Print where the log is, and nothing else.")
def logs(follow: bool, number: int, level: str | None, path_only: bool) -> None:
    """Show what the server logged."""
    from coverslip.daemon import reading

    log = Places.here().log
    if path_only:
        click.echo(str(log))
        return
    if not log.exists() and not follow:
        raise CoverslipError("There is no log yet", "coverslip server start begins one.", "no_log")
    least, place = level.upper() if level else None, reading.size(log)
    for line in reading.last(log, number, least, place):
        click.echo(line)
    if follow:
        for line in reading.coming(log, least, place):
            click.echo(line)


@server.command(cls=Sectioned, examples=TOKEN_EXAMPLES)
@click.option("--rotate", is_flag=True, help="Ask for another token from now on; cookies and links of the old one end.")
@click.option("--grace", metavar="TIME", help="With --rotate: how long the old one still holds: 30s, 10m.")
@click.option("--read", "reading", is_flag=True, help="Print the token that only reads.")
def token(rotate: bool, grace: str | None, reading: bool) -> None:
    """Print the running server's token, or replace it without a restart."""
    now = known(places := Places.here())
    if not now.running or now.record is None:
        raise CoverslipError(f"No {NAME} running", "coverslip server start begins one.", "not_running")
    if rotate:
        from coverslip.cli.rotate import rotated

        rotated(now.record, places, grace)
    found = record.read_token_of(places) if reading else record.token_of(places)
    if found is None:
        what = "The server has no token for reading" if reading else "The server asks for no token"
        hint = f"coverslip server restart {'--read-token auto' if reading else '--token TOKEN'} gives it one."
        raise CoverslipError(what, hint, "no_token")
    click.echo(found)


def flags_of(given: dict[str, Any]) -> Flags:
    """The flags as the server gets them: paths that hold wherever it runs, the configuration that is found."""
    if given["static_dir"] is not None:
        click.echo("--static-dir has no meaning here: the viewer comes with coverslip.", err=True)
    config = given["config"]
    return Flags.of({
        **given,
        "paths": [path if "://" in path else str(Path(path).absolute()) for path in given["paths"]],
        "config": str(Path(config).absolute()) if config else None,
        "token": given["token"] or None,
        "more": [f"{one.key}={one.text}" for one in said("start", given["more"]).values()],
        "read_token": given["read_token"] or None,
        **{name: str(given[name].absolute()) if given[name] else None for name in ("tls_cert", "tls_key")},
    })  # fmt: skip


def differs(flags: Flags, places: Places) -> bool:
    """Whether flags ask for something else than the running server was started with."""
    now = replace(kept(places), token=record.token_of(places), read_token=record.read_token_of(places))
    asked = replace(flags, read_token=now.read_token) if flags.read_token == AUTO and now.read_token else flags
    return asked.over(now) != now


def with_default(flags: Flags) -> Flags:
    """The flags with the configuration that is found where they name none."""
    found = default_config() if flags.config is None else None
    return replace(flags, config=str(found)) if found is not None else flags


def begin(flags: Flags, places: Places, foreground: bool) -> None:
    """Start the server, and tell how that goes."""
    flags = with_default(flags)
    click.echo(f"Starting {NAME}...")
    if flags.config:
        click.echo(f"  Config: {flags.config}")
    console = Console(None if foreground else places.log)
    if foreground:
        from coverslip.daemon.journal import to_console
        from coverslip.daemon.run import run

        raise SystemExit(run(flags, console, to_console()))
    from coverslip.daemon.launch import TooSlow, last_line, launch

    try:
        for heard in launch(flags, places):
            console.hear(heard)
    except TooSlow as error:
        console.gave_up(f"{NAME} started but {error}.", f"Check logs: {places.log}")
    console.gave_up(f"Failed to start {NAME}: {last_line(places.log)}", f"Check logs: {places.log}")
    raise SystemExit(console.code)


def told_leftover(now: Known, places: Places) -> None:
    """Say what a server left that is no more; one on another machine cannot be told from here.

    Raises
    ------
    CoverslipError
        When a server of another machine has this state folder.
    """
    if now.state == "elsewhere":
        hint = f"Stop it there, set COVERSLIP_STATE_DIR to another folder, or remove {places.pid} if it is gone."
        raise CoverslipError(f"{NAME} was started on {now.node}, which shares this state folder", hint, "elsewhere")
    if now.state == "stale" and now.identity is not None:
        click.echo(f"Removing stale PID file (process {now.identity.pid} not running)")
        tidy(places)


def tidy(places: Places) -> None:
    """Remove what a server left, unless another one starts this very moment."""
    from coverslip.daemon.run import holding

    with holding(places) as mine:
        if mine:
            record.forget(places)


def ended(identity: Identity, timeout: float) -> None:
    """End the server, and tell how it went."""
    from coverslip.daemon.launch import end

    click.echo(f"Stopping {NAME} (PID {identity.pid})...")
    asked = end(identity, timeout)
    tidy(Places.here())
    click.echo(f"{NAME} stopped" if asked else f"Did not stop within {timeout:g}s; force killed")

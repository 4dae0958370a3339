"""``coverslip doctor``: what of this machine and this installation a server would stumble over."""

from __future__ import annotations

import json
import os
import platform
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

import click

from coverslip import __version__
from coverslip.core.amounts import size
from coverslip.core.errors import CoverslipError

Grade = Literal["ok", "note", "problem"]
SIGNS: dict[Grade, str] = {"ok": "ok     ", "note": "note   ", "problem": "PROBLEM"}
LEAST_DISK = 1 << 30
LEAST_FILES = 1024
LEAST_WATCHES = 65_536
PORTS = {
    8765: "coverslip serve",
    8814: "coverslip server, HTTP",
    8815: "coverslip server, Arrow Flight",
    5101: "coverslip ui server",
}
WATCHES = Path("/proc/sys/fs/inotify/max_user_watches")


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    what
        Its name.
    grade
        ``ok``; ``note``: it works, and could be better; ``problem``: something will not work.
    told
        What was found.
    hint
        What to do; empty when there is nothing.
    """

    what: str
    grade: Grade
    told: str
    hint: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Look at this machine and this installation: what a server would stumble over, and what to do about it.

    Nothing is changed. Exits with 1 when something will not work. Data is looked at by `coverslip check`.
    """
    findings = [finding for look in LOOKS for finding in look()]
    if as_json:
        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        for finding in findings:
            hint = f"\n          {finding.hint}" if finding.hint else ""
            click.echo(f"{SIGNS[finding.grade]}  {finding.what}: {finding.told}{hint}")
    ctx.exit(any(finding.grade == "problem" for finding in findings))


def installation() -> Iterator[Finding]:
    """The package, its viewer and its extras."""
    from coverslip.app import viewer_built
    from coverslip.cli.version import extras, libraries

    yield Finding("coverslip", "ok", f"{__version__} on Python {platform.python_version()}, {platform.system()}")
    if viewer_built():
        yield Finding("viewer", "ok", "is there")
    else:
        hint = "Install coverslip again from a wheel; in a checkout: make build."
        yield Finding("viewer", "problem", "is not in this installation", hint)
    for extra, names in extras().items():
        told, _, hint = libraries(extra, names).partition(" (pip install")
        missing = "not installed" in told
        todo = f"Where it is needed: pip install{hint.rstrip(')')}" if missing else ""
        yield Finding(f"extra {extra}", "note" if missing else "ok", told, todo)


def folders() -> Iterator[Finding]:
    """Where things are kept, and whether there is room."""
    from coverslip.engine.sidecar import cache_folder
    from coverslip.engine.state import state_folder

    for what, folder_of in (("cache folder", cache_folder), ("state folder", state_folder)):
        yield _folder(what, folder_of)


def _folder(what: str, folder_of: Callable[[], Path]) -> Finding:
    try:
        folder = folder_of()
        free = shutil.disk_usage(folder).free
    except CoverslipError as error:
        return Finding(what, "problem", error.message, error.hint)
    except OSError as error:
        return Finding(what, "problem", f"cannot be used: {error.strerror}", "Check who may write there: ls -ld.")
    if not folder.is_dir():
        return Finding(what, "problem", f"{folder} is no folder", "Remove it, or name another one in the environment.")
    told = f"{folder}, {size(free)} free"
    if not os.access(folder, os.W_OK):
        return Finding(what, "problem", f"{folder} cannot be written", "Check who may write there: ls -ld.")
    if free < LEAST_DISK:
        return Finding(what, "note", told, "Gene indexes and levels of images need room: coverslip cache clear.")
    return Finding(what, "ok", told)


def limits() -> Iterator[Finding]:
    """What the system allows."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    few = most != resource.RLIM_INFINITY and most < LEAST_FILES
    hint = "Many clients and files at once need more: ulimit -n 4096." if few else ""
    yield Finding("open files", "note" if few else "ok", "no limit" if most < 0 else f"{most:,} at most", hint)
    try:
        watches = int(WATCHES.read_text())
    except (OSError, ValueError):
        return
    few = watches < LEAST_WATCHES
    hint = "Folders beyond that are looked at now and then: sysctl fs.inotify.max_user_watches=524288." if few else ""
    yield Finding("folders watched for changes", "note" if few else "ok", f"{watches:,} at most", hint)


def ports() -> Iterator[Finding]:
    """Whether the usual ports are free."""
    from coverslip.daemon.health import answers_as_coverslip

    flight = _flight_port()
    for port, who in PORTS.items():
        with socket.socket() as probe:
            probe.settimeout(1)
            taken = probe.connect_ex(("127.0.0.1", port)) == 0
        if not taken:
            yield Finding(f"port {port}", "ok", f"is free ({who})")
        elif port == flight:
            yield Finding(f"port {port}", "ok", "the background server answers there")
        elif answers_as_coverslip("127.0.0.1", port):
            yield Finding(f"port {port}", "ok", "a coverslip server answers there")
        else:
            yield Finding(f"port {port}", "note", f"another program has it ({who})", "Choose another one: --port.")


def _flight_port() -> int | None:
    """Where the background server speaks Arrow Flight, which says of nobody whose it is without its libraries."""
    from coverslip.daemon.places import Places
    from coverslip.daemon.record import known

    try:
        now = known(Places.here())
    except CoverslipError:  # told where the server is looked at
        return None
    return urlsplit(now.record.grpc).port if now.running and now.record is not None and now.record.grpc else None


def proxies() -> Iterator[Finding]:
    """Whether programs here would ask a proxy for this very machine."""
    names = [name for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy") if os.environ.get(name)]
    spared = os.environ.get("no_proxy", os.environ.get("NO_PROXY", ""))
    if names and not {"localhost", "127.0.0.1", "*"} & {part.strip() for part in spared.split(",")}:
        hint = "Clients on this machine would ask the proxy: export no_proxy=localhost,127.0.0.1."
        yield Finding("proxy", "note", f"{names[0]} is set, and does not spare this machine", hint)
    else:
        yield Finding("proxy", "ok", "none stands between clients here and a server here")


def background() -> Iterator[Finding]:
    """The server in the background."""
    from coverslip.cli.status import asked
    from coverslip.daemon.places import Places
    from coverslip.daemon.record import known

    try:
        places = Places.here()
        told = asked(known(places), places)
    except CoverslipError as error:
        yield Finding("background server", "problem", error.message, error.hint)
        return
    if told["status"] == "stale":
        yield Finding(
            "background server", "note", "a killed one left its pid file", "coverslip server start removes it."
        )
    elif not told["running"]:
        yield Finding("background server", "ok", "does not run")
    elif told["health"] == "unreachable":
        hint = "coverslip server restart, or coverslip server logs to see why."
        yield Finding("background server", "problem", f"runs (process {told['pid']}) and does not answer", hint)
    else:
        yield Finding("background server", "ok", f"runs at {told['http']}, {told['health']}")


LOOKS: tuple[Callable[[], Iterator[Finding]], ...] = (installation, folders, limits, ports, proxies, background)

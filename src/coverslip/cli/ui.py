"""``coverslip ui``: servers for h5pyd and livn."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coverslip.cli.access import some_access_options
from coverslip.cli.helping import Listed, Sectioned
from coverslip.cli.plain import plain

if TYPE_CHECKING:
    from coverslip.companion import Launch
    from coverslip.hsds.environment import Found

WORDS = ("port", "root_dir", "host", "engine", "store")
DEFAULT_PORT = 5101
DEFAULT_ROOT = "systems/graphs"


EXAMPLES = (
    ("coverslip ui server --root-dir systems --launch", "HDF5 on 5101, the JSON files on 5102."),
    ("coverslip ui server port=5201 root_dir=systems", "Prints what would be served; nothing is started."),
)


@click.group(cls=Listed)
def ui() -> None:
    """Serve neural systems to h5pyd, livn and the browser."""


def split_words(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> dict[str, str]:
    """``port=5102 root_dir=/data`` as a dict."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals or name not in WORDS or not value:
            raise click.BadParameter(f"{word!r} is not one of {', '.join(f'{w}=…' for w in WORDS)}.")
        found[name] = value
    return found


@ui.command(cls=Sectioned, examples=EXAMPLES)
@click.argument("words", metavar="[port=… root_dir=…]", nargs=-1, callback=split_words)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    is_eager=True,
    expose_value=False,
    envvar="COVERSLIP_CONFIG",
    callback=lambda ctx, param, file: configured(ctx, file),
    help="TOML file, of which [ui] and what [server] says of access and proxies count; flags come first.",
)
@click.option("--launch", is_flag=True, help="Serve; without it the configuration is printed.")
@click.option(
    "--port", envvar="COVERSLIP_UI_PORT", type=int, help=f"Of the HDF5 server; files on the next. [{DEFAULT_PORT}]"
)
@click.option(
    "--root-dir",
    envvar="COVERSLIP_UI_ROOT",
    type=click.Path(path_type=Path),
    help=f"Folder of systems. [{DEFAULT_ROOT}]",
)
@click.option("--host", envvar="COVERSLIP_UI_HOST", help="Address to listen on. [127.0.0.1]")
@click.option(
    "--engine",
    envvar="COVERSLIP_UI_ENGINE",
    help="Who serves the HDF5 files: native, or hsds for what was imported into it. [native]",
)
@click.option(
    "--store",
    envvar="COVERSLIP_HSDS_STORE",
    type=click.Path(path_type=Path),
    help="Where HSDS keeps its copies. [root_dir/.hsds]",
)
@click.option(
    "--nodes", envvar="COVERSLIP_HSDS_NODES", type=click.IntRange(1, 64), default=4, help="Data nodes of HSDS. [4]"
)
@click.option(
    "--cache-mb",
    envvar="COVERSLIP_HSDS_CACHE_MB",
    type=click.IntRange(8),
    default=128,
    help="Chunks that each of them keeps. [128]",
)
@click.option("-y", "--yes", is_flag=True, help="Install HSDS without asking where it is missing.")
@click.option("--token", envvar="COVERSLIP_TOKEN", help="Ask every visitor for this token. Made up off loopback.")
@some_access_options("read_token", "allow_host", "allow_origin", "trusted_proxy", "root_path")
@click.option("-v", "--verbose", is_flag=True, help="Print every request, and errors in full.")
def server(
    words: dict[str, str],
    launch: bool,
    port: int | None,
    root_dir: Path | None,
    host: str | None,
    engine: str | None,
    store: Path | None,
    nodes: int,
    cache_mb: int,
    yes: bool,
    token: str | None,
    read_token: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    root_path: str | None,
    verbose: bool,
) -> None:
    """Serve a folder of neural systems: HDF5 on one port, their JSON files on the next.

    HDF5 files are served as they are: nothing is imported. With --engine hsds a real HSDS serves what coverslip ui
    import put into it. Words like port=5102 do the same as flags, and come first.
    """
    from coverslip.companion import ENGINES, Launch

    asked = Launch(
        root_dir=Path(words.get("root_dir") or root_dir or DEFAULT_ROOT).expanduser(),
        host=words.get("host") or host or "127.0.0.1",
        port=_port(words.get("port"), port),
        token=token or None,
        read_token=read_token or None,
        allow_hosts=allow_host,
        allow_origins=allow_origin,
        trusted_proxies=trusted_proxy,
        root_path=root_path or "",
        engine=words.get("engine") or engine or "native",
        store=_store(words.get("store"), store),
        nodes=nodes,
        cache_mb=cache_mb,
    )
    if asked.engine not in ENGINES:
        raise click.UsageError(f"There is no engine {asked.engine!r}; there is {', '.join(ENGINES)}.")
    if not launch:
        for name, value in asked.told().items():
            click.echo(f"{name + ':':<12}{value}")
        click.echo("\nStart it with --launch.")
        return
    if asked.engine == "hsds":
        asked.check()
        _environment(yes)
    ENGINES[asked.engine](asked, announce, verbose)


def configured(ctx: click.Context, file: Path | None) -> Path | None:
    """The configuration file, whose ``[ui]`` becomes the defaults of the flags."""
    if file is None:
        return None
    import msgspec  # kept out of --help

    from coverslip.config import load

    config = load(file)
    ctx.find_root().meta["coverslip.config"] = config
    server = config.server
    given = {**msgspec.structs.asdict(config.ui), "token": server.token, "read_token": server.read_token,
             "trusted_proxy": server.trusted_proxies or None, "root_path": server.root_path,
             "allow_host": server.allow_hosts or None, "allow_origin": server.allow_origins or None}  # fmt: skip
    ctx.default_map = {**(ctx.default_map or {}), **{key: value for key, value in given.items() if value is not None}}
    return file


@ui.command("import")
@click.argument("systems", metavar="[SYSTEM…]", nargs=-1)
@click.option(
    "--root-dir",
    envvar="COVERSLIP_UI_ROOT",
    type=click.Path(path_type=Path),
    help=f"Folder of systems. [{DEFAULT_ROOT}]",
)
@click.option(
    "--store",
    envvar="COVERSLIP_HSDS_STORE",
    type=click.Path(path_type=Path),
    help="Where HSDS keeps its copies. [root_dir/.hsds]",
)
@click.option(
    "--nodes",
    envvar="COVERSLIP_HSDS_NODES",
    type=click.IntRange(1, 64),
    default=4,
    help="Data nodes while it imports, where no server runs. [4]",
)
@click.option("--endpoint", help="Import into this HSDS, wherever it runs.")
@click.option("--username", envvar="HS_USERNAME", help="Of the endpoint; its password is read from HS_PASSWORD.")
@click.option("--bucket", envvar="HS_BUCKET", help="Of the endpoint, where it has several.")
@click.option("--replace", is_flag=True, help="Replace what is there and differs.")
@click.option("-y", "--yes", is_flag=True, help="Install HSDS without asking where it is missing.")
def import_(
    systems: tuple[str, ...],
    root_dir: Path | None,
    store: Path | None,
    nodes: int,
    endpoint: str | None,
    username: str | None,
    bucket: str | None,
    replace: bool,
    yes: bool,
) -> None:
    """Copy systems into HSDS, all of the folder or those named, each whole or not at all.

    Values are compared with the files' afterwards. What is there already is left alone, so that an import that was
    interrupted is continued by doing it again.
    """
    from coverslip.companion import Launch
    from coverslip.hsds.importing import Import, Target

    launch = Launch(root_dir=Path(root_dir or DEFAULT_ROOT).expanduser(), store=_store(None, store), nodes=nodes)
    launch.check()
    found = _environment(yes, importing=True)
    target = Target(endpoint, username, os.environ.get("HS_PASSWORD"), bucket)
    Import(launch, found, target, lambda line: click.echo(plain(line))).run(systems, replace)


def _environment(yes: bool, importing: bool = False) -> Found:
    """Where HSDS is installed; a person is asked before it is."""
    from coverslip.hsds.environment import require

    def ask(question: str) -> bool:
        return sys.stdin.isatty() and click.confirm(question, err=True)

    return require(yes, ask, lambda line: click.echo(line, err=True), importing)


def _store(word: str | None, flag: Path | None) -> Path | None:
    return Path(word).expanduser() if word is not None else flag.expanduser() if flag is not None else None


def _port(word: str | None, flag: int | None) -> int:
    if word is None:
        return DEFAULT_PORT if flag is None else flag
    if not (word.isascii() and word.isdigit()):
        raise click.UsageError(f"port={word} is not a number.")
    return int(word)


def announce(launch: Launch) -> None:
    """Say where everything is, and how clients are told."""
    host = "localhost" if launch.host in ("127.0.0.1", "::1", "localhost") else launch.host
    shown = f"[{host}]" if ":" in host else host
    names = launch.names()
    connection: dict[str, Any] = {"endpoint": f"http://{shown}:{launch.port}"}
    if launch.token:
        connection |= {"username": "admin", "password": launch.token}
    click.echo(f"Systems: {plain(', '.join(names)) or 'none yet'}")
    click.echo(f"HDF5:    http://{shown}:{launch.port}")
    click.echo(f"Files:   http://{shown}:{launch.port + 1}")
    if launch.engine == "hsds":
        click.echo("Import:  coverslip ui import")
        click.echo(f"Writing: user admin, password in {launch.store_dir / 'password'}")
    if launch.read_token:
        click.echo(f"Reading: password {launch.read_token}, of any user")
    click.echo(f"\n  export LIVN_HSDS='{json.dumps(connection)}'\n")
    click.echo("Press Ctrl+C to stop.")

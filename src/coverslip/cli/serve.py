"""``coverslip serve``."""

from __future__ import annotations

import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coverslip.cli.access import access_options, index_option, location_option, more_option
from coverslip.cli.helping import Sectioned
from coverslip.cli.plain import plain
from coverslip.ports import DEFAULT_PORT, FLIGHT_PORT
from coverslip.starting import start

if TYPE_CHECKING:
    from coverslip.config import Config
    from coverslip.server import Server
    from coverslip.settings import Settings

SECTIONS = {
    "What is served": ("config", "gene_id_column", "latent_key", "no_index", "more"),
    "Where": ("host", "port", "flight", "external_location", "root_path"),
    "Who may ask": ("token", "read_token", "allow_host", "allow_origin", "trusted_proxy", "dev"),
    "Encryption": ("tls", "tls_cert", "tls_key", "san"),
    "This terminal": ("no_browser", "quiet", "verbose", "end_with_input"),
}
EXAMPLES = (
    ("coverslip serve cells.h5ad", "One file; a browser tab opens."),
    ("coverslip serve /data/screen7 slides/", "Everything in two folders; new files show up by themselves."),
    ("coverslip serve s3://bucket/brain.zarr", "Data on another machine, read where it is."),
    ("coverslip serve /data --no-browser --port 9000", "On a remote machine; there is coverslip connect, too."),
    ("coverslip serve /data --host 0.0.0.0 --tls", "For the network: encrypted, and a token is made and printed."),
)
LOOK_S = 0.2
FROM_INPUT = "-"
"""In the place of a token: it is the first line of standard input."""
AUTO = "auto"
"""In the place of a token for reading: one is made."""
CLEAR = "\r\x1b[K"
KINDS = {"arrays": ("array", "arrays"), "cells": ("data set of cells", "data sets of cells"),
         "images": ("image file", "image files"), "network": ("network", "networks")}  # fmt: skip


@click.command(cls=Sectioned, sections=SECTIONS, examples=EXAMPLES)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "-c",
    "--config",
    metavar="FILE",
    type=click.Path(path_type=Path),
    is_eager=True,
    envvar="COVERSLIP_CONFIG",
    callback=lambda ctx, param, file: configured(ctx, file),
    help="TOML file with options and sources; flags come first.",
)
@click.option(
    "-H", "--host", default="127.0.0.1", show_default=True, envvar="COVERSLIP_HOST", help="Address to listen on."
)
@click.option(
    "-p", "--port", default=DEFAULT_PORT, show_default=True, envvar="COVERSLIP_PORT", help="Port; 0 = any free one."
)
@click.option(
    "--flight",
    metavar="[PORT]",
    is_flag=False,
    flag_value=str(FLIGHT_PORT),
    envvar="COVERSLIP_FLIGHT",
    help=f"Serve Arrow Flight too, on {FLIGHT_PORT} or this port.",
)
@click.option("--no-browser", is_flag=True, help="Open no browser tab.")
@click.option("-q", "--quiet", is_flag=True, help="Print the URL only.")
@click.option("-v", "--verbose", is_flag=True, help="Print timings, every request, and errors in full.")
@click.option("--end-with-input", is_flag=True, help="End when standard input ends, as it does with an SSH connection.")
@location_option
@access_options
@index_option
@more_option
@click.option("--latent-key", envvar="COVERSLIP_LATENT_KEY", help="obsm array in which outliers are measured.")
@click.option(
    "--gene-id-column", default="index", show_default=True, envvar="COVERSLIP_GENE_ID_COLUMN",
    help="var column that names genes.",
)  # fmt: skip
def serve(
    paths: tuple[str, ...],
    config: Config | None,
    host: str,
    port: int,
    flight: str | None,
    external_location: str | None,
    no_browser: bool,
    quiet: bool,
    verbose: bool,
    end_with_input: bool,
    token: str | None,
    read_token: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    tls: bool | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    san: tuple[str, ...],
    trusted_proxy: tuple[str, ...],
    root_path: str | None,
    dev: bool | None,
    no_index: bool | None,
    more: tuple[str, ...],
    latent_key: str | None,
    gene_id_column: str,
) -> None:
    """Serve PATH to a browser tab: files of cells or images, folders of them, or s3://, gs:// and https:// addresses.

    Data is served in place: nothing is converted or sent anywhere else.
    """
    started = time.perf_counter()
    settled = click.get_current_context().with_resource(start())
    from coverslip.config import Config  # kept out of --help
    from coverslip.domains.cells import Options
    from coverslip.engine.access import is_loopback
    from coverslip.said import amended, said, unwatched
    from coverslip.server import Server
    from coverslip.settings import Settings, with_config

    config = amended(config or Config(), said("serve", more))
    if "" in paths:
        raise click.UsageError("A PATH is empty: is a variable of the shell not set?")
    if token == FROM_INPUT:
        token = sys.stdin.readline().strip()
    cells = Options(gene_id_column=gene_id_column, latent_key=latent_key)
    if flight is not None and not flight.isdecimal():  # --flight PATH
        paths, flight = (flight, *paths), str(FLIGHT_PORT)
    flight_port = None if flight is None else int(flight)
    settings = Settings(
        host, port, token or None, allow_host, allow_origin,
        cells=cells, flight_port=flight_port, flight_host=config.server.flight_host,
        external_location=external_location,
        tls=bool(tls), tls_cert=tls_cert, tls_key=tls_key, tls_names=san, trusted_proxies=trusted_proxy, dev=bool(dev),
        root_path=root_path or "", gene_index=not no_index, read_token=read_token or None,
    )  # fmt: skip
    settings = with_config(settings, config)
    offered: list[Any] = [*unwatched(paths, config), *config.offered]
    if not offered:
        raise click.UsageError("Missing argument 'PATH...': name a file or folder.")
    server = Server(offered, settings, open_browser=not no_browser)

    def announce() -> None:
        settled()
        if end_with_input:
            threading.Thread(target=end_with, args=(server,), daemon=True).start()
        tell_safety(server, settings)
        if quiet:
            say(server.viewer_url)
            if read_token == AUTO:
                say(f"To read only: {server.url}/#token={server.keys.read_token}", err=True)
            return
        named = [shown(item) for item in offered]
        say(f"coverslip is serving {', '.join(named)}\n\n  {server.viewer_url}\n")
        if server.flight_url is not None:
            say(f"  {server.flight_url}\n")
        if server.keys.read_token is not None:
            say(f"  To read only: {server.url}/#token={server.keys.read_token}\n")
        if server.certificate is not None:
            say(f"  Certificate, SHA-256: {server.certificate.fingerprint}\n")
        if not all(map(is_loopback, settings.listeners)):
            open_line = "" if server.certificate is not None else " The connection is not encrypted."
            if server.network_url is not None:
                say(f"  From other machines: {server.network_url}\n")
            say(f"  Anyone on the network who has this URL can read the data.{open_line}\n")
        say("Press Ctrl+C to stop.")
        if len(offered) > 1 or not (isinstance(offered[0], Path) and offered[0].is_file()):
            threading.Thread(target=tell_found, args=(server,), daemon=True).start()
        if sys.stdout.isatty():
            threading.Thread(target=tell_indexing, args=(server,), daemon=True).start()
        if verbose:
            say(f"Ready after {time.perf_counter() - started:.2f} s.")

    server.run(announce, verbose)


def say(text: str, *, nl: bool = True, err: bool = False) -> None:
    """Print something; a server goes on when nobody reads it any more, or a log of it is full."""
    try:
        click.echo(text, nl=nl, err=err)
    except BrokenPipeError:
        with suppress(OSError, ValueError):  # what was not taken would be tried again at the end, and told as an error
            os.dup2(os.open(os.devnull, os.O_WRONLY), (sys.stderr if err else sys.stdout).fileno())
    except OSError:
        pass


def end_with(server: Server) -> None:
    """Stop the server when standard input ends."""
    while sys.stdin.buffer.read(4096):
        pass
    server.stop()


def tell_safety(server: Server, settings: Settings) -> None:
    """Say on stderr what a person should know of tokens and certificates."""
    if settings.dev:
        say("DEV MODE: no token is asked for; only this machine can reach the server.", err=True)
    if server.certificate is not None:
        ends = server.certificate.warning()
        for note in (*server.certificate.notes, *([ends] if ends else [])):
            say(note, err=True)


def shown(item: Any) -> str:
    """What a person calls something that is offered; never the query of an address, which may hold a key."""
    if isinstance(item, str):
        return plain(item.partition("?")[0].rstrip("/").rpartition("/")[2])
    name: str = item.name if isinstance(item, Path) else item.shown
    return plain(name or str(item))


def configured(ctx: click.Context, file: Path | None) -> Config | None:
    """The configuration, whose ``[server]`` becomes the defaults of the flags."""
    if file is None:
        return None
    from coverslip.config import load  # kept out of --help

    config = load(file)
    for note in config.notes:
        click.echo(note, err=True)
    server = config.server
    given = {"host": server.web_host or server.host, "token": server.token, "read_token": server.read_token,
             "port": server.port if server.web_port is None else server.web_port,
             "flight": None if server.flight_port is None else str(server.flight_port),
             "tls": server.tls, "tls_cert": server.tls_cert, "tls_key": server.tls_key, "san": server.san or None,
             "trusted_proxy": server.trusted_proxies or None, "root_path": server.root_path,
             "external_location": server.external_location,
             "latent_key": config.cells.latent_key, "gene_id_column": config.cells.gene_id_column,
             "no_index": True if config.cache.gene_index is False else None,
             "allow_host": server.allow_hosts or None, "allow_origin": server.allow_origins or None}  # fmt: skip
    ctx.default_map = {**(ctx.default_map or {}), **{key: value for key, value in given.items() if value is not None}}
    return config


def tell_found(server: Server) -> None:
    """Print how many sources were found once everything was looked at; on a terminal also while that goes on."""
    terminal = sys.stdout.isatty()
    while (counts := server.counts()) is not None:
        waiting = counts["by_status"].get("pending", 0)
        if counts["scanned"] and not counts["scanning"] and not waiting:
            say(f"{CLEAR if terminal else ''}{summary(counts)}")
            return
        if terminal:
            say(f"{CLEAR}Looking: {counts['sources']:,} found, {waiting:,} to be opened", nl=False)
        time.sleep(LOOK_S)


def tell_indexing(server: Server) -> None:
    """On a terminal: how far the gene index is that is being made, and the question that is being answered."""
    name: str | None = None
    asked = False
    while server.is_running():
        at_work, answering = server.indexing(), server.answering()
        if at_work is None and name is not None:
            say(f"{CLEAR}{plain(name)}: {server.index_error() or 'the gene index is ready'}")
            name = None
        if asked and answering is None:
            say(CLEAR, nl=False)
        asked = answering is not None
        if answering is not None:
            of, kind, share = answering
            say(f"{CLEAR}{plain(of)}: {kind} {share:.0%}", nl=False)
        elif at_work is not None:
            name, share = at_work
            say(f"{CLEAR}{plain(name)}: gene index {share:.0%}", nl=False)
        time.sleep(LOOK_S)


def summary(counts: dict[str, Any]) -> str:
    """``5 sources: 2 cells, 3 images; 1 could not be read.``"""
    total = counts["sources"]
    if not total:
        return "Nothing that can be shown was found yet; new files appear by themselves."
    kinds = ", ".join(f"{n:,} {KINDS.get(kind, (kind, kind))[n != 1]}" for kind, n in sorted(counts["by_kind"].items()))
    failed = f"; {counts['failed']:,} could not be read" if counts["failed"] else ""
    return f"{total:,} source{'' if total == 1 else 's'}: {kinds}{failed}."

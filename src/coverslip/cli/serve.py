"""``coverslip serve``."""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coverslip.settings import DEFAULT_PORT

if TYPE_CHECKING:
    from coverslip.server import Server

LOOK_S = 0.2
CLEAR = "\r\x1b[K"


@click.command()
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "-H", "--host", default="127.0.0.1", show_default=True, envvar="COVERSLIP_HOST", help="Address to listen on."
)
@click.option(
    "-p", "--port", default=DEFAULT_PORT, show_default=True, envvar="COVERSLIP_PORT", help="Port; 0 = any free one."
)
@click.option("--no-browser", is_flag=True, help="Open no browser tab.")
@click.option("-q", "--quiet", is_flag=True, help="Print the URL only.")
@click.option("-v", "--verbose", is_flag=True, help="Print timings, every request, and errors in full.")
@click.option("--token", envvar="COVERSLIP_TOKEN", help="Ask every visitor for this token. Made up off loopback.")
@click.option("--allow-host", multiple=True, envvar="COVERSLIP_ALLOW_HOST", help="Answer to this host name too.")
@click.option(
    "--allow-origin", multiple=True, envvar="COVERSLIP_ALLOW_ORIGIN", help="Let pages of this origin read the data."
)
@click.option("--latent-key", help="obsm array in which outliers are measured.")
@click.option("--gene-id-column", default="index", show_default=True, help="var column that names genes.")
def serve(
    paths: tuple[Path, ...],
    host: str,
    port: int,
    no_browser: bool,
    quiet: bool,
    verbose: bool,
    token: str | None,
    allow_host: tuple[str, ...],
    allow_origin: tuple[str, ...],
    latent_key: str | None,
    gene_id_column: str,
) -> None:
    """Serve PATH to a browser tab: files of cells or images, or folders of them.

    Data is served in place: nothing is converted, copied or sent anywhere else.
    """
    started = time.perf_counter()
    from coverslip.domains.cells import Options  # kept out of --help
    from coverslip.engine.access import is_loopback
    from coverslip.server import Server
    from coverslip.settings import Settings

    cells = Options(gene_id_column=gene_id_column, latent_key=latent_key)
    settings = Settings(host, port, token or None, allow_host, allow_origin, cells=cells)
    server = Server(list(paths), settings, open_browser=not no_browser)

    def announce() -> None:
        if quiet:
            click.echo(server.viewer_url)
            return
        click.echo(f"coverslip is serving {', '.join(p.name for p in paths)}\n\n  {server.viewer_url}\n")
        if not is_loopback(host):
            click.echo("  Anyone on the network who has this URL can read the data. The connection is not encrypted.\n")
        click.echo("Press Ctrl+C to stop.")
        if any(path.is_dir() for path in paths):
            threading.Thread(target=tell_found, args=(server,), daemon=True).start()
        if verbose:
            click.echo(f"Ready after {time.perf_counter() - started:.2f} s.")

    server.run(announce, verbose)


def tell_found(server: Server) -> None:
    """Print how many sources were found once everything was looked at; on a terminal also while that goes on."""
    terminal = sys.stdout.isatty()
    while (counts := server.counts()) is not None:
        waiting = counts["by_status"].get("pending", 0)
        if counts["scanned"] and not counts["scanning"] and not waiting:
            click.echo(f"{CLEAR if terminal else ''}{summary(counts)}")
            return
        if terminal:
            click.echo(f"{CLEAR}Looking: {counts['sources']:,} found, {waiting:,} to be opened", nl=False)
        time.sleep(LOOK_S)


def summary(counts: dict[str, Any]) -> str:
    """``5 sources: 2 cells, 3 images; 1 could not be read.``"""
    total = counts["sources"]
    if not total:
        return "Nothing that can be shown was found yet; new files appear by themselves."
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in sorted(counts["by_kind"].items()))
    failed = f"; {counts['failed']:,} could not be read" if counts["failed"] else ""
    return f"{total:,} source{'' if total == 1 else 's'}: {kinds}{failed}."

"""``coverslip serve``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from coverslip.settings import DEFAULT_PORT


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
    """Serve PATH (an .h5ad file, say) to a browser tab.

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
        if verbose:
            click.echo(f"Ready after {time.perf_counter() - started:.2f} s.")

    server.run(announce, verbose)

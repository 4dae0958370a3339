"""``coverslip tensor``: what a server has, over Arrow Flight or HTTP, ours or another of the protocol."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from coverslip.cli.helping import Listed, Sectioned
from coverslip.cli.plain import plain, plain_lines
from coverslip.core.errors import CoverslipError, NotFound

if TYPE_CHECKING:
    from coverslip.client.client import Client
    from coverslip.client.image import Image
    from coverslip.client.model import Entry

QUERIES = (
    ("coverslip tensor query", "Of the server that runs here in the background."),
    ("coverslip tensor query -s grpc://there:8815 --json", "Of another machine, for a script."),
)
DOWNLOADS = (
    ("coverslip tensor get stack -o stack.tif", "An image of coverslip tensor query, whole."),
    ("coverslip tensor get stack --slice 0:1,0:10,0:512,0:512 -o part.npy", "A part of it, as a NumPy file."),
)
FORMATS = ("npy", "tiff", "zarr", "raw", "pb", "pickle")
REDRAW_S = 0.1
INTERRUPTED = 130
CLEAR = "\r\x1b[K"
Command = Callable[..., None]


@click.group(cls=Listed, context_settings={"help_option_names": ["-h", "--help"]})
def tensor() -> None:
    """List, inspect and download what a server has: ours, or any tensor server over Arrow Flight."""


def server_options(command: Command) -> Command:
    """Flags that say which server."""
    options = [
        click.option("-s", "--server", metavar="URL",
                     help="grpc://, grpcs://, http:// or https://. Default: COVERSLIP_URL, BIOPB_TENSOR_URL, the saved "
                     "server, the one in the background, grpc://localhost:8815."),
        click.option("-t", "--token", help="What the server asks for. Default: COVERSLIP_TOKEN, BIOPB_TENSOR_TOKEN."),
        click.option("--fingerprint", metavar="SHA256", help="Of the server's certificate. Default: "
                     "COVERSLIP_TLS_FINGERPRINT."),
        click.option("--cache-bytes", type=int, hidden=True, help="Taken from scripts for biopb; has no effect."),
    ]  # fmt: skip
    for option in reversed(options):
        command = option(command)
    return command


def part_options(command: Command) -> Command:
    """Flags that say which part of an image."""
    command = click.option("--level", default=0, show_default=True, help="Resolution; 0 is the whole image.")(command)
    return click.option("-S", "--slice", "region", metavar="A:B,C:D", help="A range for every axis, as 0:10,0:100.")(
        command
    )


@tensor.command(cls=Sectioned, examples=QUERIES)
@server_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def query(as_json: bool, **server: Any) -> None:
    """List the sources and images of a server."""
    from coverslip.cli.table import table

    started = time.perf_counter()
    with talking("Error querying server", as_json, **server) as client:
        entries = client.transport.everything()
        if as_json:
            click.echo(json.dumps({"server": client.url, "sources": [as_told(entry) for entry in entries]}))
            return
        if not entries:
            click.echo(f"No sources found on {client.url}")
        else:
            rows = [row for entry in entries for row in rows_of(entry)]
            click.echo(table("Available Tensor Sources", ("Source ID", "Tensor ID", "Shape", "Dtype"), rows))
            click.echo(f"\nServer: {client.url}  Sources: {len(entries)}{cache_of(client)}")
    done(started)


def as_told(entry: Entry) -> dict[str, Any]:
    """A source as JSON."""
    images = entry.images
    return {
        "source_id": entry.id,
        "name": entry.name,
        "source_type": entry.type,
        "source_url": entry.url,
        "kind": entry.kind or None,
        "status": entry.status or None,
        "reason": entry.reason or None,
        "tensors": None if images is None else [
            {"array_id": one.array_id, "dim_labels": one.dims, "shape": one.shape, "dtype": one.dtype} for one in images
        ],
    }  # fmt: skip


def rows_of(entry: Entry) -> Iterator[tuple[str, str, str, str]]:
    """A source as rows of the table."""
    if not entry.images:
        yield entry.id, f"<{entry.reason or 'unresolved'}>" if entry.images is None else "<no tensors>", "-", "-"
    for one in entry.images or ():
        yield entry.id, one.array_id, str(list(one.shape)), one.dtype


def cache_of(client: Client) -> str:
    """The server's cache, where it tells of one."""
    from coverslip.client.http import HttpTransport

    transport = client.transport
    if isinstance(transport, HttpTransport):
        return ""
    try:
        found = transport.action("cache_stats")  # type: ignore[attr-defined]
    except CoverslipError:  # a server that keeps none
        return ""
    numbers = [found.get(name) or 0 for name in ("total_bytes", "hits", "misses")]
    return "  Cache: {:,} bytes  hits={} misses={}".format(*numbers)


@tensor.command()
@click.argument("source_id")
@click.option("--tensor", "array_id", metavar="ARRAY_ID", help="Tell more of this image.")
@server_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of text.")
def metadata(source_id: str, array_id: str | None, as_json: bool, **server: Any) -> None:
    """Show a source, its images, and the file's own metadata."""
    started = time.perf_counter()
    with talking("Error fetching metadata", as_json, **server) as client:
        try:
            entry = client.entry(source_id)
        except NotFound as error:
            fail(str(error))
        image = None
        if array_id is not None:
            known = [one.array_id for one in entry.images or ()]
            full = array_id if array_id in known else f"{entry.id}/{array_id}"
            if full not in known:
                fail(f"Tensor not found: {array_id}")
            image = client[full]
        own = client.transport.metadata(entry.id)
        if as_json:
            about = {"descriptor": descriptor(image)} if image is not None else {}
            click.echo(json.dumps({**as_told(entry), **about, "metadata": own}))
            return
        tell_source(entry, image)
        click.echo("\nSource Metadata:")
        if own:
            click.echo(plain_lines(json.dumps(own, indent=2, ensure_ascii=False)))
        else:
            click.echo("No metadata available", err=True)
    done(started)


def tell_source(entry: Entry, image: Image | None) -> None:
    """Print a source, and one of its images at length."""
    from coverslip.cli.table import table

    click.echo(f"Source: {plain(entry.id)}\nTensors: {len(entry.images or ())}")
    if entry.images is None and entry.reason:
        click.echo(f"Not opened: {plain(entry.reason)}", err=True)
    for one in entry.images or ():
        click.echo(plain(f"  {one.array_id} shape={list(one.shape)} dtype={one.dtype}"))
    if image is not None:
        rows = [(key, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
                for key, value in descriptor(image).items()]  # fmt: skip
        click.echo("\n" + table(f"Tensor Descriptor: {image.id}", ("Property", "Value"), rows))


def descriptor(image: Image) -> dict[str, Any]:
    """All that is known of an image, by the names that people see."""
    return {
        "Array ID": image.id,
        "Shape": list(image.shape),
        "Dtype": str(image.dtype),
        "Axes": list(image.dims),
        "Pixel size": {name: f"{step:g} {image.units[name]}" for name, step in image.pixel_size.items()},
        "Channels": [channel.label for channel in image.channels],
        "Levels": [list(level.shape) for level in image.levels],
        "Chunk": list(image.chunks),
    }


@tensor.command()
@click.argument("array_id")
@part_options
@server_options
@click.option("--json", "as_json", is_flag=True, help="JSON instead of a table.")
def stats(array_id: str, region: str | None, level: int, as_json: bool, **server: Any) -> None:
    """Compute the smallest, largest and mean value of an image; elements that are NaN are left out."""
    from coverslip.cli.table import table

    started = time.perf_counter()
    where = f" (region: {region})" if region else ""
    click.echo(f"Computing statistics for {plain(array_id)}{where}", err=True)
    with talking("Failed to compute statistics", as_json, **server) as client:
        from coverslip.client import figures
        from coverslip.client.region import region as ranges_of

        image = client[array_id]
        part = image.level(level)
        ranges = ranges_of(region, array_id, part.shape, image.dims)
        count = 1
        for r in ranges:
            count *= len(r)
        with Progress(count * image.dtype.itemsize) as progress:
            found = figures.stream_figures(
                client.transport, image.about, level, ranges, lambda n: progress.add(n * image.dtype.itemsize)
            )
        shape = [len(r) for r in ranges]
        told = {"shape": shape, "dtype": str(image.dtype), "min": found.low, "max": found.high, "mean": found.mean}
        told["count"] = count
        if found.nan:
            told["nan"] = found.nan
        if as_json:
            numbers = {key: finite(value) if isinstance(value, float) else value for key, value in told.items()}
            click.echo(json.dumps(numbers))
            return
        if not found.count:
            told |= {"min": float("nan"), "max": float("nan")}
        rows = [(key, f"{value:.6g}" if key in ("min", "max", "mean") else str(value)) for key, value in told.items()]
        click.echo(table("Tensor Statistics", ("Property", "Value"), rows))
    done(started)


def finite(value: float) -> float | None:
    """A number that JSON has; None for the others."""
    return value if abs(value) < float("inf") else None


@tensor.command(cls=Sectioned, examples=DOWNLOADS)
@click.argument("array_id")
@click.option("-o", "--output", default="-", show_default=True, metavar="FILE", help="Where to; - is standard output.")
@click.option("-f", "--format", "form", type=click.Choice(FORMATS), help="Default: by the file's name, else npy.")
@click.option("--force", is_flag=True, help="Write over what is there.")
@part_options
@server_options
def get(
    array_id: str, output: str, form: str | None, force: bool, region: str | None, level: int, **server: Any
) -> None:
    """Download an image, or a part of it, as npy, TIFF, Zarr or raw bytes.

    pb and pickle hold no pixels: they are what another program reads them with.
    """
    from coverslip.client import files

    started = time.perf_counter()
    form = files.format_of(output, form)
    files.check_target(form, output, force)
    where = f" (region: {region})" if region else ""
    click.echo(f"Fetching tensor {array_id} (format: {form}){where}", err=True)
    with talking("Failed to fetch tensor", False, **server) as client:
        from coverslip.client.region import region as ranges_of

        image = client[array_id]
        ranges = ranges_of(region, array_id, image.level(level).shape, image.dims)
        with Progress(files.Part(image, level, ranges, lambda n: None).nbytes) as progress:
            written = files.write(files.Part(image, level, ranges, progress.add), form, output, force)
    place = "standard output" if output == files.STDOUT else output
    click.echo(f"Written to {place} ({written:,} bytes)", err=True)
    done(started)


# -- what all of them do ---------------------------------------------------------------------------------------------


@contextmanager
def talking(context: str, quiet: bool, **server: Any) -> Iterator[Client]:
    """A client of the server; what goes wrong is one line after ``context``, and exit code 1."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # numpy starts a thread per core otherwise, which takes a while
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")  # what it would write to stderr is told in our words
    from coverslip.client.connection import opened

    try:
        client = opened(
            server["server"], server["token"], None if not quiet else False, fingerprint=server["fingerprint"],
            patient=False,
        )  # fmt: skip
    except CoverslipError as error:
        fail(f"{context}: {error}")
    try:
        yield client
    except CoverslipError as error:
        fail(f"{context}: {error}")
    except KeyboardInterrupt:  # threads may wait for a server that says nothing; nobody waits for them
        sys.stdout.flush()
        os._exit(INTERRUPTED)
    finally:
        client.close()


def fail(line: str) -> NoReturn:
    """End with a line and exit code 1."""
    click.echo(plain(line), err=True)
    raise SystemExit(1)


def done(started: float) -> None:
    """How long it took."""
    click.echo(f"Completed in {time.perf_counter() - started:.2f}s", err=True)


class Progress:
    """A line on a terminal that tells how far a transfer is; nothing where nobody sees it.

    Parameters
    ----------
    total
        Bytes in all.
    """

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0
        self._shown = sys.stderr.isatty()
        self._start = self._last = time.monotonic()

    def add(self, n: int) -> None:
        """So many more bytes are done."""
        self._done += n
        now = time.monotonic()
        if self._shown and now - self._last >= REDRAW_S:
            self._last = now
            rate = self._done / max(now - self._start, 1e-3) / 1e6
            share = 100 * self._done // max(self._total, 1)
            click.echo(f"{CLEAR}{share:3d} %  {self._done / 1e6:,.0f} of {self._total / 1e6:,.0f} MB  {rate:,.0f} MB/s",
                       err=True, nl=False)  # fmt: skip

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            click.echo(CLEAR, err=True, nl=False)

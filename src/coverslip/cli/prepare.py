"""``coverslip prepare``."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from types import FrameType

import click

from coverslip.cli.helping import Sectioned
from coverslip.cli.plain import plain

SECTIONS = {
    "What is written": ("part", "obs_key", "gene", "genes", "expression", "static", "force"),
    "How values are stored": (
        "var_quantization", "obs_continuous_quantization", "obs_categorical_dtype", "compression",
    ),
    "How cells are read": ("gene_id_column", "latent_key", "centroid_outlier_quantile", "centroid_min_points"),
    "What is said of them": (
        "dataset_name", "dataset_id", "dataset_description", "source_name", "source_url", "source_citation",
    ),
}  # fmt: skip
EXAMPLES = (
    ("coverslip prepare cells.h5ad out", "Everything, as it is."),
    (
        "coverslip prepare cells.h5ad out --var-quantization 8 --compression 6",
        "Far smaller; values are rounded.",
    ),
    ("coverslip prepare cells.h5ad site --static --genes markers.txt", "A web page with these genes for any web host."),
)
BITS = click.Choice(["8", "16"])


@click.command(cls=Sectioned, sections=SECTIONS, examples=EXAMPLES)
@click.argument("source", metavar="IN", type=click.Path(path_type=Path, readable=False))
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path, readable=False))
@click.option("--force", is_flag=True, help="Replace an export that is there, as a whole.")
@click.option("--static", is_flag=True, help="Write a web page with the viewer, for any plain web host.")
@click.option("--var-quantization", type=BITS, help="Bits of a gene's values, rounded.  [default: float32]")
@click.option("--obs-continuous-quantization", type=BITS, help="Bits of numbers of cells.  [default: float32]")
@click.option(
    "--obs-categorical-dtype",
    type=click.Choice(["auto", "uint8", "uint16", "uint32"]),
    default="auto",
    show_default=True,
    help="Type of the codes of categories.",
)
@click.option("--compression", type=click.IntRange(1, 9), help="Level of gzip.  [default: none]")
@click.option("--obs-key", metavar="NAME", multiple=True, help="Write this column of cells only; may be repeated.")
@click.option("--gene", metavar="NAME", multiple=True, help="Write this gene only; may be repeated.")
@click.option(
    "--genes",
    metavar="FILE",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="Write the genes in this file only, one a line.",
)
@click.option("--expression", metavar="NAME", help="Which matrix: X, raw or layer:NAME.")
@click.option("--part", metavar="PATH", default="", help="Which data set of several in IN: mod/rna.")
@click.option("--latent-key", metavar="NAME", help="obsm array in which outliers are measured.")
@click.option("--gene-id-column", default="index", show_default=True, help="var column that names genes.")
@click.option("--centroid-outlier-quantile", default=0.95, show_default=True, help="Farther cells move no centre.")
@click.option("--centroid-min-points", default=10, show_default=True, help="Smaller categories have no centre.")
@click.option("--dataset-name", help="What it is called.  [default: IN's name]")
@click.option("--dataset-id", help="Its id in addresses.  [default: made of the name]")
@click.option("--dataset-description", help="A sentence about it.")
@click.option("--source-name", help="Where the data is from.")
@click.option("--source-url", help="Its address.")
@click.option("--source-citation", help="What to cite.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing but errors.")
@click.option("-v", "--verbose", is_flag=True, help="Print errors in full.")
def prepare(
    source: Path,
    out: Path,
    force: bool,
    static: bool,
    var_quantization: str | None,
    obs_continuous_quantization: str | None,
    obs_categorical_dtype: str,
    compression: int | None,
    obs_key: tuple[str, ...],
    gene: tuple[str, ...],
    genes: Path | None,
    expression: str | None,
    part: str,
    latent_key: str | None,
    gene_id_column: str,
    centroid_outlier_quantile: float,
    centroid_min_points: int,
    dataset_name: str | None,
    dataset_id: str | None,
    dataset_description: str | None,
    source_name: str | None,
    source_url: str | None,
    source_citation: str | None,
    quiet: bool,
    verbose: bool,
) -> None:
    """Write the cells of IN as OUT, a folder of small files that coverslip serve and cellucid 0.0.9 open.

    OUT appears when it is whole, or not at all. Data is read piece by piece: it may be larger than memory.
    """
    from coverslip.cli.bar import Bar  # kept out of --help
    from coverslip.domains.export.options import ExportOptions
    from coverslip.preparing import centroid_options, prepare_file

    signal.signal(signal.SIGTERM, _ended)
    started = time.perf_counter()
    options = ExportOptions(
        obs_keys=obs_key or None,
        genes=_names(gene, genes),
        expression=expression,
        var_quantization=int(var_quantization) if var_quantization else None,
        obs_continuous_quantization=int(obs_continuous_quantization) if obs_continuous_quantization else None,
        obs_categorical_dtype=obs_categorical_dtype, compression=compression,
        dataset_name=dataset_name, dataset_description=dataset_description, dataset_id=dataset_id,
        source_name=source_name, source_url=source_url, source_citation=source_citation,
    )  # fmt: skip
    cells = centroid_options(gene_id_column, latent_key, centroid_outlier_quantile, centroid_min_points)
    with Bar() as bar:
        made = prepare_file(
            source, out, options, cells, part=part, force=force, strict_genes=True, static=static, told=bar.told
        )
    if quiet:
        return
    for note in made.notes:
        click.echo(f"Note: {plain(note)}", err=True)
    took = time.perf_counter() - started
    much = f"{made.n_cells:,} cells, {made.n_genes:,} genes, {made.n_bytes / 1e6:,.1f} MB"
    click.echo(f"{plain(str(out))}: {much} in {took:.1f} s")
    how = "Any web host shows it; here: python -m http.server -d" if static else "Look at it: coverslip serve"
    click.echo(f"{how} {plain(str(out))}")


def _names(given: tuple[str, ...], file: Path | None) -> tuple[str, ...] | None:
    lines = file.read_text("utf-8", "replace").split("\n") if file is not None else []
    return (*given, *(line.strip() for line in lines if line.strip())) or None


def _ended(number: int, frame: FrameType | None) -> None:
    """Asked to end: clean up as after Ctrl+C."""
    raise SystemExit(128 + number)

"""``coverslip prepare`` and `coverslip.prepare`: a data set as a folder of files. Part of the composition root."""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip import __version__
from coverslip.core.amounts import size
from coverslip.core.errors import BadUsage, CoverslipError, DiskFull, NotFound, Unreadable
from coverslip.core.node import Group, Source
from coverslip.domains.cells import Cells, Options
from coverslip.domains.export.folder import Export
from coverslip.domains.export.genes import Told
from coverslip.domains.export.options import BadArgument, ExportOptions
from coverslip.domains.export.plan import Plan
from coverslip.domains.modalities import data_sets
from coverslip.engine.missing import explained
from coverslip.engine.staging import publish, staged
from coverslip.given import LATENT, Given

if TYPE_CHECKING:
    from coverslip.static_copy import StaticCopy

SPARE_BYTES = 16 << 20
FULL = (errno.ENOSPC, errno.EDQUOT) if hasattr(errno, "EDQUOT") else (errno.ENOSPC,)
WRITTEN = re.compile(
    r"(dataset_identity|datasets|state-snapshots|\w*manifest)\.json|points_[1-4]d\.bin(\.gz)?|obs_names\.json(\.gz)?"
    r"|.*\.cellucid-session|obs|var|connectivity|vectors|embeddings|index\.html|assets|_cellucid|\.DS_Store"
    r"|cells|fields|genes|genes\.json|favicon\.svg|\.nojekyll"
)
"""What the folder of an export holds; anything else in it was put there by somebody."""


@dataclass(frozen=True)
class Prepared:
    """An export that was written.

    Attributes
    ----------
    path
        The folder.
    n_cells, n_genes
        What is in it.
    n_bytes
        Its size.
    notes
        What a person should know of it, a line each.
    """

    path: Path
    n_cells: int
    n_genes: int
    n_bytes: int
    notes: tuple[str, ...]


def _silent(what: str, done: int, total: int) -> None:
    return None


def prepare_file(
    path: Path,
    out: Path,
    options: ExportOptions,
    cells: Options | None = None,
    *,
    part: str = "",
    force: bool = False,
    strict_genes: bool = False,
    static: bool = False,
    told: Told = _silent,
    workers: int | None = None,
) -> Prepared:
    """Write a file's data set as a folder; only as much of it is read at a time as fits into little memory.

    Parameters
    ----------
    path
        Anything that ``coverslip serve`` shows as cells.
    out
        The folder; it appears when it is whole.
    part
        Which data set of several in a file: ``mod/rna``.
    force
        Whether an export that is there may be replaced.
    static
        Whether it is a copy with the viewer, for a plain web host.
    strict_genes
        Whether genes that are not there are an error rather than a note.

    Raises
    ------
    CoverslipError
        With one line that says what is wrong; then nothing was written.
    """
    from coverslip.formats import open_source  # every format is imported

    _outside(path, out)
    try:
        source = open_source(path)
    except NotFound as error:
        raise explained(error, path) from error
    try:
        found = data_sets(source.root)
        if part not in found:
            raise NotFound(f"There is no {part!r} in {path.name}", f"There is {', '.join(filter(None, found))}.")
        view = Cells(found[part](), cells, source.etag)
        name = options.dataset_name or _stem(path)
        name = name if not part or options.dataset_name else f"{name}, {part.partition('/')[2]}"
        plan = Plan(view, options, name, _one_case(out), labelled=not static)
        if strict_genes and plan.unknown_genes:
            raise BadUsage(plan.notes[-1].rstrip("."), "Check their names.")
        return _written(plan, out, force, told, workers, source, static)
    finally:
        source.close()


def prepare_object(
    root: Group,
    out: Path,
    options: ExportOptions,
    cells: Options,
    *,
    force: bool,
    static: bool = False,
    told: Told = _silent,
) -> Prepared:
    """The same of a tree in memory."""
    name = options.dataset_name or _real(out).name
    plan = Plan(Cells(root, cells), options, name, _one_case(out), labelled=not static)
    return _written(plan, out, force, told, None, None, static)


def _written(
    plan: Plan, out: Path, force: bool, told: Told, workers: int | None, source: Source | None, static: bool
) -> Prepared:
    write: type[Export | StaticCopy] = Export
    if static:
        from coverslip.static_copy import StaticCopy  # the answers of the server are imported

        write = StaticCopy
    _check_place(out, force, plan.bytes_needed)
    out = _real(out)
    with _disk(out), staged(out) as place:
        write(plan, place, __version__, told, workers).write()
        if source is not None and not source.fresh():
            raise Unreadable("The data changed while it was read", "Nothing was written; run it again.")
        size = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        told("putting it in place", 0, 1)
        publish(place, out, force)
        told("putting it in place", 1, 1)
    return Prepared(out, plan.cells.n_cells, len(plan.genes), size, tuple(plan.notes))


@contextmanager
def _disk(out: Path) -> Iterator[None]:
    """What the system says of writing, in words."""
    try:
        yield
    except FileExistsError as error:
        raise BadUsage(f"{out} is there already", "--force (force=True) replaces it.") from error
    except OSError as error:
        if error.errno in FULL:
            raise DiskFull(
                f"The disk of {out} is full; nothing was written", "Make room, or write elsewhere."
            ) from error
        raise Unreadable(
            f"{out} cannot be written: {error.strerror or error}", "Check who may write there: ls -ld."
        ) from error


def _check_place(out: Path, force: bool, needed: int) -> None:
    """What can be known before the first byte: may it be written there, and is there room."""
    if out.is_symlink() or (out.exists() and not out.is_dir()):
        raise BadUsage(f"{out} is no folder", "Name a folder that is not there yet.")
    held = sorted(entry.name for entry in out.iterdir()) if out.is_dir() else []
    foreign = next((name for name in held if not WRITTEN.fullmatch(name)), None)
    if foreign is not None:
        raise BadUsage(f"{out} holds {foreign}, which no export wrote", "Name a folder that is not there yet.")
    if held and not force:
        raise BadUsage(f"{out} is there already", "--force (force=True) replaces it.")
    above = next(p for p in _real(out).parents if p.is_dir())
    free = shutil.disk_usage(above).free
    if needed + SPARE_BYTES > free:
        raise DiskFull(
            f"The export may take {size(needed)} while it is written, and {size(free)} are free",
            "Make room, write elsewhere, or write fewer genes.",
        )


def _outside(path: Path, out: Path) -> None:
    """The data must not be in the folder that is replaced, nor the folder in the data."""
    data, target = _real(path), _real(out)
    if data != target and (data.is_relative_to(target) or (target.is_relative_to(data) and data.is_dir())):
        raise BadUsage(f"{out} and {path} lie in each other", "Name a folder somewhere else.")


def _one_case(out: Path) -> bool:
    """Whether capital and small letters are one in names on the disk of ``out``."""
    above = next((p for p in _real(out).parents if p.is_dir() and p.name.swapcase() != p.name), None)
    if above is None:
        return False
    try:
        return above.samefile(above.with_name(above.name.swapcase()))
    except OSError:
        return False


def _real(path: Path) -> Path:
    """The path without links; unlike `Path.resolve`, not an error of its own where links lead in a circle."""
    return Path(os.path.realpath(path))


def _stem(path: Path) -> str:
    name = _real(path).name
    for ending in (".zip", ".h5ad", ".zarr", ".h5mu", ".loom", ".h5"):
        name = name.removesuffix(ending)
    return name or "data"


# -- arguments as cellucid 0.0.9 takes them ----------------------------------------------------------------------------


def prepare(
    latent_space: Any = None,
    obs: Any = None,
    var: Any = None,
    gene_expression: Any = None,
    var_gene_id_column: str = "index",
    gene_identifiers: Sequence[str] | None = None,
    connectivities: Any = None,
    out_dir: Path | str = "exports",
    obs_keys: Sequence[str] | None = None,
    centroid_outlier_quantile: float = 0.95,
    centroid_min_points: int = 10,
    obs_manifest_filename: str = "obs_manifest.json",
    obs_binary_dirname: str = "obs",
    var_manifest_filename: str = "var_manifest.json",
    var_binary_dirname: str = "var",
    connectivity_manifest_filename: str = "connectivity_manifest.json",
    connectivity_binary_dirname: str = "connectivity",
    force: bool = False,
    var_quantization: int | None = None,
    obs_continuous_quantization: int | None = None,
    obs_categorical_dtype: str = "auto",
    compression: int | None = None,
    dataset_name: str | None = None,
    dataset_description: str | None = None,
    dataset_id: str | None = None,
    source_name: str | None = None,
    source_url: str | None = None,
    source_citation: str | None = None,
    X_umap_1d: Any = None,  # noqa: N803  (cellucid's names)
    X_umap_2d: Any = None,  # noqa: N803
    X_umap_3d: Any = None,  # noqa: N803
    X_umap_4d: Any = None,  # noqa: N803
    vector_fields: Mapping[str, Any] | None = None,
    *,
    data: Any = None,
    expression: str | None = None,
    latent_key: str | None = None,
    static: bool = False,
    told: Callable[[str, int, int], None] | None = None,
) -> Prepared:
    """Write a data set as a folder that ``coverslip serve`` and cellucid's first generation open.

    The folder appears when it is whole, or not at all. Parameters up to ``vector_fields`` are those of cellucid 0.0.9.

    Parameters
    ----------
    latent_space
        Where outliers are measured, ``(n_cells, d)``; without it no cell is one.
    obs, var
        Data frames of cells and genes.
    gene_expression
        ``(n_cells, n_genes)``, dense or sparse.
    var_gene_id_column
        The column of ``var`` that names genes, or ``index``.
    gene_identifiers
        Which genes to write; None = all.
    connectivities
        ``(n_cells, n_cells)``, the kNN graph.
    out_dir
        The folder.
    obs_keys
        Which columns of ``obs``; None = all.
    centroid_outlier_quantile, centroid_min_points
        Cells of a category beyond this quantile do not move its centre; smaller categories have none.
    force
        Whether an export that is there is replaced, as a whole.
    var_quantization, obs_continuous_quantization
        8 or 16 bits, rounded (the error is half a step at most); None = float32.
    obs_categorical_dtype
        ``auto``, ``uint8``, ``uint16`` or ``uint32``.
    compression
        Level of gzip, 1 to 9; None = none.
    X_umap_1d, X_umap_2d, X_umap_3d
        Coordinates; one of them is needed.
    vector_fields
        Arrows by name, ``(n_cells, d)``: ``velocity_umap_2d`` or ``velocity_umap``.
    data
        Instead of the arrays: a path that ``coverslip serve`` shows as cells, or an ``anndata.AnnData``. A path is read
        piece by piece.
    expression, latent_key
        Of ``data``: which matrix, and in which ``obsm`` array outliers are measured.
    static
        Whether the folder is a web page of its own, with the viewer, for any plain web host.
    told
        Called with what is being written, how much is done, and how much there is.

    Returns
    -------
    Prepared
        What was written.

    Raises
    ------
    CoverslipError
        With one line that says what is wrong; arguments that cannot be are a ValueError, too. Nothing was written then.
    """
    options = ExportOptions(
        obs_keys=None if obs_keys is None else tuple(map(str, obs_keys)),
        genes=None if gene_identifiers is None else tuple(map(str, gene_identifiers)),
        expression=expression,
        var_quantization=var_quantization, obs_continuous_quantization=obs_continuous_quantization,
        obs_categorical_dtype=obs_categorical_dtype, compression=compression or None,
        dataset_name=dataset_name, dataset_description=dataset_description, dataset_id=dataset_id,
        source_name=source_name, source_url=source_url, source_citation=source_citation,
        obs_manifest_filename=obs_manifest_filename, obs_binary_dirname=obs_binary_dirname,
        var_manifest_filename=var_manifest_filename, var_binary_dirname=var_binary_dirname,
        connectivity_manifest_filename=connectivity_manifest_filename,
        connectivity_binary_dirname=connectivity_binary_dirname,
    )  # fmt: skip
    options.check()
    cells = centroid_options(var_gene_id_column, latent_key, centroid_outlier_quantile, centroid_min_points)
    out, report = Path(out_dir), told or _silent
    points = {1: X_umap_1d, 2: X_umap_2d, 3: X_umap_3d, 4: X_umap_4d}
    arrays = (latent_space, obs, var, gene_expression, connectivities, vector_fields, *points.values())
    if data is not None:
        if any(array is not None for array in arrays):
            raise BadArgument("data stands for all the arrays", "Give data, or the arrays.")
        if isinstance(data, (str, Path)):
            return prepare_file(Path(data), out, options, cells, force=force, static=static, told=report)
        from coverslip.formats.trees.anndata_memory import AnnDataSource

        return prepare_object(AnnDataSource(data).root, out, options, cells, force=force, static=static, told=report)
    given = Given(latent_space, obs, var, gene_expression, connectivities, points, vector_fields)
    cells = replace(cells, latent_key=LATENT if latent_space is not None else None)
    return prepare_object(given.tree(), out, options, cells, force=force, static=static, told=report)


def centroid_options(gene_id_column: str, latent_key: str | None, quantile: float, least: int) -> Options:
    """How the data set is read."""
    if not 0 < quantile <= 1:
        raise BadArgument(f"centroid_outlier_quantile={quantile!r} is not possible", "Take a number up to 1.")
    if least < 1:
        raise BadArgument(f"centroid_min_points={least!r} is not possible", "Take 1 or more.")
    return Options(gene_id_column, latent_key, quantile, least)


__all__ = ["CoverslipError", "Prepared", "prepare", "prepare_file", "prepare_object"]

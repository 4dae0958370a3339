"""``coverslip check``: what is missing or slow in data, and what to do about it. Part of the composition root."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, NotFound, UnknownFormat
from coverslip.core.node import Source
from coverslip.core.stop import NEVER, Stop
from coverslip.domains.cells import Cells
from coverslip.domains.check_cells import check_cells
from coverslip.domains.check_images import check_images
from coverslip.domains.check_networks import check_network
from coverslip.domains.findings import Finding, ranked
from coverslip.domains.images import Images, ome_of
from coverslip.domains.modalities import data_sets
from coverslip.domains.networks import Network, is_network
from coverslip.domains.tissue import holds_cells
from coverslip.engine.missing import explained
from coverslip.engine.options import CatalogOptions
from coverslip.formats import open_source, recognise

PATIENCE_S = 600.0
OF_THE_WHOLE = ("no_embedding", "no_graph", "no_latent", "no_raw")
"""What one data set of several need not have: all of them are drawn together."""
HDF5 = "hdf5"
PLAIN = "This HDF5 file follows no convention of cells or networks, so every array in it is shown as an image."
NEEDED = "Cells need obs, var and X (AnnData.write_h5ad); a network needs H5Types, Populations, Projections (NeuroH5)."


@dataclass(frozen=True)
class Checked:
    """What one source is, and what was found.

    Attributes
    ----------
    name
        Below the path that was asked for.
    format, kind
        The format's name; ``cells``, ``images``, ``network``, ``arrays``, or empty when it cannot be opened.
    about
        Its size in numbers: ``n_cells`` and the like.
    findings
        The worst first.
    """

    name: str
    format: str
    kind: str
    about: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether something does not work."""
        return any(f.weight == "broken" for f in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def check(path: Path, stop: Stop = NEVER) -> list[Checked]:
    """Look at a file, or at everything in a folder.

    Raises
    ------
    NotFound
        When there is nothing at ``path``.
    """
    try:
        form = recognise(path)
    except NotFound as error:
        raise explained(error, path) from error
    except CoverslipError as error:
        if isinstance(error, UnknownFormat) and path.is_dir():
            return list(_inside(path, stop))
        return [_failed(path.name, "unknown", error)]
    return [_checked(path, path.name or str(path), form.name)]


def _inside(folder: Path, stop: Stop) -> Iterator[Checked]:
    """Everything that ``coverslip serve`` finds in a folder."""
    from coverslip.app import catalog_of  # every front is imported

    catalog = catalog_of(folder, catalog=CatalogOptions(persist=False, quiet_s=0.0))
    catalog.start()
    try:
        end = time.monotonic() + PATIENCE_S
        while not (catalog.scanned and catalog.idle) and time.monotonic() < end:
            stop.check()
            time.sleep(0.02)
        places = [(row, catalog.place(row.id)) for row in catalog.entries()[0]]
    finally:
        catalog.close()
    for row, place in places:
        stop.check()
        at = place[1] if place is not None else None
        if at is not None:
            yield _checked(at, row.path or row.name, row.format)


def _checked(path: Path, name: str, format: str) -> Checked:
    try:
        source = open_source(path)
    except CoverslipError as error:
        return _failed(name, format, error)
    try:
        kind, about, findings = _source(source, format)
        return Checked(name, format, kind, about, ranked(findings))
    except CoverslipError as error:
        return _failed(name, format, error)
    finally:
        source.close()


def _failed(name: str, format: str, error: CoverslipError) -> Checked:
    finding = Finding("broken", error.name, name, error.message, error.hint)
    return Checked(name, format, "", findings=[finding])


def _source(source: Source, format: str) -> tuple[str, dict[str, Any], list[Finding]]:
    if is_network(source.root):
        network = Network(source.root)
        about = {"populations": len(network.populations), "n_neurons": network.n_neurons,
                 "projections": len(network.projections)}  # fmt: skip
        return "network", about, list(check_network(network))
    images = Images(source)
    found = data_sets(source.root)
    if holds_cells(found[""]()):
        facts: list[Finding] = []
        told: dict[str, Any] = {}
        for part, make in found.items():
            root = make()
            cells = Cells(root)
            told = told or _about(cells)
            facts += [_in_part(f, part) for f in check_cells(root, cells) if not (part and f.code in OF_THE_WHOLE)]
        return "cells", told, facts + list(check_images(images))
    findings = list(check_images(images))
    described = any("multiscales" in ome_of(images.node(path)) for path in images.paths[:1])
    if format == HDF5:
        findings.append(Finding("note", "plain_hdf5", "", PLAIN, NEEDED))
    return "images" if described else "arrays", {"arrays": len(images.paths)}, findings


def _about(cells: Cells) -> dict[str, Any]:
    return {
        "n_cells": cells.n_cells,
        "n_genes": cells.n_genes,
        "n_fields": len(cells.fields),
        "embeddings": [e.key for e in cells.embeddings],
        "matrices": list(cells.expressions),
    }


def _in_part(finding: Finding, part: str) -> Finding:
    if not part:
        return finding
    return replace(finding, where=f"{part}/{finding.where}", message=f"{part}: {finding.message}")

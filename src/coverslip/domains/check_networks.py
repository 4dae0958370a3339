"""What is missing in networks of neurons."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from coverslip.domains.findings import Finding
from coverslip.domains.networks import Network


def check_network(network: Network) -> Iterator[Finding]:
    """Everything worth knowing of a network; reads coordinates and no connection."""
    for name, why in network.left_out.items():
        yield Finding("broken", "unreadable_projection", f"Projections/{name}", f"{name} cannot be read: {why}.",
                      "Write it again with NeuroH5.")  # fmt: skip
    if not network.projections:
        yield Finding(
            "note", "no_projections", "Projections", "There are no connections between the populations.",
            "Put connections.h5 beside cells.h5.",
        )  # fmt: skip
    placed = np.asarray(np.isfinite(network.coordinates).all(axis=1))
    for name, population in network.populations.items():
        here = placed[population.rows]
        if not here.any() and here.size:
            yield Finding(
                "broken", "no_coordinates", f"Populations/{name}", f"Nobody knows where the cells of {name} are,"
                " so they cannot be drawn.", "Write 'Generated Coordinates' with X, Y and Z Coordinate in µm.",
            )  # fmt: skip
        elif not here.all():
            yield Finding(
                "note", "cells_without_coordinates", f"Populations/{name}",
                f"{int((~here).sum()):,} of {here.size:,} cells of {name} have no coordinates.",
            )  # fmt: skip
    for document in ("graph", "mea"):
        if document not in network.documents:
            yield Finding("note", f"no_{document}", f"{document}.json", f"There is no {document}.json beside it.")

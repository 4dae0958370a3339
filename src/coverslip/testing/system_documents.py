"""``graph.json`` and ``mea.json`` of a neural system that is made up."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Mapping
from typing import Any

import numpy as np

from coverslip.testing.recipes import COORDINATES, Cells, Kernel, Recipe

GRAPH_VERSION = 1


def graph_document(recipe: Recipe, files: tuple[str, str], counts: Mapping[str, int]) -> dict[str, Any]:
    """``graph.json``: how the system was made."""
    (x0, y0), (x1, y1) = recipe.area
    shares = {
        name: {layer: round(cells.count * part) for layer, part in cells.layers.items()}
        for name, cells in recipe.populations.items()
    }
    extents = {layer: [[x0, y0, low], [x1, y1, high]] for layer, (low, high) in recipe.layers.items()}
    synapses: dict[str, Any] = {name: {} for name in recipe.populations}
    for (pre, post), kernel in recipe.kernels.items():
        synapses[post][pre] = _synapse(recipe.populations[pre], kernel, list(recipe.layers))
    architecture = {
        "coordinate_namespace": COORDINATES,
        "area": [[x0, y0], [x1, y1]],
        "z_range": [min(low for low, _ in recipe.layers.values()), max(high for _, high in recipe.layers.values())],
        "cell_distributions": shares,
        "layer_extents": extents,
        "cell_counts": dict(counts),
        "cells_filepath": f"./{files[0]}",
    }
    connections = {
        "coordinates_namespace": COORDINATES,
        "population_definitions": {name: cells.number for name, cells in recipe.populations.items()},
        "layer_definitions": {layer: number for number, layer in enumerate(recipe.layers)},
        "synapses_namespace": "Synapse Attributes",
        "synapses": synapses,
        "connections_filepath": f"./{files[1]}",
    }
    return {
        "version": GRAPH_VERSION,
        "architecture": _element(architecture),
        "distances": {"culture2d": _element({"layer_extents": extents})},
        "synapse_forest": {},
        "synapses": {"culture2d": _element({})},
        "connections": {"culture2d": _element(connections)},
    }


def _element(config: dict[str, Any]) -> dict[str, Any]:
    return {"uuid": str(uuid.uuid5(uuid.NAMESPACE_OID, json.dumps(config))), "config": config}


def _synapse(pre: Cells, kernel: Kernel, layers: list[str]) -> dict[str, Any]:
    ampa = {"e": 0, "g_unit": 0.0005, "tau_rise": 0.5, "tau_decay": 3.0, "weight": 1.0}
    gaba = {"e": -60, "g_unit": 0.001, "tau_rise": 0.3, "tau_decay": 6.0, "weight": 1.0}
    return {
        "type": "excitatory" if pre.excitatory else "inhibitory",
        "contacts": 1,
        "layers": layers,
        "sections": ["dend" if pre.excitatory else "soma"],
        "proportions": [1.0],
        "mechanisms": {"default": {"AMPA": ampa} if pre.excitatory else {"GABA_A": gaba}},
        "kernel": {
            "kernel": kernel.shape,
            "sigma": kernel.scale,
            "allow_self_connections": kernel.self_connections,
        },
    }


def electrodes(recipe: Recipe) -> dict[str, Any]:
    """``mea.json``: the largest centred grid whose sides are powers of two; number, x, y and z in µm of each."""
    (x0, y0), (x1, y1) = recipe.area
    counts = [2 ** max(0, math.floor(math.log2(side / recipe.pitch))) if side > recipe.pitch else 1
              for side in (x1 - x0, y1 - y0)]  # fmt: skip
    lows, highs = zip(*recipe.layers.values(), strict=True)
    z = (min(lows) + max(highs)) / 2
    xs, ys = (
        (low + high) / 2 + (np.arange(n) - (n - 1) / 2) * recipe.pitch
        for low, high, n in ((x0, x1, counts[0]), (y0, y1, counts[1]))
    )
    grid = [[number, float(x), float(y), z] for number, (y, x) in enumerate((y, x) for y in ys for x in xs)]
    return {"electrode_coordinates": grid, "input_radius": 50, "output_radius": 80}

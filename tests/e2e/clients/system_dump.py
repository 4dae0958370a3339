"""Everything a `System` of livn's interface tells, as JSON: ``python system_dump.py MODULE PATH``.

Run with livn's own Python and with coverslip's, and compared. Arrays are told by dtype, shape and a digest.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import sys
import warnings

import numpy as np


def told(value):
    if isinstance(value, np.ndarray):
        array = np.ascontiguousarray(value)
        return [array.dtype.str, list(array.shape), hashlib.sha256(array.tobytes()).hexdigest()[:20]]
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(key): told(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [told(item) for item in value]
    return value


def dump(system):
    meta = system.cells_meta_data
    found = {
        "populations": system.populations,
        "ranges": system.population_ranges,
        "counts": {p: system.population_count(p) for p in system.populations},
        "num_neurons": system.num_neurons,
        "cells": meta.cell_count(),
        "attributes": meta.cell_attribute_info,
        "has": meta.has(system.populations[0], "Synapse Attributes"),
        "coordinates": system.neuron_coordinates,
        "arrays": {p: system.coordinate_array(p) for p in system.populations},
        "first": {p: next(iter(system.coordinates(p)))[0] for p in system.populations},
        "gids": system.gids,
        "box": system.bounding_box,
        "summary": system.summary(),
        "kinds": system.synapse_projections(),
        "name": system.name,
        "files": {name: path.rsplit("/", 1)[-1] for name, path in system.files.items()},
        "selections": [
            system.selection(*arguments)
            for arguments in ((7,), (0.3,), (9, None, 5, "random"), (0.4, None, 1, "patch"), ({"EXC": 2, "INH": 0.5},))
        ],
        "matrix": told(np.asarray(system.connectivity_matrix(seed=123)))
        if DENSE
        else told(system.connectivity_matrix(seed=123, dense=True)),
        "synapses": {p: list(system.synapses(p)) for p in system.populations},
        "projections": {
            f"{pre}>{post}": system.projection_array(pre, post)
            for post, sources in system.connections_config["synapses"].items()
            for pre in sources
        },
    }
    return told(found)


if __name__ == "__main__":
    warnings.simplefilter("default")
    DENSE = sys.argv[1].startswith("livn")
    module = importlib.import_module(sys.argv[1])
    print(json.dumps(dump(module.System(sys.argv[2]))))

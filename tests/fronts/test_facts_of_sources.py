"""How much is in a source, as the list of them tells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import make
from coverslip.fronts.tensors.sources import facts
from coverslip.testing.networks import hippocampus, write_system

Serve = Callable[..., TestClient]


def test_cells_and_neurons_are_counted(serve: Serve, tmp_path: Path) -> None:
    folder = tmp_path / "lab"
    folder.mkdir()
    make.adata().write_h5ad(folder / "cells.h5ad")
    np.save(folder / "image.npy", np.zeros((2, 8, 8), np.uint8))
    write_system(folder / "EI", hippocampus(100))
    client = serve(folder)
    listed = {one["name"]: one for one in client.get("/api/sources?limit=10").json()}
    assert listed["cells.h5ad"]["facts"] == {"cells": make.N, "genes": make.GENES}
    assert listed["image.npy"]["facts"] is None
    network = listed["EI"]["facts"]
    assert network["neurons"] > 0
    assert network["connections"] > 0
    own = client.get(f"/api/sources/{listed['cells.h5ad']['source_id']}").json()
    assert own["facts"] == listed["cells.h5ad"]["facts"]


@pytest.mark.parametrize("metadata", ["null", "[]", "{}", '{"n_cells": "many", "n_genes": 3}', '{"n_cells": 3}'])
def test_what_an_older_catalog_kept_counts_nothing(metadata: str) -> None:
    assert facts("cells", metadata) is None
    assert facts("network", '{"populations": {"a": 1}, "projections": {"b": "x"}}') is None

"""Write what the real NeuroH5 reads of two systems, for tests that run without it.

Run it with a Python that has neuroh5 (built from source: it needs MPI and parallel HDF5), mpi4py and coverslip.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "src")]

from mpi4py import MPI  # noqa: E402
from neuroh5 import io  # noqa: E402

import network_files  # noqa: E402


def told(cells: Path, connections: Path) -> dict[str, Any]:
    """Ranges, and a digest of the edges of every projection."""
    comm = MPI.COMM_WORLD
    ranges, _ = io.read_population_ranges(str(cells), comm)
    found: dict[str, Any] = {
        "ranges": {name: [int(v) for v in span] for name, span in ranges.items()},
        "projections": {},
    }
    for pre, post in io.read_projection_names(str(connections), comm):
        graph, _ = io.scatter_read_graph(
            str(connections), comm=comm, io_size=1, projections=[(pre, post)], namespaces=["Connections"]
        )
        rows = sorted((int(gid), sources.tolist()) for gid, (sources, _) in graph[post][pre])
        digest = hashlib.sha256("\n".join(f"{gid}:{sources}" for gid, sources in rows).encode()).hexdigest()
        found["projections"][f"{pre}>{post}"] = {
            "destinations": len(rows),
            "edges": sum(len(sources) for _, sources in rows),
            "sha256": digest,
        }
    return found


if __name__ == "__main__":
    sample = ROOT / "src" / "coverslip" / "systems" / "samples" / "EI1"
    with tempfile.TemporaryDirectory() as folder:
        made = network_files.hippocampal(Path(folder) / "CA1")
        document = {
            "EI1": told(sample / "cells.h5", sample / "connections.h5"),
            "hippocampus": told(made / "cells.h5", made / "connections.h5"),
        }
    (ROOT / "tests" / "golden" / "systems" / "neuroh5.json").write_text(json.dumps(document, indent=1) + "\n")

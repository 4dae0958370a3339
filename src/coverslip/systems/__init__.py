"""Neural systems in Python: populations, coordinates, synapses and connections as arrays and sparse matrices.

::

    from coverslip.systems import System, predefined

    system = System(predefined("EI1"))
    system.populations  # ['EXC', 'INH']
    system.projection_matrix("EXC", "INH")  # scipy.sparse.csr_array of destinations × sources

The names are those of livn's ``System``. Files are read from this disk, with NeuroH5 under MPI where that is installed,
or from an HDF5 server where ``LIVN_HSDS`` names one; the values are the same. Lengths are in µm.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coverslip.systems.documents import Element as Element
    from coverslip.systems.hub import PREDEFINED as PREDEFINED
    from coverslip.systems.hub import fetch as fetch
    from coverslip.systems.hub import predefined as predefined
    from coverslip.systems.readers import Ragged as Ragged
    from coverslip.systems.system import CellsMetaData as CellsMetaData
    from coverslip.systems.system import System as System

__all__ = ["PREDEFINED", "CellsMetaData", "Element", "Ragged", "System", "fetch", "predefined"]

_HOMES = {
    "CellsMetaData": "system",
    "Element": "documents",
    "PREDEFINED": "hub",
    "Ragged": "readers",
    "System": "system",
    "fetch": "hub",
    "predefined": "hub",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"coverslip.systems.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'coverslip.systems' has no attribute {name!r}")

"""Zarr hierarchies that follow no convention of images: every array of numbers is offered.

Source: Zarr v2 storage specification; Zarr v3 core specification; xarray's ``_ARRAY_DIMENSIONS``.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Source


class ZarrArrays:
    """Zarr of any kind but AnnData's."""

    name = "zarr"
    expects = "Zarr folder or zip of arrays"
    kind = "arrays"
    rank = 1

    def claims(self, path: Path, head: bytes) -> bool:
        """By Zarr's metadata at the root; AnnData is left to whoever reads cells."""
        from coverslip.formats.trees.zarr_store import has_zarr, root_attrs

        if not has_zarr(path, head):
            return False
        return (root_attrs(path) or {}).get("encoding-type") != "anndata"

    def open(self, path: Path) -> Source:
        """Read the metadata of every array."""
        from coverslip.formats.trees.source import need
        from coverslip.formats.trees.zarr_store import StoreSource, open_store

        need("tensorstore", "Zarr")
        from coverslip.formats.trees.zarr import open_hierarchy
        from coverslip.formats.trees.zarr_plain import arrays_tree

        store = open_store(path)
        try:
            return StoreSource(path, arrays_tree(open_hierarchy(store), path.name.split(".")[0]), store)
        except CoverslipError:
            store.close()
            raise


FORMAT: Format = ZarrArrays()

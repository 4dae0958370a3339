"""AnnData in Zarr, version 2 or 3: a folder of any name, or a zip file of it (``.zarr.zip``).

Read as it lies: columns, coordinates and genes when they are asked for.

Source: anndata documentation, "On-disk format"; anndata before 0.8, which marks the root with nothing.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Source

FRAMES = ("obs", "var")
DOCUMENTS = ("zarr.json", ".zarray", ".zgroup", ".zattrs")


class AnnDataZarr:
    """AnnData as `AnnData.write_zarr` writes it."""

    name = "anndata-zarr"
    expects = "AnnData in Zarr (.zarr folder, .zarr.zip)"
    kind = "cells"
    rank = -1  # it is Zarr, too

    def claims(self, path: Path, head: bytes) -> bool:
        """By what the root says of itself, or else by ``obs`` and ``var`` in it."""
        from coverslip.formats.trees.zarr_store import has_zarr, open_store, root_attrs

        if not has_zarr(path, head):
            return False
        said = (root_attrs(path) or {}).get("encoding-type")
        if said is not None:
            return bool(said == "anndata")
        if path.is_dir():
            return all(any((path / frame / name).is_file() for name in DOCUMENTS) for frame in FRAMES)
        try:
            store = open_store(path)
            try:
                return set(FRAMES) <= set(store.folders(""))
            finally:
                store.close()
        except CoverslipError:
            return False

    def open(self, path: Path) -> Source:
        """Read the metadata of the root.

        Raises
        ------
        Damaged
            When the root is no group, or cannot be read.
        """
        from coverslip.formats.trees.source import need
        from coverslip.formats.trees.zarr_store import StoreSource, open_store

        need("tensorstore", "Zarr")
        from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy

        store = open_store(path)
        try:
            root = open_hierarchy(store)
            if not isinstance(root, ZarrGroup) or not any(name in root for name in ("obs", "X", "obsm")):
                raise Damaged(f"{path} holds no AnnData", "It has neither 'obs' nor 'X'; write it with write_zarr.")
            for name in (*FRAMES, "X", "obsm", "obsp", "layers", "uns"):
                _ = name in root and root[name]  # what was looked at tells later that it changed
            return StoreSource(path, root, store)
        except CoverslipError:
            store.close()
            raise


FORMAT: Format = AnnDataZarr()

"""SpatialData stores: cells in tables, and the pictures and label images of the tissue they were measured in.

Images and labels are OME-Zarr, tables are AnnData in Zarr; points and shapes (Parquet) are left out.

Source: SpatialData's design document, "elements" and "on-disk format"
(https://spatialdata.scverse.org/en/stable/design_doc.html); versions 0.1 to 0.3 of its containers.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Node, Source

TABLES = ("tables", "table")


class SpatialData:
    """A folder (or zip) of images and the cells on them."""

    name = "spatialdata"
    expects = "SpatialData folder (.zarr)"
    kind = "cells"
    rank = -1  # these are OME-Zarr, and Zarr, too

    def claims(self, path: Path, head: bytes) -> bool:
        """By its tables, and what its writer says at the root: the first versions say nothing, but have images.

        A store without tables holds no cells; it is left to OME-Zarr.
        """
        from coverslip.formats.trees.zarr_store import has_zarr, open_store, root_attrs

        if not has_zarr(path, head):
            return False
        attrs = root_attrs(path)
        if attrs is None:
            return False
        try:
            store = open_store(path)
            try:
                held = any(store.folders(name) for name in TABLES)
                return held and ("spatialdata_attrs" in attrs or bool(store.folders("images")))
            finally:
                store.close()
        except CoverslipError:
            return False

    def open(self, path: Path) -> Source:
        """Read the metadata of every image and table.

        Raises
        ------
        Damaged
            When the root is no group.
        """
        from coverslip.formats.trees.source import need
        from coverslip.formats.trees.zarr_store import StoreSource, open_store

        need("tensorstore", "SpatialData")
        from coverslip.core.tree import MemoryGroup
        from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
        from coverslip.formats.trees.zarr_images import spatial

        store = open_store(path)
        try:
            root = open_hierarchy(store)
            if not isinstance(root, ZarrGroup):
                raise Damaged(f"{path} is an array, not a SpatialData store", "Write it again with SpatialData.write.")
            images = spatial(root)
            members: dict[str, Node] = {name: images[name] for name in images}
            for name in TABLES:
                if root.holds(name):
                    members[name] = root.at(name)
            return StoreSource(path, MemoryGroup(members, images.attrs), store)
        except CoverslipError:
            store.close()
            raise


FORMAT: Format = SpatialData()

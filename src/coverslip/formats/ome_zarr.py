"""OME-Zarr, versions 0.1 to 0.5: images, label images, plates and collections, in folders and zip files.

Source: https://ngff.openmicroscopy.org/; see `coverslip.formats.trees.zarr_images`.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Source


class OmeZarr:
    """Images in Zarr as the Open Microscopy Environment writes them."""

    name = "ome-zarr"
    expects = "OME-Zarr folder (.zarr) or zip (.ozx)"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the attributes of the root."""
        from coverslip.formats.trees.zarr_store import has_zarr, root_attrs

        if not has_zarr(path, head):
            return False
        attrs = root_attrs(path)
        if attrs is None:
            return path.suffix.lower() == ".ozx"
        inner = attrs.get("ome")
        ome = inner if isinstance(inner, dict) else attrs
        keys = ("multiscales", "plate", "well", "labels", "bioformats2raw.layout")
        return any(ome.get(key) for key in keys) or "spatialdata_attrs" in attrs

    def open(self, path: Path) -> Source:
        """Read the metadata of the root and of its levels.

        Raises
        ------
        Damaged
            When the metadata does not fit what is stored.
        """
        from coverslip.formats.trees.source import need
        from coverslip.formats.trees.zarr_store import StoreSource, open_store

        need("tensorstore", "Zarr")
        from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
        from coverslip.formats.trees.zarr_images import is_ome, ome_tree

        store = open_store(path)
        try:
            root = open_hierarchy(store)
            if not isinstance(root, ZarrGroup) or not is_ome(root.attrs):
                raise Damaged(f"{path} holds no OME metadata", "Write it again, or offer it under another suffix.")
            return StoreSource(path, ome_tree(root), store)
        except CoverslipError:
            store.close()
            raise


FORMAT: Format = OmeZarr()

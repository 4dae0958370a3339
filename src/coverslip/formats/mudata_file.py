"""MuData: several modalities of the same cells, in HDF5 (``.h5mu``) or Zarr.

Source: mudata documentation, "MuData specification".
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.node import Group, Source
from coverslip.core.ranges import Ranges

MODALITIES = "mod"


class MuDataFile:
    """The cells of each modality, and all of them together."""

    name = "mudata"
    expects = "MuData (.h5mu, or in Zarr)"
    kind = "cells"
    rank = -1  # it is HDF5 or Zarr, too

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix, or what the root of a Zarr hierarchy says of itself."""
        if path.suffix.lower() == ".h5mu":
            return path.is_file()
        from coverslip.formats.trees.zarr_store import has_zarr, root_attrs

        return has_zarr(path, head) and (root_attrs(path) or {}).get("encoding-type") == "MuData"

    def open(self, path: Path | Ranges) -> Source:
        """Open it and see that there are modalities.

        Raises
        ------
        Damaged
            When there are none, or the file is truncated.
        """
        source = _open_zarr(path) if isinstance(path, Path) and not _is_h5mu(path) else _open_hdf5(path)
        if not isinstance(source.root, Group) or MODALITIES not in source.root or "obs" not in source.root:
            source.close()
            raise Damaged("The file holds no MuData", "It has no 'mod' and 'obs'; write it with MuData.write.")
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


def _is_h5mu(path: Path) -> bool:
    return path.suffix.lower() == ".h5mu" and path.is_file()


def _open_hdf5(path: Path | Ranges) -> Source:
    from coverslip.formats.trees.hdf5 import open_hdf5

    return open_hdf5(path)


def _open_zarr(path: Path) -> Source:
    from coverslip.formats.trees.zarr import ZarrGroup, open_hierarchy
    from coverslip.formats.trees.zarr_store import StoreSource, open_store

    store = open_store(path)
    try:
        root = open_hierarchy(store)
        for name in ("obs", MODALITIES):
            _ = isinstance(root, ZarrGroup) and name in root and root[name]
        return StoreSource(path, root, store)
    except CoverslipError:
        store.close()
        raise


FORMAT: Format = MuDataFile()

"""AnnData's ``.h5ad``: HDF5 with ``obs``, ``var`` and ``X`` (or ``obsm``) at its root.

Read with h5py and not with anndata, whose import alone costs more time and memory than serving a file does.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import Damaged
from coverslip.core.format import Format
from coverslip.core.node import Source
from coverslip.core.ranges import Ranges


class H5ad:
    """AnnData in HDF5, every encoding since anndata 0.5."""

    name = "h5ad"
    expects = ".h5ad file"
    kind = "cells"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix: a damaged ``.h5ad`` must be called damaged, not unknown."""
        return path.suffix.lower() == ".h5ad" and path.is_file()

    def open(self, path: Path | Ranges) -> Source:
        """Open the file and see that it is AnnData."""
        from coverslip.formats.trees.hdf5 import open_hdf5  # h5py is loaded when first needed

        source = open_hdf5(path)
        if not any(name in source.root for name in ("obs", "X", "obsm")):
            source.close()
            raise Damaged(
                f"{path} is HDF5, but holds no AnnData",
                "It has neither 'obs' nor 'X'; write it with AnnData.write_h5ad.",
            )
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


FORMAT: Format = H5ad()

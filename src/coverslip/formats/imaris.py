"""Imaris 5.5 files (``.ims``), see `coverslip.formats.trees.imaris`."""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Source
from coverslip.core.ranges import Ranges

SIGNATURE = b"\x89HDF\r\n\x1a\n"


class Imaris:
    """Images as Imaris keeps them."""

    name = "imaris"
    expects = "Imaris .ims file"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix and HDF5's signature."""
        return path.suffix.lower() == ".ims" and any(head[at : at + 8] == SIGNATURE for at in (0, 512, 1024, 2048))

    def open(self, path: Path | Ranges) -> Source:
        """Find levels, time points and channels; reads no pixel.

        Raises
        ------
        Damaged
            When the file is truncated, or some of them are missing.
        """
        from coverslip.formats.trees.hdf5 import open_hdf5
        from coverslip.formats.trees.imaris import imaris_image

        source = open_hdf5(path)
        try:
            source.root = imaris_image(source.root, path.stem)
        except CoverslipError:
            source.close()
            raise
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


FORMAT: Format = Imaris()

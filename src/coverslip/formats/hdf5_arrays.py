"""HDF5 files of any kind: every array of numbers is offered; netCDF 4 and ilastik's and ImageJ's HDF5 among them.

Files of cells, networks and Imaris are left to their own formats. See `coverslip.formats.trees.hdf5_plain`.
"""

from __future__ import annotations

import time
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Source
from coverslip.core.ranges import Ranges

SIGNATURE = b"\x89HDF\r\n\x1a\n"
OTHERS = (".h5ad", ".ims")
SETTLED_S = 10.0


def has_signature(head: bytes) -> bool:
    """Whether a file's first bytes are those of HDF5 (after a user block of 512, 1024 or 2048 bytes, too)."""
    return any(head[at : at + 8] == SIGNATURE for at in (0, 512, 1024, 2048))


def open_typed(path: Path) -> Source:
    """Open any HDF5 file for its typed objects (`coverslip.core.typed`), whatever it holds and whatever is left of it.

    Raises
    ------
    Damaged
        When it is truncated or not HDF5.
    """
    from coverslip.formats.trees.hdf5 import open_hdf5

    # One that was changed a moment ago is being written, and will be whole.
    source = open_hdf5(path, cut=time.time() - path.stat().st_mtime > SETTLED_S)
    try:
        _ = source.typed
    except CoverslipError:
        source.close()
        raise
    return source


class Hdf5Arrays:
    """Arrays of numbers in HDF5."""

    name = "hdf5"
    expects = "HDF5 file of arrays (.h5, .hdf5, .nc)"
    kind = "arrays"
    rank = 1

    def claims(self, path: Path, head: bytes) -> bool:
        """By HDF5's signature, unless what is inside follows a convention of its own."""
        if not has_signature(head) or path.suffix.lower() in OTHERS:
            return False
        from coverslip.formats.trees.hdf5 import open_hdf5
        from coverslip.formats.trees.hdf5_plain import is_foreign

        try:
            source = open_hdf5(path)
        except CoverslipError:
            return True  # a damaged one must be called damaged, not unknown
        try:
            return not is_foreign(source)
        except CoverslipError:
            return True
        finally:
            source.close()

    def open(self, path: Path | Ranges) -> Source:
        """Find the arrays; reads none of them.

        Raises
        ------
        Damaged
            When the file is truncated.
        Unsupported
            When it holds no array of numbers.
        """
        from coverslip.formats.trees.hdf5 import open_hdf5
        from coverslip.formats.trees.hdf5_plain import h5_tree

        source = open_hdf5(path)
        try:
            source.root = h5_tree(source, path.name)
        except CoverslipError:
            source.close()
            raise
        return source

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


FORMAT: Format = Hdf5Arrays()

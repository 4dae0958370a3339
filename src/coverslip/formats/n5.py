"""N5: a folder of ``attributes.json`` and blocks, as the Saalfeld lab's tools, BigStitcher and Paintera write it.

Source: https://github.com/saalfeldlab/n5; see `coverslip.formats.trees.n5`.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Source

LARGEST = 1 << 20


class N5:
    """Arrays and multiscale images in N5."""

    name = "n5"
    expects = "N5 folder"
    kind = "arrays"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix of a folder, or N5's keys in its ``attributes.json``."""
        if not path.is_dir():
            return False
        if path.suffix.lower() == ".n5":
            return True
        document = path / "attributes.json"
        try:
            with document.open("rb") as file:
                text = file.read(LARGEST)
        except OSError:
            return False
        return b'"n5"' in text or all(key in text for key in (b'"dimensions"', b'"blockSize"', b'"dataType"'))

    def open(self, path: Path) -> Source:
        """Read the metadata of every array.

        Raises
        ------
        Damaged
            When the folder is an array that makes no sense.
        """
        from coverslip.formats.trees.source import need
        from coverslip.formats.trees.zarr_store import FolderStore, StoreSource

        need("tensorstore", "N5")
        from coverslip.formats.trees.n5 import n5_tree

        store = FolderStore(path)
        try:
            return StoreSource(path, n5_tree(store, path.name.split(".")[0]), store)
        except CoverslipError:
            store.close()
            raise


FORMAT: Format = N5()

"""Folders that cellucid's ``prepare`` wrote: its first generation (``version`` 2, ``compact_v1``) and its second
(``version`` 3, ``compact_v2``), quantised and compressed or not.

Source: cellucid 0.0.9 and 0.9.4, the folders they write; see `coverslip.formats.trees.export`.
"""

from __future__ import annotations

from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Source

DOCUMENTS = ("dataset_identity.json", "obs_manifest.json")
MARKS = ("_cellucid", "cellucid_data_version", "_format", "_obsSchemas")
HEAD_BYTES = 1 << 16


class CellucidExport:
    """Cells exported for cellucid."""

    name = "cellucid-export"
    expects = "exported folder of cellucid (dataset_identity.json, obs_manifest.json)"
    kind = "cells"
    rank = -2  # by its own documents, whatever else lies in the folder

    def claims(self, path: Path, head: bytes) -> bool:
        """By one of its documents: a folder that misses the other must be called incomplete, not unknown."""
        return path.is_dir() and any(_marked(path / name) for name in DOCUMENTS)

    def open(self, path: Path) -> Source:
        """Read the documents; no array.

        Raises
        ------
        Damaged
            When a document makes no sense, or (``incomplete``) nothing could be shown without a file that is missing.
        """
        from coverslip.formats.trees.export import Export
        from coverslip.formats.trees.zarr_store import FolderStore, StoreSource

        store = FolderStore(path)
        try:
            return StoreSource(path, Export(store, path.name).tree(), store)
        except CoverslipError:
            store.close()
            raise


def _marked(path: Path) -> bool:
    """Whether a document is there and is one of cellucid's, as far as its beginning tells."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        return False
    return any(f'"{mark}"'.encode() in head for mark in MARKS)


FORMAT: Format = CellucidExport()

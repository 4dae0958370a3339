"""Neural systems: networks in NeuroH5's layout, alone or in a folder with the documents that describe them.

A folder holds ``graph.h5``, or ``cells.h5`` and ``connections.h5``; beside them mostly ``graph.json`` (how it was made)
and ``mea.json`` (electrodes).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged, UnsafeLink
from coverslip.core.format import Format
from coverslip.core.node import Group, Node, Source
from coverslip.core.ranges import Ranges

SIGNATURE = b"\x89HDF\r\n\x1a\n"
WHOLE, CELLS, CONNECTIONS = "graph.h5", "cells.h5", "connections.h5"
DOCUMENTS = ("graph.json", "mea.json")
MOST_DOCUMENT_BYTES = 64 << 20


class NeuralSystem:
    """A network of neurons."""

    name = "neuroh5"
    expects = "neural system (a folder with cells.h5 and connections.h5 or graph.h5, or a NeuroH5 file)"
    kind = "network"
    rank = -1  # before any format that takes whole folders or every HDF5 file

    def claims(self, path: Path, head: bytes) -> bool:
        """By the files of a folder, or what is at the root of a file."""
        if not head:
            return path.is_dir() and bool(parts(path)) and all(_has_signature(part) for part in parts(path))
        if not any(head[at : at + 8] == SIGNATURE for at in (0, 512, 1024, 2048)):
            return False
        from coverslip.formats.trees.hdf5 import open_hdf5

        try:
            source = open_hdf5(path)
        except CoverslipError:
            return False  # another format tells what is damaged
        try:
            return _is_network(source.root)
        except CoverslipError:
            return False
        finally:
            source.close()

    def open(self, path: Path | Ranges) -> Source:
        """Open the files; reads no cell.

        Raises
        ------
        Damaged
            When one of them is truncated, or holds no network.
        """
        from coverslip.formats.trees.hdf5 import open_hdf5

        if not isinstance(path, Path) or path.is_file():
            source = open_hdf5(path)
            if not _is_network(source.root):
                source.close()
                raise Damaged(f"{path.name} holds no network", "It has no H5Types; write it with NeuroH5.")
            return source
        return _open_folder(path)

    def open_ranges(self, file: Ranges) -> Source:
        """The same for a file elsewhere, of which only what is needed is read."""
        return self.open(file)


def parts(folder: Path) -> list[Path]:
    """The HDF5 files of a system, cells first; empty when the folder is none."""
    if (folder / WHOLE).is_file():
        return [folder / WHOLE]
    pair = [folder / CELLS, folder / CONNECTIONS]
    return pair if all(p.is_file() for p in pair) else []


def _open_folder(folder: Path) -> Source:
    from coverslip.core.tree import MemoryGroup
    from coverslip.formats.trees.hdf5 import H5Source, open_hdf5
    from coverslip.formats.trees.source import PathSource

    files = parts(folder)
    if not files:
        raise Damaged(f"{folder.name} holds no neural system", f"It needs {WHOLE}, or {CELLS} and {CONNECTIONS}.")
    beside = [folder / name for name in DOCUMENTS if (folder / name).is_file()]
    for part in (*files, *beside):
        _check_inside(part, folder)
    opened: list[H5Source] = []
    try:
        opened.extend(open_hdf5(file) for file in files)
        members = _members([source.root for source in opened])
        documents = {name.partition(".")[0]: _document(folder / name) for name in DOCUMENTS}
        told = {name: held for name, held in documents.items() if held is not None}
        root = MemoryGroup(members, {"neural_system": told, "coverslip": {"raw": told.get("graph", {})}})
        return PathSource(folder, root, _closing(opened), [*files, *beside])
    except (CoverslipError, OSError):
        for source in opened:
            source.close()
        raise


def _check_inside(part: Path, folder: Path) -> None:
    real = part.resolve()
    if not real.is_relative_to(folder.resolve()):
        raise UnsafeLink(f"{part.name} is a link that leads outside the folder", "Copy the file into the folder.")


def _closing(opened: list[Any]) -> Callable[[], None]:
    def close() -> None:
        for source in opened:
            source.close()

    return close


def _members(roots: list[Group]) -> dict[str, Node | Callable[[], Node]]:
    """``H5Types`` of the first file, and the other groups of the file that has them."""
    found: dict[str, Node | Callable[[], Node]] = {}
    for name in ("H5Types", "Populations", "Projections"):
        held = next((root for root in roots if name in root), None)
        if held is not None:
            found[name] = held[name]
    if "H5Types" not in found:
        raise Damaged("The files hold no network", "They have no H5Types; write them with NeuroH5.")
    return found


def _document(path: Path) -> Any:
    """A JSON document; None when it is not there.

    Raises
    ------
    Damaged
        When it is not JSON, or too large.
    """
    try:
        if path.stat().st_size > MOST_DOCUMENT_BYTES:
            raise Damaged(f"{path.name} is too large", f"At most {MOST_DOCUMENT_BYTES >> 20} MB are read.")
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        return None
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{path.name} is not JSON: {error}", "Write it again.") from error


def _is_network(root: Group) -> bool:
    return "H5Types" in root and ("Populations" in root or "Projections" in root)


def _has_signature(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError:
        return False
    return any(head[at : at + 8] == SIGNATURE for at in (0, 512, 1024, 2048))


FORMAT: Format = NeuralSystem()

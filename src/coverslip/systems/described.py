"""What is known of a system beside its cells and connections: its documents."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound
from coverslip.systems.documents import version_of
from coverslip.systems.handle import GRAPH, MISSING, Handle


class Described:
    """A system's files and documents.

    Parameters
    ----------
    uri, comm, backend
        See `coverslip.systems.System`.
    """

    def __init__(self, uri: str | os.PathLike[str], comm: Any = None, backend: str | None = None) -> None:
        self.uri = os.fspath(uri)
        self.comm = comm
        self._handle = Handle(Path(self.uri), backend, comm)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.uri!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the files; they are opened again when needed."""
        self._handle.close()

    @property
    def backend(self) -> str:
        """Which back end reads it now."""
        return self._handle.backend

    @property
    def name(self) -> str:
        """The last part of its path."""
        return self._handle.path.absolute().name

    @property
    def files(self) -> dict[str, str]:
        """Paths of its ``cells`` and ``connections``."""
        cells, connections = self._handle.names()
        return {"cells": str(self._handle.path / cells), "connections": str(self._handle.path / connections)}

    def local_directory(self, *parts: str) -> str:
        """A path in its folder."""
        return str(self._handle.path.joinpath(*parts))

    @property
    def elements(self) -> dict[str, Any]:
        """``graph.json``: `Element` objects, nested by name.

        Raises
        ------
        NotFound
            When there is none.
        Unsupported
            When it is of a newer version.
        """
        return self._handle.elements

    @property
    def version(self) -> int:
        """The version of ``graph.json``; 0 for systems made before there were versions."""
        return version_of(self.load_file(GRAPH))

    @property
    def connections_config(self) -> Mapping[str, Any]:
        """How its connections were made: the ``config`` of the first of ``connections``."""
        return self._handle.config("connections")

    def synapse_projections(self) -> list[tuple[str, str, str, str, str]]:
        """Destination, source, section, mechanism and type of every kind of synapse in ``graph.json``, sorted."""
        found = set()
        for post, sources in (self.connections_config.get("synapses") or {}).items():
            for pre, told in (sources or {}).items():
                held = told or {}
                mechanisms = (held.get("mechanisms") or {}).get("default") or {}
                for section in held.get("sections") or ():
                    found |= {(post, pre, section, name, held.get("type", "excitatory")) for name in mechanisms}
        return sorted(found)

    @property
    def weight_names(self) -> list[str]:
        """``POST_PRE-SECTION-MECHANISM-weight`` of every kind of synapse."""
        names = (f"{p}_{q}-{section}-{mechanism}-weight" for p, q, section, mechanism, _ in self.synapse_projections())
        return list(dict.fromkeys(names))

    def selections(self) -> list[str]:
        """Names of the stored selections in its folder."""
        folder = self._handle.path / "selection"
        return sorted(file.stem for file in folder.glob("*.json")) if folder.is_dir() else []

    def selection_document(self, name: str) -> dict[str, Any]:
        """A stored selection.

        Raises
        ------
        NotFound
            When there is none of this name.
        Damaged
            When it was made of another version of the system.
        """
        document = self.load_file(["selection", f"{name}.json"], None)
        if not isinstance(document, dict):
            there = ", ".join(self.selections()) or "none"
            raise NotFound(f"There is no stored selection {name!r}", f"There is {there}.")
        made_of = (document.get("meta") or {}).get("graph")
        architecture = self.elements.get("architecture")
        if made_of is not None and getattr(architecture, "uuid", made_of) != made_of:
            raise Damaged(f"The selection {name!r} was made of another system", "Make it again.")
        return document

    def params_document(self, selection_name: str | None = None) -> tuple[str | None, dict[str, Any] | None]:
        """Name and content of ``params/NAME.json`` (``default`` when None); twice None when there is none."""
        name = f"params/{selection_name or 'default'}.json"
        document = self.load_file(name, None)
        return (None, None) if document is None else (name, document)

    @property
    def electrodes(self) -> npt.NDArray[np.float64]:
        """Number, x, y and z (µm) of each electrode of ``mea.json``; float64 ``(n, 4)``, empty when there are none."""
        document = self.load_file("mea.json", None)
        held = document.get("electrode_coordinates", []) if isinstance(document, dict) else []
        try:
            return np.asarray(held, np.float64).reshape(-1, 4)
        except (ValueError, TypeError) as error:
            raise Damaged("mea.json holds no electrodes of four numbers", "Write it again.") from error

    def load_file(self, filepath: str | Sequence[str], default: Any = MISSING) -> Any:
        """A JSON file of the system: from its folder, or from the file server beside the HDF5 server.

        Parameters
        ----------
        filepath
            Its name, or the parts of its path.
        default
            What is given when there is no such file.

        Raises
        ------
        NotFound
            When there is none, and no default.
        """
        return self._handle.load(filepath, default)

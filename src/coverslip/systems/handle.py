"""Finding and opening a system: which back end, which files, which documents."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, Unreadable
from coverslip.domains.networks import Network
from coverslip.systems.connection import Connection, configured
from coverslip.systems.documents import read_elements
from coverslip.systems.readers import Reader, TreeReader, choose

T = TypeVar("T")
GRAPH = "graph.json"
MISSING: Any = object()


class Handle:
    """A system that is opened when it is read, and opened anew when its files or the configuration changed.

    Parameters
    ----------
    path
        Its folder or file.
    asked
        The back end that the caller insists on.
    comm
        MPI processes that read together.

    Raises
    ------
    CoverslipError
        When there is no such system here, or the configuration is wrong.
    """

    def __init__(self, path: Path, asked: str | None, comm: Any) -> None:
        self.path = path
        self._asked = asked
        self._comm = comm
        self._opened: tuple[Any, Reader] | None = None
        self._kept: dict[Any, Any] = {}
        if self._remote() is None:
            if not path.exists():
                raise NotFound(f"There is no system at {path}", "Check the path; predefined(name) finds some.")
            if path.is_dir() and (path / GRAPH).is_file():
                _ = self.elements

    def close(self) -> None:
        """Let go of the files; they are opened again when needed."""
        opened, self._opened = self._opened, None
        self._kept = {}
        if opened is not None:
            opened[1].close()

    @property
    def backend(self) -> str:
        """Which back end reads it now."""
        return choose(self._asked, configured())

    def reader(self) -> Reader:
        """What reads it now."""
        connection = configured()
        backend = choose(self._asked, connection)
        key = (backend, connection if backend == "h5pyd" else None)
        if self._opened is not None and (self._opened[0] != key or not self._opened[1].fresh()):
            self.close()
        if self._opened is None:
            self._kept = {}
            self._opened = (key, self._open(backend, connection))
        return self._opened[1]

    def _open(self, backend: str, connection: Connection | None) -> Reader:
        if backend == "h5pyd" and connection is not None:
            return self._served(connection)
        if backend == "neuroh5":
            from coverslip.systems.mpi import NeuroH5Reader

            cells, connections = (self.path / name for name in self.names())
            return NeuroH5Reader(cells, connections, self._comm)
        from coverslip.formats.neural_system import FORMAT

        source = FORMAT.open(self.path)
        try:
            network = Network(source.root)
        except CoverslipError:
            source.close()
            raise
        return TreeReader(network, "local", source.fresh, source.close)

    def _served(self, connection: Connection) -> Reader:
        from coverslip.systems.served import ServedFile, served_system

        names = dict.fromkeys(self.names())
        files = {name: ServedFile(connection, self.path.absolute() / name) for name in names}
        held = [files[name] for name in self.names()]

        def close() -> None:
            for file in files.values():
                file.close()

        return TreeReader(Network(served_system(held[0], held[1])), "h5pyd", lambda: True, close)

    def names(self) -> tuple[str, str]:
        """The names of the files of cells and of connections."""
        if self.path.suffix in (".h5", ".hdf5"):
            return "", ""
        if self._remote() is None:
            whole = (self.path / "graph.h5").is_file()
        else:
            whole = str(self.config("architecture").get("cells_filepath", "")).rpartition("/")[2] == "graph.h5"
        return ("graph.h5", "graph.h5") if whole else ("cells.h5", "connections.h5")

    def _remote(self) -> Connection | None:
        connection = configured()
        return connection if choose(self._asked, connection) == "h5pyd" else None

    def keep(self, key: Any, make: Callable[[], T]) -> T:
        """What ``make`` gives, made once while the system does not change."""
        self.reader()
        if key not in self._kept:
            self._kept[key] = make()
        found: T = self._kept[key]
        return found

    # -- documents ---------------------------------------------------------------------------------------------------

    @property
    def elements(self) -> dict[str, Any]:
        """``graph.json`` with its elements."""
        return read_elements(self.load(GRAPH))

    def config(self, name: str) -> Mapping[str, Any]:
        """What the first element below ``name`` was made with; empty when there is none."""
        held = self.elements.get(name)
        while isinstance(held, Mapping):
            held = next(iter(held.values()), None)
        found: Mapping[str, Any] = getattr(held, "config", {})
        return found

    def has_graph(self) -> bool:
        """Whether there is a ``graph.json``."""
        return self.load(GRAPH, None) is not None

    def load(self, filepath: str | Sequence[str], default: Any = MISSING) -> Any:
        """See `coverslip.systems.System.load_file`."""
        parts = filepath.split("/") if isinstance(filepath, str) else list(filepath)
        if not parts or any(part in ("", ".", "..") or set(part) & set("/\\\0") for part in parts):
            raise BadRequest(f"{'/'.join(parts)[:200]!r} is no file of a system", "Name a file in its folder.")
        connection = self._remote()
        try:
            if connection is not None:
                return connection.json(self.path.absolute().name, "/".join(parts))
            return self._local_json(parts)
        except NotFound:
            if default is MISSING:
                raise
            return default

    def _local_json(self, parts: Sequence[str]) -> Any:
        folder = self.path if self.path.is_dir() else self.path.parent
        name = "/".join(parts)
        try:
            return json.loads(folder.joinpath(*parts).read_bytes())
        except (FileNotFoundError, NotADirectoryError):
            raise NotFound(f"The system has no {name}", "See its folder.") from None
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{name} is not JSON: {error}", "Write it again.") from error
        except OSError as error:
            raise Unreadable(f"{name} cannot be read: {error.strerror}", "Check who may read it: ls -l.") from error

"""HDF5 on a server as a tree, on h5pyd.

Source: h5pyd (https://github.com/HDFGroup/h5pyd), whose objects are used as h5py's are.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePath
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Forbidden, NotFound, Unreadable, Unsupported
from coverslip.core.node import Array, Attrs, Group, Node
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.tree import MemoryGroup
from coverslip.systems.connection import VARIABLE, Connection, domain

RETRIES = 2
CODES: dict[int, type[CoverslipError]] = {401: Forbidden, 403: Forbidden, 404: NotFound, 410: NotFound}
FAILURES = (OSError, KeyError, ValueError, TypeError, RuntimeError, AttributeError)
"""What h5pyd raises, depending on where a request fails."""


@contextmanager
def served(what: str) -> Iterator[None]:
    """Say of what fails that it is the server's."""
    try:
        yield
    except FAILURES as error:
        status = error.errno if isinstance(error, OSError) else None
        kind = CODES.get(status or 0, Unreadable)
        said = str(error).strip("'\"").splitlines()[:1] or [error.__class__.__name__]
        hint = "username and password are set there." if kind is Forbidden else "Is the server running?"
        raise kind(f"{what} cannot be read from the HDF5 server: {said[0][:300]}", f"See {VARIABLE}: {hint}") from error


class ServedFile:
    """One file on the server, opened when first needed.

    Parameters
    ----------
    connection
        Which server.
    path
        What the file would be called here.
    """

    def __init__(self, connection: Connection, path: PurePath) -> None:
        self._connection = connection
        self._domain = domain(path)
        self._file: Any = None

    @property
    def root(self) -> Group:
        """Its root.

        Raises
        ------
        CoverslipError
            When the server cannot be reached, refuses, or has no such file.
        """
        if self._file is None:
            import h5pyd

            given = {name: getattr(self._connection, name) for name in ("bucket", "username", "password")}
            with served(self._domain):
                self._file = h5pyd.File(
                    self._domain,
                    "r",
                    endpoint=self._connection.endpoint.rstrip("/"),
                    retries=RETRIES,
                    **{name: value for name, value in given.items() if value},
                )
        return ServedGroup(self._file)

    def close(self) -> None:
        """Let go of it."""
        file, self._file = self._file, None
        if file is not None:
            file.close()


def served_system(cells: ServedFile, connections: ServedFile) -> Group:
    """A system of two files (which may be the same one), each opened when first needed."""
    return MemoryGroup(
        {
            "H5Types": lambda: cells.root["H5Types"],
            "Populations": lambda: cells.root["Populations"],
            "Projections": lambda: connections.root["Projections"],
        }
    )


class ServedGroup(Group):
    """A group as h5pyd gives it."""

    def __init__(self, group: Any) -> None:
        self._group = group
        self.attrs: Attrs = {}

    def __iter__(self) -> Iterator[str]:
        with served(str(self._group.name)):
            return iter([str(name) for name in self._group])

    def __contains__(self, name: object) -> bool:
        with served(str(self._group.name)):
            return bool(name in self._group)

    def __getitem__(self, name: str) -> Node:
        if name not in self:
            raise NotFound(f"There is no {name!r} in {self._group.name}", "Is this a neural system?")
        with served(f"{self._group.name}/{name}"):
            item = self._group[name]
            if hasattr(item, "keys"):
                return ServedGroup(item)
            if hasattr(item, "shape") and item.shape is not None:
                return ServedArray(item)
        raise Unsupported(f"{name!r} is neither a group nor an array")


class ServedArray(Array):
    """A data set as h5pyd gives it."""

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self.attrs: Attrs = {}
        self._spec = ArraySpec(tuple(dataset.shape), np.dtype(dataset.dtype), dataset.chunks)

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and chunks."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``, in one request."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        if not all(box.shape):
            return np.empty(box.shape, self._spec.dtype)
        with served(str(self._dataset.name)):
            return np.asarray(self._dataset[box.slices])

"""Servers of cells for Python: the functions and classes that cellucid documents, with its names and defaults.

Source: cellucid's page "Server (browser tab + local HTTP server)", and its adapter's keyword arguments.
"""

from __future__ import annotations

import difflib
import os
import sys
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import BadUsage, NotFound
from coverslip.engine.access import is_loopback
from coverslip.engine.missing import hint
from coverslip.formats.remote.address import is_url
from coverslip.ports import DEFAULT_PORT
from coverslip.server import Server
from coverslip.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from coverslip.domains.cells import Options

BACKED = (True, False, None, "r")
OWN = ("backed", "dataset_name", "dataset_id")
"""Arguments that say nothing of how the cells are read."""


class DataNotFound(NotFound, FileNotFoundError):
    """A path with nothing at it."""


class UnknownOption(BadUsage, TypeError):
    """A keyword argument that does not exist."""

    code = "unknown_option"


class CellucidServer(Server):
    """Serves a folder, or any file that coverslip reads.

    Parameters
    ----------
    data_dir
        An exported data set, a folder of several (``/_cellucid/datasets`` lists them), or a file.
    port, host
        Where to listen; port 0 takes any free one, which `url` tells once it serves. On any other address than
        loopback a token is made up, and `viewer_url` holds it.
    open_browser
        Whether to open a tab on start.
    quiet
        Say nothing on start.

    Raises
    ------
    CoverslipError
        When there is nothing there (a `FileNotFoundError` too), or a file of no known format. What else is wrong with
        the data, the address or the port is raised by `start` and `start_background`, in their caller.

    Notes
    -----
    Can be started again after it stopped. ``with CellucidServer(folder, port=0) as server:`` serves for a block.
    """

    def __init__(
        self,
        data_dir: str | Path,
        port: int = DEFAULT_PORT,
        host: str = "127.0.0.1",
        open_browser: bool = False,
        quiet: bool = False,
    ) -> None:
        if not isinstance(data_dir, (str, os.PathLike)):
            raise UnknownOption(f"data_dir is a path, not a {type(data_dir).__name__}", "AnnDataServer takes objects.")
        super().__init__(there(data_dir), Settings(host=host, port=port), open_browser)
        self._quiet = quiet

    def _ready(self, on_ready: Callable[[], None] | None) -> None:
        tell(self, self._settings.host, self._quiet)
        super()._ready(on_ready)


class AnnDataServer(Server):
    """Serves an AnnData object, or a file of one.

    Parameters
    ----------
    data
        A path of any format of cells, or an ``anndata.AnnData``: in memory, sparse or dense, or backed.
    port, host, open_browser, quiet
        As for `CellucidServer`.
    **adapter_kwargs
        Of cellucid's adapter, each with its meaning and default there: ``latent_key=None`` (the ``obsm`` array in which
        outliers are measured), ``gene_id_column="index"``, ``normalize_embeddings=True`` (False draws coordinates as
        stored), ``centroid_outlier_quantile=0.95``, ``centroid_min_points=10``, ``dataset_name=None``,
        ``dataset_id=None`` (made safe for addresses), and ``backed="r"``: it is accepted and changes nothing, because
        files are always read as they are asked for.

    Raises
    ------
    CoverslipError
        As `CellucidServer`; `UnknownOption` (a `TypeError` too) for an argument that does not exist.
    """

    def __init__(
        self,
        data: str | Path | Any,
        port: int = DEFAULT_PORT,
        host: str = "127.0.0.1",
        open_browser: bool = False,
        quiet: bool = False,
        **adapter_kwargs: Any,
    ) -> None:
        settings = Settings(host=host, port=port, cells=reading(adapter_kwargs))
        offered = named(data, adapter_kwargs.get("dataset_name"), adapter_kwargs.get("dataset_id"))
        super().__init__(offered, settings, open_browser)
        self._quiet = quiet

    def _ready(self, on_ready: Callable[[], None] | None) -> None:
        tell(self, self._settings.host, self._quiet)
        super()._ready(on_ready)


def serve(
    data_dir: str | Path,
    port: int = DEFAULT_PORT,
    host: str = "127.0.0.1",
    open_browser: bool = True,
    quiet: bool = False,
) -> None:
    """Serve a folder or file until Ctrl+C. See `CellucidServer` for the parameters and errors."""
    CellucidServer(data_dir, port, host, open_browser, quiet).start()


def serve_anndata(
    data: str | Path | Any,
    port: int = DEFAULT_PORT,
    host: str = "127.0.0.1",
    open_browser: bool = True,
    quiet: bool = False,
    *,
    block: bool = True,
    **kwargs: Any,
) -> AnnDataServer:
    """Serve an AnnData object or file.

    Parameters
    ----------
    data, port, host, open_browser, quiet, **kwargs
        See `AnnDataServer`.
    block
        True serves until Ctrl+C (or until another thread stops it) and returns the server, which no longer runs and can
        be started again. False returns the running server at once.

    Returns
    -------
    AnnDataServer
        Running with ``block=False``, else stopped.
    """
    server = AnnDataServer(data, port, host, open_browser, quiet, **kwargs)
    server.start(blocking=block)
    return server


def tell(server: Server, host: str, quiet: bool) -> None:
    """Say where the data is served, and who can reach it."""
    if quiet:
        return
    sys.stdout.write(f"coverslip is serving on {server.viewer_url}\n")
    if server.network_url is not None:
        sys.stdout.write(f"From other machines: {server.network_url}\n")
    if not is_loopback(host):
        sys.stdout.write("Anyone on the network who has this URL can read the data.\n")


def there(path: str | os.PathLike[str]) -> str | Path:
    """The path, or the address of something on another machine.

    Raises
    ------
    DataNotFound
        When there is nothing at the path.
    """
    if isinstance(path, str) and is_url(path):
        return path
    found = Path(path).expanduser()
    if not found.exists():
        raise DataNotFound(f"Data directory not found: {found.absolute()}", hint(str(path), found))
    return found


def named(data: Any, name: str | None, id: str | None) -> Any:
    """What is to be served, under a name and an id of its own where they are given."""
    from coverslip.roots import Named

    if isinstance(data, (str, os.PathLike)):
        data = there(data)
    elif not (hasattr(data, "obs") and hasattr(data, "obsm")):
        kind = type(data).__name__
        raise UnknownOption(f"A {kind} cannot be served", "Give the path of a file, or an anndata.AnnData.")
    elif hasattr(data, "mod"):
        raise UnknownOption("A MuData in memory cannot be served", "Write it (.h5mu) and serve the file.")
    if not (name or id):
        return data
    if isinstance(data, str):
        raise UnknownOption("Data on another machine keeps its name", "Leave dataset_name and dataset_id out.")
    return Named(data, name or "", id or "")


def reading(given: dict[str, Any]) -> Options:
    """How the cells are read, of the adapter's keyword arguments.

    Raises
    ------
    UnknownOption
        Naming the nearest one there is.
    """
    from coverslip.domains.cells import Options

    known = {field.name for field in fields(Options)}
    for name in given:
        if name not in known and name not in OWN:
            near = difflib.get_close_matches(name, [*known, *OWN], 1)
            hint = f"Did you mean {near[0]}?" if near else f"There is {', '.join(sorted({*known, *OWN}))}."
            raise UnknownOption(f"Unknown option: {name}", hint)
    if given.get("backed", "r") not in BACKED:
        raise UnknownOption(f"backed={given['backed']!r} cannot be: data is only read", "Leave it out.")
    return Options(**{name: value for name, value in given.items() if name in known})

"""Where HSDS keeps its copies: a folder that one server at a time has, and what that server wrote down of itself."""

from __future__ import annotations

import json
import shutil
from contextlib import AbstractContextManager, ExitStack
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from coverslip.core.errors import BadUsage, CoverslipError, Unreadable
from coverslip.daemon.identity import Identity
from coverslip.daemon.typed import fits
from coverslip.engine.secret import write_private
from coverslip.hsds.environment import locked

BUCKET = "systems"
SOCKETS = "coverslip-hsds-"
"""How the names of folders of sockets begin."""


@dataclass(frozen=True)
class Record:
    """A server that runs on a store.

    Attributes
    ----------
    pid, started
        Which process; see `Identity`.
    socket
        Of its service node.
    port
        That its relay listens on; 0 while it only imports.
    username, password
        Of HSDS itself.
    """

    pid: int
    started: str
    socket: str
    port: int
    username: str
    password: str = field(repr=False)


class Store:
    """A folder with one bucket.

    Parameters
    ----------
    folder
        Made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self._held = ExitStack()

    @property
    def data(self) -> Path:
        """HSDS's own folder; nothing else is below it, since clients may name any folder of it as a bucket."""
        return self.folder / "data"

    @property
    def log(self) -> Path:
        """The log of all nodes."""
        return self.folder / "log" / "hsds.log"

    @property
    def ledger(self) -> Path:
        """What was imported."""
        return self.folder / "imported.json"

    def hold(self) -> AbstractContextManager[Store]:
        """Have it alone.

        Raises
        ------
        CoverslipError
            When it cannot be made, or another server has it.
        """
        try:
            (self.data / BUCKET).mkdir(parents=True, exist_ok=True)
            self.folder.chmod(0o700)
            self._held.enter_context(locked(self.folder / "lock", None))
        except BlockingIOError:
            there = self.running()
            where = f" (process {there.pid}{f', port {there.port}' if there.port else ''})" if there else ""
            hint = "Stop it, or name another folder with --store."
            raise BadUsage(f"Another server has the store of this folder{where}", hint, "store_in_use") from None
        except OSError as error:
            hint = "Name a folder that may be written: --store DIR."
            raise Unreadable(f"The store cannot be made: {error.strerror}", hint, "no_store") from error
        self._clear()
        return self

    def _clear(self) -> None:
        """Remove the folder of sockets of a server that was killed."""
        left = self._known()
        if left is not None and (folder := Path(left.socket).parent).name.startswith(SOCKETS):
            shutil.rmtree(folder, ignore_errors=True)

    def __enter__(self) -> Store:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._record.unlink(missing_ok=True)
        self._held.close()

    @property
    def _record(self) -> Path:
        return self.folder / "server.json"

    def write(self, socket: Path, port: int, username: str, password: str) -> None:
        """Write down who serves it; read by its owner only."""
        own = Identity.own()
        record = Record(own.pid, own.started, str(socket), port, username, password)
        try:
            write_private(self._record, json.dumps(asdict(record)).encode())
        except OSError as error:
            raise CoverslipError(f"The store cannot be written: {error.strerror}", "Is the disk full?") from error

    def running(self) -> Record | None:
        """Who serves it now."""
        record = self._known()
        return record if record is not None and Identity(record.pid, record.started).alive else None

    def _known(self) -> Record | None:
        try:
            given = json.loads(self._record.read_bytes())
            return Record(**given) if isinstance(given, dict) and fits(Record, given) else None
        except (OSError, ValueError, TypeError, RecursionError):
            return None

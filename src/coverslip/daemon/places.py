"""Where the background server leaves its files, and where its configuration is looked for."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.engine.state import state_folder

CODE = "no_state"
DEFAULT_CONFIGS = ("coverslip/coverslip.toml", "biopb/biopb.toml", "biopb/biopb.json")


@dataclass(frozen=True)
class Places:
    """Files of the background server of this user, all readable by nobody else.

    Attributes
    ----------
    folder
        Where they are: ``COVERSLIP_STATE_DIR``, else the user's state folder.
    """

    folder: Path

    @classmethod
    def here(cls) -> Places:
        """Those of this user.

        Raises
        ------
        Unreadable
            When the folder cannot be made.
        """
        return cls(state_folder().absolute())

    @property
    def pid(self) -> Path:
        """Number of the process and when it started, on a line each."""
        return self.folder / "server.pid"

    @property
    def record(self) -> Path:
        """What the running server says of itself, as JSON."""
        return self.folder / "server.json"

    @property
    def token(self) -> Path:
        """The token of the running server."""
        return self.folder / "server.token"

    @property
    def read_token(self) -> Path:
        """The token of the running server for reading."""
        return self.folder / "server.read-token"

    @property
    def flags(self) -> Path:
        """The flags of the last start, without the token, as JSON."""
        return self.folder / "server.flags.json"

    @property
    def lock(self) -> Path:
        """Held by the running server."""
        return self.folder / "server.lock"

    @property
    def log(self) -> Path:
        """What the server logs."""
        return self.folder / "logs" / "server.log"


def write_private(path: Path, text: str) -> None:
    """Write a small file that only its owner may read; it is there whole or as it was.

    Raises
    ------
    CoverslipError
        With the reason: a full disk, a folder that may not be written.
    """
    from coverslip.engine import secret  # its imports take time, and who asks for the status writes nothing

    try:
        secret.write_private(path, text.encode())
    except OSError as error:
        raise cannot_write(path, error) from error


def cannot_write(path: Path, error: OSError) -> CoverslipError:
    """The error for a file of the state folder."""
    return CoverslipError(
        f"Cannot write {path}: {error.strerror}",
        "Make room or rights there, or set COVERSLIP_STATE_DIR to another folder.",
        CODE,
    )


def default_config() -> Path | None:
    """The configuration of a server that is told none: coverslip's own, else biopb's, else None."""
    base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    return next((file for name in DEFAULT_CONFIGS if (file := base / name).is_file()), None)

"""Secrets that outlive a restart: random bytes in a file that only their owner reads."""

from __future__ import annotations

import os
import secrets
import tempfile
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.engine.state import state_folder

KEY_BYTES = 32


def kept_key(name: str) -> bytes:
    """The key of this name, made at first; one of this process only where nothing can be kept."""
    try:
        file = state_folder() / name
        known = file.read_bytes() if file.is_file() else b""
        if len(known) != KEY_BYTES:
            known = secrets.token_bytes(KEY_BYTES)
            write_private(file, known)
        return known
    except (OSError, CoverslipError):
        return secrets.token_bytes(KEY_BYTES)


def write_private(file: Path, data: bytes) -> None:
    """Write a file whole or not at all, for its owner only.

    Raises
    ------
    OSError
        When it cannot be written.
    """
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as opened:
            opened.write(data)
        Path(part).replace(file)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise

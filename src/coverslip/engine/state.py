"""Where this user's own work is kept: what is not in any file that is served, and cannot be made again."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from coverslip.core.errors import Unreadable

STATE_DIR = "COVERSLIP_STATE_DIR"


def state_folder() -> Path:
    """The folder (``COVERSLIP_STATE_DIR``, else ``$XDG_STATE_HOME/coverslip``); made for its owner only.

    Raises
    ------
    Unreadable
        When it cannot be made, or belongs to everybody.
    """
    from platformdirs import user_state_dir  # costs a few milliseconds; only asked for when something is kept

    folder = Path(os.environ.get(STATE_DIR) or user_state_dir("coverslip", appauthor=False))
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if folder.stat().st_mode & stat.S_ISVTX:  # /tmp: taken from everybody else it would break their programs
            hint = f"Set {STATE_DIR} to a folder of your own."
            raise Unreadable("The state folder is one that everybody shares", hint, "no_state")
        folder.chmod(0o700)
    except OSError as error:
        hint = f"Set {STATE_DIR} to a folder that may be written."
        raise Unreadable(f"The state folder cannot be made: {error.strerror}", hint, "no_state") from error
    return folder

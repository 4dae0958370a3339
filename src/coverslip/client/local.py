"""The server that runs in the background on this machine, as `coverslip server start` wrote it down for its owner."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class LocalServer:
    """Where it is and what it asks for.

    Attributes
    ----------
    url
        Its address, of Arrow Flight where it has one.
    token
        Its token, or None.
    certificate
        PEM file of its certificate, or None.
    """

    url: str
    token: str | None
    certificate: str | None

    def __repr__(self) -> str:
        """Without the token."""
        return f"LocalServer({self.url!r})"


def local_server(environment: Mapping[str, str] = os.environ) -> LocalServer | None:
    """The server of this user that runs on this machine now; None when there is none."""
    folder = _folder(environment)
    try:
        told = json.loads((folder / "server.json").read_text("utf-8"))
        url, pid, node = told.get("grpc") or told.get("http"), int(told["pid"]), told["node"]
        certificate = told.get("certificate")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None
    if not isinstance(url, str) or node != platform.node() or pid <= 0 or not _alive(pid):
        return None
    try:
        token = (folder / "server.token").read_text("utf-8").strip() or None
    except OSError:
        token = None
    return LocalServer(url, token, certificate if isinstance(certificate, str) else None)


def _folder(environment: Mapping[str, str]) -> Path:
    given = environment.get("COVERSLIP_STATE_DIR")
    if given:
        return Path(given)
    from platformdirs import user_state_dir  # costs a few milliseconds

    return Path(user_state_dir("coverslip", appauthor=False))


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # somebody else's process has the number now; no process has such a number
        return False
    return True

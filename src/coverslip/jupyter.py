"""coverslip in the launcher of JupyterLab, by jupyter-server-proxy: begun by a click, reached through Jupyter only."""

from __future__ import annotations

import os
import secrets
import shlex
import sys
from importlib.resources import files
from typing import Any

PATHS = "COVERSLIP_JUPYTER_PATHS"
"""What is served, written as in a shell; the folder that Jupyter was started in when it is not set."""
START_S = 60
LOOPBACK = ("127.0.0.1", "::1")


def launcher() -> dict[str, Any]:
    """What jupyter-server-proxy is told of coverslip.

    The server listens on loopback and asks for a token that only this Jupyter server knows and shows it, so that other
    users of the machine, who can reach its loopback too, cannot read anything: who may open it is who may open Jupyter.

    Returns
    -------
    dict
        A server process as jupyter-server-proxy describes it ("Server Process options" of its documentation). It fills
        in what stands in braces.
    """
    token = secrets.token_urlsafe(32)
    paths = shlex.split(os.environ.get(PATHS, "")) or ["."]
    trusted = [word for address in LOOPBACK for word in ("--trusted-proxy", address)]
    flags = ["--host", LOOPBACK[0], "--port", "{port}", "--no-browser", "--quiet", *trusted]
    icon = files("coverslip") / "_viewer" / "favicon.svg"
    return {
        "command": [sys.executable, "-P", "-m", "coverslip", "serve", *flags, "--", *map(_as_said, paths)],
        "environment": {"COVERSLIP_TOKEN": token},
        "request_headers_override": {"Authorization": f"Bearer {token}"},
        "timeout": START_S,
        "launcher_entry": {"title": "coverslip", **({"icon_path": str(icon)} if icon.is_file() else {})},
    }


def _as_said(path: str) -> str:
    """A path in which braces stand for themselves."""
    return path.replace("{", "{{").replace("}", "}}")

"""The server that was used last, as the configuration keeps it: ``tensor_browser.server_url``. Never a token."""

from __future__ import annotations

import json
import os
import re
import tempfile
import tomllib
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from coverslip.core.errors import Unreadable

FILES = ("coverslip/coverslip.toml", "biopb/biopb.json", "biopb/biopb.toml")
TABLE = re.compile(r"^[ \t]*\[[ \t]*tensor_browser[ \t]*\][ \t]*(?:#.*)?$", re.MULTILINE)
NEXT_TABLE = re.compile(r"^[ \t]*\[", re.MULTILINE)
LINE = re.compile(r"^[ \t]*server_url[ \t]*=.*$", re.MULTILINE)


def config_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder of all programs' configuration: ``$XDG_CONFIG_HOME``, else ``~/.config``."""
    return Path(environment.get("XDG_CONFIG_HOME") or Path.home() / ".config")


def saved_url(environment: Mapping[str, str] = os.environ) -> str | None:
    """The saved address: ours first, then biopb's; a file that cannot be read says nothing."""
    for name in FILES:
        given = _read(config_folder(environment) / name)
        table = given.get("tensor_browser")
        url = table.get("server_url") if isinstance(table, dict) else None
        if isinstance(url, str) and url.strip():
            return url.strip()
    return None


def _read(file: Path) -> Mapping[str, Any]:
    with suppress(OSError, ValueError, RecursionError):
        text = file.read_text("utf-8")
        given = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
        if isinstance(given, dict):
            return given
    return {}


def save_url(url: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Keep an address in our own configuration; everything else in it stays as it is.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    Unreadable
        When the file cannot be read or written.
    """
    file = config_folder(environment) / FILES[0]
    draft: Path | None = None
    try:
        text = file.read_text("utf-8") if file.exists() else ""
        file.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            dir=file.parent, prefix=f".{file.name}."
        )  # for its owner only: it may hold keys
        draft = Path(name)
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(_with(text, f"server_url = {json.dumps(url)}"))
        if file.exists():
            draft.chmod(file.stat().st_mode & 0o777)
        draft.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        if draft is not None:
            with suppress(OSError):
                draft.unlink()
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        raise Unreadable(f"Cannot write {file}: {why}", "Check who may write it: ls -l.") from error
    return file


def _with(text: str, line: str) -> str:
    table = TABLE.search(text)
    if table is None:
        gap = "" if not text or text.endswith("\n\n") else "\n" if text.endswith("\n") else "\n\n"
        return f"{text}{gap}[tensor_browser]\n{line}\n"
    after = NEXT_TABLE.search(text, table.end())
    end = after.start() if after else len(text)
    inside = text[table.end() : end]
    if LINE.search(inside):
        inside = LINE.sub(lambda _: line, inside, count=1)
    else:
        inside = f"\n{line}{inside}" if inside.startswith("\n") else f"\n{line}\n{inside}"
    return text[: table.end()] + inside + text[end:]

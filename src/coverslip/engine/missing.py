"""A path at which nothing is, and what was probably meant: told to who typed it on this machine, and to nobody else."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches
from itertools import islice
from pathlib import Path

from coverslip.core.errors import NotFound

WINDOWS = re.compile(r"[A-Za-z]:")
SCHEME = re.compile(r"(s3|gs|https?|file):/*(.*)")
FAR = re.compile(r"(?:[\w.-]+@)?[\w-][\w.-]+:[^:]+")
PATTERN = re.compile(r"[*?]|\[[^]]+\]")
MOST_NAMES = 10_000
LIKENESS = 0.7


def not_there(path: Path, written: str | os.PathLike[str]) -> NotFound:
    """The error for a path at which nothing is, or a link that leads to nothing.

    Parameters
    ----------
    path
        As it is told.
    written
        As somebody typed it.
    """
    if path.is_symlink():
        return NotFound(f"{path} is a link that leads nowhere", "Check the spelling, and that it is on this machine.")
    return NotFound(f"Path not found: {path}", hint(os.fspath(written), path))


def explained(error: NotFound, path: Path) -> NotFound:
    """An error about a path that somebody typed, with what was probably meant where nothing is there."""
    return error if path.exists() else not_there(path, path)


def hint(written: str, path: Path) -> str:
    """What to do about a path at which nothing is."""
    if os.name == "posix" and WINDOWS.match(written):
        drive = written[0].lower()
        return f"A path of Windows means nothing here; in WSL, {drive.upper()}: is /mnt/{drive}."
    if scheme := SCHEME.fullmatch(written):
        return f"An address has two slashes: {scheme[1]}://{scheme[2]}"
    if FAR.fullmatch(written):
        return f"For data of another machine: coverslip connect {written}"
    if written.startswith("~"):
        return "The shell reads ~ only where it stands outside of quotes."
    if PATTERN.search(written):
        return "No name here matches the pattern, so the shell left it as it is."
    return near(Path(os.path.abspath(path))) or "Check the spelling, and that it is on this machine."  # noqa: PTH100


def near(path: Path) -> str:
    """The path with the first part that is not there spelled as one that is; empty where none is alike."""
    there = next((folder for folder in path.parents if folder.is_dir()), None)
    if there is None:
        return ""
    missing = path.relative_to(there).parts[0]
    try:
        with os.scandir(there) as entries:
            names = {entry.name.casefold(): entry.name for entry in islice(entries, MOST_NAMES)}
    except OSError:
        return ""
    alike = get_close_matches(missing.casefold(), names, 1, LIKENESS)
    if alike:
        return f"Did you mean {there / names[alike[0]]}?"
    if there != path.parent:
        return f"There is no {missing} in {there}."
    return ""

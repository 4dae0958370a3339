"""Which files the installed plug-ins of bioio read, without importing one of them.

Source: https://bioio-devs.github.io/bioio: a plug-in is a package behind the entry point group ``bioio.readers`` whose
class ``ReaderMetadata`` has a static method ``get_supported_extensions``.
"""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

GROUP = "bioio.readers"
LISTING = "get_supported_extensions"
ORDINARY = frozenset(
    {
        "png", "jpg", "jpeg", "jpe", "jif", "jfif", "gif", "apng", "bmp", "ico", "webp", "svg", "psd", "ppm", "pgm",
        "pbm", "pdf", "ps", "eps", "if", "ct", "bin", "raw", "dat", "txt", "csv", "html", "mp4", "m4v", "mov", "avi",
        "mkv", "webm", "wmv", "mpg", "mpeg", "264", "265", "h264", "h265", "hevc", "flv", "ogv", "mts", "asf", "swf",
    }
)  # fmt: skip
"""Pictures, films and documents that lie in every folder and are no measurements; a plug-in's claim to them is left."""


def installed() -> bool:
    """Whether bioio is installed; costs one look into the file system."""
    return importlib.util.find_spec("bioio") is not None


@cache
def extensions() -> frozenset[str]:
    """Extensions, in lower case and without the first dot, that the installed plug-ins read."""
    from importlib.metadata import entry_points

    found = {e for entry in entry_points(group=GROUP) for e in _of(entry)}
    return frozenset(found - ORDINARY - {""})


def _of(entry: EntryPoint) -> Iterator[str]:
    """The extensions of one plug-in, read out of its source; one that computes them is asked."""
    for path in _sources(entry.module):
        for written in _written(path):
            yield from (text.lower().lstrip(".") for text in written)
            return
    try:
        metadata = entry.load()
        metadata = getattr(metadata, "ReaderMetadata", metadata)
        yield from (str(text).lower().lstrip(".") for text in getattr(metadata, LISTING)())
    except (ImportError, AttributeError, TypeError, ValueError, OSError, RuntimeError):
        return  # a plug-in that cannot be loaded reads nothing


def _sources(module: str) -> Iterator[Path]:
    """Where a plug-in may list its extensions, the usual file first."""
    spec = importlib.util.find_spec(module.partition(".")[0])
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for name in ("reader_metadata.py", "__init__.py"):
            if (Path(folder) / name).is_file():
                yield Path(folder) / name


def _written(path: Path) -> Iterator[list[str]]:
    """The lists of words that functions called `LISTING` return as they stand."""
    try:
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, OSError):
        return
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef) and function.name == LISTING:
            for step in ast.walk(function):
                if isinstance(step, ast.Return) and step.value is not None:
                    try:
                        value = ast.literal_eval(step.value)
                    except ValueError:
                        continue
                    if isinstance(value, (list, tuple)) and all(isinstance(v, str) for v in value):
                        yield list(value)

"""Which files belong together, by what stands in their first directory; reads no pixels and loads no file library."""

from __future__ import annotations

import html
import re
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.formats.trees.ome_xml import MOST_BYTES, refused, safe_name
from coverslip.formats.trees.tiff_bytes import DESCRIPTION, Directories, FileBytes

COMPANION = ".companion.ome"


def description(path: Path) -> bytes:
    """The first image description of a TIFF file, or the whole of a companion file; empty when there is none."""
    if path.name.lower().endswith(COMPANION):
        if path.stat().st_size > MOST_BYTES:
            raise refused("that is too long")
        return path.read_bytes()
    file = FileBytes(path)
    try:
        return (Directories(file)[0].data(DESCRIPTION) or b"").rstrip(b"\0")
    finally:
        file.close()


def is_ome(text: bytes) -> bool:
    """Whether a description is OME-XML."""
    return b"OME" in text[:4096] and text.rstrip()[-20:].endswith(b"OME>")


def members(path: Path) -> list[Path]:
    """Every file of the OME-TIFF set that ``path`` belongs to; itself alone when it is no set, or damaged."""
    try:
        text = description(path)
        found = {path}
        master = _attributes(text[:8192], "MetadataFile") if is_ome(text) else []
        if master:
            found.add(path.parent / master[0])
            text = description(path.parent / master[0])
        if is_ome(text):
            found.update(path.parent / name for name in _attributes(text, "FileName"))
    except (CoverslipError, OSError):
        return [path]
    there = sorted(p for p in found if p == path or p.is_file())
    return there if len(there) > 1 else [path]


def _attributes(text: bytes, key: str) -> list[str]:
    values = re.findall(rb"\b%s\s*=\s*[\"']([^\"'<]*)[\"']" % key.encode(), text)
    names = (safe_name(html.unescape(v.decode("utf-8", "replace"))) for v in dict.fromkeys(values))
    return [name for name in names if name]

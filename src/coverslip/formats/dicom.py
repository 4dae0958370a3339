"""DICOM: a file (with one frame, several, or the tiles of a slide), or a folder of files as one source.

A folder that directly holds at least two DICOM files and little else is a source of all its series: slices are sorted
by their positions along the normal of the slices; slices of other shapes or orientations are images of their own; a
slide's levels make up a pyramid. Values come as they are stored; rescale slope and intercept are in the metadata. YBR
and palettes become RGB.

Names, identifiers, dates, institutions and free text are left out of metadata and image names, and so are pictures of a
slide's label. Whoever wants them says so: ``FORMAT.open(path, identifiers=True)``.

A DICOMDIR is not followed: it is a list of other files, which are found where they lie.

Source: DICOM PS3.3, PS3.5, PS3.10, PS3.15 annex E; pydicom 3 for headers, imagecodecs for compressed frames.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from coverslip.core.errors import Unsupported
from coverslip.core.format import Format, file_etag
from coverslip.core.node import Source
from coverslip.formats.trees.source import PathSource

if TYPE_CHECKING:
    from coverslip.formats.trees.dicom_series import Found

HEAD, SAMPLED, FIRST = 1024, 16, 3
LOOKED_AT, FULL_LOOK_S = 16, 1.0
DIRECTORY = b"1.2.840.10008.1.3.10"
"""Class of a DICOMDIR, which only lists other files."""
SHARE = 0.8
"""A folder with a smaller part of DICOM among its files is no series."""


def looks_like_dicom(name: str, head: bytes) -> bool:
    """Whether the first bytes are a DICOM file (not a DICOMDIR); without a preamble the suffix must say so, too."""
    if DIRECTORY in head[:1024]:
        return False
    bare = name.lower().endswith((".dcm", ".dicom", ".ima")) and head[:2] in (b"\x08\0", b"\x02\0", b"\0\x08")
    return head[128:132] == b"DICM" or bare


class Dicom:
    """Images of radiology, nuclear medicine, pathology, …"""

    name = "dicom"
    expects = "DICOM file (.dcm) or folder of them"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """A file by its magic bytes or the suffix ``.dcm``; a folder by a few of its files."""
        if path.is_dir():
            return _is_series(path)
        return path.is_file() and (looks_like_dicom(path.name, head) or path.suffix.lower() == ".dcm")

    def members(self, path: Path) -> Sequence[Path]:
        """The file; or the folder and every DICOM file directly in it."""
        return [path, *_dicom_files(path)] if path.is_dir() else [path]

    def open(self, path: Path, identifiers: bool = False) -> Source:
        """Read headers, and see that all pixels are there.

        Parameters
        ----------
        path
            A file or a folder.
        identifiers
            Whether names, identifiers, dates and free text may appear in metadata and image names, and pictures of a
            slide's label among the images.
        """
        from coverslip.formats.trees.dicom_series import folder, one_file

        if not path.is_dir():
            return _source(path, one_file(path, identifiers), ())
        files = _dicom_files(path)
        if not files:
            raise Unsupported(f"{path.name} holds no DICOM files", "Open the folder that directly holds them.")
        return _source(path, folder(files, identifiers), (path, *files))


class SeriesSource(PathSource):
    """A folder of many files, of which each look sees some: the folder, and the next few files in turn.

    A slice that was changed in place is noticed after `FULL_LOOK_S` at most, and never read before that: each read sees
    that its file is still the one whose header was read.
    """

    _next, _looked_s = 1, 0.0

    def fresh(self) -> bool:
        """Whether the files looked at are still those that were opened."""
        now = time.monotonic()
        if len(self._parts) <= LOOKED_AT or now - self._looked_s > FULL_LOOK_S:
            self._looked_s = now
            return super().fresh()
        first = min(self._next, len(self._parts) - LOOKED_AT)
        self._next = first + LOOKED_AT if first + LOOKED_AT < len(self._parts) else 1
        try:
            return all(file_etag(self._parts[i].stat()) == self._seen[i] for i in (0, *range(first, first + LOOKED_AT)))
        except OSError:
            return False


def _source(path: Path, found: Found, parts: Sequence[Path]) -> Source:
    def close() -> None:
        for pixels in found.pixels:
            pixels.forget()

    return SeriesSource(path, found.root, close, parts)


def _plain_files(path: Path) -> list[Path]:
    """Files directly in a folder, no links, none hidden, no DICOMDIR."""
    with os.scandir(path) as entries:
        found = [e.name for e in entries if e.is_file(follow_symlinks=False) and not e.name.startswith(".")]
    return [path / name for name in sorted(found) if name.upper() != "DICOMDIR"]


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return looks_like_dicom(path.name, file.read(HEAD))
    except OSError:
        return False


def _dicom_files(path: Path) -> list[Path]:
    return [file for file in _plain_files(path) if _is_dicom(file)]


def _is_series(path: Path) -> bool:
    try:
        files = _plain_files(path)
    except OSError:
        return False
    if len(files) < 2 or not any(_is_dicom(file) for file in files[:FIRST]):
        return False
    sample = files[:: -(-len(files) // SAMPLED)]
    count = sum(map(_is_dicom, sample))
    return count >= 2 and count >= SHARE * len(sample)


FORMAT: Format = Dicom()

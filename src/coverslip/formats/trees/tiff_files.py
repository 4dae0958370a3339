"""The files of one TIFF source, and pages that are found through their directories when they are read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt
import tifffile

from coverslip.core.errors import Damaged
from coverslip.formats.trees.tiff import Segments, check_page, damage, segments_of
from coverslip.formats.trees.tiff_bytes import COPY_AGAIN, SUB_IFDS, Directories, Directory, FileBytes

MOST_LAYOUTS = 256
MOST_CHAINS = 1024
"""Of how many files of a set the directories are remembered."""


class Files:
    """The files of one source by name, each looked at when first needed.

    Parameters
    ----------
    path
        The file that was opened.
    """

    def __init__(self, path: Path) -> None:
        self.main = FileBytes(path)
        self._folder = path.parent
        self._files: dict[str, FileBytes] = {path.name: self.main}
        self._chains: OrderedDict[int, Directories] = OrderedDict()
        self._keyframes: dict[tuple[Any, ...], tifffile.TiffPage] = {}
        self._lock = threading.RLock()

    def named(self, name: str) -> FileBytes:
        """A file beside the one that was opened.

        Raises
        ------
        Damaged
            When it is missing.
        """
        with self._lock:
            if name not in self._files:
                path = self._folder / name
                if not path.is_file():
                    raise Damaged(
                        f"{name}, a file of this image, is missing", "Copy all files of the set into one folder."
                    )
                self._files[name] = FileBytes(path, name)
            return self._files[name]

    def of_pages(self, page: Any) -> FileBytes:
        """The file in which a page of tifffile's lies."""
        name = page.parent.filehandle.name
        return self.main if name == self.main.name else self.named(name)

    def chain(self, file: FileBytes) -> Directories:
        """The directories of a file."""
        with self._lock:
            found = self._chains.get(id(file))
            if found is None:
                found = self._chains[id(file)] = Directories(file)
                if len(self._chains) > MOST_CHAINS:
                    self._chains.popitem(last=False)
            return found

    def keyframe(self, directory: Directory) -> tifffile.TiffPage:
        """The page that knows how to decode pages like this one."""
        layout = directory.layout
        with self._lock:
            found = self._keyframes.get(layout)
            if found is None:
                if len(self._keyframes) >= MOST_LAYOUTS:
                    self._keyframes.clear()
                found = self._keyframes[layout] = _load(directory)
            return found

    def close(self) -> None:
        """Give back all descriptors."""
        with self._lock:
            for file in self._files.values():
                file.close()


def _load(directory: Directory) -> tifffile.TiffPage:
    name = directory.file.name
    with damage(name), tifffile.TiffFile(directory.file.path) as tif:
        tif.filehandle.seek(directory.offset)
        page = tifffile.TiffPage(tif, 0)
        check_page(page, name)
        return page


class DirectoryPages:
    """Pages of one image, each found through its directory when it is read.

    Parameters
    ----------
    files
        Of the source.
    parts
        The files that hold pages: names of files beside the first, or files.
    which
        For each page the number of its file in ``parts``, -1 when the image lacks it; 0 when left out.
    numbers
        For each page its number in its file; as its own when left out.
    keyframe
        The page all others must be like.
    level
        0, or which of a page's SubIFDs is meant, from 1.
    """

    def __init__(
        self,
        files: Files,
        parts: Sequence[FileBytes | str],
        which: npt.NDArray[Any] | None,
        numbers: npt.NDArray[Any] | None,
        keyframe: tifffile.TiffPage,
        level: int = 0,
    ) -> None:
        self._files = files
        self._parts = parts
        self._which = which
        self._numbers = numbers
        self._keyframe = keyframe
        self._level = level

    def __getitem__(self, index: int) -> Segments:
        """One page.

        Raises
        ------
        Damaged
            When its file is missing or too short, or the page is not like the others.
        """
        which = 0 if self._which is None else int(self._which[index])
        if which < 0:
            raise Damaged(f"The file does not say where plane {index + 1} of the image lies", COPY_AGAIN)
        part = self._parts[which]
        file = self._files.named(part) if isinstance(part, str) else part
        directory = page_directory(
            self._files, file, index if self._numbers is None else int(self._numbers[index]), self._level
        )
        if directory.segments is None:
            keyframe = self._files.keyframe(directory)
            if keyframe.shaped != self._keyframe.shaped or keyframe.dtype != self._keyframe.dtype:
                raise Damaged(
                    f"A page of {file.name} holds {keyframe.dtype} of shape {keyframe.shape}, not what its image says",
                    COPY_AGAIN,
                )
            directory.segments = segments_of(directory, keyframe)
        found: Segments = directory.segments
        return found


def page_directory(files: Files, file: FileBytes, number: int, level: int) -> Directory:
    """The directory of a page, or of one of its SubIFDs."""
    chain = files.chain(file)
    directory = chain[number]
    if not level:
        return directory
    offsets = directory.values(SUB_IFDS)
    if offsets is None or len(offsets) < level:
        raise Damaged(f"{file.name} lacks level {level} of a page", COPY_AGAIN)
    return chain.at(int(offsets[level - 1]))

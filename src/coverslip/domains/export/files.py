"""Writing arrays and documents into files of an export."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

GZIP = 31
"""zlib's ``wbits`` for a gzip file; its time of change is 0, so that the same data is the same file."""
THOROUGH = 7
"""From this level on, repetitions are looked for whatever the numbers are."""


class Files:
    """The files of one folder.

    Parameters
    ----------
    folder
        Where they are.
    level
        Of gzip, 1 to 9; None writes arrays as they are.
    marked
        Whether the names of compressed files end with ``.gz``. Web hosts make of that what they like.
    """

    def __init__(self, folder: Path, level: int | None, marked: bool = True) -> None:
        self._folder, self._level, self._marked = folder, level, marked
        self._made: set[str] = set()

    @property
    def folder(self) -> Path:
        """Where they are."""
        return self._folder

    def name(self, path: str) -> str:
        """An array's file: ``.gz`` where it is compressed."""
        return f"{path}.gz" if self._level is not None and self._marked else path

    def array(self, path: str, values: npt.NDArray[Any], light: bool = False) -> str:
        """Write one array, little-endian, C order, without a header; the file's name in the folder.

        Parameters
        ----------
        light
            Whether no effort is worth its time: coordinates, numbers of cells.
        """
        little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        data = memoryview(little.reshape(-1).view(np.uint8).data)
        name = self.name(path)
        level = min(self._level or 1, 1) if light else self._level
        self._write(name, data if self._level is None else packed(data, level or 1, values.dtype))
        return name

    def document(self, path: str, content: Any, indent: int | None = None) -> None:
        """Write one JSON document; numbers that JSON has no word for are null."""
        try:
            text = json.dumps(content, ensure_ascii=False, indent=indent, allow_nan=False)
        except ValueError:
            text = json.dumps(_finite(content), ensure_ascii=False, indent=indent)
        self._write(path, text.encode("utf-8", "replace"))

    def packed_document(self, path: str, content: Any) -> None:
        """Write one JSON document as arrays are: compressed where they are."""
        text = json.dumps(_finite(content), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        self._write(self.name(path), text if self._level is None else packed(text, self._level, np.uint16))

    def copy(self, path: str, data: bytes) -> None:
        """Write bytes as they are."""
        self._write(path, data)

    def names(self, path: str, blocks: Iterable[list[str]]) -> str:
        """Write texts as one JSON list, block by block; the file's name in the folder."""
        name = self.name(path)
        work = None if self._level is None else zlib.compressobj(self._level, zlib.DEFLATED, GZIP)
        with self._place(name).open("wb") as file:
            start = b"["
            for block in blocks:
                text = start + json.dumps(block, ensure_ascii=False)[1:-1].encode("utf-8", "replace")
                file.write(work.compress(text) if work is not None else text)
                start = b","
            end = b"]" if start == b"," else b"[]"
            file.write(work.compress(end) + work.flush() if work is not None else end)
        return name

    def _write(self, name: str, data: bytes | memoryview) -> None:
        with self._place(name).open("wb", buffering=0) as file:
            rest = memoryview(data)
            while len(rest):
                rest = rest[file.write(rest) :]

    def _place(self, name: str) -> Path:
        """Where a file goes, its folder made."""
        path, above = self._folder / name, name.rpartition("/")[0]
        if above not in self._made:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._made.add(above)
        return path


def packed(data: bytes | memoryview, level: int, dtype: npt.DTypeLike = np.uint8) -> bytes:
    """A gzip file.

    Codes of 8 bits are packed by runs only: what repeats in them by chance is worth nothing. It takes an eighth of the
    time for a tenth less bytes.
    """
    runs = level < THOROUGH and np.dtype(dtype).itemsize == 1
    work = zlib.compressobj(level, zlib.DEFLATED, GZIP, 9, zlib.Z_RLE if runs else zlib.Z_DEFAULT_STRATEGY)
    return work.compress(data) + work.flush()


def _finite(content: Any) -> Any:
    if isinstance(content, float):
        return content if math.isfinite(content) else None
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, (list, tuple)):
        return [_finite(value) for value in content]
    return content

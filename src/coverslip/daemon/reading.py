"""Reading the log: its last records, those of a level, those that come."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Generator, Iterator
from itertools import count, takewhile
from pathlib import Path
from typing import BinaryIO

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
RECORD = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z ([A-Z]+) ")
BANNER = "--- Started at "
LOOK_S = 0.2


class Level:
    """Lets the lines of records of a level and above through; further lines of a record go with its first.

    Parameters
    ----------
    least
        One of `LEVELS`, or None for all lines.
    """

    def __init__(self, least: str | None) -> None:
        self._least = LEVELS.index(least) if least else -1
        self._shown = self._least < 0

    def lets(self, line: str) -> bool:
        """Whether a line is of such a record."""
        found = RECORD.match(line)
        if self._least >= 0 and (found or line.startswith(BANNER)):
            level = found[1] if found else "INFO"
            self._shown = level in LEVELS and LEVELS.index(level) >= self._least
        return self._shown


def last(log: Path, number: int, least: str | None, upto: int | None = None) -> list[str]:
    """The last lines, from rotated files too where the newest holds fewer; of the newest its first ``upto`` bytes."""
    lines: list[str] = []
    for file in (log, *_rotated(log)):
        level = Level(least)
        lines = [*filter(level.lets, _lines(file, upto if file == log else None)), *lines]
        if len(lines) >= number:
            break
    return lines[-number:] if number > 0 else []


def size(log: Path) -> int:
    """Bytes of the newest file."""
    try:
        return log.stat().st_size
    except OSError:
        return 0


def coming(log: Path, least: str | None, place: int) -> Generator[str, None, None]:
    """Lines as they are written from byte ``place`` on, through rotation and restarts; never ends."""
    level, rest, file = Level(least), b"", _opened(log)
    if file is not None:
        file.seek(place)
    try:
        while True:
            newer = [] if file is not None and not _replaced(file, log) else _newer(file, log)
            data = file.read() if file is not None else b""  # before it was rotated, too
            for one in newer:
                if file is not None:
                    file.close()
                data, file = data + one.read(), one
            *lines, rest = (rest + data).split(b"\n")
            yield from filter(level.lets, (line.decode(errors="replace") for line in lines))
            if not data:
                time.sleep(LOOK_S)
    finally:
        if file is not None:
            file.close()


def _rotated(log: Path) -> Iterator[Path]:
    """Older files, from the newest to the oldest."""
    return takewhile(Path.exists, (Path(f"{log}.{n}") for n in count(1)))


def _lines(file: Path, upto: int | None) -> list[str]:
    opened = _opened(file)
    if opened is None:
        return []
    with opened:
        return opened.read(-1 if upto is None else upto).decode(errors="replace").splitlines()


def _opened(file: Path) -> BinaryIO | None:
    try:
        return file.open("rb")
    except OSError:
        return None


def _newer(file: BinaryIO | None, log: Path) -> list[BinaryIO]:
    """The files begun since ``file``, oldest first: on a busy machine there can be several between two looks."""
    newest = _opened(log)
    if newest is None:
        return []
    found = [newest]
    for older in _rotated(log) if file is not None else ():
        one = _opened(older)
        if one is None or (file is not None and _same(one, file)):
            if one is not None:
                one.close()
            break
        if _same(one, found[-1]):  # rotated while we look
            one.close()
        else:
            found.append(one)
    return found[::-1]


def _same(one: BinaryIO, other: BinaryIO) -> bool:
    return os.path.samestat(os.fstat(one.fileno()), os.fstat(other.fileno()))


def _replaced(file: BinaryIO, log: Path) -> bool:
    try:
        return not os.path.samestat(os.fstat(file.fileno()), log.stat())
    except OSError:  # moved away, and no other there yet
        return False

"""A small format for tests of the catalog: ``.toy`` files, ``.toys`` folders, and sets of ``.part`` files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from coverslip.core.errors import Damaged, UnknownFormat, Unreadable
from coverslip.core.format import Format, file_etag
from coverslip.core.node import Source
from coverslip.core.tree import MemoryGroup
from coverslip.engine.catalog import Catalog
from coverslip.engine.description import Description
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.store import Row

QUICK = CatalogOptions(persist=False, quiet_s=0.3, settle_s=1.0, query_s=2.0)


class ToySource(Source):
    """A file that starts with TOY and ends with END."""

    open_now = 0
    most_open = 0

    def __init__(self, path: Path) -> None:
        inner = path / "toy.txt" if path.is_dir() else path
        self._file = inner.open()
        text = self._file.read()
        if not text.startswith("TOY") or not text.rstrip().endswith("END"):
            self._file.close()
            raise Damaged(f"{path} ends too early", "Copy it again.")
        self.words = text.split()[1:-1]
        stat = inner.stat()
        self.etag, self.modified_s = file_etag(stat), stat.st_mtime
        self.path = inner
        channels = [{"label": word} for word in self.words]
        attrs = {"ome": {"omero": {"channels": channels}}, "coverslip": {"raw": {"made by": {"stain": self.words[:1]}}}}
        self.root = MemoryGroup({}, attrs)
        ToySource.open_now += 1
        ToySource.most_open = max(ToySource.most_open, ToySource.open_now)

    def fresh(self) -> bool:
        try:
            return file_etag(self.path.stat()) == self.etag
        except OSError:
            return False

    def close(self) -> None:
        if not self._file.closed:
            self._file.close()
            ToySource.open_now -= 1


class Toy:
    name, expects, kind = "toy", ".toy file", "images"

    def claims(self, path: Path, head: bytes) -> bool:
        return path.suffix == ".toy" or (path.is_dir() and (path / "toy.txt").exists())

    def open(self, path: Path) -> Source:
        return ToySource(path)


class Parts(Toy):
    """Files ``NAME_1.part``, ``NAME_2.part`` … are one source."""

    name, expects = "parts", ".part files"

    def claims(self, path: Path, head: bytes) -> bool:
        return path.suffix == ".part"

    def members(self, path: Path) -> Sequence[Path]:
        return sorted(path.parent.glob(f"{path.stem.partition('_')[0]}_*.part"))


FORMATS: tuple[Format, ...] = (Toy(), Parts())
asked: list[str] = []


def recognise(path: Path) -> Format:
    asked.append(path.name)
    if path.name.startswith("closed"):
        raise Unreadable(f"Cannot read {path}: Permission denied", "Check who may read it: ls -l.")
    for form in FORMATS:
        if form.claims(path, b""):
            return form
    raise UnknownFormat(f"{path} is of no known format")


def open_source(path: Path) -> Source:
    return recognise(path).open(path)


def describe(source: Source) -> Description:
    assert isinstance(source, ToySource)
    shape = (len(source.words), 4, 5)
    tensor = {"name": "toy", "dim_labels": ["c", "y", "x"], "shape": shape, "chunk_shape": (1, 4, 5), "dtype": "<u2"}
    return Description([tensor | {"path": "" if i == 0 else f"scene {i}"} for i in range(len(source.words) and 2)])


def toy(path: Path, *words: str, old: bool = True) -> Path:
    """A whole ``.toy`` file; written long ago, unless it is to look new."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"TOY {' '.join(words or ('DAPI',))} END")
    if old:
        os.utime(path, (1e9, 1e9))
    return path


def catalog(*paths: Path, options: CatalogOptions = QUICK, **more: object) -> Catalog:
    """A catalog of some paths, not started."""
    roots = [path if isinstance(path, Root) else Root.at(path) for path in paths]
    return Catalog(roots, recognise, open_source, describe, options, **more)  # type: ignore[arg-type]


def paths(made: Catalog) -> list[str]:
    return sorted(row.path for row in made.entries()[0])


def names_on_disk(folder: Path) -> list[str]:
    return [str(path.relative_to(folder)) for path in folder.rglob("*.toy")]


def statuses(made: Catalog) -> dict[str, str]:
    return {row.name: row.status for row in made.entries()[0]}


def row(made: Catalog, name: str) -> Row:
    return next(row for row in made.entries()[0] if row.name == name)


def within(seconds: float, true: Callable[[], object], what: str = "") -> float:
    """How long it took until something was so; fails when it took longer than ``seconds``."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not within {seconds} s: {what}"
        time.sleep(0.01)
    return time.monotonic() - started

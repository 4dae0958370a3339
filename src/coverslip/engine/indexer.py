"""Opening every source once, in the background, to learn what is in it: arrays, metadata, or why it cannot be read."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.mounts import network_mount
from coverslip.core.node import Source
from coverslip.core.patience import HANGS, Patience, Silent
from coverslip.engine.description import Describe, Description, completed, described, first_line
from coverslip.engine.fingerprint import State, state_of
from coverslip.engine.found import FAILURES
from coverslip.engine.options import CatalogOptions
from coverslip.engine.store import Described, Row
from coverslip.engine.suspects import Suspects

LOG = logging.getLogger("coverslip.catalog")
FLUSH_ROWS = 100
FLUSH_S = 0.25
LIVE_S = 3.0
"""How often a source that is being written all the time is opened nevertheless."""
REST = 0.25
"""The share of its working time that the indexer rests, so that requests come first."""
VERIFY_REST = 20.0
FIRST, LATER = 0, 1
LONGEST_S = 60.0
"""A source on a network disk that is looked at for longer is left to itself, and looked at again after as long."""


class Shown(Protocol):
    """What the indexer needs of the catalog."""

    def place(self, id: str) -> tuple[Row, Path | None, Callable[[], Source]] | None:
        """A row, where it is, and how it is opened; None when it is gone."""

    def learnt(self, rows: list[Described]) -> None:
        """Rows that were opened."""

    def written(self, id: str) -> None:
        """A folder changed where no scan looks."""

    def plain(self, error: CoverslipError, row: Row) -> CoverslipError:
        """An error without paths of this machine."""


class Indexer:
    """One thread that opens sources, one at a time, when they are due.

    Parameters
    ----------
    catalog
        Whose rows.
    describe
        What is in an opened source.
    options
        How long to wait for files that are being written.
    suspects
        Told of what is opened.
    """

    def __init__(self, catalog: Shown, describe: Describe, options: CatalogOptions, suspects: Suspects) -> None:
        self._suspects = suspects
        self._catalog = catalog
        self._describe = describe
        self._options = options
        self._wake = threading.Condition()
        self._heap: list[tuple[float, int, int, str, bool]] = []
        self._due: dict[str, tuple[float, bool]] = {}
        self._changed: dict[str, float] = {}
        self._tried: dict[str, float] = {}
        self._verified: dict[str, tuple[float, float]] = {}
        self._count = itertools.count()
        self._out: list[Described] = []
        self._flushed = 0.0
        self._busy = False
        self._stop = False
        self._patience = Patience(LONGEST_S)
        self._thread = threading.Thread(target=self._run, name="coverslip-index", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End after the source that is open now."""
        with self._wake:
            self._stop = True
            self._wake.notify()
        if self._thread.is_alive():
            self._thread.join(10)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be opened."""
        with self._wake:
            return not self._due and not self._busy and not self._out

    def add(self, id: str, hot: bool = False) -> None:
        """Open a source soon; one that changed just now (``hot``) when it has been quiet for a while."""
        now = time.monotonic()
        if hot:
            self._changed[id] = now
            due = min(now + self._options.quiet_s, max(now, self._tried.setdefault(id, now) + LIVE_S))
        else:
            due = now
        self._push(id, due, FIRST, False)

    def verify(self, id: str) -> None:
        """See, when there is nothing better to do, whether a folder changed where no scan looks."""
        last, cost = self._verified.get(id, (0.0, 0.0))
        now = time.monotonic()
        if id not in self._due and now - last >= cost * VERIFY_REST:
            self._push(id, now, LATER, True)

    def forget(self, id: str) -> None:
        """A source is gone."""
        with self._wake:
            self._due.pop(id, None)
        for kept in (self._changed, self._tried, self._verified):
            kept.pop(id, None)

    def _push(self, id: str, due: float, rank: int, verify: bool) -> None:
        with self._wake:
            self._due[id] = (due, verify)
            heapq.heappush(self._heap, (due if due > time.monotonic() else 0.0, rank, next(self._count), id, verify))
            self._wake.notify()

    def _next(self) -> tuple[str, bool] | None:
        with self._wake:
            self._busy = False
            while not self._stop:
                now = time.monotonic()
                while self._heap and self._heap[0][0] <= now:
                    _, _, _, id, verify = heapq.heappop(self._heap)
                    due, wanted = self._due.get(id, (0.0, not verify))
                    if wanted == verify and due <= now:
                        del self._due[id]
                        self._busy = True
                        return id, verify
                if self._out:
                    self._busy = True
                    break
                self._wake.wait(self._heap[0][0] - now if self._heap else None)
        return None

    def _run(self) -> None:
        while not self._stop:
            job = self._next()
            started = time.monotonic()
            try:
                if job is not None:
                    self._do(*job)
                if job is None or len(self._out) >= FLUSH_ROWS or started - self._flushed > FLUSH_S:
                    self._flush()
            except Exception:  # the top of a thread: one odd source must not end the others
                LOG.exception("a source could not be indexed")
            if job is not None and not self._stop:
                time.sleep(min(0.05, (time.monotonic() - started) * REST))
        self._flush()

    def _do(self, id: str, verify: bool) -> None:
        """Look at one source; not for ever, where its disk may not answer."""
        work = self._verify if verify else self._index
        placed = self._catalog.place(id)
        place = network_mount(placed[1]) if placed is not None and placed[1] is not None else None
        if place is None:
            work(id)
            return
        try:
            self._patience.ask(place, lambda: work(id))
        except Silent:
            self._push(id, time.monotonic() + LONGEST_S, FIRST, verify)

    def _flush(self) -> None:
        out, self._out = self._out, []
        self._flushed = time.monotonic()
        if out:
            self._catalog.learnt(out)

    def look(self, id: str) -> Described | None:
        """A source as it is now, opened in the caller's thread; None when it is gone, or cannot be read now."""
        placed = self._catalog.place(id)
        if placed is None:
            return None
        row, path, open_source = placed
        try:
            found, etag = self._look(row, path, open_source)
        except (CoverslipError, *FAILURES):
            self.add(id)
            return None
        status = "live" if row.status == "live" else "ready"
        return described(replace(row.well(status), indexed_s=time.time(), version=etag, tensors=None), found)

    def _index(self, id: str) -> None:
        placed = self._catalog.place(id)
        if placed is None:
            return
        row, path, open_source = placed
        self._tried[id] = time.monotonic()
        before = state_of(row, path)
        error: CoverslipError | None = None
        found, etag = Description(), row.version
        try:
            found, etag = self._look(row, path, open_source)
        except CoverslipError as caught:
            error = caught
        except FAILURES as caught:
            error = Damaged(
                f"{row.name} cannot be read: {caught.__class__.__name__}: {first_line(caught)}", "Is it whole?"
            )
        if error is not None and error.name == HANGS:
            self._push(id, time.monotonic() + LONGEST_S, FIRST, False)
            return
        state = state_of(row, path)
        hot = state != before or self._hot(row, state)
        if error is not None and (hot or self._young(row, state)):
            self._out.append((replace(row.well("live"), **state.columns(row)), None, ""))
            self._push(id, time.monotonic() + self._options.quiet_s, FIRST, False)
            return
        row = replace(row, **state.columns(row), indexed_s=time.time(), version=etag, tensors=None)
        if error is not None:
            self._out.append((row.failing(self._catalog.plain(error, row)), None, ""))
        else:
            self._out.append(described(row.well("live" if hot else "ready"), found))
        if hot:
            self._push(id, time.monotonic() + self._options.quiet_s, FIRST, False)
        else:
            self._changed.pop(id, None)
            self._tried.pop(id, None)

    def _look(self, row: Row, path: Path | None, open_source: Callable[[], Source]) -> tuple[Description, str]:
        with self._suspects.looking(path, "open") if path is not None else nullcontext():
            return self._described(row, open_source())

    def _described(self, row: Row, source: Source) -> tuple[Description, str]:
        try:
            found = completed(self._describe(source), source.root)
            return found, f"{source.etag}-{row.generation:x}" if row.generation else source.etag
        finally:
            source.close()

    def _verify(self, id: str) -> None:
        placed = self._catalog.place(id)
        if placed is None or placed[1] is None:
            return
        started = time.monotonic()
        state = state_of(placed[0], placed[1])
        self._verified[id] = (time.monotonic(), time.monotonic() - started)
        if placed[0].deep and state.deep != placed[0].deep:
            self._catalog.written(id)

    def _hot(self, row: Row, state: State) -> bool:
        heard = time.monotonic() - self._changed.get(row.id, -1e9)
        return heard < self._options.quiet_s * 0.9 or 0 <= state.age_s < self._options.quiet_s

    def _young(self, row: Row, state: State) -> bool:
        heard = time.monotonic() - self._changed.get(row.id, -1e9)
        return heard < self._options.settle_s or 0 <= state.age_s < self._options.settle_s

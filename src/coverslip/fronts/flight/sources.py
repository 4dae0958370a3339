"""Sources over Flight: opened when asked for, looked at again, and offered while serving where that is allowed."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from biopb.tensor.descriptor_pb2 import (
    AddSourceFailure,
    AddSourceProgress,
    AddSourceRequest,
    AddSourceResult,
    AddSourceStreamMessage,
    RemoveSourceRequest,
    RemoveSourceResult,
    ResolveProgress,
    ResolveStreamMessage,
)

from coverslip.core.errors import BadRequest, CoverslipError, Forbidden, NotFound
from coverslip.core.format import Format
from coverslip.engine.catalog import Catalog
from coverslip.engine.places import DROPPED, Root, inside
from coverslip.engine.query import plain_row
from coverslip.engine.store import Row
from coverslip.fronts.flight.errors import parsed
from coverslip.fronts.flight.registry import Call
from coverslip.fronts.flight.tables import SCHEMAS, table_of
from coverslip.fronts.flight.tensors import UNKNOWN

BEAT_S = 15.0
"""How often somebody who waits hears that work goes on."""
TOLD_S = 0.5
LOOK_S = 20.0
"""How long is waited for a path that was looked at to be listed."""
MOST_LEARNT = 1000
"""Sources that one request opens anew."""
MakeRoot = Callable[[Path, str], Root]
"""The root at a path, read as a format where one is named."""


class SourceDesk:
    """What clients may do with sources.

    Parameters
    ----------
    catalog
        What is on offer.
    recognise
        Which format claims a path.
    make_root
        Makes what is offered while serving; None forbids it.
    """

    def __init__(
        self, catalog: Catalog, recognise: Callable[[Path], Format], make_root: MakeRoot | None = None
    ) -> None:
        self._catalog, self._recognise, self._make_root = catalog, recognise, make_root

    # --- actions -----------------------------------------------------------------------------------------------------

    def resolve(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``resolve``: open a source that was not opened yet; its row, and a sign of life while that takes long."""
        id = body.decode("utf-8", "replace")
        if id not in self._catalog:
            raise NotFound(f"Source not found: {id[:200]}", "Query the table sources for what there is.", UNKNOWN)
        row = self._catalog.get(id)
        for elapsed in beats(lambda: self._open(row), call):
            told = ResolveProgress(elapsed_seconds=elapsed, target_name=row.name, target_bytes=row.size)
            yield ResolveStreamMessage(progress=told).SerializeToString()
        sink = pa.BufferOutputStream()
        table = table_of([plain_row(self._catalog.get(id), {id: self._catalog.metadata(id)})], SCHEMAS["sources"])
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        yield ResolveStreamMessage(source_row=sink.getvalue().to_pybytes()).SerializeToString()

    def add(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``add_source``: look again at what is offered, or offer more."""
        asked = parsed(AddSourceRequest, body, "AddSourceRequest")
        path = self._path(asked.url)
        if path is None:
            steps = self._again(self._remote(asked.url), call)
        elif inside(path, tuple(self._catalog.roots)):
            steps = self._within(path, call)
        else:
            steps = self._beyond(path, asked.source_type, call)
        result = AddSourceResult()
        for step in steps:
            if isinstance(step, AddSourceResult):
                result = step
            else:
                yield AddSourceStreamMessage(progress=step).SerializeToString()
        yield AddSourceStreamMessage(result=result).SerializeToString()

    def remove(self, body: bytes, call: Call) -> Iterator[bytes]:
        """``remove_source``: offer no longer what was added while serving."""
        url = parsed(RemoveSourceRequest, body, "RemoveSourceRequest").root_url
        if not url.startswith("dnd://"):
            raise BadRequest("Only what was added while serving can be removed", "Its source_url begins with dnd://.")
        alias = unquote(url.removeprefix("dnd://").strip("/"))
        removed = self._catalog.withdraw_root(f"{DROPPED}{alias}")
        yield RemoveSourceResult(removed=sorted(removed)).SerializeToString()

    # --- inside ------------------------------------------------------------------------------------------------------

    def _open(self, row: Row) -> None:
        if row.status in ("pending", "live"):
            self._catalog.learn_now(row.id)
        self._catalog.open(row.id).source()

    def _path(self, url: str) -> Path | None:
        """The path of this machine that is meant; None for an address of another one."""
        try:
            parts = urlsplit(url)
        except ValueError as error:  # brackets that hold no address
            raise BadRequest(f"{url[:200]!r} is no address", "Name an absolute path.") from error
        if parts.scheme == "file" and parts.netloc in ("", "localhost"):
            url = unquote(parts.path)
        elif "://" in url:
            return None
        if not url.startswith("/") or "\0" in url:
            raise BadRequest(f"{url[:200]!r} is no absolute path", "Name the path as the server sees it.")
        return Path(os.path.realpath(url))

    def _remote(self, url: str) -> list[Row]:
        rows = [row for row in self._catalog.below(url) if "://" in row.path]
        if not rows:
            raise Forbidden(
                "Other machines cannot be added while serving",
                "Name the address when the server is started.",
                "refused",
            )
        return rows

    def _within(self, path: Path, call: Call) -> Iterator[AddSourceProgress | AddSourceResult]:
        """A path below what is offered: it is looked at, and what is known of it opened anew."""
        before = self._catalog.below(str(path))
        self._catalog.look_at(path)
        yield from self._waiting(path, lambda: self._catalog.surveyed, call)
        now = {row.id for row in self._catalog.below(str(path))}
        known = [row for row in before if row.id in now]
        result = AddSourceResult()
        for step in self._again(known, call):
            if isinstance(step, AddSourceResult):
                result = step
            else:
                yield step
        result.added.extend(sorted(now - {row.id for row in before}))
        result.removed.extend(sorted({row.id for row in before} - now))
        if not now and not before:
            result.failed.append(self._failure(path))
        yield result

    def _beyond(self, path: Path, kind: str, call: Call) -> Iterator[AddSourceProgress | AddSourceResult]:
        """A path that is not offered: it is, where that was allowed, until the server ends."""
        if self._make_root is None:
            hint = "Add it to what the server offers, or allow this: add_source = true below [server]."
            raise Forbidden("Only paths below what is offered can be added", hint, "refused")
        if not path.exists():
            raise NotFound(f"Path not found: {path}", "Check the spelling, and that it is on the server.")
        result = AddSourceResult()
        try:
            root = self._make_root(path, kind)
            if path.is_file():
                (root.recognise or self._recognise)(path)
            self._catalog.offer_root(root)
        except CoverslipError as error:
            result.failed.append(AddSourceFailure(path=str(path), reason=str(error)))
            yield result
            return
        yield from self._waiting(path, lambda: self._catalog.surveyed, call, patient=True)
        for step in self._again([r for r in self._catalog.below(str(path)) if r.status in ("pending", "live")], call):
            if isinstance(step, AddSourceProgress):
                yield step
        rows = self._catalog.below(str(path))
        result.added.extend(sorted(row.id for row in rows))
        result.failed.extend(
            AddSourceFailure(path=str(path / row.path), reason=row.message) for row in rows if row.message
        )
        if not rows:
            result.failed.append(self._failure(path))
        yield result

    def _again(self, rows: list[Row], call: Call) -> Iterator[AddSourceProgress | AddSourceResult]:
        """Open known sources anew."""
        result = AddSourceResult(already_present=sorted(row.id for row in rows))
        for count, row in enumerate(rows[:MOST_LEARNT], 1):
            if call.cancelled():
                break
            self._catalog.learn_now(row.id)
            result.refreshed.append(row.id)
            yield AddSourceProgress(added_count=count, current_path=row.name)
        yield result

    def _waiting(
        self, path: Path, done: Callable[[], bool], call: Call, patient: bool = False
    ) -> Iterator[AddSourceProgress]:
        """Signs of life until something holds, or it took too long."""
        end, told = time.monotonic() + LOOK_S, 0.0
        while not done() and not call.cancelled() and (patient or time.monotonic() < end):
            if time.monotonic() - told > TOLD_S:
                told = time.monotonic()
                yield AddSourceProgress(added_count=len(self._catalog.below(str(path))), current_path=path.name)
            time.sleep(0.02)

    def _failure(self, path: Path) -> AddSourceFailure:
        try:
            self._recognise(path)
            reason = "nothing in it can be shown, or it is hidden"
        except CoverslipError as error:
            reason = error.message.replace(str(path), path.name)
        return AddSourceFailure(path=str(path), reason=reason)


def beats(work: Callable[[], Any], call: Call, every_s: float = BEAT_S) -> Iterator[float]:
    """Do work in a thread; yields the seconds that have passed every so often, and raises what it raises.

    When the client goes away the work goes on: who asks again finds it done.
    """
    failed: list[CoverslipError] = []
    done = threading.Event()

    def run() -> None:
        try:
            work()
        except CoverslipError as error:
            failed.append(error)
        finally:
            done.set()

    started = time.monotonic()
    threading.Thread(target=run, name="coverslip-resolve", daemon=True).start()
    while not done.wait(every_s):
        if call.cancelled():
            return
        yield time.monotonic() - started
    if failed:
        raise failed[0]

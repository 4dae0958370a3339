"""Remote sources in the list: places are looked at in the background, again and again; they tell of nothing.

What a place is, and how it is asked, is a format's business (`coverslip.formats.remote`); here is only when.
"""

from __future__ import annotations

import fnmatch
import hashlib
import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from coverslip.core.errors import CoverslipError, Stopped
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.engine.found import FAILURES
from coverslip.engine.library import safe_id
from coverslip.engine.store import Row

LOG = logging.getLogger("coverslip.catalog")
RESCAN_S = 30.0
REST = 4.0
"""Looking takes at most one part in this many of the time, plus one."""
SLUG = 60


class Offer(Protocol):
    """One source of a place; see `coverslip.formats.remote.place.Offer`."""

    @property
    def path(self) -> str:
        """Below the place; empty when the place itself is the source."""

    @property
    def name(self) -> str:
        """Its last part."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""

    @property
    def format(self) -> str:
        """The format's name."""

    @property
    def kind(self) -> str:
        """What is in it."""

    @property
    def size(self) -> int:
        """In bytes; 0 when nobody knows."""

    @property
    def modified_ns(self) -> int:
        """When it last changed, in nanoseconds since 1970; 0 when nobody knows."""

    @property
    def stamp(self) -> str:
        """Another one whenever it changed."""

    @property
    def light(self) -> bool:
        """Whether opening it copies nothing to this machine."""

    @property
    def open(self) -> Callable[[], Source]:
        """Opens it."""


class RemotePlace(Protocol):
    """An address; see `coverslip.formats.remote.place.Place`."""

    @property
    def name(self) -> str:
        """Its last part."""

    @property
    def url(self) -> str:
        """Where it is, without secrets."""

    def offers(self, stop: Stop | None = None) -> Iterator[Sequence[Offer]]:
        """What is there now, a little at a time."""


class List(Protocol):
    """What is needed of the catalog."""

    def offer(self, row: Row, open_source: Callable[[], Source], index: bool = True) -> None:
        """List a source that is not below a root, or list it anew; ``index``: open it to learn what is in it."""

    def learn(self, id: str) -> None:
        """Open a source in the background to learn what is in it."""

    def remove(self, id: str) -> None:
        """List a source no longer."""


@dataclass(frozen=True)
class RemoteRoot:
    """One address that is offered.

    Attributes
    ----------
    place
        Where.
    name
        What a person calls it, where it is one source.
    hidden
        Patterns of paths below it, or of names at any depth, that are not listed.
    dressed
        What is done with every source that was opened: configured names and sizes.
    """

    place: RemotePlace
    name: str = ""
    hidden: tuple[str, ...] = ()
    dressed: Callable[[Source], Source] | None = None

    def hides(self, path: str) -> bool:
        """Whether a path below the place is not to be listed."""
        parts = path.split("/")
        return any(fnmatch.fnmatchcase(path, p) or any(fnmatch.fnmatchcase(n, p) for n in parts) for p in self.hidden)


class RemoteSurvey:
    """Looks at every place, each in a thread of its own.

    Parameters
    ----------
    roots
        What is offered.
    catalog
        Is told what was found.
    rescan_s
        How often to look.
    """

    def __init__(self, roots: Sequence[RemoteRoot], catalog: List, rescan_s: float = RESCAN_S) -> None:
        self._catalog = catalog
        self._rescan_s = rescan_s
        self._stop = Stop()
        self._ending = threading.Event()
        self._visits = [_Visits(root) for root in roots]
        self._threads = [
            threading.Thread(target=self._run, args=(visits,), name="coverslip-remote-list", daemon=True)
            for visits in self._visits
        ]

    def check(self) -> None:
        """See that every place is there and may be read.

        Raises
        ------
        CoverslipError
            With the reason why one is not.
        """
        for visits in self._visits:
            next(visits.root.place.offers(self._stop), None)

    def start(self) -> None:
        """Begin to look, in the background."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Look no more."""
        self._stop.set()
        self._ending.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(1)  # one that waits for a server ends by itself

    @property
    def scanned(self) -> bool:
        """Whether every place was looked at once."""
        return all(visits.done for visits in self._visits)

    def _run(self, visits: _Visits) -> None:
        while not self._ending.is_set():
            started = time.monotonic()
            try:
                self._look(visits)
            except Stopped:
                return
            except CoverslipError as error:
                self._fail(visits, error)
            except FAILURES as error:
                LOG.warning("Looking at %s failed: %s", visits.root.place.url, error.__class__.__name__)
            visits.done = True
            self._ending.wait(max(self._rescan_s, (time.monotonic() - started) * REST))

    def _look(self, visits: _Visits) -> None:
        found: dict[str, None] = {}
        for offers in visits.root.place.offers(self._stop):
            for offer in offers:
                if offer.path and visits.root.hides(offer.path):
                    continue
                row = visits.row(offer)
                found[row.id] = None
                if visits.rows.get(row.id) != row:
                    visits.rows[row.id] = row
                    self._catalog.offer(row, partial(self._opened, visits, offer, row.id), offer.light)
        for lost in [id for id in visits.rows if id not in found]:
            del visits.rows[lost]
            self._catalog.remove(lost)
        visits.told = ""

    def _opened(self, visits: _Visits, offer: Offer, id: str) -> Source:
        """Open a source; one that is here as a copy from now on is looked into by the catalog, too."""
        source = offer.open()
        if not offer.light and id not in visits.copied and id in visits.rows:
            visits.copied.add(id)
            self._catalog.learn(id)
        return visits.root.dressed(source) if visits.root.dressed is not None else source

    def _fail(self, visits: _Visits, error: CoverslipError) -> None:
        """What was listed stays; a place of which nothing is known is listed with the reason."""
        if visits.told != error.message:
            visits.told = error.message
            LOG.warning("%s", error)
        id = visits.id_of("")
        if set(visits.rows) <= {id}:
            row = visits.rows.get(id, visits.blank()).failing(error)
            visits.rows[id] = row
            self._catalog.offer(row, partial(_refuse, error), False)


def _refuse(error: CoverslipError) -> Source:
    raise type(error)(error.message, error.hint, error.name)


class _Visits:
    """What is known of one place."""

    def __init__(self, root: RemoteRoot) -> None:
        self.root = root
        self.rows: dict[str, Row] = {}
        self.copied: set[str] = set()
        self.told = ""
        self.done = False

    def id_of(self, path: str) -> str:
        """The stable id of a source."""
        place = self.root.place
        digest = hashlib.sha256(f"{place.url}\0{path}".encode("utf-8", "surrogateescape")).hexdigest()[:8]
        name = (path or place.name).rpartition("/")[2]
        return f"{safe_id(name.partition('.')[0] or name)[:SLUG]}-{digest}"

    def row(self, offer: Offer) -> Row:
        """The row of what was found; what the catalog learnt of the same version before is kept there."""
        id = self.id_of(offer.path)
        old = self.rows.get(id)
        generation = 0 if old is None else old.generation + (old.stamp != offer.stamp)
        if old is not None and old.stamp != offer.stamp:
            self.copied.discard(id)
        return replace(
            self.blank(),
            id=id,
            path=offer.url,
            name=(self.root.name if not offer.path else "") or offer.name,
            format=offer.format,
            kind=offer.kind,
            size=offer.size,
            modified_ns=offer.modified_ns,
            stamp=offer.stamp,
            generation=generation,
            version=f"{offer.stamp}-{generation:x}" if generation else offer.stamp,
        )

    def blank(self) -> Row:
        """A row of the place itself, of which nothing is known yet."""
        place = self.root.place
        return Row(self.id_of(""), "", place.url, self.root.name or place.name, "", "arrays")

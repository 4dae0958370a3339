"""What an address offers: one source, or all those below a folder of a bucket."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from coverslip.core.errors import CoverslipError, NotFound, UnknownFormat, Unsupported
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.formats.remote.address import Address
from coverslip.formats.remote.bucket import Bucket, Stat, at_once
from coverslip.formats.remote.copies import QUOTA_BYTES, Copies, Progress
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.failures import DENIED
from coverslip.formats.remote.source import (
    HEAD_BYTES,
    Kind,
    file_kind,
    first_bytes,
    is_zarr,
    open_object,
    open_zarr,
    zarr_kind,
)
from coverslip.formats.remote.store import ROOTS, RemoteStore

MOST_SOURCES = 10_000
MOST_FOLDERS = 2_000
"""Folders that one listing looks into; each is a request."""
MOST_DEPTH = 16
PLAIN = frozenset(
    (".txt", ".csv", ".tsv", ".json", ".md", ".html", ".xml", ".log", ".py", ".pdf", ".yaml", ".yml", ".gif")
)
"""Suffixes of objects that are not looked into."""
LATER = Kind("", "", False)
"""In place of a kind that could not be found out now."""


@dataclass(frozen=True)
class Offer:
    """One remote source.

    Attributes
    ----------
    path
        Below the place; empty when the place itself is the source.
    name
        Its last part.
    url
        Where it is, without secrets.
    format, kind
        As a `coverslip.core.format.Format` says.
    folder
        Whether it is a hierarchy of objects.
    size
        In bytes; 0 for a hierarchy, whose chunks are not counted.
    modified_ns
        When it last changed, in nanoseconds since 1970; 0 when the server does not tell.
    stamp
        Another one whenever it changed.
    light
        Whether opening it copies nothing to this machine: only such sources may be opened just to see what is in them.
    open
        Opens it as it is then.
    """

    path: str
    name: str
    url: str
    format: str
    kind: str
    folder: bool
    size: int
    modified_ns: int
    stamp: str
    light: bool
    open: Callable[[], Source]


class Places:
    """What every remote place needs: who asks, and where copies are kept.

    Parameters
    ----------
    credentials
        Profiles of the configuration.
    folder
        Where copies are kept, in the user's own cache.
    quota_bytes
        How much they may take.
    progress
        Told name, bytes and bytes in all while a file is copied.
    """

    def __init__(
        self,
        credentials: Credentials,
        folder: Path,
        quota_bytes: int = QUOTA_BYTES,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> None:
        self.credentials = credentials
        self.copies = Copies(folder, quota_bytes)
        self.stop = Stop()
        self.progress = progress

    def at(self, url: str, profile: str = "") -> Place:
        """The place at an address; nothing is asked yet.

        Raises
        ------
        BadRequest
            When the address, or the profile, makes no sense.
        """
        address = Address.parse(url)
        return Place(self, address, self.credentials.profile(address.scheme, profile))

    def close(self) -> None:
        """Copy nothing more."""
        self.stop.set()


class Place:
    """One address that is offered.

    Attributes
    ----------
    address
        Where; its text shows no secret.
    """

    def __init__(self, places: Places, address: Address, profile: Profile) -> None:
        self.address = address
        self._places = places
        self._profile = profile
        self._kinds: dict[tuple[str, str], Kind | None] = {}

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.address.name

    @property
    def url(self) -> str:
        """Where it is, without secrets."""
        return self.address.shown

    def offers(self, stop: Stop | None = None) -> Iterator[list[Offer]]:
        """What is there now, a little at a time.

        Raises
        ------
        CoverslipError
            When it cannot be reached, access is denied, or there is nothing.
        """
        single = self._single()
        if single is not None:
            yield [single]
            return
        if self.address.web:
            raise NotFound(
                f"There is nothing at {self.url}", "A folder on the web cannot be listed: name a file in it."
            )
        yield from self._below(stop or self._places.stop)

    def open(self) -> Source:
        """Open the one source that is here.

        Raises
        ------
        NotFound
            When there are none or several.
        """
        single = self._single()
        if single is None:
            raise NotFound(f"{self.url} is not one source", "Name one of those below it.")
        return single.open()

    def _bucket(self, path: str = "") -> Bucket:
        return Bucket(self.address.below(path) if path else self.address, self._profile)

    def _single(self) -> Offer | None:
        store = RemoteStore(self._bucket())
        zarr_first = self.address.folder or self.name.lower().endswith(".zarr")
        if zarr_first and is_zarr(store):
            return self._hierarchy("", store)
        if not self.address.folder:
            try:
                return self._object("")
            except CoverslipError as error:
                if error.name not in ("not_found", DENIED) or (error.name == DENIED and zarr_first):
                    raise
                denied = error if error.name == DENIED else None
            if not zarr_first and is_zarr(store):
                return self._hierarchy("", store)
            if denied is not None:
                raise denied
        return None

    def _object(self, path: str) -> Offer:
        head, file, ranges = first_bytes(self._bucket(), path)
        kind = file_kind(file.name, head, file.size)
        return self._file(file.stat, Kind(kind.format, kind.kind, kind.light and ranges))

    def _hierarchy(self, path: str, store: RemoteStore) -> Offer:
        kind = zarr_kind(store)
        return Offer(
            path, self.address.below(path).name, self.address.below(path).shown, kind.format, kind.kind, True, 0,
            int(store.modified_s * 1e9), store.etag, True, lambda: self._open_zarr(path),
        )  # fmt: skip

    def _file(self, stat: Stat, kind: Kind) -> Offer:
        at = self.address.below(stat.key)
        return Offer(
            stat.key, at.name, at.shown, kind.format, kind.kind, False, stat.size, int(stat.modified_s * 1e9),
            stat.etag, kind.light, lambda: self._open_object(stat.key),
        )  # fmt: skip

    def _open_zarr(self, path: str) -> Source:
        store = RemoteStore(self._bucket(path))
        if not store.probe():
            raise NotFound(f"There is no Zarr at {self.address.below(path).shown} any more", "Was it moved?")
        return open_zarr(store, self.address.below(path).name)

    def _open_object(self, key: str) -> Source:
        places, told = self._places, self._places.progress
        name = self.address.below(key).name
        progress: Progress | None = (lambda done, size: told(name, done, size)) if told is not None else None
        return open_object(self._bucket(), key, places.copies, places.stop, progress)

    def _below(self, stop: Stop) -> Iterator[list[Offer]]:
        """Sources below a folder, folder by folder, breadth first."""
        bucket, todo = self._bucket(), deque([""])
        found = looked = 0
        while todo and found < MOST_SOURCES and looked < MOST_FOLDERS:
            stop.check()
            folder = todo.popleft()
            objects, below = bucket.level(folder)
            looked += 1
            if not folder and not objects and not below:
                raise NotFound(f"There is nothing at {self.url}", "Check the spelling; names are case-sensitive.")
            offers = self._in(folder, objects)
            if offers is None:
                offers = self._zarr(folder)
            else:
                near = sorted(f for f in below if not f.rpartition("/")[2].startswith("."))
                todo.extend(f for f in near if f.count("/") < MOST_DEPTH)
            found += len(offers)
            yield offers[: MOST_SOURCES - (found - len(offers))]

    def _zarr(self, folder: str) -> list[Offer]:
        store = RemoteStore(self._bucket(folder))
        try:
            return [self._hierarchy(folder, store)] if store.probe() else []
        except Unsupported:
            return []

    def _in(self, folder: str, objects: list[Stat]) -> list[Offer] | None:
        """Files of a known format directly in a folder; None when the folder is a Zarr hierarchy."""
        names = {stat.key.rpartition("/")[2] for stat in objects}
        if names & set(ROOTS):
            return None
        shown = [stat for stat in objects if stat.size and not stat.key.rpartition("/")[2].startswith(".")]
        unknown = [stat for stat in shown if (stat.key, stat.etag) not in self._kinds]
        for stat, kind in zip(unknown, at_once(self._kind, unknown), strict=True):
            if kind is not LATER:
                self._kinds[stat.key, stat.etag] = kind
        kinds = [(stat, self._kinds.get((stat.key, stat.etag))) for stat in sorted(shown, key=lambda stat: stat.key)]
        return [self._file(stat, kind) for stat, kind in kinds if kind is not None]

    def _kind(self, stat: Stat) -> Kind | None:
        """What an object is, by its name, or else by its first bytes; None when no format claims it."""
        name = stat.key.rpartition("/")[2]
        try:
            return file_kind(name, b"", stat.size)
        except UnknownFormat:
            if Path(name).suffix.lower() in PLAIN:
                return None
        try:
            head, _ = self._bucket().get(stat.key, 0, HEAD_BYTES)
            return file_kind(name, head, stat.size)
        except UnknownFormat:
            return None
        except CoverslipError:  # it cannot be read now; the next listing asks again
            return LATER

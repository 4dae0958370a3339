"""A Zarr hierarchy elsewhere: metadata and stored chunks by name, a zip file's entries by ranges."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import Any

from coverslip.core.errors import CoverslipError, Unsupported
from coverslip.formats.remote.bucket import QUICK, Bucket, Stat, at_once
from coverslip.formats.remote.failures import DENIED
from coverslip.formats.remote.file import RemoteFile, Watch
from coverslip.formats.trees.zarr_store import LARGEST_DOCUMENT, Store, ZipStore, safe_path

ROOTS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Documents of which a Zarr hierarchy has one at its root."""
MOST_WATCHED = 16
"""How many metadata documents are looked at to see whether a hierarchy changed."""
TRUSTED_S = 5.0


class RemoteStore(Store):
    """Everything below one address.

    Parameters
    ----------
    bucket
        Whose address is the root of the hierarchy.
    """

    fetched = True

    def __init__(self, bucket: Bucket) -> None:
        self.bucket = bucket
        self._seen: dict[str, Stat | None] = {}
        self._documents: dict[str, bytes | None] = {}
        self._trusted = 0.0
        self._lock = threading.Lock()
        self._watch = Watch(self._look)

    def size(self, key: str) -> int | None:
        """Bytes of an object."""
        try:
            found = self.bucket.stat(safe_path(key))
        except CoverslipError as error:
            if self._absent(error):
                return None
            raise
        return found.size if found is not None else None

    def read(self, key: str, start: int = 0, stop: int | None = None) -> bytes | None:
        """Bytes of an object."""
        found = self.get(key, start, stop)
        return found[0] if found is not None else None

    def get(
        self, key: str, start: int = 0, stop: int | None = None, of: Stat | None = None
    ) -> tuple[bytes, Stat] | None:
        """Bytes of an object, and what it is; None when there is none."""
        try:
            return self.bucket.get(safe_path(key), start, stop, of)
        except CoverslipError as error:
            if self._absent(error):
                return None
            raise

    def tail(self, key: str, count: int) -> tuple[bytes, Stat] | None:
        """The last bytes of an object, and what it is; None when there is none."""
        try:
            return self.bucket.tail(safe_path(key), count)
        except CoverslipError as error:
            if self._absent(error):
                return None
            raise

    def document(self, key: str) -> bytes | None:
        """A metadata document, asked for once."""
        if key not in self._documents:
            found = self.get(key)
            if found is not None and len(found[0]) > LARGEST_DOCUMENT:
                raise Unsupported(f"{key} has {len(found[0]) >> 20} MiB of metadata", "Split the hierarchy.")
            self._seen[key] = found[1] if found is not None else None
            self._documents[key] = found[0] if found is not None else None
        return self._documents[key]

    def folders(self, path: str) -> list[str]:
        """Names of folders; none on the web, where nothing can be listed."""
        if self.bucket.address.web:
            return []
        start = f"{path}/" if path else ""
        return sorted(folder.removeprefix(start) for folder in self.bucket.level(safe_path(path))[1])

    def kvstore(self, path: str) -> dict[str, Any]:
        """An empty store: TensorStore gets what it decodes handed over (`FetchedArray`)."""
        return {"driver": "memory"}

    def probe(self) -> bool:
        """Whether there is a hierarchy at all; asks for all documents that may be at its root at the same time.

        Raises
        ------
        Unreadable
            When access to all of them is denied.
        """
        denied: list[CoverslipError] = []

        def ask(key: str) -> tuple[str, tuple[bytes, Stat] | None]:
            try:
                return key, self.bucket.get(key)
            except CoverslipError as error:
                if error.name == DENIED:
                    denied.append(error)
                elif error.name != "not_found":
                    raise
                return key, None

        for key, found in at_once(ask, ROOTS):
            self._seen[key] = found[1] if found is not None else None
            self._documents[key] = found[0] if found is not None else None
        there = any(self._documents[key] is not None for key in ROOTS)
        if not there and denied:
            raise denied[0]
        return there

    @property
    def etag(self) -> str:
        """The version: that of every metadata document that was read."""
        lines = [f"{key} {stat.etag}" for key, stat in sorted(self._seen.items()) if stat is not None]
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]

    @property
    def modified_s(self) -> float:
        """When the newest of them changed."""
        return max((stat.modified_s for stat in tuple(self._seen.values()) if stat is not None), default=0.0)

    def fresh(self) -> bool:
        """Whether the metadata documents are still those that were read."""
        return self._watch.fresh()

    def _look(self) -> bool:
        quick = self.bucket.with_patience(QUICK)
        # At once: others read on meanwhile, and what they read is added.
        seen = [(key, stat) for key, stat in tuple(self._seen.items()) if stat is not None][:MOST_WATCHED]

        def same(item: tuple[str, Stat]) -> bool:
            now = quick.stat(item[0])
            return now is not None and now.same(item[1])

        return all(at_once(same, seen))

    def _absent(self, error: CoverslipError) -> bool:
        """Whether a failure means that there is no such object.

        Who may read objects but not list them is told 403 for those that are not there. It is believed while a
        document that is there can still be read; else keys that ran out would look like missing chunks.
        """
        if error.name == "not_found":
            return True
        if error.name != DENIED:
            return False
        with self._lock:
            if time.monotonic() - self._trusted < TRUSTED_S:
                return True
            witness = next((key for key, stat in tuple(self._seen.items()) if stat is not None), None)
            if witness is None or self.bucket.stat(witness) is None:
                return False
            self._trusted = time.monotonic()
        return True


class RemoteZip(ZipStore):
    """A zip file elsewhere; its directory and the entries that are needed are read."""

    fetched = True

    def __init__(self, file: RemoteFile) -> None:
        self.file = file
        super().__init__(file.open())

    def kvstore(self, path: str) -> dict[str, Any]:
        """As `RemoteStore.kvstore`."""
        return {"driver": "memory"}

    def close(self) -> None:
        """Forget what was kept."""
        super().close()
        self.file.close()

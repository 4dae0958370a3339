"""Both protocols of HDF5 over the same files, put together when one of them is first asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from coverslip.engine.cache import ByteCache
from coverslip.engine.places import Root
from coverslip.engine.read import Reader
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.http import Body

if TYPE_CHECKING:
    from coverslip.engine.files import Files
    from coverslip.fronts.h5grove.front import GroveFront
    from coverslip.fronts.hsds.front import HsdsFront


class Hdf5Fronts:
    """The HDF5 files below some roots, for h5pyd and for H5Web.

    Parameters
    ----------
    roots
        Tells what is offered.
    reader
        Threads to read in.
    most_bytes
        The largest answer.
    described_bytes
        How much of descriptions is kept.
    """

    def __init__(
        self, roots: Callable[[], Sequence[Root]], reader: Reader, most_bytes: int, described_bytes: int
    ) -> None:
        self._roots = roots
        self._reader = reader
        self._most_bytes = most_bytes
        self._described_bytes = described_bytes
        self._started_s = int(time.time())
        self._made: Files | None = None
        self._making = threading.Lock()

    def _files(self) -> Files:
        from coverslip.engine.files import Files

        with self._making:
            if self._made is None:
                self._made = Files(self._roots(), has_signature, open_typed)
            return self._made

    def hsds(self) -> HsdsFront:
        """What speaks HSDS's protocol."""
        from coverslip.fronts.hsds.front import HsdsFront

        cache: ByteCache[Body] = ByteCache(self._described_bytes)
        return HsdsFront(self._files(), self._reader, cache, self._most_bytes, started_s=self._started_s)

    def grove(self) -> GroveFront:
        """What speaks h5grove's."""
        from coverslip.fronts.h5grove.front import GroveFront

        return GroveFront(self._files(), self._reader, self._most_bytes)

    def close(self) -> None:
        """Close the files that are open."""
        with self._making:
            if self._made is not None:
                self._made.close()

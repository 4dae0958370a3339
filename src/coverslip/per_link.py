"""What is made for each link that is in use, and held while it is used."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

from coverslip.engine.rights import Right

MOST_LINKS = 32
"""Of which something is held; what others need is made again."""
T = TypeVar("T")


class PerLink(Generic[T]):
    """Something for every link, the same for links to the same source; methods may be called from any thread.

    Parameters
    ----------
    where
        Where the source of a link is now; None when it is gone, or is another.
    make
        Makes it, of the link and of where its source is; nowhere (an empty text) when that is gone.
    close
        Ends what it does in the background.
    """

    def __init__(
        self, where: Callable[[Right], str | None], make: Callable[[Right, str], T], close: Callable[[T], None]
    ) -> None:
        self._where, self._make, self._close = where, make, close
        self._made: OrderedDict[tuple[str, bytes, int], T] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, right: Right) -> T:
        """That of a link; for one whose source is gone, or is another, it knows of nothing."""
        key = (right.source, right.place, right.ring)
        with self._lock:
            if (found := self._made.get(key)) is not None:
                self._made.move_to_end(key)
                return found
        where = self._where(right)
        made = self._make(right, where or "")
        if where is None:
            return made
        with self._lock:
            found = self._made.setdefault(key, made)
            left = [self._made.popitem(last=False)[1] for _ in range(len(self._made) - MOST_LINKS)]
        for one in (*left, *([made] if found is not made else [])):
            self._close(one)
        return found

    def close(self) -> None:
        """End what is done in the background."""
        with self._lock:
            left, self._made = list(self._made.values()), OrderedDict()
        for one in left:
            self._close(one)

"""Letting go of memory that nobody uses any more."""

from __future__ import annotations

import threading
import time

from coverslip.core.idle import KEEPERS
from coverslip.engine.memory import give_back

IDLE_S = 30.0
LOOK_S = 10.0


class Rest:
    """Looks now and then at who keeps something, and has those let go whose time is over.

    Parameters
    ----------
    idle_s
        Seconds for which nothing of what is kept was used.
    look_s
        Seconds between looks.
    """

    def __init__(self, idle_s: float = IDLE_S, look_s: float = LOOK_S) -> None:
        self._idle_s, self._look_s = idle_s, look_s
        self._over = threading.Event()
        self._again = False

    def start(self) -> None:
        """Begin to look."""
        threading.Thread(target=self._look, name="coverslip-rest", daemon=True).start()

    def close(self) -> None:
        """Look no more."""
        self._over.set()

    def tidy(self) -> bool:
        """Look once; whether there was something to let go of."""
        late = time.monotonic() - self._idle_s
        idle = [keeper for keeper in list(KEEPERS) if 0 < keeper.used_s < late]
        for keeper in idle:
            keeper.let_go()
        if idle or self._again:
            give_back()
        self._again = bool(idle)  # TensorStore frees in threads of its own, a moment later
        return self._again

    def _look(self) -> None:
        while not self._over.wait(self._look_s):
            self.tidy()

"""One answer on its way out, counted; with the header that tells a browser's developer tools how long it took."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from starlette.types import Message, Send

from coverslip.engine.measures import Measures


@dataclass
class Metered:
    """Passes messages on and counts them.

    Parameters
    ----------
    send
        Where they go.
    measures
        Where it is counted, by `end`.
    clock
        Seconds.
    """

    send: Send
    measures: Measures
    clock: Callable[[], float] = time.perf_counter
    started: float = field(init=False)
    began: float | None = field(init=False, default=None)
    status: int = field(init=False, default=0)
    sent_bytes: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.started = self.clock()
        self.measures.running += 1

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self.began = self.clock() - self.started
            self.status = message["status"]
            timing = (b"server-timing", b"total;dur=%.1f" % (1000 * self.began))
            message = {**message, "headers": [*message.get("headers", ()), timing]}
        elif message["type"] == "http.response.body":
            self.sent_bytes += len(message.get("body", b""))
        await self.send(message)

    def end(self, front: str, source: str) -> None:
        """Count it; an answer that never began (its client went away, or something failed) has the status 0."""
        took = self.clock() - self.started
        self.measures.running -= 1
        began = took if self.began is None else self.began
        self.measures.note(front, self.status, began, took, self.sent_bytes, source)

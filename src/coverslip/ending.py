"""Ending the parts of a server, also when a disk does not answer."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress

CLOSE_S = 12.0
"""How long each part has; threads that look at disks have 10 s to come back."""


async def ended(close: Callable[[], None], within_s: float = CLOSE_S) -> None:
    """Have a part end in a thread that is left behind when it takes too long: those of `asyncio` would be waited for.

    Errors are those of ``close``.
    """
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def tell(error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work() -> None:
        error: BaseException | None = None
        try:
            close()
        except BaseException as failure:  # noqa: BLE001  (handed to whoever waits)
            error = failure
        with suppress(RuntimeError):  # the loop was closed: it took too long
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=work, name="coverslip-end", daemon=True).start()
    await asyncio.wait({done}, timeout=within_s)
    if done.done():
        done.result()
    else:
        done.cancel()

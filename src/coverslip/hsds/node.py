"""One node of HSDS, run by HSDS's own Python: it needs nothing of coverslip, and ends when its parent does.

Usage: ``python node.py --node_type=sn|dn …`` with the other end of the standard input held by the parent.
"""

import asyncio
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

GRACE_S = 20
LOOK_S = 0.1


def end_with_parent() -> None:
    """Wait for the end of standard input, which the parent's death brings too, and end as if asked to."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def keep_what_waits() -> None:
    """Let a data node write what waits to be written before it ends.

    HSDS writes a changed object a second later, and what is younger than that is lost when its node is asked to end:
    its own shutdown waits only for what is being written.
    """
    from hsds import datanode  # type: ignore[import-not-found,unused-ignore]

    shutdown = datanode.on_shutdown

    async def after_all_is_written(app: Any) -> None:
        app["node_state"] = "TERMINATING"  # everything is old enough to be written now
        end = time.monotonic() + GRACE_S
        while app["dirty_ids"] and time.monotonic() < end:  # noqa: ASYNC110  (HSDS has no event for it)
            await asyncio.sleep(LOOK_S)
        await shutdown(app)

    datanode.on_shutdown = after_all_is_written


def main() -> None:
    """Run a node with HSDS's own configuration, whatever ``config.yml`` lies about."""
    import importlib.resources

    threading.Thread(target=end_with_parent, daemon=True).start()
    config = Path(str(importlib.resources.files("admin.config") / "config.yml"))
    sys.argv.append(f"--config_dir={config.parent}")
    from hsds import node_runner

    keep_what_waits()
    node_runner.main()


if __name__ == "__main__":
    main()

"""One node of HSDS, run by HSDS's own Python: it needs nothing of coverslip, and ends when its parent does.

Usage: ``python node.py --node_type=sn|dn …`` with the other end of the standard input held by the parent.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

GRACE_S = 20


def end_with_parent() -> None:
    """Wait for the end of standard input, which the parent's death brings too, and end as if asked to."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE_S)
    os._exit(1)


def main() -> None:
    """Run a node with HSDS's own configuration, whatever ``config.yml`` lies about."""
    import importlib.resources

    threading.Thread(target=end_with_parent, daemon=True).start()
    config = Path(str(importlib.resources.files("admin.config") / "config.yml"))
    sys.argv.append(f"--config_dir={config.parent}")
    from hsds import node_runner  # type: ignore[import-not-found,unused-ignore]

    node_runner.main()


if __name__ == "__main__":
    main()

"""``python -m coverslip``, and the command: from its first line on Ctrl+C ends it without a traceback."""

import sys
from typing import NoReturn

INTERRUPTED = 130


def main() -> NoReturn:
    """Import the command, and run it."""
    try:
        from coverslip.cli.main import main as command  # takes a while, in which somebody may change their mind
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    command()


if __name__ == "__main__":
    main()

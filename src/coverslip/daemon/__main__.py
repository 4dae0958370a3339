"""The process in the background: flags come in on standard input, `Pipe` goes out on standard output."""

from __future__ import annotations

import json
import os
import signal
import sys
import warnings


def main() -> None:
    """Take over the pipe and the log, and be the server."""
    from coverslip.core.errors import CoverslipError
    from coverslip.daemon import journal
    from coverslip.daemon.flags import Flags
    from coverslip.daemon.places import Places
    from coverslip.daemon.run import run
    from coverslip.daemon.voice import Pipe

    flags = Flags.of(json.loads(sys.stdin.read()))
    voice = Pipe(os.dup(1))
    with open(os.devnull) as nothing:  # noqa: PTH123
        os.dup2(nothing.fileno(), 0)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # the terminal it was started from closes
    warnings.simplefilter("ignore")
    try:
        handler = journal.Journal(Places.here().log)
    except CoverslipError as error:
        voice.failed(error)
        sys.exit(error.exit_code)
    handler.check()
    journal.banner()
    journal.begin(handler, "INFO", flags.token)
    sys.exit(run(flags, voice, handler))


if __name__ == "__main__":
    main()

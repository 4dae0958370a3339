"""What the background server logs: a line for each record, a file that never grows past a bound, no secrets."""

from __future__ import annotations

import faulthandler
import logging
import os
import re
import sys
import threading
import time
from contextlib import suppress
from io import TextIOWrapper
from logging.handlers import RotatingFileHandler
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.daemon.places import cannot_write

MOST_BYTES = 10 << 20
BACKUPS = 5
CHECK_S = 10.0
QUIETER = ("asyncio", "botocore", "urllib3", "watchfiles")
"""Their news is none to who runs a server; their warnings are."""
SECRET = re.compile(r"((?:[?&#]|\b)(?:token|share)=|\bBearer )[^&\s\"']+", re.IGNORECASE)
LIBRARY = re.compile(r'File "[^"]*/(?:site-packages|python3\.\d+)/')
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Lines(logging.Formatter):
    """``2026-11-21T01:34:23.123Z INFO coverslip.server Serving 3 sources``; further lines are indented.

    Parameters
    ----------
    tokens
        Never written.
    """

    def __init__(self, *tokens: str | None) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.tokens = [token for token in tokens if token]
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """One record; what a client sent cannot start a line of its own."""
        text = SECRET.sub(r"\1…", super().format(record))
        for token in self.tokens:
            text = text.replace(token, "…")
        text = CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
        return LIBRARY.sub('File "', text).replace("\n", "\n  ")


class Journal(RotatingFileHandler):
    """The log file.

    Parameters
    ----------
    file
        Where; made for its owner only.
    take_over
        Whether what the process writes to its standard output and error goes there too, also after it was rotated.
    """

    def __init__(self, file: Path, take_over: bool = True) -> None:
        self._taken = (1, 2) if take_over else ()
        super().__init__(file, maxBytes=MOST_BYTES, backupCount=BACKUPS, encoding="utf-8")
        threading.Thread(target=self._keep, name="coverslip-journal", daemon=True).start()

    def _open(self) -> TextIOWrapper:
        stream = open_log(Path(self.baseFilename))
        with suppress(OSError):
            for descriptor in self._taken:
                os.dup2(stream.fileno(), descriptor)
        return stream

    def _keep(self) -> None:
        while True:
            time.sleep(CHECK_S)
            with suppress(OSError, CoverslipError):
                self.check()

    def check(self) -> None:
        """Rotate when the file is full, and begin anew when somebody removed it."""
        with self.lock or threading.Lock():
            if not Path(self.baseFilename).exists():
                if self.stream is not None:
                    self.stream.close()
                self.stream = self._open()
            elif self.stream is not None and os.fstat(self.stream.fileno()).st_size >= self.maxBytes:
                self.doRollover()

    def handleError(self, record: logging.LogRecord) -> None:
        """A disk that is full keeps nothing, and the server goes on."""


def open_log(file: Path) -> TextIOWrapper:
    """The log file, to be added to; readable by its owner only.

    Raises
    ------
    CoverslipError
        When it cannot be opened.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise cannot_write(file, error) from error
    # Unbuffered: what a full disk does not take is dropped, and cannot fail again later.
    return TextIOWrapper(os.fdopen(descriptor, "ab", 0), "utf-8", "backslashreplace", write_through=True)


def hide(handler: logging.Handler, *tokens: str | None) -> None:
    """Write these tokens into the log no more than those before."""
    if isinstance(lines := handler.formatter, Lines):
        lines.tokens += [token for token in tokens if token]


def begin(handler: logging.Handler, level: str, *tokens: str | None) -> None:
    """Send everything that is logged from now on to ``handler``, without the ``tokens``."""
    handler.setFormatter(Lines(*tokens))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.raiseExceptions = False
    for name in QUIETER:
        logging.getLogger(name).setLevel(level if level == "DEBUG" else max(logging.WARNING, root.level))
    threading.excepthook = _thread_ended
    with suppress(OSError, ValueError):
        faulthandler.enable()


def banner() -> None:
    """A line between two runs, on standard error, which goes to the log."""
    with suppress(OSError):
        os.write(2, f"--- Started at {time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} ---\n".encode())


def _thread_ended(what: threading.ExceptHookArgs) -> None:
    if what.exc_value is not None and what.exc_type is not SystemExit:
        name = what.thread.name if what.thread else "a thread"
        logging.getLogger("coverslip.server").error("%s ended", name, exc_info=what.exc_value)


def to_console() -> logging.Handler:
    """A handler for a server in the foreground: standard error, which a supervisor keeps."""
    return logging.StreamHandler(sys.stderr)

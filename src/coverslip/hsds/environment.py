"""An environment of its own for HSDS, whose pins do not go together with our libraries: found, or made on request."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from coverslip.core.errors import BadUsage, CoverslipError, DiskFull, Unsupported

VARIABLE = "COVERSLIP_HSDS_PYTHON"
REQUIREMENTS = ("hsds==1.0.2", "h5pyd==1.0.0")
SIZE_MB = 330
DONE = "complete.json"
PROBE = """
import importlib.metadata as m, json
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return None
print(json.dumps({name: version(name) for name in ("hsds", "h5pyd")}))
"""
PROBE_S = 60
OFFLINE = re.compile(
    r"NewConnectionError|NameResolution|Temporary failure|ConnectTimeout|ProxyError|No matching distribution"
)
FULL = re.compile(r"No space left|Disk quota")
HINT = f"Set {VARIABLE} to the Python of an environment with {' and '.join(REQUIREMENTS)}."
PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TZ", "SYSTEMROOT", "LD_LIBRARY_PATH")
"""All that HSDS is told of our environment: any other variable could be one of its settings, AWS credentials too."""

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Found:
    """A Python that has HSDS.

    Attributes
    ----------
    python
        Its interpreter.
    hsds, h5pyd
        Versions; h5pyd, which only imports need, may be missing.
    where
        In words, how it was found.
    """

    python: Path
    hsds: str
    h5pyd: str | None
    where: str


def own_folder() -> Path:
    """Where the environment is that coverslip makes; another one for other versions."""
    from platformdirs import user_cache_dir

    name = "-".join(r.replace("==", "-") for r in REQUIREMENTS)
    folder = Path(user_cache_dir("coverslip", appauthor=False)) / "environments"
    return folder / f"{name}-py{sys.version_info[0]}{sys.version_info[1]}"


def find() -> Found | None:
    """HSDS's environment: the one that is configured, else the one that was made, else that of ``hsds`` on the path.

    Raises
    ------
    BadUsage
        When the configured one is none; nothing else is taken in its place.
    """
    if given := os.environ.get(VARIABLE):
        found = _probe(Path(given).expanduser(), VARIABLE)
        if found is None:
            raise BadUsage(f"{VARIABLE} names no Python that has hsds", f"Install {REQUIREMENTS[0]} there.", "no_hsds")
        return _speaks(found)
    folder = own_folder()
    if (folder / DONE).is_file() and (found := _probe(_python_of(folder), "made by coverslip")) is not None:
        return found
    command = shutil.which("hsds")
    if command is None:
        return None
    found = _probe(Path(command).resolve().parent / "python", "hsds on the path")
    return found if found is None or _known(found) else None


def _known(found: Found) -> bool:
    return found.hsds.startswith("1.")


def _speaks(found: Found) -> Found:
    if not _known(found):
        raise Unsupported(
            f"hsds {found.hsds} is not one that coverslip can run", f"Install {REQUIREMENTS[0]}.", "no_hsds"
        )
    return found


def require(yes: bool, ask: Callable[[str], bool], tell: Tell, importing: bool = False) -> Found:
    """HSDS's environment, made where there is none and somebody agrees.

    Parameters
    ----------
    yes
        Whether that was agreed already.
    ask
        Puts a question to a person.
    tell
        Is told how it goes.
    importing
        Whether h5pyd is needed too.

    Raises
    ------
    CoverslipError
        When there is none, and none can be made.
    """
    found = find()
    if found is not None and importing and found.h5pyd is None:
        raise Unsupported(f"The environment of HSDS ({found.where}) has no h5pyd", HINT, "no_hsds")
    if found is not None:
        return found
    question = f"HSDS is not installed. Install {', '.join(REQUIREMENTS)} into {own_folder()} (about {SIZE_MB} MB)?"
    if not (yes or ask(question)):
        raise BadUsage("HSDS is not installed", f"Agree with --yes, or: {HINT[0].lower()}{HINT[1:]}", "no_hsds")
    return create(tell)


def create(tell: Tell, folder: Path | None = None) -> Found:
    """Make the environment; an interrupted creation is begun anew by the next, and never taken for one.

    Raises
    ------
    CoverslipError
        When it cannot be made.
    """
    folder = folder or own_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CoverslipError(f"{folder.parent} cannot be made: {error.strerror}", HINT, "no_hsds") from error
    lock = folder.with_name(f"{folder.name}.lock")
    with locked(lock, lambda: tell("Another coverslip is installing HSDS; waiting for it.")) as held:
        if not (folder / DONE).is_file():
            _make(folder, tell, held.fileno())
    found = _probe(_python_of(folder), "made by coverslip")
    if found is None:
        (folder / DONE).unlink(missing_ok=True)
        raise CoverslipError("HSDS was installed and does not start", "Run the command again, or: " + HINT, "no_hsds")
    return found


def _make(folder: Path, tell: Tell, lock: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    tell(f"Making an environment for HSDS in {folder}")
    try:
        _run([sys.executable, "-P", "-m", "venv", str(folder)], tell, lock)
        pip = [str(_python_of(folder)), "-P", "-m", "pip", "install", "--prefer-binary", "--progress-bar", "off"]
        _run([*pip, "--retries", "2", "--timeout", "20", *REQUIREMENTS], tell, lock)
        found = _probe(_python_of(folder), "")
        if found is None or f"hsds=={found.hsds}" not in REQUIREMENTS:
            raise CoverslipError("HSDS was installed and cannot be found", HINT, "no_hsds")
        part = folder / f".{DONE}"
        part.write_text(json.dumps({"hsds": found.hsds, "h5pyd": found.h5pyd}))
        part.replace(folder / DONE)  # last of all: until then there is no environment
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, OSError):
            raise CoverslipError(f"The environment cannot be made: {error.strerror}", HINT, "no_hsds") from error
        raise


def _run(command: list[str], tell: Tell, *held: int) -> None:
    """Run a step, telling what it fetches. It has the lock too, for the case that we are killed and it is not."""
    environ = {**os.environ, "PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_NO_INPUT": "1"}
    environ.pop("PYTHONPATH", None)
    said: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, env=environ,
        pass_fds=held,
    ) as process:  # fmt: skip
        try:
            assert process.stdout is not None
            for line in process.stdout:
                said.append(line.strip())
                if (shown := _progress(line)) is not None:
                    tell(shown)
            if process.wait():
                raise _failed("\n".join(said))
        finally:
            process.kill()  # nothing, once it ended


def _progress(line: str) -> str | None:
    """What a line of pip is worth telling."""
    word, _, rest = line.strip().partition(" ")
    if word in ("Collecting", "Building"):
        return f"  {word.lower()} {rest.split(' (')[0]}"
    return "  unpacking" if line.startswith("Installing collected") else None


def _failed(said: str) -> CoverslipError:
    if FULL.search(said):
        return DiskFull("The disk has no room for the environment of HSDS", f"It takes about {SIZE_MB} MB. {HINT}")
    if OFFLINE.search(said):
        return CoverslipError("The package index cannot be reached, so that HSDS cannot be installed", HINT, "offline")
    if "ensurepip" in said:
        return CoverslipError("This Python cannot make environments", "Install python3-venv. " + HINT, "no_hsds")
    last = next((line for line in reversed(said.splitlines()) if line), "no reason given")
    return CoverslipError(f"HSDS cannot be installed: {last}", HINT, "no_hsds")


def _python_of(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _probe(python: Path, where: str) -> Found | None:
    """What a Python has of HSDS; None when it has none, or is none."""
    try:
        done = subprocess.run(
            [str(python), "-P", "-c", PROBE], capture_output=True, text=True, check=True, timeout=PROBE_S,
            stdin=subprocess.DEVNULL, env=plain_environment(),
        )  # fmt: skip
        versions = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return Found(python, versions["hsds"], versions["h5pyd"], where) if versions["hsds"] else None


def plain_environment(**more: str) -> dict[str, str]:
    """The variables that a process of HSDS sees."""
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ} | more


@contextmanager
def locked(file: Path, waiting: Callable[[], None] | None) -> Iterator[IO[bytes]]:
    """Hold a lock between processes; ``waiting`` is told when another one has it.

    Raises
    ------
    BlockingIOError
        When another process has it, and ``waiting`` is None.
    """
    import fcntl

    with file.open("ab") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waiting is None:
                raise
            waiting()
            fcntl.flock(held, fcntl.LOCK_EX)
        try:
            yield held
        finally:
            with suppress(OSError):
                fcntl.flock(held, fcntl.LOCK_UN)

"""``coverslip ui import``: systems copied into HSDS by hsload's library, compared, and put in place whole."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from coverslip.companion import Launch
from coverslip.core.errors import BadUsage, CoverslipError, NotFound
from coverslip.engine.access import is_loopback
from coverslip.engine.secret import write_private
from coverslip.engine.state import state_folder
from coverslip.hsds.cluster import USER, Cluster, Sizes
from coverslip.hsds.environment import Found, plain_environment
from coverslip.hsds.serving import terminable
from coverslip.hsds.store import BUCKET, Record, Store

LOAD = Path(__file__).with_name("load.py")
STOP_S = 60
SUFFIXES = (".h5", ".hdf5")
OTHERS = "imported-elsewhere.json"


@dataclass(frozen=True)
class Target:
    """Where to import into.

    Attributes
    ----------
    endpoint
        Address of an HSDS; None = the one of this folder, which is started for the import when it does not run.
    username, password, bucket
        Of an endpoint; None = what ``~/.hscfg`` says.
    """

    endpoint: str | None = None
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    bucket: str | None = None


class Import:
    """One import.

    Parameters
    ----------
    launch
        The folder of systems, and the store.
    found
        The environment of HSDS.
    target
        Where to.
    tell
        Is told how it goes.
    """

    def __init__(self, launch: Launch, found: Found, target: Target, tell: Callable[[str], None]) -> None:
        self._launch, self._found, self._target, self._tell = launch, found, target, tell
        self._store = Store(launch.store_dir)
        self._failed: list[str] = []
        self._imported = 0

    def run(self, names: Sequence[str], replace: bool) -> None:
        """Import systems by name; all of the folder without any.

        Raises
        ------
        CoverslipError
            When there is none, HSDS cannot be had, or something could not be imported.
        """
        there = self._launch.names()
        if missing := [name for name in names if name not in there]:
            raise NotFound(f"There is no system {missing[0]}", f"There is {', '.join(there) or 'none in this folder'}.")
        if not (wanted := list(dict.fromkeys(names)) or there):
            raise NotFound(
                "There is no system in this folder", "A system is a folder with cells.h5 and connections.h5."
            )
        with terminable(), self._server() as (server, ledger):
            known = _read(ledger)
            plan = {**server, "replace": replace, "systems": [self._files(name, known) for name in wanted]}
            self._load(plan, ledger, known)
        if self._failed:
            raise CoverslipError(
                f"{len(self._failed)} of {len(wanted)} systems could not be imported: {'; '.join(self._failed)}",
                "What was imported is whole; nothing of the others is there.",
                "import_failed",
            )

    def _files(self, name: str, known: dict[str, Any]) -> dict[str, Any]:
        folder = self._launch.root_dir / name
        files = []
        for path in sorted(folder.iterdir()):
            if path.suffix in SUFFIXES and path.is_file() and not path.name.startswith("."):
                domain = f"/{name}/{path.name}"
                files.append({"domain": domain, "source": str(path.resolve()), "known": known.get(domain)})
        return {"name": name, "files": files}

    @contextmanager
    def _server(self) -> Iterator[tuple[dict[str, Any], Path]]:
        """How HSDS is reached, and where is written down what it has."""
        own = self._store.running()
        target = self._target
        if target.endpoint is not None and not (own is not None and _is(target.endpoint, own)):
            ledger = state_folder() / OTHERS
            told = {"endpoint": target.endpoint, "username": target.username, "password": target.password}
            yield {**told, "bucket": target.bucket}, ledger
        elif own is not None and own.port:
            yield _told(own.socket, own.password), self._store.ledger
        else:
            with self._store.hold():
                cluster = Cluster(
                    self._found, self._store.data, self._store.log, "http://localhost", Sizes(self._launch.nodes)
                )
                try:
                    self._tell("Starting HSDS")
                    cluster.start()
                    cluster.wait_ready()
                    self._store.write(cluster.socket, 0, USER, cluster.password)
                    yield _told(str(cluster.socket), cluster.password), self._store.ledger
                finally:
                    cluster.stop()

    def _load(self, plan: dict[str, Any], ledger: Path, known: dict[str, Any]) -> None:
        process = subprocess.Popen(
            [str(self._found.python), "-P", str(LOAD)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=plain_environment(PYTHONUNBUFFERED="1"), start_new_session=True,
        )  # fmt: skip
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        try:
            with suppress(BrokenPipeError):  # told below
                process.stdin.write(json.dumps(plan) + "\n")
                process.stdin.flush()
            for line in process.stdout:
                with suppress(json.JSONDecodeError):  # a library's word
                    self._hear(json.loads(line), ledger, known)
            if process.wait() not in (0, 1) or (process.returncode == 1 and not self._failed):
                last = process.stderr.read().strip().splitlines()[-1:] or ["no reason given"]
                raise CoverslipError(f"HSDS's loader ended: {last[0]}", "Is the disk full?", "import_failed")
        finally:
            # The end of its input tells it to take away what is not whole.
            with suppress(OSError):
                process.stdin.close()
            try:
                process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
            process.stderr.close()

    def _hear(self, told: dict[str, Any], ledger: Path, known: dict[str, Any]) -> None:
        event, domain = told["event"], told.get("domain", "")
        if event == "begin":
            self._tell(f"{domain}: {told['bytes'] / 1e6:.1f} MB")
        elif event == "loading" and (told["done"] == told["of"] or not told["done"] % 20):
            self._tell(f"{domain}: {told['done']} of {told['of']} datasets")
        elif event == "comparing":
            self._tell(f"{domain}: comparing values")
        elif event == "known":
            self._tell(f"{domain}: already there")
        elif event == "left":
            self._tell(f"{domain} could not be removed; the next import removes it")
        elif event == "failed":
            self._failed.append(f"{told['system']}: {told['reason']}")
        elif event in ("imported", "same"):
            words = "imported" if event == "imported" else "already there"
            cut = f", chunks of {', '.join(told['rewritten'])} cut to fit" if told["rewritten"] else ""
            self._tell(f"{domain}: {words}, {told['objects']} objects compared, sha256 {told['checksum'][:16]}…{cut}")
            known[domain] = {"root": told["root"], "version": told["version"]}
            with suppress(OSError):  # without it the next import compares again
                write_private(ledger, json.dumps(known).encode())


def _told(socket: str, password: str) -> dict[str, Any]:
    endpoint = "http+unix://" + socket.replace("/", "%2F")
    return {"endpoint": endpoint, "username": USER, "password": password, "bucket": BUCKET}


def _is(endpoint: str, own: Record) -> bool:
    """Whether an address is that of our own server on this machine.

    Raises
    ------
    BadUsage
        When it is no address.
    """
    try:
        parts = urlsplit(endpoint)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host:
        raise BadUsage(f"{endpoint} is not an address", "Write it like http://localhost:5101.")
    return is_loopback(host) and port == own.port


def _read(ledger: Path) -> dict[str, Any]:
    try:
        found = json.loads(ledger.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}

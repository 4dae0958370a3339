"""Imports into HSDS with hsload's library, run by HSDS's own Python: it needs nothing of coverslip.

The plan comes as one line of JSON on standard input, which the parent keeps open as long as it lives; what happens goes
out as lines of JSON on standard output. Passwords are never on a command line.
"""

from __future__ import annotations

import base64
import hashlib
import json
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any
from urllib.parse import quote

PIECE_BYTES = 8 << 20
STAGED = ".importing."
ENDED = threading.Event()
"""Set when who started this has ended, or wants it to."""
TIMEOUT_S = 180
PROGRESS = "write_dataset src: "


class Failed(Exception):
    """What stands in the way, in one line."""


def say(event: str, **facts: Any) -> None:
    """Tell the parent."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Server:
    """HSDS's requests that h5pyd has no function for."""

    def __init__(self, plan: dict[str, Any]) -> None:
        import requests
        import requests_unixsocket  # type: ignore[import-untyped,unused-ignore]

        self.endpoint = plan["endpoint"].rstrip("/")
        self.user, self.password, self.bucket = plan["username"], plan["password"], plan.get("bucket")
        if self.user is None:
            import h5pyd

            config = h5pyd.config.Config()
            self.user, self.password = config.get("hs_username", None), config.get("hs_password", None)
        self._http = requests_unixsocket.Session() if self.endpoint.startswith("http+unix") else requests.Session()
        if self.user:
            basic = base64.b64encode(f"{self.user}:{self.password or ''}".encode()).decode()
            self._http.headers["Authorization"] = f"Basic {basic}"
        self._error = requests.RequestException

    def ask(self, method: str, domain: str, body: Any = None, **query: str) -> tuple[int, Any]:
        """One request about a domain: its status and JSON."""
        words = {"domain": domain, **({"bucket": self.bucket} if self.bucket else {}), **query}
        text = "&".join(f"{name}={quote(value, safe='')}" for name, value in words.items())
        try:
            found = self._http.request(method, f"{self.endpoint}/?{text}", json=body, timeout=TIMEOUT_S)
        except self._error as error:
            raise Failed(f"HSDS does not answer ({error.__class__.__name__})") from error
        if found.status_code in (401, 403):
            raise Failed(
                "HSDS refuses these credentials"
                if found.status_code == 401
                else "HSDS does not allow this user to write"
            )
        try:
            return found.status_code, found.json()
        except ValueError:
            return found.status_code, found.text[:200]

    def root(self, domain: str) -> str | None:
        """The id of a domain's root; None when there is no such domain."""
        status, told = self.ask("GET", domain)
        if status in (404, 410):
            return None
        if status != 200:
            raise Failed(f"HSDS answers {status} for {domain}: {told}")
        if not told.get("root"):
            raise Failed(f"{domain} is a folder in HSDS")
        return str(told["root"])

    def folder(self, path: str) -> None:
        """Make a folder, and those that it lies in."""
        parts = path.strip("/").split("/")
        for i in range(1, len(parts) + 1):
            name = "/" + "/".join(parts[:i])
            if len(name) < 3:  # HSDS takes this for too short a name, unless its bucket stands before it
                if not self.bucket:
                    raise Failed(f"To make the folder {name}, HSDS must be told its bucket: --bucket")
                name = self.bucket + name
            status, told = self.ask("GET", name)
            if status in (404, 410):
                status, told = self.ask("PUT", name, {"folder": True})
            if status not in (200, 201, 409):
                raise Failed(f"HSDS answers {status} for the folder {name}: {told}")

    def remove(self, domain: str, keep_root: bool = False) -> None:
        """Remove a domain; ``keep_root`` leaves its content to another one."""
        status, told = self.ask("DELETE", domain, **({"keep_root": "1"} if keep_root else {}))
        if status not in (200, 404, 410):
            raise Failed(f"HSDS answers {status} for removing {domain}: {told}")

    def publish(self, staged: str, domain: str) -> None:
        """Give what is staged its name."""
        status, told = self.ask("PUT", domain, {"linked_domain": staged})
        if status != 201:
            raise Failed(f"HSDS answers {status} for {domain}: {told}")

    def open(self, domain: str, mode: str) -> Any:
        """A domain as h5pyd's file."""
        import h5pyd

        return h5pyd.File(
            domain, mode, endpoint=self.endpoint, username=self.user or "", password=self.password or "",
            bucket=self.bucket, use_cache=False, retries=3,
        )  # fmt: skip


def oversized(dataset: Any) -> bool:
    """Whether a chunk is larger than its dimension can ever be: HDF5 allows it, HSDS's loader does not."""
    if dataset.chunks is None or dataset.shape is None:
        return False
    return any(most is not None and chunk > most for chunk, most in zip(dataset.chunks, dataset.maxshape, strict=True))


def unfit(file: Any) -> dict[int, list[str]]:
    """The datasets that cannot be loaded as they are, by address: all names of each."""
    import h5py

    found: dict[int, list[str]] = {}

    def look(group: Any, path: str) -> None:
        for name in group:
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                continue
            item, full = group[name], f"{path}/{name}"
            if isinstance(item, h5py.Dataset) and oversized(item):
                found.setdefault(h5py.h5o.get_info(item.id).addr, []).append(full)
            elif isinstance(item, h5py.Group) and (address := h5py.h5o.get_info(item.id).addr) not in seen:
                seen.add(address)
                look(item, full)

    seen: set[int] = set()
    look(file, "")
    return found


def fitting(source: Path, folder: Path) -> tuple[Path, list[str]]:
    """A file that can be loaded: itself, or a copy whose chunks were cut to their dimensions; and what was cut."""
    import h5py

    with h5py.File(source, "r", locking=False) as file:
        cut = list(unfit(file).values())
    if not cut:
        return source, []
    copy = folder / "copy.h5"
    shutil.copyfile(source, copy)
    copy.chmod(0o600)
    with h5py.File(copy, "r+") as file:
        for names in cut:
            _cut(file, names)
    return copy, sorted(name for names in cut for name in names)


def _cut(file: Any, names: list[str]) -> None:
    """Put a dataset with smaller chunks in the place of one, under all of its names."""
    import h5py

    old = file[names[0]]
    plist = old.id.get_create_plist().copy()
    plist.set_chunk(tuple(c if m is None else min(c, max(m, 1)) for c, m in zip(old.chunks, old.maxshape, strict=True)))
    new = h5py.Dataset(h5py.h5d.create(file.id, None, old.id.get_type(), old.id.get_space(), plist))
    if old.size:
        new[...] = old[...]
    for name in old.attrs:
        new.attrs.create(name, old.attrs[name], dtype=old.attrs.get_id(name).dtype)
    for name in names:
        parent, _, last = name.rpartition("/")
        group = file[parent or "/"]
        del group[last]
        group[last] = new


def digests(file: Any) -> dict[str, str]:
    """A checksum of each object of a file by its path: kind, shape, type, values, attributes; what a link says."""
    found = {"/": _attributes(file)}
    todo = [("", file)]
    seen: dict[Any, str] = {}
    while todo:
        path, group = todo.pop()
        for name in sorted(group):
            full = f"{path}/{name}"
            link = group.get(name, getlink=True)
            if link.__class__.__name__ != "HardLink":
                found[full] = f"{link.__class__.__name__} {getattr(link, 'filename', '')} {link.path}"
                continue
            item = group[name]
            kind = item.__class__.__name__.replace("Table", "Dataset")
            identity = _identity(item)
            if identity in seen:
                found[full] = f"same as {seen[identity]}"
                continue
            seen[identity] = full
            if kind == "Group":
                found[full] = "Group " + _attributes(item)
                todo.append((full, item))
            elif kind == "Datatype":
                found[full] = f"Datatype {_type(item.dtype)} " + _attributes(item)
            else:
                found[full] = " ".join(("Dataset", *_dataset(item), _attributes(item)))
    return found


def _identity(item: Any) -> Any:
    import h5py

    return h5py.h5o.get_info(item.id).addr if isinstance(item, h5py.HLObject) else item.id.uuid


def _dataset(item: Any) -> tuple[str, ...]:
    if item.shape is None:
        return (_type(item.dtype), "null")
    total = hashlib.sha256()
    for piece in _pieces(item):
        total.update(_bytes(piece, item))
    return _type(item.dtype), str(tuple(item.shape)), str(tuple(item.maxshape)), total.hexdigest()


def _pieces(item: Any) -> Any:
    """The values, in order, a few megabytes at a time."""
    if not item.shape or 0 in item.shape:
        if not item.shape:
            yield item[()]
        return
    row = max(1, item.dtype.itemsize * int(item.size // item.shape[0]))
    step = max(1, PIECE_BYTES // row)
    for start in range(0, item.shape[0], step):
        yield item[start : min(start + step, item.shape[0])]


def _type(dtype: Any) -> str:
    """A type in words that are the same for a file and for HSDS, the names of enumerations included."""
    import h5py

    if (members := h5py.check_enum_dtype(dtype)) is not None:
        return f"enum {dtype.str} {sorted(members.items())}"
    if dtype.names:
        return str([(name, _type(dtype[name])) for name in dtype.names])
    if dtype.subdtype:
        return f"{dtype.shape} of {_type(dtype.subdtype[0])}"
    if h5py.check_string_dtype(dtype) is not None:
        return "text" if dtype.kind == "O" else str(dtype.str)
    if (base := h5py.check_vlen_dtype(dtype)) is not None:
        return f"any number of {_type(base)}"
    if dtype.kind == "O" or dtype.metadata:
        return "reference"
    return str(dtype.str)


def _attributes(item: Any) -> str:
    total = hashlib.sha256()
    for name in sorted(item.attrs):
        value = item.attrs[name]
        total.update(f"{name}\0{getattr(value, 'shape', ())}\0".encode() + _bytes(value, item))
    return total.hexdigest()


def _bytes(value: Any, item: Any) -> bytes:
    """Values as bytes; texts, lists and references written out, so that those of a file and of HSDS are alike."""
    import numpy as np

    if isinstance(value, (str, bytes)):
        text = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
        return b"%d:" % len(text) + text
    if isinstance(value, np.ndarray) and value.dtype.kind != "O" and not value.dtype.hasobject:
        return value.tobytes()
    if isinstance(value, np.ndarray) and value.dtype.names:
        return b"".join(_bytes(value[name], item) for name in value.dtype.names)
    if isinstance(value, np.ndarray):
        return b"[" + b"".join(_bytes(one, item) for one in value.ravel()) + b"]"
    if value.__class__.__name__ == "Reference":
        return _bytes(_target(value, item), item)
    if isinstance(value, np.generic):
        return value.tobytes()
    return repr(value).encode()


def _target(reference: Any, item: Any) -> str:
    return str(item.file[reference].name) if reference else ""


def differences(a: dict[str, str], b: dict[str, str]) -> list[str]:
    """The paths whose checksums differ."""
    return sorted(path for path in a.keys() | b.keys() if a.get(path) != b.get(path))


def sum_of(found: dict[str, str]) -> str:
    """One checksum of all."""
    return hashlib.sha256(json.dumps(sorted(found.items())).encode()).hexdigest()


class Told(logging.Handler):
    """Makes progress of the loader's log."""

    def __init__(self, domain: str, total: int) -> None:
        super().__init__(logging.INFO)
        self._domain, self._total, self._done = domain, total, 0

    def emit(self, record: logging.LogRecord) -> None:
        """Count the datasets that are written."""
        if record.getMessage().startswith(PROGRESS):
            self._done += 1
            say("loading", domain=self._domain, done=self._done, of=self._total)


def load(server: Server, source: Path, staged: str, domain: str) -> list[str]:
    """Copy a file into a domain; the paths whose layout was changed on the way."""
    import h5py
    from h5pyd._apps.utillib import load_file

    with tempfile.TemporaryDirectory(prefix="coverslip-import-") as folder:
        copy, cut = fitting(source, Path(folder))
        file = h5py.File(copy, "r", locking=False)
        count = [0]
        file.visititems(lambda _, item: count.__setitem__(0, count[0] + isinstance(item, h5py.Dataset)))
        log, told = logging.getLogger(), Told(domain, count[0])
        log.addHandler(told)
        try:
            target = server.open(staged, "w")
            log.setLevel(logging.INFO)  # h5pyd sets it when it opens a file
            load_file(file, target, dataload="ingest")
        finally:
            log.removeHandler(told)
            if file:
                file.close()
    return cut


class OneSystem:
    """The files of one system: all are staged and compared, then all get their names."""

    def __init__(self, server: Server, name: str, files: list[dict[str, Any]], replace: bool) -> None:
        self._server, self._name, self._files, self._replace = server, name, files, replace
        self._staged: dict[str, str] = {}
        self._done: list[dict[str, Any]] = []

    def run(self) -> None:
        """Import what is not there."""
        self._server.folder(f"/{self._name}")
        try:
            for file in self._files:
                self._one(file)
            self._publish()
        except BaseException:
            for staged in self._staged.values():
                try:
                    self._server.remove(staged)
                except Failed:
                    say("left", domain=staged)
            raise

    def _one(self, file: dict[str, Any]) -> None:
        domain, source = file["domain"], Path(file["source"])
        folder, _, name = domain.rpartition("/")
        staged = f"{folder}/{STAGED}{name}"
        root = self._server.root(domain)
        before = source.stat()
        version = [before.st_size, before.st_mtime_ns]
        if root is not None and file.get("known") == {"root": root, "version": version}:
            say("known", domain=domain)
            return
        say("begin", domain=domain, bytes=before.st_size)
        own = self._own(source)
        if root is not None:
            with self._server.open(domain, "r") as there:
                other = differences(own, digests(there))
            if not other:
                self._tell(domain, root, version, own, [], "same")
                return
            if not self._replace:
                raise Failed(f"{domain} is there and differs ({', '.join(other[:3])}); --replace replaces it")
        self._server.remove(staged)  # of an import that was killed
        self._staged[domain] = staged
        cut = load(self._server, source, staged, domain)
        say("comparing", domain=domain)
        with self._server.open(staged, "r") as there:
            if other := differences(own, digests(there)):
                raise Failed(f"HSDS does not hold {other[0]} of {domain} as the file does ({len(other)} differ)")
        after = source.stat()
        if [after.st_size, after.st_mtime_ns] != version:
            raise Failed(f"{source.name} changed while it was imported")
        new = self._server.root(staged)
        self._done.append({"domain": domain, "root": new, "version": version, "own": own, "cut": cut, "old": root})

    @staticmethod
    def _own(source: Path) -> dict[str, str]:
        import h5py

        try:
            with h5py.File(source, "r", locking=False) as file:
                return digests(file)
        except (OSError, RuntimeError, KeyError) as error:
            raise Failed(f"{source.name} cannot be read: {error}") from error

    def _publish(self) -> None:
        if ENDED.is_set():  # an interruption is lost where it falls into what Python does on the side, as in a __del__
            raise KeyboardInterrupt
        for one in self._done:
            if one["old"] is not None:
                self._server.remove(one["domain"])
            self._server.publish(self._staged[one["domain"]], one["domain"])
            self._server.remove(self._staged.pop(one["domain"]), keep_root=True)
        for one in self._done:
            self._tell(one["domain"], one["root"], one["version"], one["own"], one["cut"], "imported")

    @staticmethod
    def _tell(domain: str, root: str, version: Any, own: dict[str, str], cut: list[str], how: str) -> None:
        say(how, domain=domain, root=root, version=version, checksum=sum_of(own), objects=len(own), rewritten=cut)


def stop_with_parent() -> None:
    """End as Ctrl+C does when standard input ends."""
    while os.read(0, 4096):
        pass
    ENDED.set()
    os.kill(os.getpid(), signal.SIGINT)


def main() -> int:
    """Import what the plan says; how many systems failed."""
    line = b""
    while not line.endswith(b"\n"):
        if not (more := os.read(0, 1)):
            return 1
        line += more
    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored when we were started
    threading.Thread(target=stop_with_parent, daemon=True).start()
    plan = json.loads(line)
    failed = 0
    try:
        server = Server(plan)
        for system in plan["systems"]:
            try:
                OneSystem(server, system["name"], system["files"], plan["replace"]).run()
            except (Failed, OSError, ValueError, KeyError, TypeError, RuntimeError, SystemExit) as error:
                failed += 1
                reason = " ".join(f"{error}".split())
                say(
                    "failed",
                    system=system["name"],
                    reason=reason if isinstance(error, Failed) else f"HSDS's loader: {reason}",
                )
    except KeyboardInterrupt:
        return 130
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

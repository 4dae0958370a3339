"""The configuration file while a server runs: shown without its secrets, and written anew."""

from __future__ import annotations

import errno
import json
import os
import re
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from coverslip.config import TABLES, Config, decoded, faults, read
from coverslip.core.errors import BadRequest, CoverslipError, DiskFull, Invalid, NotFound, Unreadable
from coverslip.settings import Settings, credentials_of

REDACTED = "***REDACTED***"
SECRET = re.compile(r"(^|_)(token|secret|key|password)$", re.IGNORECASE)
NO_SECRET = frozenset({"tls_key"})
"""Called so, and only a path."""
IN_ADDRESS = re.compile(r"(?<=://)[^/?#@]+(?=@)|(?<=\?).+")
"""Who asks, and the query: either may hold a key."""
NAMES = ("name", "url", "path")
"""What tells one table of a list from the others."""
SEE = "Every key is in docs/reference/configuration.md."
FULL = "Check who may write to it and its folder."


class ConfigFile:
    """One configuration file.

    Parameters
    ----------
    file
        Where it is; TOML, or JSON where it is called so.
    """

    def __init__(self, file: Path) -> None:
        self.file = Path(os.path.realpath(file))
        self.name = file.name
        self._lock = threading.Lock()
        with suppress(CoverslipError):  # it was there a moment ago
            self._begun = self._text()

    @property
    def writable(self) -> bool:
        """Whether it may be written."""
        return os.access(self.file, os.W_OK) and os.access(self.file.parent, os.W_OK)

    @property
    def etag(self) -> str:
        """Differs whenever its text does."""
        return sha256(self._text().encode()).hexdigest()[:32]

    def shown(self) -> dict[str, Any]:
        """What it says, without its secrets.

        Raises
        ------
        CoverslipError
            When it cannot be read any more.
        """
        shown = redacted(self._given())
        assert isinstance(shown, dict)
        return shown

    def save(self, given: Mapping[str, Any]) -> bool:
        """Write what it shall say; whether that is other than what it said when the server began.

        Secrets that are shown redacted stay as they are; null means that a key is left out. What it said before is
        kept beside it, with ``.bak`` at the end of its name.

        Raises
        ------
        Invalid
            When a server could not be started with it.
        CoverslipError
            When it cannot be read or written.
        """
        with self._lock:
            text, now = self._text(), self._given()
            wanted = _without_none(_restored(dict(given), now))
            if wrong := [*_still_redacted(wanted), *faults(wanted, self.file)]:
                raise Invalid(wrong, SEE)
            try:
                credentials_of(read(wanted, self.file))
            except BadRequest as error:
                raise Invalid([("", error.message)], SEE) from error
            written = self._encoded(text, wanted)
            if decoded(written, self.file) != wanted:
                raise BadRequest("This configuration cannot be written as a file", "Edit the file by hand.")
            if written != text:
                self._replace(written)
            return not _same(written, getattr(self, "_begun", None), self.file)

    def _text(self) -> str:
        try:
            return self.file.read_text("utf-8")
        except FileNotFoundError as error:
            raise NotFound(f"The configuration file {self.name} is gone", "Put it back.") from error
        except (OSError, UnicodeDecodeError) as error:
            raise Unreadable(f"Cannot read {self.name}", "Check who may read it, and that it is text.") from error

    def _given(self) -> dict[str, Any]:
        given = decoded(self._text(), self.file)
        return given if isinstance(given, dict) else {}

    def _encoded(self, text: str, wanted: dict[str, Any]) -> str:
        """The new text; of TOML, with the comments that are there."""
        if self.file.suffix == ".json":
            return json.dumps(wanted, indent=2, ensure_ascii=False) + "\n"
        import tomlkit  # needed here only

        document = tomlkit.parse(text)
        _merge(document, wanted)
        return tomlkit.dumps(document)

    def _replace(self, text: str) -> None:
        """Put another text in its place at once, whatever happens meanwhile."""
        try:
            mode = self.file.stat().st_mode & 0o777
            _put(self.file.with_name(f"{self.file.name}.bak"), self.file.read_bytes(), mode)
            _put(self.file, text.encode(), mode)
        except OSError as error:
            if error.errno == errno.ENOSPC:
                raise DiskFull(f"Cannot write {self.name}: the disk is full", "Free some space.") from error
            raise Unreadable(f"Cannot write {self.name}: {error.strerror}", FULL, "not_writable") from error


def _put(file: Path, data: bytes, mode: int) -> None:
    """Write a file whole or not at all; never into one that somebody else put there, nor through a link."""
    handle, part = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.", suffix=".part")  # made with 0600
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        Path(part).chmod(mode)
        Path(part).replace(file)
    except OSError:
        Path(part).unlink(missing_ok=True)
        raise


def redacted(value: Any, key: str = "") -> Any:
    """A configuration without its secrets: tokens, keys, and what an address may hold of them."""
    if isinstance(value, Mapping):
        return {k: redacted(v, k) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [redacted(v, key) for v in value]
    if isinstance(value, str) and value:
        if SECRET.search(key) and key not in NO_SECRET:
            return REDACTED
        if "://" in value:
            return IN_ADDRESS.sub(REDACTED, value)
    return value


def effective(settings: Settings, port: int) -> dict[str, Any]:
    """What a server runs with, whoever said so; as tables of the file, without secrets and without paths."""
    catalog = settings.catalog
    return {
        "server": {
            "host": settings.host,
            "port": port,
            "token": REDACTED if settings.token else None,
            "read_token": REDACTED if settings.read_token else None,
            "allow_hosts": list(settings.allow_hosts),
            "allow_origins": list(settings.allow_origins),
            "read_threads": settings.read_threads,
            "slice_bytes": settings.slice_bytes,
            "rescan_interval": catalog.rescan_s,
            "full_rescan_interval": catalog.full_rescan_s,
            "flight_host": settings.flight_host,
            "flight_port": settings.flight_port,
            "external_location": settings.external_location,
            "tls": settings.encrypted,
            "trusted_proxies": list(settings.trusted_proxies),
            "root_path": settings.root_path,
            "writable": settings.writable,
            "upload_ttl": settings.upload_ttl_s,
            "add_source": settings.add_source,
            "log_level": settings.log_level,
        },
        "cache": {
            "max_bytes": settings.cache_bytes,
            "file_max_total_gb": settings.disk_bytes / (1 << 30),
            "persist": catalog.persist,
        },
        "metadata_db": {
            "max_query_results": catalog.query_rows,
            "query_timeout_ms": catalog.query_s * 1000,
            "max_memory_mb": catalog.query_mib,
        },
        "credentials": {
            "default_profile": settings.credentials.default_profile,
            "profiles": [{"name": profile.name} for profile in settings.credentials.profiles],
        },
    }


def schema() -> dict[str, Any]:
    """JSON Schema of a configuration file; made from the very types that read it."""
    (root,), parts = msgspec.json.schema_components([Config], ref_template="#/$defs/{name}")
    del root
    own = parts.pop("Config")
    own["properties"] = {key: value for key, value in own["properties"].items() if key in TABLES}
    own["description"] = "A configuration file."
    for part in (own, *parts.values()):
        part["additionalProperties"] = False
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **own, "$defs": parts}


def _restored(given: Any, now: Any) -> Any:
    """The same with what was redacted put back from what is there now."""
    if isinstance(given, Mapping):
        table = now if isinstance(now, Mapping) else {}
        return {key: _restored(value, table.get(key)) for key, value in given.items()}
    if isinstance(given, list):
        return [_restored(value, _counterpart(value, now if isinstance(now, list) else [])) for value in given]
    if isinstance(given, str) and REDACTED in given and isinstance(now, str):
        return now if given in (REDACTED, redacted(now)) else given
    return given


def _counterpart(value: Any, there: list[Any]) -> Any:
    """What a value of a list was before: the table of the same name, or the text that is shown so."""
    if isinstance(value, str):
        return next((other for other in there if isinstance(other, str) and redacted(other) == value), None)
    if isinstance(value, Mapping):
        for key in NAMES:
            if value.get(key):
                tables = (other for other in there if isinstance(other, Mapping))
                return next((other for other in tables if redacted(other.get(key)) == value[key]), None)
    return None


def _still_redacted(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _still_redacted(inner, f"{place}.{key}".lstrip("."))
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _still_redacted(inner, f"{place}[{i}]")
    elif isinstance(value, str) and REDACTED in value:
        yield place, "is shown redacted, and there was nothing here before: enter it again"


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_none(inner) for key, inner in value.items() if inner is not None}
    return [_without_none(inner) for inner in value if inner is not None] if isinstance(value, list) else value


def _merge(table: Any, wanted: Mapping[str, Any]) -> None:
    """Make a table of a TOML document say what is wanted, leaving alone what says it already."""
    for key in [key for key in table if key not in wanted]:
        del table[key]
    for key, value in wanted.items():
        there = table.get(key)
        if key in table and _plain(there) == value:
            continue
        if isinstance(value, Mapping) and isinstance(there, Mapping):
            _merge(there, value)
        else:
            table[key] = value


def _plain(value: Any) -> Any:
    return value.unwrap() if hasattr(value, "unwrap") else value


def _same(text: str, other: str | None, file: Path) -> bool:
    return other is not None and decoded(text, file) == decoded(other, file)

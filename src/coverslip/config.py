"""The configuration file: TOML, checked key by key.

Every key is written in ``docs/reference/configuration.md``. Files of biopb's tensor server load too: keys of theirs
that have no meaning here are accepted with a note, any other unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from coverslip.core.errors import BadRequest, NotFound, Unreadable
from coverslip.core.finite import is_finite
from coverslip.core.ngff import unit_name
from coverslip.engine.options import CatalogOptions
from coverslip.engine.overrides import Override

CODE = "bad_configuration"
REMOTE = re.compile(r"^[a-z][a-z0-9+.-]+://", re.IGNORECASE)
LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
_KIND = re.compile(r"`([a-z]+(?: \| [a-z]+)*)`")
KINDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list",
         "object": "a table", "null": "nothing"}  # fmt: skip
NO_TEXT = "a value has half of a character"
_PLACE = re.compile(r"([a-z_.\[\]0-9]+):? (.*)", re.DOTALL)
"""A line about a problem begins with the key."""
CLIENTS = "tensor_browser"
"""The table that the client keeps in the same file."""
COLOR = re.compile(r"#?[0-9A-Fa-f]{6}")
ELSEWHERE: dict[str, frozenset[str]] = {
    "server": frozenset(
        ("log_scope_to_biopb", "stability_window", "stable_rescans_required", "probe_open_files",
         "aggressive_dir_pruning", "claim_generic_images", "watcher_type", "poll_interval")
    ),
    "cache": frozenset(("backend", "max_entries", "file_cache_dir", "file_max_segment_mb")),
    "pyramid": frozenset(("reduction_method", "threshold", "downscale_factor", "pixel_budget_cubic_root")),
    "precache": frozenset(
        ("enabled", "idle_debounce_seconds", "backlog_enabled", "backlog_high_water", "backlog_idle_recheck_seconds")
    ),
    "metadata_db": frozenset(("enabled", "max_list_flights_results")),
    "sources": frozenset(("cloud", "source_id")),
}  # fmt: skip
"""Keys of biopb's tensor server that have no meaning here."""


class ServerTable(msgspec.Struct, frozen=True):
    """``[server]``."""

    host: str | None = None
    port: int | None = None
    web_host: str | None = None
    web_port: int | None = None
    flight_host: str | None = None
    flight_port: int | None = None
    external_location: str | None = None
    log_level: str | None = None
    token: str | None = None
    read_token: str | None = None
    allow_hosts: tuple[str, ...] = ()
    allow_origins: tuple[str, ...] = ()
    tls: bool | None = None
    tls_cert: str | None = None
    tls_key: str | None = None
    san: tuple[str, ...] = ()
    trusted_proxies: tuple[str, ...] = ()
    root_path: str | None = None
    read_threads: int | None = None
    slice_bytes: int | None = None
    monitor_mode: str | None = None
    rescan_interval: float | None = None
    full_rescan_interval: float | None = None
    writable: bool = False
    write_dir: str | None = None
    upload_ttl: float | None = None
    add_source: bool = False


class CacheTable(msgspec.Struct, frozen=True):
    """``[cache]``."""

    max_bytes: int | None = None
    file_max_total_gb: float | None = None
    persist: bool = True
    gene_index: bool | None = None


class QueryTable(msgspec.Struct, frozen=True):
    """``[metadata_db]``."""

    max_query_results: int | None = None
    query_timeout_ms: float | None = None
    max_memory_mb: int | None = None


class CellsTable(msgspec.Struct, frozen=True):
    """``[cells]``."""

    latent_key: str | None = None
    gene_id_column: str | None = None


class UiTable(msgspec.Struct, frozen=True):
    """``[ui]``, of ``coverslip ui server``."""

    port: int | None = None
    root_dir: str | None = None
    host: str | None = None
    engine: str | None = None
    store: str | None = None
    nodes: int | None = None
    cache_mb: int | None = None


class ProfileTable(msgspec.Struct, frozen=True):
    """``[[credentials.profiles]]``."""

    name: str
    storage_type: str = ""
    key: str = ""
    secret: str = ""
    region: str = ""
    token: str = ""
    endpoint_url: str = ""

    def __repr__(self) -> str:
        """Without its keys."""
        return f"ProfileTable({self.name!r})"


class CredentialsTable(msgspec.Struct, frozen=True):
    """``[credentials]``."""

    default_profile: str = ""
    profiles: tuple[ProfileTable, ...] = ()


class PixelSize(msgspec.Struct, frozen=True):
    """``pixel_size = { x = 0.65, y = 0.65, z = 2, unit = "um" }``."""

    x: float | None = None
    y: float | None = None
    z: float | None = None
    t: float | None = None
    unit: str | None = None


class SourceTable(msgspec.Struct, frozen=True):
    """``[[sources]]``."""

    url: str = ""
    path: str = ""
    alias: str = ""
    name: str = ""
    type: str = ""
    dataset: str = ""
    dim_labels: tuple[str, ...] = ()
    pixel_size: PixelSize | None = None
    channel_names: tuple[str, ...] = ()
    channel_colors: tuple[str, ...] = ()
    hidden: bool | tuple[str, ...] = ()
    monitor: bool | None = None
    credentials_profile: str = ""
    identifiers: bool = False

    @property
    def address(self) -> str:
        """The path or URL of the source."""
        return self.url or self.path

    @property
    def shown(self) -> str:
        """What a person calls it."""
        return self.name or self.alias or self.address.partition("?")[0].rstrip("/").rpartition("/")[2]

    @property
    def remote(self) -> bool:
        """Whether it is on another machine."""
        return bool(REMOTE.match(self.address)) and not self.address.startswith("file://")

    @property
    def override(self) -> Override:
        """What is configured to be other than the file says."""
        size = self.pixel_size
        steps = {a: v for a in "xyzt" if size is not None and (v := getattr(size, a)) is not None}
        colors = tuple(color.lstrip("#").upper() for color in self.channel_colors)
        unit = unit_name(size.unit) if size is not None else None
        return Override(self.dim_labels, steps, unit, self.channel_names, colors, self.dataset.strip("/"))


class Config(msgspec.Struct, frozen=True):
    """A whole configuration file.

    Attributes
    ----------
    server, cache, metadata_db, cells, ui, credentials, sources
        Its tables.
    notes
        One line for each key that has no meaning here.
    file
        Where it was read from, or None.
    """

    server: ServerTable = ServerTable()
    cache: CacheTable = CacheTable()
    metadata_db: QueryTable = QueryTable()
    cells: CellsTable = CellsTable()
    ui: UiTable = UiTable()
    credentials: CredentialsTable = CredentialsTable()
    sources: tuple[SourceTable, ...] = ()
    notes: tuple[str, ...] = ()
    file: str | None = None

    @property
    def offered(self) -> tuple[SourceTable, ...]:
        """The sources that are not hidden altogether."""
        return tuple(source for source in self.sources if source.hidden is not True)

    @property
    def catalog(self) -> CatalogOptions:
        """What the file says of the catalog."""
        server, query = self.server, self.metadata_db
        given = {
            "persist": self.cache.persist,
            "rescan_s": server.rescan_interval,
            "full_rescan_s": server.full_rescan_interval,
            "query_rows": query.max_query_results,
            "query_s": query.query_timeout_ms / 1000 if query.query_timeout_ms is not None else None,
            "query_mib": query.max_memory_mb,
        }
        return replace(CatalogOptions(), **{k: v for k, v in given.items() if v is not None})  # type: ignore[arg-type]


TABLES: dict[str, type[msgspec.Struct]] = {
    "server": ServerTable, "cache": CacheTable, "metadata_db": QueryTable, "cells": CellsTable, "ui": UiTable,
    "credentials": CredentialsTable,
    "sources": SourceTable, "credentials.profiles": ProfileTable, "sources.pixel_size": PixelSize,
}  # fmt: skip


def load(file: Path) -> Config:
    """Read a configuration file (TOML; JSON where it is called so).

    Raises
    ------
    NotFound, Unreadable
        When the file cannot be read.
    BadRequest
        When it is not TOML, a key is unknown or a value impossible; names the file and the key.
    """
    try:
        given = decoded(file.read_text("utf-8"), file)
    except FileNotFoundError as error:
        raise NotFound(f"There is no configuration {file}", "Check the path.") from error
    except UnicodeDecodeError as error:
        raise _wrong(file, str(error), "See docs/reference/configuration.md.") from error
    except OSError as error:
        raise Unreadable(f"Cannot read {file}: {error.strerror}", "Check who may read it: ls -l.") from error
    except ValueError as error:  # no name of a file
        raise NotFound(f"There is no configuration {str(file)!r}", "Check the path.") from error
    return msgspec.structs.replace(read(given, file), file=str(file.absolute()))


def decoded(text: str, file: Path) -> Any:
    """What the text of a configuration file says.

    Raises
    ------
    BadRequest
        When it is neither TOML nor, in a file called so, JSON.
    """
    try:
        if file.suffix == ".json":
            return json.loads(text)
        import tomllib  # for who has such a file

        return tomllib.loads(text)
    except RecursionError as error:
        raise _wrong(file, "it is nested too deeply", "See docs/reference/configuration.md.") from error
    except ValueError as error:  # both parsers' own, and numbers with more digits than Python reads
        raise _wrong(file, str(error), "See docs/reference/configuration.md.") from error


def read(given: Any, file: Path) -> Config:
    """The configuration that a decoded file holds; relative paths start at its folder."""
    if not isinstance(given, dict):
        raise _wrong(file, "it is no table", "See docs/reference/configuration.md.")
    unknown: list[str] = []
    notes: list[str] = []
    if file.stem == "biopb":  # it holds tables of biopb's other programs too
        notes += [f"[{table}] has no meaning here" for table in given if table not in {*ELSEWHERE, *TABLES}]
        given = {table: value for table, value in given.items() if table in {*ELSEWHERE, *TABLES}}
    kept = _check(given, "", "", unknown, notes)
    if unknown:
        raise _wrong(file, f"unknown key {'; '.join(unknown)}", "Every key is in docs/reference/configuration.md.")
    try:
        found = msgspec.convert(kept, Config)
    except msgspec.ValidationError as error:
        raise _wrong(file, _where(str(error)), "See docs/reference/configuration.md.") from error
    except UnicodeEncodeError as error:
        raise _wrong(file, NO_TEXT, "See docs/reference/configuration.md.") from error
    for problem in problems(found):
        raise _wrong(file, problem, "See docs/reference/configuration.md.")
    if found.server.write_dir is not None:
        place = str(file.parent / Path(found.server.write_dir).expanduser())
        found = msgspec.structs.replace(found, server=msgspec.structs.replace(found.server, write_dir=place))
    sources = tuple(_placed(source, file.parent, found.server.monitor_mode == "off") for source in found.sources)
    server = msgspec.structs.replace(found.server, **_placed_files(found.server, file.parent, ("tls_cert", "tls_key")))
    ui = msgspec.structs.replace(found.ui, **_placed_files(found.ui, file.parent, ("root_dir", "store")))
    notes = [f"{file.name}: {note}" for note in notes]
    return msgspec.structs.replace(found, server=server, ui=ui, sources=sources, notes=tuple(notes))


def faults(given: Mapping[str, Any], file: Path) -> list[tuple[str, str]]:
    """Every key for which `read` would refuse this, and what is wrong with it; one for which a value has no sense."""
    unknown: list[str] = []
    known = {t: v for t, v in given.items() if file.stem != "biopb" or t in {*ELSEWHERE, *TABLES}}
    kept = _check(known, "", "", unknown, [])
    split = (line.partition(", ") for line in unknown)
    found = [(place, f"unknown key{', ' if told else ''}{told}") for place, _, told in split]
    try:
        config = msgspec.convert(kept, Config)
    except msgspec.ValidationError as error:
        place, _, told = _where(str(error)).rpartition(": ")
        return [*found, (place, told)]
    except UnicodeEncodeError:
        return [*found, ("", NO_TEXT)]
    for problem in problems(config):
        named = _PLACE.match(problem)
        found.append((named[1], named[2]) if named else ("", problem))
    return found


def _check(given: Mapping[str, Any], table: str, shown: str, unknown: list[str], notes: list[str]) -> dict[str, Any]:
    """The keys that are known here; others are told."""
    fields = {f.name for f in msgspec.structs.fields(TABLES[table])} if table in TABLES else set()
    if not table:
        fields = {name for name in TABLES if "." not in name}
    elsewhere = ELSEWHERE.get(table, frozenset())
    kept: dict[str, Any] = {}
    for key, value in given.items():
        inner, place = f"{table}.{key}".lstrip("."), f"{shown}.{key}".lstrip(".")
        if not table and key == CLIENTS:
            continue
        if key in elsewhere:
            notes.append(f"{place} has no meaning here")
        elif not table and key in ELSEWHERE and key not in fields:
            notes.append(f"[{key}] has no meaning here")
            if isinstance(value, dict):
                unknown.extend(_unknown(k, f"{key}.{k}", ELSEWHERE[key]) for k in value if k not in ELSEWHERE[key])
        elif key not in fields:
            unknown.append(_unknown(key, place, fields | elsewhere | (set(ELSEWHERE) if not table else set())))
        elif isinstance(value, dict) and inner in TABLES:
            kept[key] = _check(value, inner, place, unknown, notes)
        elif isinstance(value, list) and inner in TABLES:
            kept[key] = [
                _check(v, inner, f"{place}[{i}]", unknown, notes) if isinstance(v, dict) else v
                for i, v in enumerate(value)
            ]
        else:
            kept[key] = value
    return kept


def _unknown(key: str, place: str, known: set[str] | frozenset[str]) -> str:
    near = difflib.get_close_matches(key, sorted(known), 1, 0.5)
    return f"{place}, did you mean {near[0]}?" if near else f"{place}, there is {', '.join(sorted(known))}"


def problems(config: Config) -> Iterator[str]:
    """What cannot be, each a line that begins with its key."""
    server = config.server
    ports = {f"server.{key}": getattr(server, key) for key in ("port", "web_port", "flight_port")}
    for key, port in {**ports, "ui.port": config.ui.port}.items():
        if port is not None and not 0 <= port <= 65535:
            yield f"{key} is {port}, and ports are numbered 0 to 65535"
    if server.log_level is not None and server.log_level.upper() not in LOG_LEVELS:
        yield f"server.log_level is {server.log_level!r}, and may be {', '.join(LOG_LEVELS)}"
    if server.monitor_mode not in (None, "periodic", "off"):
        yield f"server.monitor_mode is {server.monitor_mode!r}, and may be 'periodic' or 'off'"
    if server.writable and not server.write_dir:
        yield "server.writable needs server.write_dir, the folder that uploads are kept in"
    numbers = {
        "server.upload_ttl": server.upload_ttl,
        "server.read_threads": server.read_threads,
        "server.slice_bytes": server.slice_bytes,
        "server.rescan_interval": server.rescan_interval,
        "server.full_rescan_interval": server.full_rescan_interval,
        "cache.max_bytes": config.cache.max_bytes,
        "cache.file_max_total_gb": config.cache.file_max_total_gb,
        "metadata_db.max_query_results": config.metadata_db.max_query_results,
        "metadata_db.query_timeout_ms": config.metadata_db.query_timeout_ms,
        "metadata_db.max_memory_mb": config.metadata_db.max_memory_mb,
    }
    yield from (f"{key} must be more than 0" for key, n in numbers.items() if n is not None and not 0 < n < math.inf)
    names = [profile.name for profile in config.credentials.profiles]
    for i, source in enumerate(config.sources):
        yield from (f"sources[{i}].{problem}" for problem in _source_problems(source, names))


def _source_problems(source: SourceTable, profiles: list[str]) -> Iterator[str]:
    if not source.address:
        yield "url is missing"
    if source.url and source.path:
        yield "path is given twice, as url and as path"
    if len(set(source.dim_labels)) != len(source.dim_labels):
        yield "dim_labels names an axis twice"
    yield from (f"channel_colors: {c!r} is not RRGGBB" for c in source.channel_colors if not COLOR.fullmatch(c))
    for axis, step in source.override.pixel_size.items():
        if not (is_finite(step) and step > 0):
            yield f"pixel_size.{axis} must be more than 0"
    if source.credentials_profile and source.credentials_profile not in profiles:
        near = difflib.get_close_matches(source.credentials_profile, profiles, 1)
        told = f", did you mean {near[0]}?" if near else ""
        yield f"credentials_profile: there is no profile {source.credentials_profile!r}{told}"


def _placed(source: SourceTable, folder: Path, unwatched: bool) -> SourceTable:
    if source.remote:
        return source
    monitor = False if unwatched else source.monitor
    path = Path(source.address.removeprefix("file://")).expanduser()
    return msgspec.structs.replace(source, url="", path=str(folder / path), monitor=monitor)


def _placed_files(table: msgspec.Struct, folder: Path, keys: tuple[str, ...]) -> dict[str, str]:
    given = {key: getattr(table, key) for key in keys}
    return {key: str(folder / Path(name).expanduser()) for key, name in given.items() if name is not None}


def marked(sources: Iterable[SourceTable]) -> str:
    """Another text when any source is to be read differently."""
    return msgspec.json.encode(list(sources)).decode()


def _where(text: str) -> str:
    """A line of msgspec's, with the key as the file has it and kinds of values as people call them."""
    message, _, path = text.partition(" - at `$.")
    message = _KIND.sub(_called, message)
    return f"{path.rstrip('`')}: {message[:1].lower()}{message[1:]}" if path else text


def _called(kinds: re.Match[str]) -> str:
    words = kinds[1].split(" | ")
    return " or ".join(KINDS.get(word, word) for word in words if word != "null" or len(words) == 1)


def _wrong(file: Path, what: str, hint: str) -> BadRequest:
    return BadRequest(f"{file.name}: {what}", hint, CODE)

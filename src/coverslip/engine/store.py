"""The list of sources, kept in SQLite so that a restart lists at once.

It is a cache: a file that is damaged, locked, or on a full disk is given up for a list in memory, and the server
goes on.
"""

from __future__ import annotations

import json
import logging
import os
import re
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from coverslip.core.errors import BadRequest, CoverslipError
from coverslip.core.mounts import is_remote
from coverslip.engine.places import DROPPED, file_system

LOG = logging.getLogger("coverslip.catalog")
SCHEMA = 1
BUSY_S = 5.0
AGAIN_S = 0.02
MOST_ASKED = 500
"""Ids in one question to SQLite, which takes 999 everywhere."""
MOST_WORDS = 20_000
"""Characters of a source's metadata that are searched."""
MOST_TERMS = 16
SORTS = {"name": "name COLLATE NOCASE", "kind": "kind", "size": "size", "modified": "modified_ns"}
COLUMNS = (
    "id", "root", "path", "name", "format", "kind", "folder", "status", "size", "modified_ns", "inode", "stamp",
    "generation", "members", "deep", "code", "message", "hint", "version", "indexed_s", "tensors",
)  # fmt: skip
LISTED = COLUMNS[:-2]
"""What changes without the source being opened."""
TABLE = """
CREATE TABLE IF NOT EXISTS sources (
  id TEXT NOT NULL UNIQUE, root TEXT NOT NULL, path BLOB NOT NULL, name TEXT NOT NULL, format TEXT NOT NULL,
  kind TEXT NOT NULL, folder INT NOT NULL, status TEXT NOT NULL, size INT NOT NULL, modified_ns INT NOT NULL,
  inode TEXT NOT NULL, stamp TEXT NOT NULL, generation INT NOT NULL, members TEXT, deep TEXT NOT NULL,
  code TEXT, message TEXT, hint TEXT,
  version TEXT NOT NULL, indexed_s REAL, tensors TEXT, metadata TEXT, number INTEGER PRIMARY KEY);
CREATE INDEX IF NOT EXISTS by_name ON sources (name COLLATE NOCASE, id);
CREATE INDEX IF NOT EXISTS by_kind ON sources (kind, status);
CREATE TABLE IF NOT EXISTS roots (root TEXT PRIMARY KEY, device TEXT NOT NULL);
"""
WORDS = "CREATE VIRTUAL TABLE IF NOT EXISTS words USING fts5 (name, path, format, text, prefix='2 3')"
PLAIN_WORDS = "CREATE TABLE IF NOT EXISTS words (name, path, format, text)"


@dataclass(frozen=True, slots=True)
class Row:
    """One source as it is listed.

    Attributes
    ----------
    id
        Stable, and safe in a URL path.
    root
        The alias of the root it is below; empty for what is in memory.
    path
        Below the root; empty when the root itself is the source.
    name
        What a person calls it.
    format, kind
        The format's name; ``cells``, ``images`` or ``arrays``.
    folder
        Whether it is a folder.
    status
        ``pending`` (not opened yet), ``ready``, ``live`` (being written) or ``failed``.
    size
        In bytes, of all its files.
    modified_ns
        When it last changed, in nanoseconds since 1970.
    version
        Another one whenever the content may have changed.
    code, message, hint
        Why it failed.
    indexed_s
        When it was last opened to fill the list, in seconds since 1970, or None.
    tensors
        Its arrays as plain data, or None before it was opened.
    inode, stamp, generation, members, deep
        How the catalog sees that it changed.
    """

    id: str
    root: str
    path: str
    name: str
    format: str
    kind: str
    folder: bool = False
    status: str = "pending"
    size: int = 0
    modified_ns: int = 0
    inode: int = 0
    stamp: str = ""
    generation: int = 0
    members: tuple[str, ...] = ()
    deep: str = ""
    code: str | None = None
    message: str | None = None
    hint: str | None = None
    version: str = ""
    indexed_s: float | None = None
    tensors: list[dict[str, Any]] | None = None

    @property
    def modified_s(self) -> float:
        """When it last changed, in seconds since 1970."""
        return self.modified_ns / 1e9

    @property
    def url(self) -> str:
        """``file:///ROOT/relative/path``, or an address: where it is, as far as that is anybody's business.

        What was offered while serving is at ``dnd:///ROOT/relative/path``.
        """
        if not self.root and "://" in self.path:
            return self.path
        scheme = "dnd" if self.root.startswith(DROPPED) else "file" if self.root else "memory"
        place = "/".join(part for part in (self.root.removeprefix(DROPPED), self.path) if part) or self.id
        return f"{scheme}:///{quote(os.fsencode(place))}"

    @property
    def error(self) -> dict[str, str] | None:
        """Why it failed, or None."""
        if self.code is None:
            return None
        return {"code": self.code, "message": self.message or "", "hint": self.hint or ""}

    def failing(self, error: CoverslipError) -> Row:
        """The same row with the reason why it cannot be read."""
        return replace(self, status="failed", code=error.name, message=error.message, hint=error.hint)

    def well(self, status: str) -> Row:
        """The same row without an error."""
        return replace(self, status=status, code=None, message=None, hint=None)


Described = tuple[Row, str | None, str]
"""A row, its metadata as JSON, and the words it is found by."""


class Store:
    """Rows in a database; every method may be called from any thread.

    Parameters
    ----------
    file
        Where it is kept; None keeps it in memory.

    Raises
    ------
    sqlite3.Error, OSError
        When the file cannot be had.
    """

    def __init__(self, file: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._db = _connect(file)
        self._reading = self._db
        self._reading_lock = self._lock
        self._searchable = True
        self._prepare()
        if file is not None:
            self._reading, self._reading_lock = _connect(file), threading.RLock()

    def _prepare(self) -> None:
        with self._write():
            version = self._db.execute("PRAGMA user_version").fetchone()[0]
            if version != SCHEMA:
                for name in ("words", "sources", "roots"):
                    self._db.execute(f"DROP TABLE IF EXISTS {name}")
                self._db.execute(f"PRAGMA user_version = {SCHEMA}")
            for statement in filter(str.strip, TABLE.split(";")):
                self._db.execute(statement)
            try:
                self._db.execute(WORDS)
            except sqlite3.OperationalError:  # an SQLite built without FTS5
                self._db.execute(PLAIN_WORDS)
                self._searchable = False
            self._db.execute("SELECT count(*) FROM sources WHERE number IN (SELECT rowid FROM words)").fetchone()

    @contextmanager
    def _write(self) -> Iterator[None]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):
                    self._db.execute("ROLLBACK")
                raise

    def _read(self, sql: str, values: Sequence[Any] = ()) -> list[Any]:
        with self._reading_lock:
            try:
                return self._reading.execute(sql, values).fetchall()
            except UnicodeDecodeError as error:
                raise sqlite3.DatabaseError("the list is damaged") from error

    def put(self, rows: Iterable[Row], gone: Iterable[str] = (), described: Iterable[Described] = ()) -> None:
        """Write rows, and those that were opened with what was learnt; remove those that are gone."""
        with self._write():
            for id in gone:
                self._db.execute("DELETE FROM words WHERE rowid = (SELECT number FROM sources WHERE id = ?)", (id,))
                self._db.execute("DELETE FROM sources WHERE id = ?", (id,))
            for row in rows:
                self._put(row)
            for row, metadata, words in described:
                number = self._put(row)
                tensors = None if row.tensors is None else msgspec.json.encode(row.tensors).decode()
                learnt = "UPDATE sources SET indexed_s = ?, tensors = ?, metadata = ? WHERE number = ?"
                self._db.execute(learnt, (row.indexed_s, tensors, metadata, number))
                self._db.execute("UPDATE words SET text = ? WHERE rowid = ?", (words[:MOST_WORDS], number))

    def _put(self, row: Row) -> int:
        number: int = self._db.execute(UPSERT, _values(row)).fetchone()[0]
        shown = (row.name, shown_path(row.path), f"{row.format} {row.kind}")
        changed = "UPDATE words SET name = ?, path = ?, format = ? WHERE rowid = ?"
        if not self._db.execute(changed, (*shown, number)).rowcount:
            added = "INSERT INTO words (rowid, name, path, format, text) VALUES (?, ?, ?, ?, '')"
            self._db.execute(added, (number, *shown))
        return number

    def rows(self) -> list[Row]:
        """Every row."""
        return [_row(found) for found in self._read(f"SELECT {', '.join(COLUMNS)} FROM sources ORDER BY number")]  # noqa: S608

    def get(self, id: str) -> Row | None:
        """One row, or None."""
        found = self._read(f"SELECT {', '.join(COLUMNS)} FROM sources WHERE id = ?", (id,))  # noqa: S608
        return _row(found[0]) if found else None

    def metadata(self, id: str) -> str | None:
        """A source's own metadata as JSON, or None before it was opened."""
        found = self._read("SELECT metadata FROM sources WHERE id = ?", (id,))
        return found[0][0] if found else None

    def metadata_of(self, ids: Sequence[str]) -> dict[str, str]:
        """Metadata of those of some sources that have any, by id."""
        found: dict[str, str] = {}
        for start in range(0, len(ids), MOST_ASKED):
            part = ids[start : start + MOST_ASKED]
            marks = ", ".join("?" * len(part))
            found |= dict(
                self._read(f"SELECT id, metadata FROM sources WHERE metadata IS NOT NULL AND id IN ({marks})", part)  # noqa: S608
            )
        return found

    def all_metadata(self) -> dict[str, str]:
        """Metadata of every source that has any, by id."""
        return dict(self._read("SELECT id, metadata FROM sources WHERE metadata IS NOT NULL"))

    def find(
        self, search: str, equal: Mapping[str, str], sort: str, limit: int | None, offset: int
    ) -> tuple[list[Row], int]:
        """Rows that match, one page of them, and how many match in all.

        Raises
        ------
        BadRequest
            When there is no such order.
        """
        key = SORTS.get(sort.removeprefix("-"))
        if key is None:
            raise BadRequest(f"Cannot sort by {sort!r}", f"There is {', '.join(SORTS)}, each with or without a -.")
        where, values = self._where(search, equal)
        total: int = self._read(f"SELECT count(*) FROM sources {where}", values)[0][0]  # noqa: S608
        order = f"{key} {'DESC' if sort.startswith('-') else 'ASC'}, name COLLATE NOCASE, id"
        page = f"SELECT {', '.join(COLUMNS)} FROM sources {where} ORDER BY {order} LIMIT ? OFFSET ?"  # noqa: S608
        found = self._read(page, (*values, -1 if limit is None else max(limit, 0), max(offset, 0)))
        return [_row(one) for one in found], total

    def _where(self, search: str, equal: Mapping[str, str]) -> tuple[str, list[Any]]:
        terms = [f"{column} = ?" for column in equal]
        values: list[Any] = list(equal.values())
        for word in search.encode("utf-8", "replace").decode().split()[:MOST_TERMS]:
            pattern = "%" + re.sub(r"([%_\\])", r"\\\1", word) + "%"
            matching = (
                "SELECT rowid FROM words WHERE name || ' ' || path || ' ' || format || ' ' || text LIKE ? ESCAPE '\\'"
            )
            said = pattern
            if self._searchable and re.search(r"\w", word):
                matching, said = "SELECT rowid FROM words WHERE words MATCH ?", '"' + word.replace('"', '""') + '"*'
            terms.append(
                f"(name LIKE ? ESCAPE '\\' OR CAST(path AS TEXT) LIKE ? ESCAPE '\\' OR number IN ({matching}))"
            )
            values += [pattern, pattern, said]
        return (f"WHERE {' AND '.join(terms)}" if terms else ""), values

    def counts(self) -> dict[tuple[str, str], int]:
        """How many sources there are, by kind and status."""
        found = self._read("SELECT kind, status, count(*) FROM sources GROUP BY kind, status")
        return {(kind, status): count for kind, status, count in found}

    def device(self, root: str) -> int | None:
        """The device a root was on when it was last looked at."""
        found = self._read("SELECT device FROM roots WHERE root = ?", (root,))
        try:
            return int(found[0][0]) if found else None
        except (ValueError, TypeError) as error:
            raise sqlite3.DatabaseError("the device of a root makes no sense") from error

    def put_device(self, root: str, device: int) -> None:
        """Remember the device a root is on."""
        with self._write():
            self._db.execute("INSERT OR REPLACE INTO roots (root, device) VALUES (?, ?)", (root, str(device)))

    def close(self) -> None:
        """Close the database."""
        with self._lock, self._reading_lock:
            for db in {id(c): c for c in (self._reading, self._db)}.values():
                with suppress(sqlite3.Error):
                    db.close()


UPSERT = (
    f"INSERT INTO sources ({', '.join(LISTED)}) VALUES ({', '.join('?' * len(LISTED))}) "  # noqa: S608
    f"ON CONFLICT (id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in LISTED)} RETURNING number"
)


def open_store(file: Path | None) -> Store:
    """The database at ``file``, made anew when it is damaged; one in memory when it cannot be had at all."""
    if file is not None:
        for attempt in range(2):
            try:
                file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                return Store(file)
            except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
                damaged = not isinstance(error, sqlite3.OperationalError)
                if attempt or not damaged:
                    LOG.warning("The catalog is kept in memory only: %s", error)
                    break
                LOG.warning("The kept catalog was damaged and is made anew: %s", error)
                for name in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
                    with suppress(OSError):
                        name.unlink()
            except OSError as error:
                LOG.warning("The catalog is kept in memory only: %s", error.strerror or error)
                break
    return Store()


def shown_path(path: str) -> str:
    """A path as text that any client can read; names on disk are bytes and need not be."""
    return os.fsencode(path).decode("utf-8", "replace")


def _connect(file: Path | None) -> sqlite3.Connection:
    db = sqlite3.connect(file or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        if file is not None:
            file.chmod(0o600)
            # The log's index is shared memory, which machines that share a disk do not share.
            _change_journal(db, "DELETE" if is_remote(file_system(file)) else "WAL")
        db.execute("PRAGMA synchronous = NORMAL")
    except (sqlite3.Error, OSError):
        db.close()
        raise
    except UnicodeDecodeError as error:  # what SQLite says of damage may hold bytes of it
        db.close()
        raise sqlite3.DatabaseError("the list is damaged") from error
    return db


def _change_journal(db: sqlite3.Connection, mode: str) -> None:
    """Set how the database is kept whole.

    Two servers that begin at once both want it for themselves here, and SQLite tells one of them at once that it is
    locked (sqlite.org, "Write-Ahead Logging", section 8), however long it was told to wait.
    """
    end = time.monotonic() + BUSY_S
    while True:
        try:
            db.execute(f"PRAGMA journal_mode = {mode}")
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > end:
                raise
            time.sleep(AGAIN_S)
        else:
            return


def _values(row: Row) -> tuple[Any, ...]:
    plain: dict[str, Any] = {
        "path": os.fsencode(row.path),
        "inode": str(row.inode),
        "members": json.dumps(row.members) if row.members else None,
    }
    return tuple(plain[name] if name in plain else getattr(row, name) for name in LISTED)


def _row(values: Sequence[Any]) -> Row:
    found = dict(zip(COLUMNS, values, strict=True))
    try:
        found["path"] = os.fsdecode(found["path"])
        found["folder"] = bool(found["folder"])
        found["inode"] = int(found["inode"])
        found["members"] = tuple(json.loads(found["members"])) if found["members"] else ()
        found["tensors"] = None if found["tensors"] is None else msgspec.json.decode(found["tensors"])
        return msgspec.convert(found, Row)
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise sqlite3.DatabaseError("a row of the list makes no sense") from error

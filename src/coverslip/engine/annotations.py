"""Annotations that people draw on images: kept by the image's place on disk, not by its id, which another file may get.

They are nobody's cache: a database that is damaged is left as it is, and nothing is written before it was repaired.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from coverslip.core.errors import BadRequest, Forbidden, TooLarge, Unreadable
from coverslip.core.mounts import is_remote
from coverslip.core.patience import Silent, patiently
from coverslip.engine.annotation import Annotation, Orphans, Place
from coverslip.engine.places import file_system

SCHEMA = 1
BUSY_S = 10.0
MOST = 5000
"""Annotations of one image."""
DAY_MS = 86_400_000
RESERVED = "@"
"""Names of sets that begin with it are the server's own: read when asked for, never written by a client."""
TABLES = (
    """CREATE TABLE IF NOT EXISTS tensors (number INTEGER PRIMARY KEY, place BLOB NOT NULL, field TEXT NOT NULL,
      array_id TEXT NOT NULL, url TEXT NOT NULL, inode TEXT NOT NULL, seen_ms INT NOT NULL, UNIQUE (place, field))""",
    """CREATE TABLE IF NOT EXISTS rois (number INTEGER PRIMARY KEY, roi_id TEXT NOT NULL UNIQUE,
      tensor INT NOT NULL REFERENCES tensors (number), set_name TEXT NOT NULL, label TEXT NOT NULL,
      geometry TEXT NOT NULL, plane TEXT NOT NULL, props_json TEXT NOT NULL, drawn_against BLOB, rev INT NOT NULL,
      created_ms INT NOT NULL, updated_ms INT NOT NULL)""",
    "CREATE INDEX IF NOT EXISTS by_tensor ON rois (tensor, set_name)",
)
FIELDS = (
    "roi_id", "set_name", "label", "geometry", "plane", "props_json", "drawn_against", "rev", "created_ms",
    "updated_ms",
)  # fmt: skip
COLUMNS = ", ".join(FIELDS)

Find = Callable[[str, str], str | None]
"""What an image is called now, by its place and field; None when it is not offered."""


class Annotations:
    """Every annotation of this user; methods may be called from any thread, and by several servers at once.

    Parameters
    ----------
    file
        The database, made when first needed.
    most
        How many annotations one image may have.
    """

    def __init__(self, file: Callable[[], Path] | Path, most: int = MOST) -> None:
        self._file = file
        self._most = most
        self._lock = threading.RLock()
        self._connected: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            db, self._connected = self._connected, None
            if db is not None:
                db.close()

    def read(self, place: Place, set_name: str = "") -> list[Annotation]:
        """The annotations of an image, oldest first: of one set, or (empty) of all that are not the server's own."""
        with self._reading() as db:
            number = self._number(db, place)
            if number is None:
                return []
            where, values = ("set_name = ?", [set_name]) if set_name else ("substr(set_name, 1, 1) != ?", [RESERVED])
            sql = f"SELECT {COLUMNS} FROM rois WHERE tensor = ? AND {where} ORDER BY number"  # noqa: S608
            return [_annotation(row, place.array_id) for row in db.execute(sql, (number, *values))]

    def sets(self, place: Place) -> dict[str, int]:
        """How many annotations each set of an image has, the server's own among them."""
        with self._reading() as db:
            number = self._number(db, place)
            sql = "SELECT set_name, count(*) FROM rois WHERE tensor = ? GROUP BY set_name ORDER BY set_name"
            found = dict(db.execute(sql, (number,)))
            if not all(isinstance(name, str) for name in found):
                raise sqlite3.DatabaseError("a set of annotations has no name")
            return found

    def put(
        self, place: Place, given: Sequence[Annotation], check_rev: bool = False
    ) -> tuple[list[Annotation], list[tuple[str, int]]]:
        """Add or change annotations, all or none.

        Parameters
        ----------
        given
            With an id that is known: changed; with an empty or unknown one: added.
        check_rev
            Leave out those whose ``rev`` is not the one that is kept (0 for one that is not kept).

        Returns
        -------
        tuple
            What is kept now, and id and kept ``rev`` of what was left out.

        Raises
        ------
        Forbidden
            When a set is the server's own.
        BadRequest
            When an id belongs to another image, or is given twice.
        TooLarge
            When the image would have more than it may.
        """
        _look(given)
        now = time.time_ns() // 1_000_000
        stored: list[Annotation] = []
        conflicts: list[tuple[str, int]] = []
        with self._writing() as db:
            number = self._made(db, place, now)
            for one in given:
                old = self._kept(db, one.roi_id, number)
                if check_rev and one.rev != (old[0] if old else 0):
                    conflicts.append((one.roi_id, old[0] if old else 0))
                    continue
                rev, created = (old[0] + 1, old[1]) if old else (1, now)
                kept = replace(
                    one,
                    roi_id=one.roi_id or str(uuid.uuid4()),
                    rev=rev,
                    created_ms=created,
                    updated_ms=now,
                    array_id=place.array_id,
                )
                db.execute(PUT, (number, *_values(kept)))
                stored.append(kept)
            total = db.execute("SELECT count(*) FROM rois WHERE tensor = ?", (number,)).fetchone()[0]
            if total > self._most:
                raise TooLarge(
                    f"{place.array_id} would have {total} annotations, and may have {self._most}",
                    "Delete some, or keep objects that were segmented as a label image.",
                )
        return stored, conflicts

    def delete(self, place: Place, ids: Sequence[str] = (), set_name: str = "") -> list[str]:
        """Delete annotations of an image: these, a whole set, or (neither given) all but the server's own.

        Returns
        -------
        list
            Ids of those that were there.
        """
        if set_name.startswith(RESERVED):
            raise _reserved(set_name)
        with self._writing() as db:
            number = self._number(db, place)
            sql = "SELECT roi_id FROM rois WHERE tensor = ? AND substr(set_name, 1, 1) != ?"
            values = [number, RESERVED]
            if set_name:
                sql, values = f"{sql} AND set_name = ?", [*values, set_name]
            there = [row[0] for row in db.execute(f"{sql} ORDER BY number", values)]
            wanted = set(ids) if ids else set(there)
            gone = [one for one in there if one in wanted]
            db.executemany("DELETE FROM rois WHERE roi_id = ?", [(one,) for one in gone])
        return gone

    def everything(self, find: Find) -> Iterator[Annotation]:
        """The annotations of all the images that are offered; under the ids they have now."""
        columns = ", ".join(f"r.{name}" for name in FIELDS)
        sql = f"SELECT t.place, t.field, {columns} FROM rois r JOIN tensors t ON t.number = r.tensor ORDER BY r.number"  # noqa: S608
        with self._reading() as db:
            rows = [(_path(place), inner, _annotation(row, "")) for place, inner, *row in db.execute(sql)]
        for place, inner, one in rows:
            array_id = find(place, inner)
            if array_id is not None:
                yield replace(one, array_id=array_id)

    def look(self, find: Find) -> None:
        """Note which images are there now: those that are offered, and files that exist though nobody offers them."""
        now = time.time_ns() // 1_000_000
        with self._writing() as db:
            rows = db.execute("SELECT number, place, field, array_id FROM tensors").fetchall()
            for number, raw, inner, array_id in rows:
                now_id = find(_path(raw), inner)
                if now_id is not None or _exists(_path(raw)):
                    seen = "UPDATE tensors SET seen_ms = ?, array_id = ? WHERE number = ?"
                    db.execute(seen, (now, now_id or array_id, number))

    def prune(self, days: int, find: Find, apply: bool) -> tuple[list[Orphans], int]:
        """Annotations of images that have not been there for ``days``; with ``apply`` they are deleted.

        Sets of the server's own are kept. Absence is no proof: a disk that is not mounted looks the same.

        Returns
        -------
        tuple
            What was found, and how many were deleted.
        """
        if days < 0:
            raise BadRequest(f"{days} days make no sense", "Give 0 or more.")
        self.look(find)
        before = time.time_ns() // 1_000_000 - days * DAY_MS
        with self._writing() as db:
            found = [
                (number, Orphans(array_id, url, count, seen))
                for number, raw, inner, array_id, url, seen, count in db.execute(ORPHANS, (RESERVED, before))
                if not _exists(place := _path(raw)) and find(place, inner) is None
            ]
            deleted = 0
            for number, _ in found if apply else ():
                gone = db.execute(
                    "DELETE FROM rois WHERE tensor = ? AND substr(set_name, 1, 1) != ?", (number, RESERVED)
                )
                deleted += gone.rowcount
            db.execute("DELETE FROM tensors WHERE number NOT IN (SELECT tensor FROM rois) AND seen_ms <= ?", (before,))
        return [orphans for _, orphans in found], deleted

    # --- inside -----------------------------------------------------------------------------------------------------

    def _number(self, db: sqlite3.Connection, place: Place) -> int | None:
        """The image's row; found by its inode when it was renamed."""
        raw = os.fsencode(place.place)
        found = db.execute("SELECT number FROM tensors WHERE place = ? AND field = ?", (raw, place.field)).fetchone()
        if found is not None:
            return _whole(found[0])
        if place.inode:
            sql = "SELECT number, place FROM tensors WHERE inode = ? AND field = ? AND array_id = ?"
            for number, old in db.execute(sql, (str(place.inode), place.field, place.array_id)).fetchall():
                if not _exists(_path(old)):
                    return _whole(number)
        return None

    def _made(self, db: sqlite3.Connection, place: Place, now: int) -> int:
        number = self._number(db, place)
        values = (os.fsencode(place.place), place.field, place.array_id, place.url, str(place.inode), now)
        if number is None:
            sql = "INSERT INTO tensors (place, field, array_id, url, inode, seen_ms) VALUES (?, ?, ?, ?, ?, ?)"
            return int(db.execute(sql, values).lastrowid or 0)
        changed = "UPDATE tensors SET place = ?, field = ?, array_id = ?, url = ?, inode = ?, seen_ms = ?"
        db.execute(f"{changed} WHERE number = ?", (*values, number))
        return number

    def _kept(self, db: sqlite3.Connection, roi_id: str, tensor: int) -> tuple[int, int] | None:
        sql = "SELECT rev, created_ms, tensor, set_name FROM rois WHERE roi_id = ?"
        found = db.execute(sql, (roi_id,)).fetchone() if roi_id else None
        if found is None:
            return None
        if found[2] != tensor:
            raise BadRequest(f"The annotation {roi_id} is of another image", "Leave roi_id empty to add a new one.")
        if str(found[3]).startswith(RESERVED):
            raise _reserved(found[3])
        return _whole(found[0]), _whole(found[1])

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told():
            yield self._database()

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _told():
            db = self._database()
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            except BaseException:  # also when another server reads for so long that nothing can be written
                with suppress(sqlite3.Error):
                    db.execute("ROLLBACK")
                raise

    def _database(self) -> sqlite3.Connection:
        if self._connected is None:
            self._connected = _connect(self._file if isinstance(self._file, Path) else self._file())
        return self._connected


ORPHANS = """SELECT t.number, t.place, t.field, t.array_id, t.url, t.seen_ms, count(*) FROM tensors t
JOIN rois r ON r.tensor = t.number AND substr(r.set_name, 1, 1) != ? WHERE t.seen_ms <= ?
GROUP BY t.number ORDER BY t.array_id"""
_NAMES = ("tensor", *FIELDS)
PUT = (
    f"INSERT INTO rois ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) "  # noqa: S608
    f"ON CONFLICT (roi_id) DO UPDATE SET {', '.join(f'{n} = excluded.{n}' for n in _NAMES if n != 'roi_id')}"
)


def _connect(file: Path) -> sqlite3.Connection:
    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    db = sqlite3.connect(file, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        file.chmod(0o600)
        # The log's index is shared memory, which machines that share a disk do not share.
        db.execute(f"PRAGMA journal_mode = {'DELETE' if is_remote(file_system(file)) else 'WAL'}")
        db.execute("PRAGMA synchronous = FULL")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version > SCHEMA:
            raise sqlite3.DatabaseError("a newer coverslip wrote it")
        for statement in TABLES:
            db.execute(statement)
        db.execute(f"PRAGMA user_version = {SCHEMA}")
    except BaseException:
        db.close()
        raise
    return db


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError) as error:  # what SQLite says of damage may hold bytes of it
        reason = getattr(error, "strerror", None) or ("it is damaged" if isinstance(error, ValueError) else str(error))
        hint = "See whether the disk of the state folder is full, or who may write there; the file was left as it is."
        raise Unreadable(f"Annotations cannot be read or kept: {reason}", hint, "annotations_unavailable") from error


def _look(given: Sequence[Annotation]) -> None:
    named = [one.roi_id for one in given if one.roi_id]
    if len(set(named)) != len(named):
        raise BadRequest("An annotation is given twice", "Give each id once.")
    for one in given:
        if one.set_name.startswith(RESERVED):
            raise _reserved(one.set_name)


def _reserved(name: str) -> Forbidden:
    return Forbidden(f"The set {name!r} is the server's own", f"Use a name that does not begin with {RESERVED}.")


def _whole(raw: Any) -> int:
    """A number as it was kept."""
    if not isinstance(raw, int):
        raise sqlite3.DatabaseError("an annotation has a number that is none")
    return raw


def _path(raw: Any) -> str:
    """Where an image is, as it was kept."""
    if not isinstance(raw, (bytes, str)):
        raise sqlite3.DatabaseError("an annotation is of no image")
    return os.fsdecode(raw)


def _exists(place: str) -> bool:
    if not place.startswith("/"):
        return False
    try:
        return patiently(Path(place), lambda: os.path.lexists(place))
    except Silent:  # a disk that does not answer is no proof
        return True


def _values(one: Annotation) -> list[object]:
    given = {name: getattr(one, name) for name in FIELDS}
    given["plane"] = json.dumps({str(axis): index for axis, index in sorted(one.plane.items())})
    return list(given.values())


def _annotation(row: Sequence[Any], array_id: str) -> Annotation:
    named = dict(zip(FIELDS, row, strict=True))
    try:
        named["plane"] = {int(axis): index for axis, index in json.loads(named["plane"]).items()}
        return msgspec.convert({**named, "array_id": array_id}, Annotation)
    except (ValueError, TypeError, AttributeError, RecursionError, msgspec.MsgspecError) as error:
        raise sqlite3.DatabaseError("an annotation makes no sense") from error

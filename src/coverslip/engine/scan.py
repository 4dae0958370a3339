"""Finding sources below a root: which files and folders a format claims. Reads names and, of files, the first bytes.

Not looked at: names that start with a dot, folders that systems keep for themselves, files that are in a cloud and not
on this disk, and links that lead outside of what is offered. Anything is listed once, however many names it has.
"""

from __future__ import annotations

import os
import stat as modes
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from coverslip.core.errors import CoverslipError, NotFound, UnknownFormat, Unreadable
from coverslip.core.format import Format, Several, file_etag
from coverslip.engine.found import (
    FAILURES,
    Found,
    Key,
    Omitted,
    Place,
    Recognise,
    Seen,
    folder_stamp,
    in_cloud,
    parent,
)  # fmt: skip
from coverslip.engine.places import Root, inside
from coverslip.engine.suspects import Suspects

SKIPPED_FOLDERS = frozenset(
    ("appdata", "$recycle.bin", "$winreagent", "system volume information", "windows", "program files",
     "program files (x86)", "programdata", "recovery", "node_modules", "lost+found", "__pycache__")
)  # fmt: skip
BATCH = 200


class Tree:
    """What is below one root.

    Parameters
    ----------
    root
        Where.
    roots
        All that are offered: a link may lead from one to another.
    recognise
        Which format claims a path; raises `UnknownFormat` when none does.
    seen
        Shared by the trees of one catalog.
    known
        What was found before; not asked about again while it did not change.
    suspects
        Told of every file that a format is asked about.
    """

    def __init__(
        self,
        root: Root,
        roots: Sequence[Root],
        recognise: Recognise,
        seen: Seen,
        known: Tree | None = None,
        suspects: Suspects | None = None,
    ) -> None:
        self._suspects = suspects or Suspects()
        self.root = root
        self.items: dict[str, Found] = {}
        self.folders: dict[str, Key] = {}
        self.omitted = Omitted()
        self._roots = roots
        self._recognise = root.recognise or recognise
        self._seen = seen
        self._known: dict[str, Found] = known.items if known is not None else {}
        self._unclaimed: dict[str, str] = known._unclaimed if known is not None else {}
        self._passed: dict[str, str] = {}
        self._principal: dict[str, str] = {}
        self._links: list[Place] = []

    def walk(self) -> Iterator[list[Found]]:
        """Look everywhere; yields what was found, a little at a time.

        Raises
        ------
        OSError
            When the root cannot be had.
        """
        stat = self.root.path.stat()
        if modes.S_ISDIR(stat.st_mode):
            yield from self._descend([("", stat)])
        elif self._take("", stat):
            yield from self._settle([("", stat)])
        self._unclaimed, self._known = self._passed, self.items

    def look(self, folder: str) -> None:
        """Look again at the direct entries of one folder, and at all that is new below it."""
        self._known, self._passed = dict(self.items), self._unclaimed
        for path in [p for p in self.items if p == folder or (p and parent(p) == folder)]:
            self._remove(path)
        try:
            stat = self.root.full(folder).stat()
        except OSError:
            self._forget_below(folder)
            return
        if not modes.S_ISDIR(stat.st_mode):
            self._forget_below(folder)
            _all(self._settle([(folder, stat)]) if self._take(folder, stat) else ())
            return
        self._take(folder, stat)
        found, below = self._visit(folder, stat)
        _all(found)
        _all(self._descend([(p, s) for p, s in reversed(below) if self.folders.get(p) != _key(s)]))

    def refresh(self, path: str) -> None:
        """Look again at one known file that was written to."""
        try:
            stat = self.root.full(path).stat()
        except OSError:
            self.look(parent(path) if path else "")
            return
        known = self.items.get(path)
        self._known, self._passed = ({path: known} if known else {}), self._unclaimed
        self._remove(path)
        _all(self._settle([(path, stat)]))

    def touch(self, path: str) -> None:
        """Look again at one entry of a known folder that came, changed or went."""
        folder = parent(path)
        try:
            stat = self.root.full(path).lstat()
        except OSError:
            self._lose(path)
            return
        if modes.S_ISLNK(stat.st_mode) or folder not in self.folders:
            self.look(self.nearest(folder))
        elif self.root.hides(path):
            return
        elif modes.S_ISREG(stat.st_mode):
            if self._take(path, stat):
                self.refresh(path)
        elif modes.S_ISDIR(stat.st_mode) and not _system(path.rpartition("/")[2]):
            self._enter(path, stat)

    def _enter(self, folder: str, stat: os.stat_result) -> None:
        if self.folders.get(folder) != _key(stat):
            self._known, self._passed = dict(self.items), self._unclaimed
            self._forget_below(folder)
            _all(self._descend([(folder, stat)]))

    def _lose(self, path: str) -> None:
        item = self.items.get(path)
        if self._principal.get(path) is not None or (item is not None and item.members):
            self.look(self.nearest(parent(path)))
            return
        self._unclaimed.pop(path, None)
        self._forget_below(path)

    def became_source(self, folder: str) -> bool:
        """Whether a known folder is claimed by a format now, and so to be looked at again."""
        try:
            return folder in self.folders and self._claim(folder, self.root.full(folder).stat()) is not None
        except OSError:
            return False

    def home(self, path: str) -> str | None:
        """The source that ``path`` is, or is a part of; None when it is of none."""
        if path in self._principal:
            return self._principal[path]
        while path not in self.items:
            if not path:
                return None
            path = parent(path)
        return path

    def passed(self, path: str) -> bool:
        """Whether this is a file that no format claims."""
        return path in self._unclaimed

    def nearest(self, path: str) -> str:
        """The deepest known folder on the way to ``path``."""
        while path and path not in self.folders:
            path = parent(path)
        return path

    def _take(self, path: str, stat: os.stat_result) -> bool:
        return self._seen.take(_key(stat), self.root, path)

    def _descend(self, stack: list[Place]) -> Iterator[list[Found]]:
        while stack or self._links:
            if stack:
                folder, stat = stack.pop()
                if self._take(folder, stat):
                    found, below = self._visit(folder, stat)
                    yield from found
                    stack.extend(reversed(below))
                continue
            links, self._links = self._links, []  # all that has a place of its own was found; now other names for it
            stack = [(p, s) for p, s in reversed(links) if modes.S_ISDIR(s.st_mode)]
            yield from self._settle([(p, s) for p, s in links if not modes.S_ISDIR(s.st_mode) and self._take(p, s)])

    def _visit(self, folder: str, stat: os.stat_result) -> tuple[Iterable[list[Found]], list[Place]]:
        """Sources in one folder, and the folders in it."""
        claimed = self._claim(folder, stat)
        if claimed is not None:
            self._forget_below(folder)
            self.items[folder] = claimed
            return [[claimed]], []
        files, below = self._list(folder)
        self.folders[folder] = _key(stat)
        there = {path for path, _ in below}
        for old in [p for p in self.folders if p and parent(p) == folder and p not in there]:
            self._forget_below(old)
        return self._settle([(p, s) for p, s in files if self._take(p, s)]), below

    def _list(self, folder: str) -> tuple[list[Place], list[Place]]:
        files: list[Place] = []
        folders: list[Place] = []
        try:
            with os.scandir(self.root.full(folder)) as entries:
                listed = sorted(entries, key=lambda e: e.name)
        except OSError:
            self.omitted.closed_folders += 1
            return [], []
        for entry in listed:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.name.startswith(".") or (self.root.filtered and self.root.hides(path)):
                continue
            try:
                link = entry.is_symlink()
                if link and not inside(entry.path, self._roots):
                    self.omitted.links_outside += 1
                    continue
                stat = entry.stat()
            except OSError:  # gone again, or a link that leads nowhere
                continue
            if modes.S_ISDIR(stat.st_mode):
                if not _system(entry.name):
                    (self._links if link else folders).append((path, stat))
            elif modes.S_ISREG(stat.st_mode):
                (self._links if link else files).append((path, stat))
        return files, folders

    def _settle(self, files: Iterable[Place]) -> Iterator[list[Found]]:
        """List files, sets of them once."""
        batch: list[Found] = []
        for path, stat in sorted(files, key=lambda file: file[0] not in self._known):  # a set keeps its name
            item = None if self._principal.get(path, path) != path else self._file(path, stat)
            if item is None or not self._absorb(item):
                continue
            self.items[path] = item
            batch.append(item)
            if len(batch) >= BATCH:
                yield batch
                batch = []
        if batch:
            yield batch

    def _absorb(self, item: Found) -> bool:
        """Whether a source is to be listed; its members no longer are."""
        for member in item.members:
            other = self.items.get(member)
            if other is None or member == item.path or item.path not in (again := self._members_of(other)):
                continue
            self._remove(member)  # the set has grown; it keeps the name it had
            grown = self._grouped(replace(other, members=()), again)
            self.items[member] = grown
            self._principal.update(dict.fromkeys(again, member))
            return False
        for member in item.members:
            if member != item.path and member in self.items:
                self._remove(member)
        self._principal.update(dict.fromkeys(item.members, item.path))
        return True

    def _file(self, path: str, stat: os.stat_result) -> Found | None:
        stamp = file_etag(stat)
        known = self._known.get(path)
        if known is not None and not known.folder and known.error is None:
            same = self._grouped(known, known.members).stamp if known.members else stamp
            if same == known.stamp:
                return known
        if self._unclaimed.get(path) == stamp:
            self._passed[path] = stamp
            return None
        if in_cloud(stat):
            self.omitted.in_cloud += 1
            return None
        form = self._ask(path)
        if form is None:
            self._passed[path] = stamp
            return None
        if isinstance(form, CoverslipError):
            return Found(path, "", "arrays", False, stat.st_size, stat.st_mtime_ns, stat.st_ino, stamp, (), form)
        item = Found(path, form.name, form.kind, False, stat.st_size, stat.st_mtime_ns, stat.st_ino, stamp)
        return self._grouped(item, self._members(path, form))

    def _claim(self, folder: str, stat: os.stat_result) -> Found | None:
        known = self._known.get(folder)
        stamp, modified_ns = "", 0
        if known is not None and known.folder:
            stamp, modified_ns = folder_stamp(self.root.full(folder), stat)
            if stamp == known.stamp:
                return known
        form = self._ask(folder)
        if form is None or isinstance(form, CoverslipError):
            return None
        if not stamp:
            stamp, modified_ns = folder_stamp(self.root.full(folder), stat)
        return Found(folder, form.name, form.kind, True, 0, modified_ns, stat.st_ino, stamp)

    def _ask(self, path: str) -> Format | CoverslipError | None:
        full = self.root.full(path)
        try:
            with self._suspects.looking(full, "recognise"):
                return self._recognise(full)
        except (UnknownFormat, NotFound):
            return None
        except CoverslipError as error:
            return error
        except FAILURES as error:
            return Unreadable(f"{full.name} could not be looked at: {error}", "Check who may read it: ls -l.")

    def _members_of(self, item: Found) -> tuple[str, ...]:
        form = self._ask(item.path)
        return () if form is None or isinstance(form, CoverslipError) else self._members(item.path, form)

    def _members(self, path: str, form: Format) -> tuple[str, ...]:
        """Paths of the files of a set, below the root; empty for a file on its own."""
        if not isinstance(form, Several):
            return ()
        try:
            named = form.members(self.root.full(path))
        except (CoverslipError, *FAILURES):
            return ()  # it is listed on its own; opening it will tell what ails it
        base = f"{str(self.root.path).rstrip('/')}/"
        below = {str(m)[len(base) :] for m in named if str(m).startswith(base)} | {path}
        return tuple(sorted(below)) if len(below) > 1 else ()

    def _grouped(self, item: Found, members: tuple[str, ...]) -> Found:
        """An item with the size, time and stamp of all its members."""
        if not members:
            return item
        stats = []
        for member in members:
            try:
                stats.append(self.root.full(member).stat())
            except OSError:
                continue
        stamp = sha256(" ".join(file_etag(s) for s in stats).encode()).hexdigest()[:32]
        size, modified_ns = sum(s.st_size for s in stats), max((s.st_mtime_ns for s in stats), default=0)
        return replace(item, members=members, size=size, modified_ns=modified_ns, stamp=stamp)

    def _remove(self, path: str) -> None:
        item = self.items.pop(path, None)
        for member in item.members if item is not None else ():
            if self._principal.get(member) == path:
                del self._principal[member]

    def _forget_below(self, folder: str) -> None:
        start = f"{folder}/" if folder else ""
        for path in [p for p in self.items if p == folder or p.startswith(start)]:
            self._remove(path)
        for path in [p for p in self.folders if p == folder or p.startswith(start)]:
            del self.folders[path]


def _key(stat: os.stat_result) -> Key:
    return stat.st_dev, stat.st_ino


def _all(batches: Iterable[list[Found]]) -> None:
    for _ in batches:
        pass


def _system(name: str) -> bool:
    return name.casefold() in SKIPPED_FOLDERS or name.startswith("OneDrive")

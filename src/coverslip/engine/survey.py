"""Keeping the list true: one thread looks everywhere once, then listens, and looks again where something happened."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence
from typing import Protocol

from coverslip.engine.found import Found, Key, Omitted, Recognise, Seen, parent
from coverslip.engine.listening import claimed, folders_of, targets
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.reach import Reach
from coverslip.engine.scan import Tree
from coverslip.engine.suspects import Suspects
from coverslip.engine.watch import MODIFIED, Changes, Watch

LOG = logging.getLogger("coverslip.catalog")
TICK_S = 1.0
FALLBACK_S = 2.0
"""How often a local disk is looked at that cannot be watched; less often when looking takes long."""
REST = 4.0
"""Looking takes at most one part in this many of the time, plus one."""
COVER_S = 0.5


class List(Protocol):
    """What the survey needs of the catalog."""

    def known(self, root: Root) -> dict[str, Found]:
        """What was found below a root before."""

    def device(self, root: Root) -> int | None:
        """The device a root was on before."""

    def publish(self, tree: Tree, found: Sequence[Found] | None, dirty: set[str], hot: bool) -> None:
        """Sources that were found, some of them, or (None) all there are: others are gone."""

    def missing(self, root: Root) -> None:
        """A root cannot be reached."""

    def reached(self, root: Root, device: int) -> None:
        """A root can be reached."""

    def verify(self, root: Root) -> None:
        """Look deeper into the folders of a root, when there is time."""


class Survey:
    """The thread that scans and listens.

    Parameters
    ----------
    roots
        What is offered.
    recognise
        Which format claims a path.
    catalog
        Is told what was found.
    options
        How often to look.
    suspects
        Told of every file that is looked at.
    """

    def __init__(
        self, roots: list[Root], recognise: Recognise, catalog: List, options: CatalogOptions, suspects: Suspects
    ) -> None:
        self._suspects = suspects
        self._roots = roots
        self._recognise = recognise
        self._catalog = catalog
        self._options = options
        self._seen = Seen()
        self._trees: dict[str, Tree] = {}
        self._local: dict[str, bool] = {}
        self._reach = Reach(catalog)
        self._next: dict[str, float] = {}
        self._took: dict[str, float] = {}
        self._next_cover = 0.0
        self._uncovered = False
        self._covered_once = False
        self._heard: Changes = set()
        self._wake = threading.Condition()
        self._ending = threading.Event()
        self._watch: Watch | None = Watch(self._hear)
        self._arriving: list[Root] = []
        self._leaving: list[Root] = []
        self._working = True
        self.first = threading.Event()
        self.scanning = False
        self._thread = threading.Thread(target=self._run, name="coverslip-catalog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def close(self) -> None:
        """End between two folders."""
        self._ending.set()
        with self._wake:
            self._wake.notify()
        if self._watch is not None:
            self._watch.close()
        if self._thread.is_alive():
            self._thread.join(10)

    @property
    def scanned(self) -> bool:
        """Whether everything was looked at once."""
        return self.first.is_set()

    @property
    def idle(self) -> bool:
        """Whether all that was heard was looked at."""
        with self._wake:
            return self.scanned and not self._working and not self._heard

    @property
    def watching(self) -> bool:
        """Whether the system tells of changes; else they are looked for."""
        return self._watch is not None

    def offer(self, root: Root) -> None:
        """Look below one root more."""
        with self._wake:
            self._arriving.append(root)
            self._working = True
            self._wake.notify()

    def withdraw(self, root: Root) -> None:
        """Look below a root no longer."""
        with self._wake:
            self._leaving.append(root)
            self._working = True
            self._wake.notify()

    def look_at(self, path: str) -> None:
        """Look soon at a path, which may be new."""
        self._hear({(MODIFIED + 1, path)})

    def _hear(self, changes: Changes) -> None:
        with self._wake:
            self._heard |= changes
            self._wake.notify()

    def _run(self) -> None:
        try:
            self._first()
        except Exception:  # the top of a thread
            LOG.exception("the first scan failed")
        self.first.set()
        self._working = False
        while not self._ending.is_set():
            changes = self._wait()
            started = time.monotonic()
            try:
                self._take_turns()
                if changes:
                    self._look(changes)
                self._tick()
            except Exception:  # the top of a thread: the next round may go well
                LOG.exception("looking for changes failed")
            with self._wake:
                self._working = False
            if changes:
                self._ending.wait((time.monotonic() - started) * REST)

    def _wait(self) -> Changes:
        with self._wake:
            if not (self._heard or self._arriving or self._leaving or self._ending.is_set()):
                self._wake.wait(TICK_S)
            changes, self._heard = self._heard, set()
            self._working = bool(changes or self._uncovered or self._arriving or self._leaving)
            return changes

    def _take_turns(self) -> None:
        """Begin with roots that came, be done with those that went."""
        with self._wake:
            arriving, self._arriving = self._arriving, []
            leaving, self._leaving = self._leaving, []
        for root in leaving:
            self._roots.remove(root)
            self._seen.forget(root)
            for kept in (self._trees, self._local, self._next, self._took):
                kept.pop(root.alias, None)
            self._reach.forget(root)
        for root in arriving:
            self._local[root.alias], self._trees[root.alias] = root.local, self._tree(root)
            self._roots.append(root)
        if arriving:
            self._scan(arriving)
        self._uncovered = self._uncovered or bool(arriving or leaving)

    def _first(self) -> None:
        for root in self._roots:
            self._local[root.alias] = root.local
            known = self._tree(root)
            known.items = self._catalog.known(root)
            self._trees[root.alias] = known
        self._scan(self._roots)
        self.first.set()
        if any(self._local.values()) and not self._ending.is_set():
            self._cover()
            self._scan([r for r in self._roots if self._local[r.alias]])  # what happened before the watch began
        self._tell_omitted()

    def _tree(self, root: Root, known: Tree | None = None) -> Tree:
        return Tree(root, self._roots, self._recognise, self._seen, known, self._suspects)

    def _scan(self, roots: Sequence[Root]) -> None:
        """Look everywhere below these roots."""
        self.scanning = True
        try:
            for root in roots:
                self._seen.forget(root)
                self._scan_root(root)
        finally:
            self.scanning = False

    def _scan_root(self, root: Root) -> None:
        started = time.monotonic()
        if not self._reach.there(root, self._trees[root.alias]):
            self._schedule(root)
            return
        tree = self._tree(root, self._trees.get(root.alias))
        try:
            for found in tree.walk():
                if self._ending.is_set():
                    return
                self._catalog.publish(tree, found, set(), hot=False)
        except OSError:
            self._lose(root)
            return
        self._trees[root.alias] = tree
        self._catalog.publish(tree, None, set(), hot=False)
        self._took[root.alias] = time.monotonic() - started
        self._schedule(root)

    def _schedule(self, root: Root) -> None:
        options, took = self._options, self._took.get(root.alias, 0.0)
        if not self._local[root.alias]:
            wait = max(options.rescan_s, took * REST)
        elif self._watch is None:
            wait = min(max(FALLBACK_S, took * 20), max(options.rescan_s, took * REST))
        else:
            wait = max(options.full_rescan_s, took * REST)
        self._next[root.alias] = time.monotonic() + wait

    def _lose(self, root: Root) -> None:
        self._reach.lose(root)
        self._schedule(root)

    def _tick(self) -> None:
        """What is due without anything having been heard."""
        now = time.monotonic()
        again = [r for r in self._roots if self._moved(r) or now >= self._next.get(r.alias, now + 1)]
        if again:
            with self._wake:
                self._working = True
            self._scan(again)
            for root in again:
                if not self._local[root.alias] or now >= self._next.get(root.alias, now):
                    self._catalog.verify(root)
            self._uncovered = True
        if self._watch is not None and self._watch.lost:
            self._give_up("it failed")
        if self._uncovered and now >= self._next_cover:
            self._cover()

    def _moved(self, root: Root) -> bool:
        """Whether a root came, went, or is another one than it was."""
        if not self._local[root.alias] and not self._reach.missing(root):
            return False
        return self._reach.moved(root, self._trees[root.alias])

    def _cover(self) -> None:
        """Watch the folders there are now, and look again at those that were not watched before."""
        if self._watch is None or self._ending.is_set():
            self._uncovered = False
            return
        started, again = time.monotonic(), self._covered_once
        try:
            new = self._watch.cover(self._folders())
        except OSError as error:
            self._give_up(str(error))
            return
        self._uncovered = False
        self._covered_once = True
        self._next_cover = time.monotonic() + max(COVER_S, REST * (time.monotonic() - started))
        if again:
            self._look({(MODIFIED + 1, f"{path}/.") for path in new})

    def _give_up(self, reason: str) -> None:
        """Look for changes from now on instead of listening."""
        LOG.warning("Changes are looked for every few seconds, the system cannot tell of them: %s", reason)
        if self._watch is not None:
            self._watch.close()
        self._watch = None
        for root in self._roots:
            self._schedule(root)

    def _folders(self) -> dict[str, Key]:
        found: dict[str, Key] = {}
        for root in self._roots:
            if not self._local[root.alias] or self._reach.missing(root):
                continue
            found |= folders_of(root, self._trees[root.alias])
        return found

    def _look(self, changes: Changes) -> None:
        """Look where something happened."""
        for root in self._roots:
            if self._reach.missing(root):
                continue
            base = str(root.path)
            below = [(c, p) for c, p in changes if p == base or p.startswith(f"{base.rstrip('/')}/")]
            if below:
                self._look_below(root, [(c, p[len(base) :].strip("/")) for c, p in below])

    def _look_below(self, root: Root, changes: list[tuple[int, str]]) -> None:
        tree = self._trees[root.alias]
        folders, files, dirty, entries = targets(tree, changes)
        if not (folders or files or dirty or entries):
            return
        if not root.path.exists():
            self._lose(root)
            return
        before, inodes = dict(tree.folders), {item.inode for item in tree.items.values()}
        sources = claimed(tree)
        for path in sorted(entries):
            tree.touch(path)
        folders |= {folder for folder in {parent(path) for path in entries} if tree.became_source(folder)}
        for path in sorted(folders):
            tree.look(path)
        for path in sorted(files):
            tree.refresh(path)
        self._catalog.publish(tree, None, {path for path in dirty if path in tree.items}, hot=True)
        if tree.folders != before or dirty or claimed(tree) != sources:
            self._uncovered = True
        lost = inodes - {item.inode for item in tree.items.values()}
        if lost & {inode for _, inode in self._seen.shadowed}:  # another name for it may be there still
            self._seen.shadowed.clear()
            self._scan(self._roots)

    def _tell_omitted(self) -> None:
        total = Omitted()
        for tree in self._trees.values():
            for name, count in vars(tree.omitted).items():
                setattr(total, name, getattr(total, name) + count)
        for count, one, many in (
            (total.links_outside, "link leads outside of what is offered and is not followed",
             "links lead outside of what is offered and are not followed"),
            (total.in_cloud, "file is in a cloud and not on this disk", "files are in a cloud and not on this disk"),
            (total.closed_folders, "folder may not be read", "folders may not be read"),
        ):  # fmt: skip
            if count:
                LOG.warning("%d %s.", count, one if count == 1 else many)

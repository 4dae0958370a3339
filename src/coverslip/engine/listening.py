"""What to listen to, and where to look again when something was heard."""

from __future__ import annotations

from collections import Counter

from coverslip.engine.found import Key, parent
from coverslip.engine.places import Root
from coverslip.engine.scan import Tree
from coverslip.engine.watch import MODIFIED, inner_folders

MOST_ENTRIES = 500
"""How many changed entries of one folder are looked at one by one."""


def folders_of(root: Root, tree: Tree) -> dict[str, Key]:
    """Folders of this machine in which changes of a root can happen, and which ones they are."""
    found = {str(root.full(path)): key for path, key in tree.folders.items()}
    for item in tree.items.values():
        if item.folder:
            found |= inner_folders(str(root.full(item.path)))
        elif not item.path:
            stat = root.path.parent.stat()
            found[str(root.path.parent)] = (stat.st_dev, stat.st_ino)
    return found


def claimed(tree: Tree) -> set[str]:
    """Folders that are sources; those below them are watched too."""
    return {path for path, item in tree.items.items() if item.folder}


def targets(tree: Tree, changes: list[tuple[int, str]]) -> tuple[set[str], set[str], set[str], set[str]]:
    """What to look at again: folders, known files, claimed folders in which something changed, other entries."""
    folders: set[str] = set()
    files: set[str] = set()
    dirty: set[str] = set()
    entries: set[str] = set()
    for change, path in changes:
        home = tree.home(path)
        if home is not None and tree.items[home].folder:
            dirty.add(home)
            folders.add(home)
        elif path.endswith("/."):  # a folder that is watched from now on
            folders.add(tree.nearest(path[:-2]))
        elif any(part.startswith(".") for part in path.split("/")):
            continue
        elif change == MODIFIED and (home is not None or tree.passed(path)):
            files.add(home if home is not None else path)
        elif path and parent(path) in tree.folders:
            entries.add(path)
        else:
            folders.add(tree.nearest(parent(path)))
    for folder, count in Counter(map(parent, entries)).items():
        if count > MOST_ENTRIES:  # then looking at the whole folder is quicker
            folders.add(folder)
            entries = {path for path in entries if parent(path) != folder}
    return folders, files, dirty, entries

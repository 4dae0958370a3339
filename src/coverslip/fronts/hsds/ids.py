"""Ids of objects as HSDS writes them: ``g-``, ``d-`` or ``t-`` and 32 hexadecimal digits in groups of 8-8-4-6-6.

The first 16 digits are the file's (as of the root in HSDS), the others the object's.
"""

from __future__ import annotations

import re
from hashlib import blake2b, sha256
from typing import Literal

from coverslip.core.typed import Kind, Target, TypedFile

LETTERS: dict[Kind, str] = {"group": "g", "dataset": "d", "datatype": "t"}
KINDS: dict[str, Kind] = {"groups": "group", "datasets": "dataset", "datatypes": "datatype"}
COLLECTIONS: dict[Kind, Literal["groups", "datasets", "datatypes"]] = {
    "group": "groups",
    "dataset": "datasets",
    "datatype": "datatypes",
}
ID = re.compile(r"([gdt])-([0-9a-f]{8})-([0-9a-f]{8})-([0-9a-f]{4})-([0-9a-f]{6})-([0-9a-f]{6})")


class Ids:
    """The ids of one version of a file."""

    def __init__(self, file: TypedFile) -> None:
        self._file = file
        self._prefix = sha256(file.identity.encode()).hexdigest()[:16]
        self._targets: dict[str, Target] = {}
        self._texts: dict[int, str] = {}

    @property
    def root(self) -> str:
        """Of the root group."""
        return self.of(self._file.top)

    def of(self, target: Target) -> str:
        """Of an object."""
        known = self._texts.get(target.address)
        if known is None:
            own = blake2b(f"{self._prefix}{target.address}".encode(), digest_size=8).hexdigest()
            p = self._prefix
            known = f"{LETTERS[target.kind]}-{p[:8]}-{p[8:]}-{own[:4]}-{own[4:10]}-{own[10:]}"
            self._texts[target.address] = known
            self._targets[known] = target
        return known

    def current(self, id: str) -> bool:
        """Whether an id is of this version of the file."""
        return id[2:19].replace("-", "") == self._prefix

    def target(self, id: str) -> Target | None:
        """The object of an id; the file is walked as far as it takes to find it."""
        found = self._targets.get(id)
        if found is not None and self._file.known(found.address):
            return found
        if not self.current(id):
            return None
        for target in self._file.walk():
            if self.of(target) == id:
                return target
        return None

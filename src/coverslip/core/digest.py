"""A digest of the names of cells in their order: the same cells in another order have another one."""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256


class NamesDigest:
    """SHA-256 of names in UTF-8, joined by line feeds, taken block by block."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._began = False

    def add(self, names: Iterable[str]) -> None:
        """Take the next names."""
        text = "\n".join(names).encode("utf-8", "surrogatepass")
        self._hash.update(b"\n" + text if self._began else text)
        self._began = True

    def __str__(self) -> str:
        """``sha256:`` and 64 hexadecimal digits."""
        return f"sha256:{self._hash.hexdigest()}"

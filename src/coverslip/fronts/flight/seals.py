"""Seals: what whoever holds a ticket may read without the server's token, for a while."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
import secrets
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.engine.state import state_folder

LOG = logging.getLogger("coverslip.flight")
KEY_FILE = "ticket-seal.key"
KEY_BYTES = 32
SEAL_BYTES = 16
DOMAIN = b"biopb-chunk-seal-1"
PRIVATE = 0o600


class Seals:
    """Makes and checks seals.

    The key is kept in a file of its owner's, so that tickets outlive the server; another token of the server is another
    key, so that a new token ends whatever was handed out.

    Parameters
    ----------
    tokens
        The server's, the newest first; seals of any of them hold.
    key
        Where the key comes from; asked once, when the first seal is made or checked.
    """

    def __init__(self, tokens: Callable[[], Sequence[str]], key: Callable[[], bytes] | None = None) -> None:
        self._tokens = tokens
        self._load = key or kept_key
        self._kept: bytes | None = None
        self._keys: tuple[Sequence[str], tuple[bytes, ...]] = ((), ())

    def sign(self, *parts: bytes) -> bytes:
        """The seal of some bytes: HMAC-SHA256 of the parts, each after its length, cut to 16 bytes."""
        return _sealed(self._current()[0], parts)

    def holds(self, seal: bytes, expires_at: int, *parts: bytes) -> bool:
        """Whether a seal is ours for these parts and not over; compared in constant time."""
        newest, *older = self._current()
        right = hmac.compare_digest(seal, _sealed(newest, parts))
        right = right or any(hmac.compare_digest(seal, _sealed(key, parts)) for key in older)
        return right and (not expires_at or expires_at > time.time())

    def _current(self) -> tuple[bytes, ...]:
        tokens, keys = self._keys
        now = self._tokens()
        if not keys or tokens != now:
            if self._kept is None:
                self._kept = self._load()
            keys = tuple(hmac.digest(self._kept, token.encode(), "sha256") for token in now or ("",))
            self._keys = now, keys
        return keys

    def of_chunks(self, identity: bytes, start: Sequence[int], stop: Sequence[int], expires_at: int) -> bytes:
        """The seal of a window of a plan's grid."""
        return self.sign(*_chunk_parts(identity, start, stop, expires_at))

    def covers(
        self,
        seal: bytes,
        identity: bytes,
        start: Sequence[int],
        stop: Sequence[int],
        expires_at: int,
        at: Sequence[int],
    ) -> bool:
        """Whether a seal lets one chunk be read."""
        inside = len(start) == len(stop) == len(at) and all(a <= i < b for a, i, b in zip(start, at, stop, strict=True))
        return self.holds(seal, expires_at, *_chunk_parts(identity, start, stop, expires_at)) and inside


def _sealed(key: bytes, parts: tuple[bytes, ...]) -> bytes:
    framed = b"".join(len(part).to_bytes(4, "big") + part for part in parts)
    return hmac.new(key, framed, hashlib.sha256).digest()[:SEAL_BYTES]


def _chunk_parts(identity: bytes, start: Sequence[int], stop: Sequence[int], expires_at: int) -> tuple[bytes, ...]:
    low, high = (b"".join((n & 0xFFFFFFFF).to_bytes(4, "big") for n in side) for side in (start, stop))
    return DOMAIN, identity, low, high, (expires_at & 0xFFFFFFFFFFFFFFFF).to_bytes(8, "big")


def kept_key() -> bytes:
    """The key of this user, made when there is none; one that lasts as long as the server where none can be kept."""
    try:
        return _read_or_make(state_folder() / KEY_FILE)
    except (CoverslipError, OSError) as error:
        LOG.warning("Tickets end with this server, because their key cannot be kept: %s", error)
        return secrets.token_bytes(KEY_BYTES)


def _read_or_make(file: Path) -> bytes:
    with suppress(FileNotFoundError):
        key = file.read_bytes()
        if len(key) == KEY_BYTES and not (os.name == "posix" and file.stat().st_mode & 0o077):
            return key
        LOG.warning("The key of tickets was damaged or could be read by others; a new one is made.")
        file.unlink()
    key = secrets.token_bytes(KEY_BYTES)
    part = file.with_name(f"{KEY_FILE}.{os.getpid()}.{secrets.token_hex(4)}")
    handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    try:
        with os.fdopen(handle, "wb") as written:
            written.write(key)
        try:
            os.link(part, file)  # whole at once, and never over another server's
        except FileExistsError:
            return file.read_bytes()
        except OSError:  # a file system without links
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)
    return key

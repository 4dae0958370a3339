"""What is uploaded: where it belongs, its shape and grid, and how far it is.

An upload is PENDING while its chunks arrive, READY (readable, and final) when it was published, DISCARDED when it was
given up.
"""

from __future__ import annotations

import math
import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from coverslip.core.errors import BadRequest, CoverslipError, TooLarge
from coverslip.core.ngff import Axis

PENDING, READY, DISCARDED = "PENDING", "READY", "DISCARDED"
SCRATCH = "scratch"
"""The source of uploads that belong to no other."""
FIELDS, LABELS = "@fields", "@labels"
SCHEMES = ("zarr", "cache")
LARGEST_CHUNK = 64 << 20
"""Bytes of the largest chunk; one message of Flight holds it."""
SPLIT_CHUNK = 16 << 20
"""Bytes of a chunk that was asked for larger than the largest."""
MOST_CHUNKS = 1_000_000
MOST_AXES = 12
KINDS = "buif"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+ -]{0,99}")
DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)
"""Names that are no files on Windows."""


class UploadOver(CoverslipError):
    """An upload that takes no more: it was published or given up.

    Parameters
    ----------
    array_id
        Its id.
    state
        ``READY`` or ``DISCARDED``.
    reason
        Why it was given up.
    """

    code = "upload_over"

    def __init__(self, array_id: str, state: str, reason: str = "") -> None:
        what = "was discarded" if state == DISCARDED else "is finished, and takes no more chunks"
        super().__init__(f"The upload {array_id} {what}{f': {reason}' if reason else ''}", "Start a new one.")
        self.array_id, self.state, self.reason = array_id, state, reason


@dataclass(frozen=True, slots=True)
class Target:
    """Where an uploaded array belongs.

    Attributes
    ----------
    array_id
        As clients call it.
    source_id
        The source that it is added to.
    image
        The path inside the source of the image that it labels; None for an array of its own.
    name
        Its own name.
    """

    array_id: str
    source_id: str
    image: str | None
    name: str

    @property
    def path(self) -> tuple[str, ...]:
        """Where it is in the source's tree: NGFF keeps label images in ``labels``."""
        if self.image is None:
            return (FIELDS, self.name)
        return (*filter(None, self.image.split("/")), "labels", self.name)

    @classmethod
    def of(cls, array_id: str) -> Target:
        """The target of an id, with or without a scheme before it.

        Raises
        ------
        BadRequest
            When it is none, or its name is no name of a folder everywhere.
        """
        scheme, given, rest = array_id.partition("://")
        if given and scheme not in SCHEMES:
            raise BadRequest(f"Uploads cannot be stored as {scheme[:40]!r}", "Use zarr://.")
        plain = rest if given else array_id
        source_id, _, inner = plain.partition("/")
        parts = inner.split("/")
        if not source_id or len(parts) < 2 or parts[-2] not in (FIELDS, LABELS) or len(parts) > 2 + MOST_AXES:
            raise BadRequest(
                f"{plain[:200]!r} is no place for an upload",
                "Use zarr://SOURCE/@fields/NAME, or zarr://IMAGE/@labels/NAME for labels of an image.",
            )
        name = parts[-1]
        if not NAME.fullmatch(name) or DEVICES.fullmatch(name) or name.endswith((".", " ")):
            hint = "Use letters, digits and . _ + - in at most 100 characters, ending in neither a dot nor a space."
            raise BadRequest(f"{name[:120]!r} cannot be the name of an upload", hint)
        above = parts[:-2]
        if parts[-2] == FIELDS and above:
            raise BadRequest(f"Fields are added to sources, not to {'/'.join(above)!r}", "Use SOURCE/@fields/NAME.")
        if any(part in ("", ".", "..") for part in above):
            raise BadRequest(f"{plain[:200]!r} is no place for an upload", "Use the image's own id.")
        return cls(plain, source_id, "/".join(above) if parts[-2] == LABELS else None, name)


@dataclass(frozen=True)
class Declared:
    """What somebody wants to upload.

    Attributes
    ----------
    target
        Where it belongs.
    shape
        At least 1 along each axis.
    dtype
        Numbers or booleans in the byte order of this machine.
    chunks
        The grid of its chunks.
    axes
        One for each dimension.
    ttl_s
        How long it is to be kept, in seconds; None: for ever.
    """

    target: Target
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    chunks: tuple[int, ...]
    axes: tuple[Axis, ...]
    ttl_s: float | None = None

    @classmethod
    def of(
        cls,
        target: Target,
        shape: Sequence[int],
        dtype: str,
        chunks: Sequence[int],
        axes: Sequence[Axis],
        ttl_s: float | None = None,
    ) -> Declared:
        """Look at what is wanted, and choose the grid.

        Raises
        ------
        BadRequest, TooLarge
            When it cannot be had.
        """
        kind = _dtype(dtype)
        if not 1 <= len(shape) <= MOST_AXES or any(n < 1 for n in shape):
            raise BadRequest(f"An array of shape {list(shape)[:20]} cannot be uploaded", "Every axis has 1 or more.")
        if math.prod(shape) * kind.itemsize >= 1 << 62:
            raise TooLarge(f"An array of shape {list(shape)} is too large", "Upload a smaller one.")
        if len(axes) != len(shape) or len({axis.name for axis in axes}) != len(axes):
            raise BadRequest(f"{len(axes)} names do not fit {len(shape)} axes", "Give each axis a name of its own.")
        if chunks and (len(chunks) != len(shape) or any(n < 1 for n in chunks)):
            hint = "Give 1 or more for each axis."
            raise BadRequest(f"Chunks of shape {list(chunks)[:20]} do not fit {list(shape)}", hint)
        if ttl_s is not None and ttl_s <= 0:
            raise BadRequest("ttl_seconds is 0", "Give 1 or more, or leave it out.")
        grid = _grid(tuple(shape), tuple(chunks), kind.itemsize)
        if math.prod(_counts(tuple(shape), grid)) > MOST_CHUNKS:
            raise TooLarge(f"Chunks of {list(grid)} make more than {MOST_CHUNKS:,}", "Ask for larger ones.")
        return cls(target, tuple(shape), kind, grid, tuple(axes), ttl_s)

    @property
    def counts(self) -> tuple[int, ...]:
        """How many chunks there are along each axis."""
        return _counts(self.shape, self.chunks)

    @property
    def expected(self) -> int:
        """How many chunks there are."""
        return math.prod(self.counts)

    def index(self, start: Sequence[int], stop: Sequence[int]) -> tuple[int, ...]:
        """The number, along each axis, of the chunk with these bounds.

        Raises
        ------
        BadRequest
            When they are not one whole chunk.
        """
        wrong = BadRequest(f"{list(start)} to {list(stop)} is not one chunk", f"Chunks are {list(self.chunks)}.")
        if not len(start) == len(stop) == len(self.shape):
            raise wrong
        index = []
        for a, b, size, n in zip(start, stop, self.shape, self.chunks, strict=True):
            if not (0 <= a < size and a % n == 0 and b == min(a + n, size)):
                raise wrong
            index.append(a // n)
        return tuple(index)

    def bounds(self, index: Sequence[int]) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Start and stop of a chunk."""
        start = tuple(i * n for i, n in zip(index, self.chunks, strict=True))
        return start, tuple(min(a + n, s) for a, n, s in zip(start, self.chunks, self.shape, strict=True))


@dataclass
class Upload:
    """One upload and how far it is. Changed by `coverslip.engine.uploads` only, under its ``lock``.

    Attributes
    ----------
    id
        Its own for ever; another upload of the same name has another.
    declared
        What it is.
    state
        ``PENDING``, ``READY`` or ``DISCARDED``.
    reason
        Why it was given up.
    written
        Numbers of the chunks that have arrived.
    created_s, expires_s
        In seconds since 1970; when it is discarded by itself, or None.
    """

    id: str
    declared: Declared
    state: str = PENDING
    reason: str = ""
    written: set[tuple[int, ...]] = field(default_factory=set)
    created_s: float = field(default_factory=time.time)
    expires_s: float | None = None
    touched: float = field(default_factory=time.monotonic)
    busy: int = 0
    lock: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        # From now on by a clock that nobody sets: one that jumps to next year ends no upload.
        left_s = None if self.expires_s is None else self.expires_s - time.time()
        self._ends = None if left_s is None else time.monotonic() + left_s

    @property
    def ended(self) -> bool:
        """Whether its time to live is over."""
        return self._ends is not None and time.monotonic() >= self._ends

    @property
    def array_id(self) -> str:
        """As clients call it."""
        return self.declared.target.array_id

    @property
    def left_s(self) -> int | None:
        """How long it will be kept, in whole seconds, or None."""
        return None if self._ends is None else max(math.ceil(self._ends - time.monotonic()), 0)

    def over(self) -> UploadOver:
        """Why it takes no more."""
        return UploadOver(self.array_id, self.state, self.reason)


def _dtype(given: str) -> np.dtype[Any]:
    hint = "Booleans, integers and floats in the byte order of this machine can be uploaded: uint16, float32."
    try:
        found = np.dtype(given)
    except (TypeError, ValueError, SyntaxError) as error:
        raise BadRequest(f"{given[:60]!r} is no dtype", hint) from error
    if found.kind not in KINDS or found.itemsize > 8 or not found.isnative or found.shape:
        raise BadRequest(f"Arrays of {found.str} cannot be uploaded", hint)
    return found


def _grid(shape: tuple[int, ...], wanted: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """The chunks that were asked for, halved until one message holds them; planes last."""
    chunks = [min(n, size) for n, size in zip(wanted or shape, shape, strict=True)]
    if math.prod(chunks) * itemsize <= LARGEST_CHUNK:
        return tuple(chunks)
    while math.prod(chunks) * itemsize > SPLIT_CHUNK:
        lead = [i for i, n in enumerate(chunks[:-2]) if n > 1]
        axis = lead[0] if lead else max(range(len(chunks)), key=lambda i: chunks[i])
        chunks[axis] = -(-chunks[axis] // 2)
    return tuple(chunks)


def _counts(shape: tuple[int, ...], chunks: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(-(-size // n) for size, n in zip(shape, chunks, strict=True))

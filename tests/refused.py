"""Requests that are refused, read to their end and closed.

An answer that nobody closes is closed when Python collects it, which warns in the middle of whatever test runs then.
"""

from __future__ import annotations

import contextlib
import urllib.error
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field


@dataclass
class Refusal:
    """What came with the refusal, once the block has ended."""

    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@contextlib.contextmanager
def refused_with(status: int) -> Iterator[Refusal]:
    """The request that this block sends by urllib is answered with this status."""
    refusal, code = Refusal(), None
    try:
        yield refusal
    except urllib.error.HTTPError as error:
        with error:
            code, refusal.headers, refusal.body = error.code, error.headers, error.read()
    assert code == status, f"answered with {code or 'data'} and not {status}: {refusal.body[:500]!r}"

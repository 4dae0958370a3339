"""A server's tokens, and a clock that is set."""

from __future__ import annotations

import pytest

from coverslip.engine.keys import KEY_BYTES

TOKEN, OTHER = "open-sesame-open-sesame", "another-sesame-another"
KEY = b"k" * KEY_BYTES
WHERE = "/data/lung.h5ad"


class Clock:
    """Seconds since 1970, as a test sets them."""

    now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()

"""Names taken block by block have the digest of them all."""

from __future__ import annotations

import hashlib

import pytest

from coverslip.core.digest import NamesDigest


@pytest.mark.parametrize("blocks", [[], [["a"]], [["a", "β"], ["c"]], [["a"], ["b"], [""]]])
def test_blocks_are_joined_as_one(blocks: list[list[str]]) -> None:
    made = NamesDigest()
    for block in blocks:
        made.add(block)
    joined = "\n".join(name for block in blocks for name in block)
    assert str(made) == f"sha256:{hashlib.sha256(joined.encode()).hexdigest()}"

"""A start in which nothing is thrown away; in a process of its own, whose garbage is nobody else's."""

from __future__ import annotations

import subprocess
import sys

ONCE_STARTED = """
import gc
from coverslip.starting import start

with start() as started:
    assert not gc.isenabled()
    kept = [[] for _ in range(1000)]
    started()
    assert gc.isenabled()
    assert gc.get_freeze_count() >= 1000
assert gc.isenabled()
assert gc.get_freeze_count() == 0
"""
NEVER_STARTED = """
import gc
from coverslip.starting import start

try:
    with start():
        raise OSError
except OSError:
    assert gc.isenabled()
else:
    raise AssertionError
gc.disable()
with start() as started:
    started()
    assert not gc.isenabled()
assert not gc.isenabled()
"""


def test_garbage_is_looked_for_again_once_it_started() -> None:
    subprocess.run([sys.executable, "-c", ONCE_STARTED], check=True, timeout=60)


def test_a_start_that_fails_leaves_it_as_it_was() -> None:
    subprocess.run([sys.executable, "-c", NEVER_STARTED], check=True, timeout=60)

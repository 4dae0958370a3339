"""What every test shares: a cache of its own, never the user's."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator

import pytest

pytest_plugins = ["quick", "table_of_formats"]

# Begun in the background of a shell; the programs under test inherit it.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What servers keep goes to a folder of this run; children inherit it."""
    os.environ["COVERSLIP_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["COVERSLIP_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))


@pytest.fixture(autouse=True)
def own_log_level() -> Iterator[None]:
    """h5pyd sets the level of everybody's log when it opens a file; no test hears less because of another."""
    root = logging.getLogger()
    level = root.level
    yield
    if root.level != level:
        root.setLevel(level)

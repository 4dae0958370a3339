"""What every test shares: a cache of its own, never the user's."""

from __future__ import annotations

import os

import pytest

pytest_plugins = ["table_of_formats"]


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """What servers keep goes to a folder of this run; children inherit it."""
    os.environ["COVERSLIP_CACHE_DIR"] = str(tmp_path_factory.mktemp("cache"))
    os.environ["COVERSLIP_STATE_DIR"] = str(tmp_path_factory.mktemp("state"))

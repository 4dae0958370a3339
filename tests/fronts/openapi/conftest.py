"""One small server of everything for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from offered import Offered, offering


@pytest.fixture(scope="package")
def offered(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Offered]:
    """A server of everything."""
    config = tmp_path_factory.mktemp("config") / "coverslip.toml"
    with offering(tmp_path_factory.mktemp("offered"), config) as made:
        yield made

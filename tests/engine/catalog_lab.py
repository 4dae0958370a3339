"""A catalog of small files for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from catalog_files import catalog, toy
from coverslip.engine.catalog import Catalog


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "catalog"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    toy(tmp_path / "data" / "liver.toy", "DAPI", "GFP")
    toy(tmp_path / "data" / "plate 7" / "A01_s1.toy", "Cy5")
    toy(tmp_path / "data" / "store.toys" / "toy.txt", "actin")
    return tmp_path / "data"


@pytest.fixture
def made(data: Path) -> Iterator[Catalog]:
    with closing(catalog(data)) as made:
        made.start()
        assert made.wait_idle(60)
        yield made


def names(made: Catalog, **wanted: object) -> list[str]:
    return [r.name for r in made.entries(**wanted)[0]]  # type: ignore[arg-type]

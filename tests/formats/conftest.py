"""What tests of formats share: samples written once, and which format each test is about."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from coverslip.testing import CellsTests, FormatTests
from table_of_formats import ABOUT

Write = Callable[[Path], Path]
WRITTEN: dict[tuple[object, ...], Path] = {}


@pytest.fixture
def once(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Write], Path]:
    """Has a sample written once for all tests of a class, and gives each test a copy of its own."""

    def copy(write: Write) -> Path:
        spec = getattr(request.node, "callspec", None)
        key = (request.cls, *(spec.params.items() if spec is not None else ()))
        if key not in WRITTEN:
            WRITTEN[key] = write(tmp_path_factory.mktemp("written"))
        path = WRITTEN[key]
        target = tmp_path / path.name
        return Path(shutil.copytree(path, target) if path.is_dir() else shutil.copy2(path, target))

    return copy


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tell whoever makes the table which format each test is about."""
    for item in items:
        cls = getattr(item, "cls", None)
        if cls is not None and issubclass(cls, (FormatTests, CellsTests)):
            item.user_properties.append((ABOUT, cls.format_name))

"""What tests of the front of cells share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import sparse
from starlette.testclient import TestClient

import make

Serve = Callable[..., TestClient]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("written") / "cells.h5ad"
    make.adata(sparse.csr_matrix(make.dense_matrix())).write_h5ad(target)
    return target


@pytest.fixture
def path(written: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(written, tmp_path))

"""Session files of the viewer as columns of an AnnData."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import pytest

import coverslip
import make
from coverslip.core.errors import BadUsage, CoverslipError, Damaged, NotFound, Unsupported
from coverslip.sessions import OtherCells

N = make.N
FEW = np.isin(np.arange(N), [0, 7, 8, 49])
EVEN = np.arange(N) % 2 == 0


def packed(cells: np.ndarray, encoding: str = "base64+deflate", **more: Any) -> dict[str, Any]:
    """By hand, as docs/reference/session.md says."""
    raw = bytearray(-(-len(cells) // 8))
    for i in np.flatnonzero(cells):
        raw[i // 8] |= 1 << (i % 8)
    bits = zlib.compress(bytes(raw)) if encoding.endswith("deflate") else bytes(raw)
    return {"bits": base64.b64encode(bits).decode(), "encoding": encoding, "count": int(cells.sum()), **more}


def session(adata: anndata.AnnData | None = None, **changes: Any) -> dict[str, Any]:
    names = list(adata.obs_names) if adata is not None else [f"cell-{i}" for i in range(N)]
    digest = "sha256:" + hashlib.sha256("\n".join(names).encode()).hexdigest()
    return {
        "format": "coverslip session",
        "version": 1,
        "saved": "2026-11-21T14:50:00.000Z",
        "dataset": {"id": "x", "name": "Blood", "cells": {"n": len(names), "digest": digest}},
        "view": "color=kind",
        "filters": [],
        "selection": packed(FEW),
        "groups": [
            packed(FEW, id="a", name="Few/odd", color="#d55e00", shown=True),
            packed(EVEN, "base64", id="b", name="Even β", color="#0072b2", shown=False),
        ],
        **changes,
    }


@pytest.fixture
def adata() -> anndata.AnnData:
    return make.adata()


def test_groups_become_columns(adata: anndata.AnnData, tmp_path: Path) -> None:
    file = tmp_path / "blood.coverslip.json"
    file.write_text(json.dumps(session()))
    read = coverslip.read_session(file)
    assert (read.n_cells, read.dataset, [g.name for g in read.groups]) == (N, "Blood", ["Few/odd", "Even β"])
    assert coverslip.apply_session(adata, file, selection="chosen") is adata
    few, even = adata.obs["cellucid_highlight__Few_odd"], adata.obs["cellucid_highlight__Even β"]
    assert few.dtype == bool
    np.testing.assert_array_equal(few, FEW)
    np.testing.assert_array_equal(even, EVEN)
    np.testing.assert_array_equal(adata.obs["chosen"], FEW)
    adata.write_h5ad(tmp_path / "with.h5ad")
    back = anndata.read_h5ad(tmp_path / "with.h5ad")
    np.testing.assert_array_equal(back.obs["cellucid_highlight__Even β"], EVEN)
    note = back.uns["coverslip"]["session"]
    assert (note["dataset"], list(note["colors"])) == ("Blood", ["#d55e00", "#0072b2"])


def test_what_stays_as_it_was(adata: anndata.AnnData) -> None:
    before = list(adata.obs.columns)
    made = coverslip.apply_session(adata, session(), prefix="g_", inplace=False, store_uns=False)
    assert list(adata.obs.columns) == before
    assert list(made.obs.columns) == [*before, "g_Few_odd", "g_Even β"]
    assert "coverslip" not in made.uns
    coverslip.apply_session(adata, session(groups=[], selection=None), selection="chosen")
    assert list(adata.obs.columns) == before


def test_columns_that_are_there(adata: anndata.AnnData) -> None:
    two = [packed(FEW, name="a", color="#000000"), packed(EVEN, name="a", color="#000000")]
    coverslip.apply_session(adata, session(groups=two), prefix="")
    np.testing.assert_array_equal(adata.obs["a"], FEW)
    np.testing.assert_array_equal(adata.obs["a_2"], EVEN)
    one = session(groups=[packed(EVEN, name="new", color=""), packed(EVEN, name="a", color="")])
    with pytest.raises(BadUsage, match="'a'"):
        coverslip.apply_session(adata, one, prefix="")
    assert "new" not in adata.obs, "all or nothing"
    coverslip.apply_session(adata, one, prefix="", column_conflict="suffix")
    np.testing.assert_array_equal(adata.obs["a_3"], EVEN)
    coverslip.apply_session(adata, one, prefix="", column_conflict="overwrite")
    np.testing.assert_array_equal(adata.obs["a"], EVEN)
    with pytest.raises(BadUsage, match="column_conflict"):
        coverslip.apply_session(adata, one, column_conflict="ask")  # type: ignore[arg-type]


def test_other_cells_or_another_order(adata: anndata.AnnData) -> None:
    before = adata.obs.copy()
    turned = adata[::-1].copy()
    for other, told in ((turned, "another order"), (adata[:10].copy(), "10"), (renamed(adata), "other cells")):
        with pytest.raises(OtherCells, match=told):
            coverslip.apply_session(other, session())
        with pytest.warns(UserWarning, match="nothing was written"):
            coverslip.apply_session(other, session(), mismatch="warn_skip")
        coverslip.apply_session(other, session(), mismatch="skip")
        assert list(other.obs.columns) == list(before.columns)
    coverslip.apply_session(turned, session(), mismatch="ignore")
    np.testing.assert_array_equal(turned.obs["cellucid_highlight__Even β"], EVEN)
    with pytest.raises(ValueError, match="10"):
        coverslip.apply_session(adata[:10].copy(), session(), mismatch="ignore")
    unknown = session(dataset={"name": "x", "cells": {"n": N, "digest": None}})
    coverslip.apply_session(renamed(adata), unknown)
    pd.testing.assert_frame_equal(adata.obs, before)


def renamed(adata: anndata.AnnData) -> anndata.AnnData:
    other = adata.copy()
    other.obs_names = [f"other-{i}" for i in range(other.n_obs)]
    return other


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ({}, Damaged),
        (session(format="other"), Damaged),
        (session(version=2), Unsupported),
        (session(version="1"), Unsupported),
        (session(dataset={}), Damaged),
        (session(dataset={"name": "", "cells": {"n": -1, "digest": None}}), Damaged),
        (session(groups=[{"name": "a"}]), Damaged),
        (session(groups=[packed(FEW, name="a") | {"count": 5}]), Damaged),
        (session(groups=[packed(FEW[:8], name="a")]), Damaged),
        (session(groups=[packed(np.zeros(N * 9, bool), name="a")]), Damaged),
        (session(groups=[packed(FEW, name="a") | {"bits": "%%%"}]), Damaged),
        (session(groups=[packed(FEW, name="a") | {"bits": "AAAA"}]), Damaged),
        (session(groups=[packed(FEW, name="a") | {"encoding": "runs"}]), Unsupported),
        (session(groups=["a"]), Damaged),
    ],
)
def test_documents_that_cannot_be_read(document: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        coverslip.read_session(document)


def test_a_small_file_does_not_fill_the_memory() -> None:
    bomb = base64.b64encode(zlib.compress(bytes(20 << 20))).decode()
    with pytest.raises(Damaged):
        coverslip.read_session(session(groups=[{"name": "a", "bits": bomb, "encoding": "base64+deflate", "count": 0}]))


def test_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        coverslip.read_session(tmp_path / "nowhere.coverslip.json")
    for name, content in (
        ("cut", b'{"format": "cover'),
        ("list", b"[]"),
        ("binary", b"\xff\xfe\x00"),
        ("deep", b"[" * 99999),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CoverslipError):
            coverslip.read_session(str(tmp_path / name))

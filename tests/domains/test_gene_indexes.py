"""Making gene indexes in the background: in a process of its own, of the right version, within a quota."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from coverslip.core.node import Source
from coverslip.domains import gene_indexes
from coverslip.domains.cells import Cells
from coverslip.domains.gene_indexes import GeneIndexes, Kept, Progress
from coverslip.engine.job import ENDED
from coverslip.formats import open_source
from disks import full_disk, read_only_disk

SHAPE = (400, 30)


def write(path: Path, seed: int = 0, matrix: Callable[..., object] = sparse.csr_matrix) -> Path:
    """Cells by genes, a third of the values not zero."""
    rng = np.random.default_rng(seed)
    values = (rng.normal(size=SHAPE) * (rng.random(SHAPE) < 0.3)).astype(np.float32)
    data = anndata.AnnData(
        matrix(values),
        pd.DataFrame(index=[f"c{i}" for i in range(SHAPE[0])]),
        pd.DataFrame(index=[f"g{i}" for i in range(SHAPE[1])]),
    )
    (data.write_zarr if path.suffix == ".zarr" else data.write_h5ad)(path)
    return path


@pytest.fixture
def indexes(tmp_path: Path) -> Iterator[GeneIndexes]:
    found = GeneIndexes(tmp_path / "kept", least_items=1)
    yield found
    found.close()


class Opened:
    """A file, and what the server would ask for it."""

    def __init__(self, path: Path) -> None:
        self.source: Source = open_source(path)
        self.cells = Cells(self.source.root, etag=self.source.etag)
        self.kept = Kept(path, self.source.etag, self.source.etag, "", path.name)
        self.matrix = self.cells.expression().matrix

    def when(self, indexes: GeneIndexes) -> Progress:
        """The progress once nothing is at work any more."""
        end = time.monotonic() + 60
        while (progress := indexes.want(self.kept, self.cells, None)).state in ("building", "waiting"):
            assert time.monotonic() < end
            time.sleep(0.02)
        return progress


@pytest.mark.filterwarnings("ignore:Writing zarr v2")
@pytest.mark.parametrize("name", ["a.h5ad", "a.zarr"])
def test_made_once_and_found_again(tmp_path: Path, indexes: GeneIndexes, name: str) -> None:
    """By the file, in another process; whoever opens the file later finds it at once."""
    path = write(tmp_path / name)
    one = Opened(path)
    right = one.matrix.scanned(range(SHAPE[1]))
    assert one.when(indexes) == Progress("ready", 1.0)
    assert one.matrix.index is not None
    np.testing.assert_array_equal(one.matrix.columns(range(SHAPE[1])), right)
    assert one.matrix.index is not None
    folder = tmp_path / "kept"
    assert [p.suffix for p in folder.iterdir()] == [".genes"]
    if os.name == "posix":
        assert folder.stat().st_mode & 0o777 == 0o700
    other = Opened(path)
    assert GeneIndexes(folder, least_items=1).want(other.kept, other.cells, None).state == "ready"
    np.testing.assert_array_equal(other.matrix.columns(range(SHAPE[1])), right)


def test_another_version_has_its_own(tmp_path: Path, indexes: GeneIndexes) -> None:
    """A file that was written anew is never answered from the index of the old one."""
    path = write(tmp_path / "a.h5ad")
    assert Opened(path).when(indexes).state == "ready"
    write(path, seed=1)
    new = Opened(path)
    right = new.matrix.scanned(range(SHAPE[1]))
    assert new.when(indexes).state == "ready"
    np.testing.assert_array_equal(new.matrix.columns(range(SHAPE[1])), right)
    assert len(list((tmp_path / "kept").glob("*.genes"))) == 2


def test_a_file_that_changed_meanwhile_is_not_indexed(tmp_path: Path, indexes: GeneIndexes) -> None:
    """What is asked for is the version that was opened; the process finds another one."""
    path = write(tmp_path / "a.h5ad")
    old = Opened(path)
    write(tmp_path / "b.h5ad", seed=1)
    (tmp_path / "b.h5ad").replace(path)
    progress = old.when(indexes)
    assert progress.state == "failed"
    assert "changed" in str(progress.message)
    assert list((tmp_path / "kept").iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_killed_at_work(tmp_path: Path, indexes: GeneIndexes) -> None:
    """Nothing is trusted, and the next start makes it again and clears up."""
    one = Opened(write(tmp_path / "a.h5ad"))
    assert indexes.want(one.kept, one.cells, None).state == "building"
    assert indexes._job is not None
    os.kill(indexes._job[2].pid, signal.SIGKILL)
    progress = one.when(indexes)
    assert progress == Progress("failed", message=ENDED)
    assert list((tmp_path / "kept").glob("*.genes")) == []
    np.testing.assert_array_equal(one.matrix.column(3), one.matrix.scanned([3])[0])
    left = tmp_path / "kept" / f".part-{2**22 + 1}-x.genes"
    left.write_bytes(b"half")
    assert one.when(GeneIndexes(tmp_path / "kept", least_items=1)).state == "ready"
    assert not left.exists()


def test_a_damaged_index_is_made_again(tmp_path: Path, indexes: GeneIndexes) -> None:
    """Cut short by a crash of the machine, say."""
    path = write(tmp_path / "a.h5ad")
    assert Opened(path).when(indexes).state == "ready"
    (kept,) = (tmp_path / "kept").glob("*.genes")
    whole = kept.read_bytes()
    kept.write_bytes(whole[: len(whole) // 2])
    assert Opened(path).when(indexes).state == "ready"
    assert kept.read_bytes() == whole


def test_quota(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those unused longest go first; one that is larger than the quota is not made; a full disk is left alone."""
    first, second = (Opened(write(tmp_path / f"{i}.h5ad", seed=i)) for i in range(2))
    size = first.matrix.scan_items * 6
    indexes = GeneIndexes(tmp_path / "kept", quota_bytes=size * 3 // 2, least_items=1)
    assert first.when(indexes).state == second.when(indexes).state == "ready"
    assert len(list((tmp_path / "kept").glob("*.genes"))) == 1
    small = GeneIndexes(tmp_path / "small", quota_bytes=size // 2, least_items=1)
    third = Opened(tmp_path / "0.h5ad")
    assert "kB are allowed" in str(third.when(small).message)
    monkeypatch.setattr(gene_indexes, "SPARE_BYTES", 1 << 60)
    full = GeneIndexes(tmp_path / "full", least_items=1)
    assert third.when(full) == Progress("failed", message="the disk is full")


def test_a_disk_that_becomes_full_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There seemed to be room: the process that writes is told otherwise. Nothing is left, and every gene is right."""
    one = Opened(write(tmp_path / "a.h5ad"))
    monkeypatch.setattr(gene_indexes, "SPARE_BYTES", -(1 << 40))
    with full_disk(tmp_path / "disk") as disk:
        indexes = GeneIndexes(disk, least_items=1)
        progress = one.when(indexes)
        indexes.close()
        assert progress.state == "failed"
        assert progress.message
        assert [path.name for path in disk.iterdir()] == ["filler"]
    with read_only_disk(tmp_path / "fixed") as disk:
        assert one.when(GeneIndexes(disk / "genes", least_items=1)).state == "failed"
    np.testing.assert_array_equal(one.matrix.column(3), one.matrix.scanned([3])[0])


def test_not_made(tmp_path: Path, indexes: GeneIndexes) -> None:
    """By gene, small, turned off, not on this machine."""
    columns = Opened(write(tmp_path / "csc.h5ad", matrix=sparse.csc_matrix))
    assert columns.when(indexes).state == "none"
    rows = Opened(write(tmp_path / "csr.h5ad"))
    assert rows.when(GeneIndexes(tmp_path / "kept")).state == "none"
    assert rows.when(GeneIndexes(tmp_path / "kept", enabled=False, least_items=1)).state == "off"
    rows.kept = Kept(None, "", "", "", "elsewhere")
    assert rows.when(indexes).state == "off"
    assert not (tmp_path / "kept").exists()


def test_closing_ends_the_process(tmp_path: Path, indexes: GeneIndexes) -> None:
    """Nothing goes on, and nothing begins."""
    one = Opened(write(tmp_path / "a.h5ad"))
    assert indexes.want(one.kept, one.cells, None).state == "building"
    indexes.close()
    assert indexes.at_work is None
    assert list((tmp_path / "kept").iterdir()) == []
    assert one.when(indexes).state == "failed"

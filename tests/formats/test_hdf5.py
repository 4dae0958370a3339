"""What an HDF5 file may not do, and files that are not what they say."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
import pytest

import make
from coverslip.core.errors import CoverslipError, Damaged, UnsafeLink
from coverslip.core.node import Array, Group
from coverslip.core.spec import Box
from coverslip.core.stop import NEVER
from coverslip.domains.cells import Cells
from coverslip.formats import open_source
from coverslip.formats.trees.hdf5 import open_hdf5
from coverslip.fronts.cellucid import manifests
from fuzz import rounds


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "elsewhere.h5"
    with h5py.File(path, "w") as file:
        file["data"] = np.full(4, 42.0)
        file["group/data"] = np.full(4, 42.0)
    return path


def test_no_link_leads_out_of_the_file(tmp_path: Path, secret: Path) -> None:
    path = tmp_path / "links.h5"
    with h5py.File(path, "w") as file:
        file["external"] = h5py.ExternalLink(str(secret), "/data")
        file["out"] = h5py.ExternalLink(str(secret), "/group")
        file["through"] = h5py.SoftLink("/out/data")
        layout = h5py.VirtualLayout((4,), "f8")
        layout[:] = h5py.VirtualSource(str(secret), "data", (4,))
        file.create_virtual_dataset("virtual", layout)
        raw = tmp_path / "raw.bin"
        raw.write_bytes(b"\x2a" * 32)
        file.create_dataset("raw", (4,), "f8", external=[(str(raw), 0, 32)])
    root = open_hdf5(path).root
    for name in ("external", "out", "through", "virtual", "raw"):
        with pytest.raises(UnsafeLink):
            root[name]
    assert set(root) == {"external", "out", "through", "virtual", "raw"}


def test_a_dangling_soft_link_is_damage_not_a_crash(tmp_path: Path) -> None:
    path = tmp_path / "dangling.h5"
    with h5py.File(path, "w") as file:
        file["nowhere"] = h5py.SoftLink("/missing")
    with pytest.raises(Damaged):
        open_hdf5(path).root["nowhere"]


@pytest.mark.parametrize(
    "options", [{}, {"chunks": (7, 3)}, {"chunks": (7, 3), "compression": "gzip", "shuffle": True}]
)
def test_any_box_of_any_layout(tmp_path: Path, options: dict[str, object]) -> None:
    data = np.arange(600, dtype="<i4").reshape(20, 30)
    path = tmp_path / "boxes.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("x", data=data, **options)
    array = open_hdf5(path).root.array("x")
    rng = random.Random(1)
    for _ in range(60):
        a, b = sorted(rng.choices(range(21), k=2))
        c, d = sorted(rng.choices(range(31), k=2))
        box = Box((a, c), (b, d))
        np.testing.assert_array_equal(array.read(box), data[box.slices])


def test_the_file_is_not_locked(tmp_path: Path) -> None:
    path = tmp_path / "open.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)
    source = open_hdf5(path)
    with h5py.File(path, "r+") as file:
        file["y"] = 1
    assert not source.fresh()


def test_a_file_of_another_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "private.h5ad"
    path.write_bytes(b"\x89HDF")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(CoverslipError, match="Permission denied"):
        open_source(path)


def exercise(path: Path) -> None:
    """Open a file and read everything that the front offers of it."""
    source = open_source(path)
    cells = Cells(source.root)
    manifests.identity(cells, "a", "a", "h5ad", "a", 0, NEVER)
    manifests.obs_manifest(cells, NEVER)
    for expression in cells.expressions.values():
        manifests.genes(expression)
        for gene in range(min(3, expression.matrix.shape[1])):
            expression.gene(gene)
    for index in range(len(cells.fields)):
        manifests.field(cells, index)
    manifests.cell(cells, 0)
    if cells.graph is not None:
        manifests.connectivity_manifest(cells, NEVER)


@pytest.mark.parametrize("old", [False, True])
def test_truncated_and_damaged_files_give_our_errors_only(tmp_path: Path, old: bool) -> None:
    whole = tmp_path / "whole.h5ad"
    if old:
        make.oldest(whole)
    else:
        make.adata().write_h5ad(whole, compression="gzip")
    exercise(whole)
    data = whole.read_bytes()
    rng = random.Random(3)
    path = tmp_path / "hurt.h5ad"
    failures = lines = 0
    for trial in rounds(60):
        if trial % 3 == 0:
            hurt = data[: rng.randrange(len(data))]
        else:
            copy = bytearray(data)
            for _ in range(rng.randint(1, 40)):
                copy[rng.randrange(len(copy))] = rng.randrange(256)
            hurt = bytes(copy)
        path.write_bytes(hurt)
        try:
            exercise(path)
        except CoverslipError as error:
            failures += 1
            lines += str(error).count("\n")
    assert failures > 20, "damage is noticed"
    assert lines == 0


def test_nodes_have_the_shapes_they_tell(tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    make.adata().write_h5ad(path)

    def walk(node: Group) -> int:
        seen = 0
        for name in node:
            child = node[name]
            if isinstance(child, Array):
                assert child.read_all().shape == child.spec.shape
                seen += 1
            else:
                seen += walk(child)
        return seen

    assert walk(open_source(path).root) > 20


def test_a_huge_attribute_is_left_out(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w", libver="latest") as file:
        file["x"] = np.zeros((3, 3))
        file.attrs["small"] = "kept"
        file.attrs["huge"] = np.zeros(1 << 20)
    source = open_hdf5(tmp_path / "a.h5")
    assert source.root.attrs == {"small": "kept"}
    source.close()

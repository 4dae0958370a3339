"""Layouts that hsload refuses are cut to fit, and what is compared tells all that matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from coverslip.hsds.load import differences, digests, fitting, sum_of, unfit
from coverslip.systems import predefined

SWAPPED = h5py.enum_dtype({"EXC": 11, "INH": 10}, "u2")


def oversized(group: h5py.Group, name: str, kind: Any, length: int, most: int) -> h5py.Dataset:
    """What h5py itself does not write, and other programs do: chunks of 512 that never fill."""
    plist = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plist.set_chunk((512,))
    plist.set_deflate(4)
    space = h5py.h5s.create_simple((0,), (most,))
    dataset = h5py.Dataset(h5py.h5d.create(group.id, name.encode(), kind, space, plist))
    dataset.resize((length,))
    return dataset


def awkward(file: Path) -> Path:
    """A file with chunks that no dataset can fill, under several names, with all that hangs on it."""
    with h5py.File(file, "w") as f:
        enum = h5py.enum_dtype({"EXC": 10, "INH": 11}, basetype="u2")
        f["labels"] = np.dtype(enum)
        kind = np.dtype([("Start", "u8"), ("Count", "u4"), ("Population", enum)])
        f["range"] = kind
        table = oversized(f.create_group("a"), "table", f["range"].id, 2, 2)
        table[...] = np.array([(0, 8, 10), (8, 2, 11)], kind)
        table.attrs["units"] = "µm"
        table.attrs["list"] = np.arange(3, dtype=">i2")
        f["again"] = table
        f["a/soft"] = h5py.SoftLink("/a/table")
        f.create_dataset("a/fine", data=np.arange(10), maxshape=(None,), chunks=(512,))
        oversized(f, "empty", h5py.h5t.IEEE_F32LE, 0, 1)
        f["texts"] = np.array(["a", "bb", "µ"], object)
        f["lists"] = np.array([np.arange(2), np.arange(3)], h5py.vlen_dtype("i4"))
        f["point"] = np.array([f["a"].ref, f["texts"].ref], h5py.ref_dtype)
        f["scalar"] = 5
        f["null"] = h5py.Empty("f4")
    return file


def digested(file: Path) -> dict[str, str]:
    with h5py.File(file) as f:
        return digests(f)


def test_chunks_are_cut_and_nothing_else(tmp_path: Path) -> None:
    source = awkward(tmp_path / "a.h5")
    before = source.read_bytes()
    with h5py.File(source) as f:
        assert sorted(map(len, unfit(f).values())) == [1, 2]
    copy, cut = fitting(source, tmp_path)
    assert cut == ["/a/table", "/again", "/empty"]
    assert source.read_bytes() == before
    assert copy != source
    with h5py.File(copy) as f:
        assert unfit(f) == {}
        assert f["a/table"].chunks == (2,)
        assert f["again"] == f["a/table"]
        assert f["a/table"].id.get_type().committed()
        assert f["a/table"].compression == "gzip"
    assert differences(digested(source), digested(copy)) == []
    assert fitting(copy, tmp_path) == (copy, [])


def test_a_genuine_system(tmp_path: Path) -> None:
    for name in ("cells.h5", "connections.h5"):
        source = Path(predefined("EI1")) / name
        copy, cut = fitting(source, tmp_path)
        assert "/H5Types/Populations" in cut
        assert sum_of(digested(source)) == sum_of(digested(copy))


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda f: f["a/fine"].__setitem__(3, 9), ["/a/fine"]),
        (lambda f: f["a/table"].attrs.__setitem__("units", "mm"), ["/again"]),
        (lambda f: f["texts"].__setitem__(0, "ab"), ["/texts"]),
        (lambda f: f["lists"].__setitem__(0, np.arange(1, 3)), ["/lists"]),
        (lambda f: f["point"].__setitem__(0, f["labels"].ref), ["/point"]),
        (lambda f: f["a/fine"].resize((11,)), ["/a/fine"]),
        (lambda f: f.__delitem__("again"), ["/a/table", "/again"]),
        (lambda f: f.__setitem__("more", 1), ["/more"]),
        (lambda f: f.attrs.__setitem__("who", 1), ["/"]),
        (lambda f: f["a"].attrs.__setitem__("who", 1), ["/a"]),
        (lambda f: (f.__delitem__("scalar"), f.__setitem__("scalar", np.float64(5))), ["/scalar"]),
        (lambda f: (f.__delitem__("null"), f.__setitem__("null", np.float32(0))), ["/null"]),
        (lambda f: (f.__delitem__("labels"), f.__setitem__("labels", np.dtype(SWAPPED))),
         ["/labels"]),
        (lambda f: (f.__delitem__("a/soft"), f.__setitem__("a/soft", h5py.SoftLink("/a/fine"))), ["/a/soft"]),
    ],
)  # fmt: skip
def test_every_difference_is_seen(tmp_path: Path, change: Any, where: list[str]) -> None:
    source, other = awkward(tmp_path / "a.h5"), awkward(tmp_path / "b.h5")
    assert differences(digested(source), digested(other)) == []
    with h5py.File(other, "r+") as f:
        change(f)
    assert differences(digested(source), digested(other)) == where

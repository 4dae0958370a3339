"""An HDF5 file with one of everything, for tests of what tells its types."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

POINT = np.dtype([("id", "<u8"), ("x", "<f4"), ("name", "S8"), ("pos", "<f4", (3,))])
LABELS = h5py.enum_dtype({"EXC": 10, "INH": 11, "alpha": 3}, basetype="u2")


def rich_file(path: Path) -> Path:
    """Every class of types, every kind of space, link, layout and filter that h5py writes."""
    with h5py.File(path, "w") as f:
        f.attrs["title"] = "rich"
        f.attrs["n"] = np.int32(7)
        f.attrs["vec"] = np.arange(5.0)
        f.attrs["strs"] = np.array(["a", "bb", "ççc"], dtype=h5py.string_dtype())
        f.attrs["empty"] = h5py.Empty("f4")
        f.attrs["fixed"] = np.bytes_(b"hello")
        f.attrs["nan"] = np.array([np.nan, np.inf, 1.5])
        g = f.create_group("g")
        _numbers(g)
        _texts(g)
        _composite(g)
        _references(f, g)
        _links(f, path)
    return path


def _numbers(g: h5py.Group) -> None:
    rng = np.random.default_rng(0)
    for dtype in ("i1", "u1", "<i2", ">i2", "<u2", "<i4", ">u4", "<i8", ">i8", "<u8", "<f2", ">f4", "<f8", ">f8"):
        g[f"n_{dtype.replace('<', 'le_').replace('>', 'be_')}"] = (np.arange(20) * 3 % 100).astype(dtype)
    g.create_dataset("f4", data=rng.random((200, 300), "f4"), chunks=(50, 100), compression="gzip", shuffle=True)
    g["f4"].attrs["units"] = "mV"
    g.create_dataset("sum", data=rng.integers(0, 9, (64, 33)), chunks=(10, 7), fletcher32=True, compression="lzf")
    g.create_dataset("plain", data=rng.random((40, 50, 6)))
    g.create_dataset("cut", data=rng.integers(0, 99, (23, 17), "i2"), chunks=(5, 4))
    g.create_dataset("ext", (10,), "i4", maxshape=(None,), chunks=(8,), fillvalue=-1)[:7] = np.arange(7)
    g.create_dataset("sparse", (1000, 1000), "f4", chunks=(100, 100), fillvalue=2.5)[:5, :5] = 1
    g.create_dataset("nothing", (0, 4), "i4", maxshape=(None, 4))
    g["scalar"] = 3.5
    g.create_dataset("null", data=h5py.Empty("i4"))
    g["nan"] = np.array([np.nan, -np.inf, 2.0])
    g["bool"] = np.array([True, False, True])
    g["c16"] = np.array([1 + 2j, 3 - 4j])
    g["enum"] = np.array([10, 11, 3, 10], dtype=LABELS)
    g["many"] = np.arange(1000, dtype="<i4")


def _texts(g: h5py.Group) -> None:
    g.create_dataset("vstr", data=np.array(["x", "", "zzzé"], dtype=object), dtype=h5py.string_dtype())
    g.create_dataset("vbytes", data=np.array([b"x", b"yy"], dtype=object), dtype=h5py.string_dtype("ascii"))
    g["fstr"] = np.array([b"aa", b"bbb", b""], dtype="S5")
    g["fstr8"] = np.array(["é".encode(), b"b"], dtype=h5py.string_dtype("utf-8", 4))
    g["str_scalar"] = "héllo"
    g["opaque"] = np.array([b"abcd", b"efgh"], dtype="V4")
    space = h5py.h5t.C_S1.copy()
    space.set_size(6)
    space.set_strpad(h5py.h5t.STR_SPACEPAD)
    made = h5py.h5d.create(g.id, b"spaced", space, h5py.h5s.create_simple((2,)))
    made.write(h5py.h5s.ALL, h5py.h5s.ALL, np.array([b"ab    ", b"c d   "], "S6"), space)


def _composite(g: h5py.Group) -> None:
    rows = np.zeros(6, POINT)
    rows["id"], rows["x"] = np.arange(6), np.arange(6) / 2
    rows["name"], rows["pos"] = [f"n{i}".encode() for i in range(6)], np.arange(18).reshape(6, 3)
    g["comp"] = rows
    g.create_dataset("comp_z", data=np.tile(rows, 50), chunks=(32,), compression="gzip")
    g["aligned"] = np.array([(1, 2.5), (3, 4.5)], np.dtype([("a", "i1"), ("b", "f8")], align=True))
    nested = np.dtype([("in", [("a", "<i4"), ("b", "<f8")]), ("label", LABELS), ("flag", "?")])
    g["nested"] = np.array([((1, 2.0), 10, True), ((3, 4.0), 11, False)], nested)
    blocks = g.create_dataset("blocks", (2,), np.dtype(("<i4", (3, 4))))
    blocks[...] = np.arange(24).reshape(2, 3, 4)
    ragged = g.create_dataset("ragged", (3,), h5py.vlen_dtype("<i4"))
    ragged[0], ragged[1] = [1, 2], [3]
    mixed = np.dtype([("n", "<i4"), ("text", h5py.string_dtype()), ("list", h5py.vlen_dtype("<f4"))])
    table = g.create_dataset("mixed", (2,), mixed)
    table[0], table[1] = (1, "één", np.array([0.5, 1.5], "f4")), (2, "", np.array([], "f4"))
    labels = g.file.create_group("types")
    labels["label"] = LABELS
    labels["label"].attrs["about"] = "populations"
    labels["point"] = POINT
    g.create_dataset("committed", (3,), dtype=labels["label"])[:] = [10, 11, 3]


def _references(f: h5py.File, g: h5py.Group) -> None:
    refs = g.create_dataset("refs", (3,), h5py.ref_dtype)
    refs[0], refs[1] = g.ref, g["f4"].ref
    g.attrs["points_to"] = g["scalar"].ref
    regions = g.create_dataset("regions", (3,), h5py.regionref_dtype)
    regions[0], regions[1] = g["f4"].regionref[10:20, 5:9], g["f4"].regionref[0:100:10, 3]
    g["xdim"] = np.arange(300.0)
    g["xdim"].make_scale("x")
    g["f4"].dims[1].attach_scale(g["xdim"])
    g["f4"].dims[1].label = "x"
    g["weird name/é"] = np.arange(3)


def _links(f: h5py.File, path: Path) -> None:
    with h5py.File(path.with_name("mini.h5"), "w") as mini:
        mini["x"] = np.arange(4)
    f["hard"] = f["g/f4"]
    f["soft"] = h5py.SoftLink("/g/f4")
    f["g/up"] = h5py.SoftLink("scalar")
    f["dangling"] = h5py.SoftLink("/nope")
    f["circle"] = h5py.SoftLink("/circle")
    f["external"] = h5py.ExternalLink("mini.h5", "/x")
    f["outside"] = h5py.ExternalLink("/etc/passwd", "/x")
    f["g/loop"] = f["g"]
    order = f.create_group("ordered", track_order=True)
    for name in ("zz", "aa", "mm"):
        order[name] = 1

"""Valid HDF5 of which members are not what a format says: missing, of other types and shapes, linked in circles or
outside, beside `parsers`.

The bytes say what is changed in a file that is as it should be: of each four the first is the member, the second what
happens to it, the others how. No bytes change nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from coverslip.core.errors import CoverslipError
from coverslip.core.typed import Target
from coverslip.domains.objects import Objects
from coverslip.formats.hdf5_arrays import open_typed
from coverslip.fronts.h5grove import documents as grove_documents
from coverslip.fronts.hsds import documents as hsds_documents
from coverslip.fronts.hsds.read import as_json, check_size, need_elements, wanted
from coverslip.fronts.hsds.values import to_json
from coverslip.fronts.http import to_json as told_json
from explored import look
from parsers import Parser
from parsers_of_files import scratch

STRUCTURES: dict[str, Parser] = {}
STEP, MOST_STEPS, MOST_OBJECTS, MOST_BYTES = 4, 6, 30, 1 << 20
Write = Callable[[h5py.File], None]
SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (2,), (3,), (6,), (7,), (6, 4), (4, 6), (6, 1), (2, 3, 4))
HUGE: tuple[tuple[int, ...], ...] = ((1 << 40,), (1 << 33,), (6, 1 << 40), (1 << 31, 1 << 31), (1 << 62,), (6, 1 << 33))
NUMBERS = (0, 1, -1, 2, 5, 6, 7, 1000, 1 << 30, 1 << 40, -(1 << 60), float("nan"), float("inf"), -0.5)
NAMES = (
    "encoding-type", "encoding-version", "shape", "_index", "column-order", "h5sparse_format", "h5sparse_shape",
    "index", "categories", "ordered", "DataSetDirectoryName", "ImageSizeX", "ImageSizeZ", "ExtMax0", "Unit",
    "multiscales", "obsmap", "axis", "CLASS", "DIMENSION_LIST",
)  # fmt: skip
TYPES: tuple[Any, ...] = (
    "i1", "u8", ">i4", "f2", "f4", "f8", "c8", "S3", "V5", np.dtype(bool), h5py.string_dtype("utf-8"),
    h5py.string_dtype("ascii", 4), h5py.vlen_dtype("i4"), h5py.ref_dtype, h5py.regionref_dtype,
    np.dtype([("a", "i4"), ("b", "S4")]), np.dtype(("f4", (2,))), h5py.enum_dtype({"a": 0, "b": 1}),
    np.dtype([("_index", "S4"), ("x", "f4"), ("n", [("m", "i2")])]),
)  # fmt: skip


# --- files as they should be ------------------------------------------------------------------------------------------


def _frame(file: h5py.Group, name: str, count: int) -> h5py.Group:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.2.0", "_index": "_index"})
    group.create_dataset("_index", data=[f"{name}{i}" for i in range(count)], dtype=h5py.string_dtype())
    return group


def _matrix(file: h5py.Group, name: str, kind: str, shape: tuple[int, int]) -> None:
    group = file.create_group(name)
    group.attrs.update({"encoding-type": f"{kind}_matrix", "encoding-version": "0.1.0", "shape": shape})
    rows = shape[0 if kind == "csr" else 1]
    group["data"] = np.arange(1, 2 * rows + 1, dtype="f4")
    group["indices"] = np.tile(np.array([0, 1], "i4"), rows)
    group["indptr"] = np.arange(0, 2 * rows + 1, 2, dtype="i4")


def _anndata(file: h5py.Group) -> None:
    file.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    obs = _frame(file, "obs", 6)
    kind = obs.create_group("kind")
    kind.attrs.update({"encoding-type": "categorical", "encoding-version": "0.2.0", "ordered": False})
    kind["codes"], kind["categories"] = np.array([0, 1, -1, 0, 1, 0], "i1"), np.array([b"T", b"B"])
    obs["score"] = np.linspace(0, 1, 6)
    maybe = obs.create_group("maybe")
    maybe.attrs["encoding-type"] = "nullable-integer"
    maybe["values"], maybe["mask"] = np.arange(6), np.zeros(6, bool)
    obs.create_dataset("batch", data=list("aabbab"), dtype=h5py.string_dtype())
    obs.attrs["column-order"] = np.array(["kind", "score", "maybe", "batch"], object)
    var = _frame(file, "var", 4)
    var.attrs["column-order"] = np.empty(0, "f8")
    file["X"] = np.arange(24, dtype="f4").reshape(6, 4)
    file.create_group("obsm")["X_umap"] = np.arange(12.0).reshape(6, 2)
    file["obsm/velocity_umap"] = np.ones((6, 2), "f4")
    file["obsm/X_pca"] = np.arange(18, dtype="f4").reshape(6, 3)
    _matrix(file.create_group("layers"), "counts", "csr", (6, 4))
    _matrix(file["layers"], "spliced", "csc", (6, 4))
    _matrix(file.create_group("obsp"), "connectivities", "csr", (6, 6))
    file.create_group("uns").create_dataset("kind_colors", data=["#ff0000", "#00ff00"], dtype=h5py.string_dtype())
    file.create_group("uns/log1p")["base"] = 2.0
    raw = file.create_group("raw")
    _frame(raw, "var", 4)
    raw["X"] = np.arange(24, dtype="f4").reshape(6, 4)


def _old_anndata(file: h5py.File) -> None:
    kinds = np.dtype([("index", "S4"), ("kind", "i1"), ("score", "f4")])
    file["obs"] = np.array([(f"c{i}".encode(), i % 2, i) for i in range(6)], kinds)
    file["var"] = np.array([(f"g{i}".encode(),) for i in range(4)], [("index", "S4")])
    file["X"] = np.arange(24, dtype="f4").reshape(6, 4)
    file["obsm"] = np.zeros(6, [("X_umap", "f4", (2,))])
    file.create_group("uns")["kind_categories"] = np.array([b"T", b"B"])


def _loom(file: h5py.File) -> None:
    file.create_dataset("matrix", data=np.arange(24, dtype="f4").reshape(4, 6), chunks=(4, 6))
    columns = file.create_group("col_attrs")
    columns.create_dataset("CellID", data=[f"c{i}" for i in range(6)], dtype=h5py.string_dtype())
    columns.create_dataset("Cluster", data=["T &#38; B", "NK"] * 3, dtype=h5py.string_dtype())
    columns["Depth"], columns["X_umap"] = np.arange(6), np.ones((6, 2))
    columns["_tSNE1"], columns["_tSNE2"] = np.arange(6.0), np.arange(6.0)
    rows = file.create_group("row_attrs")
    rows.create_dataset("Gene", data=list("ABCD"), dtype=h5py.string_dtype())
    file.create_group("layers")["spliced"] = np.ones((4, 6), "f4")
    graph = file.create_group("col_graphs/KNN")
    graph["a"], graph["b"], graph["w"] = np.arange(5), np.arange(1, 6), np.ones(5)
    file.create_group("row_graphs")


def _characters(item: h5py.HLObject, **attributes: object) -> None:
    for name, told in attributes.items():
        item.attrs[name] = np.array([c.encode() for c in str(told)], "S1")


def _imaris(file: h5py.File) -> None:
    _characters(
        file, DataSetDirectoryName="DataSet", DataSetInfoDirectoryName="DataSetInfo", ImarisDataSet="ImarisDataSet"
    )
    for level, (z, y, x) in enumerate(((2, 8, 12), (2, 4, 6))):
        for channel in range(2):
            group = file.create_group(f"DataSet/ResolutionLevel {level}/TimePoint 0/Channel {channel}")
            group.create_dataset("Data", data=np.ones((z, y, x), "u1"), chunks=(2, 4, 6), compression="gzip")
            _characters(group, ImageSizeX=x, ImageSizeY=y, ImageSizeZ=z)
    about = file.create_group("DataSetInfo/Image")
    _characters(about, X=12, Y=8, Z=2, ExtMin0=0, ExtMax0=6, ExtMin1=0, ExtMax1=4, ExtMin2=0, ExtMax2=2, Unit="um")
    _characters(file.create_group("DataSetInfo/Channel 0"), Name="nuclei", Color="0 0 1", ColorRange="0 255")
    _characters(file.create_group("DataSetInfo/TimeInfo"), TimePoint1="2020-01-01 10:00:00.000")


def _tenx(file: h5py.File) -> None:
    group = file.create_group("matrix")
    group["barcodes"] = np.array([f"A{i}-1".encode() for i in range(6)])
    group["shape"] = np.array([4, 6], "i4")
    group["data"], group["indices"] = np.arange(1, 13, dtype="i4"), np.tile(np.array([0, 3], "i8"), 6)
    group["indptr"] = np.arange(0, 13, 2)
    features = group.create_group("features")
    features["id"], features["name"] = np.array([b"E1", b"E2", b"E3", b"E4"]), np.array([b"A", b"B", b"C", b"D"])
    features["feature_type"] = np.array([b"Gene Expression"] * 4)


def _mudata(file: h5py.File) -> None:
    file.attrs.update({"encoding-type": "MuData", "encoding-version": "0.1.0", "axis": 0})
    _frame(file, "obs", 8)
    _frame(file, "var", 8)
    for number, name in enumerate(("rna", "prot")):
        _anndata(file.create_group(f"mod/{name}"))
        at = np.zeros(8, "u4")
        at[number : number + 6] = np.arange(1, 7)
        file[f"obsmap/{name}"], file[f"varmap/{name}"] = at, np.arange(8, dtype="u4")
    file.create_group("obsm")["X_wnn"] = np.ones((8, 2))


def _neuroh5(file: h5py.File) -> None:
    numbers = h5py.enum_dtype({"GC": 0, "MC": 1}, "u2")
    kinds = np.dtype([("Start", "u8"), ("Count", "u4"), ("Population", numbers)])
    file["H5Types/Populations"] = np.array([(0, 6, 0), (6, 3, 1)], kinds)
    file["H5Types/Population labels"] = np.array([0, 1], numbers)
    held = file.create_group("Populations/GC/Generated Coordinates")
    for axis in "XYZ":
        group = held.create_group(f"{axis} Coordinate")
        group["Cell Index"], group["Attribute Value"] = np.arange(6, dtype="u4"), np.arange(6, dtype="f4")
        group["Attribute Pointer"] = np.arange(7, dtype="u8")
    edges = file.create_group("Projections/MC/GC/Edges")
    edges["Destination Block Index"], edges["Destination Block Pointer"] = np.array([0], "u4"), np.array([0, 4], "u8")
    edges["Destination Pointer"], edges["Source Index"] = np.array([0, 2, 3, 5], "u8"), np.array([0, 1, 2, 3, 4], "u4")
    file.create_group("Projections/MC/GC/Connections")["distance"] = np.ones(5, "f4")


def _arrays(file: h5py.File) -> None:
    file.create_dataset(
        "a", data=np.arange(48, dtype="u2").reshape(6, 8), chunks=(3, 4), compression="gzip", shuffle=True
    )
    file["b"] = np.arange(24, dtype=">f4").reshape(2, 3, 4)
    file["rows"] = np.zeros(5, [("id", "<u4"), ("x", "<f4")])
    file["deep/er/c"] = np.arange(3.0)
    file["type"] = np.dtype("<i4")
    file["x"] = np.arange(8.0)
    file["x"].make_scale("x")
    file["a"].dims[1].attach_scale(file["x"])
    file.attrs["title"] = "sample"


# --- what is changed --------------------------------------------------------------------------------------------------


def _dataset(file: h5py.File, path: str, kind: Any, shape: tuple[int, ...]) -> None:
    if path in file:
        del file[path]
    chunks = tuple(min(n, 4) for n in shape) if np.prod([float(n) for n in shape]) > 1 << 16 else None
    made = file.create_dataset(path, shape, kind, chunks=chunks)
    if chunks is None and made.dtype.kind in "iufb" and made.size and not made.dtype.subdtype:
        made[...] = np.resize(np.arange(-2, 5), shape).astype(made.dtype)
    elif chunks is None and h5py.check_string_dtype(made.dtype) and made.size:
        made[...] = np.resize(np.array([b"", b"\xff\xfe", b"1", b"cell"], object), shape or (1,)).reshape(shape)


def _changed(file: h5py.File, path: str, act: int, one: int, two: int) -> None:
    """One step of a recipe."""
    item = file[path]
    is_array = isinstance(item, h5py.Dataset)
    match act % 16:
        case 0:
            del file[path]
        case 1:
            _dataset(file, path, TYPES[one % len(TYPES)], SHAPES[two % len(SHAPES)])
        case 2:  # another type, as long as before
            _dataset(file, path, TYPES[one % len(TYPES)], item.shape if is_array and item.shape else (6,))
        case 3:  # as before, with another number of elements
            shape = item.shape if is_array and item.shape else (6,)
            _dataset(file, path, item.dtype if is_array else "f4", (max(shape[0] + one % 5 - 2, 0), *shape[1:]))
        case 4:  # other values
            if is_array and item.dtype.kind in "iuf" and item.size:
                with np.errstate(all="ignore"):
                    info: Any = np.finfo if item.dtype.kind == "f" else np.iinfo
                    edge = [0, 1, info(item.dtype).max, info(item.dtype).min, np.nan, np.inf][two % 6]
                    number = edge if item.dtype.kind == "f" or np.isfinite(edge) else 3
                    values = np.resize(item[()], item.shape).reshape(-1)
                    values[one % values.size :] = number
                    item[...] = values.reshape(item.shape)
        case 5:
            _dataset(file, path, TYPES[one % len(TYPES)], HUGE[two % len(HUGE)])
        case 6:
            del file[path]
            file.create_group(path)
        case 7:  # a link in a circle, to another member, to nothing
            names = _members(file)
            del file[path]
            file[path] = h5py.SoftLink((path, "/", f"/{names[two % len(names)]}", "/nothing")[one % 4])
        case 8:
            del file[path]
            file[path] = h5py.ExternalLink(("/etc/passwd", "other.h5", str(file.filename), "")[one % 4], "/X")
        case 9:  # the same object again, above or beside
            names = _members(file)
            target = file[names[two % len(names)]]
            del file[path]
            file[path] = target
        case 10:
            _attribute(item, NAMES[one % len(NAMES)], two)
        case 11:
            names = list(item.attrs)
            if names:
                _attribute(item, names[one % len(names)], two)
        case 12:
            names = list(item.attrs)
            if names:
                del item.attrs[names[one % len(names)]]
        case 13:  # a name that is no text, or looks like a path
            file[path].parent.id.links.create_soft((b"\xff\xfe", b"..", b".", b"a\nb", b"__x")[one % 5], b"/")
        case 14:
            del file[path]
            file.create_dataset(path, data=h5py.Empty(TYPES[one % 10]))
        case 15:  # elements in other files
            del file[path]
            if two % 2:
                file.create_dataset(path, (6,), "f8", external=[("/etc/hostname", 0, 48)])
            else:
                layout = h5py.VirtualLayout((6,), "f8")
                layout[:] = h5py.VirtualSource(("/etc/hostname", ".")[one % 2], "X", (6,))
                file.create_virtual_dataset(path, layout)


def _attribute(item: h5py.HLObject, name: str, which: int) -> None:
    values: tuple[Any, ...] = (
        *NUMBERS, "", "x", "csr_matrix", "dataframe", "categorical", "a\nb", b"\xff\xfe", [], [1], [6, 4], [-1, 4],
        [1 << 40, 4], [6.5, np.nan], np.array(["a", "b"], object), np.array([b"\xff"], "S1"), np.zeros((2, 2)),
        h5py.Empty("f4"), np.zeros(2, [("a", "i4")]), item.ref, np.array([[1, 2], [3, 4]], "u1"), "9" * 5000,
    )  # fmt: skip
    item.attrs[name] = values[which % len(values)]


def _members(file: h5py.File) -> list[str]:
    found: list[str] = []
    file.visit(found.append)
    return sorted(found)


BASES: dict[str, tuple[str, Write]] = {
    "h5ad_members": ("a.h5ad", _anndata), "h5ad_old_members": ("b.h5ad", _old_anndata),
    "loom_members": ("a.loom", _loom), "imaris_members": ("a.ims", _imaris), "tenx_h5_members": ("c.h5", _tenx),
    "mudata_members": ("a.h5mu", _mudata), "neuroh5_members": ("d.h5", _neuroh5), "hdf5_members": ("e.h5", _arrays),
}  # fmt: skip


def file_of(name: str) -> Path:
    """A file as it should be."""
    path = scratch() / f"base-{BASES[name][0]}"
    with h5py.File(path, "w") as file:
        BASES[name][1](file)
    return path


@cache
def _base(name: str) -> tuple[bytes, list[str]]:
    """A file as it should be, and its members."""
    path = file_of(name)
    with h5py.File(path) as file:
        members = ["/", *_members(file)]
    return path.read_bytes(), members


def changed(name: str, data: bytes) -> Path:
    """The file with what the bytes say; steps that HDF5 itself cannot take are left out."""
    whole, members = _base(name)
    path = scratch() / BASES[name][0]
    path.unlink(missing_ok=True)
    path.write_bytes(whole)
    with h5py.File(path, "r+") as file:
        for at in range(0, min(len(data), STEP * MOST_STEPS), STEP):
            step = data[at : at + STEP].ljust(STEP, b"\0")
            member = members[step[0] % len(members)]
            try:
                _changed(file, member, step[1], step[2], step[3])
            except (KeyError, ValueError, TypeError, OSError, RuntimeError, OverflowError, MemoryError):
                continue
    return path


def structure(name: str, data: bytes) -> object:
    """A source whose members are changed."""
    return look(changed(name, data))


def hdf5_typed(data: bytes) -> object:
    """The same as HSDS and h5grove show it: every object with its type, its attributes, its values."""
    source: Any = open_typed(changed("hdf5_members", data))
    try:
        hsds, grove = hsds_documents.Documents(source.typed), Objects(source.typed)
        told: list[object] = [hsds.gathered()[0], to_json(hsds.counts())]
        refused = 0
        for target in list(source.typed.walk())[:MOST_OBJECTS]:
            for work in (_by_hsds, _by_grove):
                try:
                    told.append(work(hsds, grove, target))
                except CoverslipError:
                    refused += 1
        return told, refused
    finally:
        source.close()


def _by_hsds(hsds: hsds_documents.Documents, grove: Objects, target: Target) -> object:
    found = [to_json(hsds.described(target, True, True)), to_json(hsds.links(target))]
    if target.kind == "dataset":
        asked = wanted(hsds, target, {}, b"", "")
        check_size(asked, MOST_BYTES, True)
        found.append(to_json(as_json(asked, {}, MOST_BYTES)))
        need_elements(asked)
        found.append(bytes(asked.bytes()))
    return found


def _by_grove(hsds: hsds_documents.Documents, grove: Objects, target: Target) -> object:
    found = [
        told_json(grove_documents.object_json(grove, target, "x")),
        told_json(grove_documents.attribute_values(grove, target, None)),
    ]
    if target.kind == "group":
        found.append(told_json(grove_documents.children(grove, target, lambda link: None)))
        found.append(told_json(list(grove_documents.paths_below(grove, target, "/"))))
    return found


STRUCTURES |= {name: partial(structure, name) for name in BASES} | {"hdf5_typed": hdf5_typed}

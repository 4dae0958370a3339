"""Every parser of ours that reads files, as one function of bytes each, beside `parsers`.

The bytes are a whole file, or one file of a folder whose others are as they should be; the source is opened, described
as the catalog does, and some of each of its arrays is read.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from pathlib import Path
from tempfile import mkdtemp

import numpy as np

from coverslip.domains.gene_index import GeneIndex
from coverslip.domains.networks import Network
from coverslip.engine.sidecar import Sidecar
from coverslip.fronts.http import to_json
from coverslip.fronts.networks.answers import about
from coverslip.testing.networks import hippocampus, write_system
from explored import look
from parsers import Parser

HERE = Path(__file__).parent
Make = Callable[[Path], None]


@cache
def scratch() -> Path:
    """A folder of this process."""
    return Path(mkdtemp(prefix="coverslip-parsers-"))


def file(name: str, data: bytes) -> object:
    """A source that is one file."""
    path = scratch() / name
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Reading `.npy`")  # numpy's word for what Python 2 wrote
        return look(path)


@cache
def folder(name: str) -> Path:
    """A source that is a folder, as it should be."""
    path = scratch() / name
    FOLDERS[name](path)
    return path


def in_folder(name: str, target: str, data: bytes, of_network: Callable[[Network], object] | None = None) -> object:
    """A source that is a folder, with one file replaced."""
    path = folder(name)
    place = path / target
    whole = place.read_bytes()
    try:
        place.write_bytes(data)
        return look(path, of_network)
    finally:
        place.write_bytes(whole)


def _n5(path: Path) -> None:
    (path / "0" / "0").mkdir(parents=True)
    (path / "attributes.json").write_text('{"n5": "2.5.0"}')
    array = {"dimensions": [8, 6], "blockSize": [8, 6], "dataType": "uint16", "compression": {"type": "raw"}}
    (path / "0" / "attributes.json").write_text(json.dumps(array))
    block = struct.pack(">HHII", 0, 2, 8, 6) + np.arange(48, dtype=">u2").tobytes()
    (path / "0" / "0" / "0").write_bytes(block)


def _zarr3(path: Path) -> None:
    (path / "0" / "c" / "0").mkdir(parents=True)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1]}]}]
    ome = {"version": "0.5", "multiscales": [{"axes": axes, "datasets": levels}]}
    group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": ome}}
    (path / "zarr.json").write_text(json.dumps(group))
    array = {
        "zarr_format": 3, "node_type": "array", "shape": [8, 6], "data_type": "uint16", "fill_value": 0,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [8, 6]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}], "attributes": {},
    }  # fmt: skip
    (path / "0" / "zarr.json").write_text(json.dumps(array))
    (path / "0" / "c" / "0" / "0").write_bytes(np.arange(48, dtype="<u2").tobytes())


def _zarr2(path: Path) -> None:
    (path / "0").mkdir(parents=True)
    axes = [{"name": name, "type": "space"} for name in "yx"]
    scales = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({"multiscales": scales}))
    array = {"zarr_format": 2, "shape": [8, 6], "chunks": [8, 6], "dtype": "<u2", "compressor": None, "fill_value": 0,
             "order": "C", "filters": None}  # fmt: skip
    (path / "0" / ".zarray").write_text(json.dumps(array))
    (path / "0" / "0.0").write_bytes(np.arange(48, dtype="<u2").tobytes())


def _texts(path: Path) -> None:
    _zarr2(path)
    (path / "0" / "0.0").unlink()
    array = {"zarr_format": 2, "shape": [3], "chunks": [3], "dtype": "|O", "compressor": None, "fill_value": "",
             "order": "C", "filters": [{"id": "vlen-utf8"}]}  # fmt: skip
    (path / ".zattrs").write_text("{}")
    (path / "0" / ".zarray").write_text(json.dumps(array))
    words = b"".join(struct.pack("<I", len(word)) + word for word in (b"a", b"bc", b""))
    (path / "0" / "0").write_bytes(struct.pack("<I", 3) + words)


def _array(path: Path, values: np.ndarray) -> None:
    path.mkdir(parents=True)
    array = {"zarr_format": 2, "shape": values.shape, "chunks": values.shape, "dtype": values.dtype.str,
             "compressor": None, "fill_value": 0, "order": "C", "filters": None}  # fmt: skip
    (path / ".zarray").write_text(json.dumps(array))
    (path / ".".join("0" * values.ndim)).write_bytes(values.tobytes())


def _group(path: Path, **attrs: object) -> None:
    path.mkdir(parents=True, exist_ok=True)
    (path / ".zgroup").write_text('{"zarr_format": 2}')
    (path / ".zattrs").write_text(json.dumps({name.replace("_", "-", 1): value for name, value in attrs.items()}))


def _anndata(path: Path) -> None:
    _group(path, encoding_type="anndata", encoding_version="0.1.0")
    for name, count in (("obs", 6), ("var", 4)):
        _group(path / name, encoding_type="dataframe", encoding_version="0.2.0", column_order=["n"])
        (path / name / ".zattrs").write_text((path / name / ".zattrs").read_text()[:-1] + ', "_index": "id"}')
        _array(path / name / "id", np.arange(count))
        _array(path / name / "n", np.arange(count, dtype="f4"))
    _group(path / "X", encoding_type="csr_matrix", encoding_version="0.1.0", shape=[6, 4])
    for name, values in (("data", np.ones(6, "f4")), ("indices", np.arange(6) % 4), ("indptr", np.arange(7))):
        _array(path / "X" / name, values)
    _group(path / "obsm")
    _array(path / "obsm" / "X_umap", np.ones((6, 2)))


def _documents(network: Network) -> object:
    """What of a network is told from its documents; its cells and connections are as they should be."""
    return to_json(about(network, "system"))


def _spatial(path: Path) -> None:
    _group(path, spatialdata_attrs={"version": "0.2"})
    for part in ("images", "labels", "tables"):
        _group(path / part)
    scale = {"type": "scale", "scale": [1.0, 2.0, 2.0], "input": {"name": "cyx"}, "output": {"name": "global"}}
    affine = {"type": "affine", "affine": [[0, 1, 3], [1, 0, 4]], "output": {"name": "global"}}
    sequence = {"type": "sequence", "transformations": [{"type": "translation", "translation": [1, 2]}, affine]}
    _picture(path / "images" / "he", "cyx", (3, 8, 8), [scale], {"channels": [{"label": "r", "color": "ff0000"}]})
    _picture(path / "labels" / "cells", "yx", (8, 8), [sequence], None)
    shutil.copytree(folder("anndata.zarr"), path / "tables" / "table")
    _array(path / "tables" / "table" / "obsm" / "spatial", np.ones((6, 2)))
    table = {"region": ["he"], "region_key": "region", "instance_key": "id"}
    told = {"encoding-type": "anndata", "encoding-version": "0.1.0", "spatialdata-encoding-type": "ngff:regions_table"}
    (path / "tables" / "table" / ".zattrs").write_text(json.dumps(told | table | {"spatialdata_attrs": table}))


def _picture(path: Path, axes: str, shape: tuple[int, ...], transforms: list[object], omero: object) -> None:
    entries = [{"name": name, "type": "channel" if name == "c" else "space"} for name in axes]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * len(axes)}]}]
    image = {"version": "0.4", "axes": entries, "datasets": levels, "coordinateTransformations": transforms}
    _group(path, multiscales=[image], **({"omero": omero} if omero else {"image_label": {"version": "0.4"}}))
    _array(path / "0", np.arange(np.prod(shape), dtype="u1").reshape(shape))


def _system(path: Path) -> None:
    write_system(path, hippocampus(40), 7, single_file=True, synapses=False)


def _export(path: Path) -> None:
    with zipfile.ZipFile(HERE / "formats" / "exports" / "cellucid-0.9.4-0.zip") as packed:
        packed.extractall(path.parent / "export-of")
    shutil.move(path.parent / "export-of" / "demo", path)


def _tenx(path: Path) -> None:
    path.mkdir()
    head = "%%MatrixMarket matrix coordinate integer general\n%\n"
    (path / "matrix.mtx").write_text(f"{head}3 4 5\n1 1 2\n2 1 1\n3 3 7\n1 4 1\n2 4 9\n")
    (path / "barcodes.tsv").write_text("".join(f"{c * 8}-1\n" for c in "ACGT"))
    (path / "features.tsv").write_text("".join(f"ENSG{i}\tG{i}\tGene Expression\n" for i in range(3)))


def _ndtiff(path: Path) -> None:
    shutil.copytree(HERE / "corpus" / "ndtiff_index" / "folder", path)


FOLDERS: dict[str, Make] = {
    "n5": _n5, "zarr3": _zarr3, "zarr2": _zarr2, "texts": _texts, "export": _export, "tenx": _tenx, "ndtiff": _ndtiff,
    "anndata.zarr": _anndata, "system": _system, "spatial.zarr": _spatial,
}  # fmt: skip
N5, ZARR3, ZARR2, TEXTS, EXPORT, TENX = "n5", "zarr3", "zarr2", "texts", "export", "tenx"


def folder_names(data: bytes) -> object:
    """Names of files in a folder, which may number a series of pictures: a line each."""
    path = scratch() / "names"
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir()
    for number, name in enumerate(data.split(b"\n")[:16]):
        with suppress(OSError, ValueError):
            (path / os.fsdecode(name.replace(b"/", b"_"))).write_bytes(_tiff(number))
    return look(path)


@cache
def _tiff(number: int) -> bytes:
    """A picture of 3 x 2 pixels, all of one value."""
    tags = [(256, 3, 1, 3), (257, 3, 1, 2), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, 1), (278, 3, 1, 2), (279, 4, 1, 6)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    return b"II*\0" + struct.pack("<I", 14) + bytes([number] * 6) + struct.pack("<H", len(tags)) + entries + b"\0" * 4


def gene_index(data: bytes) -> object:
    """A kept gene index."""
    path = scratch() / "index"
    path.write_bytes(data)
    index = GeneIndex(path, (6, 2), b"k" * 16)
    try:
        return index.column(0), index.entries(1)
    finally:
        index.close()


def sidecar(data: bytes) -> object:
    """A kept level of an image: what is not what was written is none."""
    place = scratch() / "levels"
    kept = Sidecar(place, 1 << 20)
    kept.write(("a",), "b", memoryview(b"x" * 64))
    for stored in [p for p in place.rglob("*") if p.is_file()]:
        stored.write_bytes(data)
    found = kept.read(("a",), "b", 64)
    assert found is None or bytes(found) == b"x" * 64
    return found


FILES: dict[str, Parser] = {
    "npy": partial(file, "a.npy"),
    "mrc": partial(file, "a.mrc"),
    "nifti": partial(file, "a.nii"),
    "nifti_gz": partial(file, "a.nii.gz"),
    "tiff": partial(file, "a.tif"),
    "ome_tiff": partial(file, "a.ome.tif"),
    "dicom": partial(file, "a.dcm"),
    "lif": partial(file, "a.lif"),
    "nd2": partial(file, "a.nd2"),
    "czi": partial(file, "a.czi"),
    "zarr_zip": partial(file, "a.zarr.zip"),
    "hdf5": partial(file, "a.h5"),
    "n5_root": partial(in_folder, N5, "attributes.json"),
    "n5_array": partial(in_folder, N5, "0/attributes.json"),
    "n5_block": partial(in_folder, N5, "0/0/0"),
    "zarr3_group": partial(in_folder, ZARR3, "zarr.json"),
    "zarr3_array": partial(in_folder, ZARR3, "0/zarr.json"),
    "zarr2_attributes": partial(in_folder, ZARR2, ".zattrs"),
    "zarr2_array": partial(in_folder, ZARR2, "0/.zarray"),
    "zarr_texts": partial(in_folder, TEXTS, "0/0"),
    "export_identity": partial(in_folder, EXPORT, "dataset_identity.json"),
    "export_obs": partial(in_folder, EXPORT, "obs_manifest.json"),
    "export_var": partial(in_folder, EXPORT, "var_manifest.json"),
    "export_graph": partial(in_folder, EXPORT, "connectivity_manifest.json"),
    "tenx_matrix": partial(in_folder, TENX, "matrix.mtx"),
    "tenx_barcodes": partial(in_folder, TENX, "barcodes.tsv"),
    "tenx_features": partial(in_folder, TENX, "features.tsv"),
    "ndtiff_index": partial(in_folder, "ndtiff", "NDTiff.index"),
    "anndata_zarr": partial(in_folder, "anndata.zarr", "obs/.zattrs"),
    "anndata_zarr_matrix": partial(in_folder, "anndata.zarr", "X/.zattrs"),
    "system_graph": partial(in_folder, "system", "graph.json", of_network=_documents),
    "system_mea": partial(in_folder, "system", "mea.json", of_network=_documents),
    "spatial_image": partial(in_folder, "spatial.zarr", "images/he/.zattrs"),
    "spatial_labels": partial(in_folder, "spatial.zarr", "labels/cells/.zattrs"),
    "spatial_table": partial(in_folder, "spatial.zarr", "tables/table/.zattrs"),
    "spatial_root": partial(in_folder, "spatial.zarr", ".zattrs"),
    "folder_names": folder_names,
    "gene_index": gene_index,
    "sidecar": sidecar,
}

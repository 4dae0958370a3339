"""Remote sources read through a real S3 server and a web server, compared with the files."""

from __future__ import annotations

import warnings
import zipfile
from pathlib import Path

import anndata
import h5py
import nibabel
import numpy as np
import pytest
import remote_data
import tifffile
import zarr
from remote_data import BOXES, offers, same, walk, write_ome

import make
from coverslip.core.spec import Box
from coverslip.domains.cells import Cells, Options
from coverslip.domains.images import Images
from coverslip.formats import open_source
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.place import Places
from remote_servers import S3, Web

s3 = remote_data.s3
web = remote_data.web
places = remote_data.places


def write_h5ad(path: Path) -> anndata.AnnData:
    n = 400
    adata = anndata.AnnData(make.dense_matrix(n, 12), make.table(n))
    adata.obsm["X_umap"] = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    adata.write_h5ad(path, compression="gzip")
    return adata


@pytest.mark.parametrize(
    ("version", "shards"), [("0.4", None), ("0.5", None), ("0.5", (1, 128, 128)), ("0.5", (2, 256, 320))]
)
def test_ome_zarr_on_s3(s3: S3, places: Places, tmp_path: Path, version: str, shards: tuple[int, ...] | None) -> None:
    data = write_ome(tmp_path / "a.zarr", version, shards)
    bucket = s3.make(f"ome-{version[-1]}-{'x'.join(map(str, shards or ()))}")
    s3.put_tree(bucket, "deep er/a.zarr", tmp_path / "a.zarr")
    place = places.at(f"s3://{bucket}/deep er/a.zarr")
    (offer,) = offers(place)
    assert (offer.format, offer.kind, offer.folder, offer.light) == ("ome-zarr", "images", True, True)
    source = offer.open()
    image = Images(source)[""]
    for box in BOXES:
        np.testing.assert_array_equal(image.array.read(box), data[box.slices])
    same(open_source(tmp_path / "a.zarr"), source)
    assert source.fresh()
    source.close()


def test_a_slice_fetches_no_more_than_it_needs(web: Web, places: Places) -> None:
    write_ome(web.folder / "a.zarr", "0.5", (2, 256, 320))
    source = places.at(f"{web.url}/a.zarr").open()
    image = Images(source)[""]
    web.requests.clear()
    web.sent = 0
    image.array.read(Box((0, 100, 100), (1, 110, 110)))
    assert [r[1] for r in web.requests] == ["/a.zarr/0/c/0/0/0"] * 2  # the index and the chunk
    assert web.sent < 10_000
    assert (web.folder / "a.zarr/0/c/0/0/0").stat().st_size > 100_000
    image.array.read(Box((1, 100, 100), (2, 110, 110)))
    assert len(web.requests) == 3  # the index is kept


def test_consolidated_metadata_is_enough(s3: S3, places: Places, tmp_path: Path) -> None:
    bucket = s3.make("consolidated")
    for version in (2, 3):
        root = zarr.open_group(str(tmp_path / f"v{version}.zarr"), mode="w", zarr_format=version)
        root.create_group("deep").create_array("numbers", data=np.arange(60).reshape(6, 10), chunks=(4, 4))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # consolidated metadata is no part of v3's specification yet
            zarr.consolidate_metadata(str(tmp_path / f"v{version}.zarr"), zarr_format=version)
        s3.put_tree(bucket, f"v{version}.zarr", tmp_path / f"v{version}.zarr")
        source = places.at(f"s3://{bucket}/v{version}.zarr/").open()
        same(open_source(tmp_path / f"v{version}.zarr"), source)


def test_zipped_ome_zarr(s3: S3, web: Web, places: Places, tmp_path: Path) -> None:
    path = web.folder / "a.ozx"
    data = write_ome(tmp_path / "a.zarr", "0.5", (1, 128, 128))
    with zipfile.ZipFile(path, "w") as made:
        for file in sorted((tmp_path / "a.zarr").rglob("*")):
            made.write(file, file.relative_to(tmp_path / "a.zarr"))
    s3.make("zips")
    s3.put("zips", "a.ozx", path)
    for url in ("s3://zips/a.ozx", f"{web.url}/a.ozx"):
        (offer,) = offers(places.at(url))
        assert (offer.format, offer.light) == ("ome-zarr", True)
        source = offer.open()
        for box in BOXES:
            np.testing.assert_array_equal(Images(source)[""].array.read(box), data[box.slices])
        source.close()


def test_h5ad_is_read_by_ranges(s3: S3, web: Web, places: Places, tmp_path: Path) -> None:
    adata = write_h5ad(web.folder / "cells.h5ad")
    s3.make("cells")
    s3.put("cells", "cells.h5ad", web.folder / "cells.h5ad")
    for url in ("s3://cells/cells.h5ad", f"{web.url}/cells.h5ad"):
        (offer,) = offers(places.at(url))
        assert (offer.format, offer.kind, offer.light) == ("h5ad", "cells", True)
        source = offer.open()
        same(open_source(web.folder / "cells.h5ad"), source)
        assert Cells(source.root, Options()).n_cells == adata.n_obs
        source.close()
    assert not (tmp_path / "copies").exists()


def test_hdf5_chunks_are_fetched_together(web: Web, places: Places) -> None:
    data = np.random.default_rng(0).integers(0, 1 << 31, (64, 64, 1024), "u4")
    with h5py.File(web.folder / "a.h5", "w") as file:
        file.create_dataset("big", data=data, chunks=(4, 64, 1024), compression="gzip", compression_opts=1)
        file.create_dataset("plain", data=data)
    (offer,) = offers(places.at(f"{web.url}/a.h5"))
    assert offer.format == "hdf5"
    source = offer.open()
    arrays = dict(walk(source.root))
    assert len(arrays) == 2
    web.requests.clear()
    web.slow_s, web.most = 0.1, 0
    for array in arrays.values():
        np.testing.assert_array_equal(array.read(Box((8, 0, 0), (40, 64, 1024))), data[8:40])
    assert web.most > 1
    assert len(web.requests) < 8
    source.close()


@pytest.mark.parametrize("kind", ["ome.tif", "nii.gz", "tif"])
def test_other_files_are_copied_once(s3: S3, places: Places, tmp_path: Path, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    data = np.random.default_rng(5).integers(0, 4000, (3, 64, 70)).astype(np.int16)
    if kind == "nii.gz":
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4)), path)
    else:
        tifffile.imwrite(path, data, ome=kind == "ome.tif", metadata={"axes": "ZYX"}, photometric="minisblack")
    s3.make("files")
    s3.put("files", f"some folder/{path.name}", path)
    told: list[tuple[str, int, int]] = []
    places.progress = lambda name, done, size: told.append((name, done, size))
    (offer,) = offers(places.at(f"s3://files/some folder/{path.name}"))
    assert not offer.light
    source = offer.open()
    same(open_source(path), source)
    assert told[0][:2] == (path.name, 0)
    assert told[-1] == (path.name, path.stat().st_size, path.stat().st_size)
    told.clear()
    again = offer.open()
    assert told == []  # the copy is there
    assert again.etag == source.etag
    (copy,) = [p for p in (tmp_path / "copies").rglob("*") if p.is_file()]
    assert copy.name == path.name
    assert copy.stat().st_mode & 0o077 == 0
    for opened in (source, again):
        opened.close()


def test_a_bucket_is_listed(s3: S3, places: Places, tmp_path: Path) -> None:
    bucket = s3.make("listed")
    write_ome(tmp_path / "a.zarr", "0.5")
    write_h5ad(tmp_path / "cells.h5ad")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(30).reshape(5, 6)
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((8, 9), np.uint8))
    s3.put_tree(bucket, "x/y/a.zarr", tmp_path / "a.zarr")
    s3.put(bucket, "x/cells.h5ad", tmp_path / "cells.h5ad")
    s3.put(bucket, "x/y/b.tif", tmp_path / "b.tif")
    s3.put(bucket, "x/numbers.h5", tmp_path / "x.h5")
    s3.put(bucket, "readme.txt", b"hello")
    s3.put(bucket, "x/.hidden/b.tif", tmp_path / "b.tif")
    s3.put(bucket, "x/.b.tif", tmp_path / "b.tif")
    found = {offer.path: offer for offer in offers(places.at(f"s3://{bucket}"))}
    assert {p: (o.format, o.light) for p, o in found.items()} == {
        "x/cells.h5ad": ("h5ad", True),
        "x/numbers.h5": ("hdf5", True),
        "x/y/a.zarr": ("ome-zarr", True),
        "x/y/b.tif": ("tiff", False),
    }
    assert found["x/y/b.tif"].url == f"s3://{bucket}/x/y/b.tif"
    assert found["x/y/b.tif"].size == (tmp_path / "b.tif").stat().st_size
    below = {o.path: o for o in offers(places.at(f"s3://{bucket}/x/y/"))}
    assert list(below) == ["b.tif", "a.zarr"]
    same(open_source(tmp_path / "a.zarr"), below["a.zarr"].open())
    before = found["x/y/b.tif"].stamp
    tifffile.imwrite(tmp_path / "b.tif", np.ones((8, 9), np.uint8))
    s3.put(bucket, "x/y/b.tif", tmp_path / "b.tif")
    again = {offer.path: offer.stamp for offer in offers(places.at(f"s3://{bucket}"))}
    assert again["x/y/b.tif"] != before
    assert again["x/cells.h5ad"] == found["x/cells.h5ad"].stamp


def test_google_addresses(s3: S3, tmp_path: Path) -> None:
    """Google's storage is asked in its XML dialect, which is S3's; the server here is moto's."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(30).reshape(5, 6)
    s3.make("goog", public=True)
    s3.put_public("goog", "x/numbers.h5", (tmp_path / "x.h5").read_bytes())
    places = Places(Credentials([Profile("g", "gs", endpoint_url=s3.url)], "g"), tmp_path / "copies")
    same(open_source(tmp_path / "x.h5"), places.at("gs://goog/x/numbers.h5").open())
    assert [o.path for o in offers(places.at("gs://goog/x"))] == ["numbers.h5"]

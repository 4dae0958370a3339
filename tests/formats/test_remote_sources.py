"""Remote sources read through a real S3 server and a web server, compared with what was written."""

from __future__ import annotations

import time
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import anndata
import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr

import make
from coverslip.core.errors import Damaged, NotFound, Unreadable
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import Box
from coverslip.domains.cells import Cells, Options
from coverslip.domains.images import Images
from coverslip.formats import open_source
from coverslip.formats.remote import file as remote_file
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.place import Offer, Place, Places
from remote_servers import S3, Web, s3_server, web_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    with web_server(folder) as server:
        yield server


@pytest.fixture
def places(s3: S3, tmp_path: Path) -> Places:
    lab = Profile("lab", "s3", s3.key, s3.secret, "us-east-1", endpoint_url=s3.url)
    return Places(Credentials([lab], "lab"), tmp_path / "copies")


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote sources are looked at every time."""
    monkeypatch.setattr(remote_file, "RECHECK_S", 0.0)


def offers(place: Place) -> list[Offer]:
    return [offer for batch in place.offers() for offer in batch]


def multiscales(version: str, levels: int = 2) -> dict:
    axes = [{"name": n, "type": t} for n, t in (("c", "channel"), ("y", "space"), ("x", "space"))]
    sets = [
        {"path": str(i), "coordinateTransformations": [{"type": "scale", "scale": [1, 0.5 * 2**i, 0.5 * 2**i]}]}
        for i in range(levels)
    ]
    scales = [{"name": "cells", "axes": axes, "datasets": sets, "version": version}]
    return {"ome": {"version": version, "multiscales": scales}} if version == "0.5" else {"multiscales": scales}


def write_ome(folder: Path, version: str, shards: tuple[int, ...] | None = None) -> np.ndarray:
    data = np.random.default_rng(3).integers(0, 60000, (2, 200, 300)).astype(np.uint16)
    data[:, :64, :64] = 0  # chunks that are not stored
    group = zarr.open_group(str(folder), mode="w", zarr_format=3 if version == "0.5" else 2)
    group.attrs.update(multiscales(version))
    for level in range(2):
        part = data[:, :: 2**level, :: 2**level]
        keys = {} if version == "0.5" else {"chunk_key_encoding": {"name": "v2", "separator": "/"}}
        made = group.create_array(
            str(level), shape=part.shape, dtype=part.dtype, chunks=(1, 64, 64), shards=shards, fill_value=0, **keys
        )
        made[...] = part
    return data


def write_h5ad(path: Path) -> anndata.AnnData:
    n = 400
    adata = anndata.AnnData(make.dense_matrix(n, 12), make.table(n))
    adata.obsm["X_umap"] = np.random.default_rng(1).normal(size=(n, 2)).astype(np.float32)
    adata.write_h5ad(path, compression="gzip")
    return adata


def walk(node: Group, at: str = "") -> Iterator[tuple[str, Array]]:
    for name in node:
        child = node[name]
        if isinstance(child, Array):
            yield f"{at}/{name}", child
        else:
            yield from walk(child, f"{at}/{name}")


def same(a: Source, b: Source) -> None:
    """Both trees hold the same values and attributes."""
    left, right = dict(walk(a.root)), dict(walk(b.root))
    assert list(left) == list(right)
    assert left
    assert dict(a.root.attrs) == dict(b.root.attrs)
    for name, array in left.items():
        other = right[name]
        assert array.spec == other.spec, name
        np.testing.assert_array_equal(array.read_all(), other.read_all(), name)


BOXES = [Box((0, 0, 0), (2, 200, 300)), Box((1, 10, 20), (2, 70, 33)), Box((0, 190, 290), (1, 200, 300))]


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


def test_without_keys_public_objects_are_read(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["numbers"] = np.arange(30).reshape(5, 6)
    s3.make("public", public=True)
    s3.put_public("public", "numbers.h5", (tmp_path / "x.h5").read_bytes())
    s3.make("private")
    s3.put("private", "numbers.h5", tmp_path / "x.h5")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.url)
    places = Places(Credentials(), tmp_path / "copies")
    same(open_source(tmp_path / "x.h5"), places.at("s3://public/numbers.h5").open())
    with pytest.raises(Unreadable, match=r"Access to s3://private/numbers\.h5 was denied"):
        places.at("s3://private/numbers.h5").open()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret)
    same(open_source(tmp_path / "x.h5"), places.at("s3://private/numbers.h5").open())


@pytest.fixture(scope="module")
def strict() -> Iterator[S3]:
    """A server that looks at signatures."""
    with s3_server() as server:
        server.make("lab")
        server.ask_for_keys()
        yield server


@pytest.mark.parametrize("bad", ["key", "secret"])
def test_wrong_keys(strict: S3, tmp_path: Path, bad: str) -> None:
    write_ome(tmp_path / "a.zarr", "0.4")
    strict.put_tree("lab", "a.zarr", tmp_path / "a.zarr")
    strict.put("lab", "a.h5ad", b"x" * 100)
    right = Profile("right", "s3", strict.key, strict.secret, endpoint_url=strict.url)
    wrong = {
        "key": Profile("wrong", "s3", "AKIAWRONGWRONG", "WRONGSECRET", endpoint_url=strict.url),
        "secret": Profile("wrong", "s3", strict.key, "WRONGSECRET", endpoint_url=strict.url),
    }[bad]
    places = Places(Credentials([right, wrong]), tmp_path / "copies")
    assert offers(places.at("s3://lab/a.zarr", "right"))[0].format == "ome-zarr"
    for url in ("s3://lab/a.zarr", "s3://lab/a.h5ad", "s3://lab", "s3://lab/"):
        with pytest.raises(Unreadable) as caught:
            offers(places.at(url, "wrong"))
        told = f"{caught.value!r} {caught.value}"
        assert caught.value.name == "access_denied"
        assert "'wrong'" in told
        assert "\n" not in told
        for secret in (strict.secret, "WRONGSECRET", strict.key, "AKIAWRONG"):
            assert secret not in told
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


def test_what_is_not_there(s3: S3, web: Web, places: Places) -> None:
    s3.make("empty")
    for url in ("s3://empty/no.h5ad", "s3://no-such-bucket/a.h5ad", "s3://no-such-bucket/", "s3://empty/a.zarr",
                "s3://empty", f"{web.url}/no.h5ad", f"{web.url}/no.zarr", f"{web.url}/folder/"):  # fmt: skip
        with pytest.raises(NotFound) as caught:
            offers(places.at(url))
        assert url.rstrip("/") in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_server_that_is_not_there(s3: S3, tmp_path: Path) -> None:
    nowhere = Profile("n", "s3", "KEY", "SECRET", endpoint_url="http://127.0.0.1:9")
    places = Places(Credentials([nowhere], "n"), tmp_path / "copies")
    for url in ("s3://bucket/a.h5ad", "s3://bucket", "http://127.0.0.1:9/a.h5ad"):
        started = time.monotonic()
        with pytest.raises(Unreadable, match="cannot be reached") as caught:
            offers(places.at(url))
        assert time.monotonic() - started < 20
        assert caught.value.name == "unreachable"
        assert "SECRET" not in str(caught.value)


def test_an_object_changed_while_it_is_open(s3: S3, web: Web, places: Places, tmp_path: Path, soon: None) -> None:
    s3.make("changing")
    for i, url in enumerate(("s3://changing/a.h5", f"{web.url}/a.h5")):
        for run in range(2):
            with h5py.File(web.folder / "a.h5", "w") as file:
                file["numbers"] = np.arange(1_000_000) + run
            s3.put("changing", "a.h5", web.folder / "a.h5")
            if run == 0:
                source = places.at(url).open()
                ((_, array),) = walk(source.root)
                array.read_rows(0, 10)
                etag = source.etag
                assert source.fresh()
        with pytest.raises(Damaged, match="changed while it was read") as caught:
            array.read_all()
        assert caught.value.name == "changed", i
        assert not source.fresh()
        again = places.at(url).open()
        assert again.etag != etag
        ((_, array),) = walk(again.root)
        assert array.read_all()[5] == 6


def test_copies_and_hierarchies_that_changed_are_seen(
    s3: S3, web: Web, places: Places, tmp_path: Path, soon: None
) -> None:
    tifffile.imwrite(web.folder / "a.tif", np.zeros((8, 9), np.uint8))
    write_ome(web.folder / "a.zarr", "0.4")
    opened = [places.at(f"{web.url}/{name}").open() for name in ("a.tif", "a.zarr")]
    assert all(source.fresh() for source in opened)
    tifffile.imwrite(web.folder / "a.tif", np.ones((18, 9), np.uint8))
    zarr.open_group(str(web.folder / "a.zarr"), mode="a").attrs["more"] = 1
    assert not any(source.fresh() for source in opened)
    again = [places.at(f"{web.url}/{name}").open() for name in ("a.tif", "a.zarr")]
    assert Images(again[0])[""].array.read_all().sum() == 18 * 9
    assert [a.etag == b.etag for a, b in zip(opened, again, strict=True)] == [False, False]


def test_a_server_that_went_away_leaves_what_is_open_open(places: Places, tmp_path: Path, soon: None) -> None:
    with web_server(tmp_path) as web:
        data = write_ome(tmp_path / "a.zarr", "0.5")
        source = places.at(f"{web.url}/a.zarr").open()
        image = Images(source)[""]
        np.testing.assert_array_equal(image.array.read(BOXES[1]), data[BOXES[1].slices])
    assert source.fresh()  # nobody knows; what is kept goes on being shown
    np.testing.assert_array_equal(image.array.read(BOXES[1]), data[BOXES[1].slices])
    with pytest.raises(Unreadable) as caught:
        image.array.read(BOXES[2])
    assert caught.value.name == "unreachable"


def test_an_s3_server_killed_while_it_is_read(tmp_path: Path) -> None:
    with s3_server() as server:
        server.make("lab")
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["numbers"] = np.arange(1_000_000)
        server.put("lab", "a.h5", tmp_path / "a.h5")
        places = Places(
            Credentials([Profile("p", "s3", server.key, server.secret, endpoint_url=server.url)], "p"),
            tmp_path / "copies",
        )
        source = places.at("s3://lab/a.h5").open()
        ((_, array),) = walk(source.root)
        assert array.read_rows(0, 3).tolist() == [0, 1, 2]
        server.process.kill()
        server.process.wait()
        started = time.monotonic()
        with pytest.raises(Unreadable, match=r"cannot be reached|broke"):
            array.read_all()
        assert time.monotonic() - started < 30
        source.close()


def test_missing_chunks_look_missing_only_while_keys_are_good(web: Web, places: Places, tmp_path: Path) -> None:
    """Who may not list a bucket is told 403 for what is not there."""
    data = write_ome(web.folder / "a.zarr", "0.4")
    source = places.at(f"{web.url}/a.zarr").open()
    image = Images(source)[""]
    for denied in ("/a.zarr/0/0/0/0", "/a.zarr/0/0/1/0"):
        web.moved[denied] = "/denied"
    web.query = ""
    np.testing.assert_array_equal(image.array.read(Box((1, 0, 0), (2, 64, 64))), data[1:, :64, :64])
    web.query = "no=more"  # from now on everything is denied
    with pytest.raises(Unreadable, match="denied"):
        image.array.read(Box((0, 64, 64), (1, 128, 128)))
    with pytest.raises(Unreadable, match="denied"):
        image.array.read(Box((0, 0, 0), (1, 32, 32)))

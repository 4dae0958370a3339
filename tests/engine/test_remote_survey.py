"""Remote places in the catalog: listed, changed, lost and failed, and never opened when that would copy them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from coverslip.app import describe
from coverslip.core.errors import CoverslipError, Unreadable
from coverslip.core.node import Source
from coverslip.domains.cells import Options
from coverslip.domains.images import Images
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions
from coverslip.engine.remote import RemoteRoot, RemoteSurvey
from coverslip.formats import open_source, recognise
from coverslip.formats.remote import file as remote_file
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.place import Places
from remote_servers import S3, s3_server, web_server


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    with s3_server() as server:
        yield server


@pytest.fixture
def catalog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Catalog]:
    monkeypatch.setattr(remote_file, "RECHECK_S", 0.0)

    def tell(source: Source) -> object:
        return describe(Options(), source)

    made = Catalog([], recognise, open_source, tell, CatalogOptions(persist=False))
    made.start()
    yield made
    made.close()


def places_of(s3: S3, tmp_path: Path) -> Places:
    return Places(
        Credentials([Profile("lab", "s3", s3.key, s3.secret, endpoint_url=s3.url)], "lab"), tmp_path / "copies"
    )


def until(done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        time.sleep(0.02)


def tif(value: int, folder: Path) -> bytes:
    tifffile.imwrite(folder / "made.tif", np.full((7, 8), value, np.uint8))
    return (folder / "made.tif").read_bytes()


def test_a_bucket_in_the_catalog(s3: S3, catalog: Catalog, tmp_path: Path) -> None:
    s3.make("survey")
    s3.put("survey", "x/one.tif", tif(1, tmp_path))
    s3.put("survey", "x/no.tif", tif(1, tmp_path))
    zarr.create_array(str(tmp_path / "a.zarr"), data=np.arange(12).reshape(3, 4))
    s3.put_tree("survey", "a.zarr", tmp_path / "a.zarr")
    places = places_of(s3, tmp_path)
    survey = RemoteSurvey([RemoteRoot(places.at("s3://survey"), hidden=("no.*",))], catalog, rescan_s=0.1)
    survey.check()
    survey.start()
    try:
        until(lambda: survey.scanned)
        until(lambda: [row.status for row in catalog.entries()[0]] == ["ready", "pending"])
        rows = {row.name: row for row in catalog.entries()[0]}
        assert rows["one.tif"].url == "s3://survey/x/one.tif"
        assert rows["a.zarr"].url == "s3://survey/a.zarr"
        assert catalog.get(rows["a.zarr"].id).tensors[0]["shape"] == [3, 4]  # type: ignore[index]
        assert not (tmp_path / "copies").exists()  # a file that would be copied is not opened to be listed

        one = rows["one.tif"].id
        assert Images(catalog.open(one).source())[""].array.read_all().max() == 1
        until(lambda: catalog.get(one).status == "ready")
        assert catalog.get(one).tensors[0]["shape"] == [7, 8]  # type: ignore[index]

        s3.put("survey", "x/one.tif", tif(2, tmp_path))
        until(lambda: catalog.get(one).generation == 1)
        assert Images(catalog.open(one).source())[""].array.read_all().max() == 2
        assert catalog.open(one).source().etag != rows["one.tif"].version

        import obstore

        s3.put("survey", "two.tif", tif(3, tmp_path))
        obstore.delete(s3.store("survey"), "x/one.tif")
        until(lambda: sorted(row.name for row in catalog.entries()[0]) == ["a.zarr", "two.tif"])
        assert one not in catalog
    finally:
        survey.close()


def test_a_place_that_cannot_be_reached_is_listed_with_the_reason(catalog: Catalog, tmp_path: Path) -> None:
    with web_server(tmp_path) as web:
        places = Places(Credentials(), tmp_path / "copies")
        tif(1, tmp_path)
        web.query = "sig=SECRET"
        good, bad = f"{web.url}/made.tif?sig=SECRET", f"{web.url}/made.tif?sig=WRONG"
        with pytest.raises(Unreadable, match="denied"):
            RemoteSurvey([RemoteRoot(places.at(good)), RemoteRoot(places.at(bad))], catalog).check()
        survey = RemoteSurvey([RemoteRoot(places.at(bad), name="mine")], catalog, rescan_s=0.1)
        survey.start()
        try:
            until(lambda: survey.scanned)
            (row,), _ = catalog.entries()
            assert (row.name, row.status, row.code, row.url) == (
                "mine",
                "failed",
                "access_denied",
                f"{web.url}/made.tif",
            )
            assert "WRONG" not in repr(row)
            with pytest.raises(CoverslipError, match="denied"):
                catalog.open(row.id).source()
            web.query = "sig=WRONG"  # the key became good
            until(lambda: catalog.get(row.id).status == "pending")
            assert Images(catalog.open(row.id).source())[""].array.read_all().max() == 1
            assert catalog.get(row.id).format == "tiff"
        finally:
            survey.close()

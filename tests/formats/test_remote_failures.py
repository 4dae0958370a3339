"""Remote sources that are refused, change, or whose server goes away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import remote_data
import tifffile
import zarr
from remote_data import BOXES, offers, same, walk, write_ome

from coverslip.core.errors import Damaged, NotFound, Unreadable
from coverslip.core.spec import Box
from coverslip.domains.images import Images
from coverslip.formats import open_source
from coverslip.formats.remote import file as remote_file
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.place import Places
from remote_servers import S3, Web, s3_server, web_server

s3 = remote_data.s3
web = remote_data.web
places = remote_data.places


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remote sources are looked at every time."""
    monkeypatch.setattr(remote_file, "RECHECK_S", 0.0)


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

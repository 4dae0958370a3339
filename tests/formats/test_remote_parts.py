"""Addresses, credentials, copies, and servers with bad habits."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile

from coverslip.core.errors import (
    BadRequest,
    CoverslipError,
    NotFound,
    Stopped,
    TimedOut,
    TooLarge,
    UnknownFormat,
    Unreadable,
)
from coverslip.core.stop import Stop
from coverslip.domains.images import Images
from coverslip.formats.remote import bucket as remote_bucket
from coverslip.formats.remote import copies as remote_copies
from coverslip.formats.remote.address import Address, is_url
from coverslip.formats.remote.bucket import Bucket, Patience, Stat
from coverslip.formats.remote.copies import Copies
from coverslip.formats.remote.credentials import Credentials, Profile
from coverslip.formats.remote.file import BLOCK, RemoteFile
from coverslip.formats.remote.place import Places
from coverslip.formats.remote.source import recognise
from remote_servers import Web, web_server

NOBODY = Profile("nobody", "https")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    folder = tmp_path / "web"
    folder.mkdir()
    with web_server(folder) as server:
        yield server


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(Credentials(), tmp_path / "copies")


def remote(web: Web, name: str, data: bytes) -> RemoteFile:
    (web.folder / name).write_bytes(data)
    bucket = Bucket(Address.parse(f"{web.url}/{name}"), NOBODY)
    stat = bucket.stat("")
    assert stat is not None
    return RemoteFile(bucket, "", stat)


# --- addresses ---


def test_addresses_show_no_secret() -> None:
    address = Address.parse("https://me:pass@host.org/a%20b/c.tif?X-Amz-Signature=SECRET&y=1#frag")
    assert address.shown == str(address) == "https://host.org/a%20b/c.tif"
    assert (address.name, address.path, address.host) == ("c.tif", "a b/c.tif", "host.org")
    assert "SECRET" not in repr(address)
    assert "pass" not in repr(address)
    assert Address.parse("s3://bucket/a b/%20c").path == "a b/%20c"  # names of objects are what they are
    assert Address.parse("gs://bucket").folder
    assert Address.parse("S3://bucket/x/").shown == "s3://bucket/x"
    assert Address.parse("s3://bucket/x").below("y").shown == "s3://bucket/x/y"


@pytest.mark.parametrize(
    "text",
    ["ftp://h/x", "file:///etc/passwd", "s3://", "s3://b/../x", "https:///x", "http://example.org/x", "http://10.0.0.1/x",
     "https://[/x", "https://h/%ff", "s3://b/x//y"],
)  # fmt: skip
def test_addresses_that_are_refused(text: str) -> None:
    assert is_url(text)
    with pytest.raises(BadRequest) as caught:
        Address.parse(text)
    assert "\n" not in str(caught.value)


def test_paths_are_no_addresses() -> None:
    assert not any(map(is_url, ["/a/b", "C:\\x", "a.zarr", "./s3:/x", "C://x", "é://x"][:4]))
    assert Address.parse("http://127.0.0.1:80/x").host == "127.0.0.1:80"
    assert Address.parse("http://localhost/x").web


# --- credentials ---

LAB = Profile("lab", "s3", "KEY", "SECRET", token="TOKEN")
WEB = Profile("site", "https", token="TOKEN")


def test_who_asks() -> None:
    env = {"AWS_ACCESS_KEY_ID": "E", "AWS_SECRET_ACCESS_KEY": "F", "AWS_SESSION_TOKEN": "G", "AWS_REGION": "eu-west-1"}
    both = Credentials([LAB, WEB], "lab")
    assert both.profile("s3", "", env) is LAB
    assert both.profile("https", "", env).anonymous  # the default one is not for the web
    assert both.profile("http", "site", env) is WEB
    none = Credentials([LAB, WEB])
    found = none.profile("s3", "", env)
    assert (found.name, found.key, found.secret, found.token, found.region) == (
        "environment",
        "E",
        "F",
        "G",
        "eu-west-1",
    )
    assert none.profile("s3", "", {}).anonymous
    assert none.profile("s3", "", {"AWS_SESSION_TOKEN": "G"}).anonymous
    assert none.profile("s3", "", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/x"}).ambient
    assert none.profile("gs", "", {"GOOGLE_APPLICATION_CREDENTIALS": "/x.json"}).key == "/x.json"
    assert none.profile("gs", "", env).anonymous
    for shown in (repr(LAB), repr(both), str(WEB)):
        assert not any(secret in shown for secret in ("KEY", "SECRET", "TOKEN"))


def test_shared_profiles_of_aws(tmp_path: Path) -> None:
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws/credentials").write_text("[lab]\naws_access_key_id = A\naws_secret_access_key = B%\n")
    (tmp_path / ".aws/config").write_text("[profile lab]\nregion = eu-north-1\n")
    env = {"AWS_PROFILE": "lab", "HOME": str(tmp_path)}
    found = Credentials().profile("s3", "", env)
    assert (found.key, found.secret, found.region) == ("A", "B%", "eu-north-1")
    with pytest.raises(BadRequest, match="AWS_PROFILE names 'other'"):
        Credentials().profile("s3", "", {**env, "AWS_PROFILE": "other"})


def test_profiles_that_make_no_sense() -> None:
    with pytest.raises(BadRequest, match="Did you mean 'lab'"):
        Credentials([LAB]).profile("s3", "lob")
    with pytest.raises(BadRequest, match="no credentials profile 'lob'"):
        Credentials([LAB], "lob")
    with pytest.raises(BadRequest, match="two credentials profiles"):
        Credentials([LAB, LAB])
    with pytest.raises(BadRequest, match="storage_type 'ftp'"):
        Credentials([Profile("x", "ftp")])
    with pytest.raises(BadRequest, match="not for gs://"):
        Credentials([LAB]).profile("gs", "lab")


def test_a_profile_is_not_mixed_with_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "ENVIRONMENT")
    seen: list[str] = []

    with web_server(tmp_path) as web:
        import remote_servers

        def note(self: remote_servers._Answer, body: bool) -> None:
            seen.append(str(self.headers))
            self._send(404, b"", {})

        monkeypatch.setattr(remote_servers._Answer, "_answer", note)
        for profile in (
            Profile("lab", "s3", "KEY", "SECRET", endpoint_url=web.url),
            Profile("n", "s3", endpoint_url=web.url),
        ):
            Bucket(Address.parse("s3://b/x"), profile).stat("")
    assert "Credential=KEY/" in seen[0]
    assert "uthorization" not in seen[1]
    assert not any("ENVIRONMENT" in headers or "oken" in headers for headers in seen)


# --- files and servers ---


def test_a_file_is_read_like_one_on_disk(web: Web) -> None:
    data = np.random.default_rng(0).bytes(3 * BLOCK + 1234)
    file = remote(web, "a.bin", data)
    rng = np.random.default_rng(1)
    for _ in range(60):
        start = int(rng.integers(0, len(data)))
        count = int(rng.integers(0, len(data) - start + 1))
        assert file.read(start, count) == data[start : start + count]
    for start, count in ((-1, 3), (len(data), 1), (0, len(data) + 1), (3, -1)):
        with pytest.raises(CoverslipError, match="ends too early"):
            file.read(start, count)
    handle = file.open()
    assert handle.read(5) == data[:5]
    assert handle.seek(-4, os.SEEK_END) == len(data) - 4
    assert handle.read() == data[-4:]
    assert handle.read() == b""
    assert handle.seek(2) == 2
    assert handle.seek(3, os.SEEK_CUR) == 5
    assert handle.read(1) == data[5:6]
    assert str(file) == f"{web.url}/a.bin"


def test_blocks_are_asked_for_once_and_ahead(web: Web) -> None:
    file = remote(web, "a.bin", bytes(64 * BLOCK))
    web.requests.clear()
    for at in range(0, 64 * BLOCK, BLOCK // 2):  # from front to back
        file.read(at, BLOCK // 2)
    assert len(web.requests) < 12
    web.requests.clear()
    file.read(5, 10 * BLOCK)
    assert web.requests == []


def test_a_long_read_is_split(web: Web) -> None:
    data = np.random.default_rng(0).bytes(20 << 20)
    file = remote(web, "a.bin", data)
    web.requests.clear()
    assert file.read(7, (20 << 20) - 7) == data[7:]
    assert len(web.requests) == 3


@pytest.mark.parametrize("etags", [True, False])
def test_a_server_that_sends_whole_files_only(web: Web, places: Places, etags: bool) -> None:
    web.ranges, web.etags = False, etags
    pixels = np.random.default_rng(0).integers(0, 255, (64, 65)).astype(np.uint8)
    tifffile.imwrite(web.folder / "a.tif", pixels)
    with h5py.File(web.folder / "a.h5", "w") as made:
        made["numbers"] = pixels
    for name in ("a.tif", "a.h5"):
        (batch,) = places.at(f"{web.url}/{name}").offers()
        assert not batch[0].light
        source = batch[0].open()
        images = Images(source)
        np.testing.assert_array_equal(images[images.paths[0]].array.read_all(), pixels)
        assert source.fresh()
        source.close()


def test_signed_addresses_work_and_are_never_told(web: Web, places: Places, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    web.query = "X-Amz-Signature=SECRET%2Fxyz&Expires=1"
    tifffile.imwrite(web.folder / "a b.tif", np.zeros((5, 6), np.uint8))
    signed = f"{web.url}/a%20b.tif?{web.query}"
    (batch,) = places.at(signed).offers()
    source = batch[0].open()
    assert batch[0].url == f"{web.url}/a%20b.tif"
    told = [repr(batch), repr(source.root.attrs), source.etag]
    for bad in (signed.replace("SECRET", "SECRET2"), signed.replace("a%20b", "none")):
        with pytest.raises(CoverslipError) as caught:
            list(places.at(bad).offers())
        told += [str(caught.value), repr(caught.value), repr(caught.value.__context__), repr(caught.value.__cause__)]
    web.down = True
    with pytest.raises(CoverslipError) as caught:
        list(places.at(signed).offers())
    told += [str(caught.value), repr(caught.value.__context__)]
    assert not any("SECRET" in text for text in [*told, caplog.text])
    assert not any("SECRET" in str(path) for path in (places.copies.folder).rglob("*"))


def test_names_and_passwords_for_the_web(web: Web, tmp_path: Path) -> None:
    tifffile.imwrite(web.folder / "a.tif", np.zeros((5, 6), np.uint8))
    profiles = [Profile("basic", "https", "me", "pass"), Profile("bearer", "https", token="TOKEN")]
    places = Places(Credentials(profiles), tmp_path / "copies")
    for profile, header in (("basic", "Basic bWU6cGFzcw=="), ("bearer", "Bearer TOKEN")):
        web.authorization = header
        assert list(places.at(f"{web.url}/a.tif", profile).offers())
    web.authorization = "Basic bWU6cGFzcw=="
    assert list(places.at(web.url.replace("//", "//me:pass@") + "/a.tif").offers())
    with pytest.raises(Unreadable, match="denied"):
        list(places.at(f"{web.url}/a.tif").offers())


def test_redirects(web: Web, places: Places, tmp_path: Path) -> None:
    tifffile.imwrite(web.folder / "a.tif", np.zeros((5, 6), np.uint8))
    (tmp_path / "secret.tif").write_bytes((web.folder / "a.tif").read_bytes())
    web.moved = {"/b.tif": "/a.tif", "/c.tif": f"file://{tmp_path}/secret.tif", "/d.tif": "ftp://127.0.0.1/x"}
    assert list(places.at(f"{web.url}/b.tif").offers())
    for name in ("c.tif", "d.tif"):
        with pytest.raises(CoverslipError) as caught:
            list(places.at(f"{web.url}/{name}").offers())
        assert not isinstance(caught.value, NotFound)


def test_a_slow_server(web: Web) -> None:
    (web.folder / "a.bin").write_bytes(b"x" * 100)
    web.slow_s = 3.0
    impatient = Patience(connect_s=0.5, read_s=0.5, whole_s=0.5, tries=1, retry_s=1)
    started = time.monotonic()
    with pytest.raises(TimedOut, match="did not answer in time"):
        Bucket(Address.parse(f"{web.url}/a.bin"), NOBODY, impatient).stat("")
    assert time.monotonic() - started < 3


def test_a_connection_that_breaks(web: Web, places: Places) -> None:
    tifffile.imwrite(web.folder / "a.tif", np.zeros((500, 600), np.uint8))
    web.cut_after = 1000
    with pytest.raises((Unreadable, TimedOut)) as caught:
        list(places.at(f"{web.url}/a.tif").offers())
    assert caught.value.name == "unreachable"


def test_what_no_format_reads(web: Web, places: Places) -> None:
    (web.folder / "a.txt").write_text("hello")
    (web.folder / "empty.tif").write_bytes(b"")
    with pytest.raises(UnknownFormat, match=r"a\.txt is in a format coverslip does not know"):
        list(places.at(f"{web.url}/a.txt").offers())
    with pytest.raises(CoverslipError, match=r"empty\.tif is empty"):
        list(places.at(f"{web.url}/empty.tif").offers())
    with pytest.raises(UnknownFormat):
        recognise("a\0b" + "x" * 300, b"", 10)


def test_damaged_files_are_told_by_their_address(web: Web, places: Places, tmp_path: Path) -> None:
    (web.folder / "a.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    (web.folder / "a.tif").write_bytes(b"II*\0" + b"\xff" * 50)
    (web.folder / "a.nii").write_bytes(b"no")
    (web.folder / "a.ozx").write_bytes(b"PK" + bytes(90))
    (web.folder / "a.zarr").mkdir()
    (web.folder / "a.zarr/zarr.json").write_text("{")
    for name in ("a.h5ad", "a.tif", "a.nii", "a.ozx", "a.zarr"):
        with pytest.raises(CoverslipError) as caught:
            next(places.at(f"{web.url}/{name}").offers())[0].open()
        assert str(tmp_path) not in str(caught.value)
        assert "\n" not in str(caught.value)
    assert places.copies._used == {}


# --- copies ---


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_copies, "PIECE", 10_000)


def test_a_copy_goes_on_where_it_was_stopped(web: Web, tmp_path: Path, small: None) -> None:
    data = np.random.default_rng(0).bytes(200_000)
    file, copies, stop = remote(web, "a.bin", data), Copies(tmp_path / "copies"), Stop()
    seen: list[int] = []

    def progress(done: int, size: int) -> None:
        seen.append(done)
        if done >= 80_000:
            stop.set()

    with pytest.raises(Stopped):
        copies.take(file, stop, progress)
    assert seen == [0, 40_000, 80_000]
    assert [p.name for p in (tmp_path / "copies").rglob("*") if p.is_file()] == [f".part-{os.getpid()}"]
    seen.clear()
    path = copies.take(file, progress=lambda done, size: seen.append(done))
    assert seen[0] == 80_000
    assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o077 == 0


def test_what_another_process_left_is_gone_on_with(web: Web, tmp_path: Path, small: None) -> None:
    data = np.random.default_rng(0).bytes(100_000)
    file, copies = remote(web, "a.bin", data), Copies(tmp_path / "copies")
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    path = copies._path(file)
    path.parent.mkdir(parents=True)
    (path.parent / f".part-{ended.pid}").write_bytes(data[:30_000])
    seen: list[int] = []
    assert copies.take(file, progress=lambda done, size: seen.append(done)).read_bytes() == data
    assert seen[0] == 30_000
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]


def test_a_changed_object_is_copied_anew(web: Web, tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies")
    file = remote(web, "a.bin", b"one" * 1000)
    (web.folder / "a.bin").write_bytes(b"two" * 1000)  # of the same size
    with pytest.raises(CoverslipError) as caught:
        copies.take(file)
    assert caught.value.name == "changed"
    assert not file.fresh()
    assert copies.take(remote(web, "a.bin", b"two" * 1000)).read_bytes() == b"two" * 1000


def test_copies_unused_longest_go_first(web: Web, tmp_path: Path) -> None:
    copies = Copies(tmp_path / "copies", quota_bytes=25_000)
    first = copies.take(remote(web, "1.bin", b"1" * 10_000))
    second = copies.take(remote(web, "2.bin", b"2" * 10_000))
    copies.back(second)
    with pytest.raises(TooLarge, match="no room for a copy"):
        copies.take(remote(web, "big.bin", b"3" * 20_000))
    third = copies.take(remote(web, "3.bin", b"3" * 10_000))
    assert [p.exists() for p in (first, second, third)] == [True, False, True]  # one that is used stays
    with pytest.raises(TooLarge, match="more than the cache"):
        copies.take(remote(web, "huge.bin", b"4" * 30_000))
    assert remote_bucket.pool()._max_workers == 16


def test_a_disk_that_cannot_be_written(web: Web, tmp_path: Path) -> None:
    (tmp_path / "copies").write_text("a file where a folder should be")
    with pytest.raises(Unreadable, match="cannot be copied") as caught:
        Copies(tmp_path / "copies").take(remote(web, "a.bin", b"x" * 100))
    assert str(tmp_path) not in str(caught.value)


def test_versions() -> None:
    one = Stat("k", 5, '"a"', 1.0)
    assert one.same(Stat("k", 5, '"a"', 2.0))  # the ETag counts
    assert not one.same(Stat("k", 5, '"b"', 1.0))
    assert not Stat("k", 5, "", 1.0).same(Stat("k", 5, "", 2.0))
    assert Stat("k", 5, 'W/"a"', 0.0).condition == {}
    assert one.condition == {"if_match": '"a"'}

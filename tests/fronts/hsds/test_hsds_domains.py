"""Domains, folders, objects by path and by page, refusals and hostile requests over HSDS's protocol."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient

from coverslip.settings import Settings
from typed_files import rich_file

Serve = Callable[..., TestClient]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("served")
    for name in ("one", "two", "empty", ".hidden"):
        (root / name).mkdir()
    rich_file(root / "one" / "rich.h5")
    for i in range(5):
        with h5py.File(root / "two" / f"f{i}.h5", "w") as f:
            f["x"] = np.arange(i)
    shutil.copy(root / "two" / "f1.h5", root / ".hidden" / "secret.h5")
    shutil.copy(root / "two" / "f1.h5", root / "two" / ".secret.h5")
    (root / "two" / "notes.txt").write_text("no HDF5")
    outside = root.with_name(f"{root.name}-private")
    outside.mkdir()
    shutil.copy(root / "two" / "f1.h5", outside / "secret.h5")
    (root / "two" / "link.h5").symlink_to(outside / "secret.h5")
    (root / "two" / "inner.h5").symlink_to(root / "one" / "rich.h5")
    (root / "linked").symlink_to(outside)
    return root


@pytest.fixture(scope="module")
def client(serve_all: Serve, folder: Path) -> TestClient:
    return serve_all(folder)


def ask(client: TestClient, path: str = "/", domain: str = "/one/rich.h5", **query: Any) -> Any:
    return client.get(f"/hsds{path}", params={"domain": domain, **query})


def names(answer: Any) -> list[str]:
    return [item["name"] for item in answer.json()["domains"]]


def test_folders_and_domains_are_listed_as_on_disk(client: TestClient) -> None:
    assert names(client.get("/hsds/domains")) == ["/empty", "/one", "/two"]
    assert names(ask(client, "/domains", "/one/")) == ["/one/mini.h5", "/one/rich.h5"]
    assert names(ask(client, "/domains", "/two")) == [*(f"/two/f{i}.h5" for i in range(5)), "/two/inner.h5"]
    kinds = {item["class"] for item in client.get("/hsds/domains?domain=/two").json()["domains"]}
    assert kinds == {"domain"}
    assert ask(client, domain="/one").json()["class"] == "folder"
    assert "root" not in ask(client, domain="/one").json()
    assert ask(client, "/domains", "/one/rich.h5").status_code == 404


def test_lists_come_in_pages(client: TestClient) -> None:
    seen: list[str] = []
    while page := names(ask(client, "/domains", "/two/", Limit=2, Marker=seen[-1] if seen else "")):
        assert len(page) <= 2
        seen += page
    assert seen == [*(f"/two/f{i}.h5" for i in range(5)), "/two/inner.h5"]
    assert names(ask(client, "/domains", "/two/", pattern="f[13]*")) == ["/two/f1.h5", "/two/f3.h5"]
    assert ask(client, "/domains", "/two/", Limit="many").status_code == 400


def test_verbose_counts_objects(client: TestClient, folder: Path) -> None:
    told = ask(client, verbose=1).json()
    with h5py.File(folder / "one" / "rich.h5") as f:
        found: dict[Any, type] = {}
        f.visititems(lambda name, item: found.update({h5py.h5o.get_info(item.id).addr: type(item)}))
    assert told["num_groups"] == sum(kind is h5py.Group for kind in found.values())
    assert told["num_datasets"] == sum(kind is h5py.Dataset for kind in found.values())
    assert told["num_datatypes"] == sum(kind is h5py.Datatype for kind in found.values())
    assert told["num_objects"] == len(found) + 1
    assert told["total_size"] == (folder / "one" / "rich.h5").stat().st_size


def test_links_of_every_kind(client: TestClient) -> None:
    root = ask(client).json()["root"]
    links = ask(client, f"/groups/{root}", include_links=1).json()["links"]
    assert links["hard"]["id"] == ask(client, "/datasets/", h5path="/g/f4").json()["id"]
    assert (links["soft"]["class"], links["soft"]["h5path"]) == ("H5L_TYPE_SOFT", "/g/f4")
    external = {"class": "H5L_TYPE_EXTERNAL", "h5path": "/x", "file": "mini.h5", "h5domain": "mini.h5"}
    assert {k: v for k, v in links["external"].items() if k != "created"} == external
    listed = ask(client, f"/groups/{root}/links", Limit=3).json()["links"]
    assert [row["title"] for row in listed] == sorted(links)[:3]
    more = ask(client, f"/groups/{root}/links", Marker=listed[-1]["title"]).json()["links"]
    assert [row["title"] for row in more] == sorted(links)[3:]
    ordered = ask(client, "/groups/", h5path="/ordered").json()["id"]
    assert [row["title"] for row in ask(client, f"/groups/{ordered}/links").json()["links"]] == ["zz", "aa", "mm"]


def test_objects_by_path(client: TestClient) -> None:
    found = ask(client, h5path="/g/scalar").json()
    assert found["shape"] == {"class": "H5S_SCALAR"}
    group = ask(client, "/groups/", h5path="g").json()["id"]
    assert ask(client, f"/groups/{group}", h5path="up").json()["id"] == found["id"]
    assert ask(client, "/datasets/", h5path="soft").json()["shape"]["dims"] == [200, 300]
    assert ask(client, "/datasets/", h5path="/g").status_code == 404
    assert ask(client, h5path="/none").status_code == 404
    assert ask(client, h5path="/circle/x").status_code == 400
    alias = ask(client, f"/datasets/{ask(client, h5path='/hard').json()['id']}", getalias=1).json()["alias"]
    assert sorted(alias) == ["/g/f4", "/hard"]
    several = client.post("/hsds/?domain=/one/rich.h5", json={"h5paths": ["/g", "/soft"]}).json()["h5paths"]
    assert several["/g"]["id"] == group


def test_external_links_are_followed_inside_only(client: TestClient) -> None:
    inside = ask(client, h5path="/external", follow_external_links=1)
    assert inside.json()["shape"]["dims"] == [4]
    assert ask(client, h5path="/external").status_code == 400
    refused = ask(client, h5path="/outside", follow_external_links=1)
    assert refused.status_code == 403
    assert "'/etc/passwd'" in refused.text


def test_attributes(client: TestClient) -> None:
    root = ask(client).json()["root"]
    listed = ask(client, f"/groups/{root}/attributes").json()["attributes"]
    assert [a["name"] for a in listed] == ["empty", "fixed", "n", "nan", "strs", "title", "vec"]
    assert "value" not in listed[0]
    told = ask(client, f"/groups/{root}/attributes", IncludeData=1, pattern="v*").json()["attributes"]
    assert [(a["name"], a["value"]) for a in told] == [("vec", [0.0, 1.0, 2.0, 3.0, 4.0])]
    one = ask(client, f"/groups/{root}/attributes/strs").json()
    assert (one["value"], one["type"]["charSet"]) == (["a", "bb", "ççc"], "H5T_CSET_UTF8")
    assert ask(client, f"/groups/{root}/attributes/empty").json()["shape"] == {"class": "H5S_NULL"}
    raw = client.get(
        f"/hsds/groups/{root}/attributes/vec/value?domain=/one/rich.h5", headers={"accept": "application/octet-stream"}
    )
    assert raw.content == np.arange(5.0).tobytes()
    assert ask(client, f"/groups/{root}/attributes/none").status_code == 404
    posted = client.post(f"/hsds/groups/{root}/attributes?domain=/one/rich.h5", json={"attr_names": ["n", "title"]})
    assert [(a["name"], a["value"]) for a in posted.json()["attributes"]] == [("n", 7), ("title", "rich")]


def test_named_types_are_told_with_their_id(client: TestClient) -> None:
    kind = ask(client, "/datatypes/", h5path="/types/label").json()
    assert kind["type"]["mapping"] == {"EXC": 10, "INH": 11, "alpha": 3}
    assert [m["name"] for m in kind["type"]["members"]] == ["EXC", "INH", "alpha"]
    data = ask(client, "/datasets/", h5path="/g/committed").json()
    assert data["type"]["id"] == kind["id"]
    assert ask(client, f"/datasets/{data['id']}/type").json()["type"]["id"] == kind["id"]


def test_collections(client: TestClient) -> None:
    every = ask(client, "/datasets").json()["datasets"]
    assert len(every) == ask(client, verbose=1).json()["num_datasets"]
    assert ask(client, "/datasets", Limit=2, Marker=every[4]).json()["datasets"] == every[5:7]
    assert len(ask(client, "/datatypes").json()["datatypes"]) == 2


def test_what_was_gathered_is_what_is_told_one_by_one(client: TestClient) -> None:
    gathered = ask(client, getobjs=1).json()["domain_objs"]
    assert len(gathered) == ask(client, verbose=1).json()["num_objects"]
    for id, told in gathered.items():
        collection = {"g": "groups", "d": "datasets", "t": "datatypes"}[id[0]]
        one = ask(client, f"/{collection}/{id}", include_attrs=1, include_links=1).text
        for key in set(told) - {"value"}:
            assert f'"{key}":' in one


def test_small_values_come_along(client: TestClient) -> None:
    gathered = ask(client, getobjs=1).json()["domain_objs"]
    many = ask(client, h5path="/g/n_le_u8").json()["id"]
    assert gathered[many]["value"] == list(range(0, 60, 3))
    assert "value" not in gathered[ask(client, h5path="/g/f4").json()["id"]]


def test_descriptions_are_compressed_when_asked(client: TestClient) -> None:
    packed = client.get("/hsds/?getobjs=1&domain=/one/rich.h5", headers={"accept-encoding": "deflate, gzip"})
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.json() == ask(client, getobjs=1).json()


WRITES = [("PUT", "/?domain=/one/new.h5"), ("DELETE", "/?domain=/one/rich.h5"), ("POST", "/groups?domain=/one/rich.h5")]
WRITES += [("PUT", "/acls/me?domain=/one/rich.h5"), ("PUT", "/groups/x/links/y"), ("DELETE", "/datasets/x")]
WRITES += [("PUT", "/datasets/x/value"), ("PUT", "/groups/x/attributes/a"), ("PATCH", "/"), ("POST", "/datasets")]


@pytest.mark.parametrize(("method", "path"), WRITES)
def test_writing_is_refused(client: TestClient, method: str, path: str, folder: Path) -> None:
    answer = client.request(method, f"/hsds{path}", json={})
    assert answer.status_code == 405
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith("405: ")
    assert (folder / "one" / "rich.h5").exists()


HOSTILE = ["/../secret.h5", "/two/../../secret.h5", "/two/..%2f..%2fetc/passwd", "/two/link.h5", "/linked/secret.h5"]
HOSTILE += ["/.hidden/secret.h5", "/two/.secret.h5", "/two/f1.h5\0", "/" + "x" * 5000, "/two//f1.h5"]
HOSTILE += ["/two/./f1.h5", "..\\two\\f1.h5", "/two/notes.txt", "/two/none.h5", "/" + "a/" * 1500, "", "/linked"]


@pytest.mark.parametrize("domain", HOSTILE)
def test_no_path_leads_outside(client: TestClient, domain: str) -> None:
    answer = ask(client, domain=domain)
    assert answer.status_code in (400, 404), answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"{answer.status_code}: ")


def test_a_sibling_of_the_folder_is_not_served(client: TestClient, folder: Path) -> None:
    for path in (f"/../{folder.name}-private/secret.h5", f"/{folder.name}-private/secret.h5"):
        assert ask(client, domain=path).status_code in (400, 404)
        assert client.get(f"/hsds/?domain={path.replace('/', '%2f').replace('.', '%2e')}").status_code in (400, 404)


WRONG_IDS = ["x", "g-1", "d-00000000-00000000-0000-000000-000000", "g-" + "0" * 36, "../../etc/passwd", "g-é"]


@pytest.mark.parametrize("id", WRONG_IDS)
def test_an_id_that_makes_no_sense(client: TestClient, id: str) -> None:
    for collection in ("groups", "datasets", "datatypes"):
        assert ask(client, f"/{collection}/{id}").status_code in (400, 404, 410)
        assert ask(client, f"/{collection}/{id}/value").status_code in (400, 404, 410)


def test_an_id_of_another_file_or_kind(client: TestClient) -> None:
    other = ask(client, domain="/two/f1.h5").json()["root"]
    assert ask(client, f"/groups/{other}").status_code == 410
    root = ask(client).json()["root"]
    assert ask(client, f"/datasets/{root}").status_code == 400
    assert ask(client, f"/groups/{root}/nothing").status_code == 404
    assert ask(client, "/nothing").status_code == 404


def test_several_roots_are_folders_of_their_names(serve: Serve, folder: Path, tmp_path: Path) -> None:
    shutil.copy(folder / "two" / "f3.h5", tmp_path / "alone.h5")
    client = serve([folder / "one", folder / "two", tmp_path / "alone.h5"])
    assert names(client.get("/hsds/domains?domain=/")) == ["/alone.h5", "/one", "/two"]
    assert ask(client, domain="/two/f2.h5").status_code == 200
    assert ask(client, domain="/alone.h5").json()["class"] == "domain"
    assert names(ask(serve(tmp_path / "alone.h5"), "/domains", "/")) == ["/alone.h5"]


def test_a_token_opens_as_a_password_too(serve: Serve, folder: Path) -> None:
    client = serve(folder, Settings(token="s3cret-token-of-24-letters"))
    url = "/hsds/?domain=/two/f1.h5"
    assert client.get(url).status_code == 401
    for user in ("admin", "", "anyone"):
        basic = base64.b64encode(f"{user}:s3cret-token-of-24-letters".encode()).decode()
        assert client.get(url, headers={"authorization": f"Basic {basic}"}).status_code == 200
    wrong = base64.b64encode(b"admin:admin").decode()
    assert client.get(url, headers={"authorization": f"Basic {wrong}"}).status_code == 401
    assert client.get(url, headers={"authorization": "Basic !"}).status_code == 401
    assert client.get(url, headers={"authorization": "Bearer s3cret-token-of-24-letters"}).status_code == 200
    assert client.post(f"/hsds/datasets/x/value{url[6:]}").status_code == 401


def test_a_page_of_another_origin_may_not_ask(serve: Serve, folder: Path) -> None:
    client = serve(folder, Settings(allow_origins=("https://good.example",)))
    url = "/hsds/?domain=/two/f1.h5"
    assert client.get(url, headers={"origin": "https://evil.example"}).status_code == 403
    good = client.get(url, headers={"origin": "https://good.example"})
    assert good.headers["access-control-allow-origin"] == "https://good.example"
    assert "access-control-allow-credentials" not in good.headers


def test_what_is_left_of_a_truncated_file_is_served(serve: Serve, tmp_path: Path) -> None:
    values = np.arange(40_000, dtype="f8")
    with h5py.File(tmp_path / "whole.h5", "w") as f:
        f.create_dataset("first", data=values, chunks=(1000,))
        f["label"] = "kept"
        f.create_dataset("last", data=values, chunks=(1000,), compression="gzip")
        place = f["first"].id.get_chunk_info(20).byte_offset
        f.flush()
    data = (tmp_path / "whole.h5").read_bytes()
    (tmp_path / "cut.h5").write_bytes(data[: place + 100])
    (tmp_path / "stump.h5").write_bytes(data[:60])
    client = serve(tmp_path)  # dates them back
    left = ask(client, getobjs=1, domain="/cut.h5").json()
    first = left["domain_objs"][left["root"]]["links"]["first"]["id"]
    assert ask(client, f"/datasets/{first}/value", "/cut.h5", select="[0:3]").json()["value"] == [0.0, 1.0, 2.0]
    missing = ask(client, f"/datasets/{first}/value", "/cut.h5", select="[20000:20003]")
    assert missing.status_code == 422
    assert str(tmp_path) not in missing.text
    assert ask(client, domain="/stump.h5").status_code == 422
    listed = {item["name"]: item for item in client.get("/hsds/domains?domain=/").json()["domains"]}
    assert "error" in listed["/stump.h5"]
    os.utime(tmp_path / "cut.h5")
    written = ask(client, domain="/cut.h5")
    assert written.status_code == 503
    assert int(written.headers["retry-after"]) > 0


WRITER = """
import h5py, sys
f = h5py.File(sys.argv[1], "w", libver="latest")
d = f.create_dataset("x", (4,), maxshape=(None,), chunks=(4,), dtype="i4")
d[:] = 7
f.flush()
if sys.argv[2] == "swmr":
    f.swmr_mode = True
print("ready", flush=True)
for line in sys.stdin:
    d.resize((d.shape[0] + 4,))
    d[-4:] = int(line)
    d.flush()
    print("more", flush=True)
"""


@pytest.mark.parametrize("mode", ["swmr", "alone"])
def test_a_file_that_another_program_writes(serve: Serve, tmp_path: Path, mode: str) -> None:
    path = tmp_path / "live.h5"
    with subprocess.Popen(
        [sys.executable, "-c", WRITER, path, mode], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdin is not None
        assert writer.stdout is not None
        try:
            assert writer.stdout.readline() == "ready\n"
            client = serve(tmp_path)
            first = ask(client, domain="/live.h5")
            if mode == "alone":
                assert first.status_code == 503
                assert "being written" in first.text
                return
            data = ask(client, "/datasets/", "/live.h5", h5path="/x").json()["id"]
            for number in (1, 2):
                writer.stdin.write(f"{number}\n")
                writer.stdin.flush()
                assert writer.stdout.readline() == "more\n"
                value = ask(client, f"/datasets/{data}/value", "/live.h5").json()["value"]
                assert value == [7] * 4 + [n for n in range(1, number + 1) for _ in range(4)]
        finally:
            writer.stdin.close()
            writer.wait(60)


def test_a_file_that_changed_has_new_ids(serve: Serve, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f["x"] = np.arange(3)
    client = serve(tmp_path)
    old = ask(client, "/datasets/", "/a.h5", h5path="/x").json()["id"]
    with h5py.File(tmp_path / "a.h5", "a") as f:
        f["y"] = np.arange(4)
    assert ask(client, f"/datasets/{old}/value", "/a.h5").status_code == 410
    assert ask(client, h5path="/y", domain="/a.h5").json()["shape"]["dims"] == [4]


def test_a_chunk_that_was_damaged_is_told_and_hurts_no_other(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as f:
        z = f.create_dataset("z", data=np.arange(4000, dtype="i4"), chunks=(1000,), compression="gzip", fletcher32=True)
        place = z.id.get_chunk_info(1)
    with path.open("r+b") as file:
        file.seek(place.byte_offset + 5)
        file.write(b"\xff\xff\xff\xff")
    client = serve(tmp_path)
    data = ask(client, "/datasets/", "/a.h5", h5path="/z").json()["id"]
    assert ask(client, f"/datasets/{data}/value", "/a.h5", select="[1500:1600]").status_code == 422
    assert ask(client, f"/datasets/{data}/value", "/a.h5", select="[10:12]").json()["value"] == [10, 11]


def test_filters_of_hdf5plugin(serve: Serve, tmp_path: Path) -> None:
    import hdf5plugin

    values = np.random.default_rng(0).integers(0, 50, (100, 60), "i4")
    kinds = {
        "blosc": hdf5plugin.Blosc(),
        "lz4": hdf5plugin.LZ4(),
        "zstd": hdf5plugin.Zstd(),
        "bitshuffle": hdf5plugin.Bitshuffle(),
        "lzf": "lzf",
        "szip": "szip",
        "scaled": None,
    }
    with h5py.File(tmp_path / "a.h5", "w") as f:
        for name, kind in kinds.items():
            extra = {"scaleoffset": 0} if name == "scaled" else {"compression": kind}
            if name == "szip" and not h5py.h5z.filter_avail(h5py.h5z.FILTER_SZIP):
                continue
            f.create_dataset(name, data=values, chunks=(30, 20), **extra)
        stored = list(f)
    client = serve(tmp_path)
    for name in stored:
        data = ask(client, "/datasets/", "/a.h5", h5path=f"/{name}").json()
        assert data["creationProperties"]["filters"]
        found = ask(client, f"/datasets/{data['id']}/value", "/a.h5", select="[3:77:5,11:59]").json()["value"]
        assert found == values[3:77:5, 11:59].tolist()

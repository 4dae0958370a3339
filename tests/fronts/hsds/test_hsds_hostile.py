"""Requests and files made to harm: much work for little, answers that hold what nobody wrote, answers to others."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient

from coverslip.companion import Launch
from coverslip.companion_app import create_pair
from coverslip.engine.read import Reader
from coverslip.formats.trees.hdf5_types import said

Serve = Callable[..., TestClient]
OCTETS = {"accept": "application/octet-stream"}
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def client(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    root = tmp_path_factory.mktemp("hostile")
    for name in ("a", "b"):
        with h5py.File(root / f"{name}.h5", "w", libver="latest") as f:
            f.create_dataset("chunked", data=np.arange(400, dtype="i4").reshape(20, 20), chunks=(7, 6))
            f["plain"] = np.arange(400, dtype="i4").reshape(20, 20)
            f["table"] = np.zeros(50, [("a", "i4"), ("b", "f4")])
            f.create_dataset("endless", (1 << 40,), [("a", "i4"), ("b", "f4")], chunks=(1 << 16,))
            f.create_dataset("wide", (1 << 25,), "u1", chunks=(1 << 20,))
            f.attrs["small"] = 5
            f.attrs["huge"] = np.zeros(3 << 20)
            f[name] = 1
    return serve_all(root)


def id_of(client: TestClient, path: str) -> str:
    return str(client.get("/hsds/datasets/", params={"domain": "/a.h5", "h5path": path}).json()["id"])


def value(client: TestClient, path: str, headers: Any = None, **query: Any) -> Any:
    params = {"domain": "/a.h5", **query}
    return client.get(f"/hsds/datasets/{id_of(client, path)}/value", params=params, headers=headers or {})


@pytest.mark.parametrize("path", ["chunked", "plain"])
@pytest.mark.parametrize("select", ["[[1,2],[3,4]]", "[[1,2],[3,4,5]]"])
def test_two_lists_of_coordinates_give_nothing_that_nobody_wrote(client: TestClient, path: str, select: str) -> None:
    refused = value(client, path, OCTETS, select=select)
    assert (refused.status_code, "One axis" in refused.text) == (400, True)


def test_long_conditions_are_answered_and_deep_ones_refused(client: TestClient) -> None:
    assert value(client, "table", query="|".join(["a>1"] * 1000)).json()["index"] == []
    assert value(client, "table", query="&".join(["a==0"] * 700), Limit=2).json()["index"] == [0, 1]
    assert value(client, "table", query="(" * 2000 + "a>1" + ")" * 2000).status_code == 400


def test_deep_json_is_a_bad_request(client: TestClient) -> None:
    for place in ("/hsds/", f"/hsds/datasets/{id_of(client, 'plain')}/value", "/api/slice"):
        for deep in (b"[" * 200_000, b'{"points":' + b"[" * 200_000):
            answer = client.post(place, params={"domain": "/a.h5"}, content=deep, headers=JSON)
            assert answer.status_code == 400, (place, answer.text)


def test_bodies_that_are_too_large(client: TestClient) -> None:
    place = f"/hsds/datasets/{id_of(client, 'plain')}/value"
    json = client.post(place, params={"domain": "/a.h5"}, content=b'{"points":[' + b"[]," * (6 << 20), headers=JSON)
    assert json.status_code == 413
    large = client.post(place, params={"domain": "/a.h5"}, content=bytes(65 << 20), headers=OCTETS)
    assert large.status_code == 413


def test_gzip_in_a_request_is_not_unpacked(client: TestClient) -> None:
    import gzip

    headers = {**JSON, "content-encoding": "gzip"}
    bomb = gzip.compress(b'{"h5paths": ["/plain"]}')
    answer = client.post("/hsds/", params={"domain": "/a.h5"}, content=bomb, headers=headers)
    assert answer.status_code == 400


def test_a_query_over_a_trillion_rows_is_refused_and_over_some_of_them_answered(client: TestClient) -> None:
    for more in ({}, {"Limit": 3}):
        refused = value(client, "endless", query="a>1", **more)
        assert refused.status_code == 413
        assert "Select rows" in refused.text
    some = value(client, "endless", query="a==0", select="[1099511627000:1099511627700]", Limit=2)
    assert some.json()["index"] == [1099511627000, 1099511627001]


def test_numbers_as_text_are_counted(client: TestClient) -> None:
    refused = value(client, "wide")
    assert (refused.status_code, "octet-stream" in refused.text) == (413, True)
    assert value(client, "wide", OCTETS).content == bytes(1 << 25)
    grove = client.get("/h5grove/data/", params={"file": "a.h5", "path": "/wide"})
    assert grove.status_code == 413


def test_huge_attributes_are_told_when_named_only(client: TestClient) -> None:
    root = client.get("/hsds/", params={"domain": "/a.h5"}).json()["root"]
    listed = client.get(f"/hsds/groups/{root}/attributes", params={"domain": "/a.h5"}).json()["attributes"]
    assert [a["name"] for a in listed] == ["small"]
    named = client.get(f"/hsds/groups/{root}/attributes/huge", params={"domain": "/a.h5"})
    assert (named.status_code, "16 MiB" in named.text) == (413, True)
    assert client.get("/hsds/", params={"domain": "/a.h5", "getobjs": 1}).status_code == 200


def test_no_request_gets_the_answer_to_another(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    keys: list[Any] = []
    run = Reader.run

    async def noted(self: Reader, key: Any, *rest: Any, **more: Any) -> Any:
        keys.append(key)
        return await run(self, key, *rest, **more)

    monkeypatch.setattr(Reader, "run", noted)
    found = [
        client.get("/hsds/", params={"h5path": "/"}, headers={"X-Hdf-Domain": f"/{n}.h5"}).json()["id"] for n in "ab"
    ]
    assert found[0] != found[1]
    here = f"/hsds/datasets/{id_of(client, 'table')}/query"
    for headers in ({}, OCTETS):
        client.get(here, params={"domain": "/a.h5", "query": "a==0"}, headers=headers)
    asked = [key for key in keys if isinstance(key, tuple) and key[0] == "hsds"]
    assert len(asked) == 5
    assert len(set(asked)) == 5


def test_what_hdf5_says_of_a_file_names_no_folder() -> None:
    told = said(OSError("Can't read data (file read failed: filename = '/data/private lab/x.h5', errno = 5)"))
    assert told == "Can't read data (file read failed: filename = '…', errno = 5)"
    assert said(OSError("Unable to open file (unable to open file: name = '/srv/a.h5')")).endswith("name = '…')")
    assert said(RuntimeError("Object '/g/x' is not there\nmore")) == "Object '/g/x' is not there"


def test_a_websocket_at_the_companion_is_refused(tmp_path: Path) -> None:
    from starlette.websockets import WebSocketDisconnect

    with TestClient(create_pair(Launch(tmp_path), (5101, 5102)), base_url="http://127.0.0.1:5101") as client:
        with pytest.raises(WebSocketDisconnect), client.websocket_connect("/ws/render"):
            pass
        assert client.get("/about").status_code == 200

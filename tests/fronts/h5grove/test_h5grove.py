"""h5grove's routes against what h5py reads."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient

from typed_files import rich_file

Serve = Callable[..., TestClient]
NUMBERS = [
    "n_i1",
    "n_be_i2",
    "n_le_f2",
    "n_be_f8",
    "f4",
    "plain",
    "cut",
    "ext",
    "scalar",
    "bool",
    "c16",
    "enum",
    "blocks",
]


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return rich_file(tmp_path_factory.mktemp("grove") / "rich.h5")


@pytest.fixture(scope="module")
def client(serve_all: Serve, path: Path) -> TestClient:
    return serve_all(path.parent)


def ask(client: TestClient, route: str, path: str = "/", **query: Any) -> Any:
    return client.get(f"/h5grove/{route}", params={"file": "rich.h5", "path": path, **query})


@pytest.mark.parametrize("name", NUMBERS)
def test_numbers_in_every_form(client: TestClient, path: Path, name: str) -> None:
    with h5py.File(path) as f:
        wanted = f["g"][name][()]
    assert ask(client, "data", f"/g/{name}", format="bin").content == np.asarray(wanted).tobytes()
    found = np.load(io.BytesIO(ask(client, "data/", f"/g/{name}", format="npy").content))
    assert found.dtype == wanted.dtype
    assert np.array_equal(found, wanted)
    told = ask(client, "data/", f"/g/{name}").json()
    if wanted.dtype.kind != "c":
        assert told == wanted.tolist()
        safe = ask(client, "data/", f"/g/{name}", format="bin", dtype="safe").content
        kind = "<f4" if wanted.dtype == "<f2" else wanted.dtype.newbyteorder("<")
        assert np.frombuffer(safe, kind).tolist() == np.ravel(wanted).tolist()


SELECTIONS = {
    "1,2": np.s_[1, 2],
    "0:5,3": np.s_[0:5, 3],
    "-1": np.s_[-1],
    "3:,::2": np.s_[3:, ::2],
    "1:3:2,-3:-1": np.s_[1:3:2, -3:-1],
    ":,5": np.s_[:, 5],
    "7:2": np.s_[7:2],
    "0:9999:50,1": np.s_[0:9999:50, 1],
}


@pytest.mark.parametrize("selection", SELECTIONS)
def test_selections_are_numpys(client: TestClient, path: Path, selection: str) -> None:
    with h5py.File(path) as f:
        wanted = f["g/f4"][()][SELECTIONS[selection]]
    answer = ask(client, "data", "/g/f4", selection=selection, format="npy")
    assert np.array_equal(np.load(io.BytesIO(answer.content)), wanted)
    flat = ask(client, "data", "/g/f4", selection=selection, flatten="true").json()
    assert flat == (np.ravel(wanted).tolist() if np.ndim(wanted) else float(wanted))


def test_csv_and_tiff(client: TestClient, path: Path) -> None:
    with h5py.File(path) as f:
        table, stack = f["g/cut"][()], f["g/plain"][()]
    csv = ask(client, "data", "/g/cut", format="csv")
    assert csv.headers["content-disposition"] == 'attachment; filename="data.csv"'
    assert np.array_equal(np.loadtxt(io.StringIO(csv.text), delimiter=","), table)
    assert np.array_equal(tifffile.imread(io.BytesIO(ask(client, "data", "/g/cut", format="tiff").content)), table)
    assert np.array_equal(tifffile.imread(io.BytesIO(ask(client, "data", "/g/plain", format="tiff").content)), stack)


def test_text_records_and_sequences(client: TestClient) -> None:
    assert ask(client, "data", "/g/vstr").json() == ["x", "", "zzzé"]
    assert ask(client, "data", "/g/str_scalar").json() == "héllo"
    assert ask(client, "data", "/g/ragged").json() == [[1, 2], [3], []]
    assert ask(client, "data", "/g/mixed").json() == [[1, "één", [0.5, 1.5]], [2, "", []]]
    assert ask(client, "data", "/g/comp", selection="1").json() == [1, 0.5, "n1", [3.0, 4.0, 5.0]]
    assert ask(client, "data", "/g/c16").json() == [[1.0, 2.0], [3.0, -4.0]]
    assert ask(client, "data", "/g/null").json() is None


def test_metadata(client: TestClient, path: Path) -> None:
    told = ask(client, "meta", "/g/f4").json()
    assert (told["kind"], told["name"], told["shape"], told["chunks"]) == ("dataset", "f4", [200, 300], [50, 100])
    assert [f["id"] for f in told["filters"]] == [2, 1]
    assert told["type"] == {"class": 1, "dtype": "<f4", "size": 4, "order": 0}
    assert "units" in [a["name"] for a in told["attributes"]]
    root = {child["name"]: child["kind"] for child in ask(client, "meta").json()["children"]}
    assert root["soft"] == root["hard"] == root["external"] == "dataset"
    assert root["dangling"] == "soft_link"
    assert root["outside"] == "external_link"
    enum = ask(client, "meta", "/types/label").json()["type"]
    assert (enum["class"], enum["members"]) == (8, {"EXC": 10, "INH": 11, "alpha": 3})
    bare = ask(client, "meta", "/soft", resolve_links="none").json()
    assert bare == {"kind": "soft_link", "name": "soft", "target_path": "/g/f4"}
    assert ask(client, "meta", "/dangling", resolve_links="all").status_code == 404
    assert ask(client, "attr", attr_keys="n").json() == {"n": 7}
    assert ask(client, "attr").json()["strs"] == ["a", "bb", "ççc"]
    assert set(ask(client, "paths", "/ordered").json()) == {"/ordered", "/ordered/zz", "/ordered/aa", "/ordered/mm"}


def test_statistics(client: TestClient, path: Path) -> None:
    with h5py.File(path) as f:
        values = f["g/f4"][()][10:20]
    told = ask(client, "stats", "/g/f4", selection="10:20").json()
    assert told["mean"] == pytest.approx(values.mean())
    assert told["std"] == pytest.approx(values.std())
    assert (told["min"], told["max"]) == (values.min(), values.max())
    assert ask(client, "stats", "/g/nan").json()["max"] == 2.0
    assert ask(client, "stats", "/g/vstr").status_code == 422


BAD = [("data", {"selection": "a"}, 422), ("data", {"selection": "1,2,3"}, 422), ("data", {"selection": "999"}, 422)]
BAD += [("data", {"format": "exe"}, 422), ("data", {"dtype": "odd"}, 422), ("meta", {"resolve_links": "odd"}, 422)]
BAD += [("data", {"selection": "::0"}, 422), ("data", {"selection": "-"}, 422), ("nothing", {}, 404)]
BAD += [("meta", {"file": "../rich.h5"}, 422), ("meta", {"file": "none.h5"}, 404), ("meta", {"file": ""}, 422)]
BAD += [("data", {"path": "/outside"}, 403), ("data", {"path": "/none"}, 404), ("data", {"path": "/circle"}, 422)]


@pytest.mark.parametrize(("route", "query", "status"), BAD)
def test_requests_that_make_no_sense(client: TestClient, route: str, query: dict[str, str], status: int) -> None:
    answer = client.get(f"/h5grove/{route}", params={"file": "rich.h5", "path": "/g/f4", **query})
    assert answer.status_code == status
    if route != "nothing":
        assert isinstance(answer.json()["message"], str)

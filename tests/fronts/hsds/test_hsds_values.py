"""Values over HSDS's protocol against what h5py and numpy read: every class of types, every kind of selection."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from coverslip.settings import Settings
from typed_files import rich_file

Serve = Callable[..., TestClient]
OCTETS = {"accept": "application/octet-stream"}
FLAT = ["n_i1", "n_be_i2", "n_le_u8", "n_le_f2", "n_be_f8", "f4", "sum", "plain", "cut", "ext", "sparse", "bool"]
FLAT += ["c16", "enum", "many", "fstr", "opaque", "comp_z", "blocks", "scalar", "nan", "committed", "nested", "aligned"]


class Domain:
    """A served file and the same file read by h5py."""

    def __init__(self, client: TestClient, name: str, path: Path) -> None:
        self.client, self.name, self.path = client, name, path
        self.file = h5py.File(path, "r", locking=False)
        self.objects = self.get("/", getobjs=1).json()

    def get(self, url: str, **query: Any) -> Any:
        headers = query.pop("headers", {})
        return self.client.get(f"/hsds{url}", params={"domain": self.name, **query}, headers=headers)

    def id(self, path: str) -> str:
        here = self.objects["root"]
        for part in path.strip("/").split("/"):
            here = self.objects["domain_objs"][here]["links"][part]["id"]
        return str(here)

    def value(self, path: str, binary: bool = True, **query: Any) -> Any:
        return self.get(f"/datasets/{self.id(path)}/value", headers=OCTETS if binary else {}, **query)

    def post(self, path: str, **content: Any) -> Any:
        url = f"/hsds/datasets/{self.id(path)}/value"
        return self.client.post(url, params={"domain": self.name}, **content)


@pytest.fixture(scope="module")
def rich(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> Domain:
    folder = tmp_path_factory.mktemp("rich")
    path = rich_file(folder / "rich.h5")
    return Domain(serve_all(folder), "/rich.h5", path)


def packed(values: Any) -> bytes:
    """The bytes of values without the gaps between fields."""
    array = np.asarray(values)
    if array.dtype.names is None:
        return array.tobytes()
    return array.astype(_tight(array.dtype)).tobytes()


def _tight(dtype: np.dtype[Any]) -> np.dtype[Any]:
    if dtype.names is None:
        return dtype
    return np.dtype([(n, _tight(dtype[n])) for n in dtype.names])


@pytest.mark.parametrize("name", FLAT)
def test_bytes_are_those_that_h5py_reads(rich: Domain, name: str) -> None:
    answer = rich.value(f"g/{name}")
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.content == packed(rich.file["g"][name][()])


@pytest.mark.parametrize("name", ["n_i1", "n_be_f8", "plain", "cut", "many", "scalar", "blocks", "enum", "ext"])
def test_json_holds_the_numbers(rich: Domain, name: str) -> None:
    assert rich.value(f"g/{name}", binary=False).json()["value"] == rich.file["g"][name][()].tolist()


def test_json_of_text_records_and_sequences(rich: Domain) -> None:
    def told(name: str) -> Any:
        return rich.value(f"g/{name}", binary=False).json()["value"]

    assert told("vstr") == ["x", "", "zzzé"]
    assert told("fstr") == ["aa", "bbb", ""]
    assert told("spaced") == ["ab", "c d"]
    assert told("str_scalar") == "héllo"
    assert told("comp")[1] == [1, 0.5, "n1", [3.0, 4.0, 5.0]]
    assert told("ragged") == [[1, 2], [3], []]
    assert told("mixed") == [[1, "één", [0.5, 1.5]], [2, "", []]]
    assert told("c16") == [[1.0, 2.0], [3.0, -4.0]]
    assert told("refs") == [f"groups/{rich.id('g')}", f"datasets/{rich.id('g/f4')}", ""]
    assert told("null") is None
    assert told("regions")[0] == {
        "id": rich.id("g/f4"),
        "select_type": "H5S_SEL_HYPERSLABS",
        "selection": [[[10, 5], [19, 8]]],
    }


def test_bytes_of_what_has_any_length(rich: Domain) -> None:
    assert rich.value("g/vstr").content == b"\1\0\0\0x" + b"\0\0\0\0" + b"\5\0\0\0zzz\xc3\xa9"
    assert rich.value("g/ragged").content == b"\x08\0\0\0\1\0\0\0\2\0\0\0" + b"\4\0\0\0\3\0\0\0" + b"\0\0\0\0"
    refs = rich.value("g/refs").content
    assert (len(refs), refs[:38].decode(), refs[96:]) == (144, rich.id("g"), b"\0" * 48)


def test_nan_is_written_as_hsds_writes_it(rich: Domain) -> None:
    answer = rich.value("g/nan", binary=False)
    assert "[NaN,-Infinity,2.0]" in answer.text
    assert rich.value("g/nan", binary=False, ignore_nan=1).json()["value"] == [None, None, 2.0]
    attribute = rich.get(f"/groups/{rich.objects['root']}/attributes/nan").json()["value"]
    assert math.isnan(attribute[0])
    assert attribute[1:] == [math.inf, 1.5]


def test_a_null_space_has_no_bytes(rich: Domain) -> None:
    assert rich.value("g/null").status_code == 404
    assert rich.get(f"/datasets/{rich.id('g/null')}").json()["shape"] == {"class": "H5S_NULL"}


def test_empty_data(rich: Domain) -> None:
    assert rich.value("g/nothing").content == b""
    assert rich.value("g/many", select="[5:5]").content == b""


@st.composite
def slices(draw: Any, n: int) -> tuple[int, int, int]:
    start = draw(st.integers(0, n))
    stop = draw(st.integers(start, n))
    return start, stop, draw(st.integers(1, 9))


NAMES = ["f4", "plain", "cut", "sum", "sparse", "comp_z", "blocks", "spaced", "vstr"]
"""Compressed chunks, one piece, chunks cut at the edge, HDF5's own filters, chunks that are not stored, records."""


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_hyperslab_is_numpys(rich: Domain, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES[:-2]))
    stored = rich.file["g"][name]
    axes = [data.draw(slices(n)) for n in stored.shape]
    select = "[" + ",".join(f"{a}:{b}:{c}" if c > 1 else f"{a}:{b}" for a, b, c in axes) + "]"
    whole = stored[()]
    wanted = whole[tuple(slice(*axis) for axis in axes)]
    assert rich.value(f"g/{name}", select=select).content == packed(wanted)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_list_of_coordinates_is_numpys(rich: Domain, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES))
    stored = rich.file["g"][name]
    at = data.draw(st.integers(0, len(stored.shape) - 1))
    chosen = data.draw(st.lists(st.integers(0, stored.shape[at] - 1), min_size=1, max_size=12))
    parts = [f"0:{n}" for n in stored.shape]
    parts[at] = "[" + ",".join(map(str, chosen)) + "]"
    wanted = stored[()].take(chosen, at)
    if name == "vstr":
        values = rich.value(f"g/{name}", binary=False, select=f"[{','.join(parts)}]").json()["value"]
        assert values == [v.decode() for v in wanted]
    else:
        answer = rich.value(f"g/{name}", select=f"[{','.join(parts)}]").content
        assert answer == packed(np.char.rstrip(wanted) if name == "spaced" else wanted).ljust(len(answer), b"\0")


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_points_are_numpys(rich: Domain, data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(NAMES[:-3]))
    stored = rich.file["g"][name]
    one = st.tuples(*(st.integers(0, n - 1) for n in stored.shape))
    points = np.array(data.draw(st.lists(one, min_size=1, max_size=30)), "<u8").reshape(-1, len(stored.shape))
    wanted = packed(stored[()][tuple(points.astype(int).T)])
    headers = {**OCTETS, "content-type": "application/octet-stream"}
    assert rich.post(f"g/{name}", content=points.tobytes(), headers=headers).content == wanted
    assert rich.post(f"g/{name}", json={"points": points.tolist()}, headers=OCTETS).content == wanted


def test_a_selection_may_be_posted_without_a_type(rich: Domain) -> None:
    chosen = list(range(0, 200, 3))
    body = json.dumps({"select": f"[{chosen},0:300]".replace(" ", "")})
    answer = rich.post("g/f4", content=body.encode(), headers=OCTETS)  # as h5pyd sends it
    assert answer.content == rich.file["g/f4"][()][chosen].tobytes()


def test_one_number_is_a_range_of_one(rich: Domain) -> None:
    value = rich.value("g/plain", binary=False, select="[3,4:6,:]").json()["value"]
    assert value == rich.file["g/plain"][3:4, 4:6].tolist()
    reduced = rich.value("g/plain", binary=False, select="[3,4:6,:]", reduce_dim=1).json()["value"]
    assert reduced == rich.file["g/plain"][3, 4:6].tolist()


def test_fields(rich: Domain) -> None:
    rows = rich.file["g/comp"][()]
    assert rich.value("g/comp", fields="x").content == rows["x"].tobytes()
    assert rich.value("g/comp", binary=False, fields="x:id", select="[1:3]").json()["value"] == [[0.5, 1], [1.0, 2]]
    assert rich.value("g/comp", fields="none").status_code == 400
    assert rich.value("g/many", fields="x").status_code == 400


@pytest.mark.parametrize(
    ("query", "test"),
    [
        ("x > 1.0", lambda r: r["x"] > 1),
        ("id<=2", lambda r: r["id"] <= 2),
        ("name == b'n4' | id == 0", lambda r: (r["name"] == b"n4") | (r["id"] == 0)),
        ("name = n4", lambda r: r["name"] == b"n4"),
        ("~(x >= 1) & (id != 0)", lambda r: ~(r["x"] >= 1) & (r["id"] != 0)),
        ("not x >= 1 and id != 0", lambda r: ~(r["x"] >= 1) & (r["id"] != 0)),
        ("id in (1, 3, 5)", lambda r: np.isin(r["id"], [1, 3, 5])),
        ("field('id') not in (1, 3)", lambda r: ~np.isin(r["id"], [1, 3])),
        ("id.isin(4)", lambda r: r["id"] == 4),
        ("x.is_valid()", lambda r: r["x"] == r["x"]),
        ("x > 1e-1", lambda r: r["x"] > 0.1),
    ],
)
def test_queries_choose_rows(rich: Domain, query: str, test: Callable[[Any], Any]) -> None:
    rows = rich.file["g/comp"][()]
    chosen = np.flatnonzero(test(rows))
    answer = rich.value("g/comp", binary=False, query=query).json()
    assert answer["index"] == chosen.tolist()
    assert [row[0] for row in answer["value"]] == chosen.tolist()
    assert rich.value("g/comp", query=query).content == rows[chosen].tobytes()
    numbers = rich.get(f"/datasets/{rich.id('g/comp')}/query", query=query).json()["value"]
    assert numbers == chosen.tolist()


def test_a_query_looks_at_what_is_selected(rich: Domain) -> None:
    answer = rich.value("g/comp_z", binary=False, query="id == 2", select="[10:100:2]", Limit=3).json()
    assert answer["index"] == [14, 20, 26]
    assert rich.value("g/many", binary=False, query="_ > 996").json()["value"] == [997, 998, 999]


SENSELESS = ["", "x", "x >", "y > 1", "x > 'a'", "x > 1)", "(" * 99 + "x > 1", "__import__('os')", "x.sum() > 1"]
SENSELESS += ["x == 1 ; y", "x > 1 &", "x > ?", "pos > 1", "x in ()", "a" * 5000]


@pytest.mark.parametrize("query", SENSELESS)
def test_a_query_that_makes_no_sense(rich: Domain, query: str) -> None:
    answer = rich.value("g/comp", query=query)
    assert answer.status_code == (400 if query else 200)
    if query:
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        assert answer.text.startswith("400: ")


WRONG = ["[0:10]", "0:10,0:10", "[0:10,0:10", "[0:201,0:10]", "[10:5,0:1]", "[0:10:0,0:1]", "[-1,0:1]", "[a,b]", "[,]"]
WRONG += [
    "[]",
    "[[1,2],[3]",
    "[[500],0:1]",
    "[0:10,0:10,0:10]",
    "[1e3,0:1]",
    f"[{'9' * 30},0]",
    "[0:10 0:10]",
    "[[a],1]",
]


@pytest.mark.parametrize("select", WRONG)
def test_a_selection_that_makes_no_sense(rich: Domain, select: str) -> None:
    answer = rich.value("g/f4", select=select)
    assert answer.status_code == 400
    assert answer.text.startswith("400: ")


BODIES: list[str | bytes] = [json.dumps({"points": p}) for p in ("a", [[1]], [[1, -1]], [[1.5, 2]], [[1, 2], [3]])]
BODIES += [b"", b"123", b"\xff" * 16, b"{", "[1]"]


@pytest.mark.parametrize("body", BODIES)
def test_points_that_make_no_sense(rich: Domain, body: str | bytes) -> None:
    media = "application/octet-stream" if isinstance(body, bytes) and body != b"{" else "application/json"
    answer = rich.post("g/f4", content=body, headers={**OCTETS, "content-type": media})
    assert answer.status_code == 400


def test_what_is_too_large_is_told_with_the_most_there_may_be(serve: Serve, tmp_path: Path) -> None:
    with h5py.File(tmp_path / "large.h5", "w") as f:
        f.create_dataset("a", (100_000,), "f8", chunks=(1000,))
        f["text"] = np.array(["x"] * 2000, dtype=object)
    domain = Domain(serve(tmp_path, Settings(slice_bytes=100_000)), "/large.h5", tmp_path / "large.h5")
    refused = domain.value("a")
    assert refused.status_code == 413
    assert "800000 bytes" in refused.text
    assert "100000" in refused.text
    assert domain.value("a", select="[0:12500]").status_code == 200
    assert domain.value("a", binary=False, select="[0:12500]").status_code == 413
    assert domain.value("text").status_code == 413
    domain.file.close()


def test_a_large_answer_comes_in_pieces_and_is_whole(serve: Serve, tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 99, (3000, 1100), "i8")
    with h5py.File(tmp_path / "a.h5", "w") as f:
        f.create_dataset("z", data=values, chunks=(70, 90), compression="gzip", compression_opts=1, shuffle=True)
        f["plain"] = values
        f.create_dataset("records", data=np.repeat(np.array([(1, 2.5)], "i4,f8"), 1_000_000))
    domain = Domain(serve(tmp_path), "/a.h5", tmp_path / "a.h5")
    for name in ("z", "plain"):
        answer = domain.value(name)
        assert answer.headers["content-length"] == str(values.nbytes)
        assert answer.content == values.tobytes()
        assert domain.value(name, select="[13:2991:2,5:1099]").content == values[13:2991:2, 5:1099].tobytes()
        lines = list(range(2999, 0, -2))
        picked = domain.post(name, json={"select": f"[{lines},0:1100]".replace(" ", "")}, headers=OCTETS)
        assert picked.content == values[lines].tobytes()
    assert domain.value("records").content == packed(domain.file["records"][()])
    domain.file.close()

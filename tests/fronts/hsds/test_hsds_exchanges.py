"""Requests that h5pyd sent to hsds 1.0.2, sent to us: the answers mean the same, whatever the ids."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient

Serve = Callable[..., TestClient]
RECORDED = Path(__file__).parents[2] / "golden" / "hsds" / "reads.jsonl"
LINES = [json.loads(line) for line in RECORDED.read_text().splitlines()]
ID = re.compile(r"[gdt]-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{6}-[0-9a-f]{6}")
OTHERWISE = {"created", "lastModified", "owner", "bucket", "limits", "compressors", "href", "target", "dn_ids"}
OTHERWISE |= {"dn_urls", "node_count", "start_time", "username", "isadmin", "name", "about", "greeting"}
"""What two servers tell differently: who and when, and what they call themselves."""
LABELS = h5py.enum_dtype({"EXC": 10, "INH": 11}, basetype="u2")
POINT = np.dtype([("id", "<u8"), ("x", "<f4"), ("name", "S8"), ("pos", "<f4", (3,))])


def write_rich(path: Path) -> None:
    """The file of the recording."""
    with h5py.File(path, "w") as f:
        f.attrs["n"] = np.int32(7)
        f.attrs["title"] = "rich"
        f.attrs["vec"] = np.arange(5.0)
        f.attrs["strs"] = np.array(["a", "bb", "ccc"], dtype=h5py.string_dtype())
        f.attrs["empty"] = h5py.Empty("f4")
        g = f.create_group("g")
        g.attrs["fixed"] = np.bytes_(b"hello")
        values = np.random.default_rng(0).random((200, 300)).astype("f4")
        g.create_dataset("f4", data=values, chunks=(50, 100), compression="gzip", compression_opts=4, shuffle=True)
        g["f2"], g["i8be"] = np.arange(6, dtype="<f2"), np.arange(20, dtype=">i8")
        g["scalar"], g["str_scalar"] = 3.5, "héllo"
        g.create_dataset("null", data=h5py.Empty("i4"))
        g.create_dataset("vstr", data=np.array(["x", "yy", "zzz"], dtype=object), dtype=h5py.string_dtype())
        g["fstr"] = np.array([b"aa", b"bbb"], "S5")
        ragged = g.create_dataset("vlen_int", (3,), h5py.vlen_dtype("<i4"))
        ragged[0], ragged[1] = [1, 2], [3]
        rows = np.zeros(6, POINT)
        rows["id"], rows["x"], rows["name"] = np.arange(6), np.arange(6) / 2, [f"n{i}".encode() for i in range(6)]
        rows["pos"] = np.arange(18).reshape(6, 3)
        g["comp"], g["bool"] = rows, np.array([True, False, True])
        g["enum"], g["c16"] = np.array([10, 11, 10], LABELS), np.array([1 + 2j, 3 - 4j])
        f.create_group("types")["label"] = LABELS
        g.create_dataset("committed", (3,), dtype=f["types/label"])
        g["opaque"] = np.array([b"abcd", b"efgh"], "V4")
        g.create_dataset("ext", (10,), "i4", maxshape=(None,), chunks=(8,), fillvalue=-1)[:] = np.arange(10)
        refs = g.create_dataset("refs", (2,), h5py.ref_dtype)
        refs[0], refs[1] = g.ref, g["f4"].ref
        g["xdim"] = np.linspace(0, 1, 300)
        g["xdim"].make_scale("x")
        g["f4"].dims[1].attach_scale(g["xdim"])
        g["f4"].dims[1].label = "x"
        g["weird name/é"] = np.arange(3)
        f["hard"], f["soft"], f["dangling"] = g["f4"], h5py.SoftLink("/g/f4"), h5py.SoftLink("/nope")
        f["external"] = h5py.ExternalLink("mini.h5", "/x")


def write_cells(path: Path) -> None:
    """As much of a neural system as the older client looked at."""
    row = np.dtype([("Start", "<u8"), ("Count", "<u4"), ("Population", LABELS)])
    with h5py.File(path, "w") as f:
        f.create_dataset("H5Types/Populations", data=np.array([(0, 8, 10), (8, 2, 11)], row), chunks=(2,))
        f.create_group("Populations/EXC")
        f.create_group("Populations/INH")


@pytest.fixture(scope="module")
def client(serve_all: Serve, tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    folder = tmp_path_factory.mktemp("domains")
    for name in ("rich", "EI"):
        (folder / name).mkdir()
    write_rich(folder / "rich" / "rich.h5")
    write_cells(folder / "EI" / "cells.h5")
    return serve_all(folder)


@pytest.fixture(scope="module")
def ids(client: TestClient) -> dict[str, str]:
    """Our id of every id of the recording: found by going along links of the same name."""
    pairs: dict[str, str] = {}
    for line in LINES:
        theirs = line["response"]
        domain = "/EI/cells.h5" if "EI" in line["path"] else "/rich/rich.h5"
        if isinstance(theirs, dict) and theirs.get("root"):
            pairs[theirs["root"]] = client.get("/hsds/", params={"domain": domain}).json()["root"]
    for _ in range(4):
        for line in LINES:
            theirs = line["response"]
            if not isinstance(theirs, dict) or (theirs.get("id") not in pairs and "link" not in theirs):
                continue
            for name, link in {**theirs.get("links", {})}.items() if isinstance(theirs.get("links"), dict) else ():
                if "id" in link:
                    mine = client.get(
                        f"/hsds/groups/{pairs[theirs['id']]}/links/{name}", params={"domain": domain_of(line)}
                    )
                    pairs[link["id"]] = mine.json()["link"]["id"]
            if "link" in theirs and (found := ID.search(line["path"])) and found[0] in pairs:
                link = theirs["link"]
                url = f"/hsds/groups/{pairs[found[0]]}/links/{link['title']}"
                pairs[link["id"]] = client.get(url, params={"domain": domain_of(line)}).json()["link"]["id"]
    for line in LINES:  # the list of one group's links is the only place that names its members
        if isinstance(rows := (line["response"] or {}) and line["response"], dict) and isinstance(
            rows.get("links"), list
        ):
            group = ID.search(line["path"])
            for row in rows["links"]:
                url = f"/hsds/groups/{pairs[group[0]]}/links/{row['title']}"  # type: ignore[index]
                pairs[row["id"]] = client.get(url, params={"domain": domain_of(line)}).json()["link"]["id"]
    return pairs


def domain_of(line: dict[str, Any]) -> str:
    return "/EI/cells.h5" if "EI" in line["path"] else "/rich/rich.h5"


def meaning(value: Any, ids: dict[str, str]) -> Any:
    """What is left of an answer when names, times and ids are taken as ours."""
    if isinstance(value, dict):
        kept = {k: meaning(v, ids) for k, v in value.items() if k not in OTHERWISE}
        if kept.get("class") in ("H5D_CHUNKED", "H5D_CONTIGUOUS"):
            return "a layout"  # HSDS lays out anew what it takes in
        if kept.get("class") == "H5T_STRING" and kept.get("length") != "H5T_VARIABLE":
            return "text of a fixed length"  # HSDS pads text with zeros, and gives the names of scales another length
        return kept
    if isinstance(value, list):
        return [meaning(v, ids) for v in value]
    if isinstance(value, str):
        return ID.sub(lambda found: ids.get(found[0], found[0]), value).rpartition("datasets/")[2]
    return value


def within(theirs: Any, mine: Any, where: str = "") -> None:
    """Whether all they tell is told by us, too; we may tell more."""
    if isinstance(theirs, dict):
        assert isinstance(mine, dict), where
        for key, value in theirs.items():
            assert key in mine, f"{where}/{key}"
            within(value, mine[key], f"{where}/{key}")
    elif isinstance(theirs, list):
        assert isinstance(mine, list), where
        assert len(theirs) == len(mine), where
        for number, (a, b) in enumerate(zip(theirs, mine, strict=True)):
            within(a, b, f"{where}[{number}]")
    else:
        assert theirs == mine, where


@pytest.mark.parametrize("line", LINES, ids=[f"{i}-{line['call']}" for i, line in enumerate(LINES)])
def test_the_answer_means_the_same(line: dict[str, Any], client: TestClient, ids: dict[str, str]) -> None:
    path = ID.sub(lambda found: ids[found[0]], line["path"])
    if line["call"] == "read_bool_mask" and line["method"] == "POST":
        values = np.random.default_rng(0).random((200, 300)).astype("f4")
        body = (
            np.transpose((values > 0.999).nonzero()).astype("<u8").tobytes()
        )  # the recording shows its beginning only
        answer = client.post(f"/hsds{path}", content=body, headers={"accept": line["accept"]})
    else:
        answer = client.get(f"/hsds{path}", headers={"accept": line["accept"]})
    if line["call"] == "null":
        # HSDS turned the null space into a number while it took the file in; we tell what the file says.
        if "/value" not in path:
            assert answer.json()["shape"] == {"class": "H5S_NULL"}
        return
    assert answer.status_code == line["status"], answer.text
    assert answer.headers["content-type"] == line["type"]
    theirs = line["response"]
    if isinstance(theirs, dict):
        within(meaning(theirs, ids), meaning(answer.json(), ids))
    elif line["status"] == 200:
        assert len(answer.content) == line["length"]
        told = base64.b64decode(theirs)
        if b"-" in told[1:2]:  # ids
            assert answer.content[:2] == told[:2]
            assert answer.content[:38].decode() in ids.values()
        else:
            assert answer.content.startswith(told)
    else:
        assert answer.text.startswith(base64.b64decode(theirs).decode()[:4])

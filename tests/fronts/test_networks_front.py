"""Networks over HTTP, compared with a plain reading of the files."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from starlette.testclient import TestClient

import network_files
from coverslip.fronts.networks import answers
from coverslip.systems import predefined

PAIRS = [("PYR", "PYR"), ("PYR", "AAC"), ("AAC", "PYR")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return network_files.hippocampal(tmp_path_factory.mktemp("systems") / "CA1")


@pytest.fixture(scope="module")
def client(folder: Path, serve_all: Any) -> TestClient:
    return serve_all(folder)


def table(client: TestClient, path: str, **query: Any) -> dict[str, Any]:
    """A body of columns, read as the reference says."""
    response = client.get(f"/api/networks/CA1/{path}", params=query)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/vnd.coverslip.table"
    data = response.content
    assert data[:4] == b"CSTB"
    start = 8 + int.from_bytes(data[4:8], "little")
    assert start % 8 == 0
    header = json.loads(data[8:start])
    found: dict[str, Any] = {"header": header}
    for column in header["columns"]:
        assert column["offset"] % 8 == 0
        part = data[start + column["offset"] : start + column["offset"] + column["bytes"]]
        found[column["name"]] = np.frombuffer(part, np.dtype(column["dtype"]).newbyteorder("<")).reshape(
            column["shape"]
        )
    return found


def told(client: TestClient, path: str = "", **query: Any) -> Any:
    response = client.get(f"/api/networks/CA1{path}", params=query)
    assert response.status_code == 200, response.text
    return response.json()


@pytest.fixture(scope="module")
def all_edges(folder: Path) -> dict[tuple[str, str], network_files.Edges]:
    with h5py.File(folder / "connections.h5") as file:
        pairs = [(pre, post) for post in file["Projections"] for pre in file[f"Projections/{post}"]]
    return {pair: network_files.edges(folder / "connections.h5", *pair) for pair in pairs}


def test_the_catalog_lists_one_source(client: TestClient) -> None:
    rows = client.get("/api/sources").json()
    assert [(row["source_id"], row["kind"], row["source_type"], row["status"]) for row in rows] == [
        ("CA1", "network", "neuroh5", "ready")
    ]
    assert client.get("/api/catalog").json()["by_kind"] == {"network": 1}
    metadata = client.get("/api/sources/CA1/metadata")
    assert metadata.status_code in (200, 404)
    assert client.get("/api/sources", params={"search": "PVBC"}).json()


def test_what_there_is(client: TestClient, folder: Path, all_edges: dict[Any, Any]) -> None:
    about = told(client)
    spans = network_files.ranges(folder / "cells.h5")
    assert {p["name"]: (p["start"], p["count"]) for p in about["populations"]} == spans
    assert about["neurons"] == sum(count for _, count in spans.values())
    counts = {(p["source"], p["destination"]): p["edges"] for p in about["projections"]}
    assert counts == {pair: sum(map(len, edges.values())) for pair, edges in all_edges.items()}
    assert about["edges"] == sum(counts.values())
    types = {p["name"]: p["type"] for p in about["projections"]}
    assert types["PYR>AAC"] == "excitatory"
    assert types["AAC>PYR"] == "inhibitory"
    assert about["layers"]["SP"] == [[-1000, -1000, 100], [1000, 1000, 150]]
    assert len(about["electrodes"]["coordinates"][0]) == 4
    assert [c["key"] for c in about["columns"][:3]] == ["population", "in-degree", "out-degree"]
    assert about["unit"] == "micrometer"


def test_coordinates(client: TestClient, folder: Path) -> None:
    response = client.get("/api/networks/CA1/coordinates")
    places = np.frombuffer(response.content, "<f4").reshape(-1, 3)
    with h5py.File(folder / "cells.h5") as file:
        for name, (start, count) in network_files.ranges(folder / "cells.h5").items():
            group = file[f"Populations/{name}/Generated Coordinates"]
            for axis, letter in enumerate("XYZ"):
                expected = group[f"{letter} Coordinate/Attribute Value"][:]
                assert places[start : start + count, axis].tolist() == expected.tolist()
    again = client.get("/api/networks/CA1/coordinates", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304
    part = client.get("/api/networks/CA1/coordinates", headers={"range": "bytes=12-23"})
    assert (part.status_code, part.content) == (206, places[1].tobytes())
    assert client.head("/api/networks/CA1/coordinates").headers["content-length"] == str(places.nbytes)


def test_inputs_and_outputs_of_one_neuron(client: TestClient, all_edges: dict[Any, Any], folder: Path) -> None:
    names = [f"{p['source']}>{p['destination']}" for p in told(client)["projections"]]
    spans = network_files.ranges(folder / "cells.h5")
    chosen = [start + offset for start, count in spans.values() for offset in (0, count // 2, count - 1)]
    for indexed in (False, True):
        if indexed:
            wait_for_index(client)
        for gid in chosen:
            attributes = "Connections/distance,Synapses/syn_id"
            found = table(client, f"inputs/{gid}", attributes=attributes)
            expected = [
                (source, names.index(f"{pre}>{post}"), distance, syn)
                for (pre, post), edges in sorted(all_edges.items())
                for source, distance, syn in edges.get(gid, [])
            ]
            columns = ("gid", "projection", "Connections/distance", "Synapses/syn_id")
            assert list(zip(*(found[c].tolist() for c in columns), strict=True)) == expected
            sent = table(client, f"outputs/{gid}", attributes=attributes)
            expected = [
                (target, names.index(f"{pre}>{post}"), distance, syn)
                for (pre, post), edges in sorted(all_edges.items())
                for target, rows in edges.items()
                for source, distance, syn in rows
                if source == gid
            ]
            assert Counter(zip(*(sent[c].tolist() for c in columns), strict=True)) == Counter(expected)
            one = table(client, f"inputs/{gid}", projection=names[0])
            assert set(one["projection"].tolist()) <= {0}


def wait_for_index(client: TestClient) -> None:
    end = time.monotonic() + 30
    while not all(p["indexed"] for p in told(client)["projections"]):
        assert time.monotonic() < end, "no index"
        time.sleep(0.01)


def test_cells_in_a_box(client: TestClient) -> None:
    places = np.frombuffer(client.get("/api/networks/CA1/coordinates").content, "<f4").reshape(-1, 3)
    found = table(client, "box", low="-400,-300,0", high="500,600,160")
    inside = ((places >= [-400, -300, 0]) & (places <= [500, 600, 160])).all(axis=1)
    assert found["gid"].tolist() == np.flatnonzero(inside).tolist()
    assert np.stack([found[axis] for axis in "xyz"], axis=1).tolist() == places[inside].tolist()
    populations = told(client)["populations"]
    for gid, number in zip(found["gid"].tolist(), found["population"].tolist(), strict=True):
        assert populations[number]["start"] <= gid < populations[number]["start"] + populations[number]["count"]
    assert table(client, "box", low="0,0,0", high="-1,-1,-1")["header"]["rows"] == 0


def test_degrees_and_their_histogram(client: TestClient, all_edges: dict[Any, Any]) -> None:
    n = told(client)["neurons"]
    received, sent = np.zeros(n, int), np.zeros(n, int)
    for edges in all_edges.values():
        for target, rows in edges.items():
            received[target] += len(rows)
            for source, _, _ in rows:
                sent[source] += 1
    found = table(client, "degrees")
    assert found["in"].tolist() == received.tolist()
    assert found["out"].tolist() == sent.tolist()
    one = table(client, "degrees", projection="PYR>AAC")
    assert one["in"].sum() == sum(map(len, all_edges["PYR", "AAC"].values()))
    histogram = told(client, "/degrees/histogram", bins=10)
    for side, values in (("in", received), ("out", sent)):
        edges, counts = histogram[side]["edges"], histogram[side]["counts"]
        for population in told(client)["populations"]:
            if population["name"] in counts:
                mine = values[population["start"] : population["start"] + population["count"]]
                assert counts[population["name"]] == np.histogram(mine, edges)[0].tolist()
                assert sum(counts[population["name"]]) == population["count"]


def test_columns(client: TestClient, folder: Path) -> None:
    listed = {c["key"]: c["index"] for c in told(client)["columns"]}
    spans = network_files.ranges(folder / "cells.h5")
    population = told(client, f"/columns/{listed['population']}")
    assert population["kind"] == "category"
    assert population["categories"] == list(spans)
    codes = np.frombuffer(client.get(f"/api/networks/CA1/columns/{listed['population']}.bin").content, "u1")
    assert np.bincount(codes).tolist() == [count for _, count in spans.values()]
    z = told(client, f"/columns/{listed['Generated Coordinates/Z Coordinate']}")
    values = np.frombuffer(client.get(f"/api/networks/CA1/columns/{z['index']}.bin").content, "<f4")
    assert z["kind"] == "number"
    assert (z["min"], z["max"]) == (values.min(), values.max())
    degrees = client.get(f"/api/networks/CA1/columns/{listed['in-degree']}.bin").content
    assert np.frombuffer(degrees, "<f4").tolist() == table(client, "degrees")["in"].tolist()
    number = listed["Synapse Attributes/syn_ids"]
    counted = client.get(f"/api/networks/CA1/columns/{number}.bin", params={"how": "count"}).content
    assert np.frombuffer(counted, "<f4").tolist() == table(client, "degrees")["in"].tolist()
    assert told(client, f"/columns/{number}", how="mean")["single"] is False


def test_samples_of_connections(client: TestClient, all_edges: dict[Any, Any]) -> None:
    every = Counter(
        (source, target) for edges in all_edges.values() for target, rows in edges.items() for source, _, _ in rows
    )
    whole = table(client, "edges")
    assert whole["header"]["total"] == whole["header"]["rows"] == sum(every.values())
    assert Counter(zip(whole["source"].tolist(), whole["destination"].tolist(), strict=True)) == every
    before: Counter[Any] = Counter()
    for limit in (20, 100, 300):
        found = table(client, "edges", limit=limit)
        triples = Counter(zip(*(found[c].tolist() for c in ("source", "destination", "projection")), strict=True))
        assert 0.8 * limit <= sum(triples.values()) <= limit + len(all_edges)
        assert before <= triples
        before = triples


def test_distances(client: TestClient, folder: Path, all_edges: dict[Any, Any]) -> None:
    places = np.frombuffer(client.get("/api/networks/CA1/coordinates").content, "<f4").reshape(-1, 3)
    answer = told(client, "/distances", bins=8, projection="PYR>PYR")["projections"]
    assert len(answer) == 1
    start, count = network_files.ranges(folder / "cells.h5")["PYR"]
    mine = places[start : start + count]
    apart = np.linalg.norm(mine[:, None] - mine[None], axis=2)
    pairs = np.histogram(apart, answer[0]["edges"])[0]
    pairs[0] -= count
    connected = [d for rows in all_edges["PYR", "PYR"].values() for _, d, _ in rows]
    expected = np.histogram(connected, answer[0]["edges"])[0]
    assert answer[0]["connections"] == expected.tolist()
    assert answer[0]["pairs"] == pairs.tolist()
    assert answer[0]["sampled"] is False
    rates = [c / p if p else None for c, p in zip(expected.tolist(), pairs.tolist(), strict=True)]
    assert answer[0]["probability"] == rates
    assert answer[0]["probability"][0] > answer[0]["probability"][3]


def test_matrices(client: TestClient, all_edges: dict[Any, Any]) -> None:
    answer = told(client, "/matrix")
    for (pre, post), edges in all_edges.items():
        row, column = (answer["populations"].index(name) for name in (pre, post))
        assert answer["connections"][row][column] == sum(map(len, edges.values()))
    binned = table(client, "matrix/binned", bins=16)
    limits = binned["limits"]
    expected = np.zeros((16, 16), int)
    for edges in all_edges.values():
        for target, rows in edges.items():
            for source, _, _ in rows:
                a, b = (int(np.searchsorted(limits, v, side="right")) - 1 for v in (source, target))
                expected[a, b] += 1
    assert binned["connections"].tolist() == expected.tolist()


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("NONE", 404), ("CA1/nothing", 404), ("CA1/inputs", 404), ("CA1/inputs/", 404), ("CA1/inputs/99999", 404),
        ("CA1/inputs/-1", 400), ("CA1/inputs/x", 400), ("CA1/inputs/1/2", 400), ("CA1/outputs/999999999999999", 400),
        ("CA1/inputs/1?attributes=nothing", 400), ("CA1/inputs/1?projection=A>B", 400), ("CA1/box", 400),
        ("CA1/box?low=0,0&high=1,1,1", 400), ("CA1/box?low=0,0,nan&high=1,1,1", 400), ("CA1/columns/99", 404),
        ("CA1/columns/x", 400), ("CA1/columns/1?how=worst", 400), ("CA1/edges?limit=0", 400),
        ("CA1/edges?limit=999999999", 400), ("CA1/edges?limit=%D9%A3", 400), ("CA1/distances?bins=0", 400),
        ("CA1/distances?reach=-3", 400), ("CA1/matrix/binned?bins=100000", 400), (f"CA1/{'x' * 3000}", 404),
        ("CA1/coordinates/%2e%2e", 404),
    ],
)  # fmt: skip
def test_what_makes_no_sense(path: str, status: int, client: TestClient) -> None:
    response = client.get(f"/api/networks/{path}")
    assert response.status_code == status, response.text
    assert response.json()["error"]["message"]


def test_a_source_of_another_kind(serve: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 4)))
    client = serve(tmp_path)
    source = client.get("/api/sources").json()[0]["source_id"]
    response = client.get(f"/api/networks/{source}")
    assert (response.status_code, response.json()["error"]["code"]) == (404, "no_network")


def test_a_system_that_changes(serve: Any, tmp_path: Path) -> None:
    """An index of the old file is never asked about the new one."""
    folder = network_files.hippocampal(tmp_path / "CA1", single_file=True)
    client = serve(folder)
    wait_for_index(client)
    before = table(client, "outputs/3")
    network_files.projection(folder / "graph.h5", "PYR", "PYR", [5], [0, 2], [0, 2], [3, 3])
    (folder / "graph.h5").rename(tmp_path / "new.h5")
    shutil.copy(tmp_path / "new.h5", folder / "graph.h5")
    os.utime(folder / "graph.h5", (1, 1))
    after = table(client, "outputs/3", projection="PYR>PYR")
    assert after["gid"].tolist() == [5, 5]
    assert before["gid"].tolist() != [5, 5]


def test_a_lone_file_and_the_peers_system(serve: Any, tmp_path: Path) -> None:
    shutil.copytree(predefined("EI1"), tmp_path / "systems" / "EI1")
    shutil.copy(Path(predefined("EI1")) / "connections.h5", tmp_path / "systems" / "lone.h5")
    client = serve(tmp_path / "systems")
    rows = {row["name"]: row for row in client.get("/api/sources").json()}
    assert {name: row["kind"] for name, row in rows.items()} == {"EI1": "network", "lone.h5": "network"}
    about = client.get(f"/api/networks/{rows['EI1']['source_id']}").json()
    assert (about["neurons"], about["edges"]) == (10, 39)
    lone = client.get(f"/api/networks/{rows['lone.h5']['source_id']}").json()
    assert lone["bounds"] is None
    assert lone["electrodes"] is None
    places = client.get(f"/api/networks/{rows['lone.h5']['source_id']}/coordinates").content
    assert np.isnan(np.frombuffer(places, "<f4")).all()


def test_damage_is_told(serve: Any, tmp_path: Path) -> None:
    folder = network_files.hippocampal(tmp_path / "CA1", single_file=True)
    network_files.projection(folder / "graph.h5", "PYR", "PYR", [5], [0, 2], [0, 2], [3, 9_000_000])
    client = serve(folder)
    response = client.get("/api/networks/CA1/inputs/5")
    assert (response.status_code, response.json()["error"]["code"]) == (502, "damaged")
    assert client.get("/api/networks/CA1/inputs/5", params={"projection": "AAC>PYR"}).status_code == 200


def test_documents_that_make_no_sense_are_passed_over() -> None:
    huge = 10**400
    for extents in ({"L": [[huge, 0, 0], [1, 1, 1]]}, {"L": [1, 2]}, [], None, {"L": "x"}):
        assert answers.layers({"architecture": {"config": {"layer_extents": extents}}}) == {}
    for places in ([[huge, 0, 0, 0]], "x", [[1, 2]], None):
        assert answers.electrodes({"electrode_coordinates": places}) is None
    assert answers.electrodes([1]) is None

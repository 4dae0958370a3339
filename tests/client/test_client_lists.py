"""What a server offers, over both protocols."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from conftest import TOKEN, running, settle, url_of

import coverslip
from coverslip.client import Client, NotAnswering
from coverslip.core.errors import CoverslipError, NotFound


def test_sources(client: Client) -> None:
    assert len(client.sources) == 4
    ids = list(client.sources)
    assert {client.sources[id].name for id in ids} == {"liver.ome.tif", "two.ome.tif", "volume.zarr", "broken.ome.tif"}
    assert ids[0] in client.sources
    assert "nothing" not in client.sources
    assert [source.id for source in client.sources.values()] == ids == [id for id, _ in client.sources.items()]
    with pytest.raises(NotFound, match="Source not found: nothing"):
        _ = client.sources["nothing"]
    told = repr(client.sources)
    assert told.startswith("4 sources:")
    assert "volume.zarr, zarr, 1 image" in told
    assert "2 images" in told
    assert url_of_client(client) in repr(client)
    assert "4 sources" in repr(client)


def url_of_client(client: Client) -> str:
    return client.url


def test_pages_are_asked_for_as_they_are_looked_at(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("coverslip.client.client.PAGE", 2)
    asked: list[tuple[int, int]] = []
    page = client.transport.page

    def noted(offset: int, limit: int, search: str = "") -> object:
        asked.append((offset, limit))
        return page(offset, limit, search)

    monkeypatch.setattr(client.transport, "page", noted)
    first = next(iter(client.sources))
    assert asked == [(0, 2)]
    assert len(set(client.sources)) == 4
    assert first in set(client.sources)


@pytest.mark.parametrize(
    ("words", "found"),
    [("liver", {"liver.ome.tif"}), ("volume zarr", {"volume.zarr"}), ("it's 100%", set()), ("nothing_of_it", set())],
)
def test_search(client: Client, words: str, found: set[str]) -> None:
    hits = client.search(words)
    assert {source.name for source in hits.values()} == found
    assert len(hits) == len(found)
    assert words in repr(hits)


def test_sql(client: Client) -> None:
    rows = client.sql("SELECT source_id, len(tensors) AS n FROM sources WHERE len(tensors) > 0 ORDER BY n DESC LIMIT 2")
    assert [row["n"] for row in rows] == [2, 1]
    assert rows.arrow().column_names == ["source_id", "n"]
    assert not rows.truncated
    with pytest.raises(CoverslipError, match=r"(?i)nonsense"):
        client.sql("SELECT nonsense FROM sources")


def test_metadata_of_the_file(client: Client) -> None:
    found = client.sources["liver.ome.tif"].metadata
    assert "DAPI" in str(found)


def test_health(client: Client) -> None:
    health = client.health()
    assert health.serving
    assert health.sources == 4


def test_a_server_that_goes_away(data: object, protocol: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("empty")
    server = running(folder, token=TOKEN)
    client = coverslip.connect(url_of(server, protocol), TOKEN)
    assert len(client.sources) == 0
    assert repr(client.sources) == "0 sources"
    server.stop()
    with pytest.raises(NotAnswering):
        len(client.sources)
    assert "No server answers" in repr(client) or "broke the connection" in repr(client)
    client.close()
    assert "closed" in repr(client)


def test_the_query_of_the_how_to(client: Client) -> None:
    page = (Path(__file__).parents[2] / "docs" / "how-to" / "notebook.md").read_text()
    (query,) = re.findall(r'client\.sql\("(.*)"\)', page)
    assert [row["shape"] for row in client.sql(query)] == [[2, 3, 2, 620, 530]]


NAMES = ["Lebër 100% #1 日本?&+.npy", "a%2Fb c.npy", "日本.npy", "it's.npy"]


def test_names_that_addresses_encode(tmp_path: Path) -> None:
    for n, name in enumerate(NAMES):
        np.save(tmp_path / name, np.full((2, 3, 4), n, np.uint8))
    np.save(tmp_path / "cells.npy", np.zeros((9, 2)))
    settle(tmp_path)
    server = running(tmp_path)
    for protocol in ("http", "flight"):
        with coverslip.connect(url_of(server, protocol)) as client:
            assert [int(client[name][0, 0, 0]) for name in NAMES] == [0, 1, 2, 3]
            assert {source.name for source in client.search("日本").values()} == {NAMES[0], NAMES[2]}
            assert {source.name for source in client.search("a%2Fb").values()} == {NAMES[1]}
            with pytest.raises(NotFound, match=r"(?i)no image|no array"):
                _ = client["cells.npy"]
    server.stop()

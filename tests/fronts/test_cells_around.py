"""Around cells: who may ask, files that change, errors, the viewer, documents as the reference tells them."""

from __future__ import annotations

import json
import time
from pathlib import Path

import anndata
import cells_served
import h5py
import numpy as np
import pytest
from cells_served import Serve

import make
from coverslip.settings import Settings

written = cells_served.written
path = cells_served.path


def test_what_changes_on_disk_is_served_anew(serve: Serve, tmp_path: Path) -> None:
    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).random((10, 2)))
    client = serve(path)
    first = client.get("/points_2d.bin")
    np.save(path, np.random.default_rng(1).random((11, 2)))
    second = client.get("/points_2d.bin", headers={"if-none-match": first.headers["etag"]})
    assert second.status_code == 200
    assert len(second.content) == 88
    path.write_bytes(b"\x93NUMPY rubbish")
    assert client.get("/points_2d.bin").json()["error"]["code"] == "damaged"
    health = client.get("/_cellucid/health").json()
    assert (health["status"], health["n_cells"]) == ("ok", None)


def test_several_data_sets_one_of_them_spoilt(serve: Serve, tmp_path: Path) -> None:
    for folder, n in (("a", 4), ("b", 6)):
        (tmp_path / folder).mkdir()
        np.save(tmp_path / folder / "x.npy", np.random.default_rng(0).random((n, 2)))
    client = serve([tmp_path / "a" / "x.npy", tmp_path / "b" / "x.npy"])
    listed = client.get("/_cellucid/datasets").json()["datasets"]
    assert [(d["id"], d["path"], d["status"]) for d in listed] == [("x", "/x/", "ok"), ("x-2", "/x-2/", "ok")]
    for dataset, n in zip(listed, (4, 6), strict=True):
        assert client.get(f"{dataset['path']}dataset_identity.json").json()["stats"]["n_cells"] == n
    (tmp_path / "b" / "x.npy").write_bytes(b"no")
    for _ in range(200):  # the catalog sees it within two seconds
        second = client.get("/_cellucid/datasets").json()["datasets"][1]
        if second["status"] != "ok":
            break
        time.sleep(0.05)
    assert second["status"] == "error"
    assert "x.npy" in second["message"]
    assert client.get("/x/points_2d.bin").status_code == 200


def test_one_odd_column_hides_no_other(serve: Serve, path: Path) -> None:
    with h5py.File(path, "r+") as file:
        obs = file["obs"]
        obs["wide"] = np.zeros((make.N, 2))
        obs["short"] = np.zeros(3)
        obs.create_group("strange").attrs["encoding-type"] = "from-the-future"
        obs.attrs["column-order"] = np.array(
            [*obs.attrs["column-order"], "wide", "short", "strange"], h5py.string_dtype()
        )
    identity = serve(path).get("/dataset_identity.json").json()
    assert [f["key"] for f in identity["obs_fields"]] == list(make.table().columns)
    assert [f["key"] for f in identity["unreadable_fields"]] == ["wide", "short", "strange"]


def test_a_file_changed_while_it_is_read_gives_no_mixture(
    serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from coverslip.domains.embedding import Embedding

    path = tmp_path / "points.npy"
    np.save(path, np.random.default_rng(0).random((10, 2)))
    client = serve(path)
    real, calls = Embedding.points, []

    def written_meanwhile(self: Embedding, columns: range) -> np.ndarray:
        calls.append(1)
        result = real(self, columns)
        if len(calls) == 1:
            np.save(path, np.random.default_rng(1).random((12, 2)))
        return result

    monkeypatch.setattr(Embedding, "points", written_meanwhile)
    response = client.get("/points_2d.bin")
    assert len(response.content) == 12 * 8
    assert len(calls) == 2
    again = client.get("/points_2d.bin", headers={"if-none-match": response.headers["etag"]})
    assert again.status_code == 304


def test_no_embedding_no_genes(serve: Serve) -> None:
    bare = anndata.AnnData(obs=make.table(3 + 3))
    client = serve(bare)
    identity = client.get("/dataset_identity.json").json()
    assert identity["embeddings"]["items"] == []
    assert identity["expression"] == {"default": None, "items": []}
    assert client.get("/obs_manifest.json").status_code == 200
    assert client.get("/var_manifest.json").status_code == 404
    assert client.get("/points_2d.bin").status_code == 404
    assert client.get("/connectivity_manifest.json").json()["error"]["message"] == "No connectivity data"


def test_an_unforeseen_error_tells_no_details(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(path)

    def broken(*_: object) -> None:
        raise ZeroDivisionError(f"secret {path}")

    monkeypatch.setattr("coverslip.fronts.cellucid.manifests.genes", broken)
    response = client.get("/genes.json")
    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal"
    assert "secret" not in response.text


def test_equal_answers_are_made_once(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    client = serve(path)
    calls = []
    from coverslip.domains.matrix import Csr

    real = Csr.column
    monkeypatch.setattr(Csr, "column", lambda self, *a: (calls.append(a), real(self, *a))[1])
    for _ in range(3):
        client.get("/genes/1.values.f32?expression=X&anything=else")
    assert len(calls) == 1


class TestGuard:
    def test_another_host_name_is_refused(self, serve: Serve, path: Path) -> None:
        client = serve(path)
        for host in ("evil.example.com", "", "127.0.0.1.evil.com"):
            response = client.get("/dataset_identity.json", headers={"host": host})
            assert response.status_code == 421, host
        assert client.get("/_cellucid/health", headers={"host": "localhost:1"}).status_code == 200

    def test_origins(self, serve: Serve, path: Path) -> None:
        client = serve(path, Settings(allow_origins=("https://notebook.example.org",)))
        foreign = client.get("/_cellucid/health", headers={"origin": "https://evil.example.com"})
        assert foreign.status_code == 403
        assert "access-control-allow-origin" not in foreign.headers
        assert client.get("/_cellucid/health", headers={"origin": "null"}).status_code == 403
        named = client.get("/_cellucid/health", headers={"origin": "https://notebook.example.org"})
        assert named.headers["access-control-allow-origin"] == "https://notebook.example.org"
        assert "Origin" in named.headers["vary"]
        own = client.get("/_cellucid/health", headers={"origin": "http://127.0.0.1:8765"})
        assert own.status_code == 200
        assert client.options("/x").status_code == 204

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH"])
    def test_nothing_is_written(self, serve: Serve, path: Path, method: str) -> None:
        response = serve(path).request(method, "/dataset_identity.json")
        assert response.status_code == 405
        assert "GET" in response.headers["allow"]

    def test_tokens(self, serve: Serve, path: Path) -> None:
        client = serve(path, Settings(token="s3cret"))
        assert client.get("/_cellucid/health").status_code == 401
        assert client.get("/_cellucid/health?token=wrong").status_code == 401
        assert client.get("/_cellucid/health", headers={"authorization": "Bearer s3cret"}).status_code == 200
        assert client.get("/_cellucid/health", headers={"authorization": "Basic s3cret"}).status_code == 401
        entered = client.get("/?token=s3cret&color=gene:A", follow_redirects=False)
        assert entered.status_code == 303
        assert entered.headers["location"] == "./?color=gene%3AA"
        cookie = entered.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert client.get("/_cellucid/health").status_code == 200, "the cookie is enough from now on"

    @pytest.mark.parametrize("where", ["//evil.com/", "/\\evil.com", "/a//evil.com", "/http://evil.com"])
    def test_a_token_redirects_nowhere_else(self, serve: Serve, path: Path, where: str) -> None:
        client = serve(path, Settings(token="t"))
        response = client.get(f"http://127.0.0.1:8765{where}?token=t", follow_redirects=False)
        assert response.status_code == 303
        assert response.headers["location"].startswith("./")


def test_the_viewer_is_served_or_its_absence_explained(
    serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    built = tmp_path / "pkg" / "_viewer"
    (built / "assets").mkdir(parents=True)
    (built / "index.html").write_text("<!doctype html>hello")
    (built / "assets" / "a-123.js").write_text("let x = 1;" * 200)
    monkeypatch.setattr("coverslip.fronts.viewer.front.files", lambda _: tmp_path / "pkg")
    client = serve(path)
    page = client.get("/")
    assert page.text.endswith("hello")
    assert page.headers["content-type"].startswith("text/html")
    assert "no-cache" in page.headers["cache-control"]
    script = client.get("/assets/a-123.js", headers={"accept-encoding": "gzip"})
    assert script.headers["content-type"].startswith("text/javascript")
    assert "immutable" in script.headers["cache-control"]
    assert script.headers["content-encoding"] == "gzip"
    assert client.get("/assets/../../secret").status_code == 404
    monkeypatch.setattr("coverslip.fronts.viewer.front.files", lambda _: tmp_path)
    missing = serve(path).get("/")
    assert missing.status_code == 503
    assert "Viewer UI unavailable" in missing.text


def test_documents_match_the_reference(serve: Serve, path: Path) -> None:
    """Every path pattern in the reference is one that the server knows, and JSON examples name real keys."""
    text = (Path(__file__).parents[2] / "docs" / "reference" / "http-cells.md").read_text()
    identity = serve(path).get("/dataset_identity.json").json()
    example = json.loads(
        text.split("```json\n")[1].split("```")[0].replace('{"…": "as cellucid\'s", "items"', '{"items"')
    )
    assert set(example) <= set(identity)
    assert set(example["embeddings"]["items"][0]) <= set(identity["embeddings"]["items"][0])
    assert set(example["obs_fields"][0]) <= set(identity["obs_fields"][0])
    assert set(example["expression"]["items"][0]) <= set(identity["expression"]["items"][0])

"""Cells over HTTP, without a socket: every path of the contract, names, columns, genes, order."""

from __future__ import annotations

import gzip
import hashlib
import time
from pathlib import Path
from urllib.parse import quote

import anndata
import cells_served
import h5py
import numpy as np
import pytest
from cells_served import Serve
from starlette.testclient import TestClient

import make
from coverslip.domains import gene_indexes
from coverslip.domains.drawing_order import step_of
from coverslip.settings import Settings

written = cells_served.written
path = cells_served.path


def floats(client: TestClient, url: str) -> np.ndarray:
    response = client.get(url)
    assert response.status_code == 200, response.text
    return np.frombuffer(response.content, "<f4")


def test_every_path_of_the_contract(serve: Serve, path: Path) -> None:
    client = serve(path)
    identity = client.get("/dataset_identity.json").json()
    urls = ["/obs_manifest.json", "/var_manifest.json", "/connectivity_manifest.json", "/cells/0.json"]
    urls += ["/_cellucid/health", "/_cellucid/info", "/_cellucid/datasets"]
    for item in identity["embeddings"]["items"]:
        urls += item["files"].values()
    urls += identity["embeddings"]["files"].values()
    for expression in identity["expression"]["items"]:
        genes = client.get(expression["genes"]).json()
        assert len(genes["names"]) == expression["n_genes"]
        urls += [genes["values"].replace("{index}", str(i)) for i in range(expression["n_genes"])]
    for entry in identity["obs_fields"]:
        field = client.get(entry["info"]).json()
        assert (field["key"], field["kind"]) == (entry["key"], entry["kind"])
        urls.append(field.get("codes") or field["values"])
    for url in urls:
        get, head = client.get(url), client.head(url)
        assert get.status_code == head.status_code == 200, url
        assert head.content == b""
        dropped = ("server-timing",)
        assert {k: v for k, v in get.headers.items() if k not in dropped} == {
            k: v for k, v in head.headers.items() if k not in dropped
        }
        assert get.headers["x-content-type-options"] == "nosniff"
        assert get.headers["content-security-policy"].startswith("default-src 'self'")
        assert b"NaN" not in get.content or get.headers["content-type"] == "application/octet-stream"
        assert str(path.parent).encode() not in get.content


def test_etags_ranges_and_gzip_files(serve: Serve, path: Path) -> None:
    client = serve(path)
    whole = client.get("/points_2d.bin")
    assert whole.headers["content-type"] == "application/octet-stream"
    assert client.get("/points_2d.bin", headers={"if-none-match": whole.headers["etag"]}).status_code == 304
    part = client.get("/points_2d.bin", headers={"range": "bytes=8-15"})
    assert (part.status_code, part.content) == (206, whole.content[8:16])
    assert client.get("/points_2d.bin", headers={"range": "bytes=999999-"}).status_code == 416
    packed = client.get("/points_2d.bin.gz")
    assert "content-encoding" not in packed.headers
    assert gzip.decompress(packed.content) == whole.content
    assert packed.headers["etag"] != whole.headers["etag"]
    manifest = client.get("/obs_manifest.json", headers={"accept-encoding": "gzip"})
    assert manifest.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize("name", make.ODD_NAMES)
def test_every_name_addresses_its_own_gene(serve: Serve, path: Path, name: str) -> None:
    client = serve(path)
    number = make.ODD_NAMES.index(name)
    expected = make.dense_matrix()[:, number]
    np.testing.assert_array_equal(floats(client, f"/var/{quote(name, safe='')}.values.f32"), expected)
    np.testing.assert_array_equal(floats(client, f"/genes/{number}.values.f32?expression=X"), expected)
    if "/" in name:
        np.testing.assert_array_equal(floats(client, f"/var/{name}.values.f32"), expected)


def test_the_sanitised_form_works_where_it_means_one_thing(serve: Serve, path: Path, tmp_path: Path) -> None:
    client = serve(path)
    tubulin = make.ODD_NAMES.index("α-tubulin")
    np.testing.assert_array_equal(floats(client, "/var/-tubulin.values.f32"), make.dense_matrix()[:, tubulin])
    both = client.get("/var/field.values.f32")  # β and γ
    assert both.status_code == 409
    assert "β" in both.json()["error"]["message"]
    assert "γ" in both.json()["error"]["message"]


def test_symbols_address_genes_too(serve: Serve, path: Path) -> None:
    np.testing.assert_array_equal(floats(serve(path), "/var/SYM5.values.f32"), make.dense_matrix()[:, 5])


def test_not_there(serve: Serve, path: Path) -> None:
    client = serve(path)
    for url, code in {
        "/var/NOPE.values.f32": "gene_not_found",
        "/genes/99.values.f32": "gene_not_found",
        "/obs/nope.codes.u8": "field_not_found",
        "/fields/99.json": "field_not_found",
        "/obs/kind.codes.u16": "wrong_extension",
        "/obs/kind.values.f32": "wrong_part",
        "/obs/score.codes.u8": "wrong_part",
        "/points_3d.bin": "points_not_found",
        "/embeddings/9_2d.bin": "embedding_not_found",
        "/embeddings/0_2d.bin?columns=0,99": "embedding_not_found",
        "/genes.json?expression=layer:nope": "expression_not_found",
        "/cells/50.json": "cell_not_found",
        "/obs/": "not_found",
        "/.hidden": "not_found",
        "/_cellucid/nope": "not_found",
    }.items():
        response = client.get(url)
        assert (response.status_code, response.json()["error"]["code"]) == (404, code), url
        assert response.json()["error"]["hint"]
        assert response.headers["cache-control"] == "no-store"
    bad = client.get("/embeddings/0_2d.bin?columns=a,b")
    assert (bad.status_code, bad.json()["error"]["code"]) == (400, "bad_request")
    assert client.get("/genes/99999999999999999999.values.f32").status_code == 404


def test_chosen_columns_of_an_embedding(serve: Serve, path: Path) -> None:
    client = serve(path)
    items = client.get("/dataset_identity.json").json()["embeddings"]["items"]
    number = [i["id"] for i in items].index("X_pca")
    got = floats(client, f"/embeddings/{number}_2d.bin?columns=4,1").reshape(-1, 2)
    raw = anndata.read_h5ad(path).obsm["X_pca"][:, [4, 1]]
    for axis in range(2):
        assert np.corrcoef(got[:, axis], raw[:, axis])[0, 1] == pytest.approx(1)


def test_missing_values_stay_missing(serve: Serve, path: Path) -> None:
    client = serve(path)
    table = make.table()
    keys = list(table.columns)
    score = client.get(f"/fields/{keys.index('score')}.json").json()
    finite = table["score"][np.isfinite(table["score"])]
    assert score["n_missing"] == 2
    assert score["min"] == pytest.approx(finite.min())
    assert score["max"] == pytest.approx(finite.max())
    values = floats(client, score["values"])
    assert np.flatnonzero(~np.isfinite(values)).tolist() == [1, 5]
    kind = client.get("/fields/0.json").json()
    assert (kind["n_missing"], kind["counts"][3], kind["categories"][3]) == (1, 0, "empty")
    codes = np.frombuffer(client.get(kind["codes"]).content, np.uint8)
    assert codes[3] == kind["missing"] == 255
    assert client.get("/cells/5.json").json()["fields"]["score"] is None


@pytest.mark.parametrize(("n", "extension", "missing"), [(300, "u16", 65535), (70_000, "u32", 2**32 - 1)])
def test_many_categories(serve: Serve, tmp_path: Path, n: int, extension: str, missing: int) -> None:
    path = tmp_path / "many.h5ad"
    with h5py.File(path, "w") as file:
        obs = make.frame_group(file, "obs", [str(i) for i in range(n + 1)])
        obs.attrs["column-order"] = np.array(["kind"], dtype=h5py.string_dtype())
        group = obs.create_group("kind")
        group.attrs.update({"encoding-type": "categorical", "ordered": False})
        group["codes"] = np.append(np.arange(n)[::-1], -1).astype(np.int32)
        group["categories"] = np.array([f"k{i}" for i in range(n)], dtype=object)
    client = serve(path)
    field = client.get("/fields/0.json").json()
    assert field["codes"] == f"fields/0.codes.{extension}"
    codes = np.frombuffer(client.get(f"/obs/kind.codes.{extension}").content, f"<u{int(extension[1:]) // 8}")
    np.testing.assert_array_equal(codes[:-1], np.arange(n)[::-1])
    assert codes[-1] == field["missing"] == missing
    manifest = client.get("/obs_manifest.json").json()["_categoricalFields"][0]
    assert manifest[2] == {"u16": "uint16", "u32": "uint32"}[extension]


def test_coordinates_as_they_are_stored(serve: Serve, path: Path) -> None:
    client = serve(path)
    items = client.get("/dataset_identity.json").json()["embeddings"]["items"]
    number = [i["id"] for i in items].index("X_pca")
    got = floats(client, f"/embeddings/{number}_2d.bin?columns=1,3&coordinates=stored").reshape(-1, 2)
    np.testing.assert_array_equal(got, anndata.read_h5ad(path).obsm["X_pca"][:, [1, 3]].astype(np.float32))
    scaled = floats(client, f"/embeddings/{number}_2d.bin?columns=1,3").reshape(-1, 2)
    assert np.abs(scaled).max() == pytest.approx(1)
    odd = client.get(f"/embeddings/{number}_2d.bin?coordinates=odd")
    assert (odd.status_code, odd.json()["error"]["code"]) == (400, "bad_request")


def test_names_of_some_cells(serve: Serve, path: Path) -> None:
    client = serve(path)
    names = [str(n) for n in anndata.read_h5ad(path).obs_names]
    assert client.get("/cells/names.json").json() == {"start": 0, "names": names}
    assert client.get("/cells/names.json?start=2&stop=5").json() == {"start": 2, "names": names[2:5]}
    assert client.get("/cells/names.json?start=9999999&stop=9999999999").json()["names"] == []
    assert client.get("/cells/names.json?start=5&stop=2").json()["names"] == []
    for odd in ("start=-1", "start=1.5", "stop=x", "stop=99999999999"):
        assert client.get(f"/cells/names.json?{odd}").status_code == 400


def test_a_digest_of_the_names_in_their_order(serve: Serve, path: Path) -> None:
    client = serve(path)
    names = [str(n) for n in anndata.read_h5ad(path).obs_names]
    digest = hashlib.sha256("\n".join(names).encode()).hexdigest()
    assert client.get("/cells/digest.json").json() == {"n": len(names), "digest": f"sha256:{digest}"}


def test_many_genes_at_once(serve: Serve, path: Path) -> None:
    """In the order asked for, one gene as often as it is named; what is no number is refused."""
    client = serve(path)
    n_cells = client.get("/_cellucid/health").json()["n_cells"]
    several = floats(client, "/genes/values.f32?genes=2,0,2").reshape(3, n_cells)
    for row, number in zip(several, (2, 0, 2), strict=True):
        np.testing.assert_array_equal(row, floats(client, f"/genes/{number}.values.f32"))
    packed = client.get("/genes/values.f32.gz?genes=1")
    assert gzip.decompress(packed.content) == floats(client, "/genes/1.values.f32").tobytes()
    for text in ("", "x", "1,,2", "-1", "1e3", "9" * 40):
        assert client.get(f"/genes/values.f32?genes={text}").status_code == 400, text
    assert client.get("/genes/values.f32").status_code == 400
    assert client.get("/genes/values.f32?genes=0,99999").json()["error"]["code"] == "gene_not_found"
    assert client.get(f"/genes/values.f32?genes={',0' * 9000}").status_code in (400, 414)


def test_a_gene_index_is_made_and_told(serve: Serve, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Genes are the same before and after; a file written anew is answered anew."""
    assert serve(path).get("/gene_index.json").json()["state"] == "none"
    monkeypatch.setattr(gene_indexes.GeneIndexes.__init__, "__defaults__", (1 << 30, True, 1 << 28, 1))
    client = serve(path)
    before = floats(client, "/genes/values.f32?genes=0,1,2")
    end = time.monotonic() + 60
    while (told := client.get("/gene_index.json?expression=X").json())["state"] != "ready":
        assert told["state"] in ("building", "waiting"), told
        assert time.monotonic() < end
        time.sleep(0.02)
    assert told == {"expression": "X", "state": "ready", "share": 1.0, "message": None}
    assert client.get("/gene_index.json").headers["cache-control"] == "no-store"
    np.testing.assert_array_equal(floats(client, "/genes/values.f32?genes=2,1,0"), before.reshape(3, -1)[::-1].ravel())
    assert client.get("/gene_index.json?expression=nope").status_code == 404
    with h5py.File(path, "r+") as file:
        file["X/data"][...] = file["X/data"][...] * 2
    np.testing.assert_array_equal(floats(client, "/genes/values.f32?genes=0,1,2"), before * 2)
    off = serve(path, Settings(gene_index=False))
    assert off.get("/gene_index.json").json()["state"] == "off"


def test_arrays_in_the_order_in_which_cells_are_drawn(serve: Serve, path: Path) -> None:
    client = serve(path)
    assert client.get("/dataset_identity.json").json()["orders"] == ["drawn"]
    n = client.get("/_cellucid/health").json()["n_cells"]
    drawn = np.arange(n) * step_of(n) % n
    points = floats(client, "/points_2d.bin").reshape(n, 2)
    np.testing.assert_array_equal(floats(client, "/points_2d.bin?order=drawn").reshape(n, 2), points[drawn])
    gene = floats(client, "/genes/1.values.f32")
    np.testing.assert_array_equal(floats(client, "/genes/1.values.f32?order=drawn"), gene[drawn])
    first = client.get("/genes/1.values.f32?order=drawn", headers={"range": "bytes=0-7"})
    np.testing.assert_array_equal(np.frombuffer(first.content, "<f4"), gene[drawn[:2]])
    for wrong in ("/points_2d.bin?order=odd", "/genes/values.f32?genes=1&order=drawn"):
        assert client.get(wrong).status_code == 400

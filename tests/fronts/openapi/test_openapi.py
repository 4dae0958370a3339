"""The description of everything over HTTP: valid, complete, and nothing in it that is not answered."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from docs_openapi import openapi_page
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR
from starlette.testclient import TestClient

from coverslip.app import catalog_of, create_app
from coverslip.domains import plan
from coverslip.fronts.cellucid import paths as cell_paths
from coverslip.fronts.cellucid.paths import parse
from coverslip.fronts.dialogue.front import KINDS
from coverslip.fronts.networks.front import TABLES
from coverslip.fronts.openapi.document import FRONTS, document
from coverslip.fronts.tensors.admin import PATHS
from coverslip.fronts.tensors.front import HEALTH
from coverslip.settings import Settings
from described import fault, operations_at
from offered import Offered

DOCS = Path(__file__).parents[3] / "docs" / "reference"
WHOLE = document("1.2.3", notebook=True)


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, one) for path, methods in WHOLE["paths"].items() for method, one in methods.items()]


def resolved(parameter: dict[str, Any]) -> dict[str, Any]:
    name = parameter.get("$ref", "").rpartition("/")[2]
    return WHOLE["components"]["parameters"][name] if name else parameter


def test_it_is_openapi() -> None:
    OPENAPI_31_VALIDATOR.validate(json.loads(json.dumps(WHOLE)))
    text = json.dumps(WHOLE)
    for kind, name in set(re.findall(r'"#/components/(\w+)/([\w-]+)"', text)):
        assert name in WHOLE["components"][kind], (kind, name)
    ids = [one["operationId"] for _, _, one in operations()]
    assert len(ids) == len(set(ids))
    tags = {tag["name"] for tag in WHOLE["tags"]}
    for path, _, one in operations():
        assert set(one["tags"]) <= tags
        named = {p["name"] for p in map(resolved, one.get("parameters", ())) if p["in"] == "path"}
        assert named == set(re.findall(r"\{(\w+)\}", path)), path


def test_only_a_notebooks_server_tells_of_its_dialogue() -> None:
    assert any("dialogue" in path for path in WHOLE["paths"])
    assert not any("dialogue" in path for path in document("1.2.3")["paths"])
    assert document("1.2.3", "/lab/data")["servers"] == [{"url": "/lab/data"}]


def request_of(path: str, one: dict[str, Any], offered: Offered) -> tuple[str, dict[str, Any]]:
    """The address of something that is there, and the query that is needed."""
    values, query, template = offered.values, {}, path
    for parameter in map(resolved, one.get("parameters", ())):
        name, where = parameter["name"], parameter["in"]
        value = values.get(f"{template} {name}", values.get(name))
        if name == "index" and re.search(r"fields/\{index\}\.(codes|outliers|json)", template):
            value = values["coded"]
        elif name == "index" and "/fields/" in template:
            value = values["numbered"]
        elif name == "field":
            value = "score" if ".values" in template else "kind"
        elif name == "job" and template.endswith("values.f32"):
            value = values["scored"]
        if where == "path":
            assert value is not None, (path, name)
            path = path.replace(f"{{{name}}}", str(value))
        elif where == "query" and (parameter.get("required") or f"{template} {name}" in values or name == "n"):
            query[name] = value
    return path, query


FILLED = {"extension": "u8", "end": "src", "dimensions": "1", "index": "0"}
NOT_HERE = {
    "/api/sources/{source_id}/ticket/{ticket}": "no_flight",
    "/api/shares": "no_token",
    "/api/shares/{link}": "no_token",
    "/api/admin/token": "no_token",
}


def test_everything_described_is_answered(offered: Offered) -> None:
    offered.values["ticket"] = "00"
    last = [one for one in operations() if one[1] == "delete"]
    for template, method, one in [o for o in operations() if o not in last] + last:
        path, query = request_of(template, one, offered)
        given: dict[str, Any] = {}
        if "requestBody" in one:
            media, about = next(iter(one["requestBody"]["content"].items()))
            kind = re.sub(r"^(/\{dataset\})?/(analysis/)", r"\2", template)
            body = offered.bodies.get(kind, about.get("example", "x"))
            text = body if media == "application/octet-stream" else json.dumps(body)
            given = {"content": text, "headers": {"content-type": media}}
        response = offered.client.request(method.upper(), path, params=query, **given)
        if template in NOT_HERE:
            assert response.json()["error"]["code"] == NOT_HERE[template]
            continue
        assert response.status_code < 300, (method, path, query, response.text[:300])
        media = response.headers.get("content-type", "")
        assert fault(method.upper(), path, response.status_code, media) is None
        assert template in [known for known, _ in operations_at(path, method)]


def test_the_fronts_tables_are_described() -> None:
    """What a front looks its answers up in; whatever tests are answered is looked at by `described.Judge`."""
    kinds = set()
    for path, method, _ in operations():
        if path.startswith("/{dataset}/") and method == "get" and "/analysis/" not in path:
            filled = re.sub(r"\{(\w+)\}", lambda m: FILLED.get(m[1], "x"), path.removeprefix("/{dataset}/"))
            kinds.add(parse(filled).kind)
    samples = ["dataset_identity.json", "genes/values.f32", "cells/names.json", "cells/digest.json"]
    assert {parse(one).kind for one in samples} < kinds
    known = {make(found).kind for pattern, make in cell_paths._ROUTES if (found := _any(pattern.pattern))}
    assert known == kinds
    described = set(WHOLE["paths"])
    assert {f"/{path}" for path in PATHS | set(HEALTH)} <= described
    assert {f"/api/networks/{{network_id}}/{name}" for name in TABLES} <= described
    assert {f"/{{dataset}}/analysis/{kind}" for kind in plan.KINDS} <= described
    assert {f"/api/dialogue/events/{kind}" for kind in KINDS} <= described


def _any(pattern: str) -> re.Match[str] | None:
    """A match of a route, made from its own pattern."""
    text = pattern.replace(r"(\d{1,10})", "0").replace("([123])", "1").replace(r"(\.gz)?", "").replace("(.+)", "x")
    text = text.replace("(values|codes|outliers)", "codes").replace(r"(\w+)", "u8").replace("(f32|u8|u16|u32)", "u8")
    text = text.replace("(src|dst)", "src").replace("(weights)", "weights").replace("\\", "")
    return re.fullmatch(pattern, text)


@pytest.mark.parametrize("page", ["http-images.md", "http-networks.md", "http-cells.md", "http-analysis.md"])
def test_what_the_pages_list_is_described(page: str) -> None:
    text = (DOCS / page).read_text()
    asked = re.findall(r"^\| `(GET|POST|PUT|DELETE) (/[^` ?]*)", text, re.MULTILINE)
    asked += [("GET", f"/api/networks/{{id}}/{p}") for p in re.findall(r"^\| `…/([^`?]+)", text, re.MULTILINE)]
    asked += [("POST", f"/{p}") for p in re.findall(r"^\| `(analysis/\w+)`", text, re.MULTILINE)]
    cells = re.findall(r"^\| (`[^|]*`) \|", text, re.MULTILINE) if page == "http-cells.md" else []
    for path in [p for row in cells for p in re.findall(r"`([^`]+)`", row)]:
        plain = re.sub(r"\{([\d,]+)\}", "1", path.partition("?")[0])
        plain = re.sub(r"\{(\w+),[\w,]+\}", r"\1", plain)
        asked.append(("GET", f"/{re.sub('<ext>', 'u8', plain)}"))
    assert asked
    for method, path in asked:
        filled = re.sub(r"<[^>]+>d", "1d", path)
        filled = re.sub(r"\{[^}]+\}|<[^>]+>", "1", filled)
        assert operations_at(filled, method), (method, path)


def test_the_page_shows_everything() -> None:
    page = openapi_page()
    for path, method, one in operations():
        assert ("x-same-as" in one) == (f"| `{method.upper()} {path}` |" not in page), path
    assert all(one["x-same-as"] in WHOLE["paths"] for _, _, one in operations() if "x-same-as" in one)


def test_every_front_describes_itself() -> None:
    folder = Path(FRONTS["zarr"].__file__ or "").parents[1]
    fronts = {path.parent for path in folder.glob("*/front.py")}
    kept = {folder / name for name in ("flight", "viewer", "openapi")}  # gRPC, files of a page, and this itself
    assert {Path(front.__file__ or "").parent for front in FRONTS.values()} == (fronts - kept) | {folder / "openapi"}


def test_it_is_served(offered: Offered) -> None:
    response = offered.client.get("/api/openapi.json")
    assert response.json()["openapi"].startswith("3.1")
    assert response.json()["paths"] == json.loads(json.dumps(WHOLE["paths"]))
    etag = response.headers["etag"]
    assert offered.client.get("/api/openapi.json", headers={"if-none-match": etag}).status_code == 304
    assert offered.client.head("/api/openapi.json").headers["etag"] == etag
    assert offered.client.post("/api/openapi.json", json={}).status_code == 405


def test_behind_a_prefix_and_a_token(tmp_path: Path) -> None:
    token = "t" * 32
    app = create_app(catalog_of(tmp_path), Settings(token=token, root_path="/lab/data"), 8765)
    with TestClient(app, base_url="http://127.0.0.1:8765") as client:
        assert client.get("/lab/data/api/openapi.json").status_code == 401
        response = client.get("/lab/data/api/openapi.json", headers={"authorization": f"Bearer {token}"})
    assert response.json()["servers"] == [{"url": "/lab/data"}]

"""What a link to one source opens over HTTP and WebSockets, and that nothing tells of another."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scopes_lab
from scopes_lab import DESCRIBED, READ, TOKEN, Lab
from starlette.websockets import WebSocketDisconnect

lab = scopes_lab.lab


READS = (
    "/api/sources/{id}", "/api/sources/{id}/metadata", "/api/tile_info/{id}", "/api/tile/{id}", "/api/statistics/{id}",
    "/api/thumbnail/{id}", "/api/block/{id}", "/api/sources/{id}/ticket/00", "/zarr/{id}/zarr.json",
    "/zarr/{id}/0/zarr.json", "/zarr/{id}/0/c/0/0", "/api/networks/{id}", "/api/networks/{id}/coordinates",
    "/{id}/dataset_identity.json", "/{id}/obs_manifest.json", "/{id}/points_2d.bin", "/{id}/genes/0.values.f32",
    "/{id}/analysis/jobs/00000000000000000000000000000000", "/hsds/?domain=/{file}", "/hsds/groups?domain=/{file}",
    "/h5grove/meta/?file={file}", "/h5grove/paths/?file={file}", "/files/{id}/a.json",
)  # fmt: skip
CELLS = [one for one in READS if one.startswith(("/{id}/d", "/{id}/o", "/{id}/p", "/{id}/g", "/hsds", "/h5grove"))]
IMAGE = [one for one in READS if one.startswith(("/api/sources/{id}", "/api/t", "/api/st", "/api/b", "/zarr"))]


@pytest.mark.parametrize("template", CELLS)
def test_a_link_to_cells_opens_them(lab: Lab, template: str) -> None:
    target = template.format(id=lab.id("lung.h5ad"), file="lung.h5ad")
    assert lab.ask("GET", target, lab.link("lung.h5ad")) == lab.ask("GET", target, TOKEN)
    assert lab.ask("GET", target, TOKEN)[0] == 200


@pytest.mark.parametrize("template", [one for one in IMAGE if "ticket" not in one])
def test_a_link_to_an_image_opens_it(lab: Lab, template: str) -> None:
    query = "?start=0,0&stop=8,8" if "block" in template else ""
    target = template.format(id=lab.id("slide.tif")) + query
    assert lab.ask("GET", target, lab.link("slide.tif")) == lab.ask("GET", target, TOKEN)
    assert lab.ask("GET", target, TOKEN)[0] == 200


@pytest.mark.parametrize("template", READS)
@pytest.mark.parametrize(("mine", "other"), [("lung.h5ad", "brain.h5ad"), ("slide.tif", "secret.tif")])
def test_another_source_is_as_if_it_were_not_there(lab: Lab, template: str, mine: str, other: str) -> None:
    """Of what is there and of what is not, the same is told, letter by letter."""
    link = lab.link(mine)
    found = lab.ask("GET", template.format(id=lab.id(other), file=other), link)
    never = lab.ask("GET", template.format(id="nowhere", file="nowhere.h5"), link)
    assert found[0] == 404
    named = found[1].replace(lab.id(other).encode(), b"nowhere").replace(other.encode(), b"nowhere.h5")
    assert (found[0], named) == never


def test_nothing_that_is_read_tells_of_another(lab: Lab) -> None:
    link = lab.link("slide.tif")
    for path in sorted({path for method, path, _ in DESCRIBED if method == "GET"}):
        for query in ("", "?domain=/", "?file=/", "?search=secret", "?path=data"):
            _, body = lab.ask("GET", f"/{path}{query}", link)
            for name in (b"brain", b"lung", b"secret-", b"secret.tif", b"deep"):
                assert name not in body, (path, query)


def test_the_list_is_of_one(lab: Lab) -> None:
    link, id = lab.link("slide.tif"), lab.id("slide.tif")
    for query, count in (("", 1), ("?kind=cells", 0), ("?search=slide", 1), ("?search=lung", 0), ("?offset=1", 0)):
        assert len(json.loads(lab.ask("GET", f"/api/sources{query}", link)[1])) == count, query
    told = json.loads(lab.ask("GET", "/api/catalog", link)[1])
    assert (told["sources"], told["by_kind"], told["roots"]) == (1, {json.loads(
        lab.ask("GET", f"/api/sources/{id}", link)[1])["kind"]: 1}, [])  # fmt: skip
    assert json.loads(lab.ask("GET", "/_cellucid/datasets", link)[1]) == {"datasets": []}
    cells = lab.link("lung.h5ad")
    (listed,) = json.loads(lab.ask("GET", "/_cellucid/datasets", cells)[1])["datasets"]
    assert listed["id"] == lab.id("lung.h5ad")
    whole = lab.ask("GET", f"/{lab.id('lung.h5ad')}/dataset_identity.json", cells)
    assert lab.ask("GET", "/dataset_identity.json", cells) == whole, "the only one there is"


def test_folders_of_hdf5_files_lead_to_one(lab: Lab) -> None:
    link = lab.link("deep/obs.h5ad")
    (found,) = json.loads(lab.ask("GET", "/hsds/domains?domain=/", link)[1])["domains"]
    assert found["name"] == "/deep"
    (found,) = json.loads(lab.ask("GET", "/hsds/domains?domain=/deep/", link)[1])["domains"]
    assert found["name"] == "/deep/obs.h5ad"
    assert lab.ask("GET", "/hsds/?domain=/deep/obs.h5ad", link)[0] == 200
    assert lab.ask("GET", "/hsds/?domain=/lung.h5ad", link)[0] == 404


@pytest.mark.parametrize(
    "target",
    [
        "/{mine}/../{other}/dataset_identity.json", "/{mine}/..%2f{other}/dataset_identity.json",
        "/{mine}%2f..%2f{other}/dataset_identity.json", "/{mine}/%2e%2e/{other}/dataset_identity.json",
        "//{other}/dataset_identity.json", "/./{other}/dataset_identity.json", "/%2f{other}/dataset_identity.json",
        "/{coded}/dataset_identity.json", "/{OTHER}/dataset_identity.json", "/{other}%00/dataset_identity.json",
        "/{other}%20/dataset_identity.json", "/{other}./dataset_identity.json", "/{other};x/dataset_identity.json",
        "/api/sources/{mine}/../{other}", "/api/sources/{mine}%2f..%2f{other}", "/api/sources/{coded}",
        "/api/sources//{other}", "/api/sources/{other}/", "/api/sources/{other}%2fmetadata", "/API/sources/{other}",
        "/zarr/{mine}/../{other}/zarr.json", "/zarr/{mine}%2f..%2f{other}/zarr.json", "/zarr/{coded}/zarr.json",
        "/zarr//{other}/zarr.json", "/zarr/{mine}/%2e%2e/{other}/zarr.json", "/api/tile_info/{mine}/../{other}",
        "/api/thumbnail/{coded}", "/api/thumbnail/{mine}%2f..%2f{other}", "/api/networks/{mine}%2f..%2f{other}",
        "/hsds/?domain=/{file}", "/hsds/?domain=/deep/../{file}", "/hsds/?domain=%2F{file}", "/hsds/?domain={file}",
        "/hsds/?h5path=/&host=/{file}", "/h5grove/meta/?file=./{file}", "/h5grove/meta/?file=deep/../{file}",
        "/h5grove/meta/?file=/{file}", "/hsds/?domain=/{file}/", "/hsds/?domain=//{file}",
    ],
)  # fmt: skip
def test_no_spelling_leads_to_another(lab: Lab, target: str) -> None:
    mine, other = lab.id("lung.h5ad"), lab.id("brain.h5ad")
    coded = "".join(f"%{ord(c):02x}" for c in other)
    path = target.format(mine=mine, other=other, coded=coded, OTHER=other.upper(), file="brain.h5ad")
    link = lab.link("lung.h5ad")
    status, body = lab.ask("GET", path, link)
    own = lab.ask("GET", f"/{mine}/dataset_identity.json", TOKEN)
    assert status in (400, 404, 422) or (status, body) == own, (
        "what leads nowhere leads to the only one there is, at most"
    )
    never = path.replace(other, "nowhere").replace("brain.h5ad", "nowhere.h5").replace(coded, "nowhere")
    told = body.replace(other.encode(), b"nowhere").replace(b"brain.h5ad", b"nowhere.h5")
    assert (status, told) == lab.ask("GET", never.replace(other.upper(), "NOWHERE"), link) or other.upper() in path


def test_a_source_that_is_called_like_a_folder_of_ours_is_no_way_to_the_first(lab: Lab) -> None:
    """Cells fall back to the first data set where a path is not one of the data set that it begins with."""
    link, id = lab.link("slide.tif"), lab.id("slide.tif")
    for path in ("dataset_identity.json", "obs/kind.codes.u8", f"{id}/dataset_identity.json", "points_2d.bin"):
        assert lab.ask("GET", f"/{path}", link)[0] == 404


@pytest.mark.parametrize("path", ["api/slice", "api/render"])
def test_what_is_posted_names_its_own_source_only(lab: Lab, path: str) -> None:
    body = {"start": [0, 0], "stop": [8, 8], "slice_spec": {"start": [0, 0], "stop": [8, 8]}}
    for name, wanted in (("slide.tif", 200), ("secret.tif", 404)):
        sent = json.dumps({**body, "array_id": lab.id(name), "source_id": lab.id(name)}).encode()
        assert lab.ask("POST", f"/{path}", TOKEN, sent)[0] == 200, lab.ask("POST", f"/{path}", TOKEN, sent)
        assert lab.ask("POST", f"/{path}", lab.link("slide.tif"), sent)[0] == wanted


def test_neither_sql_nor_what_a_server_is_told_is_there(lab: Lab) -> None:
    link = lab.link("slide.tif")
    for method, path in (
        ("POST", "api/sources/query"), ("GET", "api/config"), ("PUT", "api/config"), ("GET", "api/admin/status"),
        ("GET", "api/admin/browse"), ("GET", "api/diagnostics"), ("POST", "api/shares"), ("POST", "api/admin/token"),
        ("GET", "metrics"), ("GET", "systems"), ("GET", "api/openapi.json"), ("PUT", "hsds/"), ("DELETE", "hsds/"),
    ):  # fmt: skip
        assert lab.ask(method, f"/{path}", link, b'{"sql": "SELECT * FROM sources"}')[0] in (404, 405), path


def rendered(lab: Lab, name: str, **headers: str) -> dict[str, Any]:
    params = {"source_id": lab.id(name), "slice_spec": {"start": [0, 0], "stop": [8, 8]}}
    with lab.client.websocket_connect("/ws/render", headers={"host": "127.0.0.1:8765", **headers}) as socket:
        socket.send_json({"action": "render", "params": params})
        told: dict[str, Any] = socket.receive_json()
    return told


def test_a_websocket_draws_the_same_source_only(lab: Lab) -> None:
    for secret, name, action in (
        (TOKEN, "secret.tif", "render_start"), (READ, "secret.tif", "render_start"),
        (lab.link("slide.tif"), "slide.tif", "render_start"), (lab.link("slide.tif"), "secret.tif", "error"),
    ):  # fmt: skip
        told = rendered(lab, name, authorization=f"Bearer {secret}")
        assert told["action"] == action, told


def test_a_websocket_ends_with_the_link_that_opened_it(lab: Lab) -> None:
    shown = {"host": "127.0.0.1:8765", "x-biopb-token": lab.link("slide.tif", 5)}
    with lab.client.websocket_connect("/ws/render", headers=shown) as socket:
        socket.send_json({"action": "nothing"})
        assert socket.receive_json()["action"] == "error"
        lab.clock.now += 6
        socket.send_json({"action": "nothing"})
        with pytest.raises(WebSocketDisconnect) as closed:
            socket.receive_json()
        assert closed.value.code == 4001


def test_another_file_that_gets_the_id_stays_closed(lab: Lab) -> None:
    id = lab.id("slide.tif")
    stale = lab.keys.share(id, "/elsewhere/slide.tif", 60)[0]
    assert lab.ask("GET", f"/api/sources/{id}", stale)[0] == 404
    assert json.loads(lab.ask("GET", "/api/catalog", stale)[1])["sources"] == 0
    assert lab.ask("GET", "/hsds/domains?domain=/", stale)[0] == 404
    gone = lab.keys.share("gone", "/elsewhere/gone.npy", 60)[0]
    assert json.loads(lab.ask("GET", "/api/sources", gone)[1]) == []

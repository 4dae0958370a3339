"""What a token for reading and a link to one source open over HTTP and WebSockets, and what they do not."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np
import pytest
import tifffile
from starlette.testclient import TestClient, WebSocketDenialResponse
from starlette.types import Message
from starlette.websockets import WebSocketDisconnect

import coverslip.fronts
from coverslip.app import catalog_of, create_app
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.options import CatalogOptions
from coverslip.engine.rights import FULL, Right
from coverslip.fronts.openapi.document import document
from coverslip.fronts.scopes import CODE, ROWS, SOCKET, refused
from coverslip.settings import Settings
from make import adata

PATIENCE_S = 60
TOKEN, READ, OTHER = "open-sesame-open-sesame", "only-reading-only-reading", "another-sesame-another"
HERE = "http://127.0.0.1:8765"
FRONTS = Path(coverslip.fronts.__file__).parent
METHODS = {"PUT", "POST", "DELETE", "PATCH"}
NO_ROUTES = {"guard.py", "scopes.py"}
"""The gate itself: it names methods, and answers nothing that is not `api/session`."""
FILL = {"kind": "composition", "job": "0" * 32, "number": "1", "event": "ready"}
DESCRIBED = [
    (method.upper(), re.sub(r"\{(\w+)\}", lambda m: FILL.get(m[1], "x"), path).lstrip("/"), one["tags"])
    for path, methods in document("1", notebook=True)["paths"].items()
    for method, one in methods.items()
]


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Lab:
    """A server of some sources."""

    client: TestClient
    catalog: Catalog
    keys: Keys
    clock: Clock
    folder: Path

    def id(self, name: str) -> str:
        """Of a source, by the name of its file."""
        (found,) = [row.id for row in self.catalog.entries()[0] if row.path == name]
        return found

    def array(self, name: str) -> str:
        """The id of the first array of a source."""
        id = self.id(name)
        tensors = self.catalog.get(id).tensors or []
        return f"{id}/{tensors[0]['path']}" if tensors[0]["path"] else id

    def link(self, name: str, for_s: float = 60) -> str:
        """The secret of a link to a source."""
        id = self.id(name)
        return self.keys.share(id, self.catalog.where(id)[0], for_s)[0]

    def ask(self, method: str, target: str, token: str = "", body: bytes = b"", **headers: str) -> tuple[int, bytes]:
        """Status and body of the answer to a request whose path is sent exactly so."""
        path, _, query = target.partition("?")
        named = {"host": "127.0.0.1:8765", "content-type": "application/json"}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            named["authorization"] = f"Bearer {token}"
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": unquote_to_bytes(path).decode("utf-8", "replace"), "raw_path": path.encode(), "root_path": "",
            "query_string": query.encode(), "client": ("192.0.2.7", 1), "server": ("127.0.0.1", 8765),
            "headers": [(name.encode(), value.encode()) for name, value in named.items()],
        }  # fmt: skip
        told: list[Message] = []
        sent: list[bool] = []

        async def receive() -> Message:
            if sent:
                await asyncio.Event().wait()  # it stays until it is answered
            sent.append(True)
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            told.append(message)

        assert self.client.portal is not None
        self.client.portal.call(self.client.app, scope, receive, send)
        return told[0]["status"], b"".join(message.get("body", b"") for message in told[1:])


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab") / "data"
    (folder / "deep").mkdir(parents=True)
    for name in ("lung", "brain", "deep/obs"):
        adata().write_h5ad(folder / f"{name}.h5ad")
    tifffile.imwrite(folder / "slide.tif", np.arange(64 * 64, dtype=np.uint16).reshape(64, 64))
    tifffile.imwrite(folder / "secret.tif", np.full((64, 64), 7, np.uint16))
    for path in (folder, *folder.rglob("*")):  # what was written a moment ago counts as being written
        os.utime(path, (1.6e9, 1.6e9))
    clock = Clock()
    keys = Keys(TOKEN, READ, b"k" * 32, clock)
    catalog = catalog_of(folder, catalog=CatalogOptions(persist=False, settle_s=1.0))
    app = create_app(catalog, Settings(token=TOKEN, read_token=READ), 8765, keys=keys)
    with TestClient(app, base_url=HERE) as client:
        assert catalog.wait_idle(PATIENCE_S)
        yield Lab(client, catalog, keys, clock, folder)


# --- a token for reading ----------------------------------------------------------------------------------------------


def test_whatever_is_not_reading_stands_in_the_table() -> None:
    """A new route that changes something is refused to a token for reading until a row of the table says otherwise."""
    for method, path, tags in DESCRIBED:
        rows = [row for row in ROWS if row.has(method, path)]
        if method not in ("GET", "HEAD") and path != "api/session":  # that is the gate's own
            assert rows, f"{method} {path} is in no row of coverslip.fronts.scopes"
        if {"Administration", "Sharing"} & set(tags):
            assert rows, f"{method} {path} is in no row of coverslip.fronts.scopes"
            assert all(row.changes for row in rows), path


def test_every_front_that_takes_other_methods_stands_in_the_table() -> None:
    listed = {row.front for row in ROWS if row.method != SOCKET}
    taking = set()
    for file in FRONTS.rglob("*.py"):
        name = file.relative_to(FRONTS).as_posix()
        if name.startswith("openapi/") or name.endswith("described.py") or name in NO_ROUTES:
            continue
        named = {node.value for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Constant)}
        if METHODS & {value for value in named if isinstance(value, str)}:
            taking.add(name)
    assert taking == listed


def test_what_stands_nowhere_is_refused() -> None:
    for method in ("PUT", "PATCH", "DELETE", "POST", "MKCOL"):
        for right, status in ((Right("read"), 403), (Right("share", "a"), 404)):
            answer = refused(right, method, "api/new/thing")
            assert answer is not None
            assert answer.status_code == status
        assert refused(FULL, method, "api/new/thing") is None


def test_a_token_for_reading_reads_everything_and_changes_nothing(lab: Lab) -> None:
    for method, path, _ in DESCRIBED:
        if path == "api/session":
            continue
        status, body = lab.ask(method, f"/{path}", READ, b"{}")
        code = json.loads(body)["error"]["code"] if status == 403 else ""
        if path.startswith("api/dialogue") and method == "PUT":  # a notebook's server only takes that at all
            assert status == 405
            continue
        closed = any(row.has(method, path) and row.changes for row in ROWS)
        assert (code == CODE) == closed, (method, path, status, body[:200])
        assert closed or status != 403, (method, path)


def test_the_refusal_says_what_to_do(lab: Lab) -> None:
    status, body = lab.ask("PUT", "/api/config", READ, b"{}")
    told = json.loads(body)
    assert (status, told["error"]["code"]) == (403, CODE)
    assert told["detail"] == "The configuration is read and written here: this token is for reading"
    assert "coverslip server token" in told["error"]["hint"]
    assert lab.ask("GET", "/api/config", TOKEN)[0] == 200


def test_it_reads(lab: Lab) -> None:
    assert len(json.loads(lab.ask("GET", "/api/sources", READ)[1])) == 5
    assert lab.ask("POST", "/api/sources/query", READ, b'{"sql": "SELECT 1 AS one"}')[0] == 200
    assert lab.ask("GET", f"/api/tile/{lab.id('slide.tif')}", READ)[0] == 200
    assert lab.ask("GET", "/metrics", READ)[0] == 200, "what Prometheus is given"


def test_nobody_ends_what_another_asked(lab: Lab) -> None:
    place, question = f"/{lab.id('lung.h5ad')}/analysis", b'{"groups": {"field": 0}, "field": 0}'
    lab.ask("POST", f"{place}/composition", READ, question)
    (job,) = lab_jobs(lab)
    link, other = lab.link("lung.h5ad"), lab.link("brain.h5ad")
    for secret in (link, other):
        status, body = lab.ask("GET", f"{place}/jobs/{job}", secret)
        assert status == 404, "who has a link sees his own questions only"
    assert lab.ask("GET", f"{place}/jobs/{job}", READ)[0] == 200
    assert lab.ask("DELETE", f"{place}/jobs/{job}", READ)[0] == 200, "his own"
    lab.ask("POST", f"{place}/composition", link, question)
    status, body = lab.ask("DELETE", f"{place}/jobs/{job}", READ)
    assert (status, json.loads(body)["error"]["code"]) == (403, "not_yours")
    assert lab.ask("GET", f"{place}/jobs/{job}", link)[0] == 200
    assert lab.ask("GET", f"/{lab.id('brain.h5ad')}/analysis/jobs/{job}", other)[0] == 404
    assert lab.ask("DELETE", f"{place}/jobs/{job}", link)[0] == 403
    assert lab.ask("DELETE", f"{place}/jobs/{job}", TOKEN)[0] == 200


def lab_jobs(lab: Lab) -> list[str]:
    app: Any = lab.client.app
    return list(app.state.analyses.tasks._tasks)


# --- a link -----------------------------------------------------------------------------------------------------------

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


# --- what is shown ----------------------------------------------------------------------------------------------------


@pytest.fixture
def enter(lab: Lab) -> Any:
    def exchange(secret: str, cookie: str = "") -> tuple[dict[str, Any], str]:
        headers = {"cookie": cookie} if cookie else {}
        answer = lab.client.post("/api/session", json={"token": secret}, headers=headers)
        lab.client.cookies.clear()
        return answer.json(), answer.headers.get("set-cookie", "").partition(";")[0]

    return exchange


def test_each_is_exchanged_for_a_cookie_of_its_own(lab: Lab, enter: Any) -> None:
    link = lab.link("slide.tif")
    seen = set()
    for secret, told, count in ((TOKEN, "admin", 5), (READ, "read", 5), (link, "share", 1)):
        answer, cookie = enter(secret)
        assert (answer["authenticated"], answer["scope"]) == (True, told)
        assert len(json.loads(lab.ask("GET", "/api/sources", cookie=cookie)[1])) == count
        assert secret not in cookie
        seen.add(cookie)
        assert lab.ask("GET", "/api/sources", cookie.partition("=")[2])[0] == 401, "a cookie is no token"
    assert len(seen) == 3
    assert enter(link)[0]["source"] == lab.id("slide.tif")


def test_who_may_do_more_and_follows_a_link_goes_on_to(lab: Lab, enter: Any) -> None:
    _, cookie = enter(TOKEN)
    told, given = enter(lab.link("slide.tif"), cookie)
    assert (told["scope"], given) == ("admin", "")
    _, reading = enter(READ)
    assert enter(TOKEN, reading)[0]["scope"] == "admin"
    _, shared = enter(lab.link("slide.tif"))
    told, given = enter(lab.link("lung.h5ad"), shared)
    assert told["source"] == lab.id("lung.h5ad"), "of two links the last one"
    assert given


def test_a_link_beside_a_wrong_token_opens_nothing(lab: Lab, enter: Any) -> None:
    _, cookie = enter(lab.link("slide.tif"))
    assert lab.ask("GET", "/api/sources", cookie=cookie)[0] == 200
    status, body = lab.ask("GET", "/api/sources", "wrong-wrong-wrong-wrong", cookie=cookie)
    assert (status, json.loads(body)["error"]["code"]) == (401, "token_needed")
    status, body = lab.ask("GET", "/api/sources", TOKEN, cookie=cookie)
    assert len(json.loads(body)) == 5, "and beside the right one what that opens"
    status, body = lab.ask("GET", "/api/sources", lab.link("slide.tif"), x_biopb_token=READ)
    assert len(json.loads(body)) == 5


def test_who_has_a_link_guesses_no_tokens(lab: Lab) -> None:
    app = create_app(lab.catalog, Settings(token=TOKEN), 8765, keys=lab.keys)
    link = lab.link("slide.tif")
    client = TestClient(app, base_url=HERE, client=("203.0.113.9", 1))
    seen = [
        client.get("/healthz/x", headers={"authorization": f"Bearer {link}", "x-biopb-token": f"guess-{n:020}"})
        for n in range(11)
    ]
    assert [answer.status_code for answer in seen] == [404] * 10 + [429]


def test_a_link_that_has_ended_says_so_and_is_no_guess(lab: Lab, enter: Any) -> None:
    link = lab.link("slide.tif", 5)
    _, cookie = enter(link)
    lab.clock.now += 6
    for _ in range(15):
        told, given = enter(link)
        assert (told["error"]["code"], given) == ("share_ended", "")
    status, body = lab.ask("GET", "/api/sources", link)
    assert (status, json.loads(body)["error"]["code"]) == (401, "share_ended")
    assert lab.ask("GET", "/api/sources", cookie=cookie)[0] == 401
    assert lab.ask("GET", "/api/sources", TOKEN)[0] == 200


@pytest.mark.parametrize("keys", [Keys(TOKEN, READ, b"x" * 32), Keys(OTHER, READ, b"k" * 32)])
def test_a_link_of_another_server_opens_nothing(lab: Lab, keys: Keys) -> None:
    id = lab.id("slide.tif")
    forged = keys.share(id, lab.catalog.where(id)[0], 60)[0]
    assert lab.ask("GET", "/api/sources", forged)[0] == 401


# --- making one, and other tokens -------------------------------------------------------------------------------------


def test_a_link_is_made(lab: Lab) -> None:
    for wanted in (lab.id("lung.h5ad"), "lung", "lung.h5ad"):
        status, body = lab.ask("POST", "/api/shares", TOKEN, json.dumps({"source": wanted, "expires_s": 60}).encode())
        told = json.loads(body)
        assert status == 200, told
        assert told["source"] == lab.id("lung.h5ad")
        assert told["fragment"] == f"#share={told['token']}"
        assert told["expires_s"] == lab.clock.now + 60
        assert lab.ask("GET", f"/{told['source']}/dataset_identity.json", told["token"])[0] == 200


@pytest.mark.parametrize(
    ("content", "status"),
    [
        ({}, 400), ({"source": ""}, 400), ({"source": 5}, 400), ({"source": "nothing"}, 404), ({"source": "../x"}, 404),
        ({"source": "lung", "expires_s": 0}, 400), ({"source": "lung", "expires_s": "7d"}, 400),
        ({"source": "lung", "expires_s": True}, 400), ({"source": "lung", "expires_s": 1e300}, 400),
        ({"source": "lung", "expires_s": None}, 400),
    ],
)  # fmt: skip
def test_what_no_link_is_made_of(lab: Lab, content: dict[str, Any], status: int) -> None:
    assert lab.ask("POST", "/api/shares", TOKEN, json.dumps(content).encode())[0] == status


def test_pages_of_others_make_none(lab: Lab) -> None:
    sent = json.dumps({"source": "lung"}).encode()
    assert lab.ask("POST", "/api/shares", TOKEN, sent, origin="https://evil.example")[0] == 403
    assert lab.ask("POST", "/api/shares", TOKEN, sent, content_type="text/plain")[0] == 415
    assert lab.ask("POST", "/api/shares", "", sent)[0] == 401


def test_another_token_from_now_on(lab: Lab, enter: Any) -> None:
    keys = Keys(TOKEN, READ, b"k" * 32, lab.clock)
    app = create_app(lab.catalog, Settings(token=TOKEN, read_token=READ), 8765, keys=keys)
    client = TestClient(app, base_url=HERE)

    def status(**headers: str) -> int:
        return client.get("/_nothing", headers=headers).status_code  # 404 behind the gate

    link = keys.share("slide", "/x", 60)[0]
    cookie = f"coverslip_token_8765={keys.session}"
    old = [{"authorization": f"Bearer {one}"} for one in (TOKEN, READ, link)] + [{"cookie": cookie}]
    assert [status(**one) for one in old] == [404] * 4
    for content in ({"token": "short"}, {"token": TOKEN}, {"grace_s": -1}, {"token": 5}, {"read_token": "short"}):
        answer = client.post("/api/admin/token", json=content, headers=old[0])
        assert answer.status_code == 400, content
        assert TOKEN not in answer.text
    answer = client.post("/api/admin/token", json={}, headers=old[0])
    told = answer.json()
    assert answer.status_code == 200, told
    assert answer.headers["cache-control"] == "no-store"
    assert [status(**one) for one in old] == [401] * 4
    assert status(authorization=f"Bearer {told['token']}") == 404
    read = {"authorization": f"Bearer {told['read_token']}"}
    assert client.post("/api/admin/token", json={}, headers=read).json()["error"]["code"] == CODE


def test_where_no_token_is_asked_for_there_is_none_to_change() -> None:
    app = create_app(catalog_of([]), Settings(), 8765)
    with TestClient(app, base_url=HERE) as client:
        answer = client.post("/api/admin/token", json={})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_token")


def test_a_websocket_that_changes_something_would_be_refused(lab: Lab) -> None:
    with (
        pytest.raises(WebSocketDenialResponse) as closed,
        lab.client.websocket_connect("/ws/new", headers={"host": "127.0.0.1:8765", "authorization": f"Bearer {READ}"}),
    ):
        pass
    assert closed.value.status_code == 403

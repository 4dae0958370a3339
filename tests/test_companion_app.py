"""`coverslip ui server`: both ports behind a prefix, a token for reading, links to one system, other tokens."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from coverslip.companion import Launch, settled
from coverslip.companion_app import create_pair
from coverslip.core.errors import BadUsage
from coverslip.engine.keys import Keys
from coverslip.engine.links import Links
from coverslip.fronts.scopes import CODE
from coverslip.hsds import serving
from coverslip.hsds.relay import Relay
from coverslip.systems import predefined

PORTS = (5101, 5102)
TOKEN, READ = "open-sesame-open-sesame", "only-reading-only-reading"
OTHER = "another-sesame-another"
Serve = Callable[..., "Served"]


@dataclass
class Served:
    """Both ports of one server."""

    hdf5: TestClient
    files: TestClient

    def ask(self, path: str, token: str = "", method: str = "GET", **more: Any) -> Any:
        """The answer of the port that a path belongs to."""
        own = path.lstrip("/").startswith(("systems", "files", "lab/systems", "lab/files"))
        headers = {**({"authorization": f"Bearer {token}"} if token else {}), **more.pop("headers", {})}
        client = self.files if own else self.hdf5
        answer = client.request(method, path, headers=headers, **more)
        client.cookies.clear()
        return answer

    def domain(self, name: str, token: str) -> int:
        """The status that a domain answers with."""
        status: int = self.ask(f"/?domain={name}", token).status_code
        return status


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("EI1", "EI2"):
        shutil.copytree(predefined("EI1"), tmp_path / "graphs" / name)
    return tmp_path / "graphs"


@pytest.fixture
def serve(root: Path) -> Iterator[Serve]:
    running: list[TestClient] = []

    def begin(app: Starlette | None = None, keys: Keys | None = None, **how: Any) -> Served:
        pair = app or create_pair(Launch(root, **{"token": TOKEN, "read_token": READ, **how}), PORTS, keys)
        made = [TestClient(pair, base_url=f"http://localhost:{port}") for port in PORTS]
        made[0].__enter__()  # the application starts once, for both
        running.append(made[0])
        return Served(*made)

    yield begin
    for one in running:
        one.__exit__(None, None, None)


def share(served: Served, source: str = "EI1", **content: Any) -> dict[str, Any]:
    answer = served.ask("/api/shares", TOKEN, "POST", json={"source": source, **content})
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


class TestPrefix:
    def test_it_may_be_on_or_off(self, serve: Serve) -> None:
        served = serve(root_path="/lab")
        for prefix in ("", "/lab"):
            assert served.ask(f"{prefix}/systems", TOKEN).json() == ["EI1", "EI2"]
            assert served.ask(f"{prefix}/files/EI1/graph.json", TOKEN).status_code == 200
            found = served.ask(f"{prefix}/?domain=/EI1/cells.h5", TOKEN)
            assert found.status_code == 200
            assert all(one["href"].startswith("http://localhost:5101/lab/") for one in found.json()["hrefs"])
            group = found.json()["root"]
            assert served.ask(f"{prefix}/groups/{group}?domain=/EI1/cells.h5", TOKEN).json()["id"] == group

    def test_a_proxy_that_is_named_tells_it(self, serve: Serve) -> None:
        served = serve(trusted_proxies=("127.0.0.1",))
        for client in ("127.0.0.1", "192.0.2.7"):
            served.hdf5 = TestClient(served.hdf5.app, base_url="http://localhost:5101", client=(client, 1))
            passed = {"prefix": "/user/ann", "proto": "https", "host": "lab.example"}
            headers = {f"x-forwarded-{name}": value for name, value in passed.items()}
            told = served.ask("/?domain=/EI1/cells.h5", TOKEN, headers=headers).json()["hrefs"][0]["href"]
            believed = "https://lab.example/user/ann/" if client == "127.0.0.1" else "http://localhost:5101/"
            assert told.startswith(believed)

    def test_a_cookie_is_of_the_prefix(self, serve: Serve) -> None:
        served = serve(root_path="/lab")
        answer = served.ask("/lab/api/session", method="POST", json={"token": TOKEN})
        assert "Path=/lab/" in answer.headers["set-cookie"]
        cookie = answer.headers["set-cookie"].partition(";")[0]
        assert cookie.startswith("coverslip_token_5101=")
        assert served.ask("/lab/?domain=/", headers={"cookie": cookie}).status_code == 200

    @pytest.mark.parametrize(
        "how",
        [{"root_path": "lab"}, {"root_path": "/a/../b"}, {"trusted_proxies": ("nobody",)}, {"token": "short"},
         {"token": TOKEN, "read_token": TOKEN}, {"read_token": "short"}],
    )  # fmt: skip
    def test_what_cannot_be_used_is_said_before_anything_starts(self, root: Path, how: dict[str, Any]) -> None:
        with pytest.raises(BadUsage) as told:
            settled(Launch(root, **how), 1)
        assert TOKEN not in str(told.value)

    def test_tokens_are_made_where_they_are_needed(self, root: Path) -> None:
        assert settled(Launch(root), 7) == Launch(root, port=7)
        for how in ({"host": "0.0.0.0"}, {"trusted_proxies": ("10.0.0.1",)}, {"read_token": "auto"}):
            now = settled(Launch(root, **how), 7)  # type: ignore[arg-type]
            assert now.token is not None
            assert len(now.token) == 43
            assert (now.read_token is not None) == ("read_token" in how)


class TestReading:
    def test_a_token_for_reading_reads_everything(self, serve: Serve) -> None:
        served = serve()
        assert served.ask("/systems", READ).json() == ["EI1", "EI2"]
        assert served.ask("/files/EI2/graph.json", READ).status_code == 200
        group = served.ask("/?domain=/EI1/cells.h5", READ).json()["root"]
        wanted = {"grp_ids": [group], "attr_names": []}
        posted = served.ask("/groups/g/attributes?domain=/EI1/cells.h5", READ, "POST", json=wanted)
        assert posted.status_code != 403, "a selection that is posted only reads"

    def test_and_changes_nothing(self, serve: Serve) -> None:
        served = serve()
        for method, path in (
            ("POST", "/api/shares"), ("GET", "/api/shares"), ("DELETE", "/api/shares/0123456789abcdef"),
            ("POST", "/api/admin/token"), ("PUT", "/?domain=/new.h5"), ("DELETE", "/?domain=/EI1/cells.h5"),
        ):  # fmt: skip
            answer = served.ask(path, READ, method, **({"json": {}} if method == "POST" else {}))
            assert (answer.status_code, answer.json()["error"]["code"]) == (403, CODE), (method, path)
        assert served.ask("/systems").status_code == served.ask("/?domain=/").status_code == 401


class TestLinks:
    def test_one_opens_its_system_on_both_ports(self, serve: Serve) -> None:
        served = serve()
        made = share(served, label="Ada")
        assert "fragment" not in made, "there is no page that would take it"
        link = made["token"]
        assert served.ask("/systems", link).json() == ["EI1"]
        assert served.ask("/files/EI1/graph.json", link).status_code == 200
        assert served.domain("/EI1/cells.h5", link) == 200
        whole = served.ask("/domains?domain=/", link).json()["domains"]
        assert [one["name"] for one in whole] == ["/EI1"]

    @pytest.mark.parametrize(
        "path",
        ["/files/{}/graph.json", "/files/{}/nothing.json", "/?domain=/{}/cells.h5", "/?domain=/{}",
         "/domains?domain=/{}/", "/?domain=/EI1/../{}/cells.h5", "/files/EI1/../{}/graph.json",
         "/files/EI1%2f..%2f{}/graph.json"],
    )  # fmt: skip
    def test_of_another_it_is_told_what_is_told_of_none(self, serve: Serve, path: str) -> None:
        served = serve()
        link = share(served)["token"]
        there, nowhere = (served.ask(path.format(name), link) for name in ("EI2", "EI9"))
        assert there.status_code == nowhere.status_code
        assert there.status_code in (400, 404)
        assert there.text == nowhere.text.replace("EI9", "EI2")

    def test_objects_of_another_are_not_reached_by_their_ids(self, serve: Serve) -> None:
        served = serve()
        link = share(served)["token"]
        other = served.ask("/?domain=/EI2/cells.h5", TOKEN).json()["root"]
        assert served.ask(f"/groups/{other}?domain=/EI2/cells.h5", link).status_code == 404
        nobody = other[:-1] + ("0" if other[-1] != "0" else "1")
        told = [served.ask(f"/groups/{id}?domain=/EI1/cells.h5", link) for id in (other, nobody)]
        assert [one.status_code for one in told] == [410, 410]
        assert told[0].text == told[1].text.replace(nobody, other)

    def test_it_lists_and_changes_nothing(self, serve: Serve) -> None:
        served = serve()
        made = share(served)
        one = f"/api/shares/{made['id']}"
        for method, path in (("GET", "/api/shares"), ("POST", "/api/admin/token"), ("DELETE", one)):
            more = {"json": {}} if method == "POST" else {}
            assert served.ask(path, made["token"], method, **more).status_code == 404
        assert served.domain("/EI1/cells.h5", made["token"]) == 200

    def test_it_is_taken_back_on_either_port(self, serve: Serve) -> None:
        served = serve()
        first, second = share(served), share(served)
        listed = served.files.get("/api/shares", headers={"authorization": f"Bearer {TOKEN}"}).json()["shares"]
        assert {first["id"], second["id"]} <= {one["id"] for one in listed}
        back = served.files.delete(f"/api/shares/{first['id']}", headers={"authorization": f"Bearer {TOKEN}"})
        assert back.json()["name"] == "EI1"
        for path in ("/systems", "/?domain=/EI1/cells.h5"):
            assert served.ask(path, first["token"]).json()["error"]["code"] == "share_ended"
            assert served.ask(path, second["token"]).status_code == 200

    def test_it_opens_no_other_folder_that_is_called_so_later(self, serve: Serve, root: Path) -> None:
        served = serve()
        link = share(served)["token"]
        (root / "EI1").rename(root / "EI3")
        assert served.ask("/systems", link).json() == []
        (root / "EI1").symlink_to(root / "EI2")
        assert served.ask("/systems", link).json() == []
        assert served.domain("/EI1/cells.h5", link) == 404
        assert served.ask("/files/EI1/graph.json", link).status_code == 404

    def test_a_name_that_is_none(self, serve: Serve) -> None:
        served = serve()
        for name, status in (("EI9", 404), ("..", 404), ("", 400), ("EI1/params", 404)):
            assert served.ask("/api/shares", TOKEN, "POST", json={"source": name}).status_code == status

    def test_without_a_token_there_are_none(self, serve: Serve) -> None:
        served = serve(token=None, read_token=None)
        assert served.ask("/systems").json() == ["EI1", "EI2"]
        answer = served.ask("/api/shares", method="POST", json={"source": "EI1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "no_token")

    def test_one_outlives_the_server(self, serve: Serve, tmp_path: Path) -> None:
        def keys() -> Keys:
            return Keys(TOKEN, READ, b"k" * 32, links=Links(tmp_path / "links"))

        kept, back = (share(serve(keys=keys())) for _ in range(2))
        before, after = serve(keys=keys()), serve(keys=keys())
        assert before.ask(f"/api/shares/{back['id']}", TOKEN, "DELETE").status_code == 200
        assert after.domain("/EI1/cells.h5", kept["token"]) == 200
        assert after.domain("/EI1/cells.h5", back["token"]) == 401


def test_another_token_counts_on_both_ports(serve: Serve) -> None:
    served = serve()
    link = share(served)["token"]
    told = served.ask("/api/admin/token", TOKEN, "POST", json={"token": OTHER}).json()
    for path in ("/systems", "/?domain=/"):
        assert [served.ask(path, one).status_code for one in (TOKEN, READ, link)] == [401] * 3
        assert [served.ask(path, one).status_code for one in (OTHER, told["read_token"])] == [200] * 2


class TestRealHsds:
    """With a relay to a service node that is not there: whatever gets so far is answered 503."""

    @pytest.fixture
    def served(self, serve: Serve, root: Path, tmp_path: Path) -> Served:
        launch = Launch(root, token=TOKEN, read_token=READ, root_path="/lab")
        self.keys = Keys(TOKEN, READ, b"k" * 32)
        self.relay = Relay(tmp_path / "nobody.sock", ("admin", "inner"), lambda: self.keys.tokens)
        return serve(serving._application(launch, PORTS, self.relay, self.keys))

    def test_a_token_for_reading_only_reads(self, served: Served) -> None:
        assert served.ask("/lab/?domain=/EI1", READ).json()["error"]["code"] == "hsds_away"
        for method in ("PUT", "DELETE"):
            assert served.ask("/lab/?domain=/EI1", READ, method).status_code == 403
            assert served.ask("/lab/?domain=/EI1", TOKEN, method).status_code == 503
        assert served.ask("/lab/systems", READ).json() == ["EI1", "EI2"]

    def test_what_hsds_is_asked_has_no_prefix_and_no_token(self, served: Served) -> None:
        def head(path: str, token: str) -> bytes:
            scope = {
                "type": "http", "method": "GET", "path": f"/lab{path}", "raw_path": f"/lab{path}".encode(),
                "root_path": "/lab", "query_string": b"domain=/EI1",
                "headers": [(b"authorization", f"Bearer {token}".encode())],
            }  # fmt: skip
            return self.relay.head_of(scope, None, False)

        assert head("/groups/g-1", READ).startswith(b"GET /groups/g-1?domain=/EI1 HTTP/1.1\r\n")
        assert [b"authorization: Basic" in head("/", one) for one in (TOKEN, READ, "x")] == [True, False, False]
        assert not any(one.encode() in head("/", one) for one in (TOKEN, READ))

    def test_links_are_not_made_and_it_says_why(self, served: Served) -> None:
        answer = served.ask("/api/shares", TOKEN, "POST", json={"source": "EI1"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no_links")
        assert served.ask("/api/shares", TOKEN).json() == {"shares": []}

    def test_another_token_writes(self, served: Served) -> None:
        assert served.ask("/api/admin/token", TOKEN, "POST", json={"token": OTHER}).status_code == 200
        assert served.ask("/lab/?domain=/EI1", OTHER, "PUT").status_code == 503
        assert served.ask("/lab/?domain=/EI1", TOKEN, "PUT").status_code == 401
        assert self.keys.tokens == (OTHER,)
        assert json.loads(served.ask("/lab/systems", OTHER).text) == ["EI1", "EI2"]

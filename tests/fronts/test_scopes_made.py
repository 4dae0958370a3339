"""Links that are made, exchanged for cookies, shown beside tokens, and end."""

from __future__ import annotations

import json
from typing import Any

import pytest
import scopes_lab
from scopes_lab import HERE, OTHER, READ, TOKEN, Lab
from starlette.testclient import TestClient

from coverslip.app import create_app
from coverslip.engine.keys import Keys
from coverslip.settings import Settings

lab = scopes_lab.lab
enter = scopes_lab.enter


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
        ({"source": "lung", "expires": "1h"}, 400), ({"source": "lung", "expires_s": 60, "for": "Ada"}, 400),
        ({"source": "lung", "expires_s": None}, 400), ({"source": "lung", "expires_s": -(10**400)}, 400),
    ],
)  # fmt: skip
def test_what_no_link_is_made_of(lab: Lab, content: dict[str, Any], status: int) -> None:
    assert lab.ask("POST", "/api/shares", TOKEN, json.dumps(content).encode())[0] == status


def test_what_is_misspelt_changes_no_token(lab: Lab) -> None:
    for content in ({"grace": 5}, {"tokn": OTHER}):
        status, body = lab.ask("POST", "/api/admin/token", TOKEN, json.dumps(content).encode())
        assert (status, json.loads(body)["error"]["code"]) == (400, "bad_request")
    assert lab.ask("GET", "/api/shares", TOKEN)[0] == 200


def test_pages_of_others_make_none(lab: Lab) -> None:
    sent = json.dumps({"source": "lung"}).encode()
    assert lab.ask("POST", "/api/shares", TOKEN, sent, origin="https://evil.example")[0] == 403
    assert lab.ask("POST", "/api/shares", TOKEN, sent, content_type="text/plain")[0] == 415
    assert lab.ask("POST", "/api/shares", "", sent)[0] == 401

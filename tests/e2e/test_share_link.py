"""A link to one source as people meet it: made in the viewer, opened in another browser."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
from pathlib import Path

import numpy as np
from conftest import Open, Start, fetch, href
from playwright.sync_api import expect

from refused import refused_with

TOKEN = "sesame-sesame-sesame"
COUNT = "async () => (await (await fetch('api/sources')).json()).length"


def test_a_guest_sees_one_source(start: Start, pbmc: Path, look: Open, tmp_path: Path) -> None:
    np.save(tmp_path / "others.npy", np.zeros((9, 2)))
    running = start(pbmc, tmp_path / "others.npy", "--token", TOKEN)
    place = urllib.parse.urldefrag(running.url).url

    host = look(f"{place}?dataset={pbmc.stem}&color=gene:CST3#token={TOKEN}")
    host.ready("gene:CST3")
    assert host.page.evaluate(COUNT) == 2
    host.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    host.page.get_by_test_id("share").click()
    host.page.get_by_test_id("guest-label").fill("Ada")
    host.page.get_by_test_id("guest-link").click()
    expect(host.page.get_by_test_id("guest-said")).to_contain_text("this source, and no other, until")
    link = host.page.evaluate("navigator.clipboard.readText()")
    assert link.startswith(place)
    assert "#share=s2." in link

    guest = look(link)
    guest.ready("gene:CST3")
    assert "#" not in href(guest.page)
    assert guest.page.evaluate(COUNT) == 1
    secret = link.partition("#share=")[2]
    assert not any(secret in url for url in guest.requests[1:])
    [cookie] = guest.page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert secret not in json.dumps(cookie)
    guest.page.reload()
    guest.ready("gene:CST3")
    guest.page.get_by_test_id("share").click()
    expect(guest.page.get_by_test_id("share")).not_to_have_text("Share")
    expect(guest.page.get_by_test_id("guest-link")).to_have_count(0)
    assert guest.problems == []

    with refused_with(404):
        fetch(f"{place}api/sources/others", Authorization=f"Bearer {secret}")

    noted = host.page.get_by_test_id("guest-noted")
    expect(noted).to_contain_text("Ada, until")
    host.page.get_by_test_id("guest-back").click()
    expect(noted).to_have_count(0)
    with refused_with(401):
        fetch(f"{place}api/sources", Authorization=f"Bearer {secret}")
    guest.page.reload()
    expect(guest.page.get_by_test_id("unlock")).to_be_visible()

"""Conditional requests, ranges and compression against an independent model of RFC 9110."""

from __future__ import annotations

import gzip
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coverslip.fronts.http import Body, accepts_gzip, reply, text_body, to_json

DATA = bytes(range(200)) * 10
BODY = Body(DATA, "application/octet-stream", "abc")
SIZE = len(DATA)


def model(header: str) -> tuple[int, bytes]:
    """Status and body as the RFC has them: what cannot be parsed is ignored, what cannot be satisfied is 416."""
    found = re.match(r"^\s*bytes\s*=\s*([0-9]*)\s*-\s*([0-9]*)\s*$", header, re.IGNORECASE)
    if not found or not (found[1] or found[2]):
        return 200, DATA
    if not found[1]:
        last = int(found[2])
        return (206, DATA[-last:]) if last else (416, b"")
    start = int(found[1])
    if found[2] and int(found[2]) < start:
        return 200, DATA
    if start >= SIZE:
        return 416, b""
    return 206, DATA[start : int(found[2]) + 1 if found[2] else SIZE]


numbers = st.one_of(st.just(""), st.integers(0, 2 * SIZE).map(str), st.integers(0, 10**30).map(str))


@given(st.one_of(st.builds("bytes={}-{}".format, numbers, numbers), st.text(max_size=20), st.just("bytes=0-1,5-6")))
def test_any_range(header: str) -> None:
    response = reply("GET", {"range": header}, BODY)
    status, data = model(header)
    assert response.status_code == status
    if status != 416:
        assert bytes(response.body) == data
        assert response.headers["content-length"] == str(len(data))
    else:
        assert response.headers["content-range"] == f"bytes */{SIZE}"
    if status == 206:
        start, stop, total = map(int, re.findall(r"\d+", response.headers["content-range"]))
        assert DATA[start : stop + 1] == data
        assert total == SIZE


def test_head_has_the_headers_of_get() -> None:
    for headers in ({}, {"accept-encoding": "gzip"}):
        for body in (BODY, text_body(b"x" * 5000, "application/json", "t")):
            get, head = reply("GET", headers, body), reply("HEAD", headers, body)
            assert dict(get.headers) == dict(head.headers)
            assert head.body == b""


def test_validators() -> None:
    etag = reply("GET", {}, BODY).headers["etag"]
    assert etag == '"abc"'
    for header in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        response = reply("GET", {"if-none-match": header}, BODY)
        assert (response.status_code, response.body) == (304, b"")
        assert response.headers["etag"] == etag
    assert reply("GET", {"if-none-match": '"other"'}, BODY).status_code == 200


def test_if_range() -> None:
    asked = {"range": "bytes=0-9"}
    assert reply("GET", {**asked, "if-range": '"abc"'}, BODY).status_code == 206
    assert reply("GET", {**asked, "if-range": '"old"'}, BODY).status_code == 200
    assert reply("GET", {**asked, "if-range": 'W/"abc"'}, BODY).status_code == 200
    assert reply("GET", {**asked, "if-range": "Sat, 21 Nov 2026 00:00:00 GMT"}, BODY).status_code == 200


def test_compression_only_when_asked_and_worth_it() -> None:
    body = text_body(to_json({"names": ["gene"] * 1000}), "application/json", "t")
    plain, packed = reply("GET", {}, body), reply("GET", {"accept-encoding": "br, gzip"}, body)
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert gzip.decompress(bytes(packed.body)) == plain.body
    assert plain.headers["etag"] != packed.headers["etag"], "two representations, two strong validators"
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    for etag in (plain.headers["etag"], packed.headers["etag"]):
        assert reply("GET", {"if-none-match": etag}, body).status_code == 304
    ranged = reply("GET", {"accept-encoding": "gzip", "range": "bytes=0-3"}, body)
    assert (ranged.status_code, bytes(ranged.body)) == (206, bytes(plain.body)[:4])
    assert "content-encoding" not in reply("GET", {"accept-encoding": "gzip"}, BODY).headers
    assert text_body(b"short", "text/plain", "t").gzipped is None


@pytest.mark.parametrize(
    ("header", "yes"),
    [("gzip", True), ("br, gzip;q=0.5", True), ("*", True), ("gzip;q=0", False),
        ("br", False), ("", False), ("gzip; q = 0.0", False), ("gzip;q=x", True)],
)  # fmt: skip
def test_accept_encoding(header: str, yes: bool) -> None:
    assert accepts_gzip(header) is yes


def test_json_has_no_nan() -> None:
    assert to_json([float("nan"), float("inf"), 1.5]) == b"[null,null,1.5]"

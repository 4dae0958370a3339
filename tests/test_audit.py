"""The audit of dependencies: what it makes of the answers of pip-audit and of npm, and of none."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import audit
import pytest

NPM = {
    "auditReportVersion": 2,
    "vulnerabilities": {
        "bad": {"range": "<2", "severity": "high", "fixAvailable": True, "via": [{"url": "https://x/advisories/GHSA-1"}]},
        "its-user": {"range": "*", "severity": "high", "fixAvailable": True, "via": ["bad"]},
        "old": {"range": "<9", "severity": "low", "fixAvailable": False, "via": [{"url": "https://x/advisories/GHSA-2"}]},
    },
    "metadata": {"dependencies": {"total": 17}},
}  # fmt: skip


@pytest.fixture(autouse=True)
def own_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "KEPT", tmp_path / "audit.json")


@pytest.fixture
def osv(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """A service that knows of one vulnerability; what it was asked about."""
    asked: list[str] = []

    class Service(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            wanted = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append(f"{wanted['package']['name']}=={wanted['version']}")
            events = [{"introduced": "0"}, {"fixed": "9.0.1"}]
            where = {"package": {"name": "pillow", "ecosystem": "PyPI"}, "versions": ["9.0.0"],
                     "ranges": [{"type": "ECOSYSTEM", "events": events}]}  # fmt: skip
            one = {"id": "GHSA-x", "summary": "bad", "published": "2026-01-01T00:00:00Z", "affected": [where]}
            body = json.dumps({"vulns": [one]} if asked[-1] == "pillow==9.0.0" else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PIP_AUDIT_OSV_URL", f"http://127.0.0.1:{server.server_port}/v1/query")
        yield asked
        server.shutdown()


def test_pip_audit_itself_tells_what_a_service_knows(osv: list[str]) -> None:
    found = audit.ask_pip_audit(["click==8.1.7", "pillow==9.0.0"])
    assert sorted(osv) == ["click==8.1.7", "pillow==9.0.0"]
    assert found == audit.Found(["pillow 9.0.0: GHSA-x, fixed in 9.0.1"], [], 2)


def test_packages_that_a_service_does_not_know_are_no_good_news() -> None:
    skipped = {"dependencies": [{"name": "a", "skip_reason": "Dependency not found on PyPI"}], "fixes": []}
    with pytest.raises(audit.Silent):
        audit.of_pip_audit(skipped)


def test_what_has_no_fix_yet_and_what_was_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {
        "dependencies": [{"name": "a", "version": "1", "vulns": [{"id": "X-1", "fix_versions": [], "aliases": []}]}]
    }
    assert audit.of_pip_audit(told) == audit.Found([], ["a 1: X-1"], 1)
    monkeypatch.setitem(audit.ACCEPTED, "X-1", "is never called")
    assert audit.of_pip_audit(told) == audit.Found([], [], 1)


def test_npm_names_what_is_bad_and_not_who_uses_it() -> None:
    found = audit.of_npm(NPM)
    assert found == audit.Found(["bad <2: GHSA-1 (high)"], ["old <9: GHSA-2 (low)"], 17)


def test_a_registry_that_does_not_answer() -> None:
    with pytest.raises(audit.Silent, match="405"):
        audit.of_npm({"message": "405 Method Not Allowed", "error": {"summary": "", "detail": ""}})


def test_an_answer_holds_for_a_day_and_silence_for_an_hour(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    clock = [1000.0]
    monkeypatch.setattr(audit.time, "time", lambda: clock[0])

    def ask() -> audit.Found:
        asked.append(clock[0])
        if len(asked) == 1:
            raise audit.Silent("nobody")
        return audit.Found([], ["a 1: X"], 3)

    for later in (0, 1800, 3700, 50_000, 100_000):
        clock[0] = 1000.0 + later
        assert audit.tell("it", audit.answered("it", "a==1", ask)) == 0
    assert asked == [1000.0, 4700.0, 101_000.0]
    audit.answered("it", "a==2", ask)
    assert len(asked) == 4, "another question"
    said = capsys.readouterr().out
    assert "it: not audited, nobody." in said
    assert "it: 3 packages, 1 known vulnerabilities (12 h ago).\n  no fix yet: a 1: X" in said


def test_what_is_to_be_done_is_asked_again_and_again() -> None:
    asked = []

    def ask() -> audit.Found:
        asked.append(1)
        return audit.Found(["a 1: X, fixed in 2"], [], 1)

    assert [audit.tell("it", audit.answered("it", "a==1", ask)) for _ in range(3)] == [1, 1, 1]
    assert len(asked) == 3


def test_all_that_users_install_is_asked_about() -> None:
    names = {one.partition("==")[0] for one in audit.requirements(["all"])}
    assert {"h5py", "numpy", "starlette", "pyarrow", "dask", "protobuf"} <= names
    assert not {"pytest", "coverslip", "mypy"} & names
    assert {"pytest", "mypy"} <= {one.partition("==")[0] for one in audit.requirements(["dev"])}

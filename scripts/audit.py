"""Known vulnerabilities of what is installed here: Python's by ``pip-audit``, the viewer's by ``npm audit``.

``python scripts/audit.py`` ends with 1 when one is known for which there is a fix; those without one are told. Where
nobody who knows can be asked, that is said in one line, and the end is 0. What was answered holds for a day.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
KEPT = ROOT / ".cache" / "audit.json"
ANSWER_HOLDS_S, SILENCE_HOLDS_S = 24 * 3600, 3600
ASKED = ({"PIP_AUDIT_VULNERABILITY_SERVICE": "osv"}, {"PIP_AUDIT_VULNERABILITY_SERVICE": "pypi"})
"""Services that know of Python's; the first that answers is believed."""
ACCEPTED: dict[str, str] = {}
"""Vulnerabilities that are known and do not concern us: their id, and why."""


class Silent(Exception):
    """Nobody who knows can be asked."""


@dataclass
class Found:
    """What is known: lines for people."""

    fixable: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    asked: int = 0

    def __add__(self, more: Found) -> Found:
        return Found(self.fixable + more.fixable, self.others + more.others, self.asked + more.asked)


def requirements(extras: Iterable[str]) -> list[str]:
    """All that coverslip with these extras has installed here, as ``name==version``."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found: dict[str, str] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [("coverslip", extra) for extra in ("", *extras)]
    while waiting:
        name, extra = one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        try:
            about = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform
        found[canonicalize_name(name)] = about.version
        for text in about.requires or ():
            needed = Requirement(text)
            if needed.marker is None or needed.marker.evaluate({"extra": extra}):
                waiting += [(canonicalize_name(needed.name), e) for e in ("", *needed.extras)]
    del found["coverslip"]
    return sorted(f"{name}=={version}" for name, version in found.items())


def of_pip_audit(told: dict[str, Any]) -> Found:
    """Its JSON, read.

    Raises
    ------
    Silent
        When the service knew of none of the packages: a mirror without the documents does, and that is no good news.
    """
    known = [one for one in told["dependencies"] if "skip_reason" not in one]
    if not known:
        raise Silent("the service knows none of the packages")
    found = Found(asked=len(known))
    for package in known:
        for one in package["vulns"]:
            if {one["id"], *one.get("aliases", ())} & ACCEPTED.keys():
                continue
            fixes = one.get("fix_versions") or []
            line = f"{package['name']} {package['version']}: {one['id']}"
            (found.fixable if fixes else found.others).append(f"{line}, fixed in {', '.join(fixes)}" if fixes else line)
    return found


def of_npm(told: dict[str, Any]) -> Found:
    """The JSON of ``npm audit``, read.

    Raises
    ------
    Silent
        When the registry does not answer such questions.
    """
    if "vulnerabilities" not in told:
        raise Silent(str(told.get("message") or told.get("error", {}).get("summary") or "the registry does not answer"))
    found = Found(asked=told.get("metadata", {}).get("dependencies", {}).get("total", 0))
    for name, one in told["vulnerabilities"].items():
        ids = [via["url"].rpartition("/")[2] for via in one["via"] if isinstance(via, dict)]
        if not ids or set(ids) <= ACCEPTED.keys():
            continue  # because of another one, which is told itself
        line = f"{name} {one['range']}: {', '.join(ids)} ({one['severity']})"
        (found.fixable if one["fixAvailable"] else found.others).append(line)
    return found


def ask_pip_audit(wanted: list[str]) -> Found:
    """Of these packages; nothing is installed, and no index is asked for more."""
    file = KEPT.parent / "audit.txt"
    file.write_text("\n".join(wanted))
    command = [sys.executable, "-m", "pip_audit", "-r", str(file), "--no-deps", "--disable-pip", "--format", "json"]
    command += ["--progress-spinner", "off", "--cache-dir", str(KEPT.parent / "pip-audit")]
    for service in ASKED:
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, **service})
        try:
            return of_pip_audit(json.loads(done.stdout))
        except (json.JSONDecodeError, Silent):
            continue
    raise Silent("neither OSV nor PyPI's documents can be reached")


def ask_npm() -> Found:
    """Of what the viewer's lock file names."""
    sys.path.insert(0, str(ROOT))
    from hatch_build import node_folder_and_npm

    folder, npm = node_folder_and_npm()
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [*npm, "audit", "--json", "--fetch-retries", "0"], capture_output=True, text=True, check=False,
        cwd=ROOT / "viewer", env={**os.environ, "PATH": path},
    )  # fmt: skip
    try:
        return of_npm(json.loads(done.stdout))
    except json.JSONDecodeError:
        raise Silent("npm said nothing that can be read") from None


def kept(key: str) -> dict[str, Any] | None:
    """What was answered before to the same question, if that still holds."""
    try:
        before: dict[str, Any] = json.loads(KEPT.read_text())[key]
    except (OSError, ValueError, KeyError):
        return None
    holds_s = SILENCE_HOLDS_S if before["silent"] else ANSWER_HOLDS_S
    return before if 0 <= time.time() - before["at"] < holds_s and not before["fixable"] else None


def answered(name: str, question: str, ask: Callable[[], Found]) -> dict[str, Any]:
    """The answer, remembered; what is bad is asked anew."""
    key = hashlib.sha256(json.dumps([name, question, sorted(ACCEPTED)]).encode()).hexdigest()
    before = kept(key)
    if before is not None:
        return before
    try:
        now = {**asdict(ask()), "silent": ""}
    except Silent as error:
        now = {**asdict(Found()), "silent": str(error)}
    now["at"] = time.time()
    try:
        all_kept = json.loads(KEPT.read_text())
    except (OSError, ValueError):
        all_kept = {}
    KEPT.write_text(
        json.dumps({**{k: v for k, v in all_kept.items() if time.time() - v["at"] < ANSWER_HOLDS_S}, key: now})
    )
    return now


def tell(name: str, answer: dict[str, Any]) -> int:
    """One line, and one for each vulnerability; 1 when there is something to do."""
    hours = int((time.time() - answer["at"]) / 3600)
    when = f" ({hours} h ago)" if hours else ""
    if answer["silent"]:
        print(f"{name}: not audited, {answer['silent']}{when}.")
        return 0
    count = len(answer["fixable"]) + len(answer["others"])
    print(f"{name}: {answer['asked']} packages, {count or 'no'} known vulnerabilities{when}.")
    for line in answer["fixable"]:
        print(f"  to be updated: {line}")
    for line in answer["others"]:
        print(f"  no fix yet: {line}")
    return int(bool(answer["fixable"]))


def main() -> int:
    """Ask for all three: what users install, what only developers do, and the viewer."""
    KEPT.parent.mkdir(exist_ok=True)
    runtime = requirements(["all"])
    tools = sorted(set(requirements(["dev"])) - set(runtime))
    lock = (ROOT / "viewer" / "package-lock.json").read_text()
    bad = 0
    for name, question, ask in (
        ("coverslip[all]", "\n".join(runtime), lambda: ask_pip_audit(runtime)),
        ("tools of developers", "\n".join(tools), lambda: ask_pip_audit(tools)),
        ("the viewer", lock, ask_npm),
    ):
        bad |= tell(name, answered(name, re.sub(r"\s+", " ", question), ask))
    return bad


if __name__ == "__main__":
    sys.exit(main())

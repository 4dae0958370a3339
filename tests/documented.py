"""Every call of our command that the documentation shows, and how a test runs it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from docs_tables import cli, walk

ROOT = Path(__file__).resolve().parents[1]


PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]
FENCE = re.compile(r"^```(?:sh|bash|console)\n(.*?)^```", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"^    (?!\s)(.*)$", re.MULTILINE)
CALL = re.compile(r"^(?:\$ )?(?:\w+=(?:\$\([^)]*\)|\S*) )*(coverslip(?: .*)?)$")
REMOTE = "tests/test_remotes.py reads from servers like it"
SSH = "tests/e2e/test_deploy_ssh.py does it through a real sshd"
HSDS = "tests/e2e/test_engines.py does it with a real HSDS, which takes a minute to install"
ELSEWHERE = {
    r"serve s3://": REMOTE,
    r"connect ": SSH,
    r"ui import|--engine hsds": HSDS,
}
"""What is not run by `tests/e2e/test_documented.py`, and what runs it instead: it needs a machine that is not there."""


def calls_of(page: Path) -> list[str]:
    """The lines of a page that call our command, without what follows them."""
    text = page.read_text()
    lines = [line for block in FENCE.findall(text) for line in block.replace("\\\n", " ").splitlines()]
    lines += INDENTED.findall(re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    found = [call[1] for line in lines if (call := CALL.match(line.strip()))]
    return [re.split(r"\s#|;|\||&&|>| &$", line)[0].strip() for line in found]


def examples() -> Iterator[str]:
    """What commands show as examples of themselves: the page of every command has them."""
    for _, command in walk(cli, ()):
        yield from (line for line, _ in getattr(command, "_examples", ()))


CALLS = [(page, line) for page in PAGES for line in calls_of(page)]
LINES = sorted({line for _, line in CALLS} | set(examples()))


def elsewhere(line: str) -> str | None:
    """What runs a line that is not run as it stands."""
    return next((why for pattern, why in ELSEWHERE.items() if re.search(pattern, line)), None)

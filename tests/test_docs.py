"""The reference names every option, and the settings say what each field is."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path
from types import SimpleNamespace

import click
import docs_hooks
import pytest
from docs_tables import commands_page, settings_page, walk

import coverslip
from coverslip.cli.main import cli
from coverslip.cli.prepare import prepare
from coverslip.cli.serve import serve
from coverslip.cli.server import restart, start
from coverslip.every_setting import NOWHERE, OTHERS, SETTINGS
from coverslip.settings import Settings
from documented import CALLS, ELSEWHERE, LINES

ROOT = Path(__file__).parents[1]


def test_every_flag_and_variable_is_in_the_reference() -> None:
    rows = (ROOT / "docs" / "reference" / "command.md").read_text().splitlines()
    for option in serve.params:
        if not isinstance(option, click.Option):
            continue
        row = next((r for r in rows if r.startswith(f"| `{option.opts[-1]}`")), None)
        assert row is not None, option.opts
        variables = option.envvar if isinstance(option.envvar, (list, tuple)) else (option.envvar,)
        for name in (*option.opts, *variables, option.default if isinstance(option.default, str) else None):
            assert name is None or f"`{name}`" in row, (name, row)
    told = {flag for row in rows for flag in re.findall(r"^\| `(--[a-z-]+)`", row)}
    assert told <= {flag for option in serve.params for flag in option.opts}


def test_every_flag_of_the_background_server_is_in_its_reference() -> None:
    here = (ROOT / "docs" / "reference" / "server.md").read_text()
    rows = here.splitlines()
    shared = {option.name for option in serve.params} - {"host", "port", "config", "flight"}
    for option in (*start.params, *restart.params):
        if not isinstance(option, click.Option) or option.name == "timeout":
            continue
        if option.name in shared:
            assert f"`{option.opts[-1]}`" in here, option.opts
            continue
        row = next((r for r in rows if r.startswith(f"| `{option.opts[0 if option.name == 'flight' else -1]}`")), None)
        assert row is not None, option.opts
        variables = option.envvar if isinstance(option.envvar, (list, tuple)) else (option.envvar,)
        for name in (*option.opts, *option.secondary_opts, *variables):
            assert name is None or f"`{name}`" in row, (name, row)


def test_every_flag_of_prepare_is_in_its_reference() -> None:
    here = (ROOT / "docs" / "reference" / "prepare.md").read_text()
    for option in prepare.params:
        for name in option.opts if isinstance(option, click.Option) else ():
            assert f"`{name}`" in here, name


def test_every_setting_is_described() -> None:
    for field in dataclasses.fields(Settings):
        assert re.search(rf"^    {field.name}$", Settings.__doc__ or "", re.MULTILINE), field.name


def test_links_between_the_pages_lead_somewhere() -> None:
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), ROOT / "viewer" / "README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_pages_show_the_command() -> None:
    assert len(CALLS) >= 25
    assert {line.split()[1] for _, line in CALLS if len(line.split()) > 1} >= {"serve", "server", "ui"}


@pytest.mark.parametrize(("page", "line"), CALLS, ids=lambda value: str(value)[-60:])
def test_every_command_on_a_page_is_one(page: Path, line: str) -> None:
    """That they do what they say is `tests/e2e/test_documented.py`."""
    command: click.Command = cli
    words = shlex.split(line)[1:]
    context = click.Context(command)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page.name}: {line}"
        command, words = found, words[1:]
    own = click.Context(command, ignore_unknown_options=command.context_settings.get("ignore_unknown_options", False))
    command.make_parser(own).parse_args(words)  # an unknown flag raises


class TestPagesThatAreMade:
    """What `scripts/docs` makes of the code; that links and anchors hold is its own check."""

    def test_every_setting(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COVERSLIP_PORT", "9999")  # of who builds the site; the page tells defaults
        page = settings_page()
        for one in SETTINGS:
            row = next(r for r in page.splitlines() if r.startswith(f"| `{one.key}`" if one.key else "|  | `--dev`"))
            assert row.count("|") >= 6
            assert one.ui != NOWHERE or all(f"`{name}`" in row for name in one.variables), row
            assert not row.rstrip(" |").endswith("`"), f"{one.key} has no meaning"
        assert "`8765`; `8814`" in page
        assert "9999" not in page
        assert all(f"| `{name}` |" in page for name in OTHERS)

    def test_every_command(self) -> None:
        page = commands_page()
        for path, command in walk(cli, ()):
            assert f"# `coverslip {' '.join(path)}`\n" in page
            for param in command.params:
                assert not isinstance(param, click.Option) or param.hidden or f"`{param.opts[-1]}`" in page

    def test_their_pages_ask_for_them(self) -> None:
        text = "".join(page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md"))
        for mark in ("<!-- made of the code: settings -->", "<!-- made of the code: commands -->"):
            assert text.count(mark) == 1
            assert mark in (ROOT / "scripts" / "docs_hooks.py").read_text()


class TestTheSite:
    """What is done to its pages on their way."""

    def test_its_list_of_pages_begins_with_what_newcomers_read(self) -> None:
        sections = ("Decisions", "Explanation", "How to", "Newer", "Reference", "Tutorials")
        items = [SimpleNamespace(title=title, is_section=True) for title in sections]
        home = SimpleNamespace(title="coverslip", is_section=False)
        found = docs_hooks.on_nav(SimpleNamespace(items=[*items, home])).items
        assert [item.title for item in found] == ["coverslip", *docs_hooks.ORDER, "Newer"]
        assert {folder.name for folder in (ROOT / "docs").iterdir() if any(folder.glob("*.md"))} == {
            title.lower().replace(" ", "-") for title in docs_hooks.ORDER
        }

    @pytest.mark.parametrize("part", ["script src=", "link rel=stylesheet href=", 'img alt="" src='])
    def test_no_page_needs_the_internet(self, part: str) -> None:
        page = SimpleNamespace(file=SimpleNamespace(src_path="start.md"))
        fine = f'<{part}"assets/one"><a href="https://example.org/">'
        assert docs_hooks.on_post_page(fine, page=page) == fine
        with pytest.raises(SystemExit, match=r"start\.md fetches https://example\.org/one"):
            docs_hooks.on_post_page(f'<{part}"https://example.org/one">', page=page)


def test_what_is_run_elsewhere_is_on_a_page() -> None:
    for pattern, why in ELSEWHERE.items():
        assert any(re.search(pattern, line) for line in LINES), pattern
        for named in re.findall(r"tests/[\w/.]+", why):
            assert (ROOT / named).exists(), named


def test_every_public_name_is_in_the_reference() -> None:
    told = (ROOT / "docs" / "reference" / "python.md").read_text()
    named = set(re.findall(r"^::: coverslip\.[\w.]+\.(\w+)$", told, re.MULTILINE))
    assert set(coverslip.__all__) - {"__version__"} == named


PROSE = {"answers", "behind", "did", "of", "runs"}
"""What follows "coverslip server" in a sentence about one."""


def test_every_subcommand_that_is_named_anywhere_is_one() -> None:
    """In hints, in help and on pages: what somebody is told to type."""
    known = {path for path, _ in walk(cli, ()) if len(path) == 2}
    words = re.compile(rf"\bcoverslip ({'|'.join({group for group, _ in known})}) ([a-z]+)\b")
    folders = {"src": "*.py", "docs": "*.md", "viewer/src": "*.ts*", "deploy": "*.s*"}
    files = [file for folder, pattern in folders.items() for file in (ROOT / folder).rglob(pattern)]
    named = {(str(file), *found) for file in [*files, ROOT / "README.md"] for found in words.findall(file.read_text())}
    assert len({one[1:] for one in named} & known) >= 10
    assert [one for one in sorted(named) if one[1:] not in known and one[2] not in PROSE] == []

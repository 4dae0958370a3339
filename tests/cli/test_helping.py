"""What ``--help`` says, of every command."""

from __future__ import annotations

from collections.abc import Iterator

import click
import pytest

from coverslip.cli import connect, prepare, serve, server, tensor, ui
from coverslip.cli import main as main_module
from coverslip.cli.helping import OTHERS, Sectioned

WIDTH = 80
WITHOUT_EXAMPLES = {
    "version", "doctor", "cache show", "cache clear", "config show", "server stop", "server status", "server logs",
    "server restart", "tensor metadata", "tensor stats", "ui import",
}  # fmt: skip
"""They need none: what is typed is their name and an id."""


def commands(group: click.Group, above: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{above}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} ")


ALL = dict(commands(main_module.cli))
PLAIN = {name: command for name, command in ALL.items() if not isinstance(command, click.Group)}


@pytest.mark.parametrize("name", ALL)
def test_every_option_is_explained(name: str) -> None:
    for param in ALL[name].params:
        if isinstance(param, click.Option) and not param.hidden:
            assert param.help, f"{name} {param.name}"


@pytest.mark.parametrize("name", ALL)
def test_no_sentence_is_cut_short(name: str) -> None:
    said = ALL[name].get_help(click.Context(ALL[name], info_name=name, terminal_width=WIDTH))
    assert "..." not in said.replace("]...", "")


@pytest.mark.parametrize("name", sorted(PLAIN.keys() - WITHOUT_EXAMPLES))
def test_examples_name_the_command_and_flags_it_has(name: str) -> None:
    command = PLAIN[name]
    said = command.get_help(click.Context(command, info_name=name, terminal_width=WIDTH))
    lines = [line.strip() for line in said.partition("Examples:")[2].splitlines() if line.strip().startswith("cover")]
    assert lines
    flags = {word for param in command.params for word in param.opts}
    for line in lines:
        assert line.startswith(f"coverslip {name}")
        own = line.partition(" -- ")[0].split()
        assert {word for word in own if word.startswith("--")} <= flags


@pytest.mark.parametrize("module", [connect, prepare, serve, server, tensor, ui])
def test_headings_name_options_that_exist(module: object) -> None:
    sections = getattr(module, "SECTIONS", {})
    name = module.__name__.rpartition(".")[2]  # type: ignore[attr-defined]
    names = {"server": "server start"}
    if sections:
        there = {param.name for param in PLAIN[names.get(name, name)].params}
        assert {option for options in sections.values() for option in options} <= there


def test_options_of_no_heading_come_last() -> None:
    command = Sectioned(
        "x",
        params=[click.Option(["--b"], help="B."), click.Option(["--a"], help="A.")],
        sections={"First": ("a",), "None": ("gone",)},
        examples=[("x --a 1", "One.")],
    )
    said = command.get_help(click.Context(command, info_name="x"))
    places = [said.index(part) for part in ("First:", "--a", f"{OTHERS}:", "--b", "Examples:", "x --a 1", "One.")]
    assert places == sorted(places)
    assert "None:" not in said

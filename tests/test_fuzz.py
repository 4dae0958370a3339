"""Every parser of ours refuses what makes no sense with one of our own errors.

``scripts/fuzz`` looks on for longer; what it finds is kept in ``tests/corpus`` and looked at here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from coverslip.core.errors import CoverslipError
from every_parser import ALL, end, examples
from fuzz import rounds
from mutation import CORPUS, kept, mutated


@pytest.fixture(scope="module", autouse=True)
def ended() -> Iterator[None]:
    """What parsers share ends with these tests."""
    yield
    end()


def refuses(parse: Callable[[bytes], object], data: bytes) -> bool:
    """Whether bytes are refused: in one line, with our own word for it."""
    try:
        parse(data)
    except CoverslipError as error:
        told = str(error)
    else:
        return False
    assert told
    assert "\n" not in told
    return True


def test_every_parser_has_something_to_begin_with() -> None:
    assert sorted(path.name for path in CORPUS.iterdir() if path.is_dir()) == sorted(ALL)
    for name in ALL:
        assert kept(name), name


def test_the_reference_lists_them() -> None:
    page = (CORPUS.parents[1] / "docs" / "reference" / "parsers.md").read_text("utf-8")
    last = re.findall(r"^\|.*\| (`[^|]*) \|$", page, re.MULTILINE)
    assert set(re.findall("`(\\w+)`", " ".join(last))) == set(ALL)


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_kept(name: str) -> None:
    refused = [refuses(ALL[name], data) for data in kept(name).values()]
    assert not all(refused), "nothing that is kept makes sense: what is made of it is refused at once"


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_nearly_right(name: str) -> None:
    seeds = list(kept(name).values())

    @settings(
        max_examples=len(rounds(examples(name))), derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutated(seeds))
    def look(data: bytes) -> None:
        refuses(ALL[name], data)

    look()

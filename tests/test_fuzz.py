"""Every parser of ours refuses what makes no sense with one of our own errors.

``scripts/fuzz`` looks on for longer; what it finds is kept in ``tests/corpus`` and looked at here.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from coverslip.core.errors import CoverslipError
from fuzz import rounds
from mutation import CORPUS, kept, mutated
from parsers import PARSERS
from parsers_of_files import FILES

ALL = PARSERS | FILES


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


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_kept(name: str) -> None:
    refused = [refuses(ALL[name], data) for data in kept(name).values()]
    assert not all(refused), "nothing that is kept makes sense: what is made of it is refused at once"


@pytest.mark.parametrize("name", sorted(ALL))
def test_what_is_nearly_right(name: str) -> None:
    seeds = list(kept(name).values())

    @settings(
        max_examples=len(rounds(12 if name in FILES else 40)), derandomize=True, database=None, deadline=None,
        phases=[Phase.generate], suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @given(mutated(seeds))
    def look(data: bytes) -> None:
        refuses(ALL[name], data)

    look()

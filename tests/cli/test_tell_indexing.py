"""What a terminal tells of work in the background."""

from __future__ import annotations

from typing import Any, cast

import pytest

from coverslip.cli import serve
from coverslip.server import Server


class Moments:
    """A server that is at one thing after the other."""

    def __init__(self, *moments: tuple[Any, Any]) -> None:
        self._moments = list(moments)

    def is_running(self) -> bool:
        return bool(self._moments)

    def indexing(self) -> Any:
        return self._moments[0][0]

    def answering(self) -> Any:
        return self._moments.pop(0)[1]

    def index_error(self) -> None:
        return None


def test_index_and_questions(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(serve, "LOOK_S", 0)
    index, question = ("cells", 0.5), ("cells", "markers", 0.25)
    serve.tell_indexing(cast(Server, Moments((index, None), (None, question), (None, None), (None, None))))
    told = capsys.readouterr().out.split("\r")  # what clears a line is left out where there is no terminal
    assert told == ["", "cells: gene index 50%", "cells: the gene index is ready\n", "cells: markers 25%", ""]

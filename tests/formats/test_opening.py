"""Files that change while they are opened."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import coverslip.formats as formats
from coverslip.core.format import file_etag
from coverslip.core.spec import Box


def write(path: Path, value: int) -> None:
    tifffile.imwrite(path, np.full((2, 30, 40), value, np.uint16), metadata={"axes": "ZYX"})


def descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


class Disturbed:
    """A format whose file is replaced once it was read, so many times."""

    def __init__(self, form: Any, times: int) -> None:
        self.form, self.times, self.opened = form, times, 0
        self.expects = form.expects

    def open(self, path: Path) -> Any:
        source = self.form.open(path)
        self.opened += 1
        if self.opened <= self.times:
            write(path.with_name("new"), self.opened)
            path.with_name("new").replace(path)
        return source


@pytest.mark.parametrize("times", [0, 1, 2])
def test_what_is_served_is_the_file_that_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
    path = tmp_path / "a.ome.tif"
    write(path, 0)
    form = Disturbed(formats.recognise(path), times)
    monkeypatch.setattr(formats, "recognise", lambda path: form)
    source = formats.open_source(path)
    array: Any = source.root
    while not hasattr(array, "read"):
        array = array[next(iter(array))]
    assert form.opened == times + 1
    assert source.fresh()
    assert source.etag == file_etag(path.stat())
    assert (array.read(Box((0,) * len(array.spec.shape), array.spec.shape)) == times).all()
    source.close()


def test_what_changes_all_the_time_is_served_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ome.tif"
    write(path, 0)
    form = Disturbed(formats.recognise(path), 1000)
    monkeypatch.setattr(formats, "recognise", lambda path: form)
    before = descriptors()
    formats.open_source(path).close()
    assert form.opened == formats.TRIES
    assert descriptors() <= before, "those that were opened in vain are closed"

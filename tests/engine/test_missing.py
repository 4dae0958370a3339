"""What is told of a path at which nothing is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from coverslip.core.errors import NotFound
from coverslip.engine.missing import explained, near, not_there
from coverslip.engine.places import Root


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    (tmp_path / "screen7" / "plates").mkdir(parents=True)
    (tmp_path / "screen7" / "Cells.h5ad").touch()
    return tmp_path


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ("C:\\data\\cells.h5ad", "in WSL, C: is /mnt/c."),
        ("d:cells.h5ad", "in WSL, D: is /mnt/d."),
        ("s3:/bucket/brain.zarr", "two slashes: s3://bucket/brain.zarr"),
        ("https:example.org/a.zarr", "two slashes: https://example.org/a.zarr"),
        ("you@there:/data/cells.h5ad", "coverslip connect you@there:/data/cells.h5ad"),
        ("login.cluster.edu:run4", "coverslip connect login.cluster.edu:run4"),
        ("~/cells.h5ad", "outside of quotes"),
        ("*.h5ad", "No name here matches the pattern"),
        ("plate[0-9].tif", "No name here matches the pattern"),
        ("nothing.h5ad", "Check the spelling, and that it is on this machine."),
    ],
)
def test_what_was_probably_meant(lab: Path, monkeypatch: pytest.MonkeyPatch, written: str, told: str) -> None:
    monkeypatch.chdir(lab)
    with pytest.raises(NotFound, match="Path not found") as refused:
        Root.at(Path(written))
    assert told in refused.value.hint
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("path", "told"),
    [
        ("screen7/cells.h5ad", "Did you mean {lab}/screen7/Cells.h5ad?"),
        ("screen7/Cells.h5da", "Did you mean {lab}/screen7/Cells.h5ad?"),
        ("scren7/Cells.h5ad", "Did you mean {lab}/screen7?"),
        ("archive/2024/Cells.h5ad", "There is no archive in {lab}."),
        ("screen7/Cells.h5ad/obs", "Did you mean {lab}/screen7/Cells.h5ad?"),
        ("screen7/zzz", ""),
    ],
)
def test_the_nearest_name(lab: Path, path: str, told: str) -> None:
    assert near(lab / path) == told.format(lab=lab)


def test_a_folder_that_may_not_be_listed_tells_nothing(lab: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(path: object) -> None:
        raise PermissionError(path)

    monkeypatch.setattr(os, "scandir", refused)
    assert near(lab / "screen7" / "cells.h5ad") == ""


def test_what_is_there_keeps_its_own_error(lab: Path) -> None:
    own = NotFound("neither a file nor a folder")
    assert explained(own, lab / "screen7") is own
    assert "Did you mean" in explained(own, lab / "screen8").hint


def test_a_link_that_leads_nowhere(lab: Path) -> None:
    (lab / "link").symlink_to("gone")
    assert "leads nowhere" in not_there(lab / "link", lab / "link").message

"""Files of one source among many: the way to it, what is in it, and nothing beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.node import Source
from coverslip.engine.only import OnlyFiles
from coverslip.engine.places import Root


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    folder = tmp_path / "lab"
    for name in ("a/run/one.h5", "a/run/deep/two.h5", "a/runs.h5", "a/run.h5", "b/secret.h5"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x")
    (folder / "a" / "run" / "link.h5").symlink_to(folder / "b" / "secret.h5")
    (folder / "a" / "run" / "way").symlink_to(folder / "b")
    (folder / "a" / "run" / "own.h5").symlink_to(folder / "a" / "run" / "one.h5")
    return folder


def files(lab: Path, source: str) -> OnlyFiles:
    def never(path: Path) -> Source:
        raise AssertionError(path)

    return OnlyFiles([Root.at(lab)], lambda head: True, never, lab / source)


def listed(found: OnlyFiles, folder: str) -> list[str]:
    return [place.name for place in found.below(found.find(folder))]


def test_a_file(lab: Path) -> None:
    found = files(lab, "a/run.h5")
    assert (listed(found, "/"), listed(found, "/a")) == (["/a"], ["/a/run.h5"])
    assert found.find("/a/run.h5").path == lab / "a" / "run.h5"
    for other in ("/a/runs.h5", "/a/run", "/a/run/one.h5", "/b", "/b/secret.h5", "/nowhere", "/a/run.h5/x"):
        with pytest.raises(NotFound) as refused:
            found.find(other)
        assert refused.value.message == f"There is no {other}"


def test_a_folder_ends_where_its_links_leave_it(lab: Path) -> None:
    found = files(lab, "a/run")
    assert listed(found, "/a") == ["/a/run"]
    assert listed(found, "/a/run") == ["/a/run/deep", "/a/run/one.h5", "/a/run/own.h5"]
    assert listed(found, "/a/run/deep") == ["/a/run/deep/two.h5"]
    for other in ("/a/run/link.h5", "/a/run/way", "/a/run/way/secret.h5", "/a/runs.h5", "/b/secret.h5"):
        with pytest.raises(NotFound):
            found.find(other)


@pytest.mark.parametrize("name", ["/a/run/../runs.h5", "/a/./runs.h5", "a/runs.h5", "/a//runs.h5", "/a\\runs.h5"])
def test_no_spelling_leads_beside_it(lab: Path, name: str) -> None:
    with pytest.raises(CoverslipError):
        files(lab, "a/run").find(name)

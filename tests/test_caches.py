"""Where caches are: named by a variable, one for each user, nobody else's."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import numpy as np
import pytest

import coverslip
from coverslip.cell_servers import AnnDataServer
from coverslip.core.errors import Unreadable

OWN = f"coverslip-{os.geteuid()}"


@pytest.fixture
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("COVERSLIP_CACHE_DIR")
    monkeypatch.setenv("CELLUCID_WEB_PROXY_CACHE_DIR", str(tmp_path / "shared"))
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o1777)
    return tmp_path / "shared"


def test_line_13_each_user_has_a_folder_of_their_own(shared: Path, tmp_path: Path) -> None:
    found = coverslip.get_web_cache_dir()
    assert found == shared / OWN
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    found.chmod(0o755)
    assert coverslip.get_web_cache_dir() == found
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    np.save(tmp_path / "one.npy", np.zeros((3, 2)))
    with AnnDataServer(tmp_path / "one.npy", port=0, quiet=True):
        assert (found / "catalog").is_dir()
    assert [p.name for p in shared.iterdir()] == [OWN]


def test_our_own_variable_comes_first(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(tmp_path / "mine"))
    assert coverslip.get_web_cache_dir() == tmp_path / "mine"
    assert not (shared / OWN).exists()


@pytest.mark.parametrize("how", ["planted", "link"])
def test_what_another_user_put_there_is_never_used(shared: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if how == "planted":
        (shared / OWN).mkdir()
    else:
        (shared / "elsewhere").mkdir(mode=0o700)
        (shared / OWN).symlink_to(shared / "elsewhere")
    mine = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: mine + 1)
    (shared / OWN).rename(shared / f"coverslip-{mine + 1}")
    with pytest.raises(Unreadable, match="another user") as told:
        coverslip.get_web_cache_dir()
    assert "COVERSLIP_CACHE_DIR" in told.value.hint
    with pytest.raises(Unreadable):
        AnnDataServer(shared, port=0, quiet=True).start_background()


def test_a_folder_for_everybody_is_not_taken_from_them(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(shared))
    with pytest.raises(Unreadable, match="shares"):
        coverslip.get_web_cache_dir()
    assert stat.S_IMODE(shared.stat().st_mode) == 0o1777


def test_clearing_leaves_what_is_not_ours(shared: Path) -> None:
    own = coverslip.get_web_cache_dir()
    for place in (own / "genes" / "a", own / "mine" / "b", shared / "coverslip-0815" / "genes" / "c"):
        place.parent.mkdir(parents=True)
        place.write_bytes(b"x")
    coverslip.clear_web_cache()
    assert not (own / "genes").exists()
    (own / "levels").mkdir()
    coverslip.clear_web_cache(cache_dir=shared)
    assert not (own / "levels").exists()
    assert (own / "mine" / "b").exists()
    assert (shared / "coverslip-0815" / "genes" / "c").exists()

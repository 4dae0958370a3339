"""Finding and making the environment of HSDS, without a network and without HSDS."""

from __future__ import annotations

import fcntl
import subprocess
import sys
from pathlib import Path

import pytest

from coverslip.core.errors import BadUsage, CoverslipError, DiskFull, Unsupported
from coverslip.hsds import environment
from coverslip.hsds.environment import DONE, VARIABLE, create, find, locked, own_folder, plain_environment, require


@pytest.fixture(autouse=True)
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")


def a_python(file: Path, hsds: str | None = "1.0.2", h5pyd: str | None = "1.0.0") -> Path:
    """Something that answers as a Python with these versions would."""
    file.parent.mkdir(parents=True, exist_ok=True)
    quoted = [f'"{v}"' if v else "null" for v in (hsds, h5pyd)]
    file.write_text(f'#!/bin/sh\necho \'{{"hsds": {quoted[0]}, "h5pyd": {quoted[1]}}}\'\n')
    file.chmod(0o755)
    return file


def test_there_is_none() -> None:
    assert find() is None
    with pytest.raises(BadUsage, match="--yes"):
        require(False, lambda _: False, lambda _: None)


def test_the_configured_one_or_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(a_python(tmp_path / "python")))
    found = require(False, lambda _: False, lambda _: None)
    assert (found.hsds, found.h5pyd, found.where) == ("1.0.2", "1.0.0", VARIABLE)
    for wrong in (tmp_path / "nothing", a_python(tmp_path / "empty", None), Path("/bin/true")):
        monkeypatch.setenv(VARIABLE, str(wrong))
        with pytest.raises(BadUsage, match=VARIABLE):
            find()
    monkeypatch.setenv(VARIABLE, str(a_python(tmp_path / "old", "0.9.2")))
    with pytest.raises(Unsupported, match=r"0\.9\.2"):
        find()
    monkeypatch.setenv(VARIABLE, str(a_python(tmp_path / "half", "1.0.2", None)))
    require(False, lambda _: False, lambda _: None)
    with pytest.raises(Unsupported, match="h5pyd"):
        require(False, lambda _: False, lambda _: None, importing=True)


def test_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a_python(tmp_path / "venv" / "python")
    a_python(tmp_path / "venv" / "hsds")
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "hsds").symlink_to(tmp_path / "venv" / "hsds")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/usr/bin:/bin")
    found = find()
    assert found is not None
    assert found.python == tmp_path / "venv" / "python"
    a_python(tmp_path / "venv" / "python", "0.8.0")
    assert find() is None


class TestMaking:
    @pytest.fixture
    def steps(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What would be run; the second step brings what pip brings."""
        run: list[str] = []

        def step(command: list[str], tell: environment.Tell, *held: int) -> None:
            run.append(" ".join(command))
            if "pip" in command:
                a_python(own_folder() / "bin" / "python")
            else:
                (own_folder() / "bin").mkdir(parents=True)

        monkeypatch.setattr(environment, "_run", step)
        return run

    def test_it_is_asked_for_and_made_once(self, steps: list[str]) -> None:
        asked: list[str] = []

        def agree(question: str) -> bool:
            asked.append(question)
            return True

        found = require(False, agree, lambda _: None)
        assert found.python == own_folder() / "bin" / "python"
        assert str(own_folder()) in asked[0]
        assert "hsds==1.0.2" in steps[1]
        assert require(False, lambda _: False, lambda _: None) == found
        assert len(steps) == 2

    def test_an_interrupted_one_is_none(self, steps: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        whole = environment._run

        def interrupted(command: list[str], tell: environment.Tell, *held: int) -> None:
            whole(command, tell, *held)
            if "pip" in command:
                raise KeyboardInterrupt

        monkeypatch.setattr(environment, "_run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            create(lambda _: None)
        assert not own_folder().exists()
        # Killed: everything is there but the last file.
        a_python(own_folder() / "bin" / "python")
        (own_folder() / "left").touch()
        assert find() is None
        monkeypatch.setattr(environment, "_run", whole)
        create(lambda _: None)
        assert not (own_folder() / "left").exists()
        assert (own_folder() / DONE).exists()

    def test_one_that_was_broken_later(self, steps: list[str]) -> None:
        create(lambda _: None)
        (own_folder() / "bin" / "python").unlink()
        assert find() is None
        with pytest.raises(CoverslipError, match="does not start"):
            create(lambda _: None)
        assert find() is None
        create(lambda _: None)
        assert find() is not None


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("NewConnectionError(…)\nERROR: No matching distribution found", CoverslipError, "index"),
        ("OSError: [Errno 28] No space left on device", DiskFull, "room"),
        ("Error: Command '[… -m ensurepip …' returned 1", CoverslipError, "environments"),
        ("ERROR: ResolutionImpossible\n", CoverslipError, "ResolutionImpossible"),
        ("", CoverslipError, "no reason"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_told(said: str, kind: type[CoverslipError], words: str) -> None:
    told = [sys.executable, "-c", f"import sys; print({said!r}); sys.exit(1)"]
    with pytest.raises(kind, match=words) as found:
        environment._run(told, lambda _: None)
    assert VARIABLE in found.value.hint


def test_progress_is_told() -> None:
    lines = "Collecting hsds==1.0.2 (from x)\n  Downloading y\nInstalling collected packages: a, b"
    told: list[str] = []
    environment._run([sys.executable, "-c", f"print({lines!r})"], told.append)
    assert told == ["  collecting hsds==1.0.2", "  unpacking"]


def test_a_step_that_outlives_us_keeps_the_lock(tmp_path: Path) -> None:
    """A killed coverslip leaves pip behind for a moment: nobody else may begin while it writes."""
    with (tmp_path / "lock").open("ab") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        program = "import sys, time; print('Collecting x', flush=True); sys.stdin.read()"
        step = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, pass_fds=(held.fileno(),))
    with pytest.raises(BlockingIOError), locked(tmp_path / "lock", None):
        pass
    step.communicate()
    with locked(tmp_path / "lock", None):
        pass
    with (tmp_path / "lock").open("ab") as held:
        told: list[str] = []
        program = f"import os; print('Collecting', os.fstat({held.fileno()}).st_ino)"
        environment._run([sys.executable, "-c", program], told.append, held.fileno())
    assert told == [f"  collecting {(tmp_path / 'lock').stat().st_ino}"]


def test_two_at_once(tmp_path: Path) -> None:
    with locked(tmp_path / "lock", None), pytest.raises(BlockingIOError), locked(tmp_path / "lock", None):
        pass
    with locked(tmp_path / "lock", None):
        pass


def test_our_environment_is_not_hsds_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_S3_GATEWAY", "BUCKET_NAME", "PYTHONPATH", "HS_PASSWORD"):
        monkeypatch.setenv(name, "x")
    assert (
        plain_environment(LOG_LEVEL="INFO").keys() & {"AWS_S3_GATEWAY", "BUCKET_NAME", "PYTHONPATH", "HS_PASSWORD"}
        == set()
    )
    assert plain_environment(LOG_LEVEL="INFO")["LOG_LEVEL"] == "INFO"

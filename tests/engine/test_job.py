"""Work in a process of its own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from coverslip.engine.job import Job

PATIENCE_S = 60


@pytest.mark.parametrize("module", ["coverslip.gene_indexing", "coverslip.analysing"])
def test_no_code_is_taken_from_the_folder_that_is_served(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("json", "numpy", "coverslip", "sitecustomize"):
        (tmp_path / f"{name}.py").write_text(f"open({str(tmp_path / 'taken')!r}, 'w').close()")
    monkeypatch.chdir(tmp_path)
    over, said = threading.Event(), list[str | None]()

    def finished(error: str | None) -> None:
        said.append(error)
        over.set()

    task = {"path": str(tmp_path / "gone.h5ad"), "target": str(tmp_path / "made"), "folder": str(tmp_path)}
    Job(("-m", module), task, finished)
    assert over.wait(PATIENCE_S)
    assert said[0] is not None
    assert "gone.h5ad" in said[0], "our own code ran, and says what is wrong"
    assert not (tmp_path / "taken").exists()


def test_what_a_library_prints_is_no_word_of_ours(tmp_path: Path) -> None:
    """A number, bytes that are no text, a list too deep: the end is told all the same."""
    over, said = threading.Event(), list[str | None]()

    def finished(error: str | None) -> None:
        said.append(error)
        over.set()

    lines = [b"5", b"\xff\xfe", b"[" * 100_000, b'{"done": 1}', b'{"done": [], "total": 1}', b'{"ready": true}']
    said_by_it = tmp_path / "said"
    said_by_it.write_bytes(b"\n".join(lines) + b"\n")
    code = f"import pathlib, sys; sys.stdout.buffer.write(pathlib.Path({str(said_by_it)!r}).read_bytes())"
    job = Job(("-c", code), {}, finished)
    assert over.wait(PATIENCE_S)
    assert said == [None]
    job.close()

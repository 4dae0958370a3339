"""Formats of other packages, behind a real entry point: in a process of its own, which looks for them anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

PLUG_IN = """
class Everything:
    name = "aaa"
    expects = "anything at all"
    kind = "arrays"
    {rank}

    def claims(self, path, head):
        return True

    def open(self, path):
        raise AssertionError("only claimed, never opened")

FORMAT = Everything()
"""
ASK = """
import sys
from pathlib import Path
from coverslip.formats import formats, recognise

print(*(recognise(Path(name)).name for name in sys.argv[1:-1]), "theirs" in sys.modules)
print(recognise(Path(sys.argv[-1])).name)
print(*(form.name for form in formats() if form.name in ("aaa", "zarr")))
"""


@pytest.mark.parametrize(("rank", "order"), [("", ["aaa", "zarr"]), ("rank = 7", ["zarr", "aaa"])])
def test_it_is_asked_after_ours_that_know_their_files(tmp_path: Path, rank: str, order: list[str]) -> None:
    (tmp_path / "theirs.py").write_text(PLUG_IN.format(rank=rank))
    told = tmp_path / "theirs-1.0.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (told / "entry_points.txt").write_text("[coverslip.formats]\naaa = theirs:FORMAT\n")
    np.save(tmp_path / "ours.npy", np.zeros(3))
    (tmp_path / "other.docx").write_bytes(b"PK")
    paths = [str(tmp_path / name) for name in ("ours.npy", "other.docx")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-c", ASK, *paths]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60)
    assert asked.stdout.splitlines() == ["npy False", "aaa", " ".join(order)]

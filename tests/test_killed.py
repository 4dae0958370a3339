"""Programs that are killed while they write: what is there is whole, and the next one clears up after them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from catalog_files import catalog, toy
from coverslip.domains.cells import Cells
from coverslip.engine.catalog import Catalog
from coverslip.engine.options import CatalogOptions
from coverslip.formats import open_source
from coverslip.preparing import prepare

pytestmark = pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
N, GENES = 400, 12
HERE = Path(__file__).parent


def given(edition: int) -> dict[str, object]:
    import pandas as pd

    draw = np.random.default_rng(edition)
    return {
        "latent_space": draw.normal(size=(N, 3)),
        "obs": pd.DataFrame({"edition": np.full(N, float(edition))}),
        "var": pd.DataFrame(index=[f"G{i}" for i in range(GENES)]),
        "gene_expression": draw.random((N, GENES)).astype("f4"),
        "X_umap_2d": draw.normal(size=(N, 2)),
    }


EXPORTS = """
import sys, itertools
sys.path[:0] = sys.argv[2:]
from test_killed import given
from coverslip.preparing import prepare
for number in itertools.count():
    prepare(**given(number % 2), out_dir=sys.argv[1], force=True)
    print(number, flush=True)
"""


def killed(code: str, *words: str, after: list[tuple[int, float]]) -> None:
    """Run a program again and again, and kill it so many lines and seconds after its start."""
    for lines, wait_s in after:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *words, str(HERE)], stdout=subprocess.PIPE, text=True, cwd=HERE
        )
        assert process.stdout is not None
        for _ in range(lines):
            assert process.stdout.readline()
        time.sleep(wait_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()


def check_export(out: Path) -> None:
    """Every file of an export is there and is of one and the same edition."""
    cells = Cells(open_source(out).root)
    edition = next(e for e in (0, 1) if np.array_equal(cells.expression().gene(0), _genes(e)[:, 0]))
    for g in range(GENES):
        np.testing.assert_array_equal(cells.expression().gene(g), _genes(edition)[:, g])


def _genes(edition: int) -> np.ndarray:
    values = given(edition)["gene_expression"]
    assert isinstance(values, np.ndarray)
    return values


def test_an_export(tmp_path: Path) -> None:
    out = tmp_path / "out"
    killed(EXPORTS, str(out), after=[(1, 0.013), (2, 0.002)])
    check_export(out)
    prepare(**given(1), out_dir=out, force=True)  # type: ignore[arg-type]
    check_export(out)
    assert list(tmp_path.iterdir()) == [out], "the next one clears up"


LISTS = """
import sys, os, itertools
sys.path[:0] = sys.argv[3:]
os.environ["COVERSLIP_CACHE_DIR"] = sys.argv[2]
from pathlib import Path
from test_killed import add, listing
folder = Path(sys.argv[1])
made = listing(folder)
made.start()
for number in itertools.count(len(list(folder.glob("*.toy")))):
    made.look_at(add(folder, number))
    while made.numbers()["sources"] <= number:
        pass
    print(number, flush=True)
"""


def add(folder: Path, number: int) -> Path:
    """A file that is there at once and whole."""
    part = toy(folder / f"{number}.part-of-a-copy", f"word{number}")
    return part.rename(folder / f"{number}.toy")


def listing(folder: Path) -> Catalog:
    return catalog(folder, options=CatalogOptions(quiet_s=0.1, settle_s=0.1))


def test_a_list_of_sources(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was listed keeps its id; all that is on disk is found, and told as it is."""
    folder, cache = tmp_path / "data", tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("COVERSLIP_CACHE_DIR", str(cache))
    ids: dict[str, str] = {}
    for after in ([(3, 0.0)], [(5, 0.007), (2, 0.001)]):
        killed(LISTS, str(folder), str(cache), after=after)
        made = listing(folder)
        with contextlib.closing(made):
            made.start()
            assert made.wait_idle(60)
            rows = made.entries()[0]
            assert {row.path for row in rows} == {path.name for path in folder.glob("*.toy")}
            assert all(row.status == "ready" and row.tensors for row in rows)
            assert {row.path: row.id for row in rows}.items() >= ids.items()
            ids = {row.path: row.id for row in rows}
            for row in rows:
                number = row.path.partition(".")[0]
                assert f"word{number}" in str(made.metadata(row.id))

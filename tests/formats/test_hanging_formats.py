"""Whatever a disk is asked for a file, it may hang there: nobody else waits, for Python's lock is held by nobody.

A real disk in user space hangs at every question that opening and reading a file asks it, one after the other.
"""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import dicom_files
import h5py
import nibabel
import numpy as np
import pytest
import test_bioio
import test_czi
import test_imaris
import test_lif
import test_mrc
import test_n5
import test_nd2
import test_ndtiff
import tifffile

import hanging_disk
import make
import zarr_files
from hanging_disk import Watched

pytestmark = pytest.mark.skipif(not hanging_disk.usable(), reason="no disk can be mounted here")
LONG_S = 30
"""Who says nothing for so long holds the lock."""
MOST = 8
"""So many questions of one file are hung at, evenly."""
DATA = np.arange(3 * 60 * 70, dtype=np.uint16).reshape(3, 60, 70)


def samples(folder: Path) -> None:
    """A file of every kind that has a reader of its own."""
    test_czi.write(folder / "a.czi", {(0, f"C0 Z{z}", 0, 0): plane for z, plane in enumerate(DATA)})
    test_bioio.mrc.imsave(folder / "a.dv", DATA[0])
    test_nd2.write_nd2(folder / "a.nd2", DATA[..., None], [test_nd2.time_loop(3, 100.0)], [("DAPI", 255)])
    test_lif.one(folder / "a.lif")
    test_imaris.write_ims(folder / "a.ims", [DATA[None, None]])
    test_mrc.written(folder / "a.mrc", DATA)
    nibabel.save(nibabel.Nifti1Image(DATA.astype("i2"), np.eye(4)), folder / "a.nii.gz")
    dicom_files.slices(folder / "dicom", DATA)
    planes = {(("z", z),): plane for z, plane in enumerate(DATA)}
    (folder / "ndtiff").mkdir()
    test_ndtiff.write(folder / "ndtiff", planes, {})
    test_n5.write_n5(folder / "a.n5", DATA)
    tifffile.imwrite(folder / "a.ome.tif", DATA, metadata={"axes": "ZYX"}, tile=(32, 32))
    for number, plane in enumerate(DATA):
        tifffile.imwrite(folder / "sequence" / f"t{number}.tif", plane)
    scales = {"axes": zarr_files.axes("zyx"), "datasets": zarr_files.datasets(1, [1.0, 1.0, 1.0])}
    zarr_files.write_image(folder / "a.zarr", [DATA], {"multiscales": [scales]})
    np.save(folder / "a.npy", DATA)
    make.adata().write_h5ad(folder / "a.h5ad")
    with h5py.File(folder / "a.h5", "w") as file:
        file["x/y"] = DATA


NAMES = (
    "a.czi", "a.dv", "a.nd2", "a.lif", "a.ims", "a.mrc", "a.nii.gz", "dicom", "ndtiff", "a.n5", "a.ome.tif", "sequence",
    "a.zarr", "a.npy", "a.h5ad", "a.h5",
)  # fmt: skip


@dataclass
class Told:
    """What the program said of one file."""

    asked: int
    wrong: str
    on: int = 0
    held: list[int] = field(default_factory=list)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Told]]:
    folder = tmp_path_factory.mktemp("data")
    (folder / "sequence").mkdir()
    samples(folder)
    base = tmp_path_factory.mktemp("hanging")
    watched = base / "watched"
    Watched(watched)
    with hanging_disk.hanging_disk(folder, base / "nas", watched) as disk:
        yield asked_everywhere(disk, watched)


def asked_everywhere(disk: hanging_disk.Mounted, watched: Path) -> dict[str, Told]:
    """Run the program over every file; a disk whose hanging stops it is let go on after a while."""
    program = Path(hanging_disk.__file__).with_name("hanging_probe.py")
    paths = [str(disk.point / name) for name in NAMES]
    command = [sys.executable, str(program), str(watched), str(disk.pid), str(MOST), *paths]
    found: dict[str, Told] = {}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_lines, args=(process.stdout, lines)).start()
        at, rescued = 0, False
        while True:
            try:
                line = lines.get(timeout=LONG_S)
            except queue.Empty:
                rescued = True
                os.kill(disk.pid, signal.SIGCONT)
                continue
            word, _, rest = line.strip().partition(" ")
            if word == "path":
                name, asked, *wrong = rest.split(" ", 2)
                now = found[name] = Told(int(asked), " ".join(wrong))
            elif word == "at":
                at, rescued = int(rest), False
            elif word == "on" and rescued:
                now.held.append(at)
            elif word == "on":
                now.on += 1
            elif word in ("over", ""):
                break
        process.kill()
        assert process.stderr is not None
        assert word == "over", process.stderr.read()
    return found


def _lines(out: Iterable[str], lines: queue.Queue[str]) -> None:
    for line in out:
        lines.put(line)
    lines.put("")


@pytest.mark.parametrize("name", NAMES)
def test_nobody_else_waits(told: dict[str, Told], name: str) -> None:
    seen = told[name]
    assert not seen.wrong
    assert seen.held == [], "at these questions the whole process stood still"
    assert seen.on > 3, "it did hang"

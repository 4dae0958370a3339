"""A folder of uploads, what is put into it, and what comes back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

import numpy as np
import pytest

from coverslip.core.ngff import Axis
from coverslip.domains.images import Images
from coverslip.engine.overlay import Nothing
from coverslip.engine.upload import Declared, Target
from coverslip.engine.uploads import Uploads

AXES = (Axis("z", 2.0, "micrometer"), Axis("y", 0.5, "micrometer"), Axis("x", 0.5, "micrometer"))
RNG = np.random.default_rng(7)
PIXELS = RNG.integers(0, 4000, (3, 50, 70), dtype=np.uint16)


def declared(name: str = "scratch/@fields/liver", **more: object) -> Declared:
    given: dict[str, object] = {"shape": (3, 50, 70), "dtype": "<u2", "chunks": (1, 32, 32), "axes": AXES, **more}
    return Declared.of(Target.of(name), **given)  # type: ignore[arg-type]


def chunks(of: Declared) -> list[tuple[int, ...]]:
    return list(product(*map(range, of.counts)))


def part(of: Declared, index: tuple[int, ...], pixels: np.ndarray = PIXELS) -> np.ndarray:
    start, stop = of.bounds(index)
    return pixels[tuple(slice(a, b) for a, b in zip(start, stop, strict=True))]


@pytest.fixture
def uploads(tmp_path: Path) -> Iterator[Uploads]:
    made = Uploads(tmp_path / "uploads")
    yield made
    made.close()


def again(uploads: Uploads) -> Uploads:
    """The same folder as another server finds it."""
    uploads.close()
    return Uploads(uploads.folder)


def read(uploads: Uploads, source: str, path: str) -> np.ndarray:
    image = Images(uploads.overlay(source, Nothing()))[path]
    return np.asarray(image.array.read_all())

"""The long tail: a real plug-in of bioio (DeltaVision, written by the library it reads with), and one made here.

The one made here implements bioio's own ``Reader`` and lies behind a real entry point; it has what DeltaVision files
have not: scenes, samples of colour, and faults.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bioio.plugins
import mrc
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, UnknownFormat, Unreadable, Unsupported
from coverslip.formats import open_source, recognise
from coverslip.formats.bioio_longtail import LongTail
from coverslip.formats.trees.vendor_bioio import extensions
from coverslip.testing import FormatTests, Golden

RNG = np.random.default_rng(4)

PLUGIN = '''
import dask.array as da
import numpy as np
import xarray as xr
from bioio_base.reader import Reader as Base
from bioio_base.types import PhysicalPixelSizes
from bioio_base.io import pathlike_to_fs


class Reader(Base):
    """Scenes of a .scope file: numpy arrays in one .npz, by name and axes; long ones frame by frame."""

    def __init__(self, image, fs_kwargs={}):
        self._fs, self._path = pathlike_to_fs(image, enforce_exists=True, fs_kwargs=fs_kwargs)
        with open(self._path, "rb") as stream, np.load(stream) as file:
            self._scenes = tuple(key for key in file.files if key.count("|") == 1)

    @staticmethod
    def _is_supported_image(fs, path, **kwargs):
        return True

    @property
    def scenes(self):
        return self._scenes

    def _read_immediate(self):
        return self._read_delayed().compute()

    def _read_delayed(self):
        path, key = self._path, self.current_scene
        name, axes = key.split("|")[:2]
        with open(path, "rb") as stream, np.load(stream) as file:
            frames = [k for k in file.files if k.startswith(key + "|")]
            first = file[frames[0] if frames else key]
        dtype, chunks = first.dtype, tuple((n,) for n in first.shape)

        def plane(block_info=None):
            if "fault" in name:
                raise RuntimeError("the stage\\nfell off")
            with open(path, "rb") as stream, np.load(stream) as file:
                return file[frames[block_info[None]["chunk-location"][0]]][None] if frames else file[key]

        data = da.map_blocks(plane, dtype=dtype, chunks=((1,) * len(frames), *chunks) if frames else chunks)
        coords = {"C": ["one", "two"]} if "C" in axes else {}
        return xr.DataArray(data, dims=list(axes), coords=coords, attrs={"unprocessed": {"owner": "me", "at": path}})

    @property
    def physical_pixel_sizes(self):
        return PhysicalPixelSizes(2.0, 0.5, 0.5)
'''
METADATA = """
import bioio_base.reader_metadata


class ReaderMetadata(bioio_base.reader_metadata.ReaderMetadata):
    @staticmethod
    def get_supported_extensions():
        return [".scope", "png"]

    @staticmethod
    def get_reader():
        from .reader import Reader

        return Reader
"""


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the plug-in in it, on the path of Python."""
    site = tmp_path / "site"
    package, facts = site / "bioio_scope", site / "bioio_scope-1.0.dist-info"
    package.mkdir(parents=True)
    facts.mkdir()
    (package / "__init__.py").write_text("from .reader_metadata import ReaderMetadata\n")
    (package / "reader_metadata.py").write_text(METADATA)
    (package / "reader.py").write_text(PLUGIN)
    (facts / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: bioio-scope\nVersion: 1.0\nRequires-Dist: bioio-base\n"
    )
    (facts / "entry_points.txt").write_text("[bioio.readers]\nbioio-scope = bioio_scope\n")
    monkeypatch.syspath_prepend(str(site))
    extensions.cache_clear()
    bioio.plugins.plugins_by_ext_cache.clear()
    yield site
    for name in [m for m in sys.modules if m.startswith("bioio_scope")]:
        del sys.modules[name]
    extensions.cache_clear()
    bioio.plugins.plugins_by_ext_cache.clear()


class TestDeltaVision(FormatTests):
    """A file of a widefield microscope that no format of our own reads."""

    format_name = "bioio"
    data = RNG.integers(0, 4096, (3, 5, 24, 31)).astype("<i2")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "cells.dv"
        mrc.save(self.data, str(path), zAxisOrder="t,z", metadata={"dx": 0.1, "dy": 0.1, "dz": 0.25})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        np.testing.assert_array_equal(np.asarray(mrc.imread(str(sample))), self.data)
        return {"": Golden(self.data[:, None], "tczyx", {"x": 0.1, "y": 0.1, "z": 0.25}, "micrometer")}


class TestLarge(FormatTests):
    """A plug-in that reads frame by frame is not asked for more than one of them."""

    format_name = "bioio"
    data = RNG.integers(0, 4096, (24, 256, 256)).astype("u2")

    @pytest.fixture
    def sample(self, tmp_path: Path, plugin: Path) -> Path:
        path = tmp_path / "large.scope"
        frames = {f"movie|TYX|{t}": frame for t, frame in enumerate(self.data)}
        with path.open("wb") as file:
            np.savez(file, **{"movie|TYX": np.zeros(0)}, **frames)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data[:, None, None], "tczyx", {"x": 0.5}, "micrometer")}


class TestScenes(FormatTests):
    """Scenes with channels, and with colour."""

    format_name = "bioio"
    stack = RNG.integers(0, 255, (2, 3, 8, 9)).astype("u1")
    colour = RNG.integers(0, 9999, (7, 6, 3)).astype(">u2")

    @pytest.fixture
    def sample(self, tmp_path: Path, plugin: Path) -> Path:
        path = tmp_path / "a.scope"
        with path.open("wb") as file:
            np.savez(file, **{"stack|CZYX": self.stack, "colour|YXS": self.colour})
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        names, steps = ("one", "two"), {"x": 0.5, "y": 0.5, "z": 2.0}
        pixels = self.colour.transpose(2, 0, 1)[None, :, None]
        return {
            "stack|CZYX": Golden(self.stack[None], "tczyx", steps, "micrometer", names),
            "colour|YXS": Golden(pixels, "tczyx", steps, "micrometer", ("Red", "Green", "Blue"), rgb=True),
        }


def test_a_plug_in_that_stumbles(tmp_path: Path, plugin: Path) -> None:
    with (tmp_path / "a.scope").open("wb") as file:
        np.savez(file, **{"fault|YX": np.zeros((4, 5))})
    source = open_source(tmp_path / "a.scope")
    with pytest.raises(Damaged, match="the stage") as caught:
        source.root.array("0").read_all()
    assert "\n" not in str(caught.value)
    source.close()
    with pytest.raises(Unreadable):
        source.root.array("0").read_all()


def test_a_file_the_plug_in_cannot_open(tmp_path: Path, plugin: Path) -> None:
    (tmp_path / "a.scope").write_bytes(b"nothing of the kind")
    with pytest.raises(CoverslipError):
        open_source(tmp_path / "a.scope")


def test_a_file_that_only_has_the_suffix(tmp_path: Path) -> None:
    (tmp_path / "a.dv").write_bytes(b"nothing of the kind" * 100)
    with pytest.raises((Unsupported, Damaged)):
        open_source(tmp_path / "a.dv")


def test_pictures_are_not_claimed(tmp_path: Path, plugin: Path) -> None:
    assert "scope" in extensions()
    assert "png" not in extensions()
    (tmp_path / "figure.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(50))
    with pytest.raises(UnknownFormat):
        recognise(tmp_path / "figure.png")


def test_claiming_imports_no_plug_in(tmp_path: Path, plugin: Path) -> None:
    (plugin / "bioio_scope" / "__init__.py").write_text("raise SystemError('imported')\n")
    assert LongTail().claims(tmp_path / "a.SCOPE", b"x")
    assert not LongTail().claims(tmp_path / "a.scopes", b"x")


def test_a_plug_in_that_computes_its_extensions_is_asked(tmp_path: Path, plugin: Path) -> None:
    listed = (plugin / "bioio_scope" / "reader_metadata.py").read_text()
    computed = listed.replace('[".scope", "png"]', '[".sco" + "pe2"]')
    assert computed != listed
    (plugin / "bioio_scope" / "reader_metadata.py").write_text(computed)
    assert "scope2" in extensions()


def test_a_plug_in_that_cannot_be_loaded_hides_no_other(plugin: Path) -> None:
    (plugin / "bioio_scope" / "reader_metadata.py").unlink()
    assert "dv" in extensions()
    assert "scope" not in extensions()


def test_it_costs_nothing_without_bioio() -> None:
    """Asked about a file that nobody reads, a process without bioio imports none of what this needs."""
    code = """
import sys, importlib.util
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == "bioio" else find(name, *a)
from coverslip.formats import bioio_longtail, formats
assert bioio_longtail.FORMAT is None
assert "bioio" not in [f.name for f in formats()]
assert not {"dask", "xarray", "bioio", "bioio_base"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", code], check=True)

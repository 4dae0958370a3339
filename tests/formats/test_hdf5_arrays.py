"""HDF5 of any kind: each array of numbers as an image, against h5py."""

from __future__ import annotations

import gc
import json
import math
from pathlib import Path
from typing import Any, ClassVar

import h5py
import hdf5plugin
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.domains.images import Images
from coverslip.formats import formats, open_source, recognise
from coverslip.formats.trees.hdf5 import H5Array
from coverslip.formats.trees.hdf5_chunks import H5Chunks
from coverslip.testing import FormatTests
from coverslip.testing.formats import Golden
from fuzz import rounds
from zarr_files import pixels

FILTERS: dict[str, dict[str, Any]] = {
    "gzip": {"compression": "gzip"},
    "shuffled": {"compression": "gzip", "shuffle": True},
    "checked": {"compression": "gzip", "shuffle": True, "fletcher32": True},
    "only-checked": {"fletcher32": True},
    "lzf": {"compression": "lzf"},
    "szip": {"compression": "szip"},
    "lz4": dict(hdf5plugin.LZ4()),
    "zstd": dict(hdf5plugin.Zstd()),
    "blosc": dict(hdf5plugin.Blosc(cname="lz4", shuffle=2)),
    "none": {},
}


class Hdf5(FormatTests):
    format_name = "hdf5"


class TestTree(Hdf5):
    """Arrays in groups, contiguous, chunked and big-endian; text, records and scalars are none."""

    data: ClassVar = {
        "raw": pixels((5, 6, 7), "uint16"),
        "entry/gzip": pixels((40, 50), "float32"),
        "entry/deep/big": pixels((9, 4), ">i4"),
        "entry/deep/big_gzip": pixels((9, 4), ">f8"),
        "line": pixels((30,), "int64"),
        "many": pixels((2, 2, 3, 4, 5), "uint8"),
        "flags": pixels((6, 6), "bool"),
    }
    names: ClassVar = {"raw": "zyx", "line": "x"}
    raw_key = None

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            for name, data in self.data.items():
                file.create_dataset(name, data=data, **({"compression": "gzip"} if "gzip" in name else {}))
            file["text"] = ["a", "b"]
            file["scalar"] = 5.0
            file["records"] = np.zeros(3, [("a", "i4"), ("b", "f4")])
            file.create_dataset("empty", (0, 4), "i4", maxshape=(None, 4))
            file["entry"].attrs["made"] = "here"
            file["again"] = file["entry"]  # another hard link
            file["alias"] = h5py.SoftLink("/raw")
            file["entry/up"] = file["/"]  # a circle
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        found = {}
        for name, data in self.data.items():
            axes = "yx" if data.ndim == 2 else self.names.get(name, "")
            if axes:
                where = name if name in ("raw", "line", "flags") else name.replace("entry", "again")
                found[where] = Golden(data, axes)
        return found

    def test_every_array_is_offered_once(self, source: Any) -> None:
        assert set(Images(source).paths) == {n.replace("entry", "again") for n in self.data}
        assert source.root["again"].attrs["coverslip"]["raw"] == {"made": "here"}
        assert "left_out" not in source.root.attrs["coverslip"]

    def test_axes_that_have_no_name_and_no_place(self, source: Any) -> None:
        axes = source.root["many"].attrs["ome"]["multiscales"][0]["axes"]
        assert [a["name"] for a in axes] == ["d0", "d1", "z", "y", "x"]


class TestOnlyArray(Hdf5):
    """A file of one array is that array."""

    data = pixels((12, 13), "uint8")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "one.hdf5"
        with h5py.File(path, "w") as file:
            file.create_dataset("exchange/data", data=self.data, chunks=(5, 5), compression="gzip")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "yx")}


class TestImageJ(Hdf5):
    """``element_size_um`` is z, y, x in micrometres."""

    data: ClassVar = {f"t{t}/channel{c}": pixels((3, 8, 9), "uint16", 2 * t + c) for t in (0, 1) for c in (0, 1)}
    raw_key = "element_size_um"

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "ij.h5"
        with h5py.File(path, "w") as file:
            for name, data in self.data.items():
                file.create_dataset(name, data=data, compression="gzip", shuffle=True)
                file[name].attrs["element_size_um"] = np.array([1.5, 0.25, 0.2], "f4")
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {n: Golden(d, "zyx", {"z": 1.5, "y": 0.25, "x": 0.2}, "micrometer") for n, d in self.data.items()}


class TestIlastik(Hdf5):
    """``axistags`` name the axes; channels come last in the file."""

    data = pixels((2, 4, 8, 9, 3), "float32")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "Probabilities.h5"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("exported_data", data=self.data, chunks=(1, 4, 8, 8, 3), compression="gzip")
            dataset.attrs["axistags"] = json.dumps({"axes": [{"key": k, "typeFlags": 2} for k in "tzyxc"]})
            dataset.attrs["element_size_um"] = [2.0, 1.0, 0.5]
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data.transpose(0, 4, 1, 2, 3), "tczyx", {"z": 2.0, "x": 0.5}, "micrometer")}


class TestNetcdf(Hdf5):
    """Dimension scales name the axes, in a netCDF 4 file."""

    air, y = pixels((3, 4, 5), "float32"), pixels((4,), "float64")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "air.nc"
        with h5py.File(path, "w") as file:
            file["air"] = self.air
            for i, name in enumerate(("t", "y", "x")):
                file[name] = self.y if name == "y" else np.arange(1, self.air.shape[i] + 1, dtype="f8")
                file[name].make_scale(name)
                file["air"].dims[i].attach_scale(file[name])
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"air": Golden(self.air, "tyx"), "y": Golden(self.y, "y")}


class TestLarge(Hdf5):
    """Opening reads no chunk; a pixel reads one."""

    data = pixels((16, 256, 256), "uint16")

    @pytest.fixture
    def sample(self, tmp_path: Path) -> Path:
        path = tmp_path / "large.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("x", data=self.data, chunks=(4, 64, 64), compression="gzip", compression_opts=1)
        return path

    def golden(self, sample: Path) -> dict[str, Golden]:
        return {"": Golden(self.data, "zyx")}


def test_labels_of_dimensions(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["a"] = pixels((2, 3, 4), "uint8")
        for axis, label in zip(file["a"].dims, ("energy", "y", "x"), strict=True):
            axis.label = label
        file["b"] = pixels((2, 3), "uint8")
        file["b"].dims[0].label = "y"  # the other has none
    source = open_source(path)
    names = {n: [a["name"] for a in source.root[n].attrs["ome"]["multiscales"][0]["axes"]] for n in ("a", "b")}
    assert names == {"a": ["energy", "y", "x"], "b": ["y", "x"]}
    source.close()


@pytest.mark.parametrize("name", list(FILTERS))
@pytest.mark.parametrize("dtype", ["uint8", "<i2", ">u4", "float64"])
def test_every_filter(tmp_path: Path, name: str, dtype: str) -> None:
    data = pixels((33, 47), dtype)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, chunks=(16, 20), **FILTERS[name])
    source = open_source(path)
    array = source.root.array("0")
    assert isinstance(array, H5Chunks) == (name not in ("lzf", "szip", "none"))
    found = array.read_all()
    np.testing.assert_array_equal(found, data)
    assert found.dtype == data.dtype.newbyteorder("=")
    source.close()


def test_chunks_that_are_not_stored_hold_the_fill_value(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        dataset = file.create_dataset("x", (40, 40), "int16", chunks=(16, 16), compression="gzip", fillvalue=-3)
        dataset[:16, 16:32] = 7
        golden = dataset[...]
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), golden)
    source.close()


def test_a_damaged_fill_value_does_not_end_the_process(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=pixels((8, 8), "uint16"), chunks=(4, 4), compression="gzip", fillvalue=7)
    whole = path.read_bytes()
    assert whole.count(b"\1\2\0\0\0\7\0") == 1  # that there is one, its size, and seven
    path.write_bytes(whole.replace(b"\1\2\0\0\0\7\0", b"\1\2\0\0\x80\7\0"))
    with pytest.raises(Unsupported, match="fill-value"):
        open_source(path)


def test_closing_leaves_nothing_to_the_garbage_collector(tmp_path: Path) -> None:
    """It may run in a thread that must not wait for HDF5's lock, the one that answers requests."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("deep/x", data=pixels((8, 8), "uint16"), chunks=(4, 4), compression="gzip")
        file["y"] = pixels((8, 8), "uint16")
    gc.collect()
    gc.disable()
    try:
        source = open_source(path)
        for image in Images(source):
            image.array.read_all()
        del image
        source.close()
        del source
        assert not [thing for thing in gc.get_objects() if isinstance(thing, H5Array)]
    finally:
        gc.enable()


def test_other_conventions_are_left_to_their_formats(tmp_path: Path) -> None:
    form = next(f for f in formats() if f.name == "hdf5")
    for members in (("obs/_index", "var/_index", "X"), ("H5Types/x", "Populations/A/x")):
        path = tmp_path / "a.h5"
        with h5py.File(path, "w") as file:
            for member in members:
                file[member] = np.arange(4)
        assert not form.claims(path, path.read_bytes()[:4096])


def test_arrays_of_other_files_are_told_and_not_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = np.arange(4)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["own"] = np.arange(5)
        file["other"] = h5py.ExternalLink("secret.h5", "/x")
        layout = h5py.VirtualLayout((4,), "i8")
        layout[:] = h5py.VirtualSource("secret.h5", "x", (4,))
        file.create_virtual_dataset("virtual", layout)
    source = open_source(path)
    assert Images(source).paths == ("own",)
    assert set(source.root.attrs["coverslip"]["left_out"]) == {"other", "virtual"}
    source.close()


def test_files_without_numbers_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["text"] = ["a"]
    with pytest.raises(Unsupported):
        open_source(path)


@pytest.mark.parametrize("name", ["gzip", "checked", "lz4", "zstd", "blosc", "none"])
def test_damaged_files_are_told(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.h5"
    data = pixels((64, 64), "uint16")
    with h5py.File(path, "w") as file:
        file.create_dataset("x", data=data, chunks=(32, 32), **FILTERS[name])
    whole = path.read_bytes()
    rng = np.random.default_rng(2)
    told = 0
    for trial in rounds(60):
        broken = bytearray(whole)
        if trial % 3:
            for at in rng.integers(0, len(broken), 20):
                broken[at] ^= int(rng.integers(1, 256))
        else:
            del broken[int(rng.integers(8, len(broken))) :]
        path.write_bytes(broken)
        try:
            source = open_source(path)
        except CoverslipError:
            told += 1
            continue
        try:
            for image in Images(source):
                if math.prod(image.array.spec.shape) < 1 << 24:
                    assert image.array.read_all().shape == image.array.spec.shape
        except CoverslipError:
            told += 1
        finally:
            source.close()
    assert told >= 20


def test_a_damaged_hdf5_file_is_called_damaged(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(3000))
    assert recognise(path).name == "hdf5"
    with pytest.raises(Damaged):
        open_source(path)

"""NIfTI against nibabel: its own test files, and files it writes."""

import gzip
import json
import shutil
import struct
from pathlib import Path

import nibabel
import numpy as np
import pytest

from coverslip.core.errors import CoverslipError, Damaged, Unreadable, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source, recognise
from coverslip.formats.nifti import FORMAT
from coverslip.formats.trees import flat, gzip_index
from coverslip.testing import FormatTests, Golden
from formats.damaged import refused

DATA = Path(nibabel.__file__).parent / "tests" / "data"
RNG = np.random.default_rng(5)


def written(path, values, kind=nibabel.Nifti1Image, units=("mm", "sec"), zooms=None, **fields):
    image = kind(values, np.diag([2.0, 3.0, 4.0, 1.0]))
    image.header.set_xyzt_units(*units)
    if zooms:
        image.header.set_zooms(zooms)
    for key, value in fields.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def ints(shape, dtype="int16"):
    return RNG.integers(0, 250, shape).astype(dtype)


def peer(path):
    """Stored values as nibabel reads them, slowest axis first."""
    return np.asarray(nibabel.load(path).dataobj.get_unscaled()).T


class NiftiTests(FormatTests):
    format_name = "nifti"
    raw_key = "pixdim"


class TestRealVolume(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(DATA / "anatomical.nii", tmp_path))

    def golden(self, sample):
        steps = dict.fromkeys("zyx", 2.0)
        return {"": Golden(peer(sample).astype("i2"), "zyx", steps=steps, unit="millimeter")}


class TestRealCompressedSeries(NiftiTests):
    reads_whole_once = True

    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(DATA / "example4d.nii.gz", tmp_path))

    def golden(self, sample):
        zooms = nibabel.load(sample).header.get_zooms()
        steps = dict(zip("xyzt", map(float, zooms), strict=True))
        return {"": Golden(peer(sample).astype("i2"), "tzyx", steps=steps, unit="millimeter")}


class TestRealNifti2(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(DATA / "example_nifti2.nii.gz", tmp_path))

    def golden(self, sample):
        return {"": Golden(peer(sample).astype("i2"), "tzyx")}


class TestRealFloat(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(DATA / "reoriented_anat_moved.nii", tmp_path))

    def golden(self, sample):
        return {"": Golden(peer(sample).astype("f4"), "zyx", steps=dict.fromkeys("zyx", 4.0))}


class TestBigEndian(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        values = ints((7, 6, 5, 4), "uint16")
        header = nibabel.Nifti1Header(endianness=">")
        header.set_data_dtype(">u2")
        header.set_xyzt_units("micron", "msec")
        image = nibabel.Nifti1Image(values, np.eye(4), header)
        image.header.set_zooms((0.5, 0.25, 2.0, 40.0))
        path = tmp_path / "big.nii"
        nibabel.save(image, path)
        assert path.read_bytes()[:4] == struct.pack(">i", 348)
        return path

    def golden(self, sample):
        steps = {"x": 0.5, "y": 0.25, "z": 2.0, "t": 40.0}
        return {"": Golden(peer(sample).astype("u2"), "tzyx", steps=steps, unit="micrometer")}


class TestPair(NiftiTests):
    can_be_truncated = False  # the pair is two files; see test_a_pair_in_pieces

    @pytest.fixture
    def sample(self, tmp_path):
        return Path(written(tmp_path / "pair.hdr", ints((5, 6, 7), "int32"), nibabel.Nifti1Pair))

    def golden(self, sample):
        return {"": Golden(peer(sample).astype("i4"), "zyx", steps={"x": 2.0, "y": 3.0, "z": 4.0})}

    def test_a_change_is_seen(self, sample):
        before = open_source(sample)
        image = sample.with_suffix(".img")
        image.write_bytes(image.read_bytes() + b"\0")
        assert not before.fresh()
        before.close()

    def test_members(self, sample):
        assert FORMAT.members(sample) == [sample, sample.with_suffix(".img")]


class TestRgb(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        values = ints((9, 8, 4, 3), "uint8")
        records = np.ascontiguousarray(values).view([("R", "u1"), ("G", "u1"), ("B", "u1")])[..., 0]
        return Path(written(tmp_path / "rgb.nii.gz", records))

    def golden(self, sample):
        records = np.asarray(nibabel.load(sample).dataobj)
        planes = np.stack([records[name].T for name in "RGB"])
        labels, colors = ("Red", "Green", "Blue"), ("FF0000", "00FF00", "0000FF")
        return {"": Golden(planes, "czyx", channels=labels, colors=colors, rgb=True, steps={"y": 3.0})}


class TestComplex(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        values = (RNG.normal(size=(6, 5, 4)) + 1j * RNG.normal(size=(6, 5, 4))).astype("c8")
        return Path(written(tmp_path / "complex.nii", values))

    def golden(self, sample):
        values = peer(sample)
        return {"": Golden(np.stack([values.real, values.imag]), "czyx", channels=("Real", "Imaginary"))}


class TestVectors(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        values = RNG.normal(size=(6, 5, 4, 1, 3)).astype("f8")
        return Path(written(tmp_path / "field.nii", values, intent_code=1007))

    def golden(self, sample):
        return {"": Golden(peer(sample)[:, 0].astype("f8"), "czyx", steps={"c": 1.0, "x": 2.0})}


class TestOnePlane(NiftiTests):
    @pytest.fixture
    def sample(self, tmp_path):
        return Path(written(tmp_path / "plane.nii", ints((40, 30), "uint8"), nibabel.Nifti2Image))

    def golden(self, sample):
        return {"": Golden(peer(sample), "yx", steps={"x": 2.0, "y": 3.0})}


class TestLarge(NiftiTests):
    """Opening reads the header only; a pixel reads its row."""

    values = ints((256, 128, 40))

    @pytest.fixture
    def sample(self, tmp_path):
        return Path(written(tmp_path / "large.nii", self.values))

    def golden(self, sample):
        return {"": Golden(self.values.T, "zyx", steps={"z": 4.0}, unit="millimeter")}


class TestLargeCompressed(TestLarge):
    """Opening inflates no more than the header; the first pixel goes through the whole stream, for its checksum."""

    reads_whole_once = True

    @pytest.fixture
    def sample(self, once):
        return once(lambda folder: Path(written(folder / "large.nii.gz", self.values)))


@pytest.fixture
def volume(tmp_path):
    """An int16 volume of 200 planes."""
    values = ints((64, 48, 200))
    return Path(written(tmp_path / "volume.nii.gz", values)), values.T


def test_scaling_and_window_are_metadata(tmp_path):
    fields = {"scl_slope": 2.0, "scl_inter": -10.0, "cal_min": -10.0, "cal_max": 90.0}
    image = nibabel.Nifti1Image(ints((4, 4, 4)), np.eye(4))
    nibabel.save(image, tmp_path / "a.nii")
    head = bytearray((tmp_path / "a.nii").read_bytes())
    header = nibabel.Nifti1Header(bytes(head[:348]), check=False)
    for key, value in fields.items():
        header.structarr[key] = value
    (tmp_path / "a.nii").write_bytes(header.binaryblock + bytes(head[348:]))
    source = open_source(tmp_path / "a.nii")
    assert source.root.array("0").spec.dtype == np.int16
    assert source.root.attrs["coverslip"]["raw"]["rescale"] == {"slope": 2.0, "intercept": -10.0}
    window = source.root.attrs["ome"]["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == (0.0, 50.0)
    np.testing.assert_array_equal(source.root.array("0").read_all(), np.asarray(image.dataobj).T)
    source.close()


def test_labels_and_names_of_people(tmp_path):
    path = written(
        tmp_path / "labels.nii", ints((4, 4, 4), "uint8"), intent_code=1002, db_name=b"Zebediah", descrip=b"FSL"
    )
    source = open_source(path)
    assert "image-label" in source.root.attrs["ome"]
    text = json.dumps(dict(source.root.attrs))
    assert "Zebediah" not in text
    assert "FSL" in text
    source.close()


def test_a_compressed_slice_does_not_start_again(volume, monkeypatch):
    path, golden = volume
    source = open_source(path)
    array = source.root.array("0")
    array.read(Box((0, 0, 0), (1, 48, 64)))
    asked = []
    inflate = gzip_index.GzipBytes._inflate
    monkeypatch.setattr(
        gzip_index.GzipBytes, "_inflate", lambda self, o, n: asked.append((o, n)) or inflate(self, o, n)
    )
    gzip_index.BLOCKS.forget(array._data._key)
    for z in (199, 3, 150):
        np.testing.assert_array_equal(array.read(Box((z, 0, 0), (z + 1, 48, 64)))[0], golden[z])
    assert asked
    assert all(count == gzip_index.BLOCK for _, count in asked)
    again = len(asked)
    np.testing.assert_array_equal(array.read(Box((150, 0, 0), (151, 48, 64)))[0], golden[150])
    assert len(asked) == again
    source.close()
    with pytest.raises(Unreadable):
        array.read_all()


def test_a_wrong_checksum_is_found(volume):
    path, _ = volume
    data = bytearray(path.read_bytes())
    data[-6] ^= 0xFF
    path.write_bytes(data)
    source = open_source(path)
    with pytest.raises(Damaged, match="checksum"):
        source.root.array("0").read(Box((0, 0, 0), (1, 1, 1)))
    source.close()


def test_a_slice_reads_its_rows_only(tmp_path, monkeypatch):
    values = ints((64, 48, 200))
    path = written(tmp_path / "volume.nii", values)
    source = open_source(path)
    asked = []
    read = flat.FlatArray._run
    monkeypatch.setattr(flat.FlatArray, "_run", lambda self, at, n: asked.append(n) or read(self, at, n))
    part = source.root.array("0").read(Box((10, 5, 3), (11, 9, 60)))
    np.testing.assert_array_equal(part[0], values.T[10, 5:9, 3:60])
    assert sum(asked) == 4 * 64
    source.close()


def test_wide_rows_are_read_in_part(tmp_path, monkeypatch):
    values = ints((20000, 6), "float32")
    source = open_source(written(tmp_path / "wide.nii", values))
    asked = []
    read = flat.FlatArray._run
    monkeypatch.setattr(flat.FlatArray, "_run", lambda self, at, n: asked.append(n) or read(self, at, n))
    np.testing.assert_array_equal(source.root.array("0").read(Box((1, 50), (5, 60))), values.T[1:5, 50:60])
    assert asked == [10] * 4
    source.close()


def test_a_pair_in_pieces(tmp_path):
    path = written(tmp_path / "pair.hdr", ints((5, 6, 7)), nibabel.Nifti1Pair)
    image = path.with_suffix(".img")
    whole = image.read_bytes()
    image.write_bytes(whole[:-1])
    with pytest.raises(Damaged):
        open_source(path)
    image.unlink()
    with pytest.raises(Damaged, match="The pixels of pair"):
        open_source(path)


def test_what_is_not_read(tmp_path):
    with pytest.raises(Unsupported, match="CIFTI"):
        open_source(DATA / "row_major.dconn.nii")
    data = bytearray((DATA / "anatomical.nii").read_bytes())
    struct.pack_into(">hh", data, 70, 1536, 128)  # datatype FLOAT128, bitpix
    (tmp_path / "long.nii").write_bytes(bytes(data) * 9)
    with pytest.raises(Unsupported):
        open_source(tmp_path / "long.nii")


def test_recognised_by_content(tmp_path):
    path = written(tmp_path / "a.nii.gz", ints((4, 4, 4)))
    other = path.rename(tmp_path / "a.gz")
    assert recognise(other).name == "nifti"
    (tmp_path / "b.gz").write_bytes(gzip.compress(b"text" * 1000))
    with pytest.raises(CoverslipError):
        recognise(tmp_path / "b.gz")
    (tmp_path / "c.hdr").write_bytes((DATA / "analyze.hdr").read_bytes())
    with pytest.raises(CoverslipError):
        recognise(tmp_path / "c.hdr")


@pytest.mark.parametrize("name", ["anatomical.nii", "example_nifti2.nii.gz", "standard.nii.gz"])
def test_damage_is_always_named(tmp_path, name):
    assert refused(FORMAT, (DATA / name).read_bytes(), tmp_path, f"-{name}", 11, 90, 360) > 24

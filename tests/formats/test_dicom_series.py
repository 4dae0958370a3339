"""Folders of DICOM files: series, their places in space and time, and what else lies there."""

import os
import random
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
from dicom_tests import DicomFolder, _opens, ints, raw, real

from coverslip.core.errors import UnknownFormat, Unsupported
from coverslip.formats import open_source, recognise
from coverslip.formats.dicom import FORMAT
from coverslip.testing import Golden
from formats.dicom_files import NORMAL, dataset, save, slices


class TestSeries(DicomFolder):
    volume = ints((6, 20, 30))

    @pytest.fixture
    def sample(self, tmp_path):
        folder = slices(tmp_path / "series", self.volume, step=2.5)
        (folder / "notes.txt").write_text("not DICOM")
        (folder / ".hidden").write_text("not looked at")
        return folder

    def golden(self, sample):
        steps = {"z": 2.5, "y": 0.7, "x": 0.5}
        return {"": Golden(self.volume, "zyx", steps=steps, unit="millimeter")}

    def test_members(self, sample):
        members = FORMAT.members(sample)
        assert members[0] == sample
        assert sorted(members[1:]) == sorted(sample.glob("IM*"))

    def test_a_new_slice_is_seen(self, sample, source):
        shutil.copy(next(sample.glob("IM*")), sample / "IM9999")
        assert not source.fresh()


class TestTimesInAFolder(DicomFolder):
    volume = ints((3, 4, 20, 30))

    @pytest.fixture
    def sample(self, tmp_path):
        for t, values in enumerate(self.volume):
            slices(tmp_path / "series", values, number=t, TemporalPositionIdentifier=t + 1)
        return tmp_path / "series"

    def golden(self, sample):
        return {"": Golden(self.volume, "tzyx", steps={"z": 2.5, "t": 1.0})}


class TestSeveralSeries(DicomFolder):
    first, second, third = ints((4, 20, 30)), ints((5, 20, 30), "u2"), ints((2, 10, 12))

    @pytest.fixture
    def sample(self, tmp_path):
        folder = slices(tmp_path / "study", self.first, number=0, SeriesNumber=7, SeriesInstanceUID="1.2.7")
        slices(folder, self.second, number=1, SeriesNumber=2, SeriesInstanceUID="1.2.2", Modality="MR")
        slices(folder, self.third, number=2, SeriesNumber=7, SeriesInstanceUID="1.2.7")
        return folder

    def golden(self, sample):
        return {
            "MR 2": Golden(self.second, "zyx"),
            "CT 7": Golden(self.first, "zyx"),
            "CT 7 (2)": Golden(self.third, "zyx"),
        }

    def test_order(self, source):
        assert list(source.root) == ["MR 2", "CT 7", "CT 7 (2)"]


class TestLargeSeries(DicomFolder):
    """Opening a series reads heads of files; a pixel needs one of them."""

    volume = ints((24, 256, 256))

    @pytest.fixture
    def sample(self, once):
        return once(lambda folder: slices(folder / "series", self.volume))

    def golden(self, sample):
        return {"": Golden(self.volume, "zyx", steps={"z": 2.5})}


class TestRealSeries(DicomFolder):
    """Two slices of an MR that nibabel ships."""

    @pytest.fixture
    def sample(self, tmp_path):
        for name in ("0.dcm", "1.dcm"):
            shutil.copy(Path(nibabel.__file__).parent / "tests" / "data" / name, tmp_path)
        return tmp_path

    def golden(self, sample):
        found = [pydicom.dcmread(sample / name) for name in ("0.dcm", "1.dcm")]
        found.sort(key=_along_normal)
        step = abs(_along_normal(found[1]) - _along_normal(found[0]))
        assert step > 0.1
        return {"": Golden(np.stack([ds.pixel_array for ds in found]), "zyx", steps={"z": step})}


def _along_normal(ds):
    rows, columns = ds.ImageOrientationPatient[:3], ds.ImageOrientationPatient[3:]
    return float(np.dot(np.cross(rows, columns), ds.ImagePositionPatient))


def test_rescale_of_each_slice(tmp_path):
    folder = slices(tmp_path / "pet", ints((3, 4, 5)), Modality="PT", RescaleIntercept=0, RescaleSlope=lambda z: z + 1)
    assert sorted(raw(folder)["rescale"]["of_each"]) == [[1, 0], [2, 0], [3, 0]]


def z_step(path):
    source = FORMAT.open(path)
    scale = source.root.attrs["ome"]["multiscales"][0]
    source.close()
    at = [axis["name"] for axis in scale["axes"]].index("z")
    return scale["datasets"][0]["coordinateTransformations"][0]["scale"][at], scale["axes"][at].get("unit")


def test_missing_slices_are_told(tmp_path):
    folder = slices(tmp_path / "series", ints((8, 4, 5)), step=2.0)
    for file in folder.iterdir():
        if pydicom.dcmread(file).InstanceNumber in (100 - 3, 100 - 4):
            file.unlink()
    assert z_step(folder) == (pytest.approx(2.0), "millimeter")
    assert raw(folder)["notes"] == ["2 slices are missing, after slice 2."]


def test_uneven_distances_are_told(tmp_path):
    places = [0, 1.0, 2.7, 3.1, 6.0]
    positions = [[float(v) for v in NORMAL * place] for place in places]
    folder = slices(tmp_path / "series", ints((5, 4, 5)), ImagePositionPatient=lambda z: positions[z])
    assert z_step(folder) == (5.0, "millimeter")  # SliceThickness
    assert "vary" in raw(folder)["notes"][0]


def test_without_positions(tmp_path):
    volume = ints((4, 4, 5))
    folder = slices(tmp_path / "series", volume, ImagePositionPatient=None, ImageOrientationPatient=None)
    source = open_source(folder)
    np.testing.assert_array_equal(source.root.array("0").read_all(), volume[::-1])  # by InstanceNumber
    source.close()
    located = slices(tmp_path / "located", volume, ImagePositionPatient=None, SliceLocation=lambda z: 3.0 * z)
    assert z_step(located) == (3.0, "millimeter")
    next(file for file in folder.iterdir() if pydicom.dcmread(file).InstanceNumber == 98).unlink()
    assert "1 instance numbers" in raw(folder)["notes"][0]


def test_pictures_without_places_are_not_stacked(tmp_path):
    for i in range(3):
        save(dataset(ints((4, 5), "u2"), Modality="DX", InstanceNumber=i + 1), tmp_path / f"{i}.dcm")
    source = open_source(tmp_path)
    assert list(source.root) == ["DX 3", "DX 3 (2)", "DX 3 (3)"]
    source.close()


def test_other_files_in_a_folder(tmp_path):
    folder = slices(tmp_path / "series", ints((9, 4, 5)))
    shutil.copy(real("rtplan.dcm"), folder / "plan.dcm")
    shutil.copy(real("MR_truncated.dcm"), folder / "truncated.dcm")
    outside = save(dataset(ints((4, 5))), tmp_path / "outside.dcm")
    (folder / "link.dcm").symlink_to(outside)
    directory = dataset(ints((4, 5)))
    directory.SOPClassUID = "1.2.840.10008.1.3.10"
    save(directory, folder / "DICOMDIR")
    source = open_source(folder)
    assert source.root.array("0").spec.shape == (9, 4, 5)
    notes = " ".join(source.root.attrs["coverslip"]["raw"]["notes"])
    assert "1 files that are damaged" in notes
    assert "1 files that hold no image" in notes
    source.close()
    with pytest.raises(UnknownFormat):
        recognise(folder / "DICOMDIR")


def test_a_folder_of_other_things_is_left_alone(tmp_path):
    folder = slices(tmp_path / "mixed", ints((3, 4, 5)))
    (folder / "a.tif").write_bytes(b"II*\0")
    with pytest.raises(UnknownFormat):
        recognise(folder)
    (tmp_path / "one").mkdir()
    save(dataset(ints((4, 5))), tmp_path / "one" / "a.dcm")
    with pytest.raises(UnknownFormat):
        recognise(tmp_path / "one")
    (tmp_path / "empty").mkdir()
    with pytest.raises(Unsupported):
        FORMAT.open(tmp_path / "empty")


def test_a_change_in_a_long_series_is_seen(tmp_path, monkeypatch):
    folder = slices(tmp_path / "series", ints((40, 4, 5)))
    source = open_source(folder)
    assert source.fresh()
    stats = []
    stat = Path.stat
    monkeypatch.setattr(Path, "stat", lambda path, **given: stats.append(path) or stat(path, **given))
    assert source.fresh()
    assert len(stats) == 17
    changed = sorted(folder.iterdir())[39]
    os.utime(changed, ns=(0, 0))
    assert not all(source.fresh() for _ in range(4))
    monkeypatch.setattr("coverslip.formats.dicom.FULL_LOOK_S", 0.0)
    assert not source.fresh()
    source.close()


def test_a_damaged_folder_is_read_or_refused(tmp_path):
    rng = random.Random(23)
    for turn in range(20):
        folder = slices(tmp_path / str(turn), ints((3, 4, 5)))
        for file in folder.iterdir():
            data = bytearray(file.read_bytes())
            for _ in range(6):
                data[rng.randrange(140, len(data))] = rng.randrange(256)
            file.write_bytes(data)
        _opens(folder)

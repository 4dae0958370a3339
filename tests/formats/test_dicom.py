"""DICOM against pydicom's decoders, with its own test files and files it writes."""

import json
import os
import random
import shutil
import struct
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import imagecodecs
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.pixels import apply_color_lut, pixel_array

from coverslip.core.errors import CoverslipError, Damaged, NotFound, UnknownFormat, Unreadable, Unsupported
from coverslip.core.spec import Box
from coverslip.formats import open_source, recognise
from coverslip.formats.dicom import FORMAT
from coverslip.formats.trees import dicom_pixels
from coverslip.formats.trees.dicom_tags import CODED
from coverslip.testing import FormatTests, Golden
from formats.dicom_files import NORMAL, OBLIQUE, compressed, dataset, item, save, slices
from fuzz import rounds

RNG = np.random.default_rng(17)
RGB = {"channels": ("Red", "Green", "Blue"), "colors": ("FF0000", "00FF00", "0000FF"), "rgb": True}


def real(name):
    return Path(get_testdata_file(name, download=False))


def peer(path):
    """Pixels as pydicom's own decoders (pylibjpeg, pyjpegls, pillow) give them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        found = pixel_array(ds)
        return apply_color_lut(found, ds) if ds.PhotometricInterpretation == "PALETTE COLOR" else found


def ints(shape, dtype="i2"):
    ends = np.iinfo(dtype)
    return RNG.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype)


class DicomTests(FormatTests):
    format_name = "dicom"
    raw_key = "Modality"


class DicomFolder(DicomTests):
    can_be_truncated = False  # the others are shown, and how many are damaged; see test_other_files_in_a_folder


class RealFile(DicomTests):
    """Subclasses name a file of pydicom's, its axes and what else is golden."""

    file: str
    axes = "yx"
    more: dict = {}  # noqa: RUF012

    @pytest.fixture
    def sample(self, tmp_path):
        return Path(shutil.copy(real(self.file), tmp_path))

    def golden(self, sample):
        pixels = peer(sample)
        if "c" in self.axes:
            pixels = np.moveaxis(pixels, -1, self.axes.index("c"))
        return {"": Golden(pixels, self.axes, **self.more)}


class TestCt(RealFile):
    file = "CT_small.dcm"
    more = {"steps": dict.fromkeys("yx", 0.661468), "unit": "millimeter"}  # noqa: RUF012


class TestImplicit(RealFile):
    file = "MR_small_implicit.dcm"


class TestBigEndian(RealFile):
    file = "MR_small_bigendian.dcm"


class TestDeflated(RealFile):
    file = "image_dfl.dcm"
    raw_key = "Rows"


class TestRle(RealFile):
    file = "MR_small_RLE.dcm"


class TestJpegLs(RealFile):
    file = "MR_small_jpeg_ls_lossless.dcm"


class TestJpeg2000(RealFile):
    file = "693_J2KI.dcm"


class TestJpeg2000WithWrongSign(RealFile):
    file = "J2K_pixelrep_mismatch.dcm"


class TestJpeg2000Rgb(RealFile):
    file, axes, more = "GDCMJ2K_TextGBR.dcm", "cyx", RGB
    raw_key = "Rows"


class TestJpegLosslessRgb(RealFile):
    file, axes, more = "SC_rgb_jpeg_gdcm.dcm", "cyx", RGB


class TestJpegBaselineYbr(RealFile):
    file, axes, more = "SC_rgb_jpeg_dcmtk.dcm", "cyx", RGB


class TestJpegLsRgb(RealFile):
    file, axes, more = "SC_rgb_jls_lossy_line.dcm", "cyx", RGB
    raw_key = "Rows"


class TestRgb(RealFile):
    file, axes, more = "examples_rgb_color.dcm", "cyx", RGB


class TestRgbByPlaneBigEndian(RealFile):
    file, axes, more = "ExplVR_BigEnd.dcm", "cyx", RGB
    raw_key = "Rows"


class TestRgbInOddWords(RealFile):
    file, axes, more = "SC_rgb_small_odd_big_endian.dcm", "cyx", RGB


class TestYbr422(RealFile):
    file, axes, more = "SC_ybr_full_422_uncompressed.dcm", "cyx", RGB


class TestPalette(RealFile):
    file, axes, more = "examples_palette.dcm", "cyx", RGB


class TestFramesInRle(RealFile):
    file, axes, more = "SC_rgb_rle_16bit_2frame.dcm", "tcyx", RGB


class TestDose(RealFile):
    file, axes = "rtdose.dcm", "zyx"
    more = {"steps": {"z": 5.0, "y": 10.0, "x": 10.0}, "unit": "millimeter"}  # noqa: RUF012
    raw_key = "DoseGridScaling"


class TestDoseInRle(RealFile):
    file, axes = "rtdose_rle.dcm", "zyx"


class TestSingleBits(RealFile):
    file = "liver_1frame.dcm"
    more = {"channels": ("Liver",)}  # noqa: RUF012


class Written(DicomTests):
    """Subclasses give a data set and what it must become."""

    values = ints((20, 30))
    axes = "yx"

    def dataset(self):
        raise NotImplementedError

    @pytest.fixture
    def sample(self, tmp_path):
        return save(self.dataset(), tmp_path / "written")

    def golden(self, sample):
        return {"": Golden(self.values, self.axes)}


class TestUnusedBits(Written):
    """Twelve bits count; the four above them hold something else."""

    values = RNG.integers(-2048, 2048, (20, 30)).astype("i2")

    def dataset(self):
        stored = (self.values.view("u2") & 0x0FFF) | 0x5000
        return dataset(stored.view("i2"), BitsStored=12, HighBit=11)


class TestFloats(Written):
    values = RNG.normal(size=(20, 30)).astype("f4")

    def dataset(self):
        ds = dataset(np.zeros((20, 30), "u4"))
        del ds.PixelData
        ds.FloatPixelData = self.values.tobytes()
        return ds


class TestJpegLossless16(Written):
    values = ints((20, 30), "u2")

    def dataset(self):
        frame = imagecodecs.ljpeg_encode(self.values, bitspersample=16)
        return compressed(dataset(self.values), "1.2.840.10008.1.2.4.57", [frame])


class TestHighThroughputJpeg2000(Written):
    values = ints((20, 30), "u2")

    def dataset(self):
        frame = imagecodecs.htj2k_encode(self.values, reversible=True)
        return compressed(dataset(self.values), "1.2.840.10008.1.2.4.201", [frame])


class TestFramesWithoutATable(Written):
    values = ints((4, 20, 30), "u1")
    axes = "tyx"

    def dataset(self):
        frames = [imagecodecs.jpegls_encode(frame) for frame in self.values]
        ds = compressed(dataset(self.values), "1.2.840.10008.1.2.4.80", frames, table=False)
        ds.Modality, ds.FrameTime, ds.FrameIncrementPointer = "US", 40.0, pydicom.tag.Tag("FrameTime")
        return ds

    def golden(self, sample):
        return {"": Golden(self.values, self.axes, steps={"t": 40.0})}


class TestFramesInFragments(Written):
    """Each frame is cut into three fragments; the offset table says where frames begin."""

    values = ints((4, 20, 30), "u1")
    axes = "zyx"

    def dataset(self):
        frames = [imagecodecs.jpegls_encode(frame) for frame in self.values]
        ds = compressed(dataset(self.values), "1.2.840.10008.1.2.4.80", frames)
        ds.PixelData = pydicom.encaps.encapsulate(frames, fragments_per_frame=3, has_bot=True)
        return ds


class TestFragmentsWithoutATable(TestFramesInFragments):
    def dataset(self):
        ds = super().dataset()
        frames = [imagecodecs.jpegls_encode(frame) for frame in self.values]
        ds.PixelData = pydicom.encaps.encapsulate(frames, fragments_per_frame=3, has_bot=False)
        return ds


class TestSixteenBitRgbByPlane(Written):
    values = ints((3, 20, 30), "u2")
    axes = "cyx"

    def dataset(self):
        ds = dataset(np.moveaxis(self.values, 0, -1), PlanarConfiguration=1)
        ds.PixelData = self.values.tobytes()
        return ds

    def golden(self, sample):
        return {"": Golden(self.values, self.axes, **RGB)}


class TestEnhanced(Written):
    """Two times three positions, frames mixed up."""

    values = ints((2, 3, 20, 30))
    axes = "tzyx"

    def dataset(self):
        places = [(t, z) for t in range(2) for z in range(3)]
        random.Random(2).shuffle(places)
        ds = dataset(np.stack([self.values[place] for place in places]))
        ds.DimensionIndexSequence = [
            item(DimensionIndexPointer=pydicom.tag.Tag(key))
            for key in ("TemporalPositionIndex", "InStackPositionNumber")
        ]
        ds.SharedFunctionalGroupsSequence = [
            item(
                PlaneOrientationSequence=[item(ImageOrientationPatient=OBLIQUE)],
                PixelMeasuresSequence=[item(PixelSpacing=[0.7, 0.5], SliceThickness=9.0)],
            )
        ]
        ds.PerFrameFunctionalGroupsSequence = [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=[float(v) for v in NORMAL * 1.5 * z])],
                FrameContentSequence=[item(DimensionIndexValues=[t + 1, z + 1])],
            )
            for t, z in places
        ]
        return ds

    def golden(self, sample):
        steps = {"z": 1.5, "y": 0.7, "x": 0.5}
        return {"": Golden(self.values, self.axes, steps=steps, unit="millimeter")}


class TestSparseSegmentation(Written):
    """Two segments on three positions; the frames that would be empty are not there."""

    values = (RNG.random((2, 3, 5, 7)) < 0.5).astype("u1")
    axes = "czyx"

    def dataset(self):
        self.values[0, 1] = 0
        places = [(1, 2), (0, 0), (1, 0), (0, 2), (1, 1)]
        bits = np.packbits(np.concatenate([self.values[p].ravel() for p in places]), bitorder="little").tobytes()
        ds = dataset(np.zeros((5, 5, 7), "u1"), BitsAllocated=1, BitsStored=1, HighBit=0, Modality="SEG")
        ds.PixelData = bits + b"\0" * (len(bits) % 2)
        ds.SegmentSequence = [item(SegmentNumber=n, SegmentLabel=label) for n, label in ((1, "bone"), (2, "skin"))]
        ds.SharedFunctionalGroupsSequence = [
            item(PlaneOrientationSequence=[item(ImageOrientationPatient=OBLIQUE)],
                 PixelMeasuresSequence=[item(PixelSpacing=[1.0, 1.0], SpacingBetweenSlices=2.0)])
        ]  # fmt: skip
        ds.PerFrameFunctionalGroupsSequence = [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=[float(v) for v in NORMAL * 2 * z])],
                SegmentIdentificationSequence=[item(ReferencedSegmentNumber=segment + 1)],
            )
            for segment, z in places
        ]
        return ds

    def golden(self, sample):
        return {"": Golden(self.values, self.axes, steps={"z": 2.0}, channels=("bone", "skin"))}


def tiled(values, tile, **fields):
    """A TILED_FULL slide of ``values`` (rows, columns, 3) cut into tiles of ``tile`` x ``tile``."""
    rows, columns = (-(-n // tile) for n in values.shape[:2])
    padded = np.zeros((rows * tile, columns * tile, 3), "u1")
    padded[: values.shape[0], : values.shape[1]] = values
    frames = padded.reshape(rows, tile, columns, tile, 3).swapaxes(1, 2).reshape(-1, tile, tile, 3)
    ds = dataset(frames, Modality="SM", DimensionOrganizationType="TILED_FULL")
    ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = values.shape[:2]
    ds.ImageType = ["DERIVED", "PRIMARY", "VOLUME", "NONE"]
    step = 0.001 * 100 / values.shape[1]
    ds.SharedFunctionalGroupsSequence = [item(PixelMeasuresSequence=[item(PixelSpacing=[step, step])])]
    for keyword, value in fields.items():
        setattr(ds, keyword, value)
    return ds


class TestSlide(Written):
    values = ints((3, 70, 100), "u1")
    axes = "cyx"

    def dataset(self):
        return tiled(np.moveaxis(self.values, 0, -1), 32)

    def golden(self, sample):
        return {"": Golden(self.values, self.axes, steps={"y": 0.001}, unit="millimeter", **RGB)}


class TestSparseSlide(Written):
    """Tiles say where they lie; one is missing and white."""

    values = ints((64, 96), "u2")

    def dataset(self):
        places = [(32, 64), (0, 0), (0, 64), (32, 0), (0, 32)]
        self.values[32:, 32:64] = 0
        ds = dataset(np.stack([self.values[y : y + 32, x : x + 32] for y, x in places]), Modality="SM")
        ds.DimensionOrganizationType, ds.TotalPixelMatrixRows, ds.TotalPixelMatrixColumns = "TILED_SPARSE", 64, 96
        ds.PerFrameFunctionalGroupsSequence = [
            item(PlanePositionSlideSequence=[item(RowPositionInTotalImagePixelMatrix=y + 1,
                                                  ColumnPositionInTotalImagePixelMatrix=x + 1)])
            for y, x in places
        ]  # fmt: skip
        return ds


class TestPyramidInAFolder(DicomFolder):
    levels = (ints((80, 100, 3), "u1"), ints((40, 50, 3), "u1"), ints((20, 25, 3), "u1"))

    @pytest.fixture
    def sample(self, tmp_path):
        for i in (1, 0, 2):
            save(tiled(self.levels[i], 16), tmp_path / f"level{i}.dcm")
        label = tiled(ints((20, 20, 3), "u1"), 16, ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"])
        save(label, tmp_path / "label.dcm")
        return tmp_path

    def golden(self, sample):
        return {"": Golden(np.moveaxis(self.levels[0], -1, 0), "cyx", steps={"x": 0.001}, levels=3, **RGB)}

    def test_other_levels(self, source):
        for level in (1, 2):
            np.testing.assert_array_equal(
                source.root.array(str(level)).read_all(), np.moveaxis(self.levels[level], -1, 0)
            )

    def test_the_label_is_left_out(self, sample, source):
        assert "label" in " ".join(source.root.attrs["coverslip"]["raw"]["notes"])
        with pytest.raises(Unsupported, match="label"):
            open_source(sample / "label.dcm")
        FORMAT.open(sample / "label.dcm", identifiers=True).close()
        both = FORMAT.open(sample, identifiers=True)
        assert len(list(both.root)) == 2
        both.close()


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


class TestLargeFrames(Written):
    """Compressed frames without a table: opening walks over their headers, a pixel needs one frame."""

    values = RNG.integers(0, 4096, (24, 256, 256)).astype("u2")
    axes = "zyx"

    @pytest.fixture
    def sample(self, once):
        return once(lambda folder: save(self.dataset(), folder / "written"))

    def dataset(self):
        frames = [imagecodecs.jpegls_encode(frame) for frame in self.values]
        return compressed(dataset(self.values), "1.2.840.10008.1.2.4.80", frames, table=False)


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


def raw(path, **keywords):
    source = FORMAT.open(path, **keywords)
    try:
        return source.root.attrs["coverslip"]["raw"]
    finally:
        source.close()


def test_every_real_file_is_read_as_pydicom_reads_it():
    """Lossy JPEG may differ by its decoder's rounding; everything else is equal."""
    compared = 0
    for path in sorted(real("CT_small.dcm").parent.glob("*.dcm")):
        try:
            source = open_source(path)
        except (Unsupported, Damaged):
            continue
        try:
            golden = peer(path)
        except (RuntimeError, ValueError, AttributeError):
            source.close()
            continue
        found = source.root.array("0").read_all()
        names = [axis["name"] for axis in source.root.attrs["ome"]["multiscales"][0]["axes"]]
        source.close()
        if "c" in names:
            golden = np.moveaxis(golden, -1, names.index("c"))
        lossy = any(
            syntax in path.read_bytes()[:1024] for syntax in (b"1.2.840.10008.1.2.4.50", b"1.2.840.10008.1.2.4.51")
        )
        np.testing.assert_allclose(found.astype("i8"), golden.astype("i8"), atol=3 if lossy else 0, err_msg=path.name)
        compared += 1
    assert compared > 45


def test_window_and_rescale(tmp_path):
    fields = {
        "RescaleSlope": 2,
        "RescaleIntercept": -1024,
        "RescaleType": "HU",
        "WindowCenter": [40, 300],
        "WindowWidth": 401,
    }
    path = save(dataset(ints((4, 4)), **fields), tmp_path / "a.dcm")
    source = open_source(path)
    assert source.root.attrs["coverslip"]["raw"]["rescale"] == {"slope": 2, "intercept": -1024, "type": "HU"}
    window = source.root.attrs["ome"]["omero"]["channels"][0]["window"]
    assert (window["start"], window["end"]) == ((39.5 - 200 + 1024) / 2, (39.5 + 200 + 1024) / 2)
    source.close()


def test_rescale_of_each_slice(tmp_path):
    folder = slices(tmp_path / "pet", ints((3, 4, 5)), Modality="PT", RescaleIntercept=0, RescaleSlope=lambda z: z + 1)
    assert sorted(raw(folder)["rescale"]["of_each"]) == [[1, 0], [2, 0], [3, 0]]


def test_inverted_grey_is_told(tmp_path):
    values = ints((4, 4), "u1")
    path = save(dataset(values, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm")
    assert "MONOCHROME1" in raw(path)["notes"][0]
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), values)
    source.close()


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


def test_what_holds_no_pixels():
    with pytest.raises(Unsupported, match="no pixels"):
        open_source(real("rtplan.dcm"))
    with pytest.raises(Damaged, match="too early"):
        open_source(real("MR_truncated.dcm"))


PERSONAL = {
    "PN": "Zebediah^Quux", "DA": "19870213", "DT": "19870213131415", "TM": "131415", "AS": "033Y", "UI": "1.2.19870213",
    **dict.fromkeys(("LO", "SH", "LT", "ST", "UT", "UC"), "Zebediah"),
}  # fmt: skip
KEPT = {
    "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SequenceName", "PulseSequenceName", "ImagedNucleus",
    "ResonantNucleus", "ReceiveCoilName", "TransmitCoilName", "FilterType", "RescaleType", "SegmentLabel",
    "OpticalPathIdentifier",
}  # fmt: skip
"""Texts that describe the picture, and do appear."""


def personal_elements():
    found = pydicom.Dataset()
    for tag, (vr, *_, keyword) in pydicom.datadict.DicomDictionary.items():
        if tag >> 16 > 2 and vr in PERSONAL and keyword and keyword not in KEPT | {"SeriesInstanceUID", "SOPClassUID"}:
            found.add_new(tag, vr, PERSONAL[vr])
    return found


def test_nobody_is_named(tmp_path):
    """Every element of the dictionary that holds text, a name, a date or a UID, at the top and in every sequence."""
    ds = dataset(ints((4, 5)))
    everything = personal_elements()
    assert len(everything) > 900
    ds.update(everything)
    few = item(
        PatientID="Zebediah",
        PersonName="Zebediah^Quux",
        CodeMeaning="Zebediah",
        StudyDate="19870213",
        CodeValue="Zebediah",
    )
    for tag, (vr, *_, keyword) in pydicom.datadict.DicomDictionary.items():
        if vr == "SQ" and keyword and keyword not in CODED and tag >> 16 != 0x5200:
            inner = pydicom.Dataset()
            inner.update(few)
            ds.add_new(tag, "SQ", [inner])
    ds.PersonIdentificationCodeSequence = [few]
    ds.OperatorIdentificationSequence = [item(PersonIdentificationCodeSequence=[few], InstitutionName="Zebediah")]
    ds.PatientSex, ds.PatientWeight, ds.GPSLatitude = "M", "81.125", ["47.625", "0", "0"]
    ds.private_block(0x0099, "Zebediah", create=True).add_new(1, "LO", "Zebediah")
    for keyword in ("ModalityLUTSequence", "SegmentSequence", "OpticalPathSequence"):
        if keyword in ds:
            del ds[keyword]
    path = save(ds, tmp_path / "a.dcm")
    source = open_source(path)
    text = json.dumps(dict(source.root.attrs))
    source.close()
    for secret in ("Zebediah", "19870213", "131415", "033Y", "81.125", "47.625"):
        assert secret not in text, text[max(0, text.find(secret) - 100) : text.find(secret) + 60]
    assert '"Modality": "CT"' in text
    told = json.dumps(raw(path, identifiers=True))
    for secret in ("Zebediah", "19870213", "81.125"):
        assert secret in told


def test_names_of_images_name_nobody(tmp_path):
    folder = slices(tmp_path / "study", ints((2, 4, 5)), number=0, SeriesDescription="Zebediah")
    slices(folder, ints((2, 4, 5)), number=1, SeriesInstanceUID="1.9", SeriesNumber=4, SeriesDescription="T1/axial")
    source = open_source(folder)
    assert list(source.root) == ["CT 3", "CT 4"]
    source.close()
    source = FORMAT.open(folder, identifiers=True)
    assert list(source.root) == ["Zebediah", "T1 axial"]
    source.close()


def test_a_box_reads_its_rows_only(tmp_path, monkeypatch):
    values = ints((8, 100, 200), "u2")
    path = save(dataset(values), tmp_path / "a.dcm")
    source = open_source(path)
    asked = []
    pread = dicom_pixels._pread
    monkeypatch.setattr(dicom_pixels, "_pread", lambda fd, at, n, name: asked.append(n) or pread(fd, at, n, name))
    part = source.root.array("0").read(Box((5, 10, 20), (6, 14, 60)))
    np.testing.assert_array_equal(part[0], values[5, 10:14, 20:60])
    assert asked == [4 * 200 * 2]
    source.close()


def test_a_frame_is_decoded_once_for_all_threads(tmp_path, monkeypatch):
    values = ints((64, 64), "u2")
    frame = imagecodecs.jpegls_encode(values)
    source = open_source(save(compressed(dataset(values), "1.2.840.10008.1.2.4.80", [frame]), tmp_path / "a.dcm"))
    calls, decode, gate = [], dicom_pixels.decode, threading.Barrier(8)
    monkeypatch.setattr(dicom_pixels, "decode", lambda *given: calls.append(1) or decode(*given))
    array = source.root.array("0")

    def tile(i):
        gate.wait()
        return array.read(Box((8 * i, 0), (8 * i + 8, 64)))

    with ThreadPoolExecutor(8) as pool:
        found = np.concatenate(list(pool.map(tile, range(8))))
    np.testing.assert_array_equal(found, values)
    assert len(calls) == 1
    found[:] = 0  # what is kept is not what was given
    np.testing.assert_array_equal(array.read_all(), values)
    source.close()


def test_a_file_that_changed_is_not_read(tmp_path):
    path = save(dataset(ints((4, 5))), tmp_path / "a.dcm")
    source = open_source(path)
    save(dataset(ints((4, 5))), path)
    os.utime(path, ns=(0, 0))
    with pytest.raises(Unreadable, match="changed"):
        source.root.array("0").read_all()
    path.unlink()
    with pytest.raises(Unreadable):
        source.root.array("0").read_all()
    source.close()
    with pytest.raises(NotFound):
        open_source(path)


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


def test_a_huge_codestream_is_refused_before_it_is_decoded(tmp_path):
    frame = bytearray(imagecodecs.jpeg2k_encode(ints((16, 16), "u2")))
    at = frame.find(b"\xff\x4f\xff\x51") + 8
    frame[at : at + 8] = b"\x7f\xff\xff\xff" * 2
    path = save(compressed(dataset(ints((16, 16), "u2")), "1.2.840.10008.1.2.4.90", [bytes(frame)]), tmp_path / "a.dcm")
    source = open_source(path)
    with pytest.raises(Damaged, match="the header says"):
        source.root.array("0").read_all()
    source.close()


def test_offsets_in_rle_are_not_trusted(tmp_path):
    """Decoders of whole frames read outside their memory for such a header."""
    values = ints((16, 16), "u2")
    rng = random.Random(29)
    for turn in range(50):
        starts = [rng.choice((0, 64, 70, 2**31, 2**32 - 1)) for _ in range(2)]
        frame = struct.pack("<16I", rng.choice((0, 1, 2, 3, 200)), *starts, *[0] * 13) + b"\x81\0" * 4
        path = save(compressed(dataset(values), "1.2.840.10008.1.2.5", [frame]), tmp_path / f"{turn}.dcm")
        source = open_source(path)
        with pytest.raises(Damaged):
            source.root.array("0").read_all()
        source.close()


def test_a_truncated_jpeg_ls_frame_is_refused_at_once(tmp_path):
    values = np.arange(60 * 70 * 3).reshape(60, 70, 3).astype("u1")
    frame = imagecodecs.jpegls_encode(values)
    frame = frame[: len(frame) // 2 * 2 - 20]
    path = save(compressed(dataset(values), "1.2.840.10008.1.2.4.80", [frame]), tmp_path / "a.dcm")
    source = open_source(path)
    began = time.perf_counter()
    with pytest.raises(Damaged):
        source.root.array("0").read_all()
    assert time.perf_counter() - began < 5
    source.close()


def test_errors_quote_nothing_of_a_damaged_file(tmp_path):
    ds = dataset(ints((4, 5)))
    del ds.PixelData
    ds.Modality = "CT"
    path = save(ds, tmp_path / "a.dcm")
    path.write_bytes(path.read_bytes().replace(b"CS\x02\0CT", b"CS\x08\0Zebediah"))
    with pytest.raises(CoverslipError) as caught:
        open_source(path)
    assert "Zebediah" not in str(caught.value)
    shown = save(dataset(ints((4, 5))), tmp_path / "b.dcm")
    rows = b"\x28\0\x10\0US"
    shown.write_bytes(shown.read_bytes().replace(rows + b"\2\0\4\0", rows + b"\3\0Zeb"))
    with pytest.raises(Damaged, match="BytesLengthException") as caught:
        open_source(shown)
    assert "Zeb" not in str(caught.value)
    assert "Zeb" in str(caught.value.__cause__)


FUZZED = ["CT_small.dcm", "MR_small_RLE.dcm", "JPEG2000.dcm", "SC_rgb_jpeg_dcmtk.dcm", "MR_small_jpeg_ls_lossless.dcm",
          "rtdose_expb.dcm", "image_dfl.dcm", "liver_1frame.dcm", "SC_rgb_small_odd_big_endian.dcm"]  # fmt: skip


@pytest.mark.parametrize("name", FUZZED)
def test_damage_is_always_named(tmp_path, name):
    whole = real(name).read_bytes()
    rng = random.Random(19)
    refused = 0
    for turn in rounds(30):
        data = bytearray(whole)
        if turn % 3 == 0:
            del data[rng.randrange(140, len(data)) :]
        for _ in range(rng.choice((1, 3, 40))):
            data[rng.randrange(132, min(len(data), rng.choice((1500, len(data)))) + 1) - 1] = rng.randrange(256)
        path = tmp_path / f"{turn}.dcm"
        path.write_bytes(data)
        refused += not _opens(path)
    assert refused > 7


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


def _opens(path):
    """Whether it opened and could be read; any error but coverslip's own goes on."""
    try:
        source = FORMAT.open(path)
        try:
            group = source.root
            for image in [group] if "0" in group else [group[name] for name in group]:
                json.dumps(dict(image.attrs), allow_nan=False)
                if np.prod(image.array("0").spec.shape, dtype=object) < 1 << 24:
                    image.array("0").read_all()
        finally:
            source.close()
    except CoverslipError as error:
        if not error.hint:
            raise
        return False
    return True

"""DICOM files of one picture or of several frames, against pydicom's decoders; real ones and written ones."""

import shutil
import warnings
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom
import pytest
from dicom_tests import RGB, RNG, DicomTests, Written, ints, raw, real
from pydicom.pixels import apply_color_lut, pixel_array

from coverslip.core.errors import Damaged, Unsupported
from coverslip.formats import open_source
from coverslip.testing import Golden
from formats.dicom_files import compressed, dataset, save


def peer(path):
    """Pixels as pydicom's own decoders (pylibjpeg, pyjpegls, pillow) give them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path)
        found = pixel_array(ds)
        return apply_color_lut(found, ds) if ds.PhotometricInterpretation == "PALETTE COLOR" else found


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


def test_inverted_grey_is_told(tmp_path):
    values = ints((4, 4), "u1")
    path = save(dataset(values, PhotometricInterpretation="MONOCHROME1"), tmp_path / "a.dcm")
    assert "MONOCHROME1" in raw(path)["notes"][0]
    source = open_source(path)
    np.testing.assert_array_equal(source.root.array("0").read_all(), values)
    source.close()

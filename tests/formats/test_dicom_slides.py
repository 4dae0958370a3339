"""DICOM files with frames of many places: enhanced volumes, segmentations, whole slides."""

import random

import numpy as np
import pydicom
import pytest
from dicom_tests import RGB, RNG, DicomFolder, Written, ints

from coverslip.core.errors import Unsupported
from coverslip.formats import open_source
from coverslip.formats.dicom import FORMAT
from coverslip.testing import Golden
from formats.dicom_files import NORMAL, OBLIQUE, dataset, item, save


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

"""What the tests of DICOM share: pydicom's own files, its decoders, and files written for a test."""

import json
from pathlib import Path

import numpy as np
import pytest
from pydicom.data import get_testdata_file

from coverslip.formats.dicom import FORMAT
from coverslip.testing import FormatTests, Golden
from formats.damaged import opens
from formats.dicom_files import save

RNG = np.random.default_rng(17)
RGB = {"channels": ("Red", "Green", "Blue"), "colors": ("FF0000", "00FF00", "0000FF"), "rgb": True}


def real(name):
    return Path(get_testdata_file(name, download=False))


def ints(shape, dtype="i2"):
    ends = np.iinfo(dtype)
    return RNG.integers(ends.min, ends.max, shape, endpoint=True).astype(dtype)


class DicomTests(FormatTests):
    format_name = "dicom"
    raw_key = "Modality"


class DicomFolder(DicomTests):
    can_be_truncated = False  # the others are shown, and how many are damaged; see test_other_files_in_a_folder


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


def raw(path, **keywords):
    source = FORMAT.open(path, **keywords)
    try:
        return source.root.attrs["coverslip"]["raw"]
    finally:
        source.close()


def _opens(path):
    """Whether it opened and could be read; any error but coverslip's own goes on."""

    def look(group):
        for image in [group] if "0" in group else [group[name] for name in group]:
            json.dumps(dict(image.attrs), allow_nan=False)
            if np.prod(image.array("0").spec.shape, dtype=object) < 1 << 24:
                image.array("0").read_all()

    return opens(FORMAT, path, look)

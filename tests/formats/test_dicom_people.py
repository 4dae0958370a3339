"""What DICOM files tell of patients, and that none of it is shown."""

import json

import pydicom
import pytest
from dicom_tests import ints, raw

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.formats import open_source
from coverslip.formats.dicom import FORMAT
from coverslip.formats.trees.dicom_tags import CODED
from formats.dicom_files import dataset, item, save, slices

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

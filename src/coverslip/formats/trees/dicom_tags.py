"""The metadata of a DICOM file as plain JSON, without anything that tells who, where or when.

What is kept is what describes the picture and how it was made: numbers, coded strings, UIDs of classes, and the few
texts named here. Left out are names, identifiers, dates, times, institutions, devices' serial numbers, free text, UIDs
of instances and everything private: at least what the Basic Application Level Confidentiality Profile removes.

Source: DICOM PS3.15 annex E, table E.1-1; PS3.5 section 6.2 (value representations).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from coverslip.formats.trees.dicom_header import CODED_STRING, nonsense
from coverslip.formats.trees.vendor_names import plain

NUMBERS = {"US", "SS", "UL", "SL", "SV", "UV", "FL", "FD", "DS", "IS"}
BINARY = {"OB", "OW", "OD", "OF", "OL", "OV", "UN", "OB or OW", "AT"}
TECHNICAL = {
    "Manufacturer", "ManufacturerModelName", "ConvolutionKernel", "SequenceName", "PulseSequenceName", "ImagedNucleus",
    "ResonantNucleus", "ReceiveCoilName", "TransmitCoilName", "FilterType", "RescaleType", "SegmentLabel",
    "OpticalPathIdentifier",
}  # fmt: skip
"""Texts that describe the picture."""
PERSONAL = {
    "PatientSex", "PatientSexNeutered", "PatientSize", "PatientWeight", "PatientBodyMassIndex", "PregnancyStatus",
    "SmokingStatus", "TypeOfPatientID", "ResponsiblePersonRole", "QualityControlSubject", "PatientAgeInYears",
    "LongitudinalTemporalOffsetFromEvent", "GenderIdentityCodeSequence", "PatientGestationalAge",
    "PersonIdentificationCodeSequence", "InstitutionCodeSequence", "PatientSizeCodeSequence", "LensSpecification",
    "ModifyingDeviceID", "ReasonForTheAttributeModification", "InstanceOriginStatus", "OriginalAttributesSequence",
    "ModifiedAttributesSequence", "NonconformingModifiedAttributesSequence", "ContentSequence", "UDISequence",
    "AcquisitionContextSequence", "RequestAttributesSequence", "SpecimenPreparationSequence", "ParticipantSequence",
    "WaveformAnnotationSequence", "GraphicAnnotationSequence", "DigitalSignaturesSequence", "FlowIdentifierSequence",
    "TransducerIdentificationSequence", "ReferencedStudySequence", "ReferencedPatientSequence",
    "OtherPatientIDsSequence", "ReferencedImageSequence", "SourceImageSequence", "PrescriptionNotesSequence",
}  # fmt: skip
"""Numbers, codes and sequences that tell of a person, a place or an event; and everything that begins with ``GPS``."""
CODED = {
    "AnatomicRegionSequence", "PrimaryAnatomicStructureSequence", "ViewCodeSequence", "IlluminationTypeCodeSequence",
    "IlluminationColorCodeSequence", "SegmentedPropertyTypeCodeSequence", "SegmentedPropertyCategoryCodeSequence",
    "RadionuclideCodeSequence", "LensesCodeSequence", "ImagePathFilterTypeStackCodeSequence",
    "LightPathFilterTypeStackCodeSequence", "MeasurementUnitsCodeSequence", "DerivationCodeSequence",
}  # fmt: skip
"""Sequences whose codes (value, scheme, meaning) describe the picture."""
CODE = {"CodeValue", "LongCodeValue", "CodingSchemeDesignator", "CodeMeaning"}
SKIPPED = {"PerFrameFunctionalGroupsSequence", "PixelData", "IconImageSequence", "DimensionIndexSequence"}
MOST_ITEMS, MOST_VALUES, MOST_DEPTH = 64, 1024, 8


def tags(dataset: Any, identifiers: bool = False) -> dict[str, Any]:
    """Elements of a data set by keyword.

    Parameters
    ----------
    dataset
        pydicom's.
    identifiers
        Whether names, identifiers, dates and free text are wanted, too.
    """
    found: dict[str, Any] = plain(_tags(dataset, identifiers, "", 0))
    return found


def _tags(dataset: Any, identifiers: bool, inside: str, depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for tag in sorted(dataset.keys()):
        try:
            element = dataset[tag]
            if element.keyword and element.keyword not in SKIPPED:
                value = _value(element, identifiers, inside, depth)
                if value not in (None, "", [], {}):
                    found[element.keyword] = value
        except nonsense():  # one element that makes no sense hides no other
            continue
    return found


def _value(element: Any, identifiers: bool, inside: str, depth: int) -> Any:
    vr, keyword = str(element.VR), str(element.keyword)
    if vr in BINARY or ((keyword in PERSONAL or keyword.startswith("GPS")) and not identifiers):
        return None
    if vr == "SQ":
        if depth >= MOST_DEPTH:
            return None
        items = [_tags(item, identifiers, keyword, depth + 1) for item in element.value[:MOST_ITEMS]]
        return [item for item in items if item]
    if vr == "CS":
        return _each(element.value, str if identifiers else _code)
    described = vr in NUMBERS or keyword in TECHNICAL or (keyword in CODE and inside in CODED)
    if vr == "UI":
        return _each(element.value, lambda uid: _uid(uid, identifiers))
    return _each(element.value, _number if vr in NUMBERS else str) if described or identifiers else None


def _each(value: Any, made: Any) -> Any:
    if value is None:
        return None
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)) and not hasattr(value, "family_name"):
        found = [made(v) for v in value[:MOST_VALUES]]
        return [v for v in found if v is not None]
    return made(value)


def _number(value: Any) -> float | int | None:
    if value in (None, ""):
        return None
    number = float(value)
    return int(number) if number.is_integer() else number


def _code(value: Any) -> str | None:
    """A coded string; anything else is damaged, and could be the text beside it."""
    return str(value) if CODED_STRING.fullmatch(str(value)) else None


def _uid(uid: Any, identifiers: bool) -> str | None:
    """The name of a class or transfer syntax; an instance's only as an identifier."""
    name = str(getattr(uid, "name", uid))
    return name if name != str(uid) else str(uid) if identifiers else None


def numbers(dataset: Any, keyword: str, count: int = 0) -> list[float]:
    """The numbers of an element; none where it is missing, makes no sense, or holds fewer than ``count``."""
    try:
        found = _each(dataset.get(keyword), _number)
    except nonsense():
        return []
    values = found if isinstance(found, list) else [] if found is None else [found]
    finite: list[float] = [v for v in values if v == v and abs(v) != float("inf")]
    return finite if len(finite) == len(values) and len(values) >= count else []


def number_of(dataset: Any, keyword: str) -> float | None:
    """The first number of an element, or None."""
    values = numbers(dataset, keyword)
    return values[0] if values else None

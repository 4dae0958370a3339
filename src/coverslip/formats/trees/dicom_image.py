"""Images of DICOM frames: shape, pixel size, contrast and metadata.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel), C.7.6.2 (Image Plane), C.10.7.1.3 (sources of the pixel spacing), C.11.1
(Modality LUT), C.11.2 (VOI LUT), C.8.20.2 (Segmentation), C.8.8.3 (RT Dose), C.8.5.5 (US Region Calibration).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Array, Group
from coverslip.core.spec import Box
from coverslip.formats.trees.dicom_header import code
from coverslip.formats.trees.dicom_planes import Arrangement, Plane, functional
from coverslip.formats.trees.dicom_tags import number_of, numbers, tags
from coverslip.formats.trees.image import PlaneArray, image, in_order

RGB = (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"))
SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
CENTIMETERS = 3
"""How an ultrasound region calls them."""


def name_of(dataset: Any, identifiers: bool) -> str:
    """What a series is called: modality and number, or its description where free text is wanted."""
    description = str(dataset.get("SeriesDescription") or "") if identifiers else ""
    number = number_of(dataset, "SeriesNumber")
    modality = code(dataset, "Modality") or "image"
    return description or (modality if number is None else f"{modality} {number:.0f}")


def stack(planes: Sequence[Plane], arrangement: Arrangement) -> PlaneArray:
    """The planes as one array: the arrangement's axes, samples of colour pictures, y, x."""
    first, table = planes[0].pixels, arrangement.table

    def read_plane(index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
        number = int(table[index])
        if number < 0:  # a segmentation leaves out the frames that are empty
            return np.zeros(box.shape, first.dtype)
        return planes[number].pixels.read(planes[number].frame, box)

    return PlaneArray((*table.shape, *first.shape), first.dtype, read_plane, len(first.shape))


def picture(
    levels: Sequence[Array], lead: Sequence[Axis], samples: int, dataset: Any, name: str, raw: dict[str, Any]
) -> Group:
    """An image of levels whose axes are ``lead``, then samples (where there are several), y and x."""
    step_y, step_x, unit = pixel_size(dataset)
    axes = [*lead, *([Axis("s")] if samples > 1 else []), Axis("y", step_y, unit), Axis("x", step_x, unit)]
    meta = ImageMeta(
        axes,
        _channels(dataset, lead, samples),
        name,
        rgb=samples > 1 and all(axis.name != "c" for axis in lead),
        label=dataset.get("SegmentationType") == "LABELMAP",
        raw=raw,
    )
    ordered, meta = in_order(levels, meta)
    return image(ordered, meta)


def raw_of(dataset: Any, planes: Sequence[Plane], notes: Sequence[str], identifiers: bool) -> dict[str, Any]:
    """The metadata of an image: elements of the first file, rescale, what is odd."""
    found: dict[str, Any] = {"dicom": tags(dataset, identifiers)}
    if rescale := _rescale(dataset):
        slope, intercept, unit = rescale
        found["rescale"] = {"slope": slope, "intercept": intercept, **({"type": unit} if unit else {})}
    several = {plane.rescale for plane in planes if plane.rescale}
    if len(several) > 1:  # PET scales each slice for itself
        found["rescale"] = {"of_each": [list(plane.rescale or (1.0, 0.0)) for plane in planes]}
    remarks = list(notes)
    if dataset.get("PhotometricInterpretation") == "MONOCHROME1":
        remarks.append("Low values are meant to be shown bright (MONOCHROME1); values are as stored.")
    if remarks:
        found["notes"] = remarks
    return found


def pixel_size(dataset: Any) -> tuple[float, float, str | None]:
    """Distance between rows and between columns, and its unit; 1, 1, None where nothing is said."""
    for holder in (dataset, functional(dataset, "PixelMeasuresSequence")):
        for keyword in SPACINGS:
            found = numbers(holder, keyword, 2)
            if found and min(found[:2]) > 0:
                return found[0], found[1], "millimeter"
    regions = list(dataset.get("SequenceOfUltrasoundRegions") or ())
    if len(regions) == 1 and number_of(regions[0], "PhysicalUnitsXDirection") == CENTIMETERS:
        y, x = (abs(number_of(regions[0], f"PhysicalDelta{axis}") or 0) * 10 for axis in "YX")
        if x > 0 and y > 0:
            return y, x, "millimeter"
    return 1.0, 1.0, None


def _rescale(dataset: Any) -> tuple[float, float, str] | None:
    """Slope, intercept and type of what turns stored values into meant ones."""
    dose = number_of(dataset, "DoseGridScaling")
    if dose:
        return dose, 0.0, code(dataset, "DoseUnits")
    holder = (
        dataset if dataset.get("RescaleSlope") is not None else functional(dataset, "PixelValueTransformationSequence")
    )
    slope, intercept = number_of(holder, "RescaleSlope"), number_of(holder, "RescaleIntercept")
    if not slope or not math.isfinite(slope):
        return None
    return slope, intercept or 0.0, str(holder.get("RescaleType") or "")


def _window(dataset: Any) -> tuple[float, float] | None:
    """Window Center and Width as stored values."""
    holder = dataset if dataset.get("WindowCenter") is not None else functional(dataset, "FrameVOILUTSequence")
    center, width = number_of(holder, "WindowCenter"), number_of(holder, "WindowWidth")
    if center is None or width is None or width < 1 or dataset.get("ModalityLUTSequence"):
        return None
    slope, intercept, _ = _rescale(dataset) or (1.0, 0.0, "")
    ends = [(center - 0.5 + half - intercept) / slope for half in (-(width - 1) / 2, (width - 1) / 2)]
    low, high = min(ends), max(ends)
    return (low, high) if low < high and math.isfinite(low) and math.isfinite(high) else None


def _channels(dataset: Any, lead: Sequence[Axis], samples: int) -> Sequence[Channel]:
    several = any(axis.name == "c" for axis in lead)
    for sequence, key in (("SegmentSequence", "SegmentLabel"), ("OpticalPathSequence", "OpticalPathIdentifier")):
        items = list(dataset.get(sequence) or ())
        if items and (several or (samples == 1 and len(items) == 1)):
            return [Channel(str(item.get(key) or "")) for item in items]
    if samples > 1:
        return RGB
    window = _window(dataset)
    return [Channel(window=window)] if window else ()

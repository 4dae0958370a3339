"""Folders of DICOM files: which of them make up an image, and files on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.ngff import Axis
from coverslip.core.node import Group
from coverslip.formats.trees.dicom_header import Header, damage, pixels_of, read_header
from coverslip.formats.trees.dicom_image import name_of, picture, raw_of, stack
from coverslip.formats.trees.dicom_pixels import Pixels
from coverslip.formats.trees.dicom_planes import Arrangement, Plane, arrange, frames_of, spacing_of
from coverslip.formats.trees.dicom_slide import Slide, is_slide, slide_of
from coverslip.formats.trees.dicom_tags import number_of, numbers
from coverslip.formats.trees.image import images
from coverslip.formats.trees.vendor_names import unique_names

PALETTE = [f"{kind}{color}PaletteColorLookupTable{part}"
           for color in ("Red", "Green", "Blue")
           for kind, part in (("", "Descriptor"), ("", "Data"), ("Segmented", "Data"))]  # fmt: skip
OF_A_SLICE = [
    "SOPClassUID", "Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription", "InstanceNumber",
    "ImageType", "ImagePositionPatient", "ImageOrientationPatient", "SliceLocation", "TemporalPositionIdentifier",
    "AcquisitionNumber", "TriggerTime", "RescaleSlope", "RescaleIntercept", "SamplesPerPixel",
    "PhotometricInterpretation", "PlanarConfiguration", "Rows", "Columns", "NumberOfFrames", "BitsAllocated",
    "BitsStored", "PixelRepresentation", "TotalPixelMatrixColumns", "TotalPixelMatrixRows", "SpecimenLabelInImage",
    *PALETTE,
]  # fmt: skip
"""The elements that say where a slice belongs."""
FLAT = {"CR", "DX", "MG", "IO", "PX", "RG", "XC", "ES", "OP", "GM", "SM"}
"""Modalities whose images, where none tells its position, are pictures of their own."""


@dataclass
class Found:
    """What a folder or file holds.

    Attributes
    ----------
    root
        Its images.
    pixels
        Every file's frames, to be forgotten when the source is closed.
    """

    root: Group
    pixels: list[Pixels] = field(default_factory=list)


@dataclass
class Part:
    """A file in a folder: its frames and the few elements that say where they belong."""

    header: Header
    pixels: Pixels

    @property
    def dataset(self) -> Any:
        """pydicom's data set."""
        return self.header.dataset


def one_file(path: Path, identifiers: bool) -> Found:
    """The image in a file.

    Raises
    ------
    Unsupported
        When it holds none, or one that shows who it is of.
    Damaged
        When it makes no sense.
    """
    header = read_header(path)
    pixels = pixels_of(header)
    with damage(path.name):
        if _shows_label(header.dataset) and not identifiers:
            raise Unsupported(
                f"{path.name} shows the label of a slide, which may name a person", "Open it with identifiers=True."
            )
        name = name_of(header.dataset, identifiers)
        return Found(_of_file(header, pixels, name, identifiers), [pixels])


def folder(paths: Sequence[Path], identifiers: bool) -> Found:
    """The images of several files.

    Raises
    ------
    Unsupported
        When none of them holds one.
    """
    parts, remarks, last = [], {"are damaged": 0, "hold no image": 0, "show a slide's label": 0}, None
    for path in paths:
        try:
            header = read_header(path, OF_A_SLICE)
            if _shows_label(header.dataset) and not identifiers:
                remarks["show a slide's label"] += 1
                continue
            parts.append(Part(header, pixels_of(header)))
        except (CoverslipError, OSError) as error:
            last = error
            remarks["are damaged" if isinstance(error, (Damaged, OSError)) else "hold no image"] += 1
    if not parts:
        raise Unsupported("None of the DICOM files here holds an image that can be shown", str(last or "")) from last
    notes = [f"{count} files that {what} are left out." for what, count in remarks.items() if count]
    return Found(_images(parts, notes, identifiers), [part.pixels for part in parts])


def _images(parts: Sequence[Part], notes: Sequence[str], identifiers: bool) -> Group:
    made: list[tuple[str, Callable[[], Group]]] = []
    with damage("the series"):
        for group in _groups(parts):
            name = name_of(group[0].dataset, identifiers)
            make = partial(_pyramid if is_slide(group[0].dataset) else _series, group)
            made.append((name, partial(make, name, notes, identifiers)))
        names = unique_names(name for name, _ in made)
        return images(dict(zip(names, (make for _, make in made), strict=True)))


def _groups(parts: Sequence[Part]) -> list[list[Part]]:
    """Files that make up one image each, in the order of the series' numbers."""
    groups: dict[tuple[Any, ...], list[Part]] = {}
    for i, part in enumerate(parts):
        dataset, layout = part.dataset, part.pixels.layout
        series = str(dataset.get("SeriesInstanceUID") or i)
        key: tuple[Any, ...] = (series, part.pixels.shape, str(part.pixels.dtype), layout.photometric)
        oriented = tuple(round(value, 2) for value in numbers(dataset, "ImageOrientationPatient", 6))
        unplaced = not oriented and number_of(dataset, "SliceLocation") is None
        if is_slide(dataset):
            # The levels of a pyramid belong together; thumbnails and overviews stay on their own.
            level = _flavour(dataset) == "VOLUME"
            key = (series, "slide" if level else i, str(part.pixels.dtype), part.pixels.samples)
        elif layout.frames > 1 or (unplaced and str(dataset.get("Modality")) in FLAT):
            key = (*key, i)
        else:
            key = (*key, oriented)
        groups.setdefault(key, []).append(part)
    return sorted(groups.values(), key=lambda group: number_of(group[0].dataset, "SeriesNumber") or 0.0)


def _flavour(dataset: Any) -> str:
    """The third value of Image Type: a slide's ``VOLUME``, ``LABEL``, ``OVERVIEW`` or ``THUMBNAIL``."""
    kind: Any = dataset.get("ImageType")
    return str(kind[2]) if kind and not isinstance(kind, str) and len(kind) > 2 else ""


def _shows_label(dataset: Any) -> bool:
    return _flavour(dataset) == "LABEL" or str(dataset.get("SpecimenLabelInImage")) == "YES"


def _series(group: Sequence[Part], name: str, notes: Sequence[str], identifiers: bool) -> Group:
    header = read_header(group[0].header.path)
    with damage(header.path.name):
        if len(group) == 1:
            return _of_file(header, group[0].pixels, name, identifiers, notes)
        planes = [_plane(part) for part in group]
        arrangement = arrange(planes, spacing_of(header.dataset))
        return _stacked(header.dataset, planes, arrangement, name, notes, identifiers)


def _of_file(header: Header, pixels: Pixels, name: str, identifiers: bool, notes: Sequence[str] = ()) -> Group:
    dataset = header.dataset
    if is_slide(dataset):
        return _slides([(header, slide_of(header, pixels))], name, notes, identifiers)
    if pixels.layout.frames > 1 or dataset.get("PerFrameFunctionalGroupsSequence"):
        planes, arrangement = frames_of(dataset, pixels)
    else:
        planes = [Plane(pixels)]
        arrangement = arrange(planes, None)
    return _stacked(dataset, planes, arrangement, name, notes, identifiers)


def _stacked(
    dataset: Any, planes: Sequence[Plane], arrangement: Arrangement, name: str, notes: Sequence[str], identifiers: bool
) -> Group:
    raw = raw_of(dataset, planes, [*arrangement.notes, *notes], identifiers)
    return picture([stack(planes, arrangement)], arrangement.axes, planes[0].pixels.samples, dataset, name, raw)


def _pyramid(group: Sequence[Part], name: str, notes: Sequence[str], identifiers: bool) -> Group:
    headers = [read_header(part.header.path) for part in group]
    with damage(headers[0].path.name):
        slides = [(h, slide_of(h, part.pixels)) for h, part in zip(headers, group, strict=True)]
        return _slides(slides, name, notes, identifiers)


def _slides(slides: Sequence[tuple[Header, Slide]], name: str, notes: Sequence[str], identifiers: bool) -> Group:
    """Levels, finest first, as far as each is smaller than the one before and has the same other axes."""
    ordered = sorted(slides, key=lambda slide: slide[1].spec.shape[-1], reverse=True)
    kept = [ordered[0]]
    for header, slide in ordered[1:]:
        fine, coarse = kept[-1][1].spec.shape, slide.spec.shape
        if fine[:-2] == coarse[:-2] and coarse[-1] < fine[-1] and coarse[-2] <= fine[-2]:
            kept.append((header, slide))
    left = len(ordered) - len(kept)
    remarks = [*notes, *([f"{left} files do not fit into the pyramid."] if left else [])]
    dataset, first = kept[0][0].dataset, kept[0][1]
    lead = [Axis(letter) for letter in first.axes if letter in "cz"]
    raw = raw_of(dataset, (), remarks, identifiers)
    return picture([slide for _, slide in kept], lead, 3 if "s" in first.axes else 1, dataset, name, raw)


def _plane(part: Part) -> Plane:
    dataset = part.dataset
    number = number_of(dataset, "InstanceNumber")
    slope = number_of(dataset, "RescaleSlope")
    times = [number_of(dataset, key) for key in ("TemporalPositionIdentifier", "AcquisitionNumber", "TriggerTime")]
    return Plane(
        part.pixels,
        0,
        numbers(dataset, "ImagePositionPatient", 3)[:3],
        numbers(dataset, "ImageOrientationPatient", 6)[:6],
        number_of(dataset, "SliceLocation"),
        (*(value or 0.0 for value in times), number or 0.0),
        None if number is None else int(number),
        rescale=None if slope is None else (slope, number_of(dataset, "RescaleIntercept") or 0.0),
    )

"""Frames put in the order in which they lie in space and time.

Source: DICOM PS3.3 C.7.6.2.1.1 (positions and orientations), C.7.6.5.1.1 (frame time), C.7.6.16 (functional groups),
C.7.6.17 (dimensions), C.8.8.3.2 (grid frame offsets), C.8.20.2 (segments).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.ngff import Axis
from coverslip.formats.trees.dicom_pixels import Pixels
from coverslip.formats.trees.dicom_tags import number_of, numbers

SAME_MM = 1e-3
"""Positions that differ by less are the same."""
REGULAR = 0.01
"""Distances that differ by less, relatively, are the same."""
IN_SPACE = {0x00200032, 0x00209057, 0x00209056, 0x0062000B, 0x00209301, 0x0020930F}
"""Dimensions that number places or segments: position, number in the stack, stack, segment."""
TIMES = {0x00181063, 0x00181065, 0x00540100, 0x00540070, 0x00540060, 0x00181086}
"""Pointers to what tells frames apart in time: frame time (or vector), time slice, time slot, R-R interval, phase."""
SLICES = 0x00540080
"""Pointer to what tells slices apart in nuclear medicine."""
VOLUMES = {"CT", "MR", "PT", "RTDOSE", "SEG"}


@dataclass
class Plane:
    """One frame, and where it belongs.

    Attributes
    ----------
    pixels, frame
        The file's frames, and which of them.
    position, orientation
        Of the image in the patient, mm; empty where the file does not say.
    location
        Slice location in mm, or None.
    order
        What to sort by where positions are the same: times, numbers.
    number
        Instance number, or None.
    segment
        Number of the segment, 0 for none.
    rescale
        Slope and intercept of this file, or None.
    """

    pixels: Pixels
    frame: int = 0
    position: list[float] = field(default_factory=list)
    orientation: list[float] = field(default_factory=list)
    location: float | None = None
    order: tuple[float, ...] = ()
    number: int | None = None
    segment: int = 0
    rescale: tuple[float, float] | None = None


@dataclass
class Arrangement:
    """Leading axes, a table of their lengths that numbers the planes (-1: none there), and what is odd."""

    axes: list[Axis]
    table: npt.NDArray[np.intp]
    notes: list[str] = field(default_factory=list)


def arrange(planes: Sequence[Plane], spacing: float | None) -> Arrangement:
    """Planes of one shape on the axes t and z, or c and z for segments.

    Parameters
    ----------
    planes
        In the order of the file, or of the files' names.
    spacing
        What the header gives as distance between slices, mm; used where positions do not tell.
    """
    where = _coordinates(planes)
    if any(plane.segment for plane in planes):
        return _segments(planes, where, spacing)
    if len(planes) == 1:
        return Arrangement([], np.zeros((), np.intp))
    ranks = sorted(range(len(planes)), key=lambda i: (where[i] if where else 0.0, planes[i].order, i))
    if where is None:
        notes = _missing_numbers(planes)
        return Arrangement([_z(spacing)], np.array(ranks, np.intp), notes)
    levels = _levels(where, ranks)
    sizes = {len(level) for level in levels}
    if len(sizes) > 1:
        return Arrangement([_z(None)], np.array(ranks, np.intp), ["Some positions hold more images than others."])
    inner = [sorted(level, key=lambda i: (planes[i].order, i)) for level in levels]
    table = np.array(inner, np.intp).T
    step, notes = _step([where[level[0]] for level in levels], spacing)
    if table.shape[0] == 1:
        return Arrangement([_z(step)], table[0], notes)
    if table.shape[1] == 1:
        return Arrangement([Axis("t")], table[:, 0], notes)
    return Arrangement([Axis("t"), _z(step)], table, notes)


def in_sequence(planes: Sequence[Plane], axis: Axis) -> Arrangement:
    """Planes in the order of the file on one axis."""
    if len(planes) == 1:
        return Arrangement([], np.zeros((), np.intp))
    return Arrangement([axis], np.arange(len(planes), dtype=np.intp))


def _segments(planes: Sequence[Plane], where: list[float] | None, spacing: float | None) -> Arrangement:
    segments = sorted({plane.segment for plane in planes})
    places = where or [0.0] * len(planes)
    levels = _levels(places, sorted(range(len(planes)), key=lambda i: places[i]))
    table = np.full((len(segments), len(levels)), -1, np.intp)
    for z, level in enumerate(levels):
        for i in level:
            table[segments.index(planes[i].segment), z] = i
    step, notes = _step([places[level[0]] for level in levels], spacing)
    axes = [Axis("c")] if len(segments) > 1 else []
    axes += [_z(step)] if len(levels) > 1 else []
    return Arrangement(axes, table.reshape([n for n in table.shape if n > 1]), notes)


def _z(step: float | None) -> Axis:
    return Axis("z", step, "millimeter") if step else Axis("z")


def _coordinates(planes: Sequence[Plane]) -> list[float] | None:
    """Positions along the normal of the slices in mm; None where they are not known for all."""
    first = planes[0].orientation
    if all(len(p.position) == 3 for p in planes) and len(first) == 6:
        if all(len(p.orientation) == 6 and np.allclose(p.orientation, first, atol=1e-3) for p in planes):
            normal = np.cross(first[:3], first[3:])
            return [float(np.dot(p.position, normal)) for p in planes]
        return None
    locations = [p.location for p in planes if p.location is not None]
    return locations if len(locations) == len(planes) else None


def _levels(where: Sequence[float], ranks: Iterable[int]) -> list[list[int]]:
    """Planes, sorted by position, in groups of the same position."""
    levels: list[list[int]] = []
    last = float("-inf")
    for i in ranks:
        if where[i] - last > SAME_MM:
            levels.append([])
            last = where[i]
        levels[-1].append(i)
    return levels


def _step(where: Sequence[float], spacing: float | None) -> tuple[float | None, list[str]]:
    """The distance between slices in mm, by their sorted positions."""
    if len(where) < 2:
        return spacing, []
    gaps = [b - a for a, b in pairwise(where)]
    usual = float(np.median(gaps))
    if max(abs(gap - usual) for gap in gaps) <= REGULAR * usual + SAME_MM:
        return (where[-1] - where[0]) / len(gaps), []
    least = min(gaps)
    if all(abs(gap / least - round(gap / least)) <= 5 * REGULAR for gap in gaps):
        missing = sum(round(gap / least) - 1 for gap in gaps)
        after = [i for i, gap in enumerate(gaps) if round(gap / least) > 1]
        return least, [f"{missing} slices are missing, after slice {', '.join(map(str, after[:20]))}."]
    return spacing or usual, [f"Distances between slices vary from {least:.4g} to {max(gaps):.4g} mm."]


def _missing_numbers(planes: Sequence[Plane]) -> list[str]:
    found = sorted({plane.number for plane in planes if plane.number is not None})
    if len(found) < 2 or len(found) < len(planes):
        return []
    missing = found[-1] - found[0] + 1 - len(found)
    return [f"{missing} instance numbers between {found[0]} and {found[-1]} are missing."] if missing else []


def spacing_of(dataset: Any) -> float | None:
    """Distance between slices in mm as the header gives it."""
    for keyword in ("SpacingBetweenSlices", "SliceThickness"):
        value = number_of(dataset, keyword)
        if value is None:
            value = number_of(functional(dataset, "PixelMeasuresSequence"), keyword)
        if value:
            return abs(value)
    return None


def functional(dataset: Any, name: str, item: Any = None) -> Any:
    """The first item of a functional group: of this frame, else shared, else of the first frame; else empty."""
    holders = [item] if item is not None else []
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        holders += list(dataset.get(groups) or ())[:1]
    for holder in holders:
        found = holder.get(name)
        if found:
            return found[0]
    return {}


def frames_of(dataset: Any, pixels: Pixels) -> tuple[list[Plane], Arrangement]:
    """The frames of one file, arranged by what its header says of each, or of all."""
    count = pixels.layout.frames
    groups = list(dataset.get("PerFrameFunctionalGroupsSequence") or ())
    if len(groups) >= count:
        planes = _grouped(dataset, pixels, groups[:count])
        if _coordinates(planes) is None and not any(plane.segment for plane in planes):
            several = len({tuple(np.round(plane.orientation, 3)) for plane in planes}) > 1
            found = in_sequence(planes, Axis("z") if several else _t(dataset, count))
            found.notes += ["Frames lie in several orientations."] if several else []
            return planes, found
        return planes, arrange(planes, spacing_of(dataset))
    planes = [Plane(pixels, i) for i in range(count)]
    axis, notes = _frame_axis(dataset, count)
    found = in_sequence(planes, axis)
    found.notes += notes
    return planes, found


def _grouped(dataset: Any, pixels: Pixels, groups: Sequence[Any]) -> list[Plane]:
    pointers = [int(item.get("DimensionIndexPointer") or 0) for item in dataset.get("DimensionIndexSequence") or ()]
    in_time = [i for i, pointer in enumerate(pointers) if pointer not in IN_SPACE]
    planes = []
    for i, item in enumerate(groups):
        content = functional(dataset, "FrameContentSequence", item)
        indices = numbers(content, "DimensionIndexValues")
        planes.append(
            Plane(
                pixels,
                i,
                numbers(functional(dataset, "PlanePositionSequence", item), "ImagePositionPatient", 3),
                numbers(functional(dataset, "PlaneOrientationSequence", item), "ImageOrientationPatient", 6),
                order=tuple(indices[at] for at in in_time if at < len(indices)),
                segment=int(
                    number_of(functional(dataset, "SegmentIdentificationSequence", item), "ReferencedSegmentNumber")
                    or 0
                ),
            )
        )
    return planes


def _frame_axis(dataset: Any, count: int) -> tuple[Axis, list[str]]:
    """What the frames of a file without functional groups are."""
    given = dataset.get("FrameIncrementPointer")
    pointers = {int(tag) for tag in (given if isinstance(given, (list, tuple)) or hasattr(given, "append") else [given])
                if tag is not None}  # fmt: skip
    for keyword in ("GridFrameOffsetVector", "SliceLocationVector"):
        offsets = numbers(dataset, keyword, count)
        if offsets:
            step, notes = _step(sorted(offsets[:count]), spacing_of(dataset))
            return _z(abs(step) if step else None), notes
    volume = SLICES in pointers or (dataset.get("Modality") in VOLUMES and not pointers & TIMES)
    return (_z(spacing_of(dataset)) if volume else _t(dataset, count)), []


def _t(dataset: Any, count: int) -> Axis:
    step = number_of(dataset, "FrameTime")
    vector = numbers(dataset, "FrameTimeVector", max(2, count))[1:count]
    if not step and vector and max(vector) - min(vector) <= REGULAR * max(vector):
        step = sum(vector) / len(vector)
    rate = number_of(dataset, "CineRate")
    step = step or (1000 / rate if rate else None)
    return Axis("t", step, "millisecond") if step and step > 0 else Axis("t")

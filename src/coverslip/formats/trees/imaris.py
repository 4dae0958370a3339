"""Imaris files: channels and time points in HDF5, one data set each, with a pyramid.

Data sets are padded to whole chunks; the true sizes are attributes. Attributes are arrays of single characters.

Source: Imaris 5.5 file format description (Bitplane; in github.com/imaris/ImarisWriter, ``doc``).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, NotFound, Unsupported
from coverslip.core.ngff import Axis, Channel, ImageMeta, unit_name
from coverslip.core.node import Array, Group
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.arrays import plain
from coverslip.formats.trees.hdf5 import H5Array
from coverslip.formats.trees.hdf5_chunks import lazily
from coverslip.formats.trees.image import PlaneArray, image

SAVE_AGAIN = "Save it again in Imaris, or convert it."
NUMBERED = {name: re.compile(rf"{name} (\d{{1,9}})") for name in ("ResolutionLevel", "TimePoint", "Channel")}
MOST_LEVELS = 64
MOST_OPEN = 256


class Cropped(Array):
    """An array without the padding at its ends."""

    def __init__(self, array: Array, shape: tuple[int, ...]) -> None:
        self._array, self.attrs = array, array.attrs
        self._spec = ArraySpec(shape, array.spec.dtype, array.spec.chunks)

    @property
    def spec(self) -> ArraySpec:
        """The true shape, and dtype and chunks as stored."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``."""
        if not box.within(self._spec.shape):
            raise NotFound(f"{box} is outside {self._spec.shape}")
        return self._array.read(box)


def imaris_image(root: Group, name: str) -> Group:
    """The image of an Imaris file.

    Raises
    ------
    Damaged
        When a level, a time point or a channel is missing.
    """
    data = _group(root, _text(root.attrs.get("DataSetDirectoryName")) or "DataSet")
    info = root.group(_text(root.attrs.get("DataSetInfoDirectoryName")) or "DataSetInfo")
    said = _info(info)
    levels: list[Array] = []
    for number in range(min(_count(data, "ResolutionLevel"), MOST_LEVELS)):
        level = _level(_group(data, f"ResolutionLevel {number}"), said.get("Image", {}) if number == 0 else {})
        if levels and not _coarser(level.spec.shape, levels[-1].spec.shape):
            break
        levels.append(level)
    if not levels:
        raise Damaged("The file holds no image", SAVE_AGAIN)
    shape = levels[0].spec.shape
    about = said.get("Image", {})
    meta = ImageMeta(
        axes=_axes(about, said.get("TimeInfo", {}), shape),
        channels=[_channel(said.get(f"Channel {i}", {})) for i in range(shape[1])],
        name=about.get("Name", "").strip() or name,
        raw=plain(said),
    )
    return image(levels, meta)


def _level(group: Group, about: Mapping[str, str]) -> Array:
    """One level: axes t, c, z, y, x."""
    times = _count(group, "TimePoint")
    channels = _count(_group(group, "TimePoint 0"), "Channel") if times else 0
    if not times or not channels:
        raise Damaged("A level of the image holds no channel", SAVE_AGAIN)
    first = _volume(group, 0, 0, about).spec

    @lru_cache(MOST_OPEN)  # thousands of time points are opened when they are looked at
    def volume(time: int, channel: int) -> Array:
        found = _volume(group, time, channel, about)
        if (found.spec.shape, found.spec.dtype) != (first.shape, first.dtype):
            raise Unsupported("Channels or time points of the image differ in size or type", SAVE_AGAIN)
        return found

    def read(index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
        return volume(*index).read(box)

    chunks = (1, 1, *first.chunks) if first.chunks else None
    return PlaneArray((times, channels, *first.shape), first.dtype, read, plane_axes=3, chunks=chunks)


def _volume(level: Group, time: int, channel: int, about: Mapping[str, str]) -> Array:
    group = _group(_group(level, f"TimePoint {time}"), f"Channel {channel}")
    array = group.array("Data")
    stored = array.spec.shape
    if not isinstance(array, H5Array) or len(stored) != 3 or array.spec.dtype.kind not in "iuf":
        raise Damaged("A channel holds no volume of numbers", SAVE_AGAIN)
    attrs = group.attrs
    sizes = [_number(attrs.get(f"ImageSize{a}")) or _number(about.get(a)) for a in "ZYX"]
    true = tuple(int(s) if s and 0 < s <= n else n for s, n in zip(sizes, stored, strict=True))
    if not all(true):
        raise Damaged("A channel of the image is empty", SAVE_AGAIN)
    return Cropped(lazily(array), true)


def _axes(about: Mapping[str, str], times: Mapping[str, str], shape: Sequence[int]) -> list[Axis]:
    """Sizes by the extent of the whole image; time by when the first two points were taken."""
    unit = unit_name(about.get("Unit", "um"))
    axes = [Axis("t", *_time_step(times, shape[0])), Axis("c")]
    for name, number, n in (("z", 2, shape[2]), ("y", 1, shape[3]), ("x", 0, shape[4])):
        low, high = _number(about.get(f"ExtMin{number}")), _number(about.get(f"ExtMax{number}"))
        if low is None or high is None or not high > low:
            axes.append(Axis(name))
            continue
        step = (high - low) / n
        axes.append(Axis(name, step, unit, low + step / 2))  # positions are of the middles of pixels
    return axes


def _time_step(times: Mapping[str, str], n: int) -> tuple[float, str | None]:
    taken = []
    for i in (1, n):
        try:
            taken.append(datetime.fromisoformat(times[f"TimePoint{i}"].strip()))
        except (KeyError, ValueError):
            return 1.0, None
    if n < 2 or (taken[0].tzinfo is None) != (taken[1].tzinfo is None):
        return 1.0, None
    step = (taken[1] - taken[0]).total_seconds() / (n - 1)
    return (step, "second") if step > 0 else (1.0, None)


def _channel(said: Mapping[str, str]) -> Channel:
    color = None
    parts = [_number(v) for v in said.get("Color", "").split()]
    if len(parts) == 3 and all(v is not None for v in parts):
        color = "".join(f"{round(255 * min(max(v or 0.0, 0.0), 1.0)):02X}" for v in parts)
    limits = [_number(v) for v in said.get("ColorRange", "").split()]
    window = None
    if len(limits) == 2 and limits[0] is not None and limits[1] is not None and limits[0] < limits[1]:
        window = (limits[0], limits[1])
    return Channel(said.get("Name", "").strip(), color, window)


def _info(info: Group | None) -> dict[str, dict[str, str]]:
    """What the file says, section by section."""
    if info is None:
        return {}
    found = {}
    for name in info:
        group = info.group(name)
        if group is not None:
            found[name] = {key: text for key, value in group.attrs.items() if (text := _text(value)) is not None}
    return found


def _text(value: Any) -> str | None:
    """Text from an array of characters."""
    if isinstance(value, list) and all(isinstance(v, str) for v in value):
        return "".join(value).rstrip("\0")
    return value.rstrip("\0") if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    try:
        number = float(_text(value) or "")
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _count(group: Group, name: str) -> int:
    """How many members are numbered from 0 without a gap."""
    numbers = {int(found[1]) for member in group if (found := NUMBERED[name].fullmatch(member))}
    return next((i for i in range(len(numbers) + 1) if i not in numbers), 0)


def _group(group: Group, name: str) -> Group:
    found = group.group(name)
    if found is None:
        raise Damaged(f"{name!r} is missing", SAVE_AGAIN)
    return found


def _coarser(shape: tuple[int, ...], before: tuple[int, ...]) -> bool:
    return shape != before and bool(np.all(np.less_equal(shape, before)))

"""What of a data set is asked for: ``[10:20,5:50]``, ``[0:105:7,0:300]``, ``[[1,5,9],0:300]``, or points.

Source: the HDF REST API, "GET value" (``select``) and "POST value" (``points``).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest
from coverslip.core.typed import Axis, Selection

LONGEST = 1 << 24
PART = re.compile(r"\[([0-9,\s]*)\]|([^,\[\]]+)")
SLICE = re.compile(r"\s*(\d{0,19})\s*(?::\s*(\d{0,19})\s*(?::\s*(\d{0,19})\s*)?)?")
CODE = "bad_selection"


def parse(text: str, shape: tuple[int, ...]) -> Selection:
    """A selection as HSDS writes it; a single number is a range of one, as there.

    Raises
    ------
    BadRequest
        When it cannot be read, or leads outside of ``shape``.
    """
    text = text.strip()
    if not text:
        return Selection.whole(shape)
    if len(text) > LONGEST or not (text.startswith("[") and text.endswith("]")):
        raise BadRequest("A selection is written in square brackets: [0:10,5]", "", CODE)
    parts = _parts(text[1:-1])
    if len(parts) != len(shape):
        raise BadRequest(f"The selection has {len(parts)} axes, the data set {len(shape)}", "", CODE)
    if sum(part.startswith("[") for part in parts) > 1:
        raise BadRequest("One axis can have a list of coordinates", "Send points for others.", CODE)
    return Selection(tuple(_axis(part, n) for part, n in zip(parts, shape, strict=True)))


def _parts(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(text) or not found or text[at - 1 : at] == ",":
        part = PART.match(text, at)
        if part is None:
            raise BadRequest("The selection cannot be read", "Write it like [0:10,5:20:2,[1,4]].", CODE)
        found.append(part[0])
        at = part.end()
        while at < len(text) and text[at] == " ":
            at += 1
        if at < len(text):
            if text[at] != ",":
                raise BadRequest("The selection cannot be read", "Axes are parted by commas.", CODE)
            at += 1
    return found


def _axis(part: str, n: int) -> Axis:
    if part.startswith("["):
        return _list(part[1:-1], n)
    found = SLICE.fullmatch(part)
    if found is None or not part.strip():
        raise BadRequest(f"{part[:40]!r} is no range of an axis", "", CODE)
    start_text, stop_text, step_text = found.groups()
    if ":" not in part:
        return _checked(int(start_text), int(start_text) + 1, 1, n)
    start = int(start_text) if start_text else 0
    stop = int(stop_text) if stop_text else n
    return _checked(start, stop, int(step_text) if step_text else 1, n)


def _checked(start: int, stop: int, step: int, n: int) -> slice:
    if step < 1:
        raise BadRequest("A step is 1 or more", "", CODE)
    if start > n or stop > n or (stop < start):
        raise BadRequest(f"{start}:{stop} leads outside of an axis with {n} elements", "", CODE)
    return slice(start, stop, step)


def _list(text: str, n: int) -> npt.NDArray[np.int64]:
    try:
        values = [int(v) for v in text.split(",")] if text.strip() else []
    except ValueError:
        raise BadRequest("A list of coordinates holds numbers", "", CODE) from None
    if any(v >= n for v in values):
        raise BadRequest(f"A coordinate leads outside of an axis with {n} elements", "", CODE)
    return np.asarray(values, np.int64)


def points_of(values: Any, shape: tuple[int, ...]) -> Selection:
    """Points as JSON lists them; of one axis as plain numbers, too.

    Raises
    ------
    BadRequest
        When they are no coordinates, or lead outside of ``shape``.
    """
    if not isinstance(values, Sequence) or isinstance(values, (str, bytes)):
        raise BadRequest("Points are a list of coordinates", "", CODE)
    try:
        array = np.asarray(values)
        if array.size == 0:
            array = np.empty((0, len(shape)), np.int64)
        if array.dtype.kind not in "iu":
            raise ValueError
        array = array.astype(np.int64)
    except (ValueError, OverflowError, TypeError):
        raise BadRequest("Points are whole numbers, one list of them for each", "", CODE) from None
    return _points(array[:, None] if array.ndim == 1 and len(shape) == 1 else array, shape)


def points_from(body: bytes, shape: tuple[int, ...]) -> Selection:
    """Points as unsigned numbers of 8 bytes, one row of them for each point.

    Raises
    ------
    BadRequest
        When there are bytes left over, or points lead outside of ``shape``.
    """
    width = 8 * max(1, len(shape))
    if len(body) % width:
        raise BadRequest(f"Content length: {len(body)} not divisible by element size {width}", "", CODE)
    array = np.frombuffer(body, "<u8").reshape(-1, max(1, len(shape)))
    if array.size and array.max() > np.iinfo(np.int64).max:
        raise BadRequest("A point leads outside of the data set", "", CODE)
    return _points(array.astype(np.int64), shape)


def _points(array: npt.NDArray[np.int64], shape: tuple[int, ...]) -> Selection:
    if array.ndim != 2 or array.shape[1] != len(shape) or not shape:
        raise BadRequest(f"A point has {len(shape)} coordinates here", "", CODE)
    if array.size and ((array < 0).any() or (array >= np.asarray(shape)).any()):
        raise BadRequest("A point leads outside of the data set", "", CODE)
    return Selection(points=array)

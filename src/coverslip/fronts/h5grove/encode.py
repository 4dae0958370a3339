"""Values as h5grove sends them: JSON, bytes, NPY, CSV, TIFF.

Source: h5grove 4.0, "Encoders"; TIFF 6.0, sections 2 and 19 (sample format).
"""

from __future__ import annotations

import io
import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest

CODE = "bad_query"
SAMPLE = {"u": 1, "i": 2, "f": 3}
SHORT, LONG = 3, 4


def safe(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Numbers of a type that JavaScript has an array for.

    Raises
    ------
    BadRequest
        When they are no numbers.
    """
    need_numbers(values, "dtype safe")
    dtype = values.dtype
    if dtype.kind == "f" and dtype.itemsize < 4:
        return values.astype("<f4")
    return np.ascontiguousarray(values, dtype.newbyteorder("<") if dtype.itemsize > 1 else dtype)


def need_numbers(values: npt.NDArray[Any], what: str) -> None:
    """Refuse what is no array of numbers.

    Raises
    ------
    BadRequest
        When it is none.
    """
    if values.dtype.kind not in "biufc":
        raise BadRequest(f"Unsupported {what} for non-numeric data", "", CODE)


def encoded(values: npt.NDArray[Any], form: str) -> tuple[bytes | memoryview, str, str]:
    """The body, its media type, and the name of the file it may be saved as.

    Raises
    ------
    BadRequest
        When the form is not known, or the values do not fit it.
    """
    if form == "bin":
        flat = np.ascontiguousarray(values)
        if flat.dtype.hasobject:
            raise BadRequest("Data of any length cannot be sent as bytes", "Ask for format=json.", CODE)
        return (memoryview(flat.reshape(-1).view(np.uint8).data) if flat.size else b""), "application/octet-stream", ""
    if form not in ("npy", "csv", "tiff"):
        raise BadRequest(f"Unsupported encoding {form[:40]}", "There are json, bin, npy, csv and tiff.", CODE)
    need_numbers(values, f"encoding {form}")
    if form == "npy":
        out = io.BytesIO()
        np.save(out, values, allow_pickle=False)
        return out.getvalue(), "application/octet-stream", "data.npy"
    if values.ndim == 0:
        raise BadRequest(f"Unsupported encoding {form} for empty and scalar data", "", CODE)
    if form == "csv":
        if values.ndim > 2:
            raise BadRequest("CSV holds at most two axes", "Select a plane.", CODE)
        out = io.BytesIO()
        np.savetxt(out, values, delimiter=",")
        return out.getvalue(), "text/csv", "data.csv"
    return tiff(values), "image/tiff", "data.tiff"


def tiff(values: npt.NDArray[Any]) -> bytes:
    """Planes of an array as the pages of a TIFF, black for the smallest value, not compressed.

    Raises
    ------
    BadRequest
        When there is no plane, or the numbers are complex.
    """
    if values.ndim < 2 or values.dtype.kind == "c":
        raise BadRequest("TIFF holds planes of real numbers", "Select two axes.", CODE)
    if values.dtype.kind == "b":
        values = values.astype(np.uint8)
    pixels = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).reshape(-1, *values.shape[-2:])
    if pixels.nbytes >= 1 << 32:
        raise BadRequest("A TIFF holds less than 4 GB", "Select fewer planes.", CODE)
    parts = [b"II*\0" + struct.pack("<I", 8 if len(pixels) else 0)]
    at = 8
    for number, plane in enumerate(pixels):
        data = at + PAGE_BYTES
        end = data + plane.nbytes + plane.nbytes % 2
        parts += [
            _page(plane, data, end if number + 1 < len(pixels) else 0),
            plane.tobytes(),
            b"\0" * (plane.nbytes % 2),
        ]
        at = end
    return b"".join(parts)


PAGE_BYTES = 2 + 10 * 12 + 4


def _page(plane: npt.NDArray[Any], data: int, following: int) -> bytes:
    height, width = plane.shape
    tags = [
        (256, LONG, width),
        (257, LONG, height),
        (258, SHORT, 8 * plane.dtype.itemsize),
        (259, SHORT, 1),
        (262, SHORT, 1),
        (273, LONG, data),
        (277, SHORT, 1),
        (278, LONG, height),
        (279, LONG, plane.nbytes),
        (339, SHORT, SAMPLE[plane.dtype.kind]),
    ]
    rows = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    return struct.pack("<H", len(tags)) + rows + struct.pack("<I", following)

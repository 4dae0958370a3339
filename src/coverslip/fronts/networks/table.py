"""Several columns of numbers in one body that a browser reads without copying.

::

    bytes 0 to 4     "CSTB"
    bytes 4 to 8     length of the header, uint32
    header           JSON: {"rows": n, "columns": [{"name", "dtype", "shape", "offset", "bytes"}, …], …}, filled with
                     blanks so that what follows begins at a multiple of 8
    columns          little-endian, C order, each at its offset (a multiple of 8) from the end of the header
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.fronts.http import to_json

MAGIC = b"CSTB"
MEDIA_TYPE = "application/vnd.coverslip.table"
ALIGNED = 8


def table(columns: Mapping[str, npt.NDArray[Any]], **further: Any) -> bytes:
    """The body of some columns.

    Parameters
    ----------
    columns
        Numbers by name, of any shape; the first axis of the first one counts the rows.
    further
        What else the header says.
    """
    listed: list[dict[str, Any]] = []
    parts: list[bytes] = []
    at = 0
    for name, values in columns.items():
        array = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
        size = array.nbytes
        listed.append(
            {"name": name, "dtype": array.dtype.name, "shape": list(array.shape), "offset": at, "bytes": size}
        )
        parts += [array.tobytes(), b"\0" * (-size % ALIGNED)]
        at += size + -size % ALIGNED
    rows = listed[0]["shape"][0] if listed and listed[0]["shape"] else 0
    header = to_json({"rows": rows, "columns": listed, **further})
    header += b" " * (-(len(header) + ALIGNED) % ALIGNED)
    return b"".join([MAGIC, struct.pack("<I", len(header)), header, *parts])

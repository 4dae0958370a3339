"""What a blosc frame says of itself, looked at before it is unpacked: TensorStore makes room for as much as it says.

Source: C-Blosc, README_CHUNK_FORMAT.rst (bytes 4 to 7 of a frame: how many bytes it is unpacked to, little-endian).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from coverslip.core.errors import Damaged

NAME = "blosc"
HEAD_BYTES = 16


def is_outermost(metadata: Mapping[str, Any]) -> bool:
    """Whether chunks of a Zarr array (of either version) are stored as blosc frames.

    Raises
    ------
    Damaged
        When they are, inside something else that would have to be unpacked first; nobody writes that.
    """
    compressor = metadata.get("compressor")
    if isinstance(compressor, Mapping):
        return compressor.get("id") == NAME
    codecs = [codec.get("name") for codec in metadata.get("codecs") or () if isinstance(codec, Mapping)]
    outer = [name for name in codecs if name != "crc32c"]  # stands behind the frame
    if NAME in outer[:-1]:
        raise Damaged("An array is compressed with blosc and again with something else", "Write it with one of them.")
    return outer[-1:] == [NAME]


def check_frame(key: str, head: bytes | None, most: int, hint: str) -> None:
    """Refuse a frame that is unpacked to more than a chunk has.

    Parameters
    ----------
    head
        Its first `HEAD_BYTES`; None when there is none.
    most
        Bytes of a chunk's elements.

    Raises
    ------
    Damaged
        When it is.
    """
    if head is not None and len(head) >= HEAD_BYTES and struct.unpack_from("<I", head, 4)[0] > most:
        raise Damaged(f"The chunk {key} is larger than it can be", hint)

"""The header of a JPEG XR image, checked before a decoder sees it.

The reference decoder, which every library here uses, ends the process when the header is damaged; in the coded pixels
it finds damage itself.

Source: ITU-T T.832 (2019), annex A (the container, which is laid out like TIFF) and 8.3 (the image header).
"""

from __future__ import annotations

import struct

HEAD_BYTES = 4096
"""So much of an image's beginning is needed."""
SIGNATURE, CODED = b"II\xbc", b"WMPHOTO\0"
FORMAT_TAG, WIDTH_TAG, HEIGHT_TAG, OFFSET_TAG = 0xBC01, 0xBC80, 0xBC81, 0xBCC0
TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
MOST_TAGS = 64
SLACK_PIXELS = 1 << 16
FORMATS = frozenset(b"\x08\x0b\x11\x0c\x0d\x15\x1b")
"""Last bytes of the pixel formats' identifiers: gray of 8, 16 and 32 (float), BGR 24, RGB 24, 48 and float."""
FORMAT_START = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc9")
GRAY, RGB_COLOR = 0, 7
YUV444, DC_ONLY = 3, 3
DEPTHS = {1, 2, 3, 4, 7}
"""8 bits, 16 bits, 16 bits signed, half and single floating point, as T.832 numbers them."""


def looks_sound(head: bytes, length: int, pixels: int) -> bool:
    """Whether an image that begins with ``head`` and is ``length`` bytes long has a sound header.

    Parameters
    ----------
    head
        Its first `HEAD_BYTES`, or all of it.
    length
        Its length in bytes.
    pixels
        How many pixels it should have; some files hold a few more or less, which the reader cuts or pads.
    """
    try:
        tags = _tags(head, length)
        return tags is not None and _agrees(tags, head, length, pixels)
    except (struct.error, IndexError):
        return False


def _tags(head: bytes, length: int) -> dict[int, tuple[int, int, int]] | None:
    """Type, count and value of every tag; None when the directory makes no sense."""
    if not head.startswith(SIGNATURE) or head[3] > 1:
        return None
    (at,) = struct.unpack_from("<I", head, 4)
    (count,) = struct.unpack_from("<H", head, at)
    if not 3 < count <= MOST_TAGS:
        return None
    found: dict[int, tuple[int, int, int]] = {}
    for i in range(count):
        tag, kind, n, value = struct.unpack_from("<HHII", head, at + 2 + 12 * i)
        size = TYPE_BYTES.get(kind, 0) * n
        if not size or (size > 4 and value + size > length) or tag in found:
            return None
        found[tag] = (kind, n, value)
    return found


def _agrees(tags: dict[int, tuple[int, int, int]], head: bytes, length: int, pixels: int) -> bool:
    width, height, start = (tags.get(tag, (0, 0, 0))[2] for tag in (WIDTH_TAG, HEIGHT_TAG, OFFSET_TAG))
    kind, n, at = tags.get(FORMAT_TAG, (0, 0, 0))
    known = (kind, n) == (1, 16) and head[at : at + 15] == FORMAT_START and head[at + 15] in FORMATS
    fits = 0 < width * height <= 4 * pixels + SLACK_PIXELS and 0 < start < length
    return known and fits and _header(head[start:], width, height)


def _header(coded: bytes, width: int, height: int) -> bool:
    """The image header: signature, version, no tiles beyond those that fit, and the size again."""
    if not coded.startswith(CODED) or coded[8] >> 4 != 1:
        return False
    tiled, short, windowed = coded[9] & 0x80, coded[10] & 0x80, coded[10] & 0x20
    color, depth = coded[11] >> 4, coded[11] & 15
    size = struct.unpack_from(">HH" if short else ">II", coded, 12)
    if color not in (GRAY, RGB_COLOR) or depth not in DEPTHS:
        return False
    if not windowed and size != (width - 1, height - 1):
        return False
    if windowed and not (width - 1 <= size[0] and height - 1 <= size[1]):
        return False
    after = 12 + (4 if short else 8)
    if tiled:
        counts = int.from_bytes(coded[after : after + 3], "big")
        across, down = 1 + (counts >> 12), 1 + (counts & 0xFFF)
        if across > (width + 15) // 16 or down > (height + 15) // 16:
            return False
        after += 3 + (across + down - 2) * (1 if short else 2)
    plane = coded[after + (3 if windowed else 0)]
    internal, bands = plane >> 5, plane & 15
    return internal <= (0 if color == GRAY else YUV444) and bands <= DC_ONLY

"""MRC2014 and CCP4 maps of electron microscopy: ``.mrc .mrcs .rec .st .ali .map .ccp4``, also inside gzip.

Axes are named by ``MAPC MAPR MAPS`` and put in the order z y x. Sections that are images of their own (space group 0
with ``MZ`` 1, or the suffixes ``.mrcs``, ``.st``, ``.ali``) become the axis t, a stack of volumes (space group 401 and
above) has t and z. A complex number becomes the channels Real and Imaginary. Mode 0 is signed, except in files of IMOD
that say otherwise. Headers of old programs without the stamp ``MAP`` or with a wrong machine stamp are accepted when
their numbers make sense.

Source: Cheng et al. 2015, https://doi.org/10.1016/j.jsb.2015.04.002 and https://www.ccpem.ac.uk/mrc_format/mrc2014.php;
IMOD's https://bio3d.colorado.edu/imod/doc/mrc_format.txt for modes 3 and 16 and its flags; mrcfile for the header.
"""

from __future__ import annotations

import re
import struct
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Source
from coverslip.formats.trees.flat import FlatArray, open_bytes
from coverslip.formats.trees.gzip_index import MAGIC, inflate_head
from coverslip.formats.trees.image import image, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_names import plain

HEADER = 1024
STAMP = slice(208, 212)
OWN_SUFFIXES = {".mrc", ".mrcs", ".ccp4"}
SUFFIXES = {*OWN_SUFFIXES, ".map", ".rec", ".st", ".ali"}
STACKS, VOLUMES = {".mrcs", ".st", ".ali"}, {".map", ".ccp4", ".rec"}
MODES: dict[int, tuple[str, int]] = {
    0: ("i1", 0), 1: ("i2", 0), 2: ("f4", 0), 3: ("i2", 2), 4: ("f4", 2), 6: ("u2", 0), 12: ("f2", 0), 16: ("u1", 3),
}  # fmt: skip
"""Mode, and the dtype and the number of samples (0: no axis of samples) of a pixel."""
OTHER_MODES = {7, 101}
"""Modes that exist and are not read."""
IMOD = 1146047817
VOLUME_STACK = range(401, 631)
MOST_PIXELS = 1 << 24
"""No axis is longer than this."""
SAMPLES = {
    2: (Channel("Real"), Channel("Imaginary")),
    3: (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF")),
}
PATH = re.compile(r"(?<!\S)(?:/[^\s/]+)+/|[A-Za-z]:\\(?:[^\s\\]+\\)*")
"""The folders of a path in a label, as programs write their command line."""


def byte_order(head: bytes) -> str | None:
    """``<`` or ``>`` when the first bytes are a header of MRC in that order, None when they are none."""
    if len(head) < HEADER:
        return None
    orders = [order for order in "<>" if _makes_sense(head, order)]
    if len(orders) == 2 and head[212] == 0x11:
        return ">"
    return orders[0] if orders else None


def _makes_sense(head: bytes, order: str) -> bool:
    columns, rows, sections, mode = struct.unpack_from(f"{order}4i", head)
    maps, extension = struct.unpack_from(f"{order}3i", head, 64), struct.unpack_from(f"{order}i", head, 92)[0]
    return (
        all(0 < n <= MOST_PIXELS for n in (columns, rows, sections))
        and (mode in MODES or mode in OTHER_MODES)
        and (sorted(maps) == [1, 2, 3] or (maps == (0, 0, 0) and head[STAMP] != b"MAP "))
        and extension >= 0
    )


class Mrc:
    """Maps, tomograms, tilt series, movies and stacks of particles."""

    name = "mrc"
    expects = "MRC file (.mrc, .mrcs, .rec, .st, .map, .ccp4)"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the suffix ``.mrc``, ``.mrcs`` or ``.ccp4``, or by a header that makes sense."""
        name = path.name.lower()
        if not path.is_file():
            return False
        if path.suffix.lower() in OWN_SUFFIXES or name.endswith((".mrc.bz2", ".mrcs.bz2", ".map.bz2")):
            return True
        if head.startswith(MAGIC):
            head, name = inflate_head(head, HEADER), name.removesuffix(".gz")
        return byte_order(head) is not None and (head[STAMP] == b"MAP " or Path(name).suffix in SUFFIXES)

    def open(self, path: Path) -> Source:
        """Read the header, and see that all pixels are there."""
        with path.open("rb") as file:
            head = file.read(1 << 16)
        if head.startswith(b"BZh"):
            raise Unsupported(f"{path.name} is compressed with bzip2", "Decompress it: bunzip2.")
        if head.startswith(MAGIC):
            head = inflate_head(head, HEADER)
        order = byte_order(head)
        if order is None:
            raise Damaged(f"{path.name} has no MRC header that makes sense", "The file is damaged; copy it again.")
        header = _header(head, order)
        mode = int(header["mode"])
        if mode in OTHER_MODES:
            raise Unsupported(f"{path.name} has mode {mode}", "Convert it: newstack -mode 1 in out.")
        dtype, samples = _pixel(head, order, mode)
        axes = _axes(header, Path(path.name.lower().removesuffix(".gz")).suffix)
        shape = (*(size for _, size in axes), *([samples] if samples else []))
        offset = HEADER + int(header["nsymbt"])
        data = open_bytes(path, offset + dtype.itemsize * int(np.prod(shape, dtype=object)))
        array = FlatArray(data, offset, shape, dtype)
        meta = ImageMeta(
            [*(axis for axis, _ in axes), *([Axis("s")] if samples else [])],
            SAMPLES.get(samples, ()),
            rgb=samples == 3,
            raw=_raw(header),
        )
        levels, meta = in_order([array], meta)
        return PathSource(path, image(levels, meta), data.close)


def _header(head: bytes, order: str) -> npt.NDArray[Any]:
    dtypes = need("mrcfile.dtypes", "MRC")
    header: npt.NDArray[Any] = np.frombuffer(head[:HEADER], dtypes.HEADER_DTYPE.newbyteorder(order))[0]
    return header


def _pixel(head: bytes, order: str, mode: int) -> tuple[np.dtype[Any], int]:
    code, samples = MODES[mode]
    stamp, flags = struct.unpack_from(f"{order}2i", head, 152)
    if mode == 0 and stamp == IMOD and not flags & 1:
        code = "u1"
    return np.dtype(order + code), samples


def _axes(header: npt.NDArray[Any], suffix: str) -> list[tuple[Axis, int]]:
    """Axes in C order with their lengths; a single section is no axis."""
    numbers = [int(header[key]) for key in ("mapc", "mapr", "maps")]
    letters = ["xyz"[n - 1] for n in numbers] if sorted(numbers) == [1, 2, 3] else list("xyz")
    column, row, section = (int(header[key]) for key in ("nx", "ny", "nz"))
    spaces = [_axis(header, letter) for letter in letters]
    found = [(spaces[1], row), (spaces[0], column)]
    space_group, per_volume = int(header["ispg"]), int(header["mz"])
    if space_group in VOLUME_STACK and 0 < per_volume < section and section % per_volume == 0:
        return [(Axis("t"), section // per_volume), (spaces[2], per_volume), *found]
    if section == 1:
        return found
    stack = suffix in STACKS or (suffix not in VOLUMES and space_group == 0 and per_volume == 1)
    return [(Axis("t") if stack and letters[2] == "z" else spaces[2], section), *found]


def _axis(header: npt.NDArray[Any], letter: str) -> Axis:
    length, steps = float(header["cella"][letter]), int(header[f"m{letter}"])
    known = steps > 0 and np.isfinite(length) and length > 0
    return Axis(letter, length / steps, "angstrom") if known else Axis(letter)


def _raw(header: npt.NDArray[Any]) -> dict[str, Any]:
    names = header.dtype.names or ()
    found: dict[str, Any] = {}
    for name in names:
        value = header[name]
        if value.dtype.names:
            found[name] = {part: float(value[part]) for part in value.dtype.names}
        elif value.dtype.kind in "if":
            found[name] = value.tolist()
    found["exttyp"] = _text(bytes(header["exttyp"]))
    labels = [_text(bytes(label)) for label in header["label"]]
    found["label"] = [PATH.sub("", label) for label in labels if label]
    clean: dict[str, Any] = plain({"mrc": found})
    return clean


def _text(stored: bytes) -> str:
    return "".join(c for c in stored.decode("latin-1") if c.isprintable()).strip()


FORMAT: Format = Mrc()

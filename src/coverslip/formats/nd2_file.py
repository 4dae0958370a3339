"""Nikon NIS-Elements ``.nd2``: metadata by the ``nd2`` library, pixels by position in the file.

Each stage position is an image of its own; axes are ``t c z y x``. The library is closed again before the first pixel
is read, so a source holds one file handle and no memory map, and threads do not wait for each other. Frames of an
experiment that was stopped before its end are zero, as NIS-Elements shows them.

Colour frames are stored blue first (Bio-Formats issue 3761); they are given as red, green, blue.

Source: the ``nd2`` library, https://tlambert03.github.io/nd2/ (structures of the metadata).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.format import Format
from coverslip.core.ngff import Axis, Channel, ImageMeta
from coverslip.core.node import Group, Source
from coverslip.core.spec import Box
from coverslip.formats.trees.image import PlaneArray, image, images, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_handle import FileBytes
from coverslip.formats.trees.vendor_names import plain, step_of, unique_names
from coverslip.formats.trees.vendor_nd2 import (
    LEGACY_MAGIC,
    MAGIC,
    Frames,
    Geometry,
    LegacyFrames,
    refuse_lossy,
)

# What the library raises for bytes that make no sense: it unpacks, indexes and looks up without checking.
NONSENSE = (
    OSError, ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, OverflowError, MemoryError,
    RecursionError, StopIteration, RuntimeError, SyntaxError, ArithmeticError, NameError, struct.error, zlib.error,
)  # fmt: skip
LETTERS = {"TimeLoop": "t", "NETimeLoop": "t", "ZStackLoop": "z", "XYPosLoop": "p"}
SPARE_LETTERS = "lmnoqruvw"
RGB = (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"))


class Facts:
    """What the library says of a file, as plain values."""

    def __init__(self, nd2: Any, path: Path, data: FileBytes) -> None:
        # Not the path: the library would map the file into memory, and Python's lock is held while the disk is asked.
        with data.stream() as stream, nd2.ND2File(stream) as file:
            self.legacy = bool(file.is_legacy)
            a = file.attributes
            self.experiment = list(file.experiment)
            self.counts = [int(loop.count) for loop in self.experiment]
            self.compression = a.compressionType
            components, channels = int(a.componentCount), int(a.channelCount or 1)
            samples = 3 if components == 3 * channels else 1
            self.geometry = Geometry(
                int(a.heightPx), int(a.widthPx or 0), components // samples, samples, np.dtype(file.dtype),
                int(a.widthBytes or 0),
            )  # fmt: skip
            self.metadata, self.voxel = _metadata(file)
            self.raw = {
                "attributes": plain(_plain(a)),
                "metadata": plain(_plain(self.metadata)),
                "experiment": plain([_plain(loop) for loop in self.experiment]),
                "text_info": plain(dict(file.text_info)),
            }
        g = self.geometry
        sane = (
            min(g.height, g.width, g.channels) > 0
            and g.pitch >= g.width * g.pixel_bytes
            and min(self.counts or [1]) > 0
        )
        if not sane:
            raise Damaged(f"{path} says its frames are {g.width} x {g.height}", "The file is damaged; copy it again.")
        if g.dtype.kind not in "uf" or g.dtype.itemsize > 4:
            raise Unsupported(f"{path} holds pixels of type {g.dtype}", "8, 16 and 32 bits are read.")

    @property
    def names(self) -> list[str]:
        """One letter for each loop of the experiment, outermost first."""
        found: list[str] = []
        spare = iter(SPARE_LETTERS)
        for loop in self.experiment:
            letter = LETTERS.get(loop.type)
            found.append(letter if letter and letter not in found else next(spare))
        return found

    @property
    def channels(self) -> list[Channel]:
        """Names and colours of the channels as far as the file gives them."""
        found = [c.channel for c in self.metadata.channels or ()] if self.metadata else []
        return [Channel(str(c.name or i), _color(c.color)) for i, c in enumerate(found)]

    def axis(self, name: str) -> Axis:
        """Step and unit of one axis."""
        loops = [loop for loop, letter in zip(self.experiment, self.names, strict=True) if letter == name]
        step = None
        if name in ("x", "y") and self._calibrated:
            step = step_of(self.voxel[0] if name == "x" else self.voxel[1])
        elif name == "z":
            given = [getattr(loop.parameters, "stepUm", None) for loop in loops]
            step = step_of(given[0]) if given and given[0] else None
        elif name == "t" and loops:
            return _time(loops[0])
        return Axis(name, step or 1.0, "micrometer" if step else None)

    @property
    def _calibrated(self) -> bool:
        found = self.metadata.channels if self.metadata else None
        return bool(found and found[0].volume.axesCalibrated[0])


def _metadata(file: Any) -> tuple[Any, list[float]]:
    """Names, colours and sizes; none where the library stumbles over them, for the pixels are there all the same."""
    try:
        return file.metadata, [float(v) for v in file.voxel_size()]
    except NONSENSE:
        return None, [1.0, 1.0, 1.0]


class Position:
    """One stage position (or the only one): an image, or one for each channel of several colour cameras."""

    def __init__(self, facts: Facts, frames: Frames | LegacyFrames, position: int | None, name: str) -> None:
        self._facts = facts
        self._frames = frames
        self._position = position
        self._name = name

    def image(self, channel: int | None = None) -> Group:
        """The image; of one colour channel when there are several."""
        g, facts = self._facts.geometry, self._facts
        loops = [(n, c) for n, c in zip(facts.names, facts.counts, strict=True) if n != "p" or self._position is None]
        rgb = g.samples == 3
        shape = (*(count for _, count in loops), 3 if rgb else g.channels, g.height, g.width)
        array = PlaneArray(shape, g.dtype, self._reader(channel if rgb else None), plane_axes=3)
        names = [*(name for name, _ in loops), "c", "y", "x"]
        channels = list(RGB) if rgb else facts.channels if len(facts.channels) == g.channels else []
        raw = {**facts.raw, **({"position": self._point()} if self._position is not None else {})}
        meta = ImageMeta([facts.axis(n) for n in names], channels, self._name, rgb=rgb, raw=raw)
        return image(*in_order([array], meta))

    def _point(self) -> Any:
        assert self._position is not None
        loop = self._facts.experiment[self._facts.names.index("p")]
        points = loop.parameters.points
        return plain(_plain(points[self._position])) if self._position < len(points) else None

    def _reader(self, channel: int | None) -> Callable[[tuple[int, ...], Box], npt.NDArray[Any]]:
        facts, frames = self._facts, self._frames
        at = facts.names.index("p") if self._position is not None else None
        backwards = not facts.legacy

        def read(index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
            where = list(index)
            if at is not None and self._position is not None:
                where.insert(at, self._position)
            number = int(np.ravel_multi_index(where, facts.counts)) if where else 0
            c, y, x = box.slices
            part = frames.part(number, y, x)
            if facts.geometry.samples == 3:
                part = part[:, :, channel or 0, ::-1] if backwards else part[:, :, channel or 0]
                return np.ascontiguousarray(part[:, :, c].transpose(2, 0, 1))
            return np.ascontiguousarray(part[:, :, c, 0].transpose(2, 0, 1))

        return read


def _time(loop: Any) -> Axis:
    """Seconds between frames: as measured, else as asked for."""
    parameters = loop.parameters
    period = parameters.periods[0] if getattr(parameters, "periods", None) else parameters
    measured = getattr(getattr(period, "periodDiff", None), "avg", None)
    step = step_of(measured, 1e-3) or step_of(getattr(period, "periodMs", None), 1e-3)
    return Axis("t", step or 1.0, "second" if step else None)


def _color(color: Any) -> str | None:
    try:
        return "".join(f"{int(part):02X}" for part in (color.r, color.g, color.b))
    except (AttributeError, TypeError, ValueError):
        return None


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return dict(value) if isinstance(value, Mapping) else getattr(value, "_asdict", lambda: value)()


def _tree(facts: Facts, frames: Frames | LegacyFrames, stem: str) -> Group:
    if not facts.experiment and len(frames) > 1:
        # Nothing says what the frames are frames of.
        facts.experiment, facts.counts = [_Loop(len(frames))], [len(frames)]
    wanted: list[tuple[str, Position, int | None]] = []
    if "p" in facts.names:
        at = facts.names.index("p")
        points: Sequence[Any] = facts.experiment[at].parameters.points
        count = facts.counts[at]
        labels = unique_names((points[i].name or "") if i < len(points) else "" for i in range(count))
        positions = [Position(facts, frames, i, label) for i, label in enumerate(labels)]
        positions = positions if count > 1 else [Position(facts, frames, 0, stem)]
    else:
        labels, positions = [stem], [Position(facts, frames, None, stem)]
    colors = facts.geometry.channels if facts.geometry.samples == 3 else 1
    for label, position in zip(labels, positions, strict=True):
        for channel in range(colors):
            called = facts.channels[channel].label if channel < len(facts.channels) else str(channel)
            wanted.append((f"{label} {called}" if colors > 1 else label, position, channel))
    named = unique_names(name for name, _, _ in wanted)
    return images({n: (lambda p=p, c=c: p.image(c)) for n, (_, p, c) in zip(named, wanted, strict=True)})  # type: ignore[misc]


class _Loop:
    """A loop of frames that the file says nothing of."""

    type = "Unknown"
    parameters = None

    def __init__(self, count: int) -> None:
        self.count = count


class Nd2:
    """NIS-Elements images, those of before version 3 too."""

    name = "nd2"
    expects = "Nikon .nd2 file"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the magic bytes; a file of before version 3 by the suffix, too, as it starts like any JPEG 2000."""
        return head.startswith(MAGIC) or (path.suffix.lower() == ".nd2" and path.is_file())

    def open(self, path: Path) -> Source:
        """Read the metadata and the map of frames.

        Raises
        ------
        Damaged
            When the file is truncated or makes no sense.
        Unsupported
            When it is compressed with loss, or the library is not installed.
        """
        nd2 = need("nd2", ".nd2 files")
        data = FileBytes(path)
        try:
            if data.read(0, 4) not in (MAGIC, LEGACY_MAGIC):
                raise Damaged(f"{path} is not an ND2 file", "It has the suffix of one; look at what it is.")
            facts = Facts(nd2, path, data)
            refuse_lossy(facts.compression)
            if math.prod(facts.counts) > MOST_FRAMES:
                raise Damaged(f"{path} says it has {math.prod(facts.counts)} frames", "The file is damaged.")
            frames = (
                LegacyFrames(data, facts.geometry)
                if facts.legacy
                else Frames(data, facts.geometry, facts.compression == "lossless")
            )
            return PathSource(path, _tree(facts, frames, path.stem), frames.close)
        except CoverslipError:
            data.close()
            raise
        except NONSENSE as error:
            data.close()
            text = (str(error).splitlines() or [""])[0] or error.__class__.__name__
            raise Damaged(
                f"{path.name} cannot be read: {text}", "The file looks truncated or damaged; copy it again."
            ) from error


MOST_FRAMES = 1 << 31

FORMAT: Format = Nd2()

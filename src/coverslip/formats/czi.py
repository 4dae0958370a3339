"""Zeiss ``.czi``: scenes, mosaics and pyramids, read by Zeiss's own libCZI (``pylibCZIrw``).

Each scene is an image of its own, and so is each kind of pixel in it: a slide scanned in colour and in fluorescence
gives two. Tiles of a mosaic are put together by the library, only as far as they are asked for. Axes are ``t c z y x``;
rotation, illumination, phase, view and block come first, in lower case, where there are several.

The library lets several threads read at once and without the GIL. It ends the process when sizes in a file are wrong,
so these are checked first (`coverslip.formats.trees.vendor_czi`).

Source: ZISRAW (CZI) File Format 1.2.2; pylibCZIrw 5 and later. Decision: ``docs/decisions/0010-czi-library.md``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged
from coverslip.core.format import Format
from coverslip.core.ngff import Channel, ImageMeta
from coverslip.core.node import Group, Source
from coverslip.core.spec import Box
from coverslip.formats.trees.image import PlaneArray, image, images, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_czi import DTYPES, FILE_SEGMENT, PIXELS, Blocks, read_blocks, read_metadata
from coverslip.formats.trees.vendor_czi_meta import CziMeta
from coverslip.formats.trees.vendor_handle import FileBytes, Shared
from coverslip.formats.trees.vendor_names import read_xml, unique_names

DECODED_BYTES = 64 << 20
"""How much of what was decompressed last the library keeps for one file."""
EXTRAS = "vhirb"
"""Further dimensions, in the order in which they come before the others."""
RGB = (Channel("Red", "FF0000"), Channel("Green", "00FF00"), Channel("Blue", "0000FF"))
REFUSED = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, MemoryError, OSError)
DAMAGED = "The file is damaged; copy it again."


class Scene:
    """The pixels of one kind in one scene, at all resolutions.

    Parameters
    ----------
    reader
        The library's reader of the file.
    number
        The scene's number, or None in a file without scenes.
    blocks
        The blocks of this scene and kind of pixel.
    """

    def __init__(self, reader: Shared[Any], number: int | None, blocks: Blocks) -> None:
        self._reader = reader
        self._number = number
        self._blocks = blocks
        self.pixel = PIXELS[int(blocks.pixel[0])]
        self.rgb = self.pixel.startswith("Bgr")
        base = blocks.of(blocks.base)
        self._left, self._top = int(base.x.min()), int(base.y.min())
        self.width = int((base.x + base.width).max()) - self._left
        self.height = int((base.y + base.height).max()) - self._top
        self._steps = {k: [int(v) for v in np.unique(values) if v >= 0] for k, values in base.index.items()}
        self._tile = (int(np.median(base.stored_height)), int(np.median(base.stored_width)))
        self.channels = self._steps.get("C") or [0]
        named = [k.lower() for k, values in self._steps.items() if len(values) > 1 and k not in "SMC"]
        lead = sorted(named, key=lambda k: ("t" in k or "z" in k, EXTRAS.find(k), k))
        self.names = [*lead, "c", "y", "x"]

    @property
    def ratios(self) -> list[int]:
        """By how much each stored resolution is smaller than the full one, which comes first."""
        small = self._blocks.of(~self._blocks.base)
        if not small.x.size:
            return [1]
        found = np.maximum(small.width / small.stored_width, small.height / small.stored_height)
        factor = max(2, round(float(found.min())))
        steps = np.unique(np.round(np.log(found) / math.log(factor)).astype(int))
        ratios = [factor**s for s in steps.tolist() if s > 0]
        return [1, *(r for r in ratios if min(self.width, self.height) // r >= 1)]

    def level(self, ratio: int) -> PlaneArray:
        """All planes at one resolution, read plane by plane."""
        size = (max(1, self.height // ratio), max(1, self.width // ratio))
        lead = [len(self._steps[name.upper()]) for name in self.names[:-3]]
        shape = (*lead, 3 if self.rgb else len(self.channels), *size)
        tile = [max(1, min(t, n)) for t, n in zip(self._tile, size, strict=True)]
        if self.rgb:
            return PlaneArray(shape, DTYPES[self.pixel], self._colors(ratio), 3, (*(1,) * len(lead), 3, *tile))
        return PlaneArray(shape, DTYPES[self.pixel], self._gray(ratio), 2, (*(1,) * (len(lead) + 1), *tile))

    def _gray(self, ratio: int) -> Callable[[tuple[int, ...], Box], npt.NDArray[Any]]:
        def read(index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
            return self._compose(index[:-1], self.channels[index[-1]], ratio, box.start, box.shape)[:, :, 0]

        return read

    def _colors(self, ratio: int) -> Callable[[tuple[int, ...], Box], npt.NDArray[Any]]:
        def read(index: tuple[int, ...], box: Box) -> npt.NDArray[Any]:
            part = self._compose(index, self.channels[0], ratio, box.start[1:], box.shape[1:])
            return np.ascontiguousarray(part[:, :, ::-1][:, :, box.slices[0]].transpose(2, 0, 1))

        return read

    def _compose(
        self, index: Sequence[int], channel: int, ratio: int, start: Sequence[int], size: Sequence[int]
    ) -> npt.NDArray[Any]:
        """Rows, columns and samples of one plane, put together from the tiles that touch them."""
        if not size[0] or not size[1]:
            return np.empty((*size, 3 if self.rgb else 1), DTYPES[self.pixel])
        plane = {k: v[0] for k, v in self._steps.items() if v and k not in "SM"}
        plane |= {n.upper(): self._steps[n.upper()][i] for n, i in zip(self.names, index, strict=False)}
        plane["C"] = channel
        roi = (self._left + start[1] * ratio, self._top + start[0] * ratio, size[1] * ratio, size[0] * ratio)
        try:
            with self._reader.use() as reader:
                part: npt.NDArray[Any] = reader.read(
                    roi=roi, plane=plane, scene=self._number, zoom=1 / ratio, pixel_type=self.pixel
                )
        except REFUSED as error:
            raise Damaged(f"A part of the image cannot be read: {_first_line(error)}", DAMAGED) from error
        if part.shape[:2] != tuple(size):
            raise Damaged(f"The library gave {part.shape} pixels for {tuple(size)}", "Report this file, please.")
        return part


def _scenes(reader: Shared[Any], blocks: Blocks, meta: CziMeta, stem: str) -> dict[str, Callable[[], Group]]:
    """A maker for each image, by name."""
    numbers = blocks.index.get("S", np.full(blocks.x.size, -1))
    known = sorted({int(n) for n in numbers if n >= 0})
    titles = meta.scenes()
    wanted: list[tuple[str, Scene]] = []
    scenes: list[int | None] = [*known] or [None]
    for scene in scenes:
        name = titles.get(scene, "") if scene is not None else ""
        name = name or (str(scene) if len(known) > 1 else stem)
        own = blocks.of(numbers == scene) if scene is not None else blocks
        wanted += [(f"{name} {kind}".strip() if kind else name, s) for kind, s in _kinds(reader, scene, own, meta)]
    named = unique_names(name for name, _ in wanted)
    return {n: (lambda n=n, s=s: _image(n, s, meta)) for n, (_, s) in zip(named, wanted, strict=True)}  # type: ignore[misc]


def _kinds(reader: Shared[Any], scene: int | None, blocks: Blocks, meta: CziMeta) -> list[tuple[str, Scene]]:
    """The scene, or when it holds pixels of several kinds one for each; each colour channel is a picture."""
    channel = blocks.index.get("C", np.zeros(blocks.x.size, np.int64))
    groups: list[tuple[str, npt.NDArray[np.bool_]]] = []
    for kind in np.unique(blocks.pixel):
        chosen = blocks.pixel == kind
        if PIXELS[int(kind)].startswith("Bgr"):
            groups += [(meta.channel(int(c), "").label, chosen & (channel == c)) for c in np.unique(channel[chosen])]
        else:
            groups.append((PIXELS[int(kind)], chosen))
    found = [(name if len(groups) > 1 else "", blocks.of(chosen)) for name, chosen in groups]
    return [(name, Scene(reader, scene, part)) for name, part in found if part.base.any()]


def _image(name: str, scene: Scene, meta: CziMeta) -> Group:
    channels = list(RGB) if scene.rgb else [meta.channel(i, scene.pixel) for i in scene.channels]
    about = ImageMeta([meta.axis(n) for n in scene.names], channels, name, rgb=scene.rgb, raw=meta.raw)
    return image(*in_order([scene.level(ratio) for ratio in scene.ratios], about))


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or error.__class__.__name__


class Czi:
    """Images of ZEN."""

    name = "czi"
    expects = "Zeiss .czi file"
    kind = "images"
    apart = True

    def claims(self, path: Path, head: bytes) -> bool:
        """By the magic bytes, or the suffix of a file."""
        return head.startswith(FILE_SEGMENT + b"\0") or (path.suffix.lower() == ".czi" and path.is_file())

    def open(self, path: Path) -> Source:
        """Read metadata and directory, and see that every block is where it should be.

        Raises
        ------
        Damaged
            When the file is truncated or contradicts itself.
        Unsupported
            When the file uses something that is not read, or the library is not installed.
        """
        czi = need("pylibCZIrw.czi", ".czi files")
        data = FileBytes(path)
        try:
            blocks, text = read_blocks(data), read_metadata(data)
        finally:
            data.close()
        meta = CziMeta(read_xml(text, path.name) if text.strip("\x00 \r\n\t") else None)
        try:
            options = czi.CacheOptions(type=czi.CacheType.Standard, max_memory_usage=DECODED_BYTES)
            opened = czi.CziReader(str(path), cache_options=options)
        except REFUSED as error:
            raise Damaged(f"{path.name} cannot be read: {_first_line(error)}", DAMAGED) from error
        reader = Shared(opened, lambda r: r.close(), path.name)
        try:
            named = _scenes(reader, blocks, meta, path.stem)
            if not named:
                raise Damaged(f"{path.name} holds no image of full resolution", DAMAGED)
            return PathSource(path, images(named), reader.close)
        except CoverslipError:
            reader.close()
            raise


FORMAT: Format = Czi()

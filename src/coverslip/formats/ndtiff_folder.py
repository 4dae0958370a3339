"""NDTiff folders of Micro-Manager and Pycro-Manager: each stage position is an image, tiles of a grid make one.

Source: see `coverslip.formats.trees.tiff_nd`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from coverslip.core.errors import Damaged
from coverslip.core.format import Format
from coverslip.core.node import Array, Group, Source
from coverslip.formats.trees.image import image, images, in_order
from coverslip.formats.trees.source import PathSource, need

if TYPE_CHECKING:
    from coverslip.core.ngff import Axis, Channel
    from coverslip.formats.trees.tiff_files import Files
    from coverslip.formats.trees.tiff_nd import Plane

INDEX, FULL = "NDTiff.index", "Full resolution"
LETTERS = {"time": "t", "channel": "c", "z": "z", "row": "r", "column": "k"}
SMALLEST = 16
"""Coarser levels than this many pixels are not worth having."""
MOST_NAMED = 32


class NdTiff:
    """A folder with ``NDTiff.index``, or with one such folder for each resolution."""

    name = "ndtiff"
    expects = "NDTiff folder (Micro-Manager)"
    kind = "images"

    def claims(self, path: Path, head: bytes) -> bool:
        """By the index."""
        return not head and path.is_dir() and ((path / INDEX).is_file() or (path / FULL / INDEX).is_file())

    def members(self, path: Path) -> Sequence[Path]:
        """The folder and what is in it."""
        return [path, *sorted(p for p in path.rglob("*") if p.is_file())]

    def open(self, path: Path) -> Source:
        """Read the index and the summary metadata."""
        need("tifffile", "NDTiff")
        opened: list[Files] = []
        try:
            root, parts = _open(path, opened)
            return PathSource(path, root, partial(_close, opened), parts)
        except BaseException:
            _close(opened)
            raise


def _close(opened: list[Files]) -> None:
    for files in opened:
        files.close()


def _open(path: Path, opened: list[Files]) -> tuple[Group, list[Path]]:
    from coverslip.formats.trees.tiff_nd import coarse_folders, positions, read_index, summary

    base = path / FULL if (path / FULL / INDEX).is_file() else path
    planes = read_index(base)
    folders = [(1, base), *(coarse_folders(path) if base != path else [])]
    files = [_files(folder, read_index(folder) if factor > 1 else planes, opened) for factor, folder in folders]
    first = files[0].named(planes[0].file)
    about = summary(first)
    coarse = [(factor, read_index(folder), f) for (factor, folder), f in zip(folders[1:], files[1:], strict=True)]
    split = positions(planes, "position") if any("position" in p.axes for p in planes) else [None]
    found: dict[str, Group] = {}
    for place in split:
        chosen = [_at(level, place) for level in (planes, *(level for _, level, _ in coarse))]
        levels = [(1, chosen[0], files[0])]
        levels += [(factor, own, f) for (factor, _, f), own in zip(coarse, chosen[1:], strict=True) if own]
        found[_title(place, len(split))] = _image(path.name, levels, about, path)
    named = sorted({p.file for p in planes})[:MOST_NAMED]
    return images(found), [base / INDEX, *(p for p in (base / name for name in named) if p.is_file())]


def _files(folder: Path, planes: Sequence[Plane], opened: list[Files]) -> Files:
    from coverslip.formats.trees.tiff_files import Files

    there = next((p.file for p in planes if (folder / p.file).is_file()), None)
    if there is None:
        raise Damaged(f"{planes[0].file}, which {INDEX} names, is missing", "Copy the whole folder.")
    opened.append(Files(folder / there))
    return opened[-1]


def _at(planes: Sequence[Plane], place: int | str | None) -> list[Plane]:
    return [p for p in planes if place is None or p.axes.get("position", 0) == place]


def _title(place: int | str | None, count: int) -> str:
    from coverslip.formats.trees.vendor_names import unique_names

    return unique_names([str(place)])[0] if count > 1 or place is not None else "0"


def _image(
    name: str, levels: Sequence[tuple[int, list[Plane], Files]], about: Mapping[str, Any], folder: Path
) -> Group:
    from coverslip.core.ngff import ImageMeta
    from coverslip.formats.trees.tiff_meta import private
    from coverslip.formats.trees.tiff_nd import RGB, positions, read_json

    planes, files = levels[0][1], levels[0][2]
    names = list(dict.fromkeys(n for p in planes for n in p.axes if n != "position"))
    tiled = {"row", "column"} <= set(names) and "GridPixelOverlapX" in about
    names = [n for n in names if not (tiled and n in ("row", "column"))]
    axes = {n: positions(planes, n) for n in names}
    arrays = _stitched(levels, axes, about) if tiled else _plain(levels, axes)
    own = read_json(files.named(planes[0].file), *planes[0].metadata)
    rgb = planes[0].kind == RGB
    raw = private(
        {"summary": about, "first_plane": own, "positions": {n: v for n, v in axes.items() if n != "channel"}}
    )
    meta = ImageMeta(_axes(names, rgb, {**own, **about}), (), name, rgb and "channel" not in names, raw=raw)
    arrays, meta = in_order(arrays, meta)
    return image(arrays, replace(meta, channels=_channels(axes.get("channel"), planes, files, about, folder, meta.rgb)))


def _plain(levels: Sequence[tuple[int, list[Plane], Files]], axes: Mapping[str, Any]) -> list[Array]:
    from coverslip.formats.trees.tiff_nd import NdArray

    _, planes, files = levels[0]
    return [NdArray(files, planes, axes)]


def _stitched(
    levels: Sequence[tuple[int, list[Plane], Files]], axes: Mapping[str, Any], about: Mapping[str, Any]
) -> list[Array]:
    """The tiles of each resolution side by side, cut to what was acquired."""
    from coverslip.formats.trees.tiff_nd import NdArray

    overlap = (int(about.get("GridPixelOverlapY") or 0), int(about["GridPixelOverlapX"] or 0))
    planes = levels[0][1]
    tile = (planes[0].height - overlap[0], planes[0].width - overlap[1])
    rows, columns = ([int(p.axes.get(n, 0)) for p in planes] for n in ("row", "column"))
    grid = (min(rows), max(rows), min(columns), max(columns))
    found: list[Array] = [NdArray(levels[0][2], planes, axes, grid, overlap)]
    for factor, own, files in levels[1:]:
        low = [int(grid[0] * tile[0] / factor), int(grid[2] * tile[1] / factor)]
        high = [int((grid[1] + 1) * tile[0] / factor), int((grid[3] + 1) * tile[1] / factor)]
        if min(b - a for a, b in zip(low, high, strict=True)) < SMALLEST:
            break
        first = [a // t for a, t in zip(low, tile, strict=True)]
        last = [(b - 1) // t for b, t in zip(high, tile, strict=True)]
        array = NdArray(files, own, axes, (first[0], last[0], first[1], last[1]))
        offset = [a - f * t for a, f, t in zip(low, first, tile, strict=True)]
        found.append(_cut(array, len(axes), offset, [b - a for a, b in zip(low, high, strict=True)]))
    return found


def _cut(array: Array, lead: int, offset: Sequence[int], size: Sequence[int]) -> Array:
    """Part of the plane of an array."""
    from coverslip.core.spec import Box
    from coverslip.formats.trees.image import PlaneArray

    shape = array.spec.shape
    moved = (*(0,) * lead, *offset, *(0,) * (len(shape) - lead - 2))

    def read(_: tuple[int, ...], box: Box) -> Any:
        start = tuple(a + m for a, m in zip(box.start, moved, strict=True))
        return array.read(Box(start, tuple(b + m for b, m in zip(box.stop, moved, strict=True))))

    part = (*shape[:lead], *size, *shape[lead + 2 :])
    return PlaneArray(part, array.spec.dtype, read, len(shape), array.spec.chunks)


def _axes(names: Sequence[str], rgb: bool, about: Mapping[str, Any]) -> list[Axis]:
    from coverslip.core.ngff import Axis
    from coverslip.formats.trees.tiff_meta import micromanager_sizes

    sizes = micromanager_sizes(about)
    letters: list[str] = []
    for name in names:
        wanted = LETTERS.get(name, name[:1].lower() if name[:1].isalpha() else "i")
        free = wanted not in letters and (name in LETTERS or wanted not in "tczyxs")
        letters.append(wanted if free else next(s for s in "ijlmnopquvwabdefgh" if s not in letters))
    letters += ["y", "x", *(["s"] if rgb else [])]
    return [replace(sizes.get(n, Axis(n)), name=n) for n in letters]


def _channels(
    values: Sequence[int | str] | None,
    planes: Sequence[Plane],
    files: Files,
    about: Mapping[str, Any],
    folder: Path,
    rgb: bool,
) -> Sequence[Channel]:
    from coverslip.formats.trees.tiff_meta import micromanager_channels
    from coverslip.formats.trees.tiff_nd import read_json
    from coverslip.formats.trees.tiff_series import RGB_NAMES

    if rgb:
        return RGB_NAMES[:3]
    given = micromanager_channels(about)
    if values is None:
        return given if len(given) == 1 else ()
    labels = []
    for i, value in enumerate(values[:MOST_NAMED]):
        label = value if isinstance(value, str) else given[i].label if i < len(given) else ""
        if not label:
            plane = next(p for p in planes if p.axes.get("channel", 0) == value)
            label = str(read_json(files.named(plane.file), *plane.metadata).get("Channel") or "")
        labels.append(label)
    return [
        _shown(label, given[i].color if i < len(given) else None, _display(folder)) for i, label in enumerate(labels)
    ]


def _display(folder: Path) -> dict[str, Any]:
    """How the acquisition's viewer showed the channels."""
    import json

    path = folder / "display_settings.txt"
    try:
        found = json.loads(path.read_bytes()) if path.is_file() and path.stat().st_size < 1 << 20 else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _shown(label: str, color: str | None, display: Mapping[str, Any]) -> Channel:
    from coverslip.core.ngff import Channel

    entry = display.get(label)
    if not isinstance(entry, dict):
        return Channel(label, color)
    value, low, high = entry.get("Color"), entry.get("Min"), entry.get("Max")
    if isinstance(value, int) and value != -1:
        color = f"{value & 0xFFFFFF:06X}"
    known = isinstance(low, (int, float)) and isinstance(high, (int, float)) and low < high
    return Channel(label, color, (float(low), float(high)) if known else None)  # type: ignore[arg-type]


FORMAT: Format = NdTiff()

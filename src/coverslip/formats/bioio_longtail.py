"""Everything else: what an installed plug-in of bioio reads and no format of coverslip's own claims.

Each scene is an image, with axes ``t c z y x`` (and samples). Plug-ins are neither written for several threads nor for
parts of a plane, so reads take turns and a plane is read whole: right, but slower than the other formats. Without bioio
this module costs one look into the file system.

Source: https://bioio-devs.github.io/bioio (``BioImage``).
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, Damaged, Unreadable, Unsupported
from coverslip.core.format import Format
from coverslip.core.ngff import Axis, Channel, ImageMeta, unit_name
from coverslip.core.node import Array, Group, Source
from coverslip.core.spec import ArraySpec, Box
from coverslip.formats.trees.image import image, images, in_order
from coverslip.formats.trees.source import PathSource, need
from coverslip.formats.trees.vendor_bioio import extensions, installed
from coverslip.formats.trees.vendor_names import plain, step_of, unique_names

# A plug-in is anybody's code over anybody's library: nobody can list what it raises.
REFUSED: tuple[type[Exception], ...] = (Exception,)
BROKEN = "The file looks damaged, or its plug-in does not read this kind of it; look at pip list | grep bioio."


class Scenes:
    """One file opened by bioio; one thread at a time uses it."""

    def __init__(self, opened: Any, name: str) -> None:
        self._opened = opened
        self._name = name
        self._lock = threading.RLock()

    def do(self, work: Callable[[Any], Any]) -> Any:
        """What ``work`` makes of the file.

        Raises
        ------
        Damaged
            When the plug-in stumbles.
        """
        with self._lock:
            if self._opened is None:
                raise Unreadable(f"{self._name} was closed", "Open it again.")
            try:
                return work(self._opened)
            except CoverslipError:
                raise
            except REFUSED as error:
                raise _damaged(self._name, error) from error

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._opened = None

    def image(self, index: int, name: str) -> Group:
        """One scene."""
        return self.do(lambda opened: self._image(opened, index, name))  # type: ignore[no-any-return]

    def _image(self, opened: Any, index: int, name: str) -> Group:
        opened.set_scene(index)
        data = opened.xarray_dask_data
        letters = [str(d).lower() for d in data.dims]
        sizes = dict(zip(letters, data.shape, strict=True))
        rgb = sizes.get("s") == 3 and sizes.get("c") == 1
        if rgb:
            data = data.isel({data.dims[letters.index("c")]: 0})
            letters.remove("c")
        array = Delayed(self, data.data)
        channels = [] if rgb else [Channel(str(label)) for label in (opened.channel_names or ())]
        if len(channels) != (array.spec.shape[letters.index("c")] if "c" in letters else -1):
            channels = []
        if rgb:
            channels = [Channel(label) for label in ("Red", "Green", "Blue")]
        axes = [_axis(opened, letter) for letter in letters]
        raw = {"reader": type(opened.reader).__module__.partition(".")[0], "metadata": self._metadata(opened)}
        return image(*in_order([array], ImageMeta(axes, channels, name, rgb=rgb, raw=raw)))

    def _metadata(self, opened: Any) -> Any:
        """Metadata of any kind that a plug-in gives: a mapping, a model of pydantic's, or text; none if it stumbles."""
        try:
            value = opened.metadata
            value = value.model_dump(mode="json") if hasattr(value, "model_dump") else value
        except REFUSED:
            return None
        return plain(value) if isinstance(value, (Mapping, list, tuple, str)) else None


class Delayed(Array):
    """A dask array, computed box by box in the thread that asks."""

    def __init__(self, scenes: Scenes, data: Any) -> None:
        self._scenes = scenes
        self._data = data
        chunks = tuple(max(c, default=1) for c in data.chunks)
        self._spec = ArraySpec(tuple(data.shape), np.dtype(data.dtype).newbyteorder("="), chunks)
        self.attrs = {}

    @property
    def spec(self) -> ArraySpec:
        """Shape, dtype and the chunks the plug-in reads."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """The elements of ``box``; the plug-in reads every chunk that it touches."""
        found: npt.NDArray[Any] = self._scenes.do(
            lambda _: np.asarray(self._data[box.slices].compute(scheduler="synchronous"))
        )
        if found.shape != box.shape:
            raise Damaged(f"The plug-in gave pixels of shape {found.shape} for {box.shape}", BROKEN)
        return found.astype(self._spec.dtype, copy=False)


def _axis(opened: Any, letter: str) -> Axis:
    """Step and unit; bioio gives micrometres unless a plug-in says otherwise, and time as a duration."""
    if letter not in "tzyx":
        return Axis(letter)
    value = getattr(opened.scale, letter.upper(), None)
    step = step_of(float(value)) if value is not None else None
    told = getattr(getattr(opened.dimension_properties, letter.upper(), None), "unit", None)
    unit = unit_name(str(told)) if told else "second" if letter == "t" else "micrometer"
    return Axis(letter, step or 1.0, unit if step else None)


def _damaged(name: str, error: Exception) -> Damaged:
    text = (str(error).splitlines() or [""])[0] or error.__class__.__name__
    return Damaged(f"{name} cannot be read by its bioio plug-in: {text}", BROKEN)


class LongTail:
    """Files that plug-ins of bioio read."""

    name = "bioio"
    expects = "any file of an installed bioio plug-in"
    kind = "images"
    rank = 100
    apart = True

    def claims(self, path: Path, head: bytes) -> bool:
        """By the extensions that the plug-ins list; no plug-in is imported to ask."""
        name = path.name.lower()
        return bool(head) and any(name.endswith(f".{extension}") for extension in extensions())

    def open(self, path: Path) -> Source:
        """Find the plug-in, and the scenes in the file.

        Raises
        ------
        Damaged
            When the plug-in cannot read it.
        Unsupported
            When no plug-in does.
        """
        bioio = need("bioio", "this file", "images")
        errors = need("bioio_base.exceptions", "this file", "images")
        unsupported: type[Exception] = errors.UnsupportedFileFormatError
        try:
            scenes = Scenes(bioio.BioImage(path), path.name)
        except unsupported as error:
            raise Unsupported(f"No installed plug-in of bioio reads {path.name}", BROKEN) from error
        except REFUSED as error:
            raise _damaged(path.name, error) from error
        names = unique_names([str(s) for s in scenes.do(lambda opened: opened.scenes)])
        if len(names) == 1:
            names = [path.stem]
        named = {n: (lambda n=n, i=i: scenes.image(i, n)) for i, n in enumerate(names)}
        return PathSource(path, images(named), scenes.close)


FORMAT: Format | None = LongTail() if installed() else None

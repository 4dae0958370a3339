"""Images as the OME-NGFF convention names their parts; readers of vendor formats emit the same metadata.

Source: OME-NGFF 0.5, https://ngff.openmicroscopy.org/0.5/ (``multiscales``, ``omero``); 0.4 writes the same keys one
level higher.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

VERSION = "0.5"
KINDS = {"t": "time", "c": "channel", "s": "channel", "z": "space", "y": "space", "x": "space"}
UNITS = {
    "µm": "micrometer", "μm": "micrometer", "um": "micrometer", "micron": "micrometer", "microns": "micrometer",
    "\\u00B5m": "micrometer", "nm": "nanometer", "mm": "millimeter", "cm": "centimeter",
    "m": "meter", "pm": "picometer",
    "Å": "angstrom", "A": "angstrom", "in": "inch", "inch": "inch",
    "s": "second", "sec": "second", "ms": "millisecond", "µs": "microsecond", "us": "microsecond", "ns": "nanosecond",
    "min": "minute", "h": "hour", "d": "day", "msec": "millisecond", "usec": "microsecond",
}  # fmt: skip
"""What files write, and the name NGFF gives it (UDUNITS-2)."""


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an image.

    Attributes
    ----------
    name
        One letter where there is one: ``t c z y x``.
    step
        Distance between neighbours in ``unit``; 1 where it is not known (``unit`` is None then).
    unit
        As NGFF writes it (``micrometer``, ``second``), or None.
    origin
        Position of element 0 in ``unit``.
    kind
        ``space``, ``time``, ``channel`` or empty; by the name when left out.
    """

    name: str
    step: float = 1.0
    unit: str | None = None
    origin: float = 0.0
    kind: str | None = None

    @property
    def type(self) -> str:
        """``space``, ``time``, ``channel`` or empty."""
        return KINDS.get(self.name, "") if self.kind is None else self.kind


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of an image.

    Attributes
    ----------
    label
        What a person calls it: ``DAPI``.
    color
        ``RRGGBB`` without a hash, or None when the file says nothing.
    window
        Contrast limits the file suggests, in values of the dtype, or None.
    """

    label: str = ""
    color: str | None = None
    window: tuple[float, float] | None = None
    active: bool = True


def unit_name(unit: str | None) -> str | None:
    """The NGFF name of a unit as files write it; an unknown one stays as it is, ``pixel`` is none."""
    text = (unit or "").strip()
    if not text or text.lower() in ("pixel", "pixels", "px", "reference frame", "none", "null"):
        return None
    return UNITS.get(text) or UNITS.get(text.lower(), text.lower())


@dataclass(frozen=True)
class ImageMeta:
    """What a reader knows of one image beside its pixels.

    Attributes
    ----------
    axes
        One for each dimension of level 0.
    channels
        One for each element of the channel axis, or none when the file says nothing.
    name
        What a person calls the image.
    rgb
        Whether the channels are red, green and blue of one picture.
    label
        Whether the pixels are numbers of objects.
    raw
        The file's own metadata as plain Python (JSON), without absolute paths.
    """

    axes: Sequence[Axis]
    channels: Sequence[Channel] = ()
    name: str = ""
    rgb: bool = False
    label: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)


def image_attrs(meta: ImageMeta, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    """The ``ome`` attributes of an image whose levels, finest first, have these shapes."""
    base = shapes[0]
    datasets = []
    for level, shape in enumerate(shapes):
        ratio = [b / n if n else 1.0 for b, n in zip(base, shape, strict=True)]
        steps = [axis.step * r for axis, r in zip(meta.axes, ratio, strict=True)]
        transforms: list[dict[str, Any]] = [{"type": "scale", "scale": steps}]
        # The centre of a coarse pixel lies between the centres of those it stands for.
        shift = [
            axis.origin + (axis.step * (r - 1) / 2 if axis.type == "space" else 0.0)
            for axis, r in zip(meta.axes, ratio, strict=True)
        ]
        if any(shift):
            transforms.append({"type": "translation", "translation": shift})
        datasets.append({"path": str(level), "coordinateTransformations": transforms})
    axes = [
        {"name": a.name, **({"type": a.type} if a.type else {}), **({"unit": a.unit} if a.unit else {})}
        for a in meta.axes
    ]
    ome: dict[str, Any] = {
        "version": VERSION,
        "multiscales": [{"name": meta.name, "axes": axes, "datasets": datasets}],
    }
    if meta.channels:
        ome["omero"] = {"channels": [_channel(c) for c in meta.channels], "rdefs": {"model": "color"}}
    if meta.label:
        ome["image-label"] = {}
    return {"ome": ome, "coverslip": {"rgb": meta.rgb, "raw": meta.raw}}


def _channel(channel: Channel) -> dict[str, Any]:
    found: dict[str, Any] = {"label": channel.label, "active": channel.active}
    if channel.color:
        found["color"] = channel.color
    if channel.window:
        low, high = channel.window
        found["window"] = {"min": low, "max": high, "start": low, "end": high}
    return found

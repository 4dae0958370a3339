"""``POST /api/slice`` and ``/api/render``: boxes given in elements of the whole image, made smaller on request."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from coverslip.core.errors import BadRequest, TooLarge
from coverslip.core.spec import Box
from coverslip.core.stop import Stop
from coverslip.domains.images import Image
from coverslip.domains.planes import bad_selection, is_picture
from coverslip.domains.render import FORMATS, Look, color_of, composite, encode
from coverslip.fronts.http import Body
from coverslip.fronts.tensors.answers import Answer
from coverslip.fronts.tensors.select import picture_format, whole
from coverslip.fronts.tensors.streams import Cut, cut

REDUCTIONS = {
    "mean": "mean",
    "area": "mean",
    "average": "mean",
    "linear": "mean",
    "max": "max",
    "nearest": "nearest",
    "stride": "nearest",
    "decimate": "nearest",
    "precompute": "mean",
}
AUTO = "auto"
REGION = "X-Loaded-Region"
MOST_PICTURE_PIXELS = 1 << 24
"""Of one picture: the largest tile."""


def reduction(name: str) -> str:
    """Our name of a way to reduce, as clients call them."""
    found = REDUCTIONS.get(name.lower())
    if found is None:
        raise bad_selection(f"There is no reduction {name[:40]!r}", f"There is {', '.join(REDUCTIONS)}.")
    return found


@dataclass(frozen=True)
class Found:
    """A box of an image.

    Attributes
    ----------
    image, cut
        The image, and what is read of it.
    region
        The same box in elements of level 0; None where nobody asks.
    """

    image: Image
    cut: Cut
    region: Box | None = None


def region_header(found: Found) -> dict[str, str]:
    """Which box of the whole image an answer shows: ``start:stop``, each with commas between its axes."""
    if found.region is None:
        return {}
    return {REGION: ":".join(",".join(map(str, corner)) for corner in (found.region.start, found.region.stop))}


@dataclass(frozen=True)
class Wanted:
    """The box that a request names.

    Attributes
    ----------
    source, path
        The image.
    start, stop
        The box, in elements of level 0; None and missing axes mean all.
    scale
        How many elements become one on each axis, or None.
    how
        As `reduce_by` takes it.
    pixels
        The most pixels of a plane; more are reduced further.
    """

    source: str
    path: str
    start: list[int] | None
    stop: list[int] | None
    scale: list[int] | None
    how: str
    pixels: int | None

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Wanted:
        """From the JSON of a request."""
        source, tensor = content.get("source_id"), content.get("tensor_id")
        if not isinstance(source, str) or not source:
            if not isinstance(tensor, str) or not tensor:
                raise BadRequest(
                    "The body names no source_id", "Send source_id, and tensor_id where there are several."
                )
            source = tensor.partition("/")[0]
        path = tensor if isinstance(tensor, str) else ""
        path = path[len(source) :].lstrip("/") if path == source or path.startswith(f"{source}/") else path
        pixels = content.get("pixel_budget")
        if pixels is not None and (not isinstance(pixels, int) or pixels < 1):
            raise bad_selection("pixel_budget is not a whole number above 0")
        how = reduction(str(content.get("reduction_method") or "area"))
        box = whole(content, "slice_start"), whole(content, "slice_stop")
        return cls(source, path, *box, whole(content, "scale_hint"), how, pixels)

    def find(self, image: Image) -> Found:
        """The box in an image."""
        part = cut(image, self.start, self.stop, self.scale, self.how)
        if self.pixels is not None and len(image.dims) >= 2:
            factors = [*(self.scale or ()), *[1] * (len(image.dims) - len(self.scale or ()))]
            while math.prod(part.shape[-2:]) > self.pixels:
                factors[-2:] = [f * 2 for f in factors[-2:]]
                part = cut(image, self.start, self.stop, factors, self.how)
        return Found(image, part, cut(image, self.start, self.stop).box)


@dataclass(frozen=True)
class Rendering:
    """How a slice is made a picture.

    Attributes
    ----------
    low, high
        Percentiles shown black and in full colour.
    whole_range
        The smallest and largest value instead.
    color
        ``#rrggbb``, a name, or ``auto``: the channel's own.
    channel
        Which channel ``auto`` means, by its label.
    form
        ``png``, ``jpeg``, ``webp`` or ``raw``.
    """

    low: float
    high: float
    whole_range: bool
    color: str
    channel: str | None
    form: str

    @classmethod
    def read(cls, content: Mapping[str, Any]) -> Rendering:
        """From the JSON of a request."""
        low, high = content.get("percentile_lo", 1), content.get("percentile_hi", 99)
        if not all(isinstance(p, (int, float)) and 0 <= p <= 100 for p in (low, high)) or low > high:
            raise bad_selection("percentile_lo and percentile_hi are not percentages")
        color, channel = content.get("color") or AUTO, content.get("channel_name")
        return cls(
            float(low),
            float(high),
            bool(content.get("use_min_max")),
            str(color),
            channel if isinstance(channel, str) else None,
            picture_format(str(content.get("output_format") or "png")),
        )

    def make(self, found: Found, etag: str, stop: Stop) -> Answer:
        """The picture of the first plane of a box."""
        part, image = found.cut, found.image
        if not is_picture(image) or 0 in part.shape:
            raise BadRequest("This slice is not a picture", "Give it some of y and of x.", "not_a_picture")
        if math.prod(part.shape[-2:]) > MOST_PICTURE_PIXELS:
            raise TooLarge(
                f"The picture would have {math.prod(part.shape[-2:]):,} pixels; the cap is {MOST_PICTURE_PIXELS:,}",
                "Send a pixel_budget, or a scale_hint.",
            )
        colors = image.axis("c") if image.rgb else None
        if colors is not None and part.shape[colors] != 3:
            colors = None
        pixels = part.read(part.first_plane(colors), stop)
        planes = pixels.reshape(-1, *pixels.shape[-2:])
        planes = planes.view(np.uint8) if planes.dtype.kind == "b" else planes
        numbers = planes[np.isfinite(planes)] if planes.dtype.kind == "f" else planes
        ends = (0.0, 100.0) if self.whole_range else (self.low, self.high)
        low, high = (float(v) for v in np.percentile(numbers, ends)) if numbers.size else (0.0, 1.0)
        stop.check()
        window = (low, high if high > low else low + 1)
        if len(planes) == 3:
            picture = np.stack([composite([p], [Look(window)]) for p in planes], -1)
        else:
            picture = composite([planes[0]], [Look(window, self._color(found))])
        headers = {
            "X-Image-Width": str(picture.shape[1]),
            "X-Image-Height": str(picture.shape[0]),
            "X-Percentile-Lo-Value": f"{low:g}",
            "X-Percentile-Hi-Value": f"{high:g}",
            **region_header(found),
        }
        return Answer(Body(encode(picture, self.form), FORMATS[self.form], etag), headers)

    def _color(self, found: Found) -> tuple[int, int, int]:
        if self.color.lower() != AUTO:
            return color_of(self.color)
        channels = found.image.channels
        named = next((c for c in channels if c.label == self.channel), None) if self.channel else None
        axis = found.image.axis("c")
        index = found.cut.box.start[axis] if axis is not None else 0
        chosen = named or (channels[index] if index < len(channels) else None)
        return color_of(chosen.color if chosen is not None and chosen.color else "FFFFFF")

"""Pictures of pixels: contrast, colour, gamma, channels added up."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import BadRequest

FORMATS = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"}
QUALITY = 90
WEBP_METHOD = 1
"""Of 0 (fast) to 6 (small): tiles are looked at once."""
PNG_LEVEL = 3


@dataclass(frozen=True)
class Look:
    """How one channel is shown.

    Attributes
    ----------
    window
        The values shown black and in full colour.
    color
        Red, green and blue, 0 to 255.
    gamma
        Exponent of the brightness; below 1 lifts what is dark.
    """

    window: tuple[float, float]
    color: tuple[int, int, int] = (255, 255, 255)
    gamma: float = 1.0


def color_of(text: str) -> tuple[int, int, int]:
    """Red, green and blue of ``#RRGGBB``, ``RRGGBB`` or a colour's CSS name.

    Raises
    ------
    BadRequest
        When it is none of them.
    """
    from PIL import ImageColor

    wanted = text.strip()
    if len(wanted) == 6 and not wanted.startswith("#") and all(c in "0123456789abcdefABCDEF" for c in wanted):
        wanted = f"#{wanted}"
    try:
        red, green, blue = ImageColor.getrgb(wanted)[:3]
    except ValueError:
        raise BadRequest(f"Not a colour: {text[:40]!r}", "Write it as #rrggbb.", "bad_selection") from None
    return red, green, blue


def brightness(pixels: npt.NDArray[Any], look: Look) -> npt.NDArray[np.float32]:
    """Pixels as 0 to 1 within the window; what is no number is 0."""
    low, high = look.window
    with np.errstate(over="ignore", invalid="ignore"):  # windows and pixels beyond what 32 bits hold
        scale = np.float32(1.0 / (high - low)) if high > low else np.float32(0)
        bright = pixels.astype(np.float32)
        bright -= np.float32(low)
        bright *= scale
    np.nan_to_num(bright, copy=False, nan=0.0)
    np.clip(bright, 0, 1, out=bright)
    return bright if look.gamma == 1.0 else np.power(bright, np.float32(look.gamma), out=bright)


def composite(planes: Iterable[npt.NDArray[Any]], looks: Sequence[Look]) -> npt.NDArray[np.uint8]:
    """Channels in their colours, added up: shape ``(rows, columns, 3)``, or ``(rows, columns)`` for one in white.

    Planes are taken one after the other, so that they may be read as they are drawn.
    """
    total: npt.NDArray[np.float32] | None = None
    for plane, look in zip(planes, looks, strict=True):
        bright = brightness(plane, look)
        if len(looks) == 1 and look.color == (255, 255, 255):
            bright *= np.float32(255)
            bright += np.float32(0.5)
            return bright.astype(np.uint8)
        if total is None:
            total = np.zeros((*plane.shape, 3), np.float32)
        for channel, amount in enumerate(look.color):
            if amount:
                total[..., channel] += bright * np.float32(amount)
    if total is None:
        raise BadRequest("There is no channel to draw", "", "bad_selection")
    np.minimum(total, 255, out=total)
    total += np.float32(0.5)
    return total.astype(np.uint8)


def encode(picture: npt.NDArray[np.uint8], form: str) -> bytes:
    """A picture, grey or RGB, as ``png``, ``jpeg`` or ``webp``."""
    from PIL import Image

    out = io.BytesIO()
    image = Image.fromarray(picture)
    match form:
        case "png":
            image.save(out, "PNG", compress_level=PNG_LEVEL)
        case "jpeg":
            image.save(out, "JPEG", quality=QUALITY)
        case _:
            image.save(out, "WEBP", quality=QUALITY, method=WEBP_METHOD)
    return out.getvalue()


def shrink(picture: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
    """A picture no wider or higher than ``size`` pixels, in its proportions."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((size, size), Image.Resampling.BOX)
    return np.asarray(image)

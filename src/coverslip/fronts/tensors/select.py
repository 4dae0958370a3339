"""What a query string asks for, as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.datastructures import QueryParams

from coverslip.core.errors import BadRequest
from coverslip.domains.planes import bad_selection
from coverslip.domains.render import FORMATS, Look, color_of

LARGEST = 1 << 40
SMALLEST_TILE, LARGEST_TILE = 64, 4096
SMALLEST_GAMMA, LARGEST_GAMMA = 0.05, 20.0
MOST_SHOWN = 64
WHOLE = re.compile(r"\s*[+-]?[0-9]{1,18}\s*", re.ASCII)


def integer(text: str, name: str, low: int = 0, high: int = LARGEST) -> int:
    """A whole number within bounds."""
    value = int(text) if WHOLE.fullmatch(text) else low - 1
    if not low <= value <= high:
        raise bad_selection(f"{name}={text[:40]!r} is not a whole number from {low} to {high}")
    return value


def number(text: str, name: str) -> float:
    """A finite number."""
    try:
        value = float(text) if text.isascii() and "_" not in text else float("nan")
    except ValueError:
        value = float("nan")
    if not abs(value) < float("inf"):
        raise bad_selection(f"{name}={text[:40]!r} is not a number")
    return value


def integers(text: str, name: str) -> list[int]:
    """Whole numbers with commas between them."""
    return [integer(part, name) for part in text.split(",")] if text else []


def positions(query: QueryParams) -> dict[str, int]:
    """The elements chosen on axes: ``t=``, ``z=``, ``c=`` and ``sel=axis:index``."""
    chosen = {name: integer(query[name], name) for name in ("t", "z", "c") if name in query}
    for part in query.getlist("sel"):
        name, colon, index = part.rpartition(":")
        if not colon or not name:
            raise bad_selection(f"sel={part[:40]!r} is not axis:index")
        chosen[name] = integer(index, f"sel={name}")
    return chosen


@dataclass(frozen=True)
class Shown:
    """A channel and how it is shown.

    Attributes
    ----------
    channel
        Its number, or None for the plane's own.
    look
        Contrast and colour; a window of None is found from the pixels.
    """

    channel: int | None
    window: tuple[float, float] | None
    color: tuple[int, int, int] | None
    gamma: float

    def look(self, window: tuple[float, float], color: str | None) -> Look:
        """The look, with what was not asked for filled in."""
        return Look(self.window or window, self.color or color_of(color or "FFFFFF"), self.gamma)


def shown(query: QueryParams) -> list[Shown]:
    """The channels of a rendered tile: ``channels=0:lo:hi:rrggbb,…``, or one (``window``, ``color``, ``gamma``)."""
    gamma = number(query["gamma"], "gamma") if "gamma" in query else 1.0
    if not SMALLEST_GAMMA <= gamma <= LARGEST_GAMMA:
        raise bad_selection(f"gamma={gamma:g} is outside {SMALLEST_GAMMA} to {LARGEST_GAMMA:g}")
    if "channels" not in query:
        window = _window(query["window"].split(","), "window") if "window" in query else None
        return [Shown(None, window, color_of(query["color"]) if "color" in query else None, gamma)]
    parts = query["channels"].split(",")
    if len(parts) > MOST_SHOWN:
        raise bad_selection(f"channels has more than {MOST_SHOWN} entries")
    found = []
    for part in parts:
        fields = part.split(":")
        if len(fields) not in (1, 3, 4):
            raise bad_selection(f"channels={part[:40]!r} is not index:lo:hi:rrggbb")
        window = _window(fields[1:3], "channels") if len(fields) > 2 else None
        color = color_of(fields[3]) if len(fields) > 3 else None
        found.append(Shown(integer(fields[0], "channels"), window, color, gamma))
    return found


def _window(parts: Sequence[str], name: str) -> tuple[float, float]:
    if len(parts) != 2:
        raise bad_selection(f"{name} is not lo,hi")
    return number(parts[0], name), number(parts[1], name)


def picture_format(text: str, allowed: Sequence[str] = ("raw", *FORMATS)) -> str:
    """One of the formats of an answer."""
    form = {"jpg": "jpeg"}.get(text.lower(), text.lower())
    if form not in allowed:
        raise bad_selection(f"There is no format {text[:40]!r}", f"There is {', '.join(allowed)}.")
    return form


def whole(body: Mapping[str, Any], name: str) -> list[int] | None:
    """A list of whole numbers of a JSON body, or None when it is left out."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(v, int) and not isinstance(v, bool) for v in value):
        raise BadRequest(f"{name} is not a list of whole numbers", "", "bad_selection")
    return list(value)

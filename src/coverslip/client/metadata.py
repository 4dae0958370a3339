"""Names, colours and contrast of channels in the metadata that a tensor server hands out as a file has it.

Looked for in this order: coverslip's own summary, OME-NGFF's ``omero``, OME-XML as nested dictionaries.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coverslip.core.ngff import Channel

DEEPEST = 6
"""How far down the channels of OME-XML are looked for."""


@dataclass(frozen=True)
class Told:
    """What the metadata of an image says beside its shape.

    Attributes
    ----------
    name, channels, rgb, label, labels
        As in `coverslip.client.model.Description`.
    origins
        Position of element 0 on axes where it is not 0.
    """

    name: str = ""
    channels: tuple[Channel, ...] = ()
    rgb: bool = False
    label: bool = False
    labels: tuple[str, ...] = ()
    origins: Mapping[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, metadata: Any) -> Told:
        """Of ``{"type", "dim_label", "metadata"}``, where ours adds ``coverslip``; nothing for what is unknown."""
        if not isinstance(metadata, Mapping):
            return cls()
        own = metadata.get("coverslip")
        if isinstance(own, Mapping):
            return _own(own)
        inner = metadata.get("metadata", metadata)
        omero = _omero(inner)
        if omero:
            told = omero.get("channels")
            channels = tuple(_channel(one, i) for i, one in enumerate(told if isinstance(told, list) else []))
            drawn = omero.get("rdefs")
            rgb = isinstance(drawn, Mapping) and drawn.get("model") == "rgb"
            return cls(str(omero.get("name") or ""), channels, rgb, _is_label(inner))
        return cls(channels=_ome_xml(inner), label=_is_label(inner))


def _own(told: Mapping[str, Any]) -> Told:
    channels = told.get("channels")
    origins = told.get("origins")
    return Told(
        str(told.get("name") or ""),
        tuple(_channel(one, i) for i, one in enumerate(channels if isinstance(channels, list) else [])),
        bool(told.get("rgb")),
        bool(told.get("is_label")),
        tuple(map(str, told.get("labels") or ())),
        {str(k): float(v) for k, v in origins.items()} if isinstance(origins, Mapping) else {},
    )


def _omero(metadata: Any) -> Mapping[str, Any]:
    if not isinstance(metadata, Mapping):
        return {}
    for place in (metadata, metadata.get("ome"), metadata.get("attributes")):
        found = place.get("omero") if isinstance(place, Mapping) else None
        if isinstance(found, Mapping):
            return found
    return {}


def _is_label(metadata: Any) -> bool:
    inner = metadata.get("ome", metadata) if isinstance(metadata, Mapping) else None
    return isinstance(inner, Mapping) and "image-label" in inner


def _channel(told: Any, i: int) -> Channel:
    if not isinstance(told, Mapping):
        return Channel(str(i))
    window = told.get("window")
    limits = None
    if isinstance(window, Mapping):
        low, high = window.get("start"), window.get("end")
        if isinstance(low, (int, float)) and isinstance(high, (int, float)) and low < high:
            limits = (float(low), float(high))
    color = str(told.get("color") or "").lstrip("#").upper()
    label = str(told.get("label") or i)
    return Channel(label, color if len(color) == 6 else None, limits, bool(told.get("active", True)))


def _ome_xml(metadata: Any) -> tuple[Channel, ...]:
    """The channels of the first image."""
    pixels = _pixels(metadata, DEEPEST)
    told = pixels.get("Channel", pixels.get("channels"))
    told = [told] if isinstance(told, Mapping) else told
    return tuple(_xml_channel(one, i) for i, one in enumerate(told)) if isinstance(told, list) else ()


def _pixels(place: Any, deep: int) -> Mapping[str, Any]:
    if isinstance(place, list):
        place = place[0] if place else None
    if not isinstance(place, Mapping) or not deep:
        return {}
    for key in ("Pixels", "pixels"):
        if isinstance(place.get(key), Mapping):
            found: Mapping[str, Any] = place[key]
            return found
    return next((found for value in place.values() if (found := _pixels(value, deep - 1))), {})


def _xml_channel(told: Any, i: int) -> Channel:
    if not isinstance(told, Mapping):
        return Channel(str(i))
    color = told.get("Color", told.get("color"))
    try:  # a signed number whose bytes are red, green, blue, alpha
        number = int(color) & 0xFFFFFFFF if color is not None else None
    except (ValueError, TypeError):
        number = None
    return Channel(str(told.get("Name") or told.get("name") or i), None if number is None else f"{number >> 8:06X}")

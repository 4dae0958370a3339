"""What the metadata of a CZI file say of its pixels.

Source: the schema of ``ImageDocument`` by Carl Zeiss Microscopy: ``Metadata/Scaling``, ``Metadata/Information/Image``,
``Metadata/DisplaySetting``.
"""

from __future__ import annotations

import re
from typing import Any
from xml.etree import ElementTree

from coverslip.core.ngff import Axis, Channel
from coverslip.formats.trees.vendor_names import number, plain, step_of, xml_tree

IMAGE = "./Metadata/Information/Image"
COLOR = re.compile(r"#(?:[0-9A-Fa-f]{2})?([0-9A-Fa-f]{6})")
FULL = {"Gray8": 255.0, "Bgr24": 255.0, "Gray16": 65535.0, "Bgr48": 65535.0}


class CziMeta:
    """The metadata of one file.

    Parameters
    ----------
    root
        The element ``ImageDocument``, or None when the file has no metadata.
    """

    def __init__(self, root: ElementTree.Element | None) -> None:
        self._root = ElementTree.Element("ImageDocument") if root is None else root
        self.raw: dict[str, Any] = plain({self._root.tag: xml_tree(self._root)}) if len(self._root) else {}

    def axis(self, name: str) -> Axis:
        """Step and unit of one axis; lengths are given in metres, times in seconds."""
        if name in ("x", "y", "z"):
            found = self._root.find(f"./Metadata/Scaling/Items/Distance[@Id='{name.upper()}']/Value")
            step = step_of(number(found.text) if found is not None else None, 1e6)
            return Axis(name, step or 1.0, "micrometer" if step else None)
        if name == "t":
            found = self._root.find(f"{IMAGE}/Dimensions/T/Positions/Interval/Increment")
            step = step_of(number(found.text) if found is not None else None)
            return Axis(name, step or 1.0, "second" if step else None)
        return Axis(name)

    def scenes(self) -> dict[int, str]:
        """Names of scenes by their number."""
        found = {}
        for scene in self._root.findall(f"{IMAGE}/Dimensions/S/Scenes/Scene"):
            index = number(scene.get("Index"))
            if index is not None:
                found[int(index)] = scene.get("Name") or ""
        return found

    def channel(self, index: int, pixel: str) -> Channel:
        """Name, colour and contrast of one channel."""
        told = self._nth(f"{IMAGE}/Dimensions/Channels/Channel", index)
        shown = self._nth("./Metadata/DisplaySetting/Channels/Channel", index)
        name = next((n for n in (told.get("Name"), shown.get("Name")) if n), f"Channel {index}")
        colors = (COLOR.fullmatch((e.findtext("Color") or "").strip()) for e in (shown, told))
        color = next((c[1].upper() for c in colors if c), None)
        return Channel(name, color, _window(shown, pixel))

    def _nth(self, path: str, index: int) -> ElementTree.Element:
        found = self._root.findall(path)
        by_id = [e for e in found if e.get("Id") == f"Channel:{index}"]
        return by_id[0] if by_id else found[index] if index < len(found) else ElementTree.Element("Channel")


def _window(shown: ElementTree.Element, pixel: str) -> tuple[float, float] | None:
    """Contrast limits, which are stored as fractions of what the pixel type can hold."""
    low, high = number(shown.findtext("Low")), number(shown.findtext("High"))
    full = FULL.get(pixel)
    if full is None or high is None or not 0 <= (low or 0.0) < high <= 1 or ((low or 0.0) == 0 and high == 1):
        return None
    return (low or 0.0) * full, high * full

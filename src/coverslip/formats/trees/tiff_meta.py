"""What TIFF files that are not OME say of their images: pixel sizes, channels, and the metadata as it is.

Source: tifffile's readers of each vendor's tags; ImageJ's TiffDecoder; the Aperio and PerkinElmer descriptions as
OpenSlide and Bio-Formats document them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import tifffile

from coverslip.core.errors import CoverslipError
from coverslip.core.ngff import Axis, Channel, unit_name
from coverslip.formats.trees.ome_xml import Element, parse, short_path, to_json
from coverslip.formats.trees.tiff import NONSENSE
from coverslip.formats.trees.vendor_names import plain

IMAGEJ_COLORS = ("FF0000", "00FF00", "0000FF", "FFFFFF", "00FFFF", "FF00FF", "FFFF00")
PRINT_DPI = 1200
"""Whole numbers of dots per inch up to this are what writers put in when they know nothing."""
MOST_TEXT = 20_000
VENDORS = (
    "imagej", "shaped", "lsm", "stk", "metaseries", "fluoview", "sis", "fei", "sem", "micromanager", "scanimage",
    "andor", "tvips", "nuvu", "streak", "astrotiff", "geotiff", "nih", "epics", "mdgel",
)  # fmt: skip
Sizes = dict[str, Axis]


def vendor(tif: tifffile.TiffFile, kind: str) -> Mapping[str, Any]:
    """One vendor's metadata as tifffile reads it; empty when there is none or it makes no sense."""
    try:
        found = getattr(tif, f"{kind}_metadata", None)
    except NONSENSE:
        return {}
    if isinstance(found, (tuple, list)):
        found = found[0] if found and isinstance(found[0], Mapping) else None
    return found if isinstance(found, Mapping) else {}


def pixel_sizes(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    """Steps of the axes that the file tells; ``x`` and ``y`` by the first of vendor tags and resolution tags."""
    for reader in (_imagej, _lsm, _stk, _fluoview, _sis, _electron, _micromanager, _aperio, _shaped, _philips):
        found = reader(tif, page)
        if found:
            return found
    return _resolution(page)


def _sizes(**steps: tuple[Any, str | None]) -> Sizes:
    found = {}
    for name, (value, unit) in steps.items():
        try:
            step = abs(float(value))
        except (TypeError, ValueError, OverflowError):
            continue
        if step > 0 and math.isfinite(step) and unit:
            found[name] = Axis(name, step, unit)
    return found


def _imagej(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    meta = vendor(tif, "imagej")
    if not meta:
        return {}
    unit = unit_name(str(meta.get("unit", "")))
    across, down = page.resolution
    found = _sizes(
        x=(1 / across if across else 0, unit),
        y=(1 / down if down else 0, unit_name(str(meta.get("yunit", ""))) or unit),
        z=(meta.get("spacing"), unit_name(str(meta.get("zunit", ""))) or unit),
        t=(meta.get("finterval"), unit_name(str(meta.get("tunit", "s"))) or "second"),
    )
    if unit is None:  # a step of one pixel says nothing
        found = {k: v for k, v in found.items() if k == "t"}
    return found or _resolution(page)


def _shaped(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    meta = vendor(tif, "shaped")
    unit = unit_name(str(meta.get("unit", "")))
    across, down = page.resolution
    none = tifffile.RESUNIT.NONE
    known = page.resolutionunit == none and 282 in page.tags
    steps = _sizes(
        x=(meta.get("PhysicalSizeX", 1 / across if known and across else 0), unit_or(meta, "PhysicalSizeX", unit)),
        y=(meta.get("PhysicalSizeY", 1 / down if known and down else 0), unit_or(meta, "PhysicalSizeY", unit)),
        z=(meta.get("PhysicalSizeZ", meta.get("spacing")), unit_or(meta, "PhysicalSizeZ", unit)),
        t=(meta.get("TimeIncrement", meta.get("finterval")), unit_or(meta, "TimeIncrement", "second")),
    )
    return {**_resolution(page), **steps} if steps else {}


def unit_or(meta: Mapping[str, Any], key: str, other: str | None) -> str | None:
    """The unit written beside ``key``, or ``other``; OME's default when only the key is there."""
    if key not in meta:
        return other
    default = "s" if key.startswith("Time") else "µm"
    return unit_name(str(meta.get(f"{key}Unit", default)))


def _lsm(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    meta = vendor(tif, "lsm")
    um = "micrometer"
    stamps = meta.get("TimeStamps")
    every = meta.get("TimeIntervall") or 0
    if not every and stamps is not None and len(stamps) > 1:
        every = (stamps[-1] - stamps[0]) / (len(stamps) - 1)
    steps = {axis.lower(): (float(meta.get(f"VoxelSize{axis}") or 0) * 1e6, um) for axis in "XYZ"}
    return _sizes(**steps, t=(every, "second"))


def _stk(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    meta = vendor(tif, "stk")
    info = vendor(tif, "metaseries").get("PlaneInfo") or {}
    unit = unit_name(str(meta.get("CalibrationUnits") or info.get("spatial-calibration-units") or ""))
    distance = meta.get("ZDistance")
    return _sizes(
        x=(meta.get("XCalibration", info.get("spatial-calibration-x")), unit),
        y=(meta.get("YCalibration", info.get("spatial-calibration-y")), unit),
        z=(distance[0] if distance is not None and len(distance) else 0, unit),
    )


def _fluoview(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    found = {}
    for entry in vendor(tif, "fluoview").get("Dimensions", ()):
        name = {"X": "x", "Y": "y", "Z": "z", "T": "t", "Time": "t"}.get(str(entry[0]).strip())
        if name and len(entry) >= 5:
            found[name] = (entry[3], unit_name(str(entry[4])))
    return _sizes(**found)


def _sis(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    own = page.tags.valueof(33560)  # of this page: the file's first may lack it
    meta = own if isinstance(own, Mapping) else vendor(tif, "sis")
    um = "micrometer"
    return _sizes(x=(float(meta.get("pixelsizex") or 0) * 1e6, um), y=(float(meta.get("pixelsizey") or 0) * 1e6, um))


def _electron(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    """FEI's and Zeiss' electron microscopes."""
    scan = vendor(tif, "fei").get("Scan") or {}
    if scan:
        return _sizes(
            x=(float(scan.get("PixelWidth") or 0) * 1e9, "nanometer"),
            y=(float(scan.get("PixelHeight") or 0) * 1e9, "nanometer"),
        )
    meta = vendor(tif, "sem")
    exact = meta.get("")  # numbers without names; the fourth is the pixel size in metres, which the others round
    if isinstance(exact, (tuple, list)) and len(exact) > 3 and isinstance(exact[3], float) and exact[3] > 0:
        return _sizes(x=(exact[3] * 1e9, "nanometer"), y=(exact[3] * 1e9, "nanometer"))
    for key in ("ap_image_pixel_size", "ap_pixel_size"):
        value = meta.get(key)
        if isinstance(value, (tuple, list)) and len(value) >= 3:
            return _sizes(x=(value[1], unit_name(str(value[2]))), y=(value[1], unit_name(str(value[2]))))
    return {}


def _micromanager(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    return micromanager_sizes(vendor(tif, "micromanager").get("Summary") or {})


def micromanager_sizes(summary: Mapping[str, Any]) -> Sizes:
    """Steps of the axes from Micro-Manager's summary metadata."""
    step = summary.get("PixelSize_um") or summary.get("PixelSizeUm")
    um = "micrometer"
    return _sizes(
        x=(step, um),
        y=(step, um),
        z=(summary.get("z-step_um"), um),
        t=(_float(summary.get("Interval_ms")), "millisecond"),
    )


def _float(value: Any) -> float:
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0


def _aperio(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    if not page.description.startswith("Aperio"):
        return {}
    mpp = aperio(page.description).get("MPP")
    return _sizes(x=(mpp, "micrometer"), y=(mpp, "micrometer"))


def aperio(description: str) -> dict[str, str]:
    """The ``key = value`` pairs of an Aperio description."""
    pairs = (item.split("=", 1) for item in description.split("|")[1:] if "=" in item)
    return {key.strip(): value.strip() for key, value in pairs}


def _philips(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> Sizes:
    if not getattr(tif, "is_philips", False):
        return {}
    try:
        found = [
            e.text for e in _walk(parse(tif.pages.first.description)) if e.attrs.get("Name") == "DICOM_PIXEL_SPACING"
        ]
        down, across = found[0].replace('"', " ").split()[:2]
    except (CoverslipError, LookupError, ValueError):
        return {}
    return _sizes(x=(across, "millimeter"), y=(down, "millimeter"))


def _walk(element: Element) -> list[Element]:
    return [element] + [found for child in element.children for found in _walk(child)]


def _resolution(page: tifffile.TiffPage) -> Sizes:
    """Resolution tags, in micrometers; not when they hold a printer's number of dots."""
    if 282 not in page.tags or 283 not in page.tags:
        return {}
    try:
        across, down = (float(v) for v in page.resolution)
        unit = int(page.resolutionunit)
    except NONSENSE:
        return {}
    length = {2: 25_400.0, 3: 10_000.0, 4: 1000.0, 5: 1.0}.get(unit)
    if length is None or not (0 < across < math.inf and 0 < down < math.inf) or (across, down) == (1.0, 1.0):
        return {}
    if any(
        abs(r * 25_400 / length - round(r * 25_400 / length)) < 0.02 and r * 25_400 / length <= PRINT_DPI
        for r in (across, down)
    ):
        return {}
    return _sizes(x=(length / across, "micrometer"), y=(length / down, "micrometer"))


def channels(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, count: int) -> tuple[Channel, ...]:
    """Names, colours and contrast of the channels, as far as the file gives them."""
    for reader in (_imagej_channels, _lsm_channels, _micromanager_channels, _perkin_elmer_channels):
        found = reader(tif, series, count)
        if found:
            return tuple(found[:count]) + (Channel(),) * (count - len(found))
    return ()


def _imagej_channels(tif: tifffile.TiffFile, series: Any, count: int) -> list[Channel]:
    meta = vendor(tif, "imagej")
    luts, ranges, labels = meta.get("LUTs") or (), meta.get("Ranges") or (), meta.get("Labels") or ()
    if not len(ranges) and count == 1 and isinstance(meta.get("max"), (int, float)):
        ranges = (meta.get("min", 0), meta["max"])
    mode = str(meta.get("mode", ""))
    coloured = mode in ("composite", "color") and count > 1
    if not (len(luts) or len(ranges) or coloured):
        return []
    found = []
    for i in range(count):
        color = lut_color(luts[i]) if i < len(luts) else None
        if color is None and coloured and not len(luts) and i < len(IMAGEJ_COLORS):
            color = IMAGEJ_COLORS[i]
        low, high = (float(v) for v in ranges[2 * i : 2 * i + 2]) if len(ranges) >= 2 * i + 2 else (0.0, 0.0)
        window = (low, high) if math.isfinite(low) and math.isfinite(high) and low < high else None
        label = str(labels[i]) if len(labels) == count else ""
        found.append(Channel(label, None if mode == "grayscale" else color, window))
    return found


def lut_color(lut: npt.ArrayLike) -> str | None:
    """The colour at the top of a ramp from black, ``RRGGBB``; empty for grey, None for a table that is no ramp."""
    table = np.asarray(lut)
    if table.ndim != 2 or table.shape[0] != 3 or table.shape[1] < 2:
        return None
    top = table[:, -1].astype(float)
    ramp = top[:, None] * np.linspace(0, 1, table.shape[1])
    if not top.any() or np.abs(table - ramp).max() > top.max() * 0.02 + 1:
        return None
    if top.min() == top.max():
        return ""
    scale = 257.0 if top.max() > 255 else 1.0
    return "".join(f"{round(v / scale):02X}" for v in top)


def _lsm_channels(tif: tifffile.TiffFile, series: Any, count: int) -> list[Channel]:
    meta = vendor(tif, "lsm").get("ChannelColors") or {}
    names, colors = meta.get("ColorNames") or [], meta.get("Colors") or []
    found = []
    for i in range(min(count, max(len(names), len(colors)))):
        color = "".join(f"{int(v):02X}" for v in colors[i][:3]) if i < len(colors) else None
        found.append(Channel(str(names[i]) if i < len(names) else "", color))
    return found


def _micromanager_channels(tif: tifffile.TiffFile, series: Any, count: int) -> list[Channel]:
    return micromanager_channels(vendor(tif, "micromanager").get("Summary") or {})


def micromanager_channels(summary: Mapping[str, Any]) -> list[Channel]:
    """Names and colours of channels from Micro-Manager's summary metadata."""
    names, colors = summary.get("ChNames"), summary.get("ChColors")
    if not isinstance(names, Sequence) or isinstance(names, str):
        return []
    found = []
    for i, name in enumerate(names):
        value = colors[i] if isinstance(colors, Sequence) and i < len(colors) else None
        color = f"{value & 0xFFFFFF:06X}" if isinstance(value, int) and value not in (-1, 0) else None
        found.append(Channel(str(name), color))
    return found


def _perkin_elmer_channels(tif: tifffile.TiffFile, series: tifffile.TiffPageSeries, count: int) -> list[Channel]:
    """QPTIFF: each channel's page has a description of its own."""
    if not getattr(tif, "is_qpi", False) or len(series) != count:
        return []
    found = []
    for i in range(count):
        try:
            root = parse(str(getattr(series[i], "description", "")))
        except CoverslipError:
            return []
        name, color = root.first("Name"), root.first("Color")
        parts = [int(p) for p in (color.text if color else "").split(",") if p.strip().isdigit()]
        rgb = "".join(f"{p:02X}" for p in parts) if len(parts) == 3 and max(parts) < 256 else None
        found.append(Channel(name.text.strip() if name else "", rgb))
    return found


def raw_metadata(tif: tifffile.TiffFile, page: tifffile.TiffPage) -> dict[str, Any]:
    """The file's own metadata as plain JSON."""
    found: dict[str, Any] = {}
    for kind in VENDORS:
        meta = vendor(tif, kind) if getattr(tif, f"is_{kind}", False) else {}
        if meta:
            found[kind] = private({k: v for k, v in meta.items() if k not in ("LUTs", "Overlays", "ROI", "IndexMap")})
    text = page.description
    if text and not (set(found) & {"imagej", "shaped"}):
        found["description"] = _description(text)
    if page.software:
        found["software"] = short_path(page.software)
    return found


def _description(text: str) -> Any:
    if text.lstrip("\ufeff \r\n\t").startswith("<"):
        try:
            return to_json(parse(text), 2000)
        except CoverslipError:
            pass
    return short_path(text[:MOST_TEXT])


def private(value: Any) -> Any:
    """Plain JSON without absolute paths, long texts cut."""
    return _shortened(plain(value))


def _shortened(value: Any) -> Any:
    if isinstance(value, str):
        return short_path(value[:MOST_TEXT])
    if isinstance(value, dict):
        return {key: _shortened(v) for key, v in value.items()}
    if isinstance(value, list):
        return [_shortened(v) for v in value[:10_000]]
    return value

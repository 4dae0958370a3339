"""Types, shapes, layouts and filters in HSDS's JSON.

Source: the HDF REST API (schemas of datasets and datatypes); hdf5-json's grammar. Enumerations are given in both
forms that clients know: ``members`` (h5pyd 1.0) and ``mapping`` (h5pyd 0.x, H5Web).
"""

from __future__ import annotations

from typing import Any

from coverslip.core.typed import (
    Block,
    Compound,
    DatasetInfo,
    Datatype,
    Enumeration,
    Filter,
    Float,
    Integer,
    Opaque,
    Pointer,
    Ragged,
    Text,
)

JSON = dict[str, Any]
REFERENCE_BYTES = 48
PADS = {
    "null-terminated": "H5T_STR_NULLTERM",
    "null-padded": "H5T_STR_NULLPAD",
    "space-padded": "H5T_STR_SPACEPAD",
}
LAYOUTS = {
    "chunked": "H5D_CHUNKED",
    "contiguous": "H5D_CONTIGUOUS",
    "compact": "H5D_COMPACT",
    "virtual": "H5D_VIRTUAL",
    "external": "H5D_CONTIGUOUS",
}
FILTERS = {
    1: ("H5Z_FILTER_DEFLATE", "gzip"),
    2: ("H5Z_FILTER_SHUFFLE", "shuffle"),
    3: ("H5Z_FILTER_FLETCHER32", "fletcher32"),
    4: ("H5Z_FILTER_SZIP", "szip"),
    5: ("H5Z_FILTER_NBIT", "nbit"),
    6: ("H5Z_FILTER_SCALEOFFSET", "scaleoffset"),
    32000: ("H5Z_FILTER_LZF", "lzf"),
    32001: ("H5Z_FILTER_BLOSC", "blosc"),
    32004: ("H5Z_FILTER_LZ4", "lz4"),
    32008: ("H5Z_FILTER_BITSHUFFLE", "bitshuffle"),
    32015: ("H5Z_FILTER_ZSTD", "zstd"),
}


def type_json(kind: Datatype) -> JSON:
    """A type."""
    if isinstance(kind, Integer):
        return {"class": "H5T_INTEGER", "base": _integer(kind)}
    if isinstance(kind, Float):
        return {"class": "H5T_FLOAT", "base": f"H5T_IEEE_F{8 * kind.size}{_order(kind.big)}"}
    if isinstance(kind, Text):
        return {
            "class": "H5T_STRING",
            "length": "H5T_VARIABLE" if kind.size is None else kind.size,
            "charSet": "H5T_CSET_UTF8" if kind.utf8 else "H5T_CSET_ASCII",
            "strPad": PADS[kind.pad],
        }
    if isinstance(kind, Enumeration):
        return {
            "class": "H5T_ENUM",
            "base": type_json(kind.base),
            "members": [{"name": name, "value": value} for name, value in kind.members],
            "mapping": dict(kind.members),
        }
    if isinstance(kind, Compound):
        fields = [{"name": name, "type": type_json(part)} for name, part in kind.fields]
        return {"class": "H5T_COMPOUND", "fields": fields}
    if isinstance(kind, Block):
        return {"class": "H5T_ARRAY", "dims": list(kind.dims), "base": type_json(kind.base)}
    if isinstance(kind, Ragged):
        return {"class": "H5T_VLEN", "size": "H5T_VARIABLE", "base": type_json(kind.base)}
    if isinstance(kind, Opaque):
        return {"class": "H5T_OPAQUE", "size": kind.size, "tag": kind.tag}
    return _reference(kind)


def _reference(kind: Pointer) -> JSON:
    if kind.region:
        return {"class": "H5T_REFERENCE", "base": "H5T_STD_REF_DSETREG", "length": "H5T_VARIABLE"}
    return {
        "class": "H5T_REFERENCE",
        "base": "H5T_STD_REF_OBJ",
        "length": REFERENCE_BYTES,
        "charSet": "H5T_CSET_ASCII",
        "strPad": "H5T_STR_NULLPAD",
    }


def _integer(kind: Integer) -> str:
    return f"H5T_STD_{'I' if kind.signed else 'U'}{8 * kind.size}{_order(kind.big)}"


def _order(big: bool) -> str:
    return "BE" if big else "LE"


def shape_json(shape: tuple[int, ...] | None, limits: tuple[int | None, ...] = ()) -> JSON:
    """A space; ``limits`` where there may be more elements one day."""
    if shape is None:
        return {"class": "H5S_NULL"}
    if not shape:
        return {"class": "H5S_SCALAR"}
    found: JSON = {"class": "H5S_SIMPLE", "dims": list(shape)}
    if limits:
        found["maxdims"] = ["H5S_UNLIMITED" if n is None else n for n in limits]
    return found


def creation_json(info: DatasetInfo, fill: Any) -> JSON:
    """``creationProperties`` of a data set; ``fill`` as JSON, None when the file says none."""
    layout: JSON = {"class": LAYOUTS[info.layout]}
    if info.chunks is not None:
        layout["dims"] = list(info.chunks)
    found: JSON = {"layout": layout}
    if info.filters:
        found["filters"] = [filter_json(f) for f in info.filters]
    if fill is not None:
        found["fillValue"] = fill
    return found


def filter_json(filter: Filter) -> JSON:
    """A filter with the parameters that clients know."""
    known = FILTERS.get(filter.id)
    if known is None:
        return {
            "class": "H5Z_FILTER_USER",
            "id": filter.id,
            "name": filter.name or str(filter.id),
            "parameters": list(filter.options),
        }
    found: JSON = {"class": known[0], "id": filter.id, "name": known[1]}
    if filter.id in (1, 32015) and filter.options:
        found["level"] = filter.options[0]
    elif filter.id == 4 and len(filter.options) >= 2:
        found |= {"bitsPerPixel": filter.options[2] if len(filter.options) > 2 else 0}
        found |= {"coding": "H5_SZIP_EC_OPTION_MASK" if filter.options[0] & 4 else "H5_SZIP_NN_OPTION_MASK"}
        found |= {"pixelsPerBlock": filter.options[1], "pixelsPerScanline": (filter.options[3:] or (0,))[0]}
    elif filter.id == 6 and len(filter.options) >= 2:
        kinds = {0: "H5Z_SO_FLOAT_DSCALE", 1: "H5Z_SO_FLOAT_ESCALE", 2: "H5Z_SO_INT"}
        found |= {"scaleType": kinds.get(filter.options[0], "H5Z_SO_INT"), "scaleOffset": filter.options[1]}
    return found

"""Descriptions of objects in h5grove's JSON.

Source: h5grove 4.0, "API" (``/meta``, ``/attr``, ``/paths``); HDF5's numbers of classes, orders and paddings
(H5Tpublic.h).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.typed import (
    Attribute,
    Block,
    Compound,
    Datatype,
    Enumeration,
    Float,
    Integer,
    Link,
    Opaque,
    Pointer,
    Ragged,
    Region,
    Target,
    Text,
    value_dtype,
)
from coverslip.domains.objects import Objects

JSON = dict[str, Any]
Follow = Callable[[Link], tuple[Objects, Target] | None]
CLASSES = {Integer: 0, Float: 1, Text: 3, Opaque: 5, Compound: 6, Pointer: 7, Enumeration: 8, Ragged: 9, Block: 10}
PADS = {"null-terminated": 0, "null-padded": 1, "space-padded": 2}
SIZES = {Ragged: 16, Pointer: 8}
"""Bytes in the file of what has any length elsewhere: a length, an address, a number; a reference."""
REGION_BYTES, TEXT_BYTES = 12, 8
MOST_PATHS = 100_000


def is_bool(kind: Datatype) -> bool:
    """Whether it is h5py's way to store truth."""
    return isinstance(kind, Enumeration) and kind.base.size == 1 and dict(kind.members) == {"FALSE": 0, "TRUE": 1}


def is_complex(kind: Datatype) -> bool:
    """Whether it is h5py's way to store complex numbers."""
    if not isinstance(kind, Compound) or [name for name, _ in kind.fields] != ["r", "i"]:
        return False
    (_, real), (_, imaginary) = kind.fields
    return isinstance(real, Float) and real == imaginary and real.size >= 4


def natural_dtype(kind: Datatype) -> np.dtype[Any]:
    """The dtype that h5py reads a type as."""
    if is_bool(kind):
        return np.dtype(bool)
    if is_complex(kind):
        part = value_dtype(kind)[0]
        return np.dtype(f"{part.byteorder if part.byteorder != '=' else '<'}c{2 * part.itemsize}")
    if isinstance(kind, Compound):
        return np.dtype([(name, natural_dtype(part)) for name, part in kind.fields])
    return value_dtype(kind)


def natural(values: npt.NDArray[Any], kind: Datatype) -> npt.NDArray[Any]:
    """Values as h5py gives them: truth as truth, complex numbers as such."""
    dtype = natural_dtype(kind)
    if dtype.kind in "bc" and dtype.base.itemsize == values.dtype.itemsize:
        return np.ascontiguousarray(values).view(dtype)
    return values.astype(dtype) if dtype.names and dtype != values.dtype else values


def _shown(dtype: np.dtype[Any]) -> Any:
    if dtype.names is None:
        return dtype.str
    return {name: _shown(dtype[name]) for name in dtype.names}


def size_of(kind: Datatype) -> int:
    """Bytes of an element in the file, gaps left out."""
    if isinstance(kind, Compound):
        return sum(size_of(part) for _, part in kind.fields)
    if isinstance(kind, Block):
        return math.prod(kind.dims) * size_of(kind.base)
    if isinstance(kind, Pointer) and kind.region:
        return REGION_BYTES
    if isinstance(kind, Text):
        return TEXT_BYTES if kind.size is None else kind.size
    return SIZES.get(type(kind)) or value_dtype(kind).itemsize


def type_json(kind: Datatype) -> JSON:
    """A type."""
    found: JSON = {"class": CLASSES[type(kind)], "dtype": _shown(natural_dtype(kind)), "size": size_of(kind)}
    if isinstance(kind, (Integer, Float)):
        found["order"] = int(kind.big)
    if isinstance(kind, Integer):
        found["sign"] = int(kind.signed)
    elif isinstance(kind, Text):
        found |= {"cset": int(kind.utf8), "strpad": PADS[kind.pad], "vlen": kind.size is None}
    elif isinstance(kind, Opaque):
        found["tag"] = kind.tag
    elif isinstance(kind, Compound):
        found["members"] = [{"name": name, **type_json(part)} for name, part in kind.fields]
    elif isinstance(kind, Enumeration):
        found |= {"members": dict(kind.members), "base": type_json(kind.base)}
    elif isinstance(kind, Block):
        found |= {"dims": list(kind.dims), "base": type_json(kind.base)}
    elif isinstance(kind, Ragged):
        found["base"] = type_json(kind.base)
    return found


def link_json(link: Link) -> JSON:
    """A link that is not followed."""
    if link.kind in ("user", "lost"):
        return {"kind": "other", "name": link.name}
    if link.kind == "external":
        return {"kind": "external_link", "name": link.name, "target_file": link.file, "target_path": link.path}
    return {"kind": "soft_link", "name": link.name, "target_path": link.path}


def object_json(objects: Objects, target: Target, name: str) -> JSON:
    """An object without what is in it."""
    attributes = sorted(objects.file.attributes(target.address), key=lambda a: str(a.name))
    found: JSON = {"name": name, "kind": target.kind}
    found["attributes"] = [_attribute_json(a) for a in attributes]
    if target.kind == "datatype":
        found["type"] = type_json(objects.file.datatype(target.address))
    elif target.kind == "dataset":
        info = objects.info(target)
        filters = [{"id": f.id, "name": f.name} for f in info.filters] or None
        found |= {"chunks": info.chunks, "filters": filters, "shape": info.shape, "type": type_json(info.type)}
    return dict(sorted(found.items()))


def _attribute_json(attribute: Attribute) -> JSON:
    return {"name": attribute.name, "shape": attribute.shape, "type": type_json(attribute.type)}


def children(objects: Objects, target: Target, followed: Follow) -> list[JSON]:
    """What is in a group; ``followed`` gives the object a link leads to, or None when it stays a link."""
    rows = []
    for link in objects.file.links(target.address):
        try:
            there = followed(link)
            rows.append(link_json(link) if there is None else object_json(there[0], there[1], link.name))
        except CoverslipError as error:  # told as something of another kind, so that the others can be seen
            rows.append({"kind": "other", "name": link.name, "error": error.message})
    return rows


def paths_below(objects: Objects, target: Target, path: str) -> Iterator[str]:
    """Every path below a group along hard links, each object once."""
    yield path
    seen, todo = {target.address}, [(target, path.rstrip("/"))]
    while todo:
        here, prefix = todo.pop(0)
        for link in objects.file.links(here.address):
            found = f"{prefix}/{link.name}"
            if link.target is None:
                yield found
            elif link.target.address not in seen:
                seen.add(link.target.address)
                yield found
                if link.target.kind == "group":
                    todo.append((link.target, found))


def attribute_values(objects: Objects, target: Target, names: list[str] | None) -> JSON:
    """The values of attributes, all or some.

    Raises
    ------
    NotFound
        When one of them is not there.
    """
    found = objects.file.attributes(target.address, names)
    missing = set(names or ()) - {a.name for a in found}
    if missing:
        raise NotFound(f"There is no attribute {min(missing)[:200]!r}")
    return {a.name: None if a.value is None else as_json(natural(a.value, a.type), a.type) for a in found}


def as_json(values: Any, kind: Datatype) -> Any:
    """Values as lists, numbers and text."""
    if isinstance(values, np.ndarray) and values.ndim and not _plain(kind):
        return [as_json(item, kind) for item in values]
    if isinstance(kind, Compound) and not is_complex(kind):
        item = values[()] if isinstance(values, np.ndarray) else values
        return [as_json(item[name], part) for name, part in kind.fields]
    if isinstance(kind, Block):
        return as_json(values, kind.base)
    if is_complex(kind):
        item = complex(values)
        return [item.real, item.imag]
    if isinstance(kind, (Text, Opaque)):
        raw = values.item() if isinstance(values, (np.ndarray, np.generic)) and values.dtype.kind != "V" else values
        raw = raw if isinstance(raw, bytes) else values.tobytes()
        return raw.rstrip(b"\0").decode("utf-8", "replace")
    if isinstance(kind, (Ragged, Pointer)):
        boxed = isinstance(values, np.ndarray) and values.dtype == object and not values.ndim
        item = values.item() if boxed else values
        if isinstance(kind, Ragged):
            return as_json(natural(np.asarray(item), kind.base), kind.base)
        shown = "null" if item is None else "region" if isinstance(item, Region) else "object"
        return f"<HDF5 {'region' if kind.region else 'object'} reference{' (null)' if shown == 'null' else ''}>"
    return values.tolist() if isinstance(values, (np.ndarray, np.generic)) else values


def _plain(kind: Datatype) -> bool:
    """Whether numpy's own lists will do."""
    if isinstance(kind, Block):
        return _plain(kind.base)
    return isinstance(kind, (Integer, Float, Enumeration))

"""Descriptions of a domain and its objects in HSDS's JSON.

Source: the HDF REST API; answers of hsds 1.0.2 recorded on the wire.
"""

from __future__ import annotations

import fnmatch
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from coverslip.core.errors import BadRequest, CoverslipError, NotFound
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import (
    Attribute,
    Compound,
    DatasetInfo,
    Datatype,
    Enumeration,
    Float,
    Integer,
    Link,
    Selection,
    Target,
    TypedFile,
    is_flat,
    value_dtype,
)
from coverslip.domains.objects import Objects
from coverslip.fronts.hsds.ids import COLLECTIONS, ID, Ids
from coverslip.fronts.hsds.types import JSON, creation_json, shape_json, type_json
from coverslip.fronts.hsds.values import plain, to_json

INLINE_BYTES = 4096
"""Values of data sets up to this size are told with their description."""
INLINE_ALL_BYTES = 1 << 20
GATHER_S = 1.5
"""How long descriptions of objects are gathered for one answer; a client asks for the others one by one."""
GATHER_OBJECTS = 20_000
UNTOLD = ("user", "lost")
"""Kinds of links that clients know no word for."""


class Gone(NotFound):
    """An id of a version of the file that is no more."""

    code = "gone"


class Documents(Objects):
    """What HSDS tells of one version of a file."""

    def __init__(self, file: TypedFile) -> None:
        super().__init__(file)
        self.ids = Ids(file)

    # --- finding --------------------------------------------------------------------------------------------------

    def target(self, id: str, collection: str) -> Target:
        """The object of an id.

        Raises
        ------
        BadRequest
            When it is no id, or of another collection.
        NotFound
            When there is none.
        """
        if not ID.fullmatch(id) or id[0] != {"groups": "g", "datasets": "d", "datatypes": "t"}[collection]:
            raise BadRequest(f"Invalid object id: {id[:60]}")
        found = self.ids.target(id)
        if found is None:
            if not self.ids.current(id):
                raise Gone("This id is of another file, or the file has changed since", "Open the domain again.")
            raise NotFound(f"There is no object {id}")
        return found

    # --- objects --------------------------------------------------------------------------------------------------

    def object(self, target: Target, attributes: bool = True, links: bool = True) -> JSON:
        """An object without its place: as in ``domain_objs``."""
        found: JSON
        if target.kind == "group":
            found = {"links": self.links(target)} if links else {}
            found["creationProperties"] = self._order(target)
        elif target.kind == "dataset":
            found = self._dataset(target)
        else:
            found = {"type": self._named_type(target), "creationProperties": self._order(target)}
        if attributes:
            found["attributes"] = self.attributes(target)
        return found

    def _order(self, target: Target) -> JSON:
        return {"CreateOrder": 1} if self.file.ordered(target.address) else {}

    def _named_type(self, target: Target) -> JSON:
        return {**type_json(self.file.datatype(target.address)), "id": self.ids.of(target)}

    def _dataset(self, target: Target) -> JSON:
        info = self.info(target)
        shape = shape_json(info.shape, info.limits)
        return {
            "shape": shape,
            "type": self.type_of(info),
            "creationProperties": {**self._creation(info), **self._order(target)},
        }

    def type_of(self, info: DatasetInfo) -> JSON:
        """The type of a data set, with the id of its named type."""
        found = type_json(info.type)
        if info.named is not None and self.file.known(info.named.address):
            found["id"] = self.ids.of(info.named)
        return found

    def _creation(self, info: DatasetInfo) -> JSON:
        fill = plain(info.fill, info.type, self.ids) if info.fill is not None else None
        if isinstance(fill, float) and not math.isfinite(fill):
            fill = "nan" if math.isnan(fill) else "inf" if fill > 0 else "-inf"
        return creation_json(info, fill)

    def described(self, target: Target, attributes: bool, links: bool) -> JSON:
        """An object with its id and counts, as ``GET /groups/{id}`` gives it; ``hrefs`` are added by who sends it."""
        found: JSON = {"id": self.ids.of(target), "root": self.ids.root, **self.times}
        found |= self.object(target, attributes, links)
        if target.kind == "group":
            linked = found.get("links")
            found["linkCount"] = len(linked) if linked is not None else len(self.file.links(target.address))
        told = found.get("attributes")
        found["attributeCount"] = len(told) if told is not None else len(self.file.attributes(target.address))
        return found

    @property
    def times(self) -> JSON:
        """When the file was changed; HDF5 files seldom know more."""
        return {"created": self.file.modified_s, "lastModified": self.file.modified_s}

    # --- links ----------------------------------------------------------------------------------------------------

    def links(self, target: Target) -> JSON:
        """The links of a group by name."""
        made = self.file.modified_s
        return {
            link.name: {**self.link_json(link), "created": made + 1e-6 * number}
            for number, link in enumerate(self.file.links(target.address))
            if link.kind not in UNTOLD
        }

    def link_json(self, link: Link) -> JSON:
        """A link without its name."""
        if link.target is not None:
            return {"class": "H5L_TYPE_HARD", "id": self.ids.of(link.target)}
        if link.kind == "soft":
            return {"class": "H5L_TYPE_SOFT", "h5path": link.path}
        return {"class": "H5L_TYPE_EXTERNAL", "h5path": link.path, "h5domain": link.file, "file": link.file}

    def listed_link(self, link: Link, base: str, group: str, query: str) -> JSON:
        """A link as ``GET /groups/{id}/links`` lists it."""
        found = {**self.link_json(link), "title": link.name, "created": self.file.modified_s}
        if link.target is not None:
            found["collection"] = COLLECTIONS[link.target.kind]
            found["target"] = f"{base}/{found['collection']}/{found['id']}{query}"
        found["href"] = f"{base}/groups/{group}/links/{quote(link.name, safe='', errors='surrogateescape')}{query}"
        return found

    # --- attributes -----------------------------------------------------------------------------------------------

    def attributes(self, target: Target) -> JSON:
        """The attributes of an object by name, with their values."""
        made = self.file.modified_s
        return {
            a.name: {**self.attribute_json(a), "created": made + 1e-6 * number}
            for number, a in enumerate(self.file.attributes(target.address))
        }

    def attribute_json(self, attribute: Attribute, data: bool = True) -> JSON:
        """An attribute without its name."""
        kind = type_json(attribute.type)
        if attribute.named is not None and self.file.known(attribute.named.address):
            kind["id"] = self.ids.of(attribute.named)
        found: JSON = {"type": kind, "shape": shape_json(attribute.shape)}
        if data:
            value = attribute.value
            found["value"] = None if value is None else plain(value, attribute.type, self.ids)
        return found

    # --- all of it ------------------------------------------------------------------------------------------------

    def gathered(self, stop: Stop = NEVER) -> tuple[bytes, bool]:
        """Objects by id as one JSON text, nearest to the root first, and whether there was time for all of them."""
        end, parts, inline = time.monotonic() + GATHER_S, [], INLINE_ALL_BYTES
        whole = True
        for number, target in enumerate(self.file.walk(stop)):
            if number >= GATHER_OBJECTS or time.monotonic() > end:
                whole = False
                break
            try:
                found = {"id": self.ids.of(target), **self.times, **self.object(target)}
                size = self._inline_bytes(target)
                if size is not None and size <= inline:
                    found["value"] = self._value(target)
                    inline -= size
            except CoverslipError:
                whole = False
                continue  # asked for by itself, it is told why it cannot be read
            parts.append(b'"%s":%s' % (self.ids.of(target).encode(), to_json(found)))
        return b"{" + b",".join(parts) + b"}", whole

    def _inline_bytes(self, target: Target) -> int | None:
        """Bytes of a data set small enough to be told with its description; None when it is not."""
        if target.kind != "dataset":
            return None
        info = self.info(target)
        if not info.shape or not all(info.shape) or info.layout in ("virtual", "external") or not _inlined(info.type):
            return None
        size = math.prod(info.shape) * value_dtype(info.type).itemsize
        return size if size <= INLINE_BYTES else None

    def _value(self, target: Target) -> Any:
        info = self.info(target)
        assert info.shape is not None
        return plain(self.file.read(target.address, Selection.whole(info.shape)), info.type, self.ids)

    def counts(self, stop: Stop = NEVER) -> JSON:
        """How many objects of each kind there are, and what data sets take."""
        kinds: dict[str, int] = {"group": -1, "dataset": 0, "datatype": 0}  # the root is not counted
        stored = chunks = 0
        for target in self.file.walk(stop):
            kinds[target.kind] += 1
            if target.kind == "dataset":
                try:
                    info = self.info(target)
                except CoverslipError:
                    continue
                stored += info.stored_bytes
                if info.chunks and info.shape:
                    chunks += math.prod(-(-n // c) for n, c in zip(info.shape, info.chunks, strict=True))
        return {
            "num_groups": kinds["group"],
            "num_datasets": kinds["dataset"],
            "num_datatypes": kinds["datatype"],
            "num_objects": sum(kinds.values()) + 1,
            "num_chunks": chunks,
            "num_linked_chunks": 0,
            "linked_bytes": 0,
            "allocated_bytes": stored,
            "metadata_bytes": 0,
            "md5_sum": "",
        }


def _inlined(kind: Datatype) -> bool:
    if isinstance(kind, Compound):
        # of one field, clients take a row for the list of its elements
        return len(kind.fields) > 1 and all(isinstance(p, (Integer, Float, Enumeration)) for _, p in kind.fields)
    return isinstance(kind, (Integer, Float, Enumeration)) and is_flat(kind)


def paged(names: Iterable[Any], key: Callable[[Any], str], query: Mapping[str, str]) -> Sequence[Any]:
    """One page of what is listed: ``Marker`` (the last one seen), ``Limit``, ``pattern``.

    Raises
    ------
    BadRequest
        When a limit is no number.
    """
    found = list(names)
    pattern = query.get("pattern")
    if pattern:
        found = [item for item in found if fnmatch.fnmatchcase(key(item), pattern)]
    marker = query.get("Marker")
    if marker:
        seen = [key(item) for item in found]
        if marker not in seen:
            raise NotFound(f"There is no {marker[:200]!r} to go on after")
        found = found[seen.index(marker) + 1 :]
    limit = whole_number(query, "Limit")
    return found if limit is None else found[:limit]


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A number of a query, or None.

    Raises
    ------
    BadRequest
        When it is no whole number, or negative.
    """
    text = query.get(name)
    if text is None or text == "":
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise BadRequest(f"Bad Request: Expected int type for {name}")
    return int(text)


def truth(query: Mapping[str, str], name: str, otherwise: bool = False) -> bool:
    """A switch of a query."""
    text = query.get(name)
    return otherwise if text is None else text.lower() not in ("", "0", "false", "f", "no")

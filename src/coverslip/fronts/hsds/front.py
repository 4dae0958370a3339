"""HDF5 files over the protocol of HSDS (the HDF REST API), straight from the files and only to read.

A domain is a file, a folder a folder; what clients ask to be changed is refused. Source: the HDF REST API;
hsds 1.0.2 and h5pyd 0.24 and 1.0 on the wire.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from coverslip.core.errors import BadRequest, CoverslipError, Forbidden, NotFound, TooLarge
from coverslip.core.node import Source
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import Target
from coverslip.domains.objects import outside, typed_of
from coverslip.engine.cache import ByteCache
from coverslip.engine.files import Files, Place
from coverslip.engine.read import SHORT_S, Reader
from coverslip.fronts.hsds.documents import Documents, paged, truth, whole_number
from coverslip.fronts.hsds.errors import told
from coverslip.fronts.hsds.ids import KINDS
from coverslip.fronts.hsds.read import PIECE_BYTES, as_json, check_size, matching, need_elements, streamed, wanted
from coverslip.fronts.hsds.read import chosen_fields as of_fields
from coverslip.fronts.hsds.types import JSON, shape_json
from coverslip.fronts.hsds.values import packed, to_json
from coverslip.fronts.http import Body, begun, reply, text_body

OCTETS = "application/octet-stream"
JSON_TYPE = "application/json; charset=utf-8"
NAMES = ("", "about", "info", "domains", "acls", "groups", "datasets", "datatypes")
HSDS_VERSION = "1.0.2"
"""Clients look at it to know what they may ask for."""
MOST_BODY_BYTES = 64 << 20
MOST_LISTED = 1000
COMPRESSORS = ("blosclz", "lz4", "lz4hc", "gzip", "zstd", "deflate")
RIGHTS = {"create": False, "read": True, "update": False, "delete": False, "readACL": True, "updateACL": False}
Query = Mapping[str, str]


def documents_of(source: Source) -> Documents:
    """What HSDS tells of an opened file."""
    return Documents(typed_of(source))


@dataclass(frozen=True, eq=False)
class Asked:
    """One request: its method, where it was sent to, what it names, and its body."""

    method: str
    parts: tuple[str, ...]
    query: Query
    base: str
    accept: str
    body: bytes
    media_type: str

    @property
    def binary(self) -> bool:
        """Whether bytes are wanted."""
        return OCTETS in self.accept

    @property
    def domain(self) -> str:
        """The path of the domain; a name of a bucket before it is left out."""
        name = self.query.get("domain") or self.query.get("host") or ""
        if name and not name.startswith("/"):
            _, slash, rest = name.partition("/")
            name = f"/{rest}" if slash else name
        return name

    @property
    def suffix(self) -> str:
        """The domain as links of answers carry it."""
        return f"?domain={quote(self.domain, safe='/', errors='surrogateescape')}"


class HsdsFront:
    """Answers ``/hsds/…``, or everything that HSDS answers when it is mounted at the root.

    Parameters
    ----------
    files
        Which domains there are: a path is a folder or a file below the roots.
    reader, cache
        Threads to read in, and where descriptions are kept.
    most_bytes
        The largest answer.
    prefix
        Where it is mounted: ``hsds/``, or nothing.
    """

    def __init__(
        self, files: Files, reader: Reader, cache: ByteCache[Body], most_bytes: int, prefix: str = "hsds/"
    ) -> None:
        self._files = files
        self._reader = reader
        self._cache = cache
        self._most_bytes = most_bytes
        self._prefix = prefix
        self._started_s = int(time.time())

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        if not self._prefix:
            return path.partition("/")[0] in NAMES
        return path.startswith(self._prefix) or f"{path}/" == self._prefix

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        return await told(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        asked = await self._asked(request)
        name, *rest = asked.parts or ("",)
        posted = asked.method == "POST" and ((rest[1:] and rest[-1] in ("value", "links", "attributes")) or not name)
        if asked.method not in ("GET", "HEAD") and not posted:
            raise Forbidden("Data is only read here", "Write to the file itself.", "read_only")
        if name in ("about", "info"):
            return self._json(request, self._about(name))
        if name in KINDS and len(rest) == 2 and rest[1] == "value":
            return await self._value(request, asked, rest[0])
        work = self._works(asked)
        key = ("hsds", asked.method, asked.parts, str(request.url.query), asked.base, asked.body)
        found = await self._reader.run(key, work, within_s=SHORT_S)
        return reply(request.method, request.headers, found)

    async def _asked(self, request: Request) -> Asked:
        root = request.scope.get("root_path", "").strip("/")
        raw = request.scope.get("raw_path") or request.scope["path"].encode()
        above = [part for part in f"{root}/{self._prefix}".split("/") if part]
        parts = raw.decode("latin-1").partition("?")[0].split("/")[1:][len(above) :]
        while parts and not parts[-1]:
            parts.pop()
        base = f"{request.url.scheme}://{request.headers.get('host', '')}" + "".join(f"/{part}" for part in above)
        names = tuple(unquote(part, errors="surrogateescape") for part in parts)
        query = dict(request.query_params)
        if "domain" not in query and (header := request.headers.get("x-hdf-domain")):
            query["domain"] = header
        body = await _body(request) if request.method == "POST" else b""
        media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        accept = request.headers.get("accept", "")
        return Asked(request.method, names, query, base, accept, body, media_type)

    def _works(self, asked: Asked) -> Callable[[Stop], Body]:
        name, *rest = asked.parts or ("",)
        if not name:
            return (lambda stop: self._many_paths(asked)) if asked.body else lambda stop: self._domain(asked, stop)
        if name == "domains" and not rest:
            return lambda stop: self._domains(asked, stop)
        if name == "acls" and len(rest) < 2:
            return lambda stop: self._acls(asked, *rest)
        if name not in KINDS:
            raise NotFound("Not Found")
        if not rest:
            return lambda stop: self._collection(asked, name, stop)
        return lambda stop: self._object(asked, name, rest)

    # --- the server -----------------------------------------------------------------------------------------------

    def _about(self, name: str) -> JSON:
        found: JSON = {
            "start_time": self._started_s,
            "state": "READY",
            "hsds_version": HSDS_VERSION,
            "name": "coverslip",
            "greeting": "Welcome to coverslip!",
            "about": "HDF5 files in place, over the protocol of HSDS",
            "node_count": 1,
            "dn_urls": [],
            "dn_ids": [],
            "username": "anonymous",
            "isadmin": False,
        }
        return found if name == "about" else {**found, "node_type": "sn"}

    def _json(self, request: Request, content: JSON) -> Response:
        data = to_json(content)
        return Response(b"" if request.method == "HEAD" else data, 200, {"Cache-Control": "no-store"}, JSON_TYPE)

    # --- domains --------------------------------------------------------------------------------------------------

    def _place(self, asked: Asked) -> Place:
        if not asked.domain:
            raise BadRequest("No domain was given: add ?domain=/folder/file.h5")
        return self._files.find(asked.domain)

    def _documents(self, asked: Asked) -> tuple[Documents, str]:
        """The file of a request, and its version."""
        place = self._place(asked)
        if place.folder:
            raise NotFound(f"{place.name} is a folder")
        return self._files.entry(place).view(documents_of)

    def _domain(self, asked: Asked, stop: Stop) -> Body:
        place = self._place(asked)
        if place.folder:
            content = {"class": "folder", **self._owner(place)}
            content["hrefs"] = self._hrefs(asked, self="", domains="domains", acls="acls")
            return _body_of(content)
        documents, version = self._files.entry(place).view(documents_of)
        if "h5path" in asked.query:
            return self._by_path(asked, documents)
        gather = truth(asked.query, "getobjs")
        verbose = truth(asked.query, "verbose")
        key = f"hsds {version} {place.name} {asked.base} {gather} {verbose} {'getdnids' in asked.query}"
        kept = self._cache.get(key)
        if kept is None:
            content = self._described_domain(asked, place, documents, verbose, stop)
            data = to_json(content)
            if gather:
                objects, whole = documents.gathered(stop)
                # The older h5pyd, which asks for nodes as well, takes what is not there for what does not exist.
                if whole or "getdnids" not in asked.query:
                    data = data[:-1] + b',"domain_objs":' + objects + b"}"
            kept = text_body(data, JSON_TYPE, _etag(data))
            self._cache.put(key, kept)
        return kept

    def _described_domain(
        self, asked: Asked, place: Place, documents: Documents, verbose: bool, stop: Stop = NEVER
    ) -> JSON:
        found: JSON = {"root": documents.ids.root, "class": "domain", **self._owner(place)}
        if verbose:
            found |= {**documents.counts(stop), "total_size": place.size}
        found["limits"] = {
            "min_chunk_size": 1 << 20,
            "max_chunk_size": 4 << 20,
            "max_request_size": self._most_bytes,
        }
        found |= {"compressors": list(COMPRESSORS), "version": HSDS_VERSION}
        if "getdnids" in asked.query:
            found["dn_ids"] = []
        root = f"groups/{found['root']}"
        links = {"self": "", "database": "datasets", "groupbase": "groups", "typebase": "datatypes", "root": root}
        found["hrefs"] = self._hrefs(asked, **links, acls="acls")
        return found

    def _owner(self, place: Place) -> JSON:
        return {"owner": "anonymous", "created": place.created_s, "lastModified": place.modified_s}

    def _hrefs(self, asked: Asked, /, **links: str) -> list[JSON]:
        return [{"rel": rel, "href": f"{asked.base}/{path}{asked.suffix}"} for rel, path in links.items()]

    def _domains(self, asked: Asked, stop: Stop) -> Body:
        query = asked.query
        place = self._files.find(asked.domain or "/")
        if not place.folder:
            raise NotFound(f"{place.name} is no folder")
        limit = whole_number(query, "Limit") or MOST_LISTED
        pattern, found = query.get("pattern"), []
        for below in self._files.below(place, query.get("Marker", "")):
            stop.check()
            if pattern and not paged([below.name.rpartition("/")[2]], str, {"pattern": pattern}):
                continue
            found.append(self._listed(below, asked, truth(query, "verbose"), stop))
            if len(found) >= limit:
                break
        here = [{"rel": "self", "href": f"{asked.base}/domains?domain={quote(place.name)}"}]
        return _body_of({"domains": found, "hrefs": here})

    def _listed(self, place: Place, asked: Asked, verbose: bool, stop: Stop) -> JSON:
        found: JSON = {"class": "folder" if place.folder else "domain", **self._owner(place), "name": place.name}
        if not place.folder:
            try:
                documents, _ = self._files.entry(place).view(documents_of)
                found["root"] = documents.ids.root
                if verbose:
                    found |= {**documents.counts(stop), "total_size": place.size}
            except CoverslipError as error:
                # Listed all the same: who opens it is told why it cannot be read.
                found["error"] = error.message
        found["hrefs"] = [{"rel": "domain", "href": f"{asked.base}/?domain={quote(place.name)}"}]
        return found

    def _acls(self, asked: Asked, user: str = "default") -> Body:
        self._place(asked)
        told_rights = {"userName": user, **RIGHTS}
        content: JSON = {"acl": told_rights} if len(asked.parts) > 1 else {"acls": [told_rights]}
        content["hrefs"] = self._hrefs(asked, self="/".join(asked.parts), home="")
        return _body_of(content)

    def _follow(self, asked: Asked, documents: Documents, path: str, start: Target | None) -> tuple[Documents, Target]:
        soft = truth(asked.query, "follow_soft_links", True)
        follow = truth(asked.query, "follow_external_links")
        external = outside(self._files, asked.domain, documents_of) if follow else None
        return documents.resolve(path, start, soft, external)

    def _by_path(self, asked: Asked, documents: Documents, collection: str | None = None) -> Body:
        """An object by ``h5path``, from ``parent_id`` (or ``grpid``) on."""
        parent = asked.query.get("parent_id") or asked.query.get("grpid")
        start = documents.target(parent, "groups") if parent else None
        where, target = self._follow(asked, documents, asked.query["h5path"], start)
        if collection is not None and KINDS[collection] != target.kind:
            raise NotFound(f"There is no {KINDS[collection]} at {asked.query['h5path'][:200]!r}")
        content = self._shown(
            asked, where, target, truth(asked.query, "include_attrs"), truth(asked.query, "include_links")
        )
        return _body_of(content)

    def _many_paths(self, asked: Asked) -> Body:
        """``POST /`` with ``h5paths``: several objects by their paths."""
        documents, _ = self._documents(asked)
        try:
            body = msgspec.json.decode(asked.body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise BadRequest("Unable to load JSON body") from None
        paths = body.get("h5paths") if isinstance(body, dict) else None
        if not isinstance(paths, list) or not all(isinstance(p, str) for p in paths) or len(paths) > MOST_LISTED:
            raise BadRequest("h5paths is a list of paths")
        parent = asked.query.get("parent_id")
        start = documents.target(parent, "groups") if parent else None
        found: JSON = {}
        for path in paths:
            where, target = self._follow(asked, documents, path, start)
            attributes, links = truth(asked.query, "include_attrs"), truth(asked.query, "include_links")
            found[path] = where.described(target, attributes, links)
        return _body_of({"h5paths": found})

    # --- objects --------------------------------------------------------------------------------------------------

    def _collection(self, asked: Asked, name: str, stop: Stop) -> Body:
        documents, _ = self._documents(asked)
        if "h5path" in asked.query:
            return self._by_path(asked, documents, name)
        every = [
            documents.ids.of(target)
            for target in documents.file.walk(stop)
            if target.kind == KINDS[name] and target != documents.file.top
        ]
        content: JSON = {name: paged(sorted(every), str, asked.query)}
        content["hrefs"] = self._hrefs(asked, self=name, root=f"groups/{documents.ids.root}", home="")
        return _body_of(content)

    def _object(self, asked: Asked, collection: str, rest: Sequence[str]) -> Body:
        documents, version = self._documents(asked)
        target = documents.target(rest[0], collection)
        further = list(rest[1:])
        if not further:
            return self._one(asked, documents, target, version)
        what, *names = further
        if what == "attributes":
            return self._attributes(asked, documents, target, names)
        if what == "links" and target.kind == "group" and len(names) < 2:
            return self._links(asked, documents, target, *names)
        if target.kind == "dataset" and not names and what in ("type", "shape", "query"):
            return self._facet(asked, documents, target, what)
        raise NotFound("Not Found")

    def _one(self, asked: Asked, documents: Documents, target: Target, version: str) -> Body:
        query = asked.query
        if "h5path" in query and target.kind == "group":
            where, found = self._follow(asked, documents, query["h5path"], target)
            attributes, links = truth(query, "include_attrs"), truth(query, "include_links")
            return _body_of(self._shown(asked, where, found, attributes, links))
        attributes, links = truth(query, "include_attrs"), truth(query, "include_links")
        plain_request = not truth(query, "getalias")
        key = f"hsds {version} {asked.domain} {asked.base} {documents.ids.of(target)} {attributes} {links}"
        kept = self._cache.get(key) if plain_request else None
        if kept is None:
            content = self._shown(asked, documents, target, attributes, links)
            if not plain_request:
                content["alias"] = list(documents.file.paths(target.address))
            kept = _body_of(content)
            if plain_request:
                self._cache.put(key, kept)
        return kept

    def _shown(self, asked: Asked, documents: Documents, target: Target, attributes: bool, links: bool) -> JSON:
        found = documents.described(target, attributes, links)
        found |= {"domain": asked.domain, "bucket": asked.query.get("bucket", "")}
        here = f"{ {'group': 'groups', 'dataset': 'datasets', 'datatype': 'datatypes'}[target.kind] }/{found['id']}"
        hrefs = {"self": here, "root": f"groups/{found['root']}", "home": "", "attributes": f"{here}/attributes"}
        if target.kind == "group":
            hrefs["links"] = f"{here}/links"
        if target.kind == "dataset":
            hrefs["data"] = f"{here}/value"
        found["hrefs"] = self._hrefs(asked, **hrefs)
        return found

    def _links(self, asked: Asked, documents: Documents, target: Target, title: str | None = None) -> Body:
        id = documents.ids.of(target)
        hrefs = self._hrefs(asked, self=f"groups/{id}/links", home="", owner=f"groups/{id}")
        if title is not None:
            link = documents.file.link(target.address, title)
            if link is None or link.kind == "user":
                raise NotFound(f"There is no link {title[:200]!r}")
            listed = documents.listed_link(link, asked.base, id, asked.suffix)
            listed = {k: v for k, v in listed.items() if k not in ("href", "target", "created")}
            return _body_of({"link": listed, **documents.times, "hrefs": hrefs})
        every = [link for link in documents.file.links(target.address) if link.kind != "user"]
        if asked.body:
            return self._links_of(asked, documents, target)
        shown = paged(every, lambda link: str(link.name), asked.query)
        rows = [documents.listed_link(link, asked.base, id, asked.suffix) for link in shown]
        return _body_of({"links": rows, "hrefs": hrefs})

    def _links_of(self, asked: Asked, documents: Documents, target: Target) -> Body:
        """``POST …/links``: links by name (``titles``), or of several groups (``grp_ids``)."""
        wished = _wishes(asked.body, "titles", "grp_ids", documents.ids.of(target))
        found: JSON = {}
        for id, titles in wished.items():
            group = documents.target(id, "groups")
            rows = [
                documents.listed_link(link, asked.base, id, asked.suffix)
                for link in documents.file.links(group.address)
                if link.kind != "user" and (titles is None or link.name in titles)
            ]
            missing = set(titles or ()) - {row["title"] for row in rows}
            if missing:
                raise NotFound(f"There is no link {min(missing)[:200]!r}")
            found[id] = rows
        return _body_of({"links": next(iter(found.values())) if _single(asked.body) else found})

    def _attributes(self, asked: Asked, documents: Documents, target: Target, names: Sequence[str]) -> Body:
        query = asked.query
        id, collection = documents.ids.of(target), asked.parts[0]
        here = f"{collection}/{id}/attributes"
        hrefs = self._hrefs(asked, self=here, home="", owner=f"{collection}/{id}")
        nan = truth(query, "ignore_nan")
        if names:
            return self._attribute(asked, documents, target, "/".join(names), hrefs)
        if asked.body:
            return self._attributes_of(asked, documents, target)
        every = paged(documents.file.attributes(target.address), lambda a: str(a.name), query)
        data = truth(query, "IncludeData")
        rows = []
        for attribute in every:
            row = {"name": attribute.name, **documents.attribute_json(attribute, data), **documents.times}
            row["href"] = (
                f"{asked.base}/{here}/{quote(attribute.name, safe='', errors='surrogateescape')}{asked.suffix}"
            )
            rows.append(row)
        return _body_of({"attributes": rows, "hrefs": hrefs}, nan)

    def _attribute(self, asked: Asked, documents: Documents, target: Target, name: str, hrefs: Sequence[JSON]) -> Body:
        found = documents.file.attributes(target.address, [name])
        value_only = not found and name.endswith("/value")
        if value_only:
            found = documents.file.attributes(target.address, [name.removesuffix("/value")])
        if not found:
            raise NotFound(f"There is no attribute {name[:200]!r}")
        attribute = found[0]
        if value_only and asked.binary and attribute.value is not None:
            data = bytes(packed(attribute.value, attribute.type, documents.ids))
            return Body(data, OCTETS, _etag(data))
        content = {
            "name": attribute.name,
            **documents.attribute_json(attribute, truth(asked.query, "IncludeData", True)),
        }
        return _body_of({**content, **documents.times, "hrefs": list(hrefs)}, truth(asked.query, "ignore_nan"))

    def _attributes_of(self, asked: Asked, documents: Documents, target: Target) -> Body:
        """``POST …/attributes``: attributes by name (``attr_names``), or of several objects (``obj_ids``)."""
        wished = _wishes(asked.body, "attr_names", "obj_ids", documents.ids.of(target))
        data = truth(asked.query, "IncludeData", True)
        found: JSON = {}
        for id, names in wished.items():
            collection = {"g": "groups", "d": "datasets", "t": "datatypes"}.get(id[:1], "groups")
            item = documents.target(id, collection)
            attributes = documents.file.attributes(item.address, names)
            found[id] = [{"name": a.name, **documents.attribute_json(a, data), **documents.times} for a in attributes]
        content = next(iter(found.values())) if _single(asked.body) else found
        return _body_of({"attributes": content}, truth(asked.query, "ignore_nan"))

    def _facet(self, asked: Asked, documents: Documents, target: Target, what: str) -> Body:
        info = documents.info(target)
        here = f"datasets/{documents.ids.of(target)}"
        hrefs = self._hrefs(asked, self=f"{here}/{what}", owner=here, root=f"groups/{documents.ids.root}")
        if what == "type":
            return _body_of({"type": documents.type_of(info), "hrefs": hrefs})
        if what == "shape":
            return _body_of({"shape": shape_json(info.shape, info.limits), **documents.times, "hrefs": hrefs})
        request = wanted(documents, target, asked.query, b"", "")
        if request.query is None:
            raise BadRequest("query parameter is required")
        _, numbers = matching(request, self._most_bytes)
        if asked.binary:
            data = numbers.astype("<u8").tobytes()
            return Body(data, OCTETS, _etag(data))
        return _body_of({"value": numbers.tolist(), "hrefs": hrefs})

    # --- values ---------------------------------------------------------------------------------------------------

    async def _value(self, request: Request, asked: Asked, id: str) -> Response:
        def look(stop: Stop) -> Any:
            documents, _ = self._documents(asked)
            found = wanted(documents, documents.target(id, asked.parts[0]), asked.query, asked.body, asked.media_type)
            check_size(found, self._most_bytes, not asked.binary)
            if not asked.binary:
                content = as_json(found, asked.query, self._most_bytes, stop)
                content["hrefs"] = self._hrefs(asked, self=f"datasets/{id}/value", home="", owner=f"datasets/{id}")
                return text_body(to_json(content, truth(asked.query, "ignore_nan")), JSON_TYPE, "value")
            need_elements(found)
            if found.query is not None:
                rows, _ = matching(found, self._most_bytes, stop)
                return packed(of_fields(rows, found), found.type, documents.ids)
            return found if found.exact and found.nbytes > PIECE_BYTES else found.bytes(stop)

        if asked.parts[0] != "datasets":
            raise NotFound("Not Found")
        if asked.method == "POST" and not asked.body:
            raise BadRequest("POST Value with no body")
        key = ("hsds value", request.url.path, request.url.query, asked.body, asked.binary)
        found = await self._reader.run(key, look, within_s=SHORT_S)
        headers = {"Cache-Control": "no-store"}
        if isinstance(found, Body):
            return reply(request.method, {**request.headers, "if-none-match": ""}, found, "no-store")
        if isinstance(found, (bytes, memoryview)):
            headers["Content-Length"] = str(len(found))
            return Response(b"" if request.method == "HEAD" else found, 200, headers, OCTETS)
        headers["Content-Length"] = str(found.nbytes)
        if request.method == "HEAD":
            return Response(b"", 200, headers, OCTETS)
        return StreamingResponse(await begun(streamed(found, self._reader)), 200, headers, OCTETS)


def _wishes(body: bytes, names: str, ids: str, own: str) -> dict[str, list[str] | None]:
    """Which names of which objects a POST asks for; None = all of them."""
    try:
        told_body = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise BadRequest("Unable to load JSON body") from None
    if not isinstance(told_body, dict) or not (names in told_body or ids in told_body):
        raise BadRequest(f"Expected body to contain one of {names}, {ids}")
    wished, several = told_body.get(names), told_body.get(ids)
    if not (wished is None or _texts(wished)):
        raise BadRequest(f"{names} is a list of names")
    if several is None:
        return {own: wished}
    if _texts(several):
        return dict.fromkeys(several, wished)
    if isinstance(several, dict) and wished is None and all(v is None or _texts(v) for v in several.values()):
        return several
    raise BadRequest(f"{ids} is a list of ids, or names by id")


def _texts(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LISTED and all(isinstance(v, str) for v in value)


def _single(body: bytes) -> bool:
    return not any(key in msgspec.json.decode(body) for key in ("grp_ids", "obj_ids"))


def _etag(data: bytes) -> str:
    from hashlib import blake2b

    return blake2b(data, digest_size=12).hexdigest()


def _body_of(content: Any, ignore_nan: bool = False) -> Body:
    data = to_json(content, ignore_nan)
    return text_body(data, JSON_TYPE, _etag(data))


async def _body(request: Request) -> bytes:
    """The body of a POST.

    Raises
    ------
    TooLarge
        When it is larger than a list of points needs to be.
    """
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise TooLarge(f"A body has at most {MOST_BODY_BYTES} bytes", "Ask for fewer points at once.")
        parts.append(part)
    return b"".join(parts)

"""Answers of HSDS's protocol about domains and objects: everything but values.

Source: the HDF REST API; hsds 1.0.2 on the wire.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any
from urllib.parse import quote

from coverslip.core.errors import BadRequest, CoverslipError, NotFound
from coverslip.core.node import Source
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import Target
from coverslip.domains.objects import outside, typed_of
from coverslip.engine.cache import ByteCache
from coverslip.engine.files import Files, Place
from coverslip.fronts.hsds.documents import Documents, paged, truth, whole_number
from coverslip.fronts.hsds.ids import KINDS
from coverslip.fronts.hsds.requests import MOST_LISTED, Asked, json_in
from coverslip.fronts.hsds.types import JSON
from coverslip.fronts.hsds.values import to_json
from coverslip.fronts.http import Body, text_body

JSON_TYPE = "application/json; charset=utf-8"
HSDS_VERSION = "1.0.2"
"""Clients look at it to know what they may ask for."""
COMPRESSORS = ("blosclz", "lz4", "lz4hc", "gzip", "zstd", "deflate")
RIGHTS = {"create": False, "read": True, "update": False, "delete": False, "readACL": True, "updateACL": False}


def documents_of(source: Source) -> Documents:
    """What HSDS tells of an opened file."""
    return Documents(typed_of(source))


class Domains:
    """Answers about folders, domains and who may do what.

    Parameters
    ----------
    files
        Which domains there are.
    cache
        Where descriptions are kept.
    most_bytes
        The largest answer.
    """

    def __init__(self, files: Files, cache: ByteCache[Body], most_bytes: int) -> None:
        self._files = files
        self._cache = cache
        self._most_bytes = most_bytes

    def _place(self, asked: Asked) -> Place:
        if not asked.domain:
            raise BadRequest("No domain was given: add ?domain=/folder/file.h5")
        return self._files.find(asked.domain)

    def documents(self, asked: Asked) -> tuple[Documents, str]:
        """The file of a request, and its version."""
        place = self._place(asked)
        if place.folder:
            raise NotFound(f"{place.name} is a folder")
        return self._files.entry(place).view(documents_of)

    def domain(self, asked: Asked, stop: Stop) -> Body:
        """A domain or a folder, and with ``getobjs`` everything in it."""
        place = self._place(asked)
        if place.folder:
            content = {"class": "folder", **self._owner(place)}
            content["hrefs"] = self.hrefs(asked, self="", domains="domains", acls="acls")
            return body_of(content)
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
            kept = text_body(data, JSON_TYPE, etag_of(data))
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
        found["hrefs"] = self.hrefs(asked, **links, acls="acls")
        return found

    def _owner(self, place: Place) -> JSON:
        return {"owner": "anonymous", "created": place.created_s, "lastModified": place.modified_s}

    def hrefs(self, asked: Asked, /, **links: str) -> list[JSON]:
        """Where else to ask: addresses by their relation."""
        return [{"rel": rel, "href": f"{asked.base}/{path}{asked.suffix}"} for rel, path in links.items()]

    def domains(self, asked: Asked, stop: Stop) -> Body:
        """What is in a folder, by page."""
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
        return body_of({"domains": found, "hrefs": here})

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

    def acls(self, asked: Asked, user: str = "default") -> Body:
        """Who may do what: everybody who is let in may read."""
        self._place(asked)
        told_rights = {"userName": user, **RIGHTS}
        content: JSON = {"acl": told_rights} if len(asked.parts) > 1 else {"acls": [told_rights]}
        content["hrefs"] = self.hrefs(asked, self="/".join(asked.parts), home="")
        return body_of(content)

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
        return body_of(content)

    def many_paths(self, asked: Asked) -> Body:
        """``POST /`` with ``h5paths``: several objects by their paths."""
        documents, _ = self.documents(asked)
        body = json_in(asked.body)
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
        return body_of({"h5paths": found})

    def _shown(self, asked: Asked, documents: Documents, target: Target, attributes: bool, links: bool) -> JSON:
        found = documents.described(target, attributes, links)
        found |= {"domain": asked.domain, "bucket": asked.query.get("bucket", "")}
        here = f"{ {'group': 'groups', 'dataset': 'datasets', 'datatype': 'datatypes'}[target.kind] }/{found['id']}"
        hrefs = {"self": here, "root": f"groups/{found['root']}", "home": "", "attributes": f"{here}/attributes"}
        if target.kind == "group":
            hrefs["links"] = f"{here}/links"
        if target.kind == "dataset":
            hrefs["data"] = f"{here}/value"
        found["hrefs"] = self.hrefs(asked, **hrefs)
        return found


def etag_of(data: bytes) -> str:
    """A validator of bytes."""
    return blake2b(data, digest_size=12).hexdigest()


def body_of(content: Any, ignore_nan: bool = False) -> Body:
    """An answer in JSON."""
    data = to_json(content, ignore_nan)
    return text_body(data, JSON_TYPE, etag_of(data))

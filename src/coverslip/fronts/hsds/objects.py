"""Answers of HSDS's protocol about groups, data sets, types, links and attributes.

Source: the HDF REST API; hsds 1.0.2 on the wire.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import quote

from coverslip.core.errors import BadRequest, NotFound
from coverslip.core.stop import NEVER, Stop
from coverslip.core.typed import Target
from coverslip.fronts.hsds.answers import Domains, body_of, etag_of
from coverslip.fronts.hsds.documents import UNTOLD, Documents, paged, truth
from coverslip.fronts.hsds.ids import KINDS
from coverslip.fronts.hsds.read import matching, wanted
from coverslip.fronts.hsds.requests import OCTETS, Asked, is_single, wishes
from coverslip.fronts.hsds.types import JSON, shape_json
from coverslip.fronts.hsds.values import packed
from coverslip.fronts.http import Body


class Answers(Domains):
    """Answers about objects, too."""

    def collection(self, asked: Asked, name: str, stop: Stop) -> Body:
        """The ids of all groups, data sets or types, by page; or the one at ``h5path``."""
        documents, _ = self.documents(asked)
        if "h5path" in asked.query:
            return self._by_path(asked, documents, name)
        every = [
            documents.ids.of(target)
            for target in documents.file.walk(stop)
            if target.kind == KINDS[name] and target != documents.file.top
        ]
        content: JSON = {name: paged(sorted(every), str, asked.query)}
        content["hrefs"] = self.hrefs(asked, self=name, root=f"groups/{documents.ids.root}", home="")
        return body_of(content)

    def object(self, asked: Asked, collection: str, rest: Sequence[str], stop: Stop = NEVER) -> Body:
        """An object, or a part of its description."""
        documents, version = self.documents(asked)
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
            return self._facet(asked, documents, target, what, stop)
        raise NotFound("Not Found")

    def _one(self, asked: Asked, documents: Documents, target: Target, version: str) -> Body:
        query = asked.query
        if "h5path" in query and target.kind == "group":
            where, found = self._follow(asked, documents, query["h5path"], target)
            attributes, links = truth(query, "include_attrs"), truth(query, "include_links")
            return body_of(self._shown(asked, where, found, attributes, links))
        attributes, links = truth(query, "include_attrs"), truth(query, "include_links")
        plain_request = not truth(query, "getalias")
        key = f"hsds {version} {asked.domain} {asked.base} {documents.ids.of(target)} {attributes} {links}"
        kept = self._cache.get(key) if plain_request else None
        if kept is None:
            content = self._shown(asked, documents, target, attributes, links)
            if not plain_request:
                content["alias"] = list(documents.file.paths(target.address))
            kept = body_of(content)
            if plain_request:
                self._cache.put(key, kept)
        return kept

    def _links(self, asked: Asked, documents: Documents, target: Target, title: str | None = None) -> Body:
        id = documents.ids.of(target)
        hrefs = self.hrefs(asked, self=f"groups/{id}/links", home="", owner=f"groups/{id}")
        if title is not None:
            link = documents.file.link(target.address, title)
            if link is None or link.kind in UNTOLD:
                raise NotFound(f"There is no link {title[:200]!r}")
            listed = documents.listed_link(link, asked.base, id, asked.suffix)
            listed = {k: v for k, v in listed.items() if k not in ("href", "target", "created")}
            return body_of({"link": listed, **documents.times, "hrefs": hrefs})
        every = [link for link in documents.file.links(target.address) if link.kind not in UNTOLD]
        if asked.body:
            return self._links_of(asked, documents, target)
        shown = paged(every, lambda link: str(link.name), asked.query)
        rows = [documents.listed_link(link, asked.base, id, asked.suffix) for link in shown]
        return body_of({"links": rows, "hrefs": hrefs})

    def _links_of(self, asked: Asked, documents: Documents, target: Target) -> Body:
        """``POST …/links``: links by name (``titles``), or of several groups (``grp_ids``)."""
        wished = wishes(asked.body, "titles", "grp_ids", documents.ids.of(target))
        found: JSON = {}
        for id, titles in wished.items():
            group = documents.target(id, "groups")
            rows = [
                documents.listed_link(link, asked.base, id, asked.suffix)
                for link in documents.file.links(group.address)
                if link.kind not in UNTOLD and (titles is None or link.name in titles)
            ]
            missing = set(titles or ()) - {row["title"] for row in rows}
            if missing:
                raise NotFound(f"There is no link {min(missing)[:200]!r}")
            found[id] = rows
        return body_of({"links": next(iter(found.values())) if is_single(asked.body) else found})

    def _attributes(self, asked: Asked, documents: Documents, target: Target, names: Sequence[str]) -> Body:
        query = asked.query
        id, collection = documents.ids.of(target), asked.parts[0]
        here = f"{collection}/{id}/attributes"
        hrefs = self.hrefs(asked, self=here, home="", owner=f"{collection}/{id}")
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
        return body_of({"attributes": rows, "hrefs": hrefs}, nan)

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
            return Body(data, OCTETS, etag_of(data))
        content = {
            "name": attribute.name,
            **documents.attribute_json(attribute, truth(asked.query, "IncludeData", True)),
        }
        return body_of({**content, **documents.times, "hrefs": list(hrefs)}, truth(asked.query, "ignore_nan"))

    def _attributes_of(self, asked: Asked, documents: Documents, target: Target) -> Body:
        """``POST …/attributes``: attributes by name (``attr_names``), or of several objects (``obj_ids``)."""
        wished = wishes(asked.body, "attr_names", "obj_ids", documents.ids.of(target))
        data = truth(asked.query, "IncludeData", True)
        found: JSON = {}
        for id, names in wished.items():
            collection = {"g": "groups", "d": "datasets", "t": "datatypes"}.get(id[:1], "groups")
            item = documents.target(id, collection)
            attributes = documents.file.attributes(item.address, names)
            found[id] = [{"name": a.name, **documents.attribute_json(a, data), **documents.times} for a in attributes]
        content = next(iter(found.values())) if is_single(asked.body) else found
        return body_of({"attributes": content}, truth(asked.query, "ignore_nan"))

    def _facet(self, asked: Asked, documents: Documents, target: Target, what: str, stop: Stop) -> Body:
        info = documents.info(target)
        here = f"datasets/{documents.ids.of(target)}"
        hrefs = self.hrefs(asked, self=f"{here}/{what}", owner=here, root=f"groups/{documents.ids.root}")
        if what == "type":
            return body_of({"type": documents.type_of(info), "hrefs": hrefs})
        if what == "shape":
            return body_of({"shape": shape_json(info.shape, info.limits), **documents.times, "hrefs": hrefs})
        request = wanted(documents, target, asked.query, b"", "")
        if request.query is None:
            raise BadRequest("query parameter is required")
        _, numbers = matching(request, self._most_bytes, stop)
        if asked.binary:
            data = numbers.astype("<u8").tobytes()
            return Body(data, OCTETS, etag_of(data))
        return body_of({"value": numbers.tolist(), "hrefs": hrefs})

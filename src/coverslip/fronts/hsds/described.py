"""HSDS's protocol as it is answered here, as OpenAPI describes it."""

from __future__ import annotations

from coverslip.fronts.hsds.requests import MOST_LISTED
from coverslip.fronts.openapi.words import (
    ANY,
    BYTES,
    COUNT,
    DOCUMENT,
    FLAG,
    JSON,
    NUMBER,
    OBJECT,
    OCTETS,
    TEXT,
    Paths,
    asked,
    by_name,
    content,
    many,
    obj,
    one_of,
    operation,
    placed,
    ref,
    sent,
    told,
    whole,
)

HSDS = "HDF5 (HSDS)"
TAGS = {
    HSDS: "HDF5 files over the protocol of HSDS, read in place (docs/reference/hsds.md). Errors are one line of text. "
    "JSON of values holds `NaN`, as HSDS writes it, unless `ignore_nan=1`."
}
REFUSES = (400, 403, 404, 410, 413, 422, 501, 503)
SWITCH = one_of(0, 1)
DOMAIN = ref("parameters", "domain")
PAGE = (
    asked("Limit", whole(0, 10**6), "The most of one answer"),
    asked("Marker", TEXT, "The last that was seen"),
    asked("pattern", TEXT, "Only names that match, with `*` and `?`", example="*"),
)
SHOWN = (
    asked("include_attrs", SWITCH, "With attributes"),
    asked("include_links", SWITCH, "With links"),
)
FOLLOWED = (
    asked("h5path", TEXT, "A path in the file", example="/"),
    asked("parent_id", TEXT, "The group where the path begins"),
    asked("follow_soft_links", SWITCH, "Along soft links; yes when left out"),
    asked("follow_external_links", SWITCH, "Into other files below the same roots"),
)
DATA = (asked("IncludeData", SWITCH, "With values"), asked("ignore_nan", SWITCH, "null for NaN"))
NAMED = placed("link", TEXT, "A link's name", "data")
ATTRIBUTE = placed("attribute", TEXT, "An attribute's name", "title")
HREFS = many(obj({"rel": TEXT, "href": TEXT}))
SCHEMAS: dict[str, JSON] = {
    "HdfDomain": obj(
        {"class": one_of("domain", "folder"), "owner": TEXT, "created": NUMBER, "lastModified": NUMBER, "hrefs": HREFS},
        {"root": TEXT, "limits": OBJECT, "compressors": many(TEXT), "version": TEXT, "domain_objs": by_name(OBJECT),
         "num_objects": COUNT, "total_size": COUNT},
    ),
    "HdfObject": obj(
        {"id": TEXT, "root": TEXT, "created": NUMBER, "lastModified": NUMBER, "hrefs": HREFS},
        {"attributes": by_name(OBJECT), "links": by_name(OBJECT), "attributeCount": COUNT, "linkCount": COUNT,
         "type": ref("schemas", "HdfType"), "shape": OBJECT, "creationProperties": OBJECT, "alias": many(TEXT),
         "domain": TEXT, "bucket": TEXT},
    ),
    "HdfType": {"anyOf": [TEXT, obj({"class": TEXT})]},
    "HdfLink": obj(
        {"class": one_of("H5L_TYPE_HARD", "H5L_TYPE_SOFT", "H5L_TYPE_EXTERNAL"), "title": TEXT},
        {"id": TEXT, "collection": TEXT, "h5path": TEXT, "h5domain": TEXT, "href": TEXT, "target": TEXT},
    ),
    "HdfAttribute": obj({"name": TEXT, "type": ref("schemas", "HdfType"), "shape": OBJECT}, {"value": ANY}),
    "HdfAbout": obj(
        {"start_time": COUNT, "state": one_of("READY"), "hsds_version": TEXT, "name": TEXT, "greeting": TEXT,
         "about": TEXT, "node_count": COUNT, "username": TEXT, "isadmin": FLAG}
    ),
    "HdfDomains": obj(
        {"domains": many(obj({"class": one_of("domain", "folder"), "name": TEXT}, {"root": TEXT, "error": TEXT}))}
    ),
    "HdfRights": obj({"userName": TEXT, "create": FLAG, "read": FLAG, "update": FLAG, "delete": FLAG,
                      "readACL": FLAG, "updateACL": FLAG}),
}  # fmt: skip


def paths() -> Paths:
    """Operations of HSDS's protocol, below ``/hsds``."""
    found = {**_domains(), **_links()}
    for collection in ("groups", "datasets", "datatypes"):
        found |= _collection(collection)
    found |= _facets()
    return {f"/hsds{path}": operations for path, operations in found.items()}


def _op(summary: str, schema: JSON, *parameters: JSON, body: JSON | None = None, binary: bool = False) -> JSON:
    bodies = [content(DOCUMENT, schema), *([content(OCTETS, BYTES)] if binary else [])]
    answer = told(summary, *bodies)
    return operation(HSDS, summary, answer, parameters=parameters, refuses=REFUSES, errors="Line", kept=True, body=body)


def _domains() -> Paths:
    domain = (
        asked("getobjs", SWITCH, "With the descriptions of all objects"),
        asked("getdnids", SWITCH, "With the ids of nodes: none"),
        asked("verbose", SWITCH, "With counts"),
    )
    about = ref("schemas", "HdfAbout")
    rights = ref("schemas", "HdfRights")
    either = {"anyOf": [ref("schemas", "HdfDomain"), ref("schemas", "HdfObject")]}
    several = sent("Paths", obj({"h5paths": many(TEXT, maxItems=MOST_LISTED)}), example={"h5paths": ["/"]})
    return {
        "/about": {"get": _op("Who we are", about)},
        "/info": {"get": _op("The same, and the kind of node", about)},
        "/": {
            "get": _op("A domain, a folder, or an object by its path", either, DOMAIN, *domain, *FOLLOWED, *SHOWN),
            "post": _op("Several objects by their paths", obj({"h5paths": by_name(OBJECT)}), DOMAIN, *FOLLOWED[1:],
                        *SHOWN, body=several),
        },
        "/domains": {
            "get": _op("What is in a folder", ref("schemas", "HdfDomains"), ref("parameters", "hdf_folder"), *PAGE,
                       domain[2])
        },
        "/acls": {"get": _op("Who may do what", obj({"acls": many(rights)}), DOMAIN)},
        "/acls/{user}": {
            "get": _op("What one may do", obj({"acl": rights}), DOMAIN, placed("user", TEXT, "A name", "default"))
        },
    }  # fmt: skip


def _links() -> Paths:
    id = ref("parameters", "group_id")
    rows = obj({"links": {"anyOf": [many(ref("schemas", "HdfLink")), by_name(many(ref("schemas", "HdfLink")))]}})
    titles = sent("Names, of one group or several", obj(None, {"titles": many(TEXT), "grp_ids": ANY}),
                  example={"titles": []})  # fmt: skip
    return {
        "/groups/{group_id}/links": {
            "get": _op("Links of a group", rows, DOMAIN, id, *PAGE),
            "post": _op("Links by their names", rows, DOMAIN, id, body=titles),
        },
        "/groups/{group_id}/links/{link}": {
            "get": _op("One link", obj({"link": ref("schemas", "HdfLink")}), DOMAIN, id, NAMED)
        },
    }


def _collection(name: str) -> Paths:
    parameter = f"{name[:-1]}_id"
    id, one = ref("parameters", parameter), f"/{name}/{{{parameter}}}"
    ids = {"anyOf": [obj({name: many(TEXT)}), ref("schemas", "HdfObject")]}
    rows = many(ref("schemas", "HdfAttribute"))
    listed = obj({"attributes": {"anyOf": [rows, by_name(rows)]}})
    wished = sent("Names, of one object or several", obj(None, {"attr_names": many(TEXT), "obj_ids": ANY}),
                  example={"attr_names": []})  # fmt: skip
    alias = asked("getalias", SWITCH, "With its paths")
    own = (DOMAIN, id, *SHOWN, alias, *(FOLLOWED if name == "groups" else ()))
    return {
        f"/{name}": {"get": _op(f"Ids of all {name}, or the one at a path", ids, DOMAIN, *PAGE, *FOLLOWED, *SHOWN)},
        one: {"get": _op(f"One of the {name}", ref("schemas", "HdfObject"), *own)},
        f"{one}/attributes": {
            "get": _op("Its attributes", listed, DOMAIN, id, *PAGE, *DATA),
            "post": _op("Attributes by their names", listed, DOMAIN, id, *DATA, body=wished),
        },
        f"{one}/attributes/{{attribute}}": {
            "get": _op("One attribute", ref("schemas", "HdfAttribute"), DOMAIN, id, ATTRIBUTE, *DATA)
        },
        f"{one}/attributes/{{attribute}}/value": {
            "get": _op("Its value: bytes where they are accepted", ref("schemas", "HdfAttribute"), DOMAIN, id,
                       ATTRIBUTE, *DATA, binary=True)
        },
    }  # fmt: skip


def _facets() -> Paths:
    id = ref("parameters", "dataset_id")
    query = asked("query", TEXT, "Rows that match", example="x > 1")
    limit = asked("Limit", whole(0, 10**6), "The most rows of a query")
    chosen = (
        asked("select", TEXT, "Elements, as HSDS writes them: `[10:20,0:300:3]`", example="[0:1]"),
        asked("fields", TEXT, "Fields of records, with colons", example="id:x"),
        query,
        limit,
        asked("reduce_dim", SWITCH, "Axes of one element are left out"),
        DATA[1],
    )
    value = obj({"value": ANY}, {"index": many(COUNT), "status": COUNT})
    posted = sent("Points, or the same as in the query",
                  obj(None, {"points": ANY, "select": TEXT, "fields": {"anyOf": [TEXT, many(TEXT)]}, "query": TEXT,
                             "Limit": COUNT}), example={"points": [0]})  # fmt: skip
    posted["content"][OCTETS] = {"schema": BYTES}
    kind = obj({"type": ref("schemas", "HdfType")})
    return {
        "/datasets/{dataset_id}/type": {"get": _op("Its type", kind, DOMAIN, id)},
        "/datasets/{dataset_id}/shape": {"get": _op("Its shape", obj({"shape": OBJECT}), DOMAIN, id)},
        "/datasets/{dataset_id}/value": {
            "get": _op("Elements: bytes where they are accepted", value, DOMAIN, id, *chosen, binary=True),
            "post": _op("Elements at points, or as asked", value, DOMAIN, id, *chosen[-2:], body=posted, binary=True),
        },
        "/datasets/{dataset_id}/query": {
            "get": _op("Numbers of the rows that match", obj({"value": many(COUNT)}), DOMAIN, id,
                       {**query, "required": True}, limit, binary=True)
        },
    }  # fmt: skip

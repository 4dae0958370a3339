"""The same reads by h5py (``h5_probes.py FILE``) and by h5pyd (``h5_probes.py DOMAIN ENDPOINT``).

Prints one JSON object: what each probe found, or the kind of its error.
"""

from __future__ import annotations

import json
import sys

import numpy as np


def plain(value):
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (bytes, np.bytes_)):
        return bytes(value).decode("utf-8", "replace")
    if isinstance(value, np.void) and value.dtype.names is None:
        return value.tobytes().hex()
    if isinstance(value, np.ndarray):
        if value.dtype.kind == "V" and value.dtype.names is None and value.dtype.subdtype is None:
            return [plain(v) for v in value.reshape(-1)]
        return {"shape": list(value.shape), "values": [plain(v) for v in value.reshape(-1)]}
    if isinstance(value, (np.void, tuple, list)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, complex):
        return [value.real, value.imag]
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, int):
        return value
    return type(value).__name__


def probes(f, h5):
    """Name and work of every probe."""
    g = f["g"]
    found = {}

    def add(name, work):
        found[name] = work

    for name in sorted(NAMES):
        add(f"all {name}", lambda name=name: g[name][()])
        add(f"meta {name}", lambda name=name: [list(g[name].shape or ()), str(g[name].dtype.str), g[name].chunks])
    f4 = lambda: g["f4"]  # noqa: E731
    add("slab", lambda: f4()[10:20, 5:50])
    add("strided", lambda: f4()[0:105:7, 0:300:3])
    add("point", lambda: f4()[5, 5])
    add("row", lambda: f4()[7])
    add("column", lambda: f4()[:, 11])
    add("ellipsis", lambda: f4()[..., 3])
    add("negative", lambda: f4()[-3:, -1])
    add("list", lambda: f4()[[1, 5, 9]])
    add("list of columns", lambda: f4()[3:7, [0, 250, 299]])
    add("long list", lambda: f4()[list(range(0, 200, 3)), :])
    add("mask", lambda: f4()[f4()[()] > 0.99])
    add("mask of rows", lambda: g["many"][np.arange(1000) % 7 == 0])
    add("plain slab", lambda: g["plain"][3:30:5, 7:9, 2])
    add("sparse slab", lambda: g["sparse"][3:8, 3:8])
    add("cut edge", lambda: g["cut"][18:, 13:])
    add("field", lambda: g["comp"]["x"])
    add("fields", lambda: g["comp"]["id", "x"])
    add("field of rows", lambda: g["comp_z"][10:20]["pos"])
    add("records", lambda: g["comp"][1:3])
    add("keys", lambda: sorted(g))
    add("root keys", lambda: sorted(f))
    add("attrs", lambda: [[k, f.attrs[k]] for k in sorted(f.attrs) if k != "empty"])
    add("attr keys", lambda: sorted(f.attrs))
    add("attr of set", lambda: f4().attrs["units"])
    add("attr of type", lambda: f["types/label"].attrs["about"])
    add("hard", lambda: f["hard"].shape)
    add("soft", lambda: f["soft"][3, 4])
    add("soft relative", lambda: f["soft"].shape)
    add("dangling", lambda: "dangling" in f and f.get("dangling") is None)
    add("class of soft", lambda: f.get("soft", getclass=True, getlink=True).__name__)
    add("soft link", lambda: f.get("soft", getlink=True).path)
    add("class of hard", lambda: f.get("hard", getclass=True, getlink=True).__name__)
    add("class of external", lambda: f.get("external", getclass=True, getlink=True).__name__)
    add("external link", lambda: [f.get("external", getlink=True).filename, f.get("external", getlink=True).path])
    add("class of set", lambda: f.get("g/f4", getclass=True).__name__)
    add("class of group", lambda: f.get("g", getclass=True).__name__)
    add("named type", lambda: str(f["types/point"].dtype))
    add("enum", lambda: sorted(h5.check_dtype(enum=g["enum"].dtype).items()))
    add("enum of named", lambda: sorted(h5.check_dtype(enum=g["committed"].dtype).items()))
    add("reference to a group", lambda: sorted(f[g["refs"][0]])[:3])
    add("reference to a set", lambda: f[g["refs"][1]].shape)
    add("reference of an attribute", lambda: f[g.attrs["points_to"]][()])
    add("scale", lambda: f4().dims[1][0][:5])
    add("label", lambda: f4().dims[1].label)
    add("filters", lambda: [f4().compression, f4().shuffle, f4().chunks, g["sum"].fletcher32])
    add("fill", lambda: [g["ext"].fillvalue, g["ext"].maxshape, g["sparse"].fillvalue])
    add("strange name", lambda: g["weird name/é"][()])
    add("visit", lambda: sorted(visited(f)))
    add("ordered", lambda: sorted(f["ordered"]))
    add("length", lambda: [len(f["ordered"]), len(g["many"])])
    add("missing", lambda: "missing" in g)
    add("region", lambda: g["f4"][g["regions"][0]])
    add("strided region", lambda: g["f4"][g["regions"][1]])
    return found


def visited(f):
    names = []
    f.visit(lambda name: names.append(name) and None)
    return names


NAMES = [
    *("n_i1", "n_u1", "n_le_i2", "n_be_i2", "n_le_u2", "n_le_i4", "n_be_u4", "n_le_i8", "n_be_i8", "n_le_u8"),
    *("n_le_f2", "n_be_f4", "n_le_f8", "n_be_f8", "f4", "sum", "plain", "cut", "ext", "nothing", "scalar", "nan"),
    *("bool", "c16", "enum", "many", "vstr", "vbytes", "fstr", "fstr8", "str_scalar", "opaque", "spaced", "comp"),
    *("comp_z", "aligned", "nested", "blocks", "ragged", "mixed", "committed", "null"),
]


def main():
    name, *rest = sys.argv[1:]
    if rest:
        import h5pyd as h5

        f = h5.File(name, "r", endpoint=rest[0])
    else:
        import h5py as h5

        f = h5.File(name, "r")
    found = {}
    for probe, work in probes(f, h5).items():
        try:
            found[probe] = plain(work())
        except Exception as error:  # noqa: BLE001  (told as what the probe found)
            found[probe] = f"{type(error).__name__}: {str(error)[:100]}"
    print(json.dumps(found, default=str))


if __name__ == "__main__":
    main()

"""biopb's own client reads from a server: run in an environment that has ``biopb[tensor]``; prints JSON.

``biopb_reads.py URL TOKEN FOLDER`` with FOLDER of ``NAME.npy``, the pixels of the source called NAME.
"""

import json
import pickle
import sys
from pathlib import Path

import dask
import numpy as np
from biopb.tensor import SerializedTensor, TensorFlightClient

url, token, folder = sys.argv[1:]
client = TensorFlightClient(url, token=token or None)
found = {}
random = np.random.default_rng(11)


def refusal(work):
    """The words of an error that has to come."""
    try:
        work()
    except Exception as error:  # noqa: BLE001  (its words are what is looked at)
        return f"{type(error).__name__}: {error}"
    raise AssertionError("nothing was refused")


def box_of(shape):
    low = [int(random.integers(0, n)) for n in shape]
    return tuple(slice(a, int(random.integers(a, n)) + 1) for a, n in zip(low, shape, strict=True))


def everything(id, expected):
    """Every way of reading gives the same pixels."""
    described = client.get_descriptor(id, with_metadata=True, with_pyramid=True)
    assert tuple(described.shape) == expected.shape, (id, described.shape)
    json.loads(described.metadata_json)
    assert np.array_equal(client.get_array(id), expected), id
    lazy = client.get_tensor(id)
    assert lazy.dtype == expected.dtype.newbyteorder("=") or lazy.dtype == expected.dtype
    assert np.array_equal(lazy.compute(), expected), id
    for _ in range(12):
        box = box_of(expected.shape)
        assert np.array_equal(client.get_array(id, box), expected[box]), (id, box)
        assert np.array_equal(lazy[box].compute(), expected[box]), (id, box)
        assert np.array_equal(client.get_tensor(id, box).compute(), expected[box]), (id, box)
        scale = tuple(int(random.integers(1, 4)) for _ in expected.shape)
        start = tuple(s.start // f * f for s, f in zip(box, scale, strict=True))
        thin = expected[tuple(slice(a, s.stop, f) for a, s, f in zip(start, box, scale, strict=True))]
        for read in (client.get_array, lambda *a, **k: client.get_tensor(*a, **k).compute()):
            assert np.array_equal(read(id, box, scale_hint=scale, reduction_method="nearest"), thin), (id, box, scale)
    open_ended = tuple(slice(n // 2, None) for n in expected.shape)
    assert np.array_equal(client.get_array(id, open_ended), expected[open_ended])
    for level in described.pyramid:
        part = client.get_array(id, scale_hint=list(level.scale_hint), reduction_method=level.reduction_method)
        assert list(part.shape) == list(level.shape), (id, level)
    return len(described.pyramid)


def handed_on(id, expected):
    """What a process gives to another: pickled, or as a message without the token."""
    with dask.config.set(scheduler="processes", num_workers=2):
        assert np.array_equal(client.get_tensor(id)[0].compute(), expected[0])
    again = pickle.loads(pickle.dumps(client.get_tensor(id)))
    assert np.array_equal(again.compute(), expected)
    message = client.get_tensor(id, output="pb").SerializeToString()
    handle = SerializedTensor.FromString(message)
    found["token_in_message"] = handle.auth_token
    assert np.array_equal(TensorFlightClient.tensor_from_pb(handle).compute(), expected)
    part = client.get_tensor(id, (slice(1, 2), slice(3, 90), slice(5, 60)), output="pb")
    assert np.array_equal(TensorFlightClient.tensor_from_pb(part).compute(), expected[1:2, 3:90, 5:60])


def walk(key=""):
    """Ids of all sources, found folder by folder."""
    here = client.catalog_children(key)
    assert not here["truncated"]
    return [s["source_id"] for s in here["sources"]] + [i for f in here["folders"] for i in walk(f["key"])]


if __name__ == "__main__":  # processes of dask read this file again
    rows = client.query("SELECT source_id, name, tensors FROM sources ORDER BY name", format="records")
    ids = {row["source_id"].rpartition("-")[0]: row for row in rows}
    found["names"] = sorted(ids)
    assert sorted(walk()) == sorted(row["source_id"] for row in rows)
    found["levels"] = {}
    for file in sorted(Path(folder).glob("*.npy")):
        row = ids[file.stem]
        found["levels"][file.stem] = everything(row["tensors"][0]["array_id"], np.load(file))
        bare = client.get_array(row["source_id"]) if len(row["tensors"]) == 1 else None
        assert bare is None or np.array_equal(bare, np.load(file))
    cells = ids["cells"]["tensors"][0]["array_id"]
    handed_on(cells, np.load(f"{folder}/cells.npy"))
    found["scale"] = client.get_physical_scale(cells)
    found["no_scale"] = client.get_physical_scale(ids["several"]["tensors"][0]["array_id"])
    found["metadata"] = sorted(client.get_source_metadata(ids["cells"]["source_id"]))
    found["health"] = client.health_check()
    found["unknown"] = refusal(lambda: client.get_array("nobody"))
    found["no_tensor"] = refusal(lambda: client.get_array(f"{ids['several']['source_id']}/nothing"))
    found["ambiguous"] = refusal(lambda: client.get_array(ids["several"]["source_id"]))
    found["rank"] = refusal(lambda: client.get_array(cells, (slice(0, 1),)))
    found["sql"] = refusal(lambda: client.query("SELECT * FROM read_text('/etc/passwd')"))
    found["kinds"] = client.query(
        "SELECT kind, count(*) AS n FROM sources GROUP BY kind ORDER BY kind", format="records"
    )
    found["rates"] = len(client.query("SELECT * FROM decode_rates"))
    print(json.dumps(found))

"""What an upload is on disk: NGFF, every dtype, names that lead nowhere else, chunks; and what cannot be had."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import uploads_lab
from uploads_lab import AXES, PIXELS, RNG, again, chunks, declared, part, read

from coverslip.core.ability import raw_chunks
from coverslip.core.errors import Ambiguous, BadRequest, CoverslipError, NotFound, TooLarge
from coverslip.core.ngff import Axis
from coverslip.core.spec import Box
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.images import Images
from coverslip.engine.overlay import Nothing
from coverslip.engine.upload import Target
from coverslip.engine.uploads import Uploads

uploads = uploads_lab.uploads


def test_labels_are_where_ngff_has_them(uploads: Uploads) -> None:
    base = MemoryGroup(
        {"0": MemoryArray(PIXELS)},
        {"ome": {"multiscales": [{"axes": [{"name": a} for a in "zyx"], "datasets": [{"path": "0"}]}]}},
    )
    nothing = Nothing()
    nothing.root = base
    for name in ("lab/@labels/cells", "lab/@fields/mean", "lab/@fields/mean/@labels/nuclei"):
        upload = uploads.add(declared(name))
        uploads.write(upload.array_id, (0, 0, 0), part(upload.declared, (0, 0, 0)))
        uploads.publish(upload.array_id)
    uploads = again(uploads)
    images = Images(uploads.overlay("lab", nothing))
    assert images.paths == ("", "@fields/mean")
    assert images[""].labels == ("labels/cells",)
    assert images["@fields/mean"].labels == ("@fields/mean/labels/nuclei",)
    assert images["labels/cells"].label
    assert not images["@fields/mean"].label
    assert np.array_equal(images[""].array.read_all(), PIXELS)
    assert images["labels/cells"].array.read(Box((0, 0, 0), (1, 32, 32))).sum() == PIXELS[0, :32, :32].sum()
    uploads.discard("lab/@fields/mean")
    assert [u.array_id for u in uploads.ready()] == ["lab/@labels/cells"]
    uploads.close()


@pytest.mark.parametrize(
    ("dtype", "names"),
    [("bool", "yx"), ("|i1", "zcyx"), ("float16", "xyz"), ("<f8", "x"), ("uint64", "tczyx"), ("i4", "yxs")],
)
def test_every_dtype_and_order_of_axes_comes_back(uploads: Uploads, dtype: str, names: str) -> None:
    shape = (3, 5, 4, 6, 2)[-len(names) :]
    pixels = RNG.integers(0, 2, shape).astype(dtype)
    wanted = declared(
        "x/@fields/f", shape=shape, dtype=dtype, chunks=(2,) * len(names), axes=tuple(Axis(n) for n in names)
    )
    uploads.add(wanted)
    for index in chunks(wanted):
        uploads.write("x/@fields/f", index, part(wanted, index, pixels).ravel())
    uploads.publish("x/@fields/f")
    later = again(uploads)
    image = Images(later.overlay("x", Nothing()))["@fields/f"]
    assert image.dims == tuple(names)
    found = image.array.read_all()
    assert found.dtype == pixels.dtype
    assert np.array_equal(found, pixels)
    later.close()


@pytest.mark.parametrize(
    "name",
    [
        "scratch", "scratch/liver", "scratch/@fields", "scratch/@fields/", "/@fields/a", "scratch/@fields/..",
        "scratch/@fields/.hidden", "scratch/@fields/a/b", "scratch/a/@fields/b", "scratch/@fields/a\\b",
        "s/@fields/CON", "s/@fields/nul.txt", "s/@fields/a.", "s/@fields/a\0", "s/@fields/" + "a" * 200,
        "s/../@labels/a", "s//@labels/a", "file:///etc/@fields/a", "scratch/@fields/ä", "zarr://", "s/@labels/../../x",
    ],
)  # fmt: skip
def test_names_that_lead_elsewhere(name: str) -> None:
    with pytest.raises(BadRequest):
        Target.of(name)


def test_ids_become_names_of_single_folders(uploads: Uploads) -> None:
    for name in ("..@x/@fields/a", "s/A/1/0/@labels/a", f"s/{'ü' * 300}/@labels/a", ".x/@fields/a"):
        place = uploads._files.place(Target.of(name))
        assert uploads.folder in place.resolve().parents
        assert ".." not in place.parts
        assert all(len(part) < 200 for part in place.relative_to(uploads.folder).parts)
        uploads.publish(uploads.add(declared(name)).array_id)
    assert len(again(uploads).ready()) == 4


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"dtype": ">u2"}, BadRequest), ({"dtype": "O"}, BadRequest), ({"dtype": "U4"}, BadRequest),
        ({"dtype": "c16"}, BadRequest), ({"dtype": "nonsense"}, BadRequest), ({"shape": (3, 0, 70)}, BadRequest),
        ({"shape": ()}, BadRequest), ({"chunks": (1, 2)}, BadRequest), ({"chunks": (0, 1, 1)}, BadRequest),
        ({"axes": AXES[:2]}, BadRequest), ({"axes": (AXES[0],) * 3}, BadRequest), ({"ttl_s": 0}, BadRequest),
        ({"shape": (1 << 40, 1 << 20, 4)}, TooLarge), ({"shape": (1000, 2000, 70), "chunks": (1, 1, 1)}, TooLarge),
    ],
)  # fmt: skip
def test_what_cannot_be_had(wrong: dict[str, Any], error: type[CoverslipError]) -> None:
    with pytest.raises(error):
        declared(**wrong)


def test_chunks_are_as_asked_for_unless_no_message_holds_them() -> None:
    assert declared(chunks=(2, 50, 99)).chunks == (2, 50, 70)
    whole = declared(shape=(100, 1000, 1001), chunks=())
    assert whole.chunks == (7, 1000, 1001)
    plane = declared(shape=(1, 30000, 9001), chunks=())
    assert plane.chunks[0] == 1
    assert np.prod(plane.chunks) * 2 <= 16 << 20


def test_wrong_elements_are_refused(uploads: Uploads) -> None:
    upload = uploads.add(declared())
    with pytest.raises(BadRequest, match="not the chunk"):
        uploads.write(upload.array_id, (0, 0, 0), np.zeros(5, np.uint16))
    with pytest.raises(BadRequest, match="not the chunk"):
        uploads.write(upload.array_id, (0, 0, 0), np.zeros((1, 32, 32), np.int16))
    with pytest.raises(BadRequest, match="not one chunk"):
        upload.declared.index((0, 0, 1), (1, 32, 32))
    with pytest.raises(NotFound):
        uploads.write("scratch/@fields/no", (0, 0, 0), PIXELS)


def test_folders_that_are_no_uploads_are_left_alone(uploads: Uploads) -> None:
    upload = uploads.add(declared("x/@fields/mine"))
    uploads.publish(upload.array_id)
    place = uploads.folder / "x" / "@fields"
    (place / "notes").mkdir()
    (place / "mine").rename(place / "renamed")
    document = json.loads((place / "renamed" / "zarr.json").read_text())
    later = again(uploads)
    assert later.ready() == []
    assert (place / "notes").exists()
    with pytest.raises(Ambiguous):
        later.add(declared("x/@fields/renamed"))
    document["attributes"]["coverslip-upload"]["array_id"] = "x/@fields/renamed"
    (place / "renamed" / "zarr.json").write_text(json.dumps(document))
    assert [u.array_id for u in again(later).ready()] == ["x/@fields/renamed"]


def test_a_damaged_chunk_is_told(uploads: Uploads) -> None:
    upload = uploads.add(declared("x/@fields/mine"))
    uploads.write(upload.array_id, (0, 0, 0), part(upload.declared, (0, 0, 0)))
    uploads.publish(upload.array_id)
    (uploads.folder / "x/@fields/mine/0/c/0/0/0").write_bytes(b"no blosc")
    with pytest.raises(CoverslipError, match="cannot be read") as told:
        read(uploads, "x", "@fields/mine")
    assert str(uploads.folder) not in str(told.value)


def test_what_was_read_while_it_was_discarded_is_no_array_of_zeros(uploads: Uploads) -> None:
    upload = uploads.add(declared("x/@fields/mine"))
    for index in chunks(upload.declared):
        uploads.write(upload.array_id, index, part(upload.declared, index))
    uploads.publish(upload.array_id)
    array = Images(uploads.overlay("x", Nothing()))["@fields/mine"].array
    assert array.read_all().any()
    raw = raw_chunks(array)
    assert raw is not None
    assert raw.stored_chunk((0, 0, 0))
    uploads.discard(upload.array_id)
    for attempt in (array.read_all, lambda: raw.stored_chunk((0, 0, 0)), lambda: raw.stored_size((0, 0, 0))):
        with pytest.raises(NotFound, match="was discarded"):
            attempt()

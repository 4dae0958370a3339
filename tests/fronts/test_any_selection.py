"""Whatever part is asked for is what numpy gives: selections, boxes, pieces, chunks and tiles."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from coverslip.core.errors import BadRequest
from coverslip.core.node import Array
from coverslip.core.spec import ArraySpec, Box
from coverslip.core.stop import NEVER
from coverslip.core.tree import MemoryGroup
from coverslip.core.typed import Enumeration, Float, Integer, Text, value_dtype
from coverslip.domains.images import Images
from coverslip.domains.planes import plane_of, read_tile
from coverslip.domains.pyramid import reduce_by
from coverslip.formats.trees.grid import meeting, touched
from coverslip.fronts.h5grove.documents import as_json, natural
from coverslip.fronts.h5grove.encode import encoded, safe
from coverslip.fronts.h5grove.front import selected
from coverslip.fronts.hsds.selection import parse, points_from, points_of
from coverslip.fronts.hsds.values import packed
from coverslip.fronts.tensors import streams
from coverslip.fronts.tensors.streams import cut, pieces
from coverslip.fronts.zarr.chunks import made
from coverslip.fronts.zarr.documents import grid

QUICK = settings(max_examples=40, deadline=None, derandomize=True, database=None)
SHAPES = st.lists(st.integers(1, 7), min_size=1, max_size=4).map(tuple)


class Chunked(Array):
    """Numbers in memory that are said to be stored in chunks."""

    def __init__(self, values: npt.NDArray[Any], chunks: tuple[int, ...] | None) -> None:
        self._values, self._chunks, self.attrs = values, chunks, {}

    @property
    def spec(self) -> ArraySpec:
        return ArraySpec(self._values.shape, self._values.dtype, self._chunks)

    def read(self, box: Box) -> npt.NDArray[Any]:
        return self._values[box.slices]


class Memory:
    """A source of one image."""

    generation, etag, modified_s = 0, "memory", 0.0

    def __init__(self, values: npt.NDArray[Any], chunks: tuple[int, ...] | None, dims: str) -> None:
        levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1.0] * len(dims)}]}]
        kinds = {"c": "channel", "t": "time"}
        axes = [{"name": name, "type": kinds.get(name, "space")} for name in dims]
        scale = {"version": "0.5", "axes": axes, "datasets": levels}
        self.root = MemoryGroup({"0": Chunked(values, chunks)}, {"ome": {"version": "0.5", "multiscales": [scale]}})


def image_of(values: npt.NDArray[Any], chunks: tuple[int, ...] | None = None) -> Any:
    source: Any = Memory(values, chunks, "tczyx"[-values.ndim :])
    images = Images(source, NO_SHELF)
    return images[images.paths[0]]


class _Nothing:
    def get(self, name: str, size: int) -> None:
        return None

    mapped = get

    def put(self, name: str, data: memoryview) -> None:
        pass

    def sub(self, name: str) -> _Nothing:
        return self


NO_SHELF: Any = _Nothing()


def numbers(shape: tuple[int, ...], dtype: str = "<u2") -> npt.NDArray[Any]:
    return (np.arange(np.prod(shape)) * 7 % 251).reshape(shape).astype(dtype)


def slice_text(draw: st.DrawFn, n: int) -> tuple[str, Any]:
    """A member of a selection as numpy writes it, and what numpy makes of it."""
    if draw(st.booleans()):
        index = draw(st.integers(-n, n - 1))
        return str(index), index
    ends = [draw(st.none() | st.integers(-n - 2, n + 2)) for _ in range(2)]
    step = draw(st.none() | st.integers(1, 4))
    words = ["" if end is None else str(end) for end in ends] + ([str(step)] if step else [])
    return ":".join(words), slice(*ends, step)


@QUICK
@given(st.data())
def test_what_h5grove_selects_is_numpys(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    count = data.draw(st.integers(1, len(shape)))
    members = [data.draw(st.composite(slice_text)(shape[i])) for i in range(count)]  # type: ignore[arg-type]
    found, kept = selected(",".join(text for text, _ in members), shape)
    whole = numbers(shape)
    expected = whole[tuple(member for _, member in members)]
    assert kept == expected.shape
    np.testing.assert_array_equal(whole[found.axes].reshape(kept), expected)


@QUICK
@given(st.data())
def test_what_hsds_selects_is_numpys(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    whole, members, index = numbers(shape), [], []
    for n in shape:
        start, stop = sorted(data.draw(st.tuples(st.integers(0, n), st.integers(0, n))))
        step = data.draw(st.integers(1, n + 1))
        members.append(f"{start}:{stop}:{step}")
        index.append(slice(start, stop, step))
    found = parse(f"[{','.join(members)}]", shape)
    expected = whole[tuple(index)]
    assert found.shape == expected.shape
    np.testing.assert_array_equal(whole[found.axes], expected)
    points = np.stack([data.draw(hnp.arrays("<u8", 5, elements=st.integers(0, n - 1))) for n in shape], axis=1)
    for chosen in (points_from(points.tobytes(), shape), points_of(points.tolist(), shape)):
        assert chosen.points is not None
        np.testing.assert_array_equal(whole[tuple(chosen.points.T)], whole[tuple(points.T.astype(np.int64))])


@QUICK
@given(st.data())
def test_any_box_in_pieces_is_numpys(data: st.DataObject) -> None:
    """Pieces follow each other in C order, and are the box without a gap; reduced, the same as all at once."""
    shape = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4).map(tuple))
    chunks = data.draw(st.none() | st.tuples(*(st.integers(1, n) for n in shape)))
    low = [data.draw(st.integers(0, n)) for n in shape]
    high = [data.draw(st.integers(a, n)) for a, n in zip(low, shape, strict=True)]
    factors = [data.draw(st.integers(1, 4)) for _ in shape]
    how = data.draw(st.sampled_from(("mean", "max", "nearest")))
    whole = numbers(shape)
    part = cut(image_of(whole, chunks), low, high, factors, how)
    expected = reduce_by(whole[tuple(map(slice, low, high))], factors, how)
    np.testing.assert_array_equal(part.read(part.box), expected)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(streams, "PIECE_BYTES", data.draw(st.sampled_from((2, 16, 64))))
        patch.setattr(streams, "LARGEST_PIECE_BYTES", 128)
        sent = b"".join(part.read(box).tobytes() for box in pieces(part.array.spec, part.box, part.factors))
    assert sent == expected.astype("<u2").tobytes()


@QUICK
@given(st.data())
def test_what_lies_outside_is_refused(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 5), min_size=2, max_size=3).map(tuple))
    ends = st.lists(st.integers(-12, 12), max_size=4)
    low, high = data.draw(ends), data.draw(ends)
    image = image_of(numbers(shape))
    rank = len(shape)
    fits = len(low) <= rank and len(high) <= rank
    a = [*low, *[0] * rank][:rank]
    b = [*high, *shape[len(high) :]][:rank]
    a, b = ([v + n if v < 0 else v for v, n in zip(side, shape, strict=True)] for side in (a, b))
    inside = fits and all(0 <= x <= y <= n for x, y, n in zip(a, b, shape, strict=True))
    if inside:
        np.testing.assert_array_equal(cut(image, low, high).read(Box(tuple(a), tuple(b))), numbers(shape)[
            tuple(map(slice, a, b))])  # fmt: skip
    else:
        with pytest.raises(BadRequest):
            cut(image, low, high)


@QUICK
@given(st.data())
def test_a_box_is_put_together_from_the_chunks_it_touches(data: st.DataObject) -> None:
    shape = data.draw(SHAPES)
    chunk = tuple(data.draw(st.integers(1, n + 1)) for n in shape)
    low = [data.draw(st.integers(0, n - 1)) for n in shape]
    high = [data.draw(st.integers(a + 1, n)) for a, n in zip(low, shape, strict=True)]
    whole, box = numbers(shape), Box(tuple(low), tuple(high))
    found = np.full(box.shape, 9999, "<u2")
    for index in touched(box, chunk):
        stored = whole[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))]
        into, part = meeting(box, index, chunk)
        found[into] = stored[part]
    np.testing.assert_array_equal(found, whole[box.slices])


@QUICK
@given(SHAPES, st.data())
def test_zarrs_chunks_are_the_array(shape: tuple[int, ...], data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(("<u1", ">u2", "<i4", ">f4", "<f8")))
    whole = numbers(shape, dtype)
    array = Chunked(whole, data.draw(st.none() | st.tuples(*(st.integers(1, n) for n in shape))))
    chunk = grid(array)
    counts = [-(-n // c) for n, c in zip(shape, chunk, strict=True)]
    found = np.zeros([n * c for n, c in zip(counts, chunk, strict=True)], whole.dtype.newbyteorder("<"))
    for index in np.ndindex(*counts):
        stored = np.frombuffer(made(array, index, NEVER), found.dtype).reshape(chunk)
        found[tuple(slice(i * c, (i + 1) * c) for i, c in zip(index, chunk, strict=True))] = stored
    np.testing.assert_array_equal(found[tuple(map(slice, shape))], whole)


@QUICK
@given(st.data())
def test_tiles_are_the_plane(data: st.DataObject) -> None:
    shape = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=5).map(tuple))
    size = data.draw(st.integers(1, 10))
    image = image_of(numbers(shape))
    lead = dict(zip(image.dims[:-2], (data.draw(st.integers(0, n - 1)) for n in shape[:-2]), strict=True))
    project = data.draw(st.none() | st.sampled_from(image.dims[:-2])) if lead else None
    plane = plane_of(image, lead, project)
    rows, columns = (-(-n // size) for n in shape[-2:])
    found = np.block(
        [[read_tile(image, 0, row, column, size, plane, NEVER) for column in range(columns)] for row in range(rows)]
    )
    index = tuple(slice(None) if name == project else i for name, i in lead.items())
    expected = numbers(shape)[index]
    np.testing.assert_array_equal(found.squeeze(), (expected.max(0) if project else expected).squeeze())


NUMBERS = hnp.arrays(
    st.one_of(hnp.integer_dtypes(endianness="?"), hnp.unsigned_integer_dtypes(endianness="?"), hnp.floating_dtypes(
        endianness="?", sizes=(16, 32, 64))), hnp.array_shapes(min_dims=1, max_dims=3, max_side=4),
)  # fmt: skip


@QUICK
@given(NUMBERS)
def test_numbers_of_any_type_are_sent_as_they_are(values: npt.NDArray[Any]) -> None:
    kind = Float if values.dtype.kind == "f" else Integer
    big = values.dtype.byteorder == ">"
    size = values.dtype.itemsize
    described: Any = Float(size, big) if kind is Float else Integer(size, values.dtype.kind == "i", big)
    assert value_dtype(described) == values.dtype.newbyteorder(">" if big else "<")
    data, _, _ = encoded(values, "bin")
    np.testing.assert_array_equal(np.frombuffer(data, values.dtype).reshape(values.shape), values)
    npy, _, _ = encoded(values, "npy")
    np.testing.assert_array_equal(np.load(io.BytesIO(bytes(npy))), values)
    np.testing.assert_array_equal(safe(values), values)
    assert safe(values).dtype.itemsize in (1, 2, 4, 8)
    sent = packed(values, described, NO_SHELF)
    np.testing.assert_array_equal(np.frombuffer(sent, values.dtype).reshape(values.shape), values)


@QUICK
@given(
    st.dictionaries(st.text(min_size=1, max_size=5), st.integers(-128, 127), min_size=1, max_size=6),
    st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=4), max_size=5),
)
def test_enumerations_and_text_keep_their_values(members: dict[str, int], words: list[str]) -> None:
    kind = Enumeration(Integer(1), tuple(members.items()))
    values = np.array(list(members.values()), value_dtype(kind))
    assert json.loads(json.dumps(as_json(natural(values, kind), kind))) == list(members.values())
    coded = [word.encode() for word in words]
    stored = np.array(coded, f"S{max([1, *map(len, coded)])}")
    text = Text(stored.dtype.itemsize, True)
    assert as_json(natural(stored, text), text) == words

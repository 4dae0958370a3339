"""Bytes that are nearly right: those that are kept in ``tests/corpus``, with some of them changed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
WORDS = (
    b"", b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"9" * 25, b"18446744073709551615", b"2147483648", b"{}",
    b"[]", b'""', b"[" * 5000, b'{"a":' * 2000, b"..", b"../", b"/", b"//", b"%2e%2e", b"%", b"\0", b"\n", b"\r\n",
    b" ", b"\xff" * 8, b"\x80", b"\xed\xa0\x80", "β".encode(), b",", b":", b"-", b"=", b"&", b"|", b"(", b")", b"'",
    b'"', b"\\", b"<a>", b"&amp;", b"a" * 300,
)  # fmt: skip
NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1)

VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 7, 0.5, -0.0, 1e308, 1 << 31, 1 << 62, 10**400, float("nan"), float("inf"), "", "0",
    "x", "a/b", "..", "\0", "\ud800", "9" * 500, [], [0], [1.5, -1], [None], [[]], ["a", "b"], {}, {"a": 1}, {"": None},
)  # fmt: skip
"""What a member of a document may be instead."""
MOST_JSON = 1 << 16


def kept(name: str) -> dict[str, bytes]:
    """What is kept for a parser, by the names of the files."""
    return {path.name: path.read_bytes() for path in sorted((CORPUS / name).glob("*")) if path.is_file()}


class Shortly(bytes):
    """Bytes of which a report tells their digest: the whole is kept by who finds something."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes, {digest(self)}>"


def digest(data: bytes) -> str:
    """A name for bytes."""
    return sha256(data).hexdigest()[:12]


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of a document: what holds it, and under which name or number."""
    for name, inner in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, name
        if isinstance(inner, (dict, list)):
            yield from _places(inner)


def document_changed(data: bytes, random: Random) -> bytes | None:
    """A document of JSON with some of its members missing or of other kinds; None for other bytes.

    What comes before the first brace stays: it says what the document is for.
    """
    at = data.find(b"{")
    if at < 0 or len(data) > MOST_JSON:
        return None
    try:
        whole = {"": json.loads(data[at:])}
    except (ValueError, RecursionError):
        return None
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        places = list(_places(whole))
        holder, name = places[random.randrange(len(places))]
        match random.randrange(6):
            case 0 if holder is not whole:
                del holder[name]
            case 1:
                other, there = places[random.randrange(len(places))]
                holder[name] = other[there]
            case 2 if isinstance(holder, list):
                holder.insert(name, holder[name])
            case 3 if isinstance(holder, dict) and holder is not whole:
                holder[random.choice(("", "x", "name", "path", "type", "0", "β"))] = holder.pop(name)
            case _:
                holder[name] = random.choice(VALUES)
        try:
            whole = json.loads(json.dumps(whole))  # nothing is the same as something else in it
        except ValueError:  # it holds itself
            return None
    return data[:at] + json.dumps(whole[""]).encode()


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, with some bytes changed, left out, doubled or taken from another."""
    seed = draw(st.sampled_from(seeds))
    if draw(st.booleans()) and (changed := document_changed(seed, Random(draw(st.integers(0, 1 << 32))))) is not None:
        return Shortly(changed)
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 5))):
        at = draw(st.integers(0, len(data)))
        end = min(len(data), at + draw(st.sampled_from((1, 2, 4, 8, 16, 64))))
        match draw(st.integers(0, 7)):
            case 0:
                data[at:end] = draw(st.binary(min_size=end - at, max_size=end - at))
            case 1:
                data[at:at] = draw(st.sampled_from(WORDS))
            case 2:
                data[at:end] = draw(st.sampled_from(WORDS))
            case 3:
                del data[at:end]
            case 4:
                del data[at:]
            case 5:
                data[at:at] = data[at:end] * draw(st.sampled_from((1, 2, 50)))
            case 6:
                other = draw(st.sampled_from(seeds))
                data[at:end] = other[at : at + draw(st.sampled_from((1, 4, 16, 256)))]
            case 7:
                size = draw(st.sampled_from((1, 2, 4, 8)))
                number = draw(st.sampled_from(NUMBERS)) % (1 << 8 * size)
                data[at : at + size] = number.to_bytes(size, draw(st.sampled_from(("little", "big"))))
    return Shortly(data)

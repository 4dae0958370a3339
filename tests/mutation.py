"""Bytes that are nearly right: those that are kept in ``tests/corpus``, with some of them changed."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"
WORDS = (
    b"", b"0", b"-1", b"1e999", b"NaN", b"null", b"true", b"9" * 25, b"18446744073709551615", b"2147483648", b"{}",
    b"[]", b'""', b"[" * 5000, b'{"a":' * 2000, b"..", b"../", b"/", b"//", b"%2e%2e", b"%", b"\0", b"\n", b"\r\n",
    b" ", b"\xff" * 8, b"\x80", b"\xed\xa0\x80", "β".encode(), b",", b":", b"-", b"=", b"&", b"|", b"(", b")", b"'",
    b'"', b"\\", b"<a>", b"&amp;", b"a" * 300,
)  # fmt: skip
NUMBERS = (0, 1, 2, 7, 8, 127, 128, 255, 256, 32767, 32768, 65535, 1 << 31, (1 << 32) - 1, 1 << 62, (1 << 64) - 1)


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


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes]) -> bytes:
    """One of the seeds, with some bytes changed, left out, doubled or taken from another."""
    data = bytearray(draw(st.sampled_from(seeds)))
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

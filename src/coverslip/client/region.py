"""A region as a command line writes it: ``0:10,0:10``, one range for every axis."""

from __future__ import annotations

from collections.abc import Sequence

from coverslip.core.errors import BadRequest


def parse(text: str) -> list[tuple[int | None, int | None]]:
    """Start and stop per axis; None where left out.

    Raises
    ------
    BadRequest
        For what is no ``start:stop``.
    """
    found = []
    for part in (one.strip() for one in text.split(",")):
        start, colon, stop = part.partition(":")
        try:
            if not colon:
                raise ValueError(part)
            found.append((int(start) if start.strip() else None, int(stop) if stop.strip() else None))
        except ValueError as error:
            what = f"Invalid slice format: Slice must be in start:stop format, not {part!r}"
            raise BadRequest(what, "Write 0:10,0:10.", "bad_slice") from error
    return found


def region(text: str | None, id: str, shape: Sequence[int], dims: Sequence[str]) -> tuple[range, ...]:
    """The ranges that a text means for an array of this shape; all of it for no text.

    Negative numbers count from the end, as in Python.

    Raises
    ------
    BadRequest
        When it does not name every axis, or leads outside.
    """
    if not text:
        return tuple(range(n) for n in shape)
    bounds = parse(text)
    if len(bounds) != len(shape):
        n = len(bounds)
        raise BadRequest(
            f"Metadata error for {id}: Slice hint dimensionality mismatch: "
            f"expected {len(shape)}, got start={n} stop={n}",
            f"Name every axis: {', '.join(dims)}.",
            "bad_slice",
        )
    return tuple(_range(i, *bound, n) for i, (bound, n) in enumerate(zip(bounds, shape, strict=True)))


def _range(axis: int, start: int | None, stop: int | None, n: int) -> range:
    low = 0 if start is None else start + n if start < 0 else start
    high = n if stop is None else stop + n if stop < 0 else stop
    if low < 0 or high < 0:
        raise BadRequest(f"Slice bounds must be non-negative on axis {axis}", f"It has {n} elements.", "bad_slice")
    if high > n:
        raise BadRequest(f"Slice stop exceeds tensor shape on axis {axis}", f"It has {n} elements.", "bad_slice")
    if low > high:
        raise BadRequest(f"Slice start must be <= stop on axis {axis}", "", "bad_slice")
    return range(low, high)

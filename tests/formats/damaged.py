"""Files with bytes changed by chance, and whether they can still be read."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

from coverslip.core.errors import CoverslipError
from coverslip.core.format import Format
from coverslip.core.node import Group
from fuzz import rounds


def refused(form: Format, whole: bytes, folder: Path, name: str, seed: int, times: int, head: int) -> int:
    """How many of some damaged files are refused; in all of them what cannot be read is told.

    Parameters
    ----------
    whole
        The file.
    folder, name
        Where damaged ones are written, and what their names end with.
    seed, times
        Of the damage, and how many files.
    head
        Bytes at its beginning in which half of them are changed.
    """
    rng = random.Random(seed)
    count = 0
    for turn in rounds(times):
        data = bytearray(whole)
        if turn % 3 == 0:
            del data[rng.randrange(len(data)) :]
        for _ in range(rng.choice((1, 3, 40))):
            if data:
                data[rng.randrange(min(len(data), rng.choice((head, len(data)))))] = rng.randrange(256)
        path = folder / f"{turn}{name}"
        path.write_bytes(data)
        count += not opens(form, path)
    return count


def _whole(root: Group) -> None:
    json.dumps(dict(root.attrs), allow_nan=False)
    root.array("0").read_all()


def opens(form: Format, path: Path, look: Callable[[Group], object] = _whole) -> bool:
    """Whether it opened and could be read (``look``); any error but coverslip's own goes on."""
    try:
        source = form.open(path)
        try:
            look(source.root)
        finally:
            source.close()
    except CoverslipError as error:
        if not error.hint:
            raise
        return False
    return True

"""What the query of a request asks for."""

from __future__ import annotations

import math
from collections.abc import Mapping

from coverslip.core.errors import BadRequest
from coverslip.domains.network_columns import WAYS
from coverslip.domains.networks import Network
from coverslip.domains.projection import Projection

MOST_EDGES = 5_000_000
DEFAULT_EDGES = 200_000
MOST_BINS = 1024
MOST_TEXT = 60
SHORTEST_UM, LONGEST_UM = 1e-6, 1e9
"""No cells are nearer than a picometre or farther than a kilometre, and float32 divides no numbers far beyond."""


def count(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    """A whole number from 1 to ``most``."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 12) or not 1 <= int(text) <= most:
        raise BadRequest(f"{name}={text[:MOST_TEXT]} is no number from 1 to {most}", f"Write {name}={default}.")
    return int(text)


def length(query: Mapping[str, str], name: str) -> float | None:
    """A length in µm, above 0; None when it is left out."""
    text = query.get(name)
    if text is None:
        return None
    found = _number(text)
    if found is None or not SHORTEST_UM <= found <= LONGEST_UM:
        raise BadRequest(f"{name}={text[:MOST_TEXT]} is no length", f"Write {name}=500.")
    return found


def corner(query: Mapping[str, str], name: str) -> tuple[float, float, float]:
    """A corner of a box, ``x,y,z`` in µm."""
    numbers = [_number(part) for part in query.get(name, "").split(",")[:4]]
    if len(numbers) != 3 or any(n is None for n in numbers):
        raise BadRequest(f"{name} is not x,y,z", f"Write {name}=0,0,0.")
    x, y, z = (n for n in numbers if n is not None)
    return x, y, z


def _number(text: str) -> float | None:
    try:
        found = float(text[:MOST_TEXT])
    except ValueError:
        return None
    return found if math.isfinite(found) else None


def neuron(text: str) -> int:
    """A gid."""
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise BadRequest(f"{text[:MOST_TEXT]!r} is no gid", "Write a whole number.")
    return int(text)


def way(query: Mapping[str, str]) -> str:
    """What becomes of several values of a cell."""
    found = query.get("how", "first")
    if found not in WAYS:
        raise BadRequest(f"how={found[:MOST_TEXT]} is not known", f"There is {', '.join(WAYS)}.")
    return found


def projections(query: Mapping[str, str], network: Network) -> list[tuple[int, Projection]]:
    """The projections asked for (``projection=PRE>POST``), with their numbers; all when left out."""
    listed = list(enumerate(network.projections.values()))
    name = query.get("projection")
    if name is None:
        return listed
    found = [item for item in listed if item[1].name == name]
    if not found:
        there = ", ".join(p.name for _, p in listed) or "none"
        raise BadRequest(f"There is no projection {name[:MOST_TEXT]}", f"There is {there}.", "projection_not_found")
    return found


def attributes(query: Mapping[str, str], network: Network) -> list[str]:
    """Names of attributes of connections (``attributes=Connections/distance,…``)."""
    names = [name for name in query.get("attributes", "").split(",")[:20] if name]
    there = {name for projection in network.projections.values() for name in projection.attributes}
    for name in names:
        if name not in there:
            known = ", ".join(sorted(there)) or "none"
            raise BadRequest(f"There is no attribute {name[:MOST_TEXT]}", f"There is {known}.", "attribute_not_found")
    return list(dict.fromkeys(names))

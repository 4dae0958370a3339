"""A server over HTTP: `docs/reference/http-images.md`, with the standard library alone."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from coverslip.client.address import Address, Target
from coverslip.client.connections import Connections
from coverslip.client.errors import CannotConnect, understanding
from coverslip.client.model import Description, Entry, Health, Level, Listed, Rows
from coverslip.client.tls import Trust
from coverslip.core.errors import NotFound
from coverslip.core.ngff import Axis, Channel

if TYPE_CHECKING:
    import numpy.typing as npt

    from coverslip.client.transport import Index

PAGE = 1000
AS_IS = "/:@!$&'()*+,;=~"
"""Left alone in an id; what else it holds is percent-encoded once."""


class HttpTransport:
    """A server over HTTP.

    Parameters
    ----------
    target
        The server and its token.
    trust
        Which certificates are taken.
    """

    def __init__(self, target: Target, trust: Trust) -> None:
        self._target = target
        self._connections = Connections(target, trust)

    @property
    def address(self) -> Address:
        """Where the server is."""
        return self._target.address

    def health(self) -> Health:
        """As `Transport.health`."""
        told, _ = self._connections.json("healthz")
        if not isinstance(told, dict) or told.get("service") != "coverslip":
            raise CannotConnect(
                f"What answers at {self.address} is no coverslip",
                "Other tensor servers are read over Arrow Flight, at their grpc:// address.",
                "not_coverslip",
            )
        return Health(bool(told.get("ready")), told.get("source_count"), False, told)

    def check_token(self) -> None:
        """As `Transport.check_token`."""
        self._connections.json("api/catalog")

    def count(self, search: str = "") -> int:
        """As `Transport.count`."""
        if not search:
            told, _ = self._connections.json("api/catalog")
            with understanding():
                return int(told["sources"])
        _, response = self._connections.json(f"api/sources?{urlencode({'search': search, 'limit': 1})}")
        with understanding():
            return int(response.getheader("X-Total-Sources") or 0)

    def page(self, offset: int, limit: int, search: str = "") -> list[Entry]:
        """As `Transport.page`."""
        query: dict[str, Any] = {"limit": limit, "offset": offset}
        if search:
            query["search"] = search
        found, _ = self._connections.json(f"api/sources?{urlencode(query)}")
        return read_entries(found)

    def everything(self) -> list[Entry]:
        """As `Transport.everything`."""
        found: list[Entry] = []
        while len(page := self.page(len(found), PAGE)) == PAGE:
            found += page
        return found + page

    def source(self, id: str) -> Entry | None:
        """As `Transport.source`."""
        try:
            return read_entry(self._connections.json(f"api/sources/{quote(id, safe='')}")[0])
        except NotFound:
            return None

    def metadata(self, id: str) -> Any:
        """As `Transport.metadata`."""
        return self._connections.json(f"api/sources/{quote(id, safe='')}/metadata")[0] or None

    def sql(self, query: str) -> Rows:
        """As `Transport.sql`."""
        found, response = self._connections.json("api/sources/query", {"sql": query})
        with understanding():
            rows = Rows([dict(row) for row in found])
        rows.truncated = (response.getheader("X-Truncated") or "").lower() == "true"
        return rows

    def describe(self, array_id: str) -> Description:
        """As `Transport.describe`."""
        return read_description(self._connections.json(f"api/tile_info/{quote(array_id, safe=AS_IS)}")[0])

    def read(
        self, image: Description, level: int, start: Index, stop: Index, out: npt.NDArray[Any] | None = None
    ) -> npt.NDArray[Any]:
        """As `Transport.read`."""
        import numpy as np

        dtype = image.numpy_dtype
        shape = tuple(b - a for a, b in zip(start, stop, strict=True))
        direct = out is not None and out.flags.c_contiguous and out.dtype == dtype
        whole = out if out is not None and direct else np.empty(shape, dtype)
        if math.prod(shape):
            query = {"level": level, "start": _commas(start), "stop": _commas(stop), "v": image.version}
            path = f"api/block/{quote(image.array_id, safe=AS_IS)}?{urlencode(query, safe=',')}"
            self._connections.into(path, whole.reshape(-1).view(np.uint8).data)
        if out is None or direct:
            return whole
        out[...] = whole
        return out

    def cancel(self) -> None:
        """As `Transport.cancel`."""
        self._connections.close()

    def close(self) -> None:
        """As `Transport.close`."""
        self._connections.close()


def _commas(numbers: Index) -> str:
    return ",".join(map(str, numbers))


def read_entries(told: Any) -> list[Entry]:
    """A page of the list of sources.

    Raises
    ------
    NotUnderstood
        When it is none.
    """
    with understanding():
        return [_entry(one) for one in told]


def read_entry(told: Any) -> Entry:
    """One source of the list.

    Raises
    ------
    NotUnderstood
        When it is none.
    """
    with understanding():
        return _entry(told)


def read_description(told: Any) -> Description:
    """What an image is.

    Raises
    ------
    NotUnderstood
        When it says something else.
    """
    with understanding():
        return _description(told)


def _entry(told: dict[str, Any]) -> Entry:
    images, error = told.get("tensors"), told.get("error") or {}
    return Entry(
        told["source_id"],
        told.get("name") or "",
        told.get("source_type") or "",
        told.get("source_url") or "",
        told.get("kind") or "",
        told.get("status") or "",
        None if images is None else tuple(_listed(one) for one in images),
        error.get("message") or ("pending" if images is None else ""),
    )


def _listed(told: dict[str, Any]) -> Listed:
    return Listed(told["array_id"], tuple(told["dim_labels"]), tuple(told["shape"]), told["dtype"])


def _description(told: dict[str, Any]) -> Description:
    chunks = tuple(told["chunk_shape"])
    axes = tuple(Axis(a["name"], a["scale"], a["unit"], a.get("origin") or 0.0, a["type"]) for a in told["axes"])
    levels = tuple(
        Level(
            tuple(level["shape"]),
            tuple(level["downsample"]),
            tuple(min(c, max(n, 1)) for c, n in zip(chunks, level["shape"], strict=True)),
        )
        for level in told["levels"]
    )
    windows = [c["window"] and (c["window"]["start"], c["window"]["end"]) for c in told["channels"]]
    channels = tuple(
        Channel(c["label"], re.sub("^#", "", c["color"] or ""), window, c["active"])
        for c, window in zip(told["channels"], windows, strict=True)
    )
    return Description(
        told["array_id"], told["name"], told["version"], told["dtype"], axes, levels, channels,
        told["rgb"], told["is_label"], tuple(told["labels"]),
    )  # fmt: skip

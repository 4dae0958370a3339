"""Networks of neurons over HTTP: ``docs/reference/http-networks.md``."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from hashlib import sha256
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import CoverslipError, NotFound
from coverslip.core.node import Source
from coverslip.core.stop import Stop
from coverslip.domains.networks import Network, is_network
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.read import SHORT_S, Reader
from coverslip.engine.sidecar import Shelf
from coverslip.fronts.errors import answering
from coverslip.fronts.http import Body, reply, text_body, to_json
from coverslip.fronts.networks import PREFIX, answers, asked, has
from coverslip.fronts.networks.table import MEDIA_TYPE

LOG = logging.getLogger("coverslip.networks")
OCTETS = "application/octet-stream"
NO_PART = ("v", "token")
MOST_KEY = 2000
Answer = bytes | dict[str, Any]
Query = Mapping[str, str]

TABLES: dict[str, Callable[[Network, Query, Stop], Answer]] = {
    "box": lambda network, query, stop: answers.box(network, query),
    "degrees": answers.degrees,
    "degrees/histogram": answers.histogram,
    "edges": answers.edges,
    "distances": answers.distances,
    "matrix": lambda network, query, stop: answers.matrix(network),
    "matrix/binned": answers.binned,
}


class NetworksFront:
    """Answers ``/api/networks/{source_id}/…``.

    Parameters
    ----------
    catalog
        What is on offer; its sources of the kind ``network`` are the networks.
    reader, cache
        Threads to read in, and where answers are kept.
    version
        Ours, part of every ETag.
    shelf
        Where indexes are kept.
    """

    def __init__(self, catalog: Catalog, reader: Reader, cache: ByteCache[Body], version: str, shelf: Shelf) -> None:
        self._catalog = catalog
        self._reader = reader
        self._cache = cache
        self._version = version
        self._background = Reader(1)  # one index at a time, and never in the way of who waits
        self._indexing: dict[tuple[str, str], asyncio.Task[None]] = {}

        def network_of(source: Source) -> Network:
            if not is_network(source.root):
                raise NotFound("This source holds no network", "Sources of the kind network do.", "no_network")
            return Network(source.root, shelf.sub(f"{source.etag}-{source.generation:x}"))

        self._network_of = network_of

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return has(path)

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        return await answering(request, self._answer(request, path.removeprefix(PREFIX)))

    async def _answer(self, request: Request, path: str) -> Response:
        id, _, what = path.partition("/")
        query = {name: value for name, value in request.query_params.items() if name not in NO_PART}
        key = ("network", id, what, *sorted(query.items()))
        if sum(len(str(part)) for part in key) > MOST_KEY:
            raise NotFound("The address is too long", "docs/reference/http-networks.md lists what there is.")
        body, network, etag = await self._reader.run(
            key, lambda stop: self._made(id, what, query, stop), within_s=SHORT_S
        )
        self._index_soon(id, network, etag)
        return reply(request.method, request.headers, body)

    def _made(self, id: str, what: str, query: Query, stop: Stop) -> tuple[Body, Network, str]:
        entry = self._catalog.open(id)
        network, version = entry.view(self._network_of)
        # An answer tells which projections have an index by now; nothing else of it depends on them.
        state = "".join("1" if p.indexed else "0" for p in network.projections.values()) if not what else ""
        words = f"{self._version} {id} {what} {sorted(query.items())} {state}"
        etag = f"{version}-{sha256(words.encode('utf-8', 'replace')).hexdigest()[:16]}"
        kept = self._cache.get(etag)
        if kept is None:
            answer = answers.about(network, entry.name) if not what else answer_of(network, what, query, stop)
            kept = _body(answer, what, etag)
            self._cache.put(etag, kept)
        return kept, network, version

    # -- indexes -----------------------------------------------------------------------------------------------------

    def _index_soon(self, id: str, network: Network, version: str) -> None:
        """Make the indexes by source of a network that somebody looks at, in the background, once for a version."""
        key = (id, version)
        if key in self._indexing or all(p.indexed for p in network.projections.values()):
            return
        for other in [k for k, task in self._indexing.items() if task.done() or k[0] == id]:
            self._indexing.pop(other)
        self._indexing[key] = asyncio.get_running_loop().create_task(self._index(id, network))

    async def _index(self, id: str, network: Network) -> None:
        def work(stop: Stop) -> None:
            for projection in network.projections.values():
                projection.index(stop)

        try:
            await self._background.run(("index", network), work)
        except CoverslipError as error:  # without an index everything is answered, too
            LOG.info("%s has no index by source: %s", id, error.message)

    def close(self) -> None:
        """End what is done in the background."""
        for task in self._indexing.values():
            task.cancel()
        self._background.close()


def answer_of(network: Network, what: str, query: Query, stop: Stop) -> Answer:
    """The answer to one path below a network's.

    Raises
    ------
    NotFound
        When there is no such path.
    """
    if what in TABLES:
        return TABLES[what](network, query, stop)
    if what == "coordinates":
        return answers.coordinates(network)
    name, _, rest = what.partition("/")
    if name in ("inputs", "outputs") and rest:
        return answers.incidence(network, asked.neuron(rest), name == "inputs", query, stop)
    if name == "columns" and rest:
        number = asked.neuron(rest.removesuffix(".bin"))
        make = answers.column_values if rest.endswith(".bin") else answers.column
        return make(network, number, query, stop)
    raise NotFound(f"Not found: {what[:100]}", "docs/reference/http-networks.md lists what there is.")


def _body(answer: Answer, what: str, etag: str) -> Body:
    if isinstance(answer, dict):
        return text_body(to_json(answer), "application/json", etag)
    plain = what == "coordinates" or what.endswith(".bin")
    return Body(answer, OCTETS if plain else MEDIA_TYPE, etag)

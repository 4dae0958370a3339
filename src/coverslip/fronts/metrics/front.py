"""``/metrics``: what the server has done and holds, as Prometheus reads it.

Source of the format: https://prometheus.io/docs/instrumenting/exposition_formats/, written by its own library.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from starlette.requests import Request
from starlette.responses import Response

from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.measures import BUCKETS_S, Measures
from coverslip.engine.read import Reader
from coverslip.fronts.errors import answering
from coverslip.fronts.tokens import not_done

if TYPE_CHECKING:
    from prometheus_client.core import Metric

PATH = "metrics"


class MetricsFront:
    """Answers ``/metrics``.

    Parameters
    ----------
    measures
        What was counted.
    catalog, reader
        What is on offer, and who reads it.
    caches
        Of answers, by name.
    memory
        Bytes that this process holds, or None.
    version
        Ours.
    """

    def __init__(
        self,
        measures: Measures,
        catalog: Catalog,
        reader: Reader,
        caches: Mapping[str, ByteCache[Any]],
        memory: Callable[[], int | None],
        version: str,
    ) -> None:
        self._measures = measures
        self._catalog = catalog
        self._reader = reader
        self._caches = caches
        self._memory = memory
        self._version = version

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is ours."""
        return path == PATH

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        if request.method not in ("GET", "HEAD"):
            return not_done("GET, HEAD")
        return await answering(request, self._answer(request))

    async def _answer(self, request: Request) -> Response:
        counts = await self._reader.run("metrics", lambda stop: self._catalog.counts(), "quick")
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Collected(list(self._families(counts))))
        body = b"" if request.method == "HEAD" else generate_latest(registry)
        return Response(body, headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4, "Cache-Control": "no-store"})

    def _families(self, counts: Mapping[str, Any]) -> Iterator[Metric]:
        from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("coverslip", "The server", {"version": self._version})
        yield from self._answered()
        yield from self._spent()
        yield GaugeMetricFamily("coverslip_answers_running", "Answers being made or sent", self._measures.running)
        reads = GaugeMetricFamily("coverslip_reads", "Reads begun, and those that wait for a thread", labels=["state"])
        for state, number in self._reader.load().items():
            reads.add_metric([state], number)
        yield reads
        yield from self._kept()
        sources = GaugeMetricFamily("coverslip_sources", "Sources on offer, by status", labels=["status"])
        for status, number in counts.get("by_status", {}).items():
            sources.add_metric([status], number)
        yield sources
        opened = sum(entry.is_open for entry in list(self._catalog.library))
        yield GaugeMetricFamily("coverslip_sources_open", "Sources whose files are open", opened)
        if (memory := self._memory()) is not None:
            yield GaugeMetricFamily("coverslip_memory_bytes", "Memory of the server's process", memory)

    def _answered(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

        answers = CounterMetricFamily("coverslip_answers", "Answers, by who gave them", labels=["front", "status"])
        sent = CounterMetricFamily("coverslip_sent_bytes", "Bytes of bodies sent", labels=["front"])
        seconds = HistogramMetricFamily(
            "coverslip_answer_seconds", "From the request until the answer began", labels=["front"]
        )
        for front, told in self._measures.fronts.items():
            for status, number in told.statuses.items():
                answers.add_metric([front, str(status)], number)
            sent.add_metric([front], told.sent_bytes)
            ends = [*map(str, BUCKETS_S), "+Inf"]
            seconds.add_metric([front], list(zip(ends, accumulate(told.slots), strict=True)), told.seconds)
        return iter((answers, sent, seconds))

    def _spent(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily

        made = {
            name: CounterMetricFamily(f"coverslip_source_{name}", words, labels=["source"])
            for name, words in (
                ("answers", "Answers about a source"),
                ("sent_bytes", "Bytes sent of a source"),
                ("seconds", "Seconds spent on answers about a source, until the last byte"),
            )
        }
        for source, cost in self._measures.sources.items():
            for name, value in (("answers", cost.answers), ("sent_bytes", cost.sent_bytes), ("seconds", cost.seconds)):
                made[name].add_metric([source], value)
        return iter(made.values())

    def _kept(self) -> Iterator[Metric]:
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        held = GaugeMetricFamily("coverslip_cache_bytes", "Bytes of answers kept ready", labels=["cache"])
        hits = CounterMetricFamily("coverslip_cache_hits", "Answers found there", labels=["cache"])
        misses = CounterMetricFamily("coverslip_cache_misses", "Answers not found there", labels=["cache"])
        for name, cache in self._caches.items():
            for family, value in ((held, cache.nbytes), (hits, cache.hits), (misses, cache.misses)):
                family.add_metric([name], value)
        return iter((held, hits, misses))


class _Collected:
    """What a registry asks."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families

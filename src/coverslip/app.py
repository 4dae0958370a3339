"""The composition root: settings and sources in, one ASGI application out."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from coverslip import __version__
from coverslip.config import SourceTable, marked
from coverslip.config_file import ConfigFile, effective, schema
from coverslip.core.errors import BadUsage
from coverslip.core.idle import ASKED
from coverslip.core.node import Group, Source
from coverslip.domains.analyses import Analyses
from coverslip.domains.cells import Cells, Options
from coverslip.domains.gene_indexes import GeneIndexes
from coverslip.domains.images import Images, ome_of
from coverslip.domains.modalities import data_sets
from coverslip.ending import ended
from coverslip.engine.access import Access, choose_tokens
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.description import Description
from coverslip.engine.diagnostics import Diagnostics
from coverslip.engine.failures import Failures
from coverslip.engine.keys import Keys, kept_keys
from coverslip.engine.measures import Measures
from coverslip.engine.options import CatalogOptions
from coverslip.engine.places import Root
from coverslip.engine.read import CLIENT, Reader
from coverslip.engine.rest import Rest
from coverslip.engine.sidecar import Shelf, Sidecar, cache_folder
from coverslip.engine.systems import Systems
from coverslip.flight import flight_of
from coverslip.formats import open_source, recognise
from coverslip.fronts import h5grove, hsds, networks
from coverslip.fronts.access.front import AccessFront
from coverslip.fronts.analysis.front import AnalysisFront, Askers
from coverslip.fronts.cellucid.front import CellsFront
from coverslip.fronts.forwarded import Forwarded
from coverslip.fronts.forwarded import networks as proxies
from coverslip.fronts.guard import Guard
from coverslip.fronts.held import looking
from coverslip.fronts.http import Body
from coverslip.fronts.later import Later, Once
from coverslip.fronts.metrics.front import MetricsFront
from coverslip.fronts.metrics.metered import Metered
from coverslip.fronts.openapi.front import OpenApiFront
from coverslip.fronts.prefixed import Prefixed, checked
from coverslip.fronts.scopes import right_in
from coverslip.fronts.systems.front import SystemsFront
from coverslip.fronts.tensors.admin import AdminFront, memory_bytes, note
from coverslip.fronts.tensors.answers import Answer
from coverslip.fronts.tensors.front import ImagesFront
from coverslip.fronts.tensors.sockets import sockets
from coverslip.fronts.tokens import path_of
from coverslip.fronts.turns import asker
from coverslip.fronts.viewer.front import ViewerFront
from coverslip.fronts.zarr.front import ZarrFront
from coverslip.hdf5_fronts import Hdf5Fronts
from coverslip.remotes import Remotes, is_remote
from coverslip.roots import Named, root_of
from coverslip.settings import Settings

if TYPE_CHECKING:
    from coverslip.domains.networks import Network
    from coverslip.engine.certificate import Certificate
    from coverslip.engine.dialogue import Dialogue
    from coverslip.engine.uploads import Uploads
    from coverslip.fronts.networks.front import NetworksFront
    from coverslip.shared import Sharing

MOST_DESCRIBED = 2000
"""Images of one source that the catalog lists; a plate has thousands, and its wells are found through it."""
METADATA_BYTES = 16 << 20


class Front(Protocol):
    """What answers some of the paths."""

    def has(self, path: str) -> bool:
        """Whether a path, relative to the root, is its own."""

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""


def catalog_of(data: Any, options: Options | None = None, catalog: CatalogOptions | None = None) -> Catalog:
    """What can be served of ``data``: a path, a configured source, an AnnData object, or several of them.

    Raises
    ------
    CoverslipError
        When a path is missing, or a file of no known format.
    """
    items = [item for item in listed(data) if not is_remote(item)]
    configured = [item for item in items if isinstance(item, SourceTable)]
    roots = [_root(i) for i in items if _on_disk(i)]
    named = [i.edition for i in items if isinstance(i, Named)]
    edition = " ".join([__version__, marked(configured), *named])
    tell = partial(describe, options or Options())
    made = Catalog(roots, recognise, open_source, tell, catalog, edition)
    for item in items:
        if not _on_disk(item):
            from coverslip.formats.trees.anndata_memory import AnnDataSource

            known = item if isinstance(item, Named) else Named(item)
            name, id = known.name or "AnnData", known.id or "anndata"
            made.add(name, "in-memory", "cells", partial(AnnDataSource, known.item), id=id)
    return made


def listed(data: Any) -> list[Any]:
    """What is offered, one by one."""
    return list(data) if isinstance(data, Sequence) and not isinstance(data, str) else [data]


def remotes_of(data: Any, settings: Settings, catalog: Catalog) -> Remotes | None:
    """Who looks at what of ``data`` is on other machines; None when nothing is."""
    items = [item for item in listed(data) if is_remote(item)]
    return Remotes(items, settings, catalog) if items else None


def _on_disk(item: Any) -> bool:
    return isinstance(item, (str, Path, SourceTable)) or (isinstance(item, Named) and item.on_disk)


def _root(item: Any) -> Root:
    if isinstance(item, SourceTable):
        return root_of(item)
    known = item if isinstance(item, Named) else Named(item)
    return Root.at(Path(known.item), name=known.name, id=known.id)


def describe(options: Options, source: Source) -> Description:
    """What the catalog tells of a source: its images, and that its cells or its network can be read."""
    if "H5Types" in source.root:  # as in all of NeuroH5's; most data has none, and needs nothing of networks
        from coverslip.domains.networks import Network, is_network

        if is_network(source.root):
            return network_description(Network(source.root))
    images = Images(source)
    root = data_sets(source.root)[""]()
    # As it turns out: a file of a format for cells may hold a plain array.
    metadata: dict[str, Any] | None = None
    kind = "images" if any("multiscales" in ome_of(images.node(path)) for path in images.paths[:1]) else "arrays"
    if root.attrs.get("encoding-type") == "anndata" or "obsm" in root or "obs" in root:
        cells = Cells(root, options)
        kind = "cells"
        metadata = {**cells_metadata(source.root), "n_cells": cells.n_cells, "n_genes": cells.n_genes}
    tensors: list[dict[str, Any]] = []
    words: list[str] = []
    for path in images.paths[:MOST_DESCRIBED]:
        image = images[path]
        spec = image.array.spec
        words += [channel.label for channel in image.channels]
        tensors.append(
            {
                "path": path,
                "name": image.name,
                "dim_labels": list(image.dims),
                "shape": list(spec.shape),
                "chunk_shape": list(spec.chunks or spec.shape),
                "dtype": spec.dtype.name,
            }
        )
    return Description(tensors, metadata, tuple(dict.fromkeys(words)), kind)


def cells_metadata(root: Group) -> dict[str, Any]:
    """What the list of data sets tells of a source of cells beside their number: its parts, files that are missing."""
    own = root.attrs.get("coverslip")
    own = own if isinstance(own, Mapping) else {}
    told = {"data_sets": [path for path in data_sets(root) if path], "missing": list(own.get("missing", ()))}
    told = {name: value for name, value in told.items() if value}
    raw = own.get("raw") or {key: value for key, value in root.attrs.items() if key != "coverslip"}
    return {**told, **dict(raw)}


def network_description(network: Network) -> Description:
    """What the catalog tells of a network."""
    metadata = {
        "populations": {name: population.count for name, population in network.populations.items()},
        "projections": {projection.name: projection.n_edges for projection in network.projections.values()},
        "left_out": network.left_out,
        **network.documents,
    }
    return Description(metadata=metadata, words=tuple(network.populations), kind="network")


def check(catalog: Catalog, options: Options) -> None:
    """Open every file that was named by itself, so that what cannot be served is said at the start.

    Raises
    ------
    CoverslipError
        With the reason.
    """
    for root in catalog.roots:
        if root.path.is_file():
            source = (root.open_source or open_source)(root.path)
            try:
                describe(options, source)
            finally:
                source.close()


def with_token(settings: Settings) -> Settings:
    """The settings with a token, made up where an address can be reached from elsewhere and none was given.

    Raises
    ------
    BadUsage
        When the token, a proxy or the path prefix cannot be used, or development mode is wanted where others can reach.
    """
    proxied = bool(settings.trusted_proxies)
    proxies(settings.trusted_proxies)
    given = (settings.token, settings.read_token)
    token, read_token = choose_tokens(*given, settings.listeners, settings.dev, proxied)
    return replace(settings, token=token, read_token=read_token, root_path=checked(settings.root_path))


def keys_of(settings: Settings) -> Keys:
    """What opens a server with these settings (`with_token`)."""
    return kept_keys(settings.token, settings.read_token)


def certificate_of(settings: Settings) -> Certificate | None:
    """The certificate to serve with; None when connections are not encrypted.

    Raises
    ------
    CoverslipError
        When there is none that can be used.
    """
    if not settings.encrypted:
        return None
    from coverslip.engine.certificate import load, minted  # nothing of it is needed where nothing is encrypted

    if settings.tls_cert is None and settings.tls_key is None:
        names = (*settings.listeners, *settings.allow_hosts, *settings.tls_names)
        return minted(names)
    if settings.tls_cert is None or settings.tls_key is None:
        raise BadUsage("A certificate and its key belong together", "Give both --tls-cert and --tls-key.")
    return load(settings.tls_cert, settings.tls_key)


def viewer_built() -> bool:
    """Whether this installation has a viewer; a checkout has none before ``make build``."""
    return ViewerFront().built


def _uploads_of(settings: Settings, catalog: Catalog) -> Uploads | None:
    if settings.write_dir is None:
        return None
    from coverslip.writable import uploads_of  # nothing of it is needed where nothing is uploaded

    return uploads_of(settings, catalog)


def create_app(
    catalog: Catalog,
    settings: Settings,
    port: int,
    remotes: Remotes | None = None,
    certificate: Certificate | None = None,
    dialogue: Dialogue | None = None,
    keys: Keys | None = None,
) -> Starlette:
    """The application that serves ``catalog`` on ``port``; with a ``certificate`` Flight is encrypted as HTTP is.

    With a ``dialogue`` a notebook talks with the viewer. The ``keys`` open it, and are those of its settings where none
    are given.

    Raises
    ------
    CoverslipError
        When a file that was named by itself cannot be opened.
    """
    check(catalog, settings.cells)
    keys = keys or keys_of(settings)
    if remotes is not None:
        remotes.check()
    uploads = _uploads_of(settings, catalog)
    reader = Reader(settings.read_threads)
    shelf = Shelf(Sidecar(cache_folder() / "levels", settings.disk_bytes))
    tiles: ByteCache[Answer] = ByteCache(settings.cache_bytes)
    answers: ByteCache[Body] = ByteCache(settings.cache_bytes)
    images = ImagesFront(catalog, reader, tiles, __version__, settings.slice_bytes, shelf, settings.cells, settings.dev)
    zarr = ZarrFront(catalog, reader, ByteCache(METADATA_BYTES), images.images_of, __version__)
    genes = GeneIndexes(cache_folder() / "genes", settings.disk_bytes, settings.gene_index)
    cells = CellsFront(catalog, reader, answers, settings.cells, __version__, (settings.host, port), genes)
    analyses, askers = Analyses(genes), Askers()
    analysis = AnalysisFront(cells, analyses, reader, askers)
    hdf5 = Hdf5Fronts(lambda: catalog.roots, reader, settings.slice_bytes, METADATA_BYTES)

    def network_front() -> NetworksFront:
        from coverslip.fronts.networks.front import NetworksFront

        return NetworksFront(catalog, reader, answers, __version__, shelf.sub("networks"))

    neural = Later(networks.has, network_front, reader)
    systems = SystemsFront(Systems(catalog.roots), reader, taken=catalog.__contains__)
    diagnostics = Diagnostics()
    config = ConfigFile(settings.config_file) if settings.config_file is not None else None
    running = effective(settings, port)
    admin = AdminFront(catalog, reader, diagnostics, (tiles, answers), config, running, schema, __version__)
    viewer = ViewerFront(notebook=dialogue is not None)
    failures = Failures()
    flight = flight_of(catalog, images.images_of, settings, certificate, uploads, failures, keys)
    if flight is not None:
        images.chunk, images.listening = flight.chunk, lambda: flight.listening

    measures = Measures()
    given = AccessFront(keys, catalog, reader)
    caches: dict[str, ByteCache[Any]] = {"tiles": tiles, "cells": answers}
    metrics = MetricsFront(measures, catalog, reader, caches, memory_bytes, __version__)
    named: dict[str, Front] = {
        "metrics": metrics,
        "openapi": OpenApiFront(reader, __version__, dialogue is not None),
        "networks": neural,
        "access": given,
        "admin": admin,
        "images": images,
        "zarr": zarr,
        "hsds": Later(hsds.has, hdf5.hsds, reader),
        "h5grove": Later(h5grove.has, hdf5.grove, reader),
        "systems": systems,
        "viewer": viewer,
        "analysis": analysis,
    }
    if dialogue is not None:
        from coverslip.fronts.dialogue.framing import Framing
        from coverslip.fronts.dialogue.front import DialogueFront

        named = {"dialogue": DialogueFront(dialogue), **named}

    def sharing_of_links() -> Sharing:
        from coverslip.shared import Parts, Sharing

        given = (catalog, keys, reader, settings, __version__, port, shelf)
        return Sharing(Parts(*given, genes, analyses, askers, viewer, images, answers))

    sharing = Once(sharing_of_links, reader)

    async def fronts(scope: Scope, receive: Receive, send: Send) -> None:
        path = path_of(scope)
        ASKED.now()
        CLIENT.set(asker(scope))
        right = right_in(scope)
        shared = (await sharing.get()).of(right) if right.scope == "share" else None
        if scope["type"] == "websocket":
            await sockets(path, scope, receive, send, (shared.images if shared is not None else images).rendered)
            return
        offered, others = (shared.named, shared.cells) if shared is not None else (named, cells)
        name = next((name for name, front in offered.items() if front.has(path)), "cells")
        request, metered = Request(scope, receive, send), Metered(send, measures)
        try:
            response = await (offered[name](request, path) if name in offered else others(request))
            note(diagnostics, path, time.perf_counter() - metered.started, response)
            await response(scope, receive, metered)
        finally:
            about = (part for part in path.split("/", 3)[:3] if part in catalog)
            metered.end(name, next(about, ""))

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await asyncio.to_thread(catalog.start)
        if remotes is not None:
            remotes.start()
        if uploads is not None:
            from coverslip.writable import recall

            recall(catalog, uploads)
        rest = Rest()
        rest.start()
        yield
        rest.close()
        if neural.made is not None:
            neural.made.close()
        if sharing.made is not None:
            sharing.made.close()
        await ended(analyses.close)
        await ended(genes.close)
        reader.close()
        if remotes is not None:
            await ended(remotes.close)
        await ended(hdf5.close)
        await ended(catalog.close)
        if uploads is not None:
            uploads.close()

    proxied = bool(settings.trusted_proxies)
    access = Access.create(settings.host, keys, settings.allow_hosts, settings.allow_origins, proxied)
    spoken = [hsds.has, admin.takes, analysis.has, given.takes, *([DialogueFront.has] if dialogue is not None else [])]
    look = looking(keys.links, reader)
    guard = partial(Guard, failures=failures, speaks=lambda path: any(speaks(path) for speaks in spoken), look=look)
    gate = [Middleware(guard, access=access, port=port, public=viewer.has)]
    if settings.trusted_proxies:
        gate.insert(0, Middleware(Forwarded, trusted=settings.trusted_proxies))
    if dialogue is not None:
        gate.insert(0, Middleware(Framing, dialogue=dialogue))
    if settings.root_path or settings.trusted_proxies:
        gate.insert(0, Middleware(Prefixed, root_path=settings.root_path, trusted=settings.trusted_proxies))
    app = Starlette(middleware=gate, lifespan=lifespan)
    app.router.default = fronts  # no route of Starlette's holds a path with a line feed in it, which names may have
    app.state.genes = genes
    app.state.analyses = analyses
    app.state.flight = flight  # started once HTTP answers, and closed before it
    return app

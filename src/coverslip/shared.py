"""What a link to one source opens: fronts that know of that source alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from coverslip.core.errors import NotFound
from coverslip.engine.cache import ByteCache
from coverslip.engine.catalog import Catalog
from coverslip.engine.keys import Keys
from coverslip.engine.only import Apart, Only, OnlyFiles, path_of
from coverslip.engine.read import Reader
from coverslip.engine.rights import Right
from coverslip.engine.sidecar import Shelf
from coverslip.formats.hdf5_arrays import has_signature, open_typed
from coverslip.fronts.analysis.front import AnalysisFront, Askers
from coverslip.fronts.cellucid.front import CellsFront
from coverslip.fronts.h5grove.front import GroveFront
from coverslip.fronts.hsds.front import HsdsFront
from coverslip.fronts.http import Body
from coverslip.fronts.networks.front import NetworksFront
from coverslip.fronts.tensors.front import ImagesFront
from coverslip.fronts.zarr.front import ZarrFront
from coverslip.per_link import PerLink
from coverslip.settings import Settings

if TYPE_CHECKING:
    from coverslip.domains.analyses import Analyses
    from coverslip.domains.gene_indexes import GeneIndexes
    from coverslip.fronts.viewer.front import ViewerFront

LISTS_BYTES = 4 << 20
METADATA_BYTES = 1 << 20
"""For each link: what depends on the list, or on which files there are, is kept apart from what others are told."""


@dataclass(frozen=True)
class Shared:
    """The fronts of one source.

    Attributes
    ----------
    named
        By what `/metrics` calls them; asked in this order.
    cells
        Answers everything else.
    images
        Of ``named``; draws for WebSockets, too.
    close
        Ends what they do in the background.
    """

    named: dict[str, Any]
    cells: CellsFront
    images: ImagesFront
    close: Callable[[], None]


@dataclass(frozen=True)
class Parts:
    """What the fronts of every link have in common with those of the whole server.

    Of the caches that of cells and networks: what is kept there is told by the source's id and version.
    """

    catalog: Catalog
    keys: Keys
    reader: Reader
    settings: Settings
    version: str
    port: int
    shelf: Shelf
    genes: GeneIndexes
    analyses: Analyses
    askers: Askers
    viewer: ViewerFront
    images: ImagesFront
    answers: ByteCache[Body]


class Sharing(PerLink[Shared]):
    """The fronts of every link that is in use.

    Parameters
    ----------
    parts
        What they are made of.
    """

    def __init__(self, parts: Parts) -> None:
        super().__init__(self._found, self._fronts, lambda shared: shared.close())
        self._parts = parts

    def _found(self, right: Right) -> str | None:
        try:
            where, _ = self._parts.catalog.where(right.source)
        except NotFound:
            return None
        return where if self._parts.keys.meant(right, where) else None

    def _fronts(self, right: Right, where: str) -> Shared:
        parts, settings = self._parts, self._parts.settings
        # It has what these fronts ask for; whatever else a catalog has, they cannot reach.
        catalog = cast(Catalog, Only(parts.catalog, right.source, where))
        reader = Apart(parts.reader, ("share", right.source, where))
        address, version = (settings.host, parts.port), parts.version
        images = ImagesFront(
            catalog, reader, ByteCache(LISTS_BYTES), version, settings.slice_bytes, parts.shelf, settings.cells
        )
        images.images_of = parts.images.images_of  # opened once for everybody
        cells = CellsFront(catalog, reader, parts.answers, settings.cells, version, address, parts.genes)
        neural = NetworksFront(catalog, reader, parts.answers, version, parts.shelf.sub("networks"))
        named: dict[str, Any] = {
            "networks": neural,
            "images": images,
            "zarr": ZarrFront(catalog, reader, ByteCache(METADATA_BYTES), images.images_of, version),
            "viewer": parts.viewer,
            "analysis": AnalysisFront(cells, parts.analyses, reader, parts.askers),
        }
        path = path_of(parts.catalog, right.source) if where else None
        files = None
        if path is not None:
            files = OnlyFiles(parts.catalog.roots, has_signature, open_typed, path)
            named["hsds"] = HsdsFront(files, reader, ByteCache(METADATA_BYTES), settings.slice_bytes)
            named["h5grove"] = GroveFront(files, reader, settings.slice_bytes)

        def close() -> None:
            neural.close()
            if files is not None:
                files.close()

        return Shared(named, cells, images, close)

"""Tensors: the images and arrays of the catalog, by ``array_id``."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from coverslip.core.errors import NotFound
from coverslip.core.node import Array, Source
from coverslip.domains.images import Image, Images
from coverslip.engine.catalog import Catalog
from coverslip.engine.library import Entry
from coverslip.fronts.flight.far import Far
from coverslip.fronts.flight.registry import Find

LABELS = "@labels"
VERSION_BYTES = 8


@dataclass(frozen=True)
class Tensor:
    """One tensor.

    Attributes
    ----------
    array_id
        Its full name: ``source`` or ``source/field``; ``image/@labels/name`` for a label image.
    image
        Axes, levels and the file's metadata.
    version
        Other bytes whenever its elements may have changed.
    kind
        The format's name, where it is in no source of the catalog.
    held
        Keeps the source open as long as the tensor is held.
    grid
        The chunks of every plan, where they cannot be chosen: those of an upload that is being written.
    place
        The storage it lies on, where that may not answer (`coverslip.engine.storage.place_of`).
    """

    array_id: str
    image: Image
    version: bytes
    kind: str = ""
    held: Any = field(default=None, repr=False)
    grid: tuple[int, ...] | None = None
    place: Hashable = None

    @property
    def source_id(self) -> str:
        """The part of `array_id` before the first slash."""
        return self.array_id.partition("/")[0]

    @property
    def array(self) -> Array:
        """Level 0."""
        return self.image.array

    @property
    def shape(self) -> tuple[int, ...]:
        """Elements on each axis."""
        return self.image.array.spec.shape

    @property
    def dtype(self) -> str:
        """As numpy writes it, byte order included: ``<u2``."""
        return self.image.array.spec.dtype.str


class Tensors:
    """Finds tensors.

    Parameters
    ----------
    catalog
        What is on offer.
    images_of
        The images of an opened source; the same that other fronts use, so that sources and made levels are shared.
    finders
        Who else has tensors; asked first.
    edition
        Part of every version: another release may make other pixels of the same file.
    """

    def __init__(
        self, catalog: Catalog, images_of: Callable[[Source], Images], finders: Sequence[Find], edition: str
    ) -> None:
        self._catalog = catalog
        self.images_of = images_of
        self._finders = finders
        self._edition = edition
        self.far = Far()

    def find(self, array_id: str) -> Tensor:
        """The tensor of this name; the first one of a source that is named alone.

        A source that was not opened yet is opened now.

        Raises
        ------
        NotFound
            With the code ``unknown_source`` or ``unknown_tensor``.
        """
        for finder in self._finders:
            found = finder(array_id)
            if found is not None:
                return found
        source, _, inner = array_id.partition("/")
        if source not in self._catalog:
            raise NotFound(f"Source not found: {source[:200]}", "Query the table sources for what there is.", UNKNOWN)
        entry = self._catalog.open(source)
        if entry.place is None:
            return self._opened(entry, source, inner)
        return self.far.do(entry.place, lambda: self._opened(entry, source, inner))

    def _opened(self, entry: Entry, source: str, inner: str) -> Tensor:
        images, etag = entry.view(self.images_of)
        image, canonical = _image(images, source, inner)
        digest = sha256(f"{self._edition} {source} {etag}".encode()).digest()[:VERSION_BYTES]
        return Tensor(canonical, image, digest, "", images, place=entry.place)

    def kind(self, tensor: Tensor) -> str:
        """The name of the format that a tensor is from."""
        source = tensor.source_id
        return tensor.kind or (self._catalog.get(source).format if source in self._catalog else "")

    def is_resident(self, tensor: Tensor) -> bool:
        """Whether its bytes are on this machine."""
        source = tensor.source_id
        return source not in self._catalog or "://" not in self._catalog.get(source).path


UNKNOWN = "unknown_source"


def _image(images: Images, source: str, inner: str) -> tuple[Image, str]:
    """An image, and its full name."""
    path = inner
    if not path:
        if not images.paths:
            raise NotFound(f"Source {source} holds no array", "", "unknown_tensor")
        path = images.paths[0]
    elif f"{LABELS}/" in path:
        path = path.replace(LABELS, "labels", 1)
    try:
        image = images[path]
    except NotFound:
        raise NotFound(
            f"Tensor not found: {source}/{inner[:200]}", f"Query the tensors of {source} for what there is.",
            "unknown_tensor",
        ) from None  # fmt: skip
    return image, f"{source}/{inner or path}" if inner or path else source

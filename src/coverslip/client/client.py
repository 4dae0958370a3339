"""A connection to a server: what it offers, and its images."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any

from coverslip.client.address import Target
from coverslip.client.errors import CannotConnect
from coverslip.client.image import Image, Origin
from coverslip.client.model import Entry, Health, Rows
from coverslip.client.tls import Trust
from coverslip.client.transport import Transport
from coverslip.core.errors import Ambiguous, CoverslipError, NotFound

PAGE = 500
FEW = 8
MOST_NAMES = 5000
"""Ids that are looked through for one that resembles a mistyped one."""


class Source:
    """One source: a file or folder on the server.

    Parameters
    ----------
    client
        The connection.
    entry
        What the list says of it.
    """

    def __init__(self, client: Client, entry: Entry) -> None:
        self._client = client
        self.entry = entry

    @property
    def id(self) -> str:
        """Its unique id."""
        return self.entry.id

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.entry.name

    @property
    def images(self) -> tuple[str, ...]:
        """Ids of its images; empty for a source that has none, or was not opened by the server yet."""
        return tuple(one.array_id for one in self.entry.images or ())

    @property
    def metadata(self) -> Any:
        """The file's own metadata; None when there is none."""
        return self._client.transport.metadata(self.id)

    def __getitem__(self, field: str) -> Image:
        """One of its images, by the part of the id after the source's."""
        return self._client[f"{self.id}/{field}"]

    def image(self) -> Image:
        """Its only image."""
        return self._client[self.id]

    def __repr__(self) -> str:
        one = self.entry
        images = "not opened yet" if one.images is None else f"{len(one.images)} image{'s' * (len(one.images) != 1)}"
        if one.images is None and one.reason and one.reason != "pending":
            images = one.reason
        return f"<Source {one.id!r}: {', '.join(filter(None, (one.name, one.type, images)))}>"


class Sources(Mapping[str, Source]):
    """All sources of a server, or those that a search found; asked for page by page as they are looked at.

    Parameters
    ----------
    client
        The connection.
    search
        Words that all must be found; empty = everything.
    """

    def __init__(self, client: Client, search: str = "") -> None:
        self._client = client
        self._search = search

    def __len__(self) -> int:
        return self._client.transport.count(self._search)

    def __iter__(self) -> Iterator[str]:
        return (entry.id for entry in self._entries())

    def __getitem__(self, id: str) -> Source:
        """One source by its id, or the name of its file; whether the search found it or not."""
        return Source(self._client, self._client.entry(id))

    def __contains__(self, id: object) -> bool:
        return isinstance(id, str) and self._client.transport.source(id) is not None

    def values(self) -> Any:
        """The sources; an iterator, without a question for each."""
        return (Source(self._client, entry) for entry in self._entries())

    def items(self) -> Any:
        """Ids and sources; an iterator, without a question for each."""
        return ((entry.id, Source(self._client, entry)) for entry in self._entries())

    def _entries(self) -> Iterator[Entry]:
        seen = 0
        while page := self._client.transport.page(seen, PAGE, self._search):
            yield from page
            seen += len(page)
            if len(page) < PAGE:
                return

    def __repr__(self) -> str:
        first = self._client.transport.page(0, FEW, self._search)
        n = len(self) if len(first) == FEW else len(first)
        lines = [f"  {Source(self._client, entry)!r}" for entry in first]
        more = [f"  … and {n - len(first):,} more"] if n > len(first) else []
        found = f" found by {self._search!r}" if self._search else ""
        return "\n".join([f"{n:,} source{'s' * (n != 1)}{found}:", *lines, *more]) if n else f"0 sources{found}"


class Client:
    """A connection to a server; made by `coverslip.connect`.

    Parameters
    ----------
    transport
        The protocol that is spoken.
    target, trust
        The server, our token, and which certificates are taken.
    """

    def __init__(self, transport: Transport, target: Target, trust: Trust) -> None:
        self.transport = transport
        self._origin = Origin(transport, target, trust)
        self._closed = False

    @property
    def url(self) -> str:
        """Where the server is, without a token."""
        return str(self.transport.address)

    @property
    def sources(self) -> Sources:
        """All sources by their ids, asked for as they are looked at."""
        return Sources(self)

    def search(self, text: str) -> Sources:
        """The sources in whose name, place, format or metadata all words of ``text`` are found."""
        return Sources(self, text)

    def sql(self, query: str) -> Rows:
        """Rows of the table ``sources``, in DuckDB's dialect.

        Returns
        -------
        Rows
            A list of dictionaries; ``.arrow()`` gives a `pyarrow.Table`, ``.truncated`` tells whether rows are missing.
        """
        return self.transport.sql(query)

    def health(self) -> Health:
        """How the server is."""
        return self.transport.health()

    def __getitem__(self, id: str) -> Image:
        """An image: ``client["source"]`` where a source has one, else ``client["source/field"]``.

        A source may also be called by the name of its file, where only one has this name.

        Raises
        ------
        NotFound
            Naming the nearest id there is.
        Ambiguous
            For a source with several images, and for a name that several sources have.
        """
        try:
            about = self.transport.describe(id)
        except CannotConnect:
            raise
        except CoverslipError as error:
            named = self._named(id)
            if named is None:
                raise (self.unknown(id) if self._is_unknown(id, error) else error) from error
            id = named
            about = self.transport.describe(id)
        if about.array_id != id and "/" not in id:  # servers answer with the first of several
            entry = self.transport.source(id)
            images = [one.array_id for one in (entry.images if entry else None) or ()]
            if len(images) > 1:
                raise several(id, images)
        return Image(self._origin, about)

    def entry(self, id: str) -> Entry:
        """What the list says of a source, called by its id or the name of its file.

        Raises
        ------
        NotFound
            Naming the nearest id there is.
        Ambiguous
            For a name that several sources have.
        """
        found = self.transport.source(id)
        if found is None:
            named = self._named(id) if "/" not in id else None
            found = self.transport.source(named) if named is not None else None
        if found is None:
            raise self.unknown(id)
        return found

    def _is_unknown(self, id: str, error: CoverslipError) -> bool:
        return isinstance(error, NotFound) or self.transport.source(id.partition("/")[0]) is None

    def _named(self, id: str) -> str | None:
        """The id of the only source whose file has this name, and the field after it."""
        name, slash, field = id.partition("/")
        found = [entry.id for entry in self.transport.page(0, PAGE, name) if entry.name == name] if name else []
        if len(found) > 1:
            raise Ambiguous(f"{len(found)} sources are called {name}", f"Name one of them: {', '.join(found[:FEW])}.")
        return f"{found[0]}{slash}{field}" if found and found[0] != name else None

    def unknown(self, id: str) -> CoverslipError:
        """The error for an id there is not, with what is most like it."""
        source, slash, _ = id.partition("/")
        entry = self.transport.source(source) if source else None
        if entry is not None and entry.images is None:
            waiting = entry.reason in ("", "pending", "unresolved")
            hint = "Try again in a moment." if waiting else ""
            why = "was not opened yet" if waiting else f"cannot be read: {entry.reason}"
            return NotFound(f"The source {source} {why}", hint, "not_ready" if waiting else "unreadable_source")
        if entry is not None and not entry.images:
            return NotFound(f"The source {source} has no image", "Open it in the viewer.", "no_image")
        if entry is not None and slash:
            known, message = [one.array_id for one in entry.images or ()], f"{source} has no image {id}"
            near = difflib.get_close_matches(id, known, 1, 0.5)
        else:
            entries = self.transport.page(0, MOST_NAMES)
            known, message = [one.id for one in entries], f"Source not found: {source}"
            ids = {word: one.id for one in entries for word in (one.name, one.id) if word}
            near = [ids[word] for word in difflib.get_close_matches(source, ids, 1, 0.5)]
        listed = ", ".join(known[:FEW]) + (", …" if len(known) > FEW else "")
        hint = f"Did you mean {near[0]}?" if near else f"There is {listed}." if known else "The server has no sources."
        return NotFound(message, hint)

    def close(self) -> None:
        """Let go of all connections; images of this client cannot be read any more."""
        self._closed = True
        self.transport.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        if self._closed:
            return f"<coverslip client of {self.url}, closed>"
        try:
            n = self.transport.count()
            first = ", ".join(entry.id for entry in self.transport.page(0, FEW))
        except CoverslipError as error:
            return f"<coverslip client of {self.url}: {error.message}>"
        names = f": {first}{', …' * (n > FEW)}" if n else ""
        return f"<coverslip client of {self.url}: {n:,} source{'s' * (n != 1)}{names}>"


def several(id: str, images: list[str]) -> Ambiguous:
    """The error for a source with several images that was named by itself."""
    named = ", ".join(images[:FEW]) + (", …" if len(images) > FEW else "")
    return Ambiguous(f"{id} has {len(images)} images", f"Name one of them: {named}.")

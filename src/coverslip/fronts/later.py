"""What few servers are asked for: imported and made for its first request, which keeps a start short."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from starlette.requests import Request
from starlette.responses import Response

from coverslip.core.errors import CoverslipError
from coverslip.engine.read import Reader
from coverslip.fronts.errors import error_response

T = TypeVar("T")


class Answering(Protocol):
    """Answers some of the paths."""

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""


class Once(Generic[T]):
    """Something that is made when it is first asked for.

    Parameters
    ----------
    make
        Imports and makes it.
    reader
        Threads to do that in.

    Attributes
    ----------
    made
        It; None as long as nobody asked.
    """

    def __init__(self, make: Callable[[], T], reader: Reader) -> None:
        self.made: T | None = None
        self._make = make
        self._reader = reader

    async def get(self) -> T:
        """What is made.

        Raises
        ------
        Unreadable
            When there is no thread that could make it.
        """
        if self.made is None:
            made = await self._reader.run(("make", self), lambda stop: self._make(), "quick")
            self.made = self.made or made
        return self.made


F = TypeVar("F", bound=Answering)


class Later(Once[F]):
    """A front that is made when it is first asked.

    Parameters
    ----------
    has
        Whether a path, relative to the root, is its own.
    make, reader
        As above.
    """

    def __init__(self, has: Callable[[str], bool], make: Callable[[], F], reader: Reader) -> None:
        super().__init__(make, reader)
        self.has = has

    async def __call__(self, request: Request, path: str) -> Response:
        """Answer one request."""
        try:
            front = await self.get()
        except (CoverslipError, OSError, ImportError) as error:  # no thread, or no file can be opened any more
            return error_response(error)
        return await front(request, path)

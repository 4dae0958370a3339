"""A file of typed objects: what is at a path, through links that stay in what is offered."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, UnsafeLink, Unsupported
from coverslip.core.node import Source
from coverslip.core.typed import DatasetInfo, Target, TypedFile
from coverslip.engine.files import Files

DEEPEST_LINKS = 64
O = TypeVar("O", bound="Objects")  # noqa: E741  (an Objects)


class Objects:
    """The objects of one version of a file.

    Parameters
    ----------
    file
        The file.
    """

    def __init__(self, file: TypedFile) -> None:
        self.file = file
        self._infos: dict[int, DatasetInfo] = {}

    def info(self, target: Target) -> DatasetInfo:
        """What a data set is."""
        found = self._infos.get(target.address)
        if found is None:
            found = self._infos[target.address] = self.file.info(target.address)
        return found

    def resolve(
        self: O, path: str, start: Target | None = None, soft: bool = False, external: Callable[[str], O] | None = None
    ) -> tuple[O, Target]:
        """The object at a path, and the file it is in.

        Parameters
        ----------
        start
            Where a relative path begins; the root when left out.
        soft
            Whether to follow soft links.
        external
            Opens the file of an external link; None not to follow those.

        Raises
        ------
        NotFound
            When there is nothing.
        BadRequest
            When the path goes through a link that is not followed, or through too many.
        """
        return self._resolve(path, start, soft, external, DEEPEST_LINKS)

    def _resolve(
        self: O, path: str, start: Target | None, soft: bool, external: Callable[[str], O] | None, left: int
    ) -> tuple[O, Target]:
        if left <= 0:
            raise BadRequest("The links of this path lead in a circle")
        here: Target = self.file.top if start is None or path.startswith("/") else start
        parts = [part for part in path.split("/") if part not in ("", ".")]
        for number, part in enumerate(parts):
            link = self.file.link(here.address, part) if here.kind == "group" else None
            if link is None:
                raise NotFound(f"There is no {path[:200]!r}")
            rest = "/".join(parts[number + 1 :])
            if link.target is not None:
                here = link.target
            elif link.kind == "soft" and soft:
                return self._resolve(f"{link.path}/{rest}", here, soft, external, left - 1)
            elif link.kind == "external" and external is not None:
                return external(link.file)._resolve(f"/{link.path}/{rest}", None, soft, external, left - 1)
            elif link.kind == "lost":
                raise Damaged(f"{part[:200]!r} cannot be read", "The file is truncated or damaged; copy it again.")
            else:
                raise BadRequest(f"{part[:200]!r} is a {link.kind} link, and those are not followed here")
        return self, here


def typed_of(source: Source) -> TypedFile:
    """The typed objects of an opened file.

    Raises
    ------
    Unsupported
        When its format knows none.
    """
    typed = getattr(source, "typed", None)
    if not isinstance(typed, TypedFile):
        raise Unsupported("This file holds no typed objects")
    return typed


def outside(files: Files, name: str, view: Callable[[Source], O]) -> Callable[[str], O]:
    """Opens the files that external links of a file lead to: beside it, and only what is offered.

    Parameters
    ----------
    name
        The file that has the links, as `coverslip.engine.files` names it.
    view
        What is seen in a file.
    """
    folder = name.rpartition("/")[0]

    def opened(file: str) -> O:
        path: list[str] = []
        for part in (file if file.startswith("/") else f"{folder}/{file}").split("/"):
            if part == "..":
                if not path:
                    raise UnsafeLink(f"The external link to {file[:200]!r} leads outside the data")
                path.pop()
            elif part not in ("", "."):
                path.append(part)
        try:
            place = files.find("/" + "/".join(path))
        except CoverslipError as error:
            raise UnsafeLink(f"The external link to {file[:200]!r} leads to nothing that is offered") from error
        if place.folder:
            raise UnsafeLink(f"The external link to {file[:200]!r} leads to a folder")
        return files.entry(place).view(view)[0]

    return opened

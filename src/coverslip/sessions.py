"""Session files of the viewer, and their groups as columns of an AnnData; see ``docs/reference/session.md``."""

from __future__ import annotations

import base64
import binascii
import json
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from coverslip.core.digest import NamesDigest
from coverslip.core.errors import BadRequest, BadUsage, Damaged, NotFound, Unsupported

if TYPE_CHECKING:
    from anndata import AnnData
    from numpy.typing import NDArray

FORMAT = "coverslip session"
VERSION = 1
PREFIX = "cellucid_highlight__"
MOST_BYTES = 512 << 20
COLOR = re.compile(r"#[0-9a-fA-F]{6}")
MISMATCH = ("error", "warn_skip", "skip", "ignore")
CONFLICT = ("suffix", "error", "overwrite")


class OtherCells(BadRequest, ValueError):
    """A session of other cells, or of the same ones in another order."""

    code = "other_cells"


@dataclass(frozen=True)
class Group:
    """A named set of cells.

    Attributes
    ----------
    name, color
        As a person gave them; ``#rrggbb``.
    cells
        bool ``(n_cells,)``.
    """

    name: str
    color: str
    cells: NDArray[np.bool_]


@dataclass(frozen=True)
class Session:
    """What a session file holds that Python has a use for.

    Attributes
    ----------
    n_cells
        How many cells the data set had.
    digest
        Of their names in their order, ``sha256:…``; None when the server did not tell.
    dataset
        Its name.
    saved
        When, ISO 8601.
    groups
        In the order of the list.
    selection
        bool ``(n_cells,)``; None when nothing was selected.
    document
        All of it, as stored.
    """

    n_cells: int
    digest: str | None
    dataset: str
    saved: str
    groups: tuple[Group, ...]
    selection: NDArray[np.bool_] | None
    document: dict[str, Any]


def read_session(file: str | Path | Mapping[str, Any]) -> Session:
    """Read a session file (``NAME.coverslip.json``), or the document of one.

    Raises
    ------
    NotFound
        When there is no file.
    Damaged
        When it is no session, or part of one.
    Unsupported
        When a later version wrote it.
    """
    document = dict(file) if isinstance(file, Mapping) else _document(Path(file).expanduser())
    if document.get("format") != FORMAT:
        raise Damaged("That is no session of coverslip", "The viewer saves one with S: NAME.coverslip.json.")
    version = document.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise Unsupported(f"A later version of coverslip wrote this session ({version})", "Update coverslip.")
    try:
        dataset = document["dataset"]
        n, digest = dataset["cells"]["n"], dataset["cells"].get("digest")
        if isinstance(n, bool) or not isinstance(n, int) or n < 0 or not isinstance(digest, str | None):
            raise TypeError
        groups = tuple(
            Group(str(g["name"]), _color(g.get("color")), _cells(g, n, f"the group {g['name']!r}"))
            for g in document.get("groups") or []
        )
        selection = document.get("selection")
        chosen = None if selection is None else _cells(selection, n, "the selection")
        name, saved = str(dataset.get("name", "")), str(document.get("saved", ""))
    except (KeyError, TypeError, AttributeError) as error:
        raise Damaged("The session is incomplete", "Save it again in the viewer.") from error
    return Session(n, digest, name, saved, groups, chosen, document)


def apply_session(
    adata: AnnData,
    session: str | Path | Mapping[str, Any] | Session,
    *,
    prefix: str = PREFIX,
    selection: str | None = None,
    column_conflict: Literal["suffix", "error", "overwrite"] = "error",
    mismatch: Literal["error", "warn_skip", "skip", "ignore"] = "error",
    inplace: bool = True,
    store_uns: bool = True,
) -> AnnData:
    """Write the groups of a session into an AnnData: a boolean column of ``obs`` for each.

    All or nothing: everything is looked at before anything is written.

    Parameters
    ----------
    adata
        The cells that were shown, in the same order.
    session
        A session file, its document, or what `read_session` made of one.
    prefix
        What the columns' names begin with; the group's name follows, with ``_`` for ``/``, which files cannot hold.
    selection
        Name of a column for what was selected; None leaves it out.
    column_conflict
        When there is a column of that name: ``error``, ``overwrite`` it, or add ``_2`` and so on to the new name
        (``suffix``).
    mismatch
        When these are other cells, or the same in another order (told by how many there are and the digest of their
        names): ``error``; write nothing and ``warn_skip`` or ``skip``; ``ignore`` writes all the same if there are as
        many.
    inplace
        False leaves ``adata`` alone and returns a copy.
    store_uns
        Whether ``uns["coverslip"]["session"]`` tells where the columns are from.

    Returns
    -------
    AnnData
        ``adata``, or the copy.

    Raises
    ------
    OtherCells
        See ``mismatch`` (a `ValueError` too).
    BadUsage
        When there is a column of that name, or an option cannot be.
    CoverslipError
        As `read_session` does.
    """
    for value, known, name in ((mismatch, MISMATCH, "mismatch"), (column_conflict, CONFLICT, "column_conflict")):
        if value not in known:
            raise BadUsage(f"{name}={value!r} cannot be", f"There is {', '.join(known)}.")
    read = session if isinstance(session, Session) else read_session(session)
    target = adata if inplace else adata.copy()
    different = _difference(target, read)
    if different is not None and not (mismatch == "ignore" and read.n_cells == target.n_obs):
        if mismatch in ("error", "ignore"):
            raise OtherCells(different, "Apply it to the data that was shown; mismatch= says what else to do.")
        if mismatch == "warn_skip":
            warnings.warn(f"{different}; nothing was written", stacklevel=2)
        return target
    columns = [(f"{prefix}{group.name}".replace("/", "_"), group.cells) for group in read.groups]
    if selection is not None and read.selection is not None:
        columns.append((selection, read.selection))
    named = _named([name for name, _ in columns], set(map(str, target.obs.columns)), column_conflict)
    for name, (_, cells) in zip(named, columns, strict=True):
        target.obs[name] = cells
    if store_uns:
        _note(target, read, named)
    return target


def _document(file: Path) -> dict[str, Any]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise Damaged(f"{file.name} is too large for a session", "The viewer saves one with S.")
        document = json.loads(file.read_bytes())
    except FileNotFoundError as error:
        raise NotFound(f"Session file not found: {file}", "Check the spelling.") from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"{file.name} is no session file", "The viewer saves one with S: NAME.coverslip.json.") from error
    if not isinstance(document, dict):
        raise Damaged(f"{file.name} is no session file", "The viewer saves one with S: NAME.coverslip.json.")
    return document


def _cells(packed: Mapping[str, Any], n: int, what: str) -> NDArray[np.bool_]:
    size = (n + 7) // 8
    try:
        raw = base64.b64decode(packed["bits"], validate=True)
        if packed["encoding"] == "base64+deflate":
            unpacker = zlib.decompressobj()
            raw = unpacker.decompress(raw, size + 1)  # a small file must not fill the memory
            if not unpacker.eof and len(raw) <= size:
                raise ValueError
        elif packed["encoding"] != "base64":
            raise Unsupported(f"{what} is stored in an unknown way", "Update coverslip.")
    except (ValueError, OverflowError, binascii.Error, zlib.error) as error:
        raise Damaged(f"{what} is damaged", "Save the session again in the viewer.") from error
    if len(raw) != size:
        raise Damaged(f"{what} is of another number of cells", "Save the session again in the viewer.")
    cells: NDArray[np.bool_] = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little", count=n).astype(bool)
    if "count" in packed and packed["count"] != int(cells.sum()):
        raise Damaged(f"{what} is damaged", "Save the session again in the viewer.")
    return cells


def _color(given: Any) -> str:
    return given if isinstance(given, str) and COLOR.fullmatch(given) else ""


def _difference(adata: AnnData, session: Session) -> str | None:
    """Why these are other cells, in words; None when they are not."""
    if session.n_cells != adata.n_obs:
        return f"The session is of {session.n_cells:,} cells, here are {adata.n_obs:,}"
    if session.digest is None:
        return None
    own = NamesDigest()
    own.add(map(str, adata.obs_names))
    return None if str(own) == session.digest else "The session is of other cells, or of these in another order"


def _named(wanted: list[str], taken: set[str], conflict: str) -> list[str]:
    """A name for each column; two groups of one name are told apart."""
    named: list[str] = []
    for name in wanted:
        there = taken if conflict != "overwrite" else set()
        if name in there and conflict == "error":
            raise BadUsage(f"obs has a column {name!r} already", "column_conflict='suffix' or 'overwrite' goes on.")
        fresh, number = name, 2
        while fresh in there or fresh in named:
            fresh, number = f"{name}_{number}", number + 1
        named.append(fresh)
    return named


def _note(adata: AnnData, session: Session, columns: list[str]) -> None:
    own = dict(adata.uns.get("coverslip") or {})
    own["session"] = {
        "dataset": session.dataset,
        "saved": session.saved,
        "columns": np.array(columns, dtype=str),
        "names": np.array([group.name for group in session.groups], dtype=str),
        "colors": np.array([group.color for group in session.groups], dtype=str),
    }
    adata.uns["coverslip"] = own

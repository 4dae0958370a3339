"""Systems by their names: in folders on this machine, among the samples that come with coverslip, or on the hub.

Source: Hugging Face Hub's HTTP API (``/api/datasets/…/tree``, ``/datasets/…/resolve``).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, NotFound, Unreadable
from coverslip.systems.connection import configured

CULTURES = ("E", "E_b", "E5I", "E5I_b", "E3I", "E3I_b", "EI", "EI_b")
PREDEFINED = (*CULTURES, "S1", "S2", "S3", "S4", "CA1", "CA1d", "EI1", "EI2", "EI3", "EI4")
"""Names under which systems are published."""
PUBLISHED = "hf://datasets/livn-org/livn/systems/graphs"
SAMPLES = Path(__file__).parent / "samples"
ENDPOINT = "HF_ENDPOINT"
HUB = "https://huggingface.co"
PIECE = 1 << 20
TIMEOUT_S = 30
MOST_PAGES = 100


def predefined(
    name: str = "EI",
    download_directory: str | os.PathLike[str] = ".",
    force: bool = False,
    directories: Sequence[str | os.PathLike[str]] = (),
) -> str:
    """Where a system is that is known by its name.

    Looked for in ``directories``, then where it would be downloaded to, then among the samples of this package; then it
    is downloaded. Where ``LIVN_HSDS`` names a server nothing is downloaded: the path only says which system is meant.

    Parameters
    ----------
    name
        ``EI1``, say; see `PREDEFINED`.
    download_directory
        Downloads go to ``systems/graphs/NAME`` below it.
    force
        Download it anew.
    directories
        Folders that hold systems, each in a folder of its name.

    Returns
    -------
    str
        The system's folder.

    Raises
    ------
    NotFound
        When nobody knows it.
    Unreadable
        When the hub cannot be reached.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise BadRequest(f"{name[:100]!r} is no name of a system", f"There is {', '.join(PREDEFINED)}.")
    places = [Path(folder) / name for folder in directories]
    target = Path(download_directory) / "systems" / "graphs" / name
    if not force:
        for place in (*places, target, SAMPLES / name):
            if is_system(place):
                return str(place)
    if configured() is not None:
        return str(target)
    if name not in PREDEFINED:
        raise NotFound(f"There is no system {name!r}", f"Published are {', '.join(PREDEFINED)}.", "system_not_found")
    return fetch(f"{PUBLISHED}/{name}", download_directory, name, force)


def is_system(folder: Path) -> bool:
    """Whether a folder holds a system."""
    files = {"graph.h5"}, {"cells.h5", "connections.h5"}
    return any(all((folder / name).is_file() for name in names) for names in files)


def fetch(source: str, directory: str | os.PathLike[str] = ".", name: str | None = None, force: bool = False) -> str:
    """Copy a system to this machine, whole or not at all.

    Parameters
    ----------
    source
        ``hf://datasets/OWNER/NAME/PATH``, or a folder.
    directory
        It goes to ``systems/graphs/NAME`` below this one.
    name
        What it is to be called; the last part of ``source`` when left out.
    force
        Copy it even if it is there.

    Returns
    -------
    str
        The system's folder.

    Raises
    ------
    CoverslipError
        When it is not there or cannot be reached.
    """
    called = name or source.rstrip("/").rpartition("/")[2]
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", called):
        raise BadRequest(f"{source[:200]} names no system", "Write hf://datasets/OWNER/NAME/PATH, or a folder.")
    target = Path(directory) / "systems" / "graphs" / called
    if target.is_dir() and not force:
        return str(target)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{called}-", dir=target.parent))
    except OSError as error:
        raise Unreadable(f"{target.parent} cannot be written: {error.strerror}", "Choose another directory.") from error
    try:
        if source.startswith("hf://"):
            _download(source, part)
        else:
            _copy(Path(source), part)
        if target.is_dir():
            shutil.rmtree(target)
        part.chmod(0o755)
        part.replace(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return str(target)


def _copy(source: Path, part: Path) -> None:
    if not is_system(source):
        raise NotFound(f"{source} holds no neural system", "It needs graph.h5, or cells.h5 and connections.h5.")
    shutil.copytree(source, part, dirs_exist_ok=True)


def _download(source: str, part: Path) -> None:
    found = re.fullmatch(r"hf://datasets/([\w.-]+/[\w.-]+?)(?:@([\w.-]+))?/(.+)", source.rstrip("/"))
    if found is None:
        raise BadRequest(f"{source[:200]} is no address of the hub", "Write hf://datasets/OWNER/NAME/PATH.")
    repository, revision, path = found[1], found[2] or "main", found[3]
    base = (os.environ.get(ENDPOINT) or HUB).rstrip("/")
    files = list(_listed(f"{base}/api/datasets/{repository}/tree/{revision}/{quote(path)}?recursive=true"))
    if not files:
        raise NotFound(f"{source} holds no files", "Check the name.", "system_not_found")
    for file in files:
        inner = str(file["path"]).removeprefix(f"{path}/")
        if any(piece in ("", ".", "..") for piece in inner.split("/")) or "\\" in inner or "\0" in inner:
            raise Damaged(f"{source} names a file outside of it", "Do not use it.")
        (part / inner).parent.mkdir(parents=True, exist_ok=True)
        _save(f"{base}/datasets/{repository}/resolve/{revision}/{quote(str(file['path']))}", part / inner, file)


def _listed(url: str) -> Iterator[dict[str, Any]]:
    for _ in range(MOST_PAGES):
        with _open(url) as response:
            try:
                page = json.loads(response.read())
                files = [entry for entry in page if entry["type"] == "file" and entry["path"]]
            except (ValueError, TypeError, KeyError, RecursionError) as error:
                raise Damaged(f"{_host(url)} sent no list of files", f"Is {ENDPOINT} right?") from error
            following = re.search(r'<([^>]+)>;\s*rel="next"', response.headers.get("Link") or "")
        yield from files
        if following is None:
            return
        url = following[1]


def _save(url: str, path: Path, told: dict[str, Any]) -> None:
    digest, size = hashlib.sha256(), 0
    with _open(url) as response, path.open("wb") as file:
        while piece := response.read(PIECE):
            file.write(piece)
            digest.update(piece)
            size += len(piece)
    wanted = (told.get("lfs") or {}).get("oid")
    if size != told.get("size", size) or (wanted and wanted != digest.hexdigest()):
        raise Damaged(f"{path.name} did not arrive whole", "Try again.")


def _open(url: str) -> Any:
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadRequest(f"{url[:200]} is no http address", f"See {ENDPOINT}.")
    try:
        return urllib.request.urlopen(url, timeout=TIMEOUT_S)  # noqa: S310  (http and https only)
    except urllib.error.HTTPError as error:
        error.close()
        kind: type[CoverslipError] = NotFound if error.code in (401, 404) else Unreadable
        raise kind(f"{_host(url)} answered {error.code}", "Is the system published there?") from error
    except OSError as error:
        raise Unreadable(
            f"{_host(url)} cannot be reached: {getattr(error, 'reason', error)}",
            "Name a folder that holds the system: predefined(name, directories=[…]).",
        ) from error


def _host(url: str) -> str:
    return urlsplit(url).hostname or url[:100]

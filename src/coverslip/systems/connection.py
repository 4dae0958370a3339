"""Which HDF5 server systems are read from: ``LIVN_HSDS``, looked at whenever a system is opened."""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.request
from dataclasses import dataclass, fields
from pathlib import PurePath
from typing import Any
from urllib.parse import quote, urlsplit

from coverslip.core.errors import BadRequest, CoverslipError, Damaged, Forbidden, NotFound, Unreadable

VARIABLE = "LIVN_HSDS"
EXAMPLE = f"""{VARIABLE}='{{"endpoint": "http://localhost:5101"}}'"""
GRAPHS = "graphs"
TIMEOUT_S = 30
MOST_BYTES = 64 << 20


@dataclass(frozen=True)
class Connection:
    """An HDF5 server.

    Attributes
    ----------
    endpoint
        Its address.
    bucket
        Where it keeps its data, for servers with several places.
    username, password
        Who asks.
    files_endpoint
        Where the JSON files of systems are; ``/files`` on the port after the endpoint's when left out.
    """

    endpoint: str
    bucket: str = ""
    username: str = ""
    password: str = ""
    files_endpoint: str = ""

    def file_url(self, system: str, name: str) -> str:
        """Where a JSON file of a system is.

        Raises
        ------
        BadRequest
            When the endpoint names no port to count from.
        """
        if self.files_endpoint:
            base = self.files_endpoint.rstrip("/")
        else:
            address = _split(self.endpoint)
            if address.port is None:
                raise BadRequest(
                    f"The endpoint of {VARIABLE} names no port", "Give it one, or set files_endpoint as well."
                )
            host = address.hostname or ""
            base = f"{address.scheme}://{f'[{host}]' if ':' in host else host}:{address.port + 1}/files"
        return f"{base}/{quote(system, safe='')}/{quote(name)}"

    def json(self, system: str, name: str) -> Any:
        """A JSON file of a system.

        Raises
        ------
        NotFound
            When the server has none of this name.
        CoverslipError
            When it cannot be reached, refuses, or sends something else.
        """
        url = self.file_url(system, name)
        data = _get(url, self.username, self.password)
        try:
            return json.loads(data)
        except (ValueError, RecursionError) as error:
            raise Damaged(f"{_shown(url)} is not JSON: {error}", "Is that the file server of systems?") from error


def configured() -> Connection | None:
    """The server of ``LIVN_HSDS``, or None when it is not set.

    Raises
    ------
    BadRequest
        When it is set to something else than a JSON object with an ``endpoint``.
    """
    text = os.environ.get(VARIABLE, "").strip()
    if not text:
        return None
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise BadRequest(f"{VARIABLE} is not JSON: {error}", f"Write {EXAMPLE}.", "bad_configuration") from error
    if not isinstance(given, dict) or not isinstance(given.get("endpoint"), str) or not given["endpoint"]:
        raise BadRequest(f"{VARIABLE} names no endpoint", f"Write {EXAMPLE}.", "bad_configuration")
    known = {field.name for field in fields(Connection)}
    wrong = [name for name, value in given.items() if name in known and not isinstance(value, (str, type(None)))]
    if wrong:
        raise BadRequest(f"{wrong[0]} of {VARIABLE} is not text", f"Write {EXAMPLE}.", "bad_configuration")
    if _split(given["endpoint"]).scheme not in ("http", "https", "http+unix"):
        raise BadRequest(f"The endpoint of {VARIABLE} is no http address", f"Write {EXAMPLE}.", "bad_configuration")
    return Connection(**{name: value for name, value in given.items() if name in known and value})


def domain(path: PurePath) -> str:
    """A file's name on the server: what follows a folder ``graphs``, else the last two parts of its path."""
    parts = path.parts
    held = parts[parts.index(GRAPHS) + 1 :] if GRAPHS in parts else parts[-2:]
    return "/" + "/".join(part for part in held if part not in ("/", "\\"))


def _split(address: str) -> Any:
    try:
        found = urlsplit(address)
        _ = found.port
    except ValueError as error:
        raise BadRequest(f"An address of {VARIABLE} cannot be read: {error}", f"Write {EXAMPLE}.") from error
    return found


def _shown(url: str) -> str:
    """An address without who asks."""
    found = urlsplit(url)
    return f"{found.scheme}://{found.netloc.rpartition('@')[2]}{found.path}"


def _get(url: str, username: str, password: str) -> bytes:
    if urlsplit(url).scheme not in ("http", "https"):
        raise BadRequest(f"{_shown(url)} is no http address", "Set files_endpoint.", "bad_configuration")
    try:
        from pyodide.http import open_url  # type: ignore[import-not-found,unused-ignore]  # a browser has no sockets
    except ImportError:
        pass
    else:
        text: str = open_url(url).read()
        return text.encode()
    request = urllib.request.Request(url)  # noqa: S310  (http and https only, see above)
    if username:
        word = base64.b64encode(f"{username}:{password}".encode()).decode()
        request.add_unredirected_header("Authorization", f"Basic {word}")  # meant for this server and no other
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:  # noqa: S310
            data: bytes = response.read(MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise _refused(url, error.code) from error
    except OSError as error:
        why = getattr(error, "reason", error)
        raise Unreadable(
            f"{_shown(url)} cannot be reached: {why}", f"Is the server running? See {VARIABLE}."
        ) from error
    if len(data) > MOST_BYTES:
        raise Damaged(f"{_shown(url)} is too large", f"At most {MOST_BYTES >> 20} MB are read.")
    return data


def _refused(url: str, status: int) -> CoverslipError:
    if status == 404:
        return NotFound(f"{_shown(url)} is not there", "Does the server offer this system?")
    if status in (401, 403):
        return Forbidden(f"{_shown(url)} is not for us ({status})", f"Set username and password in {VARIABLE}.")
    return Unreadable(f"{_shown(url)} answered {status}", f"Is that the server meant? See {VARIABLE}.")

"""What may be asked with a token for reading, or with a link to one source: one table for every front.

Whatever is not `GET` or `HEAD` and stands in no row is refused, so that what is new is refused until somebody decides.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from starlette.responses import Response
from starlette.types import Scope as AsgiScope

from coverslip.core.errors import Forbidden
from coverslip.engine.rights import FULL, Right
from coverslip.fronts.tokens import problem

RIGHT = "coverslip.right"
"""In a request's scope: the `Right` of who asks."""
SOCKET = "WEBSOCKET"
CODE = "read_only_token"
HINT = "Show the token that opens everything: coverslip server token prints it where the server runs."
READING = ("GET", "HEAD")


@dataclass(frozen=True)
class Row:
    """Some requests.

    Attributes
    ----------
    front
        Whose: its file in ``fronts``.
    method
        The method, or ``WEBSOCKET``.
    path
        Of the whole path, relative to the root.
    changes
        What is done there, in the words of a refusal; empty where it is only read, however it is asked.
    """

    front: str
    method: str
    path: re.Pattern[str]
    changes: str = ""

    def has(self, method: str, path: str) -> bool:
        """Whether it holds a request."""
        return method == self.method and self.path.fullmatch(path) is not None


def _row(front: str, method: str, path: str, changes: str = "") -> Row:
    return Row(front, method, re.compile(path, re.DOTALL), changes)


CONFIGURE = "The configuration is read and written"
ROWS = (
    _row("tensors/front.py", "POST", r"api/(slice|render|sources/query)"),
    _row("tensors/sockets.py", SOCKET, r"ws/render"),
    _row("analysis/front.py", "POST", r"(.+/)?analysis/[a-z_]+"),
    _row("analysis/front.py", "DELETE", r"(.+/)?analysis/jobs/[0-9a-f]+"),  # the front looks whose job it is
    _row("hsds/requests.py", "POST", r"hsds(/.*)?"),  # a selection is posted; whatever else is refused there
    *(_row("hsds/front.py", method, r"hsds(/.*)?", "An HDF5 file is changed") for method in ("PUT", "DELETE", "PATCH")),
    _row("tensors/admin.py", "PUT", r"api/config", CONFIGURE),
    *(_row("tensors/admin.py", method, r"api/config", CONFIGURE) for method in READING),
    *(_row("tensors/admin.py", method, r"api/diagnostics", "The server is watched over") for method in READING),
    *(_row("tensors/admin.py", method, r"api/admin(/.*)?", "The server is watched over") for method in READING),
    _row("dialogue/front.py", "PUT", r"api/dialogue/.*", "A notebook is told something"),
    _row("access/front.py", "POST", r"api/shares", "A link is made"),
    *(_row("access/front.py", method, r"api/shares(/.*)?", "Links are listed") for method in READING),
    _row("access/front.py", "DELETE", r"api/shares/.*", "A link is taken back"),
    _row("access/front.py", "POST", r"api/admin/token", "The token is changed"),
)

FLIGHT_READS = frozenset(
    {"health", "catalog_children", "cache_stats", "resolve", "catalog_query", "chunk_id", "chunk_ref", "roi_read"}
)
"""What is answered over Arrow Flight to who shows a token for reading; whatever else there is changes something."""
FLIGHT_CHANGES = {
    "add_tensor": "An image is uploaded",
    "set_upload_status": "An upload is ended",
    "chunk_ticket": "An image is uploaded",
    "roi_put": "Annotations are written",
    "roi_delete": "Annotations are removed",
    "roi_prune": "Annotations are removed",
    "add_source": "A source is offered",
    "remove_source": "A source is withdrawn",
}


def right_in(scope: AsgiScope) -> Right:
    """The right of who asks; every right where no guard is."""
    right = scope.get(RIGHT)
    return right if isinstance(right, Right) else FULL


def refused(right: Right, method: str, path: str) -> Response | None:
    """The refusal of a request that a right does not cover."""
    if right.scope == "admin":
        return None
    row = next((row for row in ROWS if row.has(method, path)), None)
    if row is None and method in READING:
        return None
    if row is not None and not row.changes:
        return None
    if right.scope == "share":
        return hidden()
    return problem(403, CODE, f"{row.changes if row else 'Something is changed'} here: this token is for reading", HINT)


def hidden() -> Response:
    """What somebody is told who may not know whether something is there."""
    return problem(404, "not_found", "Not found", "The link that you have opens one source.")


def check_flight(name: str) -> None:
    """Refuse what changes something, over Arrow Flight, to who showed a token for reading.

    Raises
    ------
    Forbidden
        When it does, or nobody has decided whether it does.
    """
    if name not in FLIGHT_READS:
        what = FLIGHT_CHANGES.get(name, "Something is changed")
        raise Forbidden(f"{what} here: this token is for reading", HINT, CODE)

"""The frame in the notebook's page, made with anywidget."""

from __future__ import annotations

import threading
import time
from functools import cache
from importlib.resources import files
from typing import Any

from coverslip.core.errors import CoverslipError, Unsupported
from coverslip.engine.dialogue import Dialogue
from coverslip.notebook.server import ViewServer

CALL_S = 60.0
EVERY_S = 0.5
WORDS = "A coverslip view lives as long as its kernel: where none is above, run the cell again."


def make(server: ViewServer, dialogue: Dialogue, height: int) -> Any:
    """A widget that finds its way to a server and shows its viewer.

    What it keeps, and a saved notebook with it, is its height. Address and token go to the page when it asks, in a
    message that nothing keeps.

    Raises
    ------
    Unsupported
        When anywidget is not installed.
    """
    return _kind()(server, dialogue, height)


def bundle(widget: Any) -> dict[str, Any]:
    """What the notebook keeps of a widget: which it is, and words for where there is no kernel."""
    made = widget._repr_mimebundle_()
    data: dict[str, Any] = dict(made[0] if isinstance(made, tuple) else made or {})
    return {**data, "text/plain": WORDS}


@cache
def _kind() -> type[Any]:
    try:
        import anywidget
        import traitlets
    except ImportError as error:
        hint = "pip install 'coverslip[notebook]', then restart the kernel."
        raise Unsupported("Views in notebooks need anywidget", hint, "no_anywidget") from error

    class Frame(anywidget.AnyWidget):
        """A frame with the viewer."""

        _esm = (files("coverslip.notebook") / "widget.js").read_text("utf-8")
        height = traitlets.Int().tag(sync=True)

        def __init__(self, server: ViewServer, dialogue: Dialogue, height: int) -> None:
            super().__init__(height=height)
            self._server = server
            self._dialogue = dialogue
            self.on_msg(self._asked)

        def _asked(self, _: Any, content: Any, buffers: Any) -> None:
            """A page asks for the way, because it was loaded again."""
            if isinstance(content, dict) and content.get("kind") == "open":
                self.send(self._way())

        def call(self) -> None:
            """Tell the pages the way until one has come: a kernel that runs cell after cell cannot be asked."""
            self._dialogue.met.clear()
            threading.Thread(target=self._call, name="coverslip-call", daemon=True).start()

        def _call(self) -> None:
            end = time.monotonic() + CALL_S
            while not self._dialogue.met.wait(EVERY_S) and time.monotonic() < end and self._server.is_running():
                self.send(self._way())

        def _way(self) -> dict[str, Any]:
            if not self._server.is_running():
                return {"kind": "closed"}
            try:
                addresses = self._server.addresses()
            except CoverslipError as error:
                return {"kind": "closed", "why": str(error)}
            return {
                "kind": "open",
                "port": self._server.port,
                "addresses": addresses,
                "instance": self._dialogue.instance,
                "knock": self._dialogue.knock,
                "token": self._server.token,
            }

        def ended(self) -> None:
            """Tell the pages that there is nothing to see any more."""
            self.send({"kind": "closed"})

    return Frame

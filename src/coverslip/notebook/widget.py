"""The frame in the notebook's page, made with anywidget."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from coverslip.core.errors import BadRequest, CoverslipError, Unsupported
from coverslip.engine.dialogue import Dialogue
from coverslip.notebook.server import ViewServer

WORDS = "A coverslip view lives as long as its kernel: run the cell again to see it."


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
            """A page opened: it may hold the viewer in a frame from now on."""
            if not isinstance(content, dict) or content.get("kind") != "open":
                return
            answer: dict[str, Any] = {"kind": "closed"}
            if self._server.is_running():
                try:
                    self._dialogue.embed(str(content.get("origin")))
                    answer = self._way()
                except BadRequest:  # a page of a file or an extension: it has no origin
                    answer = {"kind": "closed", "why": "no-origin"}
                except CoverslipError as error:
                    answer = {"kind": "closed", "why": str(error)}
            self.send({**answer, "page": content.get("page")})

        def _way(self) -> dict[str, Any]:
            return {
                "kind": "open",
                "port": self._server.port,
                "addresses": self._server.addresses(),
                "instance": self._dialogue.instance,
                "token": self._server.token,
            }

        def ended(self) -> None:
            """Tell the pages that there is nothing to see any more."""
            self.send({"kind": "closed"})

    return Frame

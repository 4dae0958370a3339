"""One view of cells in a notebook."""

from __future__ import annotations

import atexit
import json
import queue
import sys
import threading
import traceback
import urllib.request
import weakref
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np

from coverslip.core.errors import BadUsage, NotFound, TimedOut, Unsupported
from coverslip.engine.dialogue import Dialogue, Event
from coverslip.notebook.cells import Numbers, from_event, numbers_of, to_bits
from coverslip.notebook.server import ViewServer
from coverslip.notebook.turns import Turns

Hook = Literal["selection", "hover", "click", "ready"]
Callback = Callable[[Any], object]
HOOKS = ("selection", "hover", "click", "ready")
HEIGHT = 600
ANSWER_S = 30.0

_views: weakref.WeakSet[View] = weakref.WeakSet()


def show(data: str | Path | Any, height: int = HEIGHT, **options: Any) -> View:
    """Show cells in a notebook.

    Parameters
    ----------
    data
        A path, or an ``anndata.AnnData``.
    height
        Of the view, in pixels.
    **options
        Of the adapter, as `coverslip.AnnDataServer` takes them (``dataset_name``, ``latent_key`` …).

    Returns
    -------
    View
        What a cell of the notebook ends with is shown; otherwise show it with ``display(view)``.

    Raises
    ------
    CoverslipError
        When the data cannot be served.

    Notes
    -----
    Its server runs in this process on a loopback port, asks for a token, and ends with `View.stop`, when the cell that
    made it is run again, and with the kernel.
    """
    return View(data, height, **options)


def show_anndata(data: str | Path | Any, height: int = HEIGHT, **adapter_kwargs: Any) -> View:
    """As `show`; cellucid's name for it."""
    return View(data, height, **adapter_kwargs)


def stop_all() -> None:
    """Stop every view of this process."""
    for view in tuple(_views):
        view.stop()


class View:
    """Cells in a notebook, and what a person does with them there. See `show`.

    Attributes
    ----------
    height
        In pixels.
    """

    def __init__(self, data: str | Path | Any, height: int = HEIGHT, **options: Any) -> None:
        if isinstance(height, bool) or not isinstance(height, int) or not 100 <= height <= 10_000:
            raise BadUsage(f"The height is {height!r}", "Give a number of pixels, 100 to 10000.")
        self.height = height
        self._dialogue = Dialogue()
        self._dialogue.listen(self._happened)
        self._hooks: dict[str, list[Callback]] = {kind: [] for kind in HOOKS}
        self._selection: Numbers = np.empty(0, np.intp)
        self._ready = threading.Event()
        self._told: dict[str, Any] = {}
        self._sessions: queue.Queue[dict[str, Any]] = queue.Queue()
        self._widget: Any = None
        self._marked = 0
        self._turns = Turns()
        self._server = ViewServer(data, self._dialogue, options)
        self._server.start_background()
        self._n: int | None = None
        _views.add(self)
        replace_views_of_this_cell(self)

    # -- being there ---------------------------------------------------------------------------------------------------

    @property
    def url(self) -> str:
        """Where the data is served on the machine of the kernel; it asks for a token."""
        return self._server.url

    @property
    def viewer_url(self) -> str:
        """The view for a tab of a browser on that machine, with the token: do not leave it in a saved notebook."""
        return self._server.viewer_url

    def is_running(self) -> bool:
        """Whether its server runs."""
        return self._server.is_running()

    def stop(self) -> None:
        """End the server; the frame says so. Nothing more can be asked of the view."""
        self._dialogue.end()
        self._server.stop()
        self._turns.close()
        if self._widget is not None:
            with suppress(RuntimeError, OSError):  # the kernel's connection may be gone already
                self._widget.ended()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def wait_for_ready(self, timeout: float = ANSWER_S) -> Self:
        """Wait until cells are drawn.

        Raises
        ------
        TimedOut
            When that takes longer, in seconds; the view has to be on the screen for it.
        """
        if not self._ready.wait(timeout):
            raise TimedOut(f"The viewer did not open within {timeout:g} s", "Is the view on the screen? display(view).")
        return self

    @property
    def state(self) -> dict[str, Any]:
        """What the viewer told of itself when it opened (``n_cells``, ``dataset``, ``dimensions``); empty before."""
        return dict(self._told)

    # -- what happened -------------------------------------------------------------------------------------------------

    @property
    def selection(self) -> Numbers:
        """Numbers of the selected cells, in order: ``adata[view.selection]``."""
        return self._selection

    def on_selection(self, callback: Callback) -> Callback:
        """Call with the numbers of the selected cells whenever they change; works as a decorator."""
        return self.register_hook("selection", callback)

    def on_hover(self, callback: Callback) -> Callback:
        """Call with ``{"cell": 17}``, or ``{"cell": None}``, as the pointer moves."""
        return self.register_hook("hover", callback)

    def on_click(self, callback: Callback) -> Callback:
        """Call with ``{"cell": 17, "button": 0, "shift": False, "ctrl": False}`` when a cell is clicked."""
        return self.register_hook("click", callback)

    def on_ready(self, callback: Callback) -> Callback:
        """Call with `state` when cells are drawn, at once when they are."""
        self.register_hook("ready", callback)
        if self._ready.is_set():
            self._turns.take(lambda: _call(callback, self.state))
        return callback

    def register_hook(self, event: str, callback: Callback) -> Callback:
        """Call with whatever happens: ``selection``, ``hover``, ``click`` or ``ready``.

        In a notebook callbacks run on the main thread, between cells; else on a thread of their own.

        Raises
        ------
        NotFound
            When nothing of that name happens.
        """
        self._hooks_of(event).append(callback)
        return callback

    def unregister_hook(self, event: str, callback: Callback) -> None:
        """Call no longer."""
        with suppress(ValueError):
            self._hooks_of(event).remove(callback)

    def clear_hooks(self) -> None:
        """Call nothing any more."""
        for callbacks in self._hooks.values():
            callbacks.clear()

    def _hooks_of(self, event: str) -> list[Callback]:
        if event not in self._hooks:
            raise NotFound(f"There is no event {event!r}", f"There is {', '.join(HOOKS)}.")
        return self._hooks[event]

    def _happened(self, event: Event) -> None:
        """In the server's thread: what is known is up to date at once, callbacks follow in their turn."""
        told: Any = event.told
        if event.kind == "selection":
            told = from_event(told["form"], told["n"], event.body)
            told.flags.writeable = False
            before, self._selection = self._selection, told
            if np.array_equal(before, told):
                return
        elif event.kind == "ready":
            self._told = told
            self._ready.set()
        elif event.kind == "session":
            self._sessions.put(told)
            return
        elif event.kind == "problem":
            self._turns.take(lambda: sys.stderr.write(f"coverslip: {told.get('message', 'the viewer failed')}\n"))
            return
        for callback in tuple(self._hooks[event.kind]):
            self._turns.take(lambda callback=callback: _call(callback, told))  # type: ignore[misc]

    # -- what to do ----------------------------------------------------------------------------------------------------

    @property
    def n_cells(self) -> int:
        """How many cells there are."""
        if self._n is None:
            self._running()
            request = urllib.request.Request(f"{self.url}/_cellucid/health")  # noqa: S310  (our own, http)
            request.add_header("Authorization", f"Bearer {self._server.token}")
            with urllib.request.urlopen(request, timeout=ANSWER_S) as answer:  # noqa: S310
                n = json.load(answer).get("n_cells")
            if n is None:
                raise NotFound("There are no cells here that can be read", "coverslip check PATH says why.")
            self._n = int(n)
        return self._n

    def select(self, cells: Any) -> None:
        """Select cells, by numbers or a mask; none for an empty list."""
        self._tell({"do": "select"}, "select", cells)

    def highlight(self, cells: Any, color: str | None = None, name: str | None = None) -> None:
        """Mark cells as a named group in a colour.

        Parameters
        ----------
        cells
            Numbers from 0, or a boolean for each cell.
        color
            ``#rrggbb``; another one than the other groups have when left out.
        name
            Of the group; one of the same name is replaced. ``Highlight 1`` and so on when left out.

        Raises
        ------
        BadCells
            When they are not cells of this data (a `ValueError` too).
        BadUsage
            When the colour cannot be read.
        """
        if color is not None and not _is_color(color):
            raise BadUsage(f"{color!r} is no colour", "Write #d55e00.", "bad_color")
        if name is None:
            self._marked += 1
            name = f"Highlight {self._marked}"
        self._tell({"do": "highlight", "color": color, "name": name}, _about(name), cells)

    def clear_highlights(self, name: str | None = None) -> None:
        """Remove the group of a name, or every group that `highlight` made."""
        what = {"do": "clear", "name": name}
        self._running()
        ends = _about(name)
        self._dialogue.tell(what, f"clear {ends}", lasting=False, ends=ends)

    def color_by(self, key: str | None) -> None:
        """Colour by a column of ``obs`` or a gene (by its name or symbol); by nothing for None. A column comes first.

        What cannot be found is told on stderr.
        """
        self._running()
        self._dialogue.tell({"do": "color", "key": key}, "color")

    def set_camera(self, position: Sequence[float]) -> None:
        """Move the camera.

        Parameters
        ----------
        position
            As in the link of a view (``camera=``): in 2D x and y of the middle and the zoom (each step doubles it), in
            3D x, y, z of the target, zoom, and two angles in degrees.

        Raises
        ------
        BadUsage
            When it is anything else.
        """
        numbers = [float(value) for value in position]
        if len(numbers) not in (3, 6) or not np.isfinite(numbers).all():
            raise BadUsage(f"A camera has 3 or 6 numbers, not {numbers}", "In 2D: x, y, zoom.", "bad_camera")
        self._running()
        self._dialogue.tell({"do": "camera", "camera": numbers}, "camera")

    def reset_camera(self) -> None:
        """Show everything."""
        self._running()
        self._dialogue.tell({"do": "camera", "camera": None}, "camera")

    def session(self, timeout: float = ANSWER_S) -> dict[str, Any]:
        """What a person has made in the viewer (groups, filters, selection, view), as a session file holds it.

        Raises
        ------
        TimedOut
            When the viewer does not answer, in seconds.
        """
        self._running()
        while not self._sessions.empty():
            self._sessions.get_nowait()
        self._dialogue.tell({"do": "session"}, "session", lasting=False)
        try:
            return self._sessions.get(timeout=timeout)
        except queue.Empty:
            hint = "Is the view on the screen? display(view)."
            raise TimedOut(f"The viewer did not answer within {timeout:g} s", hint) from None

    def apply_session(self, adata: Any, **options: Any) -> Any:
        """Write the viewer's groups into ``adata.obs``; see `coverslip.apply_session` for the options."""
        from coverslip.sessions import apply_session

        return apply_session(adata, self.session(), **options)

    def _tell(self, what: dict[str, Any], about: str, cells: Any) -> None:
        numbers = numbers_of(cells, self.n_cells)
        what |= {"n": self.n_cells, "count": len(numbers)}
        self._dialogue.tell(what, about, to_bits(numbers, self.n_cells))

    def _running(self) -> None:
        if not self.is_running():
            raise Unsupported("This view has ended", "Show the data again: coverslip.show(adata).", "view_ended")

    # -- cellucid's names ----------------------------------------------------------------------------------------------

    highlight_cells = highlight
    set_color_by = color_by
    reset_view = reset_camera

    # -- on the screen -------------------------------------------------------------------------------------------------

    def display(self) -> None:
        """Show it where the notebook is now.

        Raises
        ------
        Unsupported
            When there is no notebook.
        """
        try:
            from IPython.display import display
        except ImportError as error:
            hint = "Open view.viewer_url in a browser."
            raise Unsupported("There is no notebook here to show the view in", hint, "no_notebook") from error
        display(self)  # type: ignore[no-untyped-call]

    def _ipython_display_(self) -> None:
        from IPython.display import display

        from coverslip.notebook.widget import WORDS, bundle, make

        if self._widget is None:
            self._widget = make(self._server, self._dialogue, self.height)
        display(bundle(self._widget), raw=True)  # type: ignore[no-untyped-call]
        below = {"text/html": f"<small>{WORDS}</small>", "text/plain": ""}  # what JupyterLab says itself tells nothing
        display(below, raw=True)  # type: ignore[no-untyped-call]
        self._widget.call()

    def __repr__(self) -> str:
        """Without the token: a notebook keeps what it shows."""
        return f"<coverslip view at {self.url}, {'running' if self.is_running() else 'ended'}>"


def replace_views_of_this_cell(view: View) -> None:
    """End the views that the notebook's cell made when it was run before, and with each run to come this one."""
    with suppress(ImportError, AttributeError):
        from coverslip.notebook.runs import follow

        follow(view)


def _call(callback: Callback, told: Any) -> None:
    try:
        callback(told)
    except Exception:  # noqa: BLE001  (a person's own code; the next event comes all the same)
        traceback.print_exc()


def _about(name: str | None) -> str:
    """What a command about a group says something of; of every group for None."""
    return "highlight\n" if name is None else f"highlight\n{name}\n"


def _is_color(text: str) -> bool:
    return len(text) == 7 and text[0] == "#" and all(c in "0123456789abcdefABCDEF" for c in text[1:])


atexit.register(stop_all)

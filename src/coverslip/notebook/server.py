"""The server behind one view: on this machine only, with a token, whoever else is logged in here."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from coverslip.cell_servers import named, reading
from coverslip.core.errors import BadUsage
from coverslip.engine.dialogue import Dialogue
from coverslip.server import Server
from coverslip.settings import Settings

CLIENT_URL = "CELLUCID_CLIENT_SERVER_URL"
LOOPBACK = "127.0.0.1"
PROXIES = (LOOPBACK, "::1")
"""jupyter-server-proxy asks from this machine under the notebook's own host name; with a proxy every request needs the
token, whatever host it names."""


class ViewServer(Server):
    """Serves the data of one view.

    Parameters
    ----------
    data
        A path or an AnnData object.
    dialogue
        With its viewers.
    adapter_kwargs
        As `coverslip.AnnDataServer` takes them.
    """

    def __init__(self, data: Any, dialogue: Dialogue, adapter_kwargs: dict[str, Any]) -> None:
        settings = Settings(host=LOOPBACK, port=0, trusted_proxies=PROXIES, cells=reading(adapter_kwargs))
        offered = named(data, adapter_kwargs.get("dataset_name"), adapter_kwargs.get("dataset_id"))
        super().__init__(offered, settings, dialogue=dialogue)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._port

    @property
    def token(self) -> str:
        """What every request must show."""
        return self._settings.token or ""

    def addresses(self) -> list[str]:
        """Addresses that the notebook's page is to try first: what ``CELLUCID_CLIENT_SERVER_URL`` says, if anything.

        Raises
        ------
        BadUsage
            When it is no address of the web.
        """
        told = os.environ.get(CLIENT_URL, "").strip().replace("{port}", str(self._port))
        if not told:
            return []
        parts = urlsplit(told)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise BadUsage(f"{CLIENT_URL} is no address of the web", "Write https://hub.example.org/proxy/{port}/.")
        return [told.rstrip("/") + "/"]

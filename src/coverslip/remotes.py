"""Sources on other machines: which of what is offered they are, and who looks at them for the catalog."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from coverslip.config import SourceTable
from coverslip.core.node import Source
from coverslip.engine.catalog import Catalog
from coverslip.engine.overrides import Override, overridden
from coverslip.engine.sidecar import cache_folder
from coverslip.formats.remote.address import is_url
from coverslip.settings import Settings

Close = Callable[[], None]


def is_remote(item: Any) -> bool:
    """Whether an item that is offered is on another machine."""
    return item.remote if isinstance(item, SourceTable) else isinstance(item, str) and is_url(item)


class Remotes:
    """The remote places of one server.

    Parameters
    ----------
    items
        Addresses, and configured sources with one. Those come from the command line, a program or the configuration,
        never from a request.
    settings
        With the credentials.
    catalog
        Is told what was found.

    Raises
    ------
    CoverslipError
        When an address or a profile makes no sense.
    """

    def __init__(self, items: Iterable[Any], settings: Settings, catalog: Catalog) -> None:
        from coverslip.engine.remote import RemoteRoot, RemoteSurvey
        from coverslip.formats.remote.place import Places  # loads the object-store library

        self._places = Places(settings.credentials, cache_folder() / "remote", settings.disk_bytes)
        named: list[RemoteRoot] = []
        configured: list[RemoteRoot] = []
        for item in items:
            if isinstance(item, SourceTable):
                place = self._places.at(item.address, item.credentials_profile)
                hidden = item.hidden if isinstance(item.hidden, tuple) else ()
                configured.append(RemoteRoot(place, item.name, hidden, _dressing(item.override)))
            else:
                named.append(RemoteRoot(self._places.at(item)))
        rescan_s = settings.catalog.rescan_s
        self._named = RemoteSurvey(named, catalog, rescan_s)
        self._configured = RemoteSurvey(configured, catalog, rescan_s)

    def check(self) -> None:
        """See that what was named by itself is there; a configured place may come later.

        Raises
        ------
        CoverslipError
            With the reason why one is not.
        """
        self._named.check()

    def start(self) -> None:
        """Begin to look; after the catalog started."""
        self._named.start()
        self._configured.start()

    def close(self) -> None:
        """Look no more; before the catalog is closed."""
        self._places.close()
        self._named.close()
        self._configured.close()


def _dressing(override: Override) -> Callable[[Source], Source] | None:
    return None if override.empty else partial(overridden, override=override)

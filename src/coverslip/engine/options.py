"""How the catalog looks, waits and answers."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CatalogOptions:
    """Numbers of the catalog.

    Attributes
    ----------
    persist
        Whether the list is kept on disk, so that a restart lists at once.
    rescan_s
        How often a network disk is looked at.
    full_rescan_s
        How often a watched disk is looked at nevertheless.
    quiet_s
        How long nothing may have changed before a source counts as written.
    settle_s
        How long after its last change a source that cannot be opened counts as being written.
    query_rows, query_s, query_mib
        Rows, seconds and memory a query may take.
    """

    persist: bool = True
    rescan_s: float = 30.0
    full_rescan_s: float = 600.0
    quiet_s: float = 1.0
    settle_s: float = 5.0
    query_rows: int = 100_000
    query_s: float = 10.0
    query_mib: int = 256

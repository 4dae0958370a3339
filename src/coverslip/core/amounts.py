"""Amounts of bytes as a person reads them."""

from __future__ import annotations

UNITS = ("kB", "MB", "GB", "TB")


def size(n: float) -> str:
    """So many bytes in the largest unit of which there is one: ``11.5 MB``; decimal units, as disks have them."""
    amount, unit = n / 1e3, UNITS[0]
    for larger in UNITS[1:]:
        if amount < 999.95:
            break
        amount, unit = amount / 1e3, larger
    return f"{amount:,.1f} {unit}"

"""Reading a server's images from Python: `coverslip.connect`.

Speaks Arrow Flight or HTTP with the same call; images are indexed like numpy arrays, or become dask and xarray arrays.
Knows nothing of the server but its protocols.
"""

from __future__ import annotations

from coverslip.client.client import Client, Source, Sources
from coverslip.client.connection import connect
from coverslip.client.errors import CannotConnect, Changed, NotAnswering, TooOld, WrongToken
from coverslip.client.image import Image, RemoteArray
from coverslip.client.model import Entry, Health, Rows
from coverslip.client.saved import save_url

__all__ = [
    "CannotConnect",
    "Changed",
    "Client",
    "Entry",
    "Health",
    "Image",
    "NotAnswering",
    "RemoteArray",
    "Rows",
    "Source",
    "Sources",
    "TooOld",
    "WrongToken",
    "connect",
    "save_url",
]

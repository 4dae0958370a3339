"""coverslip serves what a biology lab has on disk: to a browser tab, to notebooks and to remote programs.

Names are imported when first used, so that ``import coverslip`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coverslip.client import connect as connect
    from coverslip.core.errors import CoverslipError as CoverslipError
    from coverslip.server import AnnDataServer as AnnDataServer
    from coverslip.server import serve as serve
    from coverslip.server import serve_anndata as serve_anndata

__version__ = version("coverslip")
__all__ = ["AnnDataServer", "CoverslipError", "__version__", "connect", "serve", "serve_anndata"]

_HOMES = {
    "AnnDataServer": "coverslip.server",
    "CoverslipError": "coverslip.core.errors",
    "connect": "coverslip.client",
    "serve": "coverslip.server",
    "serve_anndata": "coverslip.server",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'coverslip' has no attribute {name!r}")

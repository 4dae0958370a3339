"""coverslip serves what a biology lab has on disk: to a browser tab, to notebooks and to remote programs.

Names are imported when first used, so that ``import coverslip`` costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from coverslip.caches import clear_web_cache as clear_web_cache
    from coverslip.caches import get_web_cache_dir as get_web_cache_dir
    from coverslip.cell_servers import AnnDataServer as AnnDataServer
    from coverslip.cell_servers import CellucidServer as CellucidServer
    from coverslip.cell_servers import serve as serve
    from coverslip.cell_servers import serve_anndata as serve_anndata
    from coverslip.client import connect as connect
    from coverslip.core.errors import CoverslipError as CoverslipError
    from coverslip.drift import add_transition_drift_to_obsm as add_transition_drift_to_obsm
    from coverslip.drift import compute_transition_drift as compute_transition_drift
    from coverslip.notebook import show as show
    from coverslip.notebook import show_anndata as show_anndata
    from coverslip.preparing import prepare as prepare
    from coverslip.ranking import rank_genes as rank_genes
    from coverslip.sessions import apply_session as apply_session
    from coverslip.sessions import read_session as read_session

__version__ = "0.1.0"
"""As in pyproject.toml; reading it from what is installed would cost every command 40 ms."""
__all__ = [
    "AnnDataServer",
    "CellucidServer",
    "CoverslipError",
    "__version__",
    "add_transition_drift_to_obsm",
    "apply_session",
    "clear_web_cache",
    "compute_transition_drift",
    "connect",
    "get_web_cache_dir",
    "prepare",
    "rank_genes",
    "read_session",
    "serve",
    "serve_anndata",
    "show",
    "show_anndata",
]

_HOMES = {
    "AnnDataServer": "coverslip.cell_servers",
    "CellucidServer": "coverslip.cell_servers",
    "CoverslipError": "coverslip.core.errors",
    "add_transition_drift_to_obsm": "coverslip.drift",
    "clear_web_cache": "coverslip.caches",
    "get_web_cache_dir": "coverslip.caches",
    "compute_transition_drift": "coverslip.drift",
    "connect": "coverslip.client",
    "prepare": "coverslip.preparing",
    "rank_genes": "coverslip.ranking",
    "apply_session": "coverslip.sessions",
    "read_session": "coverslip.sessions",
    "serve": "coverslip.cell_servers",
    "serve_anndata": "coverslip.cell_servers",
    "show": "coverslip.notebook",
    "show_anndata": "coverslip.notebook",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'coverslip' has no attribute {name!r}")

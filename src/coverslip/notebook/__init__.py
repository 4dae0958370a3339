"""The viewer in a notebook: what is selected there arrives in Python, and Python highlights, colours and moves."""

from coverslip.notebook.view import View, show, show_anndata, stop_all

__all__ = ["View", "show", "show_anndata", "stop_all"]

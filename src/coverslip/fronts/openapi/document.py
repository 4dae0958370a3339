"""The description of everything that a server answers over HTTP: each front's own, put together."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from coverslip.fronts.access import described as access
from coverslip.fronts.analysis import described as analysis
from coverslip.fronts.cellucid import described as cells
from coverslip.fronts.dialogue import described as dialogue
from coverslip.fronts.h5grove import described as grove
from coverslip.fronts.hsds import described as hsds
from coverslip.fronts.metrics import described as metrics
from coverslip.fronts.networks import described as networks
from coverslip.fronts.openapi import session
from coverslip.fronts.openapi.words import JSON, TEXT, asked, headers, placed, responses
from coverslip.fronts.systems import described as systems
from coverslip.fronts.tensors import admin_described as admin
from coverslip.fronts.tensors import described as images
from coverslip.fronts.zarr import described as zarr

FRONTS: dict[str, ModuleType] = {
    "session": session, "cells": cells, "analysis": analysis, "images": images, "zarr": zarr, "networks": networks,
    "systems": systems, "hsds": hsds, "h5grove": grove, "admin": admin, "access": access,
    "metrics": metrics, "dialogue": dialogue,
}  # fmt: skip
"""What describes itself, by the names that `app` gives the fronts."""
ONLY_WITH_A_NOTEBOOK = "dialogue"
ABOUT = """What a coverslip server answers over HTTP: cells, images, HDF5 files and networks of neurons.

Every `GET` is answered to `HEAD`, too. Answers with an `ETag` are sent again only when they changed (`If-None-Match`,
304), and in parts (`Range`, 206). JSON is sent as gzip where that is accepted. Parameters that are not known mean
nothing.
Errors are `{"error": {"code", "message", "hint"}, "detail": message}` unless told otherwise.
Other methods are answered 405."""
HDF_ID = "^{}-[0-9a-f]{{8}}-[0-9a-f]{{8}}-[0-9a-f]{{4}}-[0-9a-f]{{6}}-[0-9a-f]{{6}}$"
PARAMETERS: dict[str, JSON] = {
    "source_id": placed("source_id", TEXT, "A source, as `/api/sources` lists it"),
    "array_id": placed("array_id", TEXT, "`SOURCE_ID`, or `SOURCE_ID/PATH` of one of several images"),
    "network_id": placed("network_id", TEXT, "A source of the kind `network`"),
    "dataset": placed("dataset", TEXT, "A data set, as `/_cellucid/datasets` lists it; its slashes as they are"),
    "v": asked("v", TEXT, "`version` of the source: the answer never changes; 404 `superseded` when it has"),
    "domain": asked("domain", TEXT, "Path of an HDF5 file, or of a folder", needed=True, example="/run1/cells.h5"),
    "hdf_folder": asked("domain", TEXT, "Path of a folder; the root when left out", example="/"),
    "hdf_file": asked("file", TEXT, "Path of an HDF5 file", needed=True, example="run1/cells.h5"),
    "hdf_path": asked("path", TEXT, "Path of an object in it; the root group when left out", example="/"),
    **{
        f"{kind}_id": placed(f"{kind}_id", {**TEXT, "pattern": HDF_ID.format(letter)}, f"Id of a {kind}")
        for kind, letter in (("group", "g"), ("dataset", "d"), ("datatype", "t"))
    },
}
HEADERS = headers(
    X_Shape="Elements on each axis, with commas",
    X_Dtype="Type of the elements, as numpy writes it",
    X_Dim_Labels="Names of the axes, with commas",
    X_Total_Sources="Sources in all",
    X_Returned_Sources="Rows of this answer",
    X_Truncated="`true` when there are more",
    X_Image_Width="Pixels",
    X_Image_Height="Pixels",
    X_Percentile_Lo_Value="Value shown black",
    X_Percentile_Hi_Value="Value shown in full colour",
    X_Loaded_Region="`start:stop`, the box shown in elements of level 0",
)


def document(version: str, root: str = "", notebook: bool = False) -> dict[str, Any]:
    """The whole description.

    Parameters
    ----------
    version
        Ours.
    root
        The path prefix under which the server is reached.
    notebook
        Whether the server talks with a notebook.

    Returns
    -------
    An OpenAPI 3.1 document.
    """
    fronts = [front for name, front in FRONTS.items() if notebook or name != ONLY_WITH_A_NOTEBOOK]
    paths: dict[str, Any] = {}
    schemas: dict[str, JSON] = {}
    for front in fronts:
        paths |= front.paths()
        schemas |= getattr(front, "SCHEMAS", {})
    for path, methods in paths.items():
        for method, operation in methods.items():
            operation["operationId"] = operation_id(method, path)
    return {
        "openapi": "3.1.1",
        "info": {"title": "coverslip", "version": version, "description": ABOUT, "license": {"name": "BSD-3-Clause"}},
        "servers": [{"url": root or "/"}],
        "security": [{}, *({name: []} for name in session.SCHEMES)],
        "tags": [{"name": name, "description": words} for front in fronts for name, words in front.TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": schemas, "parameters": PARAMETERS, "headers": HEADERS, "securitySchemes": session.SCHEMES,
            "responses": responses(),
        },
    }  # fmt: skip


def operation_id(method: str, path: str) -> str:
    """A name for an operation: its method and its path in letters."""
    parts = [part for part in "".join(c if c.isalnum() else " " for c in path).split() if part]
    return "_".join([method, *parts]) if parts else method

"""HDF5 files that follow no convention: every array of numbers as an image.

Source: HDF5 Dimension Scales (``DIMENSION_LABELS``, ``DIMENSION_LIST``); vigra's ``axistags`` (ilastik);
``element_size_um`` (ImageJ's HDF5 plugin, ilastik: z, y, x).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import h5py
import numpy as np

from coverslip.core.errors import CoverslipError, Damaged, Unsupported
from coverslip.core.finite import is_finite
from coverslip.core.node import Group
from coverslip.formats.trees.arrays import MOST_ARRAYS, arranged, array_image, default_names, offered
from coverslip.formats.trees.hdf5 import H5Array, H5Group, H5Source, damage
from coverslip.formats.trees.hdf5_chunks import lazily

SPACE = "zyx"
FOREIGN = (("obs", "var"), ("H5Types", "Populations"), ("H5Types", "Projections"))
"""Members of the root that say that a file holds cells (AnnData) or networks (NeuroH5)."""


def is_foreign(source: H5Source) -> bool:
    """Whether a file follows a convention that another format reads."""
    attrs = source.root.attrs
    if attrs.get("encoding-type") == "anndata" or "ImarisDataSet" in attrs:
        return True
    return any(all(name in source.root for name in names) for names in FOREIGN)


def h5_tree(source: H5Source, name: str) -> Group:
    """Every array of numbers of a file, by its path.

    Raises
    ------
    Unsupported
        When there is none.
    """
    found: dict[str, Group] = {}
    left_out: dict[str, str] = {}
    raws: dict[str, Any] = {"": source.root.attrs}
    assert isinstance(source.root, H5Group)
    for path, node in source.root.walk():
        if len(found) >= MOST_ARRAYS:
            left_out[path] = "There are too many arrays"
            break
        if isinstance(node, CoverslipError):
            left_out[path] = node.message
        elif isinstance(node, H5Group):
            raws[path] = node.attrs
        elif isinstance(node, H5Array) and offered(node):
            try:
                found[path] = h5_image(node, path)
            except CoverslipError as error:
                left_out[path] = error.message
    if not found:
        why = next(iter(left_out.items()), None)
        raise Unsupported(
            f"{name} holds no array of numbers" + (f"; {why[0]}: {why[1]}" if why else ""),
            "coverslip shows arrays of one or more axes.",
        )
    return arranged(dict(sorted(found.items())), raws, left_out)


def h5_image(array: H5Array, path: str) -> Group:
    """One data set as an image."""
    n = len(array.spec.shape)
    names = axis_names(array)
    sizes = _element_size(array.attrs.get("element_size_um"))
    if sizes is None:
        return array_image(lazily(array), path, names)
    used = names or default_names(n)
    steps = [1.0] * n
    known: list[str | None] = [None] * n
    for axis, size in zip(SPACE, sizes, strict=True):
        if axis in used:
            steps[used.index(axis)], known[used.index(axis)] = size, "micrometer"
    return array_image(lazily(array), path, used, steps, known)


def axis_names(array: H5Array) -> list[str] | None:
    """Names of the axes as the file gives them; None unless every one has its own."""
    n = len(array.spec.shape)
    for given in (_tags(array.attrs.get("axistags")), _scales(array)):
        if given and len(given) == n and all(given) and len(set(given)) == n:
            return given
    return None


def _scales(array: H5Array) -> list[str]:
    """The label of each axis, else the name of its scale."""
    dataset = array.dataset
    if array.attrs.get("CLASS") == "DIMENSION_SCALE":
        return [_scale_name(dataset)]
    # Not through HDF5's own functions for scales, which end the process on damaged ones.
    labels = array.attrs.get("DIMENSION_LABELS")
    names = labels if isinstance(labels, list) and len(labels) == dataset.ndim else [""] * dataset.ndim
    names = [name if isinstance(name, str) else "" for name in names]
    if not all(names) and "DIMENSION_LIST" in dataset.attrs:
        names = [name or scale for name, scale in zip(names, _listed(dataset), strict=True)]
    return names


def _listed(dataset: h5py.Dataset) -> list[str]:
    """The name of each axis's first scale; empty where there is none."""
    names = [""] * dataset.ndim
    try:
        with damage(str(dataset.name)):
            listed = np.atleast_1d(dataset.attrs["DIMENSION_LIST"])
            for axis, references in enumerate(listed[: dataset.ndim]):
                if len(references):
                    names[axis] = _scale_name(dataset.file[references[0]])
    except Damaged:
        return names  # scales that are gone leave the pixels readable
    return names


def _scale_name(scale: h5py.Dataset) -> str:
    return str(scale.name or "").rsplit("/", 1)[-1]


def _tags(given: Any) -> list[str]:
    try:
        axes = json.loads(given)["axes"]
        return [str(axis["key"]) for axis in axes]
    except (ValueError, TypeError, KeyError, RecursionError):
        return []


def _element_size(given: Any) -> Sequence[float] | None:
    if not isinstance(given, list) or len(given) != len(SPACE):
        return None
    fits = all(is_finite(v) and v > 0 for v in given)
    return [float(v) for v in given] if fits else None

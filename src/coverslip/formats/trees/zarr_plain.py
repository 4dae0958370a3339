"""A Zarr hierarchy without a convention of its own as images: OME's images where there are some, else each array."""

from __future__ import annotations

from typing import Any

from coverslip.core.errors import CoverslipError, Unsupported
from coverslip.core.node import Group, Node
from coverslip.formats.trees.arrays import MOST_ARRAYS, arranged, array_image, offered
from coverslip.formats.trees.zarr import ZarrArray, ZarrGroup, nodes
from coverslip.formats.trees.zarr_images import is_ome, ome_tree

MOST_DEPTH = 32


def arrays_tree(root: Node, name: str) -> Group:
    """Every array of numbers at or below a node, as images.

    Raises
    ------
    Unsupported
        When the root itself is an array that cannot be shown.
    """
    if isinstance(root, ZarrArray) and offered(root):
        return array_image(root, name, root.names)
    if not isinstance(root, ZarrGroup):
        raise Unsupported(f"{name} is an array without numbers", "coverslip shows arrays of numbers.")
    found: dict[str, Group] = {}
    left_out: dict[str, str] = {}
    raws: dict[str, Any] = {"": root.attrs}
    _gather(root, "", found, raws, left_out)
    return arranged(found, raws, left_out)


def _gather(
    group: ZarrGroup, path: str, found: dict[str, Group], raws: dict[str, Any], left_out: dict[str, str]
) -> None:
    for name, node in nodes(group):
        here = f"{path}/{name}" if path else name
        if len(found) >= MOST_ARRAYS or here.count("/") > MOST_DEPTH:
            left_out[here] = "There are too many arrays"
            return
        if isinstance(node, CoverslipError):
            left_out[here] = node.message
        elif isinstance(node, ZarrArray) and offered(node):
            found[here] = array_image(node, here, node.names)
        elif isinstance(node, ZarrGroup) and node.attrs.get("encoding-type") != "anndata":
            raws[here] = node.attrs
            if not is_ome(node.attrs):
                _gather(node, here, found, raws, left_out)
                continue
            try:
                found[here] = ome_tree(node)
            except CoverslipError as error:
                left_out[here] = error.message

"""Pictures under cells: Visium's in AnnData, SpatialData's beside their tables."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from coverslip.core.node import Group, Source
from coverslip.core.tree import MemoryArray, MemoryGroup
from coverslip.domains.images import Images
from coverslip.domains.planes import plane_of, read_whole
from coverslip.domains.tissue import tissues


def group(nodes: dict[str, Any], **attrs: Any) -> MemoryGroup:
    return MemoryGroup({k: group(v) if isinstance(v, dict) else v for k, v in nodes.items()}, attrs)


def visium(pictures: dict[str, np.ndarray[Any, Any]], factors: dict[str, float]) -> Group:
    held = {
        "images": {k: MemoryArray(v) for k, v in pictures.items()},
        "scalefactors": {k: MemoryArray(np.array(v)) for k, v in factors.items()},
    }
    return group(
        {"obsm": {"spatial": MemoryArray(np.zeros((4, 2)))}, "uns": {"spatial": {"brain": held}}},
        **{"encoding-type": "anndata"},
    )


class Tree(Source):
    def __init__(self, root: Group) -> None:
        self.root, self.etag, self.modified_s = root, "v", 0.0

    def fresh(self) -> bool:
        return True


def test_visium_pictures_best_first() -> None:
    picture = np.random.default_rng(0).random((6, 5, 3)).astype(np.float32)
    root = visium(
        {"lowres": picture[:3], "hires": picture, "odd": np.zeros(3)},
        {"tissue_hires_scalef": 0.5, "tissue_lowres_scalef": 0.25},
    )
    found = tissues(root)
    assert [(t.name, t.embedding, t.matrix[0], t.matrix[4]) for t in found] == [
        ("brain, hires", "spatial", 0.5, 0.5),
        ("brain, lowres", "spatial", 0.25, 0.25),
    ]
    images = Images(Tree(root))
    assert images.paths == tuple(t.path for t in found)
    image = images[found[0].path]
    assert image.rgb
    assert image.channels[0].window == (0.0, 1.0)
    np.testing.assert_array_equal(read_whole(image, 0, plane_of(image, {})), np.moveaxis(picture, -1, 0))


def test_alpha_is_left_out() -> None:
    picture = np.random.default_rng(0).integers(0, 255, (6, 5, 4), np.uint8)
    images = Images(Tree(visium({"hires": picture}, {"tissue_hires_scalef": 1.0})))
    image = images[images.paths[0]]
    np.testing.assert_array_equal(read_whole(image, 0, plane_of(image, {})), np.moveaxis(picture[..., :3], -1, 0))


@pytest.mark.parametrize("factor", [{}, {"tissue_hires_scalef": 0.0}, {"tissue_hires_scalef": float("nan")}])
def test_a_picture_of_unknown_scale_is_not_laid_under_cells(factor: dict[str, float]) -> None:
    assert tissues(visium({"hires": np.zeros((2, 2, 3), np.uint8)}, factor)) == []


def test_cells_without_a_place() -> None:
    root = visium({"hires": np.zeros((2, 2, 3), np.uint8)}, {"tissue_hires_scalef": 1.0})
    bare = MemoryGroup({"uns": root["uns"], "obsm": group({})}, {"encoding-type": "anndata"})
    assert tissues(bare) == []


def test_spatialdata_pictures_lie_where_their_transformations_say() -> None:
    scale = {"type": "scale", "scale": [1, 2, 2], "output": {"name": "global"}}
    shift = {"type": "translation", "translation": [0, 10, 20]}
    for transform, want in (
        ({"type": "identity"}, (1, 0, 0, 0, 1, 0)),
        (scale, (0.5, 0, 0, 0, 0.5, 0)),
        ({"type": "sequence", "transformations": [scale, shift]}, (0.5, 0, -10, 0, 0.5, -5)),
        ({"type": "affine", "affine": [[1, 0, 0, 0], [0, 0, 1, 3], [0, 1, 0, 4]]}, (0, 1, -3, 1, 0, -4)),
    ):
        meta = {"axes": [{"name": n} for n in "cyx"], "datasets": [{"path": "0"}]}
        meta |= {"coordinateTransformations": [transform]}
        image = group({"0": MemoryArray(np.zeros((3, 8, 8), np.uint8))}, multiscales=[meta])
        table = group({"obsm": {"spatial": MemoryArray(np.zeros((4, 2)))}}, **{"encoding-type": "anndata"})
        root = MemoryGroup({"images": group({"he": image}), "tables": group({"table": table})})
        (found,) = tissues(root)
        assert found.path == "images/he"
        assert found.matrix == pytest.approx(want)


def test_an_unknown_transformation_lays_nothing() -> None:
    meta = {"axes": [{"name": n} for n in "cyx"], "datasets": [{"path": "0"}]}
    meta |= {"coordinateTransformations": [{"type": "byDimension"}]}
    image = group({"0": MemoryArray(np.zeros((3, 8, 8), np.uint8))}, multiscales=[meta])
    table = group({"obsm": {"spatial": MemoryArray(np.zeros((4, 2)))}}, **{"encoding-type": "anndata"})
    root = MemoryGroup({"images": group({"he": image}), "tables": group({"table": table})})
    assert tissues(root) == []

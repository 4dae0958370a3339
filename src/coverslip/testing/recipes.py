"""What a neural system that is made up should be like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

AnyArray = npt.NDArray[Any]
COORDINATES = "Generated Coordinates"


@dataclass(frozen=True)
class Cells:
    """A population to be made.

    Attributes
    ----------
    number
        Its number in the file's enumeration; populations have their gids in the order of these numbers.
    count
        How many cells.
    layers
        The share of them in each layer.
    excitatory
        What its synapses do.
    """

    number: int
    count: int
    layers: Mapping[str, float] = field(default_factory=lambda: {"2D": 1.0})
    excitatory: bool = True


@dataclass(frozen=True)
class Kernel:
    """How likely two cells are connected: ``a * exp(-d**2 / (2 * scale**2))``, or ``a * exp(-d / scale)``.

    Attributes
    ----------
    in_degree
        Connections that a destination receives on average; ``a`` follows from it. A little fewer where that would need
        probabilities above 1.
    scale
        In µm.
    shape
        ``gaussian`` or ``exponential``.
    self_connections
        Whether a cell may be connected to itself.
    """

    in_degree: float
    scale: float = 200.0
    shape: str = "gaussian"
    self_connections: bool = False

    def __call__(self, distance: AnyArray) -> AnyArray:
        """Relative probability at a distance in µm."""
        x = distance / np.float32(self.scale)
        return np.exp(-(x * x) / 2) if self.shape == "gaussian" else np.exp(-x)


@dataclass(frozen=True)
class Recipe:
    """A system to be made.

    Attributes
    ----------
    populations
        By name.
    kernels
        By (source, destination).
    area
        Two corners in µm, x and y.
    layers
        Lowest and highest z of each layer, in µm.
    pitch
        Between electrodes, in µm; 0 for a system without any.
    """

    populations: Mapping[str, Cells]
    kernels: Mapping[tuple[str, str], Kernel]
    area: tuple[tuple[float, float], tuple[float, float]] = ((0.0, 0.0), (1000.0, 1000.0))
    layers: Mapping[str, tuple[float, float]] = field(default_factory=lambda: {"2D": (0.0, 10.0)})
    pitch: float = 100.0

"""Arrays whose elements are worked out when the first of them is asked for."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from coverslip.core.errors import Damaged
from coverslip.core.node import Array, Attrs
from coverslip.core.spec import ArraySpec, Box


class MadeArray(Array):
    """An array of known shape and type that is made once, and kept.

    Parameters
    ----------
    shape, dtype
        What it will be.
    make
        Makes all of it.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        dtype: npt.DTypeLike,
        make: Callable[[], npt.NDArray[Any]],
        attrs: Attrs | None = None,
    ) -> None:
        self._spec = ArraySpec(shape, np.dtype(dtype))
        self._make = make
        self._made: npt.NDArray[Any] | None = None
        self._lock = threading.Lock()
        self.attrs = attrs or {}

    @property
    def spec(self) -> ArraySpec:
        """Shape and dtype; makes nothing."""
        return self._spec

    def read(self, box: Box) -> npt.NDArray[Any]:
        """A view of the elements of ``box``.

        Raises
        ------
        Damaged
            When what is made is not of the shape that was said.
        """
        with self._lock:
            if self._made is None:
                made = np.asarray(self._make())
                if made.shape != self._spec.shape:
                    raise Damaged(
                        f"An array has the shape {made.shape}, not {self._spec.shape}", "Write the data again."
                    )
                self._made = made if self._spec.dtype.kind == "O" else made.astype(self._spec.dtype, copy=False)
            index: tuple[Any, ...] = (*box.slices, ...)
            part: npt.NDArray[Any] = self._made[index]
        return part

"""A query in 8 bits: row i is scale_i · codes_i, off by at most scale_i / 2 in a coordinate.

Pages that are stored in 8 bits are asked by it, so that products are of small integers: exact whatever multiplies
them, in whatever order. Against page states x_j = μ + s·c_j the term q·μ keeps the exact query, so a cosine is off by
at most |q_i - scale_i · codes_i| · |x_j - μ|, on states of trained models by about 1e-4 and without a side to it.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from smart_demo.types import Floats

STEPS = 127


class Quantised(NamedTuple):
    """Q rows of a query."""

    codes: npt.NDArray[np.int8]
    """(Q, D) within ±127: -128 has no opposite, which some processors stumble over."""
    scales: Floats
    """(Q,), 0 for a row of zeros."""


def quantise(query: Floats) -> Quantised:
    """(Q, D) finite rows in 8 bits, each by its own scale: no row depends on the others.

    >>> quantise(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32)).codes.tolist()
    [[64, -127], [0, 0]]
    """
    scales = (np.abs(query).max(axis=1, initial=0.0) / STEPS).astype(np.float32)
    steps = np.where(scales >= np.finfo(np.float32).tiny, scales, np.float32(1))
    codes = np.clip(np.rint(query / steps[:, None]), -STEPS, STEPS).astype(np.int8)
    return Quantised(codes, scales)

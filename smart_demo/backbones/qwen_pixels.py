"""A picture -> the patches Qwen3-VL sees: one resize to whole visual tokens within the budget, then cutting."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from smart_demo.types import Floats, Pixels

TOKEN_SIDE = 32
"""Pixels along a visual token: patches of 16, merged 2 by 2."""
MIN_TOKENS = 4
MAX_ASPECT = 200
"""Beyond this ratio of sides the reference refuses a picture."""


@dataclass(frozen=True, slots=True)
class Grid:
    """Visual tokens of one picture: how many down and how many across."""

    rows: int
    cols: int


@dataclass(frozen=True, eq=False)
class Patches:
    """(rows*cols*4, 1536) float32 normalised patches in the order the vision tower merges them, and their grid."""

    values: Floats
    grid: Grid


def fitted(height: int, width: int, budget: int) -> Grid:
    """The grid a picture of that many pixels is resized to: the reference's rule (`smart_resize`, factor 32).

    Sides go to the nearest multiple of 32, then both shrink or grow together into 4..`budget` tokens.
    ValueError for an empty picture or one more than 200 times longer than wide.

    >>> fitted(1754, 1240, 1800)
    Grid(rows=50, cols=35)
    """
    if min(height, width) < 1 or max(height, width) > MAX_ASPECT * min(height, width):
        raise ValueError(f"{width} × {height} pixels is too narrow to read")
    side, low, high = TOKEN_SIDE, MIN_TOKENS * TOKEN_SIDE**2, budget * TOKEN_SIDE**2
    rows, cols = max(1, round(height / side)), max(1, round(width / side))
    if rows * cols * side**2 > high:
        shrink = math.sqrt(height * width / high)
        rows, cols = max(1, math.floor(height / shrink / side)), max(1, math.floor(width / shrink / side))
    elif rows * cols * side**2 < low:
        grow = math.sqrt(low / (height * width))
        rows, cols = math.ceil(height * grow / side), math.ceil(width * grow / side)
    return Grid(rows, cols)


def cut(pixels: Pixels, budget: int, processor: Any) -> Patches:  # noqa: ANN401 (transformers is untyped)
    """Resize `pixels` (H, W, 3) once and cut them with transformers' image processor, whose own resize is off."""
    height, width, _ = pixels.shape
    grid = fitted(height, width, budget)
    size = (grid.cols * TOKEN_SIDE, grid.rows * TOKEN_SIDE)
    picture = Image.fromarray(pixels)
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    sides = {"patch_size": TOKEN_SIDE // 2, "merge_size": 2, "temporal_patch_size": 2}
    made = processor(images=[picture], do_resize=False, return_tensors="np", **sides)
    return Patches(np.asarray(made["pixel_values"], np.float32), grid)

"""Maps to pictures that lie over a page. Scalars are enlarged first and coloured last: no colour is off the scale."""

from __future__ import annotations

import io

import numpy as np

from smart_demo.explain.colours import Overlay, paint
from smart_demo.explain.maps import ColourRange, PageMap
from smart_demo.types import Floats, TokenBoxes

PATCH = 16
"""Pixels of a patch's side in an overlay, on grids that stay within LONG_SIDE so;"""
LONG_SIDE = 1280
"""larger grids get smaller patches, and grids of more patches one pixel each."""
BOXES_SIDE = 800
"""Long side of an overlay of word boxes."""
SOFT = 4
"""Pixels over which a word's colour fades around its box."""


def draw(page_map: PageMap, colours: ColourRange, *, aspect: float = 1.0) -> Overlay:
    """The map as a picture of the whole page, upright as the page.

    aspect: width / height of the page, for maps of boxes; a grid has its own. ValueError for an aspect that is no
    positive number.
    """
    if isinstance(page_map.place, TokenBoxes):
        return _draw_boxes(page_map, colours, aspect)
    values = colours.scale(page_map.values)
    patch = min(PATCH, max(1, LONG_SIDE // max(values.shape)))
    return paint(_bilinear(values, patch))


def encode(overlay: Overlay) -> bytes:
    """The bytes of a lossless WebP file."""
    from PIL import Image

    kept = io.BytesIO()
    # Colours under alpha 0 are dropped, which nobody sees; method 0 is many times faster and little larger.
    Image.fromarray(overlay, "RGBA").save(kept, "webp", lossless=True, method=0, quality=0)
    return kept.getvalue()


def _bilinear(values: Floats, patch: int) -> Floats:
    """(rows, cols) enlarged `patch` times: exact at the centre of each patch, level beyond the outermost centres."""
    return _stretch(_stretch(values, patch).T, patch).T


def _stretch(values: Floats, times: int) -> Floats:
    """Along the first axis."""
    count = len(values)
    at = np.clip((np.arange(count * times, dtype=np.float32) + 0.5) / times - 0.5, 0, count - 1)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    share = (at - low).astype(np.float32)[:, None]
    stretched: Floats = values[low] * (1 - share) + values[high] * share
    return stretched


def _draw_boxes(page_map: PageMap, colours: ColourRange, aspect: float) -> Overlay:
    """Each box filled, fading over SOFT pixels around it; where boxes meet, the stronger shows."""
    if not 0 < aspect < np.inf:
        raise ValueError(f"no page has a width of {aspect} heights")
    height = BOXES_SIDE if aspect <= 1 else max(1, round(BOXES_SIDE / aspect))
    width = BOXES_SIDE if aspect >= 1 else max(1, round(BOXES_SIDE * aspect))
    values = np.zeros((height, width), dtype=np.float32)
    strength = np.zeros_like(values)
    boxes, own = page_map.by_box()
    edges = boxes * np.array([width, height, width, height], dtype=np.float32)
    for (left, top, right, bottom), value in zip(edges.tolist(), colours.scale(own).tolist(), strict=True):
        across, columns = _fade(left, right, width)
        down, rows = _fade(top, bottom, height)
        stronger = value * down[:, None] * across
        region = (rows, columns)
        wins = stronger > strength[region]
        values[region][wins] = value
        strength[region][wins] = stronger[wins]
    return paint(values, strength)


def _fade(low: float, high: float, size: int) -> tuple[Floats, slice]:
    """How strongly the pixels around an interval are filled: 1 inside, falling to 0 over SOFT. With their slice.

    An interval narrower than a pixel fills one pixel.
    """
    low, high = min(low, size - 1.0), max(high, low + 1.0)
    start, end = max(0, int(low) - SOFT), min(size, int(np.ceil(high)) + SOFT)
    centres = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
    outside = np.maximum(np.maximum(low - centres, centres - high), 0)
    filled: Floats = np.clip(1 - outside / SOFT, 0, 1).astype(np.float32)
    return filled, slice(start, end)

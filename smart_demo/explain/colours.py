"""Numbers to colours: viridis, which stays in order for every kind of colour vision and in grey."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smart_demo.types import Floats

Overlay = npt.NDArray[np.uint8]
"""(height, width, 4) RGBA, to lie on the page's picture stretched to its size."""
OPAQUE = 0.65
"""Alpha of the largest value: what is printed under it stays readable."""
ANCHORS = (
    (68, 1, 84),
    (72, 23, 105),
    (71, 42, 122),
    (67, 61, 132),
    (61, 78, 138),
    (53, 94, 141),
    (46, 109, 142),
    (41, 123, 142),
    (35, 137, 142),
    (31, 151, 139),
    (33, 165, 133),
    (46, 179, 124),
    (70, 192, 111),
    (101, 203, 94),
    (137, 213, 72),
    (176, 221, 47),
    (216, 226, 25),
    (253, 231, 37),
)
"""Eighteen even steps of viridis by Stéfan van der Walt and Nathaniel Smith, dedicated to the public domain (CC0)."""


def table() -> npt.NDArray[np.uint8]:
    """(256, 3) RGB from the lowest value to the highest, for the map itself and for its legend."""
    steps = np.linspace(0, len(ANCHORS) - 1, 256)
    channels = [np.interp(steps, range(len(ANCHORS)), channel) for channel in zip(*ANCHORS, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def paint(values: Floats, strength: Floats | None = None) -> Overlay:
    """Colours of values 0..1 (height, width); alpha grows with the strength (the value itself if None) to OPAQUE.

    Alone, the values give 256 colours with alpha, which makes a file 2.5 times smaller than alpha in finer steps.
    """
    steps = (values * 255).round().astype(np.uint8)
    shades = np.empty((256, 4), dtype=np.uint8)
    shades[:, :3] = table()
    shades[:, 3] = (np.arange(256) * OPAQUE).round()
    overlay: Overlay = shades[steps]
    if strength is not None:
        overlay[..., 3] = (strength * np.float32(255 * OPAQUE)).round()
    return overlay

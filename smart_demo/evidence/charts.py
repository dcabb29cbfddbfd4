"""Charts as clutter: muted series, grids and ticks in a frame, in which a marker and its code have to be found."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import cos, pi, sin
from types import MappingProxyType

import numpy as np
from PIL import ImageDraw

Point = tuple[float, float]
INK, GRID, PALE, STEEL, STONE = (38, 42, 50), (226, 228, 232), (205, 212, 222), (110, 128, 150), (160, 152, 140)
PAINT: Mapping[str, tuple[int, int, int]] = MappingProxyType(
    {
        "red": (208, 32, 36),
        "orange": (240, 130, 16),
        "yellow": (240, 205, 20),
        "green": (34, 145, 62),
        "blue": (36, 84, 214),
        "purple": (122, 52, 168),
        "pink": (238, 112, 176),
        "black": (20, 20, 22),
    }
)


@dataclass(frozen=True, slots=True)
class Frame:
    """A rectangle of the picture, in its pixels."""

    left: float
    top: float
    right: float
    bottom: float

    def at(self, x: float, y: float) -> Point:
        """The point x of the way from the left and y from the bottom."""
        return self.left + x * (self.right - self.left), self.bottom - y * (self.bottom - self.top)


def draw_chart(pen: ImageDraw.ImageDraw, frame: Frame, chart: str, random: np.random.Generator) -> None:
    """Grid, two series of the kind `chart` and the axes. The same random state draws the same chart."""
    for share in (0.25, 0.5, 0.75, 1.0):
        pen.line([frame.at(0, share), frame.at(1, share)], fill=GRID, width=2)
    first, second = _series(random), _series(random)
    _DRAW[chart](pen, frame, first, second)
    pen.line([frame.at(0, 1), frame.at(0, 0), frame.at(1, 0)], fill=INK, width=3)
    for share in (0.0, 0.5, 1.0):
        x, y = frame.at(share, 0)
        pen.line([(x, y), (x, y + 8)], fill=INK, width=3)


def draw_marker(pen: ImageDraw.ImageDraw, centre: Point, radius: float, colour: str, shape: str) -> None:
    """One sign, outlined so that yellow shows on white and black on dark."""
    x, y = centre
    fill, line = PAINT[colour], (255, 255, 255)
    if shape == "circle":
        pen.ellipse([x - radius, y - radius, x + radius, y + radius], fill=fill, outline=line, width=4)
        return
    corners = [(x + radius * a, y + radius * b) for a, b in _OUTLINES[shape]]
    pen.polygon(corners, fill=fill, outline=line, width=4)


def _series(random: np.random.Generator) -> list[float]:
    """Twelve values of 0.06 to 0.94 that wander."""
    walk = np.cumsum(random.normal(size=12))
    low, high = sorted(random.uniform(0.08, 0.92, size=2))
    spread = max(float(np.ptp(walk)), 1e-9)
    return [float(low + (high - low + 0.06) * (value - walk.min()) / spread) for value in walk]


def _line(frame: Frame, values: list[float]) -> list[Point]:
    return [frame.at((n + 0.5) / len(values), value) for n, value in enumerate(values)]


def _lines(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour in ((first, STONE), (second, STEEL)):
        points = _line(frame, values)
        pen.line(points, fill=colour, width=5, joint="curve")
        for x, y in points[::2]:
            pen.ellipse([x - 5, y - 5, x + 5, y + 5], fill="white", outline=colour, width=3)


def _bars(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for n, (one, other) in enumerate(zip(first, second, strict=True)):
        for shift, value, colour in ((0.12, one, STEEL), (0.5, other, PALE)):
            pen.rectangle([frame.at((n + shift) / 12, value), frame.at((n + shift + 0.36) / 12, 0)], fill=colour)


def _points(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for a, b, c in zip(first, second, (*second[5:], *first[:5]), strict=True):
        for at, colour in (((a, b), STEEL), ((b, c), STONE), ((c, a), PALE)):
            x, y = frame.at(*at)
            pen.ellipse([x - 7, y - 7, x + 7, y + 7], fill=colour, outline="white", width=2)


def _area(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour, edge in ((first, PALE, STEEL), ([v / 2 for v in second], (222, 217, 208), STONE)):
        points = _line(frame, values)
        pen.polygon([frame.at(0.5 / 12, 0), *points, frame.at(11.5 / 12, 0)], fill=colour)
        pen.line(points, fill=edge, width=4, joint="curve")


def _steps(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for values, colour in ((first, STEEL), (second, STONE)):
        points = [frame.at((n + end) / 12, value) for n, value in enumerate(values) for end in (0, 1)]
        pen.line(points, fill=colour, width=5)


def _columns(pen: ImageDraw.ImageDraw, frame: Frame, first: list[float], second: list[float]) -> None:
    for n, (one, other) in enumerate(zip(first, second, strict=True)):
        low, high = one * 0.6, min(one * 0.6 + other * 0.35, 1.0)
        pen.rectangle([frame.at((n + 0.2) / 12, low), frame.at((n + 0.8) / 12, 0)], fill=STEEL)
        pen.rectangle([frame.at((n + 0.2) / 12, high), frame.at((n + 0.8) / 12, low)], fill=(214, 206, 194))


def _round(corners: int, inner: float = 1.0) -> tuple[Point, ...]:
    """A star of so many corners around the origin; with inner 1 a regular polygon of twice as many."""
    angles = [pi * n / corners - pi / 2 for n in range(2 * corners)]
    return tuple((cos(a) * r, sin(a) * r) for n, a in enumerate(angles) for r in ((1.0, inner)[n % 2],))


_THIRD = 0.36
_OUTLINES: Mapping[str, tuple[Point, ...]] = MappingProxyType(
    {
        "square": ((-0.86, -0.86), (0.86, -0.86), (0.86, 0.86), (-0.86, 0.86)),
        "triangle": ((0.0, -1.0), (1.0, 0.85), (-1.0, 0.85)),
        "diamond": ((0.0, -1.15), (0.85, 0.0), (0.0, 1.15), (-0.85, 0.0)),
        "star": tuple((1.2 * x, 1.2 * y) for x, y in _round(5, 0.42)),
        "cross": (
            *((-_THIRD, -1.0), (_THIRD, -1.0), (_THIRD, -_THIRD), (1.0, -_THIRD), (1.0, _THIRD), (_THIRD, _THIRD)),
            *((_THIRD, 1.0), (-_THIRD, 1.0), (-_THIRD, _THIRD), (-1.0, _THIRD), (-1.0, -_THIRD), (-_THIRD, -_THIRD)),
        ),
        "hexagon": _round(3),
        "arrow": ((0.0, -1.1), (0.95, 0.0), (0.38, 0.0), (0.38, 1.0), (-0.38, 1.0), (-0.38, 0.0), (-0.95, 0.0)),
    }
)
_Draw = Callable[[ImageDraw.ImageDraw, Frame, list[float], list[float]], None]
_DRAW: Mapping[str, _Draw] = MappingProxyType(
    {"lines": _lines, "bars": _bars, "points": _points, "area": _area, "steps": _steps, "columns": _columns}
)

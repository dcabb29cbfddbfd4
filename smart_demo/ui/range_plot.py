"""A difference of means drawn as a range around zero: a small picture beside the same in figures."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smart_demo.evaluation.metrics import SAME, Difference

WIDE, HIGH, EDGE = 240, 26, 8
"""Pixels of a drawing; EDGE is left free at both ends, so that no mark is cut."""
STEPS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Reaches of a scale: it goes as far to the left of zero as to its right."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One for all the ranges of a board, so that they can be compared by eye."""

    reach: float

    def at(self, value: float) -> float:
        """Pixels from the left.

        >>> Scale(0.5).at(0.0), Scale(0.5).at(-0.5), Scale(0.5).at(9.0)
        (120.0, 8.0, 232.0)
        """
        part = min(max(value / self.reach, -1.0), 1.0)
        return WIDE / 2 + part * (WIDE / 2 - EDGE)


def scale(found: Iterable[Difference]) -> Scale:
    """The smallest on which every interval has room."""
    furthest = max((max(abs(one.low), abs(one.high), abs(one.mean)) for one in found), default=0.0)
    return Scale(next((step for step in STEPS if furthest <= step), STEPS[-1]))


def side(found: Difference) -> str:
    """`up` or `down` where the interval lies on one side of zero, else `none`: as `board_sentences` concludes.

    >>> side(Difference(0.1, 0.0, 0.2, 5, 5, 0)), side(Difference(-0.1, -0.2, -0.01, 0, 5, 5))
    ('none', 'down')
    """
    if found.low <= SAME and found.high >= -SAME:
        return "none"
    return "up" if found.mean > 0 else "down"


def range_plot(found: Difference, on: Scale) -> str:
    """An SVG for the eye alone: figures and words stand beside it."""
    low, mean, high = (on.at(value) for value in (found.low, found.mean, found.high))
    zero, middle = on.at(0.0), HIGH / 2
    bar = f"M{low:.1f},{middle}H{high:.1f}M{low:.1f},{middle - 4}v8M{high:.1f},{middle - 4}v8"
    return (
        f'<svg class="range is-{side(found)}" viewBox="0 0 {WIDE} {HIGH}" aria-hidden="true" focusable="false">'
        f'<path class="range-zero" d="M{zero:.1f},0V{HIGH}"/>'
        f'<path class="range-line" d="{bar}"/>'
        f'<circle cx="{mean:.1f}" cy="{middle}" r="4.5"/></svg>'
    )

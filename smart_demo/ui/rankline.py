"""A page's rank over the late weight -> a step line in a drawing's own units. Pure geometry; no words, no markup."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

from smart_demo.search.explain import LARGEST, Sweep

WIDTH, HEIGHT = 320.0, 150.0
LEFT, RIGHT, TOP, BOTTOM = 34.0, 8.0, 10.0, 24.0
"""Room around the line, for its labels."""
APART = 14.0
"""Between two labels of ranks, at least."""
FEWEST = 5
"""Ranks that the axis spans at least: one place up or down is no cliff."""


@dataclass(frozen=True, slots=True)
class RankLine:
    """First place is at the top; ranks stand on a logarithmic axis, where the first ten are half the height of a
    hundred: that is where a reader looks, among 71 pages as among 2,000.
    """

    path: str
    """Of an SVG."""
    ranks: tuple[tuple[int, float], ...]
    """Labelled ranks, and how far down."""
    weights: tuple[tuple[int, float], ...]
    """Labelled weights, and how far right."""
    now: tuple[float, float] | None
    """Where the weight in use lies on the line; None where it lies beyond."""


def rank_line(sweep: Sweep, late: float) -> RankLine:
    """The line of a sweep, in which `late` is the weight in use. Between two weights it steps midway."""
    worst = max(int(sweep.ranks.max()), FEWEST)
    points = [(float(w), int(r)) for w, r in zip(sweep.late, sweep.ranks, strict=True) if w <= LARGEST]
    path = f"M{across(0):.1f},{down(points[0][1], worst):.1f}"
    for (before, rank), (after, next_rank) in pairwise(points):
        if rank != next_rank:
            path += f"H{across((before + after) / 2):.1f}V{down(next_rank, worst):.1f}"
    nearest = min(points, key=lambda point: abs(point[0] - late))
    return RankLine(
        path=f"{path}H{across(LARGEST):.1f}",
        ranks=tuple((rank, down(rank, worst)) for rank in ticks(worst)),
        weights=tuple((weight, across(weight)) for weight in range(int(LARGEST) + 1)),
        now=(across(late), down(nearest[1], worst)) if late <= LARGEST else None,
    )


def across(weight: float) -> float:
    """How far right a weight stands."""
    return LEFT + weight / LARGEST * (WIDTH - LEFT - RIGHT)


def down(rank: int, worst: int) -> float:
    """How far down a rank stands on an axis that ends at the worst."""
    return TOP + math.log(rank) / math.log(worst) * (HEIGHT - TOP - BOTTOM)


def ticks(worst: int) -> tuple[int, ...]:
    """First place, the last, and round ranks between them that leave each other room.

    >>> ticks(71), ticks(5), ticks(2000)
    ((1, 2, 5, 10, 20, 71), (1, 2, 3, 5), (1, 5, 20, 100, 500, 2000))
    """
    round_ones = [2, 3] if worst < 10 else [step * 10**power for power in range(5) for step in (1, 2, 5)]
    shown = [1]
    for rank in round_ones:
        room = min(abs(down(rank, worst) - down(other, worst)) for other in (shown[-1], worst))
        if shown[-1] < rank < worst and room >= APART:
            shown.append(rank)
    return (*shown, worst)

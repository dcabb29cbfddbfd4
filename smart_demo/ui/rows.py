"""Found -> the figures of both columns. Pure numbers and ranks; no markup, no words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from smart_demo import scoring
from smart_demo.search.comparison import Comparison, Move, compare
from smart_demo.types import LATE, POOLED, SMART, Floats, Found, Hit, Weights


@dataclass(frozen=True, slots=True)
class Part:
    """One of the two numbers a page's score is made of."""

    value: float
    """Cosine, or mean of best cosines; NaN where the page was not scored token by token."""
    rank: int | None
    """The page's place if this number alone decided."""
    fill: float
    """0..1, where the value lies between the lowest and the highest of all ranked pages."""


@dataclass(frozen=True, slots=True)
class Row:
    """One card: a hit, what became of it, and why."""

    hit: Hit
    move: Move
    pooled: Part
    late: Part


@dataclass(frozen=True)
class Columns:
    """Both rankings of one query, ready to be drawn."""

    found: Found
    weights: Weights
    comparison: Comparison
    left: tuple[Row, ...]
    right: tuple[Row, ...]


def columns(found: Found) -> Columns:
    """Rows of a search by POOLED, LATE and SMART; the late ranking is there for the ranks of that part alone."""
    left, right = found.results[POOLED.name], found.results[SMART.name]
    comparison = compare(left, right)
    pooled_span = _span(found.parts.pooled)
    late_span = _span(scoring.late(found.parts, right.method.weights))
    pooled_ranks, late_ranks = left.ranks, found.results[LATE.name].ranks

    def row(hit: Hit) -> Row:
        key = hit.page.key
        return Row(
            hit,
            comparison.moves[key],
            Part(hit.pooled, pooled_ranks.get(key), _fill(hit.pooled, pooled_span)),
            Part(hit.late, late_ranks.get(key), _fill(hit.late, late_span)),
        )

    rows: Mapping[str, tuple[Row, ...]] = {r.method.name: tuple(map(row, r.hits)) for r in (left, right)}
    return Columns(found, right.method.weights, comparison, rows[POOLED.name], rows[SMART.name])


def _span(values: Floats) -> tuple[float, float]:
    return (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 0.0)


def _fill(value: float, span: tuple[float, float]) -> float:
    low, high = span
    if np.isnan(value):
        return 0.0
    return 1.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)

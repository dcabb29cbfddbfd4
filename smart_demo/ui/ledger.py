"""Two scores as a table whose numbers add up as they stand there: one that does not is not believed. Pure numbers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from smart_demo.search.explain import Pair, Row
from smart_demo.ui.wording import score

FEWEST_PLACES, MOST_PLACES = 4, 6
"""Four decimals never contradict the three that other places of the page round the same numbers to."""
WORDS = 16
"""Words with a line of their own."""
FEW = 8
"""Tokens that stand open where the query has no words."""
LISTED = 60
"""Tokens that a fold opens to; the rest of them share a line."""


@dataclass(frozen=True, slots=True)
class Line:
    """What one or several parts add to both scores, in units of the ledger's last decimal."""

    first: int
    second: int
    rows: tuple[Row, ...]
    """The parts: one, or those that share the line; none for the sum."""

    @property
    def difference(self) -> int:
        return self.first - self.second


@dataclass(frozen=True, slots=True)
class Ledger:
    """The lines add up to the total in both columns, and those of the fold to their common line."""

    places: int
    """Decimals."""
    lines: tuple[Line, ...]
    """The pooled part and the words that tell, the largest difference first."""
    fold: Line | None
    """All other tokens together,"""
    folded: tuple[Line, ...]
    """and each of them; the last line may stand for several."""
    total: Line

    def shown(self, units: int, *, sign: bool = False) -> str:
        """A number of the table.

        >>> Ledger(4, (), None, (), Line(0, 0, ())).shown(123, sign=True)
        '+0.0123'
        """
        text = score(units / 10**self.places, self.places)
        return f"+{text}" if sign and units > 0 else text


def ledger(pair: Pair, telling: Collection[tuple[int, ...]]) -> Ledger:
    """A pair as a table. `telling` are the words that get a line of their own, each by its query tokens; of many, those
    that differ most.

    Totals are rounded to the nearest; a line up or down, whichever lets its column add up.
    """
    places = _places(pair.difference)
    kept, others = _split(pair, telling)
    groups = [(row,) for row in kept] + ([tuple(others)] if others else [])
    unit = 10**places
    total = Line(round(pair.first * unit), round(pair.second * unit), ())
    lines = _lines(groups, total, unit)
    fold = lines.pop() if others else None
    listed = [(row,) for row in others[:LISTED]] + ([tuple(others[LISTED:])] if others[LISTED:] else [])
    folded = _lines(listed, fold, unit) if fold else []
    return Ledger(places, tuple(sorted(lines, key=_size)), fold, tuple(sorted(folded, key=_size)), total)


def shares(values: Sequence[float], total: int) -> list[int]:
    """Whole numbers beside the values, each rounded up or down, that add up to the total: the largest remainders go
    up. total is the rounded sum of the values.

    >>> shares([0.4, 0.4, 0.4], 1), shares([-0.3, 2.4, 0.0], 2)
    ([1, 0, 0], [0, 2, 0])
    """
    floors = [math.floor(value) for value in values]
    order = sorted(range(len(values)), key=lambda n: floors[n] - values[n])
    for n in order[: max(0, total - sum(floors))]:
        floors[n] += 1
    return floors


def _split(pair: Pair, telling: Collection[tuple[int, ...]]) -> tuple[list[Row], list[Row]]:
    """The rows that get a line of their own, the pooled one first among them, and the others."""
    pooled = [row for row in pair.rows if row.first_term is None]
    told = [row for row in pair.rows if row.first_term and row.first_term.tokens in telling]
    rest = [row for row in pair.rows if row.first_term and row.first_term.tokens not in telling]
    if not told:
        told, rest = rest[:FEW], rest[FEW:]
    kept, others = pooled + told[:WORDS], told[WORDS:] + rest
    return (kept + others, []) if len(others) == 1 else (kept, others)


def _places(difference: float) -> int:
    """The fewest decimals that show two digits of the difference."""
    return next((p for p in range(FEWEST_PLACES, MOST_PLACES) if abs(difference) * 10**p >= 10), MOST_PLACES)


def _lines(groups: Sequence[tuple[Row, ...]], total: Line, unit: int) -> list[Line]:
    first = shares([sum(row.first for row in rows) * unit for rows in groups], total.first)
    second = shares([sum(row.second for row in rows) * unit for rows in groups], total.second)
    return [Line(x, y, rows) for x, y, rows in zip(first, second, groups, strict=True)]


def _size(line: Line) -> tuple[bool, int]:
    """The largest difference first, but what several share last."""
    return len(line.rows) > 1, -abs(line.difference)

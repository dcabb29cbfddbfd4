"""Why did X pass Y: the two scores taken apart, row against row, with nothing left over."""

from __future__ import annotations

from dataclasses import dataclass

from smart_demo.explain.attribution import Attribution, Term


@dataclass(frozen=True, slots=True)
class Row:
    """One part of both scores: a word or token of the query, or the pooled part, which has no terms."""

    first: float
    """What it adds to X's score,"""
    second: float
    """and to Y's."""
    first_term: Term | None = None
    """How the word stands on X: similarity, winner, closest place;"""
    second_term: Term | None = None
    """and on Y."""

    @property
    def difference(self) -> float:
        return self.first - self.second

    @property
    def pooled(self) -> bool:
        """Whether this is the row of the pooled part."""
        return self.first_term is None


@dataclass(frozen=True, slots=True)
class Pair:
    """X against Y. The rows' differences add up to the difference of the scores."""

    first: float
    """X's score,"""
    second: float
    """and Y's."""
    rows: tuple[Row, ...]
    """The largest differences first, whichever page they favour; of equals the query's order, pooled before all."""

    @property
    def difference(self) -> float:
        return self.first - self.second


def compare(first: Attribution, second: Attribution) -> Pair:
    """The attributions of one query on two pages. ValueError where query or weights are not the same."""
    mine, other = first.match.query, second.match.query
    same = mine is other or (mine.encoder, mine.query.key) == (other.encoder, other.query.key)
    if not same or first.weights != second.weights:
        raise ValueError("two pages are compared under one query and one set of weights")
    rows = [Row(first.pooled, second.pooled)]
    for x, y in zip(first.terms, second.terms, strict=True):
        rows.append(Row(x.contribution, y.contribution, x, y))
    rows.sort(key=lambda row: -abs(row.difference))
    return Pair(first.score, second.score, tuple(rows))

"""The rows of both ranked columns and their markup: cards, badges, thumbnails and the facts that the viewer shows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from smart_demo import scoring
from smart_demo.methods import LATE, POOLED, Counted, Found, Hit, Method, Reduce, SearchResult, Weights
from smart_demo.search.comparison import Comparison, Move, compare
from smart_demo.store.prepared_page import MAX_THUMBNAIL_WIDTH, thumbnail_size
from smart_demo.types import Floats, StoredPage
from smart_demo.ui.format import format_score, format_weight
from smart_demo.ui.moves import Side, describe_move, word_move
from smart_demo.ui.render import render

ThumbnailAddress = Callable[[StoredPage], str]
"""Returns the address of a page's thumbnail, or an empty text if it is missing."""


@dataclass(frozen=True, slots=True)
class ScorePart:
    """One part of a page's score: pooled or late."""

    name: str
    value: float
    """Cosine, or mean of best cosines; NaN if the page was not scored token by token."""
    rank: int | None
    """The page's rank by this part alone, or None if not ranked."""
    fill: float
    """Position of the value between the lowest and the highest of all ranked pages, 0 to 1."""


@dataclass(frozen=True, slots=True)
class CardRow:
    """One hit of a column, its move to the other column, and the parts of its score."""

    hit: Hit
    move: Move
    parts: tuple[ScorePart, ...]
    """The pooled and the late part."""


@dataclass(frozen=True)
class Column:
    """One of the two rankings, ready to draw."""

    side: Side
    method: Method
    rows: tuple[CardRow, ...]

    @property
    def subtitle(self) -> str:
        """How the column ranks, in one line."""
        weights = self.method.weights
        return "one vector per page" if weights.pooled and not weights.late else describe_formula(weights)


@dataclass(frozen=True)
class RankedColumns:
    """Both rankings of one query, ready to draw."""

    found: Found
    comparison: Comparison
    left: Column
    right: Column

    @property
    def methods(self) -> tuple[Method, Method]:
        """The left and the right method."""
        return self.left.method, self.right.method


def build_columns(found: Found) -> RankedColumns:
    """Return the columns of a search by `SearchRequest.methods`: two rankings and those by one part of the score."""
    left, right = found.compared
    comparison = compare(left, right)
    parts = found.parts
    # One reduction for both columns: that of the right method.
    late_scores = scoring.late_scores(parts, right.method.weights)
    pooled_span, late_span = _span(parts.pooled), _span(late_scores)
    pooled_ranks, late_ranks = (found.results[method.name].ranks for method in (POOLED, LATE))

    def row(hit: Hit) -> CardRow:
        key = hit.page.key
        pooled_part = ScorePart(POOLED.name, hit.pooled, pooled_ranks.get(key), _fill(hit.pooled, pooled_span))
        late_part = ScorePart(LATE.name, hit.late, late_ranks.get(key), _fill(hit.late, late_span))
        return CardRow(hit, comparison.moves[key], (pooled_part, late_part))

    def column(side: Side, ranking: SearchResult) -> Column:
        return Column(side, ranking.method, tuple(map(row, ranking.hits)))

    return RankedColumns(found, comparison, column(Side.LEFT, left), column(Side.RIGHT, right))


def describe_formula(weights: Weights) -> str:
    """Return how a method ranks, in one line. A part of weight 0 is left out, unless both are.

    >>> describe_formula(Weights(1.0, 0.5)), describe_formula(Weights(0.0, 1.0, Reduce.SUM))
    ('1.00 × pooled + 0.50 × late', '1.00 × late (sum)')
    """
    form = " (sum)" if weights.reduce is Reduce.SUM else ""
    words = ", own words only: our ablation" if weights.counted is Counted.CONTENT else ""
    pooled, late = f"{format_weight(weights.pooled)} × pooled", f"{format_weight(weights.late)} × late{form}{words}"
    if bool(weights.pooled) == bool(weights.late):
        return f"{pooled} + {late}"
    return pooled if weights.pooled else late


def _span(values: Floats) -> tuple[float, float]:
    return (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 0.0)


def _fill(value: float, span: tuple[float, float]) -> float:
    low, high = span
    if np.isnan(value):
        return 0.0
    return 1.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def render_badge(move: Move, side: Side, k: int) -> Markup:
    """Return the badge of a card: an icon, words and a colour. A fall is as prominent as a rise."""
    return render("badge", change=move.change, words=word_move(move, side, k))


def render_card(row: CardRow, side: Side, columns: RankedColumns, thumbnail: str) -> Markup:
    """Return a card with its hidden facts for the viewer, and the button that explains its move.

    thumbnail: address of the page's picture. The place for the evidence is filled by a script after the ranking is
    shown.
    """
    k = columns.comparison.k
    return render(
        "card",
        row=row,
        side=side,
        move=describe_move(row.move, side, k, columns.methods),
        badge=render_badge(row.move, side, k),
        thumbnail=render_thumbnail(row.hit.page, thumbnail),
        facts=render_facts(row, columns.methods),
    )


def render_thumbnail(page: StoredPage, address: str, name: str = "thumb") -> Markup:
    """Return the thumbnail at an address with its size, or a blank page if the address is empty.

    name: a class of the markup.
    """
    # The markup states the size, so that the layout does not shift.
    width, height = thumbnail_size(max(page.width, 1), max(page.height, 1))
    height = max(1, round(MAX_THUMBNAIL_WIDTH * height / width))
    return render("thumbnail", address=address, name=name, width=MAX_THUMBNAIL_WIDTH, height=height)


def render_facts(row: CardRow, methods: tuple[Method, Method]) -> Markup:
    """Return the viewer's side panel for a page: its ranks in both columns, and its scores as formulas with numbers."""
    values = [part.value for part in row.parts]
    formulas = [] if any(map(math.isnan, values)) else [_write_formula(method, *values) for method in methods]
    return render("facts", row=row, methods=methods, formulas=formulas)


@dataclass(frozen=True, slots=True)
class Formula:
    """A page's score by one method as a sum, printed so that it adds up."""

    label: str
    terms: tuple[tuple[str, str, str], ...]
    """Weight, name of the part, and its value; a part of weight 0 is left out."""
    total: str


def _write_formula(method: Method, pooled: float, late: float) -> Formula:
    weights = method.weights
    total = scoring.combine(weights, pooled, late)
    places = _count_places(pooled, late, weights, total)
    parts = ((weights.pooled, POOLED.name, pooled), (weights.late, LATE.name, late))
    terms = tuple((format_weight(weight), name, format_score(value, places)) for weight, name, value in parts if weight)
    return Formula(method.label, terms, format_score(total, places))


def _count_places(pooled: float, late: float, weights: Weights, total: float) -> int:
    """Return the fewest decimals (3 to 7) with which the printed sum adds up."""
    for places in range(3, 7):
        shown = scoring.combine(weights, round(pooled, places), round(late, places))
        if round(shown, places) == round(total, places):
            return places
    return 7

"""The rows of both ranked columns and their markup: cards, badges, thumbnails and the facts that the viewer shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from markupsafe import Markup

from smart_demo import scoring
from smart_demo.search.comparison import Change, Comparison, Move, compare
from smart_demo.store.prepared_page import MAX_THUMBNAIL_WIDTH, thumbnail_size
from smart_demo.types import LATE, POOLED, SMART, Floats, Found, Hit, StoredPage, Weights
from smart_demo.ui.render import render
from smart_demo.wording import count

ThumbnailLoader = Callable[[StoredPage], str]
"""Returns the address of a page's thumbnail, or an empty text if it is missing."""


class Side(StrEnum):
    """A column. Its values are class names and ids in the markup."""

    POOLED = "pooled"
    SMART = "smart"


@dataclass(frozen=True, slots=True)
class ScorePart:
    """The pooled or the late part of a page's score."""

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
    pooled: ScorePart
    late: ScorePart


@dataclass(frozen=True)
class RankedColumns:
    """Both rankings of one query, ready to draw."""

    found: Found
    weights: Weights
    comparison: Comparison
    left: tuple[CardRow, ...]
    right: tuple[CardRow, ...]


def build_columns(found: Found) -> RankedColumns:
    """Return the columns of a search by POOLED, LATE and SMART. LATE gives only the ranks by the late part alone."""
    left, right = found.results[POOLED.name], found.results[SMART.name]
    comparison = compare(left, right)
    pooled_span = _span(found.parts.pooled)
    late_span = _span(scoring.late_scores(found.parts, right.method.weights))
    pooled_ranks, late_ranks = left.ranks, found.results[LATE.name].ranks

    def row(hit: Hit) -> CardRow:
        key = hit.page.key
        return CardRow(
            hit,
            comparison.moves[key],
            ScorePart(hit.pooled, pooled_ranks.get(key), _fill(hit.pooled, pooled_span)),
            ScorePart(hit.late, late_ranks.get(key), _fill(hit.late, late_span)),
        )

    rows: Mapping[str, tuple[CardRow, ...]] = {r.method.name: tuple(map(row, r.hits)) for r in (left, right)}
    return RankedColumns(found, right.method.weights, comparison, rows[POOLED.name], rows[SMART.name])


def _span(values: Floats) -> tuple[float, float]:
    return (float(np.min(values)), float(np.max(values))) if len(values) else (0.0, 0.0)


def _fill(value: float, span: tuple[float, float]) -> float:
    low, high = span
    if np.isnan(value):
        return 0.0
    return 1.0 if high <= low else min(max((value - low) / (high - low), 0.0), 1.0)


def render_badge(move: Move, side: Side, k: int) -> Markup:
    """Return the badge of a card: an icon, words and a colour. A fall is as prominent as a rise."""
    icon, text, note = _badge_texts(move, side, k)
    return render("badge", change=move.change, icon=icon, text=text, note=note)


def describe_move(move: Move, side: Side, k: int) -> str:
    """Return a move as a phrase for screen readers, which is part of a card's label."""
    steps = count(abs(move.steps), "place")
    other = "SMART ranks it" if side is Side.POOLED else "pooled only ranks it"
    other_rank = move.right if side is Side.POOLED else move.left
    suffix = f", {other} {other_rank}" if other_rank else ""
    return {
        Change.SAME: "same place in both columns",
        Change.UP: f"SMART moves it up {steps}{suffix}",
        Change.DOWN: f"SMART moves it down {steps}{suffix}",
        Change.NEW: f"new in the top {k}{suffix}",
        Change.LEFT: f"leaves the top {k}{suffix}",
    }[move.change]


def summarize_move(move: Move, side: Side, k: int, *, short: bool = False) -> str:
    """Return a move as icon and words, for an export that may be printed without colours."""
    icon, _, note = _badge_texts(move, side, k)
    steps = f"{abs(move.steps)}" if short else count(abs(move.steps), "place")
    words = {
        Change.SAME: "same" if short else "same place",
        Change.UP: f"up {steps}",
        Change.DOWN: f"down {steps}",
        Change.NEW: "new" if short else f"new in the top {k}",
        Change.LEFT: "left" if short else f"left the top {k}",
    }[move.change]
    return f"{icon} {words}{f', {note}' if note else ''}"


def _badge_texts(move: Move, side: Side, k: int) -> tuple[str, str, str]:
    """Return icon, text and note."""
    other_rank = f"now {move.right}" if side is Side.POOLED else f"was {move.left}"
    match move.change:
        case Change.SAME:
            return "=", "same", ""
        case Change.UP:
            return "▲", str(move.steps), other_rank
        case Change.DOWN:
            return "▼", str(-move.steps), other_rank
        case Change.NEW:
            return "✦", "new", f"was {move.left}" if move.left else ""
        case Change.LEFT:
            return "↘", f"left the top {k}", f"now {move.right}" if move.right else ""


def render_card(row: CardRow, side: Side, k: int, thumbnail: str, weights: Weights) -> Markup:
    """Return a card with its hidden facts for the viewer, and the button that explains its move."""
    return render(
        "card",
        row=row,
        side=side,
        move=describe_move(row.move, side, k),
        badge=render_badge(row.move, side, k),
        thumbnail=render_thumbnail(row.hit.page, thumbnail),
        facts=render_facts(row, weights),
    )


def render_thumbnail(page: StoredPage, address: str) -> Markup:
    """Return the thumbnail at an address with its size, or a blank page if the address is empty."""
    # The markup states the size, so that the layout does not shift.
    width, height = thumbnail_size(max(page.width, 1), max(page.height, 1))
    height = max(1, round(MAX_THUMBNAIL_WIDTH * height / width))
    return render("thumbnail", address=address, width=MAX_THUMBNAIL_WIDTH, height=height)


def render_facts(row: CardRow, weights: Weights) -> Markup:
    """Return the viewer's side panel for a page: its ranks in both columns, and its score as a formula with numbers."""
    pooled, late = row.pooled.value, row.late.value
    if math.isnan(late):
        return render("facts", row=row, total=None)
    total = scoring.combine(weights, pooled, late)
    return render("facts", row=row, weights=weights, total=total, places=_count_places(pooled, late, weights, total))


def _count_places(pooled: float, late: float, weights: Weights, total: float) -> int:
    """Return the fewest decimals (3 to 7) with which the printed sum adds up."""
    for places in range(3, 7):
        shown = scoring.combine(weights, round(pooled, places), round(late, places))
        if round(shown, places) == round(total, places):
            return places
    return 7

"""What the viewer says about a page: where it stands in both columns and how its score comes about."""

from __future__ import annotations

import math

from smart_demo import scoring
from smart_demo.store.quotas import size_in_words
from smart_demo.types import StoredPage, Weights
from smart_demo.ui.rows import Part, Row
from smart_demo.ui.wording import count, esc, name, score


def facts(row: Row, weights: Weights) -> str:
    """The viewer's side panel for one page."""
    page, move = row.hit.page, row.move
    return (
        '<div class="facts">'
        f'<h2 class="facts-name">{name(page.document)}</h2>'
        f'<p class="facts-page">page {page.number} of {page.pages}</p>'
        '<dl class="facts-ranks">'
        f"{_rank('Pooled only', move.left, 'pooled')}{_rank('SMART', move.right, 'smart')}"
        "</dl>"
        f"{_parts(row)}"
        f"{formula(row, weights)}"
        f'<p class="facts-small">{esc(_stored(page))}</p>'
        "</div>"
    )


def formula(row: Row, weights: Weights) -> str:
    """The formula with this page's numbers."""
    pooled, late = row.pooled.value, row.late.value
    if math.isnan(late):
        return '<p class="formula">Not scored token by token: it was not among the nearest pages.</p>'
    total = scoring.combined(weights, pooled, late)
    places = _places(row, weights, total)
    return (
        '<p class="formula"><span class="formula-name">SMART score</span> '
        f'<span>{weight(weights.pooled)} × <b class="of-pooled">{score(pooled, places)}</b></span> '
        f'<span>+ {weight(weights.late)} × <b class="of-late">{score(late, places)}</b></span> '
        f'<span>= <b class="of-total">{score(total, places)}</b></span></p>'
    )


def weight(value: float) -> str:
    """A weight to two decimals.

    >>> weight(1.0)
    '1.00'
    """
    return f"{value:.2f}"


def apart(value: float, *others: float) -> str:
    """A weight where something changes, with as many decimals as tell it from 0 and from other weights; two at least.

    >>> apart(0.6234), apart(0.6234, 0.62), apart(0.0012)
    ('0.62', '0.623', '0.001')
    """
    for places in range(2, 6):
        if round(value, places) not in {0.0, *(round(other, places) for other in others)}:
            return f"{value:.{places}f}"
    return f"{value:.6f}"


def _places(row: Row, weights: Weights, total: float) -> int:
    """The fewest decimals with which the sum adds up as it stands there: one that does not is not believed."""
    for places in range(3, 7):
        shown = scoring.combined(weights, round(row.pooled.value, places), round(row.late.value, places))
        if round(shown, places) == round(total, places):
            return places
    return 7


def _rank(label: str, rank: int | None, side: str) -> str:
    shown = f"{rank}" if rank else "not ranked"
    return f'<div class="of-{side}"><dt>{label}</dt><dd>{shown}</dd></div>'


def _parts(row: Row) -> str:
    return (
        '<table class="facts-parts"><thead><tr><th scope="col">part</th><th scope="col">value</th>'
        '<th scope="col">rank by it alone</th></tr></thead><tbody>'
        f"{_part('pooled', row.pooled)}{_part('late', row.late)}</tbody></table>"
    )


def _part(label: str, part: Part) -> str:
    rank = str(part.rank) if part.rank else "–"
    return f'<tr class="of-{label}"><th scope="row">{label}</th><td>{score(part.value)}</td><td>{rank}</td></tr>'


def _stored(page: StoredPage) -> str:
    states = f"{count(page.tokens, 'token state')} kept as {page.codec}"
    return f"{states}, {size_in_words(page.bytes)} on disk with its pictures."

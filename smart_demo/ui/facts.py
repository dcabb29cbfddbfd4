"""What the viewer says about a page: where it stands in both columns and how its score comes about."""

from __future__ import annotations

import math

from smart_demo.types import StoredPage, Weights
from smart_demo.ui.rows import Part, Row
from smart_demo.ui.wording import count, esc, name, score, size


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
    if math.isnan(row.late.value):
        return '<p class="formula">Not scored token by token: it was not among the nearest pages.</p>'
    total = weights.pooled * row.pooled.value + weights.late * row.late.value
    return (
        '<p class="formula" aria-label="SMART score"><span class="formula-name">SMART</span> '
        f'<span>{score_weight(weights.pooled)} × <b class="of-pooled">{score(row.pooled.value)}</b></span> '
        f'<span>+ {score_weight(weights.late)} × <b class="of-late">{score(row.late.value)}</b></span> '
        f'<span>= <b class="of-total">{score(total)}</b></span></p>'
    )


def score_weight(weight: float) -> str:
    """A weight to two decimals, with a real minus."""
    return f"{weight:.2f}".replace("-", "−")


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
    return f"{count(page.tokens, 'token state')} kept as {page.codec}, {size(page.bytes)} on disk with its pictures."

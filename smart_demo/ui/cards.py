"""One result as a card: a single button, so that Tab reaches it and Enter opens it without a script's help."""

from __future__ import annotations

import base64
from collections.abc import Callable

from smart_demo.search.comparison import Change
from smart_demo.types import StoredPage
from smart_demo.ui.badges import Side, badge, spoken
from smart_demo.ui.rows import Part, Row
from smart_demo.ui.wording import esc, name, page_key, score

Thumbnail = Callable[[StoredPage], bytes]
THUMB_WIDTH = 360
"""What the library keeps; the size in the markup is the picture's own, so that nothing jumps."""


def card(row: Row, side: Side, k: int, thumbnail: bytes, facts: str) -> str:
    """A card with its hidden facts for the viewer. `facts` is markup already."""
    page, hit = row.hit.page, row.hit
    label = (
        f"Rank {hit.rank}: {page.document}, page {page.number} of {page.pages}; "
        f"{spoken(row.move, side, k)}. Open the page."
    )
    return (
        f'<li class="place"><button type="button" class="card" data-page="{esc(page_key(page.scope, page.id))}" '
        f'data-side="{side}" data-change="{row.move.change}" aria-label="{esc(label)}">'
        f'<span class="rank">{hit.rank}</span>'
        f'<span class="tray">{image(page, thumbnail)}</span>'
        f'<span class="about"><span class="topline"><span class="title">{name(page.document)}</span>'
        f"{badge(row.move, side, k)}</span>"
        f'<span class="where">page {page.number} of {page.pages}</span>'
        f'<span class="parts">{_part("pooled", row.pooled)}{_part("late", row.late)}</span>'
        f"</span></button><div hidden>{facts}</div>{_why(row, side, k)}</li>"
    )


def _why(row: Row, side: Side, k: int) -> str:
    """What asks why a page moved, beside its card: a button holds no button."""
    page, move = row.hit.page, row.move
    if move.change is Change.SAME:
        return ""
    label = f"Why? {page.document}, page {page.number}: {spoken(move, side, k)}"
    return (
        f'<button type="button" class="moved-why" data-why="{esc(page_key(page.scope, page.id))}" '
        f'aria-label="{esc(label)}">Why?</button>'
    )


def image(page: StoredPage, thumbnail: bytes) -> str:
    """The thumbnail inside the markup, with its size; a plain sheet where the picture is missing."""
    width, height = THUMB_WIDTH, max(1, round(THUMB_WIDTH * page.height / max(page.width, 1)))
    if not thumbnail:
        return f'<svg class="thumb missing" viewBox="0 0 {width} {height}" width="{width}" height="{height}"></svg>'
    data = base64.b64encode(thumbnail).decode("ascii")
    return (
        f'<img class="thumb" src="data:image/webp;base64,{data}" width="{width}" height="{height}" '
        'alt="" decoding="sync" draggable="false">'
    )


def _part(label: str, part: Part) -> str:
    """A number with its rank and a slim bar."""
    rank = f"#{part.rank}" if part.rank else "–"
    return (
        f'<span class="part of-{label}"><span class="part-name">{label}</span>'
        f'<span class="bar"><span class="fill" style="width:{part.fill * 100:.1f}%"></span></span>'
        f'<span class="part-value">{score(part.value)}</span><span class="part-rank">{rank}</span></span>'
    )

"""Markup of the answer to a query: the verdict, two columns of cards and the curves between them; and of no answer."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from smart_demo.indexing.samples import Samples
from smart_demo.search.candidates import CHECKED_TOP, CandidateCheck
from smart_demo.search.comparison import Change
from smart_demo.types import Counted, Found, Reduce, TokenKind, Weights
from smart_demo.ui.cards import (
    CardRow,
    RankedColumns,
    Side,
    ThumbnailLoader,
    build_columns,
    render_card,
    render_facts,
)
from smart_demo.ui.format import esc, format_milliseconds, format_weight, page_key
from smart_demo.ui.render import render
from smart_demo.wording import count

CURVES_HEIGHT = 1000
_ZERO_WEIGHTS = "Both weights are 0, so SMART has nothing to rank by: the order of its column means nothing. Raise one."
_NO_OTHER_TOKENS = (
    "This model keeps only the query's own words, so the ablation leaves nothing out and changes nothing."
)
_NO_CONTENT_TOKENS = "The question has no words of its own, so all of its tokens count."
_STAGES = {"encode": "query encoded", "candidates": "pages found", "score": "scored", "rank": "ranked"}


def render_results(
    found: Found, thumbnail: ThumbnailLoader, link: str = "", search: str = "", check: CandidateCheck | None = None
) -> str:
    """Return the verdict and both columns of a search by POOLED, LATE and SMART.

    link: an address that repeats the search.
    search: what the viewer sends back to have a page explained.
    check: how often the candidates agreed with a full scan.
    """
    columns = build_columns(found)
    if not columns.left and not columns.right:
        return render_empty("No pages here yet", "Add a document in the library, or search the samples.")
    return (
        f'<section class="answer" data-query="{found.query.key}" data-link="{esc(link)}" data-asked="{esc(search)}" '
        'aria-label="Results">'
        f"{_verdict(columns, check)}{''.join(map(_notice, list_notices(columns)))}"
        f'<div class="columns">{_head(Side.POOLED, "Pooled only", "one vector per page")}'
        f'<span class="gutter-head" aria-hidden="true"></span>'
        f"{_head(Side.SMART, 'SMART', describe_formula(columns.weights))}"
        f"{_column(columns.left, Side.POOLED, columns, thumbnail)}"
        f'<div class="gutter">{render_rank_curves(columns)}</div>'
        f"{_column(columns.right, Side.SMART, columns, thumbnail)}</div>"
        '<p class="legend">Bars run from the lowest to the highest value among the ranked pages of this query; '
        "# is a page's place by that part alone. Scores say which page is nearer, not how good it is.</p>"
        "</section>"
    )


def render_empty(title: str, hint: str, *, calm: bool = True) -> str:
    """Return a message in place of the columns. Both arguments are plain text."""
    tone = "" if calm else " is-trouble"
    return (
        f'<section class="empty{tone}" role="status"><svg viewBox="0 0 120 64" width="120" height="64" '
        'aria-hidden="true"><rect x="2" y="10" width="36" height="46" rx="4"/><rect x="82" y="10" width="36" '
        'height="46" rx="4"/><path d="M44 22 C60 22 60 44 76 44 M44 44 C60 44 60 22 76 22"/></svg>'
        f"<h2>{esc(title)}</h2><p>{esc(hint)}</p></section>"
    )


def render_no_query() -> str:
    """Return the message without a query, after its only picture was removed. Its link is empty."""
    return (
        f'<div data-link="">{render_empty("Nothing is asked", "Type a question, or take one of the examples.")}</div>'
    )


def render_opening() -> str:
    """Return the columns in outline, until the first answer is loaded."""
    return _outline("Opening the library", "the first query is answered in a moment", "")


def render_preparing(samples: Samples) -> str:
    """Return the progress of the sample library, with the columns in outline."""
    part = samples.ready / samples.total if samples.total else 0.0
    bar = (
        '<div class="progress" role="progressbar" aria-label="Sample pages" aria-valuemin="0" '
        f'aria-valuemax="{samples.total}" aria-valuenow="{samples.ready}"><i style="width:{part * 100:.1f}%"></i></div>'
    )
    done = f"{samples.ready} of {count(samples.total, 'page')} · only once, the next start finds them ready"
    return _outline("Preparing the sample library", done, bar)


def _outline(title: str, note: str, bar: str) -> str:
    ghost = '<li class="place"><div class="ghost"><i></i><b></b><b></b><b></b></div></li>' * 3
    column = f'<ol class="ranking" aria-hidden="true">{ghost}</ol>'
    return (
        f'<section class="answer outline"><div class="verdict" role="status"><h2>{esc(title)}</h2>'
        f'<p class="meta"><span>{esc(note)}</span></p></div>{bar}'
        f'<div class="columns">{column}<div class="gutter"></div>{column}</div></section>'
    )


def _verdict(columns: RankedColumns, check: CandidateCheck | None) -> str:
    found = columns.found
    right = found.results["smart"]
    times = found.milliseconds
    stages = [f"{label} {format_milliseconds(times[stage])}" for stage, label in _STAGES.items() if stage in times]
    ranked = f"ranked {right.candidates:,} of {count(right.pages, 'page')}"
    if check is not None:
        agreed = f"{check.agreed:,} of {check.queries:,}"
        ranked += f"; a full scan agreed on the first {CHECKED_TOP} for {agreed} checked queries"
    return (
        '<div class="verdict" role="status">'
        f"<h2>{esc(columns.comparison.verdict)}</h2>"
        f'<p class="meta"><span>{esc(ranked)}</span><span title="{esc(", ".join(stages))}">'
        f"{esc(_times(times))}</span><span>{esc(found.encoder.name)}</span></p></div>"
    )


def list_notices(columns: RankedColumns) -> list[str]:
    """Return the sentences that a reader of the answer needs beside its numbers."""
    weights, kinds = columns.weights, columns.found.parts.kinds
    content_only = weights.counted is Counted.CONTENT
    notices = [
        columns.found.encoding.notice,
        "" if weights.pooled or weights.late else _ZERO_WEIGHTS,
        _NO_OTHER_TOKENS if content_only and bool((kinds == TokenKind.CONTENT).all()) else "",
        # A picture that the model sees has no words.
        _NO_CONTENT_TOKENS if content_only and TokenKind.CONTENT not in kinds else "",
    ]
    return [sentence for sentence in notices if sentence]


def _times(milliseconds: Mapping[str, float]) -> str:
    """Return the time to encode the query, unless its encoding was cached, and the time of all later stages."""
    encode, total = milliseconds.get("encode", 0.0), sum(milliseconds.values())
    rest = format_milliseconds(max(total - encode, 0.001))
    return f"encoded in {format_milliseconds(encode)}, ranked in {rest}" if encode >= 1 else f"ranked in {rest}"


def _notice(sentence: str) -> str:
    return f'<p class="notice">{esc(sentence)}</p>'


def _head(side: Side, title: str, subtitle: str) -> str:
    return (
        f'<header class="column-head of-{side}"><h3 id="head-{side}">{esc(title)}</h3><p>{esc(subtitle)}</p></header>'
    )


def describe_formula(weights: Weights) -> str:
    """Return how the right column ranks, in one line."""
    form = " (sum)" if weights.reduce is Reduce.SUM else ""
    words = ", own words only: our ablation" if weights.counted is Counted.CONTENT else ""
    return f"{format_weight(weights.pooled)} × pooled + {format_weight(weights.late)} × late{form}{words}"


def _column(rows: tuple[CardRow, ...], side: Side, columns: RankedColumns, thumbnail: ThumbnailLoader) -> str:
    k = columns.comparison.k
    cards = "".join(
        render_card(row, side, k, thumbnail(row.hit.page), render_facts(row, columns.weights)) for row in rows
    )
    return f'<ol class="ranking of-{side}" aria-labelledby="head-{side}">{cards}</ol>'


def render_rank_curves(columns: RankedColumns) -> Markup:
    """Return an SVG as high as the columns, with a curve from each page's rank on the left to its rank on the right.

    All rows have the same height, so row i of n is at (i + ½) / n without measuring. The curve of a page that leaves or
    enters the top k ends between the columns.
    """
    rows = max(len(columns.left), len(columns.right), 1)
    drawn = [*columns.left, *(row for row in columns.right if row.move.change is Change.NEW)]
    curves = [
        {"change": row.move.change, "page": page_key(*row.hit.page.key), "path": _curve_path(row, rows)}
        for row in drawn
    ]
    return render("rank_curves", height=CURVES_HEIGHT, curves=curves)


def _curve_path(row: CardRow, rows: int) -> str:
    def height(rank: int) -> float:
        return (rank - 0.5) / rows * CURVES_HEIGHT

    here = height(row.hit.rank)
    reach = min(CURVES_HEIGHT / rows * 0.3, CURVES_HEIGHT - here)
    match row.move.change:
        case Change.LEFT:
            return f"M0,{here:.1f} C26,{here:.1f} 40,{here + reach * 0.4:.1f} 42,{here + reach:.1f}"
        case Change.NEW:
            return f"M100,{here:.1f} C74,{here:.1f} 60,{here + reach * 0.4:.1f} 58,{here + reach:.1f}"
        case _:
            there = height(row.move.right or row.hit.rank)
            return f"M0,{here:.1f} C50,{here:.1f} 50,{there:.1f} 100,{there:.1f}"

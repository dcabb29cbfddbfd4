"""The threads between the columns: one curve per page, from its place on the left to its place on the right.

Rows of both columns are equally high, so places are known without measuring: row i of n lies at (i + ½) / n.

The answer to a query: one verdict line, two columns of cards, and what stands there when there is no answer.
"""

from __future__ import annotations

from smart_demo.indexing.samples import Samples
from smart_demo.search.candidates import TOP, CandidateCheck
from smart_demo.search.comparison import Change
from smart_demo.types import Counted, Found, Reduce, TokenKind, Weights
from smart_demo.ui.cards import (
    CardRow,
    RankedColumns,
    Side,
    ThumbnailLoader,
    build_columns,
    format_weight,
    render_card,
    render_facts,
)
from smart_demo.ui.format import esc, format_milliseconds, page_key
from smart_demo.wording import count

CURVES_HEIGHT = 1000


def render_rank_curves(shown: RankedColumns) -> str:
    """An SVG as high as the columns. Pages that leave or enter the top k end in the air, dashed."""
    rows = max(len(shown.left), len(shown.right), 1)
    curves = [_thread(row, rows, leaving=True) for row in shown.left]
    curves += [_thread(row, rows, leaving=False) for row in shown.right if row.move.change is Change.NEW]
    return (
        f'<svg class="threads" viewBox="0 0 100 {CURVES_HEIGHT}" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{"".join(curves)}</svg>'
    )


def _thread(row: CardRow, rows: int, *, leaving: bool) -> str:
    def at(rank: int) -> float:
        return (rank - 0.5) / rows * CURVES_HEIGHT

    here, change = at(row.hit.rank), row.move.change
    reach = min(CURVES_HEIGHT / rows * 0.3, CURVES_HEIGHT - here)
    if change is Change.LEFT:
        path = f"M0,{here:.1f} C26,{here:.1f} 40,{here + reach * 0.4:.1f} 42,{here + reach:.1f}"
    elif change is Change.NEW:
        path = f"M100,{here:.1f} C74,{here:.1f} 60,{here + reach * 0.4:.1f} 58,{here + reach:.1f}"
    else:
        there = at(row.move.right or row.hit.rank) if leaving else here
        path = f"M0,{here:.1f} C50,{here:.1f} 50,{there:.1f} 100,{there:.1f}"
    key = page_key(row.hit.page.scope, row.hit.page.id)
    return (
        f'<path class="thread thread-{change}" data-page="{esc(key)}" d="{path}" fill="none" '
        'vector-effect="non-scaling-stroke"/>'
    )


_WEIGHTLESS = "Both weights are 0, so SMART has nothing to rank by: the order of its column says nothing. Raise one."
_NOTHING_LEFT_OUT = (
    "This model keeps only the query's own words, so the ablation leaves nothing out and changes nothing."
)
_WORDLESS = "The question has no words of its own, so all of its tokens count."
_STAGES = {"encode": "query encoded", "candidates": "pages found", "score": "scored", "rank": "ranked"}


def render_results(
    found: Found, thumbnail: ThumbnailLoader, link: str = "", asked: str = "", checked: CandidateCheck | None = None
) -> str:
    """Verdict and both columns of a search by POOLED, LATE and SMART. `link` is an address that asks the same,
    `asked` what the viewer gives back to have it explained, `checked` what a full scan said of the candidates.
    """
    shown = build_columns(found)
    if not shown.left and not shown.right:
        return render_empty("No pages here yet", "Add a document in the library, or search the samples.")
    return (
        f'<section class="answer" data-query="{found.query.key}" data-link="{esc(link)}" data-asked="{esc(asked)}" '
        'aria-label="Results">'
        f"{_verdict(shown, checked)}{''.join(map(_notice, list_notices(shown)))}"
        f'<div class="columns">{_head(Side.POOLED, "Pooled only", "one vector per page")}'
        f'<span class="gutter-head" aria-hidden="true"></span>'
        f"{_head(Side.SMART, 'SMART', describe_formula(shown.weights))}"
        f"{_column(shown.left, Side.POOLED, shown, thumbnail)}"
        f'<div class="gutter">{render_rank_curves(shown)}</div>'
        f"{_column(shown.right, Side.SMART, shown, thumbnail)}</div>"
        '<p class="legend">Bars run from the lowest to the highest value among the ranked pages of this query; '
        "# is a page's place by that part alone. Scores say which page is nearer, not how good it is.</p>"
        "</section>"
    )


def render_empty(title: str, hint: str, *, calm: bool = True) -> str:
    """What stands in place of columns. Both arguments are plain text."""
    tone = "" if calm else " is-trouble"
    return (
        f'<section class="empty{tone}" role="status"><svg viewBox="0 0 120 64" width="120" height="64" '
        'aria-hidden="true"><rect x="2" y="10" width="36" height="46" rx="4"/><rect x="82" y="10" width="36" '
        'height="46" rx="4"/><path d="M44 22 C60 22 60 44 76 44 M44 44 C60 44 60 22 76 22"/></svg>'
        f"<h2>{esc(title)}</h2><p>{esc(hint)}</p></section>"
    )


def render_no_query() -> str:
    """Nothing is asked: what stands there after a picture without words was taken away. Its address is empty."""
    return (
        f'<div data-link="">{render_empty("Nothing is asked", "Type a question, or take one of the examples.")}</div>'
    )


def render_opening() -> str:
    """The columns in outline, until the first answer is there."""
    return _outline("Opening the library", "the first query is answered in a moment", "")


def render_preparing(samples: Samples) -> str:
    """The sample library on its way, with the columns already in outline."""
    part = samples.ready / samples.total if samples.total else 0.0
    bar = (
        '<div class="progress" role="progressbar" aria-label="Sample pages" aria-valuemin="0" '
        f'aria-valuemax="{samples.total}" aria-valuenow="{samples.ready}"><i style="width:{part * 100:.1f}%"></i></div>'
    )
    done = f"{samples.ready} of {count(samples.total, 'page')} · only once, the next start finds them ready"
    return _outline("Preparing the sample library", done, bar)


def _outline(title: str, said: str, bar: str) -> str:
    ghost = '<li class="place"><div class="ghost"><i></i><b></b><b></b><b></b></div></li>' * 3
    column = f'<ol class="ranking" aria-hidden="true">{ghost}</ol>'
    return (
        f'<section class="answer outline"><div class="verdict" role="status"><h2>{esc(title)}</h2>'
        f'<p class="meta"><span>{esc(said)}</span></p></div>{bar}'
        f'<div class="columns">{column}<div class="gutter"></div>{column}</div></section>'
    )


def _verdict(shown: RankedColumns, checked: CandidateCheck | None) -> str:
    found = shown.found
    right = found.results["smart"]
    stages = [
        f"{said} {format_milliseconds(found.milliseconds[s])}" for s, said in _STAGES.items() if s in found.milliseconds
    ]
    total = sum(found.milliseconds.values())
    ranked = f"ranked {right.candidates:,} of {count(right.pages, 'page')}"
    if checked is not None:
        ranked += (
            f"; a full scan agreed on the first {TOP} for {checked.agreed:,} of {checked.queries:,} checked queries"
        )
    return (
        '<div class="verdict" role="status">'
        f"<h2>{esc(shown.comparison.verdict)}</h2>"
        f'<p class="meta"><span>{esc(ranked)}</span><span title="{esc(", ".join(stages))}">'
        f"{esc(_times(found, total))}</span><span>{esc(found.encoder.name)}</span></p></div>"
    )


def list_notices(shown: RankedColumns) -> list[str]:
    """What must be said of an answer beside its numbers, a sentence each."""
    said = [
        shown.found.encoding.notice,
        "" if shown.weights.pooled or shown.weights.late else _WEIGHTLESS,
        _NOTHING_LEFT_OUT if _ablates_nothing(shown) else "",
        _WORDLESS if _is_wordless(shown) else "",
    ]
    return [sentence for sentence in said if sentence]


def _ablates_nothing(shown: RankedColumns) -> bool:
    """Whether content words alone were asked for of a query that has no other tokens."""
    return shown.weights.counted is Counted.CONTENT and bool((shown.found.parts.kinds == TokenKind.CONTENT).all())


def _times(found: Found, total: float) -> str:
    """Encoding and everything after it; a stage answered from memory says so."""
    encode = found.milliseconds.get("encode", 0.0)
    rest = format_milliseconds(max(total - encode, 0.001))
    return f"encoded in {format_milliseconds(encode)}, ranked in {rest}" if encode >= 1 else f"ranked in {rest}"


def _is_wordless(shown: RankedColumns) -> bool:
    """Whether only words were to count where there are none, as in a picture that the model sees."""
    return shown.weights.counted is Counted.CONTENT and TokenKind.CONTENT not in shown.found.parts.kinds


def _notice(sentence: str) -> str:
    return f'<p class="notice">{esc(sentence)}</p>'


def _head(side: Side, title: str, subtitle: str) -> str:
    return (
        f'<header class="column-head of-{side}"><h3 id="head-{side}">{esc(title)}</h3><p>{esc(subtitle)}</p></header>'
    )


def describe_formula(weights: Weights) -> str:
    """How the right column ranks, in one line."""
    form = " (sum)" if weights.reduce is Reduce.SUM else ""
    words = ", own words only: our ablation" if weights.counted is Counted.CONTENT else ""
    return f"{format_weight(weights.pooled)} × pooled + {format_weight(weights.late)} × late{form}{words}"


def _column(rows: tuple[CardRow, ...], side: Side, shown: RankedColumns, thumbnail: ThumbnailLoader) -> str:
    k = shown.comparison.k
    cards = "".join(
        render_card(row, side, k, thumbnail(row.hit.page), render_facts(row, shown.weights)) for row in rows
    )
    return f'<ol class="ranking of-{side}" aria-labelledby="head-{side}">{cards}</ol>'

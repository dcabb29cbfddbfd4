"""The answer to a query: verdict, two columns of cards and the curves between them; or what is shown instead."""

from __future__ import annotations

from collections.abc import Mapping

from markupsafe import Markup

from smart_demo.methods import Counted, Found
from smart_demo.search.candidate_check import CHECKED_TOP, CandidateCheck
from smart_demo.search.comparison import Change
from smart_demo.search.retrieval import list_little_known
from smart_demo.types import TokenKind
from smart_demo.ui.cards import (
    CardRow,
    Column,
    RankedColumns,
    ThumbnailAddress,
    build_columns,
    render_card,
    render_thumbnail,
)
from smart_demo.ui.format import format_milliseconds, page_key
from smart_demo.ui.moves import MoveWords, curve_path, word_move
from smart_demo.ui.render import render
from smart_demo.wording import count

CURVES_HEIGHT = 1000
_ZERO_WEIGHTS = "Both weights are 0, so the right column has nothing to rank by and its order means nothing. Raise one."
_NO_OTHER_TOKENS = (
    "This model keeps only the query's own words, so the ablation leaves nothing out and changes nothing."
)
_NO_CONTENT_TOKENS = "The question has no words of its own, so all of its tokens count."
_STAGES = {"encode": "query encoded", "candidates": "pages found", "score": "scored", "rank": "ranked"}


def render_results(
    found: Found, thumbnail: ThumbnailAddress, link: str = "", search: str = "", check: CandidateCheck | None = None
) -> Markup:
    """Return the verdict and both columns of a search by `SearchRequest.methods`.

    link: an address that repeats the search.
    search: what the viewer sends back to have a page explained.
    check: how often the candidates agreed with a full scan.
    """
    columns = build_columns(found)
    if not columns.left.rows and not columns.right.rows:
        hint = "Press Add files, or drop them anywhere on this page. Or search the samples."
        return render_empty("No pages here yet", hint, link=link, search=search)

    def cards(column: Column) -> list[Markup]:
        return [render_card(row, column.side, columns, thumbnail(row.hit.page)) for row in column.rows]

    def first_page(column: Column) -> tuple[Column, CardRow, Markup, MoveWords]:
        row = column.rows[0]
        picture = render_thumbnail(row.hit.page, thumbnail(row.hit.page), "first-thumb")
        return column, row, picture, word_move(row.move, column.side, columns.comparison.k)

    both = (columns.left, columns.right)
    return render(
        "answer",
        found=found,
        link=link,
        search=search,
        verdict=columns.comparison.verdict,
        ranked=_describe_ranked(found, check),
        times=_describe_times(found.milliseconds),
        stages=_list_stages(found.milliseconds),
        notices=list_notices(columns),
        first_pages=[first_page(column) for column in both if column.rows],
        columns=[(column, cards(column)) for column in both],
        curves=render_rank_curves(columns),
    )


def render_empty(title: str, hint: str, *, calm: bool = True, link: str = "", search: str = "") -> Markup:
    """Return a message in place of the columns. Title and hint are plain text.

    link, search: those of the answer, as `render_results` takes them, if the message is one.
    """
    return render("empty", title=title, hint=hint, calm=calm, link=link, search=search)


def _describe_ranked(found: Found, check: CandidateCheck | None) -> str:
    _, right = found.compared
    ranked = f"ranked {right.candidates:,} of {count(right.pages, 'page')}"
    if check is None:
        return ranked
    agreed = f"{check.agreed:,} of {check.queries:,}"
    return f"{ranked}; a full scan agreed on the first {CHECKED_TOP} for {agreed} checked queries"


def _describe_times(milliseconds: Mapping[str, float]) -> str:
    """Return the time to encode the query, unless its encoding was cached, and the time of all later stages."""
    encode, total = milliseconds.get("encode", 0.0), sum(milliseconds.values())
    ranked = f"ranked in {format_milliseconds(max(total - encode, 0.001))}"
    return f"encoded in {format_milliseconds(encode)}, {ranked}" if encode >= 1 else ranked


def _list_stages(milliseconds: Mapping[str, float]) -> str:
    shown = {label: milliseconds[stage] for stage, label in _STAGES.items() if stage in milliseconds}
    return ", ".join(f"{label} {format_milliseconds(time)}" for label, time in shown.items())


def list_notices(columns: RankedColumns) -> list[str]:
    """Return the sentences that a reader of the answer needs beside its numbers."""
    weights, kinds = columns.right.method.weights, columns.found.parts.kinds
    content_only = weights.counted is Counted.CONTENT
    hits = [row.hit for row in (*columns.left.rows, *columns.right.rows)]
    notices = [
        *(notice.text for notice in columns.found.notices),
        " ".join(notice.text for notice in columns.found.encoding.notices),
        *(notice.text for notice in list_little_known(columns.found.encoder, hits)),
        "" if weights.pooled or weights.late else _ZERO_WEIGHTS,
        _NO_OTHER_TOKENS if content_only and bool((kinds == TokenKind.CONTENT).all()) else "",
        # A picture that the model sees has no words.
        _NO_CONTENT_TOKENS if content_only and TokenKind.CONTENT not in kinds else "",
    ]
    return [sentence for sentence in notices if sentence]


def render_rank_curves(columns: RankedColumns) -> Markup:
    """Return an SVG as high as the columns, with a curve from each page's rank on the left to its rank on the right.

    All rows have the same height, so row i of n is at (i + ½) / n without measuring. The curve of a page that leaves or
    enters the top k ends between the columns.
    """
    left, right = columns.left.rows, columns.right.rows
    rows = max(len(left), len(right), 1)
    drawn = [*left, *(row for row in right if row.move.change is Change.NEW)]
    curves = [
        {
            "change": row.move.change,
            "page": page_key(*row.hit.page.key),
            "path": curve_path(*_find_ends(row), CURVES_HEIGHT / rows),
        }
        for row in drawn
    ]
    return render("rank_curves", height=CURVES_HEIGHT, curves=curves)


def _find_ends(row: CardRow) -> tuple[int | None, int | None]:
    """Return the number of a page's row in each column, from 0; None if it is not there."""
    here, move = row.hit.rank - 1, row.move
    if move.change is Change.NEW:
        return None, here
    return here, None if move.change is Change.LEFT else (move.right or row.hit.rank) - 1

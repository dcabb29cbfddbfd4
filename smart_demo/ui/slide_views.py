"""The markup of slides: the first page of each ranking, the rank lines, and the count over judged questions.

Nothing here knows which two rankings are compared: their names and formulas come from their methods.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from smart_demo.errors import LibraryError
from smart_demo.evaluation.outcomes import Outcomes
from smart_demo.methods import Found, Hit, Method, SearchResult
from smart_demo.search.comparison import Change, Comparison, Move, compare
from smart_demo.search.request import ON_MINE, ON_SAMPLES, parse_request
from smart_demo.types import StoredPage
from smart_demo.ui.cards import describe_formula
from smart_demo.ui.format import describe_match, page_key, strip_unprintable
from smart_demo.ui.moves import CURVES_WIDTH, Side, curve_path, name_place, summarize_move
from smart_demo.ui.render import render
from smart_demo.ui.stories import StoryOutcome

MAX_QUESTION_WIDTH = 220
"""Columns of a question that fit on a slide; a Chinese character takes two."""
MAX_NAME_CHARS = 48
"""Characters of a document's name in a sentence."""
ROW_HEIGHT = 100
"""Units of the height of a row in the drawing of the rank lines. The style sheet stretches it to that of the lists."""
MIN_PANEL_RATIO = 0.75
"""Least width over height of the room for a page, so that the name of its ranking fits above it."""
ANSWER_SCALE = 0.62
"""Height of an answer that is in neither first place, relative to the first pages; the style sheet has it, too."""
LIBRARIES = {ON_SAMPLES: "the samples", ON_MINE: "your documents"}
"""The libraries with judged questions, as they are named in a sentence."""


@dataclass(frozen=True, slots=True)
class SlideRanks:
    """The lists of both rankings with the answer, if there is one."""

    left: SearchResult
    right: SearchResult
    comparison: Comparison
    answer: StoryOutcome | None

    @property
    def sides(self) -> tuple[tuple[Side, SearchResult], ...]:
        """Both lists with their sides."""
        return (Side.LEFT, self.left), (Side.RIGHT, self.right)

    @property
    def answer_sentence(self) -> str:
        """What the right ranking does to the answer, in plain words; empty without an answer."""
        return self.answer.describe(describe_match(self.right.method.weights).name) if self.answer else ""


@dataclass(frozen=True, slots=True)
class RankRow:
    """One row of a list on the second slide."""

    rank: int | None
    page: StoredPage
    move: str
    """The page's move in words, or empty."""
    change: Change
    is_answer: bool
    beyond: int = 0
    """The number of rows between the page and the list's first pages if it is below them, from 1; else 0."""


def compare_ranks(found: Found, answer: StoryOutcome | None) -> SlideRanks:
    """Return the compared rankings of a search with its answer. Raises LibraryError if either has no page."""
    left, right = found.compared
    if not left.hits or not right.hits:
        raise LibraryError("There is no page to compare.", "Add a document, or search the samples.")
    return SlideRanks(left, right, compare(left, right), answer)


# -- the first slide


def render_pages(ranks: SlideRanks, head: Markup) -> Markup:
    """Return the slide with the first page of each ranking, and with the answer if neither is it."""
    firsts = [result.hits[0].page for _, result in ranks.sides]
    answer = ranks.answer
    apart = answer.page if answer and answer.page.key not in {page.key for page in firsts} else None
    room = sum(map(panel_ratio, firsts)) + (ANSWER_SCALE * panel_ratio(apart) if apart else 0)
    return render(
        "slide_pages",
        head=head,
        panels=[
            {
                "side": side,
                **_describe_method(result.method),
                "page": page,
                "is_answer": answer is not None and page.key == answer.page.key,
            }
            for (side, result), page in zip(ranks.sides, firsts, strict=True)
        ],
        answer=answer,
        apart=apart,
        room=room,
        panel_ratio=panel_ratio,
        sentences=_describe_first_pages(ranks),
    )


def panel_ratio(page: StoredPage) -> float:
    """Return width over height of the room for a page."""
    return max(max(page.width, 1) / max(page.height, 1), MIN_PANEL_RATIO)


def _describe_method(method: Method) -> dict[str, object]:
    """Return a ranking's name in plain words, what it compares, and the same in technical terms."""
    name, note = describe_match(method.weights)
    return {
        "name": name,
        "note": note,
        "terms": f"{method.label}: {describe_formula(method.weights)}",
    }


def _describe_first_pages(ranks: SlideRanks) -> list[str]:
    """Return what to see on the first slide: the answer's move and where to look, or whether the first page changes."""
    if ranks.answer is None:
        differ = "Each list begins with another page." if ranks.comparison.new_first else ""
        return [differ or "Both lists begin with the same page."]
    return list(filter(None, (ranks.answer_sentence, ranks.answer.story.look)))


# -- the second slide


def render_ranks(ranks: SlideRanks, head: Markup) -> Markup:
    """Return the slide with both lists and a line from each page's place on the left to its place on the right.

    If the answer is below a list's first pages, it has a row of its own at the end of it.
    """
    lists = {side: _list_rows(ranks, side, result) for side, result in ranks.sides}
    rows = max(_row_numbers(listed)[-1] + 1 for listed in lists.values())
    density = "few" if rows <= 7 else "some" if rows <= 11 else "many"
    return render(
        "slide_ranks",
        head=head,
        columns=[
            {"side": side, **_describe_method(result.method), "rows": lists[side]} for side, result in ranks.sides
        ],
        rows=rows,
        density=density,
        curves=_draw_curves(lists[Side.LEFT], lists[Side.RIGHT]),
        width=CURVES_WIDTH,
        height=rows * ROW_HEIGHT,
        sentences=describe_moves(ranks),
    )


def _list_rows(ranks: SlideRanks, side: Side, result: SearchResult) -> list[RankRow]:
    def row(hit: Hit) -> RankRow:
        move, key = ranks.comparison.moves[hit.page.key], hit.page.key
        answer = ranks.answer if ranks.answer and key == ranks.answer.page.key else None
        change = answer.change if answer else move.change
        return RankRow(hit.rank, hit.page, _describe_move(move, side, ranks.comparison.k), change, answer is not None)

    rows = [row(hit) for hit in result.hits]
    if ranks.answer and not any(one.is_answer for one in rows):
        left, right = ranks.answer.left, ranks.answer.right
        rank, other = (left, right) if side is Side.LEFT else (right, left)
        # If the answer is below both lists, the lower place gets the lower row, so that the line shows the move.
        is_lower = rank is not None and other is not None and rank > other > len(rows)
        beyond = 2 if is_lower else 1
        rows.append(RankRow(rank, ranks.answer.page, "", ranks.answer.change, is_answer=True, beyond=beyond))
    return rows


def _describe_move(move: Move, side: Side, k: int) -> str:
    """Return a page's move for its row: on the right where it comes from, on the left only that it leaves the list."""
    return summarize_move(move, side, k) if side is Side.RIGHT or move.change is Change.LEFT else ""


def _draw_curves(left: Sequence[RankRow], right: Sequence[RankRow]) -> list[dict[str, object]]:
    """Return the path of every page's line. The line of a page in one list only ends between the lists."""
    starts, ends = (
        {row.page.key: at for row, at in zip(rows, _row_numbers(rows), strict=True)} for rows in (left, right)
    )
    rows = {row.page.key: row for row in (*left, *right)}
    return [
        {
            "page": page_key(*key),
            "path": curve_path(starts.get(key), ends.get(key), ROW_HEIGHT),
            "change": row.change,
            "is_answer": row.is_answer,
        }
        for key, row in rows.items()
    ]


def _row_numbers(rows: Sequence[RankRow]) -> list[int]:
    """Return the number of each row in the drawing, from 0: one far below the list leaves a row empty."""
    return [number + max(row.beyond - 1, 0) for number, row in enumerate(rows)]


def describe_moves(ranks: SlideRanks) -> list[str]:
    """Return what moved, in two or three sentences: the answer, both lists, and without an answer the widest moves."""
    sentences = [ranks.answer_sentence] if ranks.answer else []
    comparison = ranks.comparison
    if comparison.k == 1:
        sentences.append("Both lists have the same page." if comparison.same_order else "Each list has another page.")
    elif comparison.same_order:
        sentences.append(f"Both lists have the same {comparison.k} pages in the same order.")
    elif comparison.shared == comparison.k:
        sentences.append(f"Both lists have the same {comparison.k} pages, in another order.")
    else:
        sentences.append(f"{comparison.shared} of {comparison.k} pages are in both lists.")
    return sentences if ranks.answer else sentences + _describe_widest_moves(ranks)


def _describe_widest_moves(ranks: SlideRanks) -> list[str]:
    pages = {hit.page.key: hit.page for _, result in ranks.sides for hit in result.hits}
    moves = [(move.steps, key) for key, move in ranks.comparison.moves.items()]
    sentences = []
    for (steps, key), verb in ((max(moves, key=_steps), "rises"), (min(moves, key=_steps), "falls")):
        if (steps > 0) == (verb == "rises") and steps:
            move = ranks.comparison.moves[key]
            places = f"from {name_place(move.left)} to {name_place(move.right)}"
            sentences.append(f"{_name_page(pages[key])} {verb} most, {places}.")
    return sentences


def _steps(move: tuple[int, object]) -> int:
    return move[0]


def _name_page(page: StoredPage) -> str:
    name = strip_unprintable(page.document)
    name = name if len(name) <= MAX_NAME_CHARS else f"{name[: MAX_NAME_CHARS - 1]}…"
    return f"{name}, page {page.number}"


# -- the last slide


def render_outcomes(counts: Outcomes | None, compared: tuple[Method, Method], library: str = ON_SAMPLES) -> Markup:
    """Return the slide with the count over judged questions, or how to judge some.

    counts: of the standard rankings. compared: those on the page. library: one of SCOPE_CHOICES.
    """
    standard = parse_request().compared
    left, right = (describe_match(method.weights).name for method in standard)
    if counts is None or not counts.judged:
        return render("slide_outcomes", counts=None, right=right)
    return render(
        "slide_outcomes",
        counts=counts,
        library=LIBRARIES[library],
        left=left,
        right=right,
        bars=[("better", counts.better), ("equal", counts.equal), ("worse", counts.worse)],
        sentence=describe_losses(counts, right),
        remark="" if compared == standard else "Counted with the standard weights, not with those set now.",
    )


def describe_losses(counts: Outcomes, name: str) -> str:
    """Return how often the right ranking is worse and how often it changes nothing."""
    lost = f"loses {counts.worse} of {counts.judged}" if counts.worse else f"loses none of {counts.judged}"
    return f"{name} {lost} and changes nothing in {counts.equal}."


# -- the question


def fit_question(text: str) -> tuple[str, str]:
    """Return a question in one line, cut at MAX_QUESTION_WIDTH, and the size of its type.

    >>> fit_question("tide table"), fit_question("x" * 400)[1]
    (('tide table', 'large'), 'small')
    """
    text = " ".join(strip_unprintable(text).split())
    width, kept = 0, len(text)
    for number, character in enumerate(text):
        width += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if width > MAX_QUESTION_WIDTH:
            kept = number
            break
    shown = text if kept == len(text) else f"{text[:kept].rstrip()}…"
    return shown, "large" if width <= 60 else "medium" if width <= 120 else "small"

"""Markup of scoreboards. What may be concluded is `evaluation.board_sentences`' to say; here it is set beside figures.

Everything from a journal may come from anywhere: it is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence

from smart_demo.evaluation.metrics import Difference
from smart_demo.judging import scoreboard
from smart_demo.judging.records import METHODS
from smart_demo.judging.scoreboard import LABELS, MEASURES, PAIRS, Board, VoteCount
from smart_demo.ui.range_plot import Scale, range_plot, scale, side
from smart_demo.ui.wording import count, esc, queries, score

NOTHING = (
    "Nothing is judged yet. Under <b>Vote</b> you say which of two columns is better, blind; under <b>Grade</b> how "
    "relevant each page is. Or continue an earlier evaluation, below."
)
MARKS = {"up": "▲", "down": "▼", "none": "●"}
"""Beside colour, for those who do not see it."""


def scoreboards(found: Sequence[Board]) -> str:
    """All boards, the latest whole and open, the others folded below it; what to do where there is none."""
    if not found:
        start = '<button type="button" class="share-button is-main" data-panel="vote">Start to vote</button>'
        return f'<div class="board-none"><p>{NOTHING}</p><p class="board-tools">{start}</p></div>'
    latest, *others = found
    folded = "".join(
        f'<details class="board-other"><summary>{esc(scoreboard.title(board))}'
        f"<span>{esc(_short(board))}</span></summary>{_board(board)}</details>"
        for board in others
    )
    why = scoreboard.grouping(found)
    more = f'<p class="board-why">{esc(why)}</p>{folded}' if others else ""
    return f'<p class="board-title">{esc(scoreboard.title(latest))}</p>{_board(latest)}{more}'


def _short(board: Board) -> str:
    return f"{count(board.votes.votes, 'vote')}, {queries(len(board.queries))} with a relevant page"


def _board(board: Board) -> str:
    name = board.conditions.id
    parts = (
        ("votes", "Votes", _votes(board.votes)),
        ("means", "Measures", _means(board)),
        ("differences", "Differences", _differences(board)),
        ("cautions", "To be careful about", _cautions(board)),
    )
    return "".join(
        f'<section class="board-part is-{key}" aria-labelledby="board-{name}-{key}"><h3 id="board-{name}-{key}">'
        f"{esc(title)}</h3><div>{body}</div></section>"
        for key, title, body in parts
        if body
    )


def _votes(votes: VoteCount) -> str:
    cast = (("smart", "SMART wins", votes.wins), ("tie", "ties", votes.ties), ("pooled", "SMART loses", votes.losses))
    bar = "".join(f'<i class="of-{key}" style="flex-grow:{number}"></i>' for key, _, number in cast if number)
    numbers = "".join(
        f'<div class="of-{key}"><dt>{esc(label)}</dt><dd>{number:,}</dd></div>'
        for key, label, number in (*cast, ("bad", "both bad, in no test", votes.bad))
    )
    shown = f'<div class="vote-bar" aria-hidden="true">{bar}</div>' if bar else ""
    return f'<p class="board-said">{esc(votes.conclusion)}</p>{shown}<dl class="vote-numbers">{numbers}</dl>'


def _means(board: Board) -> str:
    if not board.queries:
        return f'<p class="quiet">{_unmeasured(board)}</p>'
    heads = "".join(f'<th scope="col">{esc(scoreboard.measure(name, board.k))}</th>' for name in MEASURES)
    of = board.k * len(board.queries)
    rows = "".join(
        f'<tr class="of-{method}"><th scope="row">{esc(LABELS[method])}</th>'
        + "".join(f"<td>{score(board.means[method][name])}</td>" for name in MEASURES)
        + f'<td class="is-unjudged{" is-some" if board.unjudged[method] else ""}">'
        f"{board.unjudged[method]:,} of {of:,}</td></tr>"
        for method in METHODS
    )
    caption = f"Means over {queries(len(board.queries))} with a relevant page"
    return (
        f'<table class="board-table"><caption>{esc(caption)}</caption><thead><tr><td></td>{heads}'
        f'<th scope="col">pages not graded</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _unmeasured(board: Board) -> str:
    if board.without:
        return "No graded page is relevant, so there is nothing to measure."
    return "No page is graded yet. Grade some under <b>Grade</b>: measures need to know which pages are relevant."


def _differences(board: Board) -> str:
    if not board.queries:
        return ""
    every = [found for some in board.differences.values() for found in some.values()]
    on = scale(every)
    said = dict.fromkeys(scoreboard.conclusion(board, pair, "ndcg") for pair in PAIRS)  # below the floor all agree
    sentences = "".join(f'<p class="board-said">{esc(sentence)}</p>' for sentence in said)
    bodies = "".join(_pair(board, pair, on) for pair in PAIRS)
    ends = "" if board.too_few else _ends(on)
    last = "interval" if not board.too_few else "no interval yet"
    note = "Interval: 95%, paired bootstrap over the queries. One that reaches zero shows no difference."
    return (
        f'{sentences}<table class="board-table is-ranges"><thead><tr><td></td><th scope="col" class="range-head">'
        f'{ends}</th><th scope="col">mean</th><th scope="col">{last}</th><th scope="col">queries</th></tr></thead>'
        f"{bodies}</table>{'' if board.too_few else f'<p class=quiet>{note}</p>'}"
    )


def _ends(on: Scale) -> str:
    reach = f"{on.reach:g}"
    return f'<span aria-hidden="true"><i>−{reach}</i><i>0</i><i>+{reach}</i></span>'


def _pair(board: Board, pair: tuple[str, str], on: Scale) -> str:
    one, other = (LABELS[name] for name in pair)
    rows = "".join(_difference(board, name, board.differences[pair][name], on) for name in MEASURES)
    return (
        f'<tbody><tr class="range-pair"><th scope="rowgroup" colspan="5">{esc(one)} minus {esc(other)}</th></tr>'
        f"{rows}</tbody>"
    )


def _difference(board: Board, measure: str, found: Difference, on: Scale) -> str:
    counted = f"{found.better:,} better, {found.same:,} same, {found.worse:,} worse"
    drawn, interval, mark = "", "", ""
    if not board.too_few:
        drawn = range_plot(found, on)
        interval = f"{signed(found.low)} to {signed(found.high)}"
        mark = f'<span class="range-mark is-{side(found)}" aria-hidden="true">{MARKS[side(found)]}</span> '
    return (
        f'<tr><th scope="row">{esc(scoreboard.measure(measure, board.k))}</th><td class="range-cell">{drawn}</td>'
        f'<td class="range-mean">{mark}{signed(found.mean)}</td><td class="range-interval">{interval}</td>'
        f'<td class="range-counts">{counted}</td></tr>'
    )


def _cautions(board: Board) -> str:
    items = "".join(f"<li>{esc(caution)}</li>" for caution in scoreboard.cautions(board))
    return f'<ul class="board-cautions">{items}</ul>' if items else ""


def signed(value: float) -> str:
    """A difference to three decimals, with its sign; zero has a plus.

    >>> signed(0.1239), signed(-0.02), signed(-0.0)
    ('+0.124', '−0.020', '+0.000')
    """
    return f"{value:+z.3f}".replace("-", "−")

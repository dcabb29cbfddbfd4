"""Markup of the panels Results and Queries before anything is known, and what became of an import. `board.js` and
`queries.js` fill the rest.

A difference of means drawn as a range around zero: a small picture beside the same in figures.

Markup of scoreboards. What may be concluded is `evaluation.board_sentences`' to say; here it is set beside figures.

Everything from a journal may come from anywhere: it is escaped.

Results of an owner's judgements: scoreboards, files to take away, evaluations that go on here.

Every argument is doubted, as in `handlers`. Files are made in memory and handed to whoever asks with the owner's name.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smart_demo.errors import InputRefused, SmartError
from smart_demo.evaluation.metrics import TIE_TOLERANCE, Difference
from smart_demo.judging import scoreboard
from smart_demo.judging.archive import JOURNAL_NAME, build_archive, extract_journal
from smart_demo.judging.journal import PUBLIC_JOURNAL_BYTES, ImportResult, Journal, max_journal_bytes
from smart_demo.judging.query_list import MAX_LIST_BYTES, MAX_LISTED_QUERY_CHARS
from smart_demo.judging.records import METHODS
from smart_demo.judging.replay import Judgements, count_ungraded
from smart_demo.judging.scoreboard import MEASURES, METHOD_LABELS, METHOD_PAIRS, Board, VoteCount, boards
from smart_demo.judging.session import JudgingSession
from smart_demo.types import Scope
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.format import count_queries, esc, format_difference, format_score
from smart_demo.ui.query_table import judgement_list
from smart_demo.wording import count


def results_shell() -> str:
    """Places for the scoreboards and the single judgements, and what takes them away."""
    return (
        '<div class="boards" aria-busy="true"><p class="notice boards-trouble" role="status" hidden></p>'
        '<h2 class="sr-only">Results</h2><div data-fill="boards"></div><p class="board-remaining"></p>'
        '<div data-fill="single"></div>'
        '<section class="board-part is-out" aria-labelledby="board-out"><h3 id="board-out">Take it away</h3><div>'
        '<p class="board-said">The zip holds the journal, a table for spreadsheets, TREC files for other tools and '
        "every figure above. Import it anywhere to go on.</p>"
        '<p class="board-tools"><button type="button" class="share-button is-main" data-file="zip">'
        'Download everything (zip)</button><button type="button" class="share-button" data-file="jsonl">'
        'Only the journal (JSONL)</button><button type="button" class="share-button is-quiet" data-forget>'
        'Delete this evaluation…</button></p><p class="board-file-said" role="status"></p>'
        "</div></section></div>"
    )


def take_in(most: int, *, private: bool) -> str:
    """What can be taken in, beside the box or the button for it."""
    size = f"{most // 2**20} MB"
    if private:
        said = f"A zip or a judgements.jsonl of this program, up to {size}. What is here stays; what is known is not "
        said += "counted twice."
    else:
        # Gradio's limit on uploads holds for all components of a page: raising it for this one would let strangers
        # fill the disk through any other.
        said = (
            f"Paste the lines of a judgements.jsonl, up to {size} with what is here already: this public page takes no "
            "files. It is kept for this browser alone."
        )
    return f'<h3 id="board-in">Continue an earlier evaluation</h3><p class="board-said">{esc(said)}</p>'


def taken(found: ImportResult | str) -> str:
    """What became of an import; a text is why nothing did."""
    if isinstance(found, str):
        return f'<p class="taken is-refused" role="status">{esc(found)}</p>'
    parts = [f"{count(found.added, 'entry').replace('entrys', 'entries')} taken in"]
    parts += [f"{found.known:,} already here"] if found.known else []
    parts += [f"{count(found.refused, 'line')} refused"] if found.refused else []
    if not found.added and not found.known and not found.refused:
        return taken("There is no judgement in that.")
    items = "".join(f"<li>{esc(why)}</li>" for why in found.reasons)
    more = found.refused - len(found.reasons)
    items += f"<li>{more:,} more lines were refused.</li>" if more > 0 else ""
    listed = f'<ul class="board-cautions" aria-label="Refused lines">{items}</ul>' if items else ""
    return f'<div class="taken" role="status"><p>{esc(", ".join(parts))}.</p>{listed}</div>'


def list_intro(most: int, *, private: bool) -> str:
    """What a list may be, said before it is given."""
    forms = "one query a line, a table with a column <code>query</code>, or JSON lines as in <code>queries.jsonl</code>"
    files = "Paste or upload" if private else "Paste"
    return (
        '<h2 class="sr-only">Queries</h2><p class="list-intro">Ask a whole list both ways and see where the rankings '
        f"differ most. {files} {forms}: up to {most:,} queries of {MAX_LISTED_QUERY_CHARS} characters, "
        f"{MAX_LIST_BYTES // 2**20} MB. It is asked with what is set under Compare: where to search, results, weights.</p>"
    )


WIDE, HIGH, EDGE = 240, 26, 8
"""Pixels of a drawing; EDGE is left free at both ends, so that no mark is cut."""
STEPS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Reaches of a scale: it goes as far to the left of zero as to its right."""


@dataclass(frozen=True, slots=True)
class Scale:
    """One for all the ranges of a board, so that they can be compared by eye."""

    reach: float

    def at(self, value: float) -> float:
        """Pixels from the left.

        >>> Scale(0.5).at(0.0), Scale(0.5).at(-0.5), Scale(0.5).at(9.0)
        (120.0, 8.0, 232.0)
        """
        part = min(max(value / self.reach, -1.0), 1.0)
        return WIDE / 2 + part * (WIDE / 2 - EDGE)


def scale(found: Iterable[Difference]) -> Scale:
    """The smallest on which every interval has room."""
    furthest = max((max(abs(one.low), abs(one.high), abs(one.mean)) for one in found), default=0.0)
    return Scale(next((step for step in STEPS if furthest <= step), STEPS[-1]))


def side(found: Difference) -> str:
    """`up` or `down` where the interval lies on one side of zero, else `none`: as `board_sentences` concludes.

    >>> side(Difference(0.1, 0.0, 0.2, 5, 5, 0)), side(Difference(-0.1, -0.2, -0.01, 0, 5, 5))
    ('none', 'down')
    """
    if found.low <= TIE_TOLERANCE and found.high >= -TIE_TOLERANCE:
        return "none"
    return "up" if found.mean > 0 else "down"


def range_plot(found: Difference, on: Scale) -> str:
    """An SVG for the eye alone: figures and words stand beside it."""
    low, mean, high = (on.at(value) for value in (found.low, found.mean, found.high))
    zero, middle = on.at(0.0), HIGH / 2
    bar = f"M{low:.1f},{middle}H{high:.1f}M{low:.1f},{middle - 4}v8M{high:.1f},{middle - 4}v8"
    return (
        f'<svg class="range is-{side(found)}" viewBox="0 0 {WIDE} {HIGH}" aria-hidden="true" focusable="false">'
        f'<path class="range-zero" d="M{zero:.1f},0V{HIGH}"/>'
        f'<path class="range-line" d="{bar}"/>'
        f'<circle cx="{mean:.1f}" cy="{middle}" r="4.5"/></svg>'
    )


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
        f'<details class="board-other"><summary>{esc(scoreboard.board_title(board))}'
        f"<span>{esc(_short(board))}</span></summary>{_board(board)}</details>"
        for board in others
    )
    why = scoreboard.grouping_note(found)
    more = f'<p class="board-why">{esc(why)}</p>{folded}' if others else ""
    return f'<p class="board-title">{esc(scoreboard.board_title(latest))}</p>{_board(latest)}{more}'


def _short(board: Board) -> str:
    return f"{count(board.votes.votes, 'vote')}, {count_queries(len(board.queries))} with a relevant page"


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
    heads = "".join(f'<th scope="col">{esc(scoreboard.measure_label(name, board.k))}</th>' for name in MEASURES)
    of = board.k * len(board.queries)
    rows = "".join(
        f'<tr class="of-{method}"><th scope="row">{esc(METHOD_LABELS[method])}</th>'
        + "".join(f"<td>{format_score(board.means[method][name])}</td>" for name in MEASURES)
        + f'<td class="is-unjudged{" is-some" if board.unjudged[method] else ""}">'
        f"{board.unjudged[method]:,} of {of:,}</td></tr>"
        for method in METHODS
    )
    caption = f"Means over {count_queries(len(board.queries))} with a relevant page"
    return (
        f'<table class="board-table"><caption>{esc(caption)}</caption><thead><tr><td></td>{heads}'
        f'<th scope="col">pages not graded</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _unmeasured(board: Board) -> str:
    if board.without_relevant:
        return "No graded page is relevant, so there is nothing to measure."
    return "No page is graded yet. Grade some under <b>Grade</b>: measures need to know which pages are relevant."


def _differences(board: Board) -> str:
    if not board.queries:
        return ""
    every = [found for some in board.differences.values() for found in some.values()]
    on = scale(every)
    said = dict.fromkeys(
        scoreboard.conclusion(board, pair, "ndcg") for pair in METHOD_PAIRS
    )  # below the floor all agree
    sentences = "".join(f'<p class="board-said">{esc(sentence)}</p>' for sentence in said)
    bodies = "".join(_pair(board, pair, on) for pair in METHOD_PAIRS)
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
    one, other = (METHOD_LABELS[name] for name in pair)
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
        interval = f"{format_difference(found.low)} to {format_difference(found.high)}"
        mark = f'<span class="range-mark is-{side(found)}" aria-hidden="true">{MARKS[side(found)]}</span> '
    return (
        f'<tr><th scope="row">{esc(scoreboard.measure_label(measure, board.k))}</th><td class="range-cell">{drawn}</td>'
        f'<td class="range-mean">{mark}{format_difference(found.mean)}</td><td class="range-interval">{interval}</td>'
        f'<td class="range-counts">{counted}</td></tr>'
    )


def _cautions(board: Board) -> str:
    items = "".join(f"<li>{esc(caution)}</li>" for caution in scoreboard.cautions(board))
    return f'<ul class="board-cautions">{items}</ul>' if items else ""


FAILURE = "a panel of the judging tab could not be answered"
FORMS = {"zip": ("smart-evaluation", "zip", "application/zip"), "jsonl": ("judgements", "jsonl", "application/jsonl")}
"""Form of a file -> its name, its ending, its type."""
EMPTY = "There is nothing to download yet: nothing is judged."


class Boards:
    """Answers of one app, around its judgements."""

    def __init__(self, judging: JudgingSession) -> None:
        self._judging = judging

    @property
    def private(self) -> bool:
        """Whether there is one owner, whose machine this is."""
        return self._judging.is_private

    @property
    def most(self) -> int:
        """Bytes that are taken in."""
        return max_journal_bytes(private=self.private)

    def look(self, wanted: object) -> dict[str, object]:
        """Markup of an owner's scoreboards and single judgements; or a sentence."""
        return answer_or_error(lambda: self._look(self._journal(field(wanted, "owner"))), FAILURE)

    def file(self, wanted: object) -> dict[str, object]:
        """The evaluation as a file of the `form` asked for: name, type and content in base64; or a sentence."""
        return answer_or_error(
            lambda: self._file(self._journal(field(wanted, "owner")), field(wanted, "form")), FAILURE
        )

    def forget(self, wanted: object) -> dict[str, object]:
        """Delete an owner's judgements and list; what was done, as `said`; or a sentence."""
        return answer_or_error(lambda: self._forget(self._judging.owner(field(wanted, "owner"))), FAILURE)

    def take(self, owner: object, data: bytes) -> str:
        """Go on with an exported evaluation. Markup of what became of it, refusals in words among it."""
        try:
            return taken(self._take(self._judging.owner(owner), data))
        except SmartError as error:
            return taken(error.sentence)

    def take_text(self, owner: object, text: object) -> str:
        """The same, from text that was pasted."""
        if not isinstance(text, str) or not text.strip():
            return taken("There is nothing to take in: paste the lines of a judgements.jsonl.")
        if len(text) > self.most:
            return taken(f"That is longer than {self.most // 2**20} MB.")
        return self.take(owner, text.encode("utf-8", "replace"))

    def _journal(self, owner: object) -> Journal:
        return self._judging.journal(self._judging.owner(owner))

    def _look(self, journal: Journal) -> dict[str, object]:
        judged = journal.judgements
        single = judgement_list(judged, len(journal.unreadable_lines))
        return {"boards": scoreboards(boards(judged)), "single": single, "remaining": _remaining(judged)}

    def _file(self, journal: Journal, form: object) -> dict[str, object]:
        if not isinstance(form, str) or form not in FORMS:
            raise InputRefused("An evaluation is saved as a zip or as JSON lines.")
        judged = journal.judgements
        if not judged.events:
            raise InputRefused(EMPTY)
        stem, ending, kind = FORMS[form]
        data = build_archive(judged) if form == "zip" else journal.export_lines()
        name = f"{stem}-{judged.events[-1].at[:10]}.{ending}"
        return {"name": name, "type": kind, "data": base64.b64encode(data).decode("ascii")}

    def _take(self, owner: Scope, data: bytes) -> ImportResult:
        if len(data) > self.most:
            raise InputRefused(
                f"The file is larger than {self.most // 2**20} MB.", f"Choose a zip or a {JOURNAL_NAME}."
            )
        journal, lines = self._judging.journal(owner), extract_journal(data)
        if not self.private and len(lines) + len(journal.export_lines()) > PUBLIC_JOURNAL_BYTES:
            raise InputRefused(
                f"This page keeps {PUBLIC_JOURNAL_BYTES // 2**20} MB of judgements for each visitor, and that would be more.",
                "Run the demo on your own machine to take it in.",
            )
        self._judging.make_room(owner, len(lines))
        return journal.import_lines(lines)

    def _forget(self, owner: Scope) -> dict[str, object]:
        self._judging.delete(owner)
        return {"said": "The evaluation is deleted."}


def _remaining(judged: Judgements) -> str:
    """How much of the pools nobody has graded, in a sentence; empty where that is nothing."""
    found = count_ungraded(judged)
    waiting = sum(number > 0 for number in found.queries.values())
    if not found.total:
        return ""
    return f"{count(found.total, 'page')} of {count_queries(waiting)} still to grade, under Grade."


def field(wanted: object, name: str) -> object:
    """One field of what a script sent; None where it sent no such thing."""
    return wanted.get(name) if isinstance(wanted, dict) else None

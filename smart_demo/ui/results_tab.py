"""The panel Results: scoreboards, and the download, import and deletion of an owner's evaluation.

Arguments from a browser are validated, as in `handlers`. Downloads are created in memory and go to the browser that
names the owner. A journal may come from anywhere, so everything from it is escaped. `judging.scoreboard` writes the
conclusions; the figures and plots here agree with them. `judge.js` requests the panel when it becomes visible and
after every judgement.
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
from smart_demo.judging.records import METHODS
from smart_demo.judging.replay import Judgements, count_ungraded
from smart_demo.judging.scoreboard import MEASURES, METHOD_LABELS, METHOD_PAIRS, Board, VoteCount, boards
from smart_demo.judging.session import JudgingSession
from smart_demo.types import Scope
from smart_demo.ui.events import answer_or_error
from smart_demo.ui.format import esc, format_difference, format_score
from smart_demo.ui.query_table import render_judgements
from smart_demo.wording import count, count_queries

FAILURE = "a request of the judging tab failed"
"""Log line of an unexpected exception."""
FILE_FORMS = {
    "zip": ("smart-evaluation", "zip", "application/zip"),
    "jsonl": ("judgements", "jsonl", "application/jsonl"),
}
"""File name, extension and media type of a download by its form."""
NOTHING_TO_DOWNLOAD = "There is nothing to download yet: nothing is judged."
NOTHING_JUDGED = (
    "Nothing is judged yet. Under <b>Vote</b> you say which of two columns is better, blind; under <b>Grade</b> how "
    "relevant each page is. Or continue an earlier evaluation, below."
)
SIDE_MARKS = {"up": "▲", "down": "▼", "none": "●"}
"""Marks of `interval_side`, because colour alone does not reach every reader."""
PLOT_WIDTH, PLOT_HEIGHT, PLOT_MARGIN = 240, 26, 8
"""Pixels of a plot. The margin at both ends keeps marks from being cut."""
SCALE_LIMITS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Choices of a scale's limit."""


class ResultsHandlers:
    """Handlers of the panel Results of one app."""

    def __init__(self, judging: JudgingSession) -> None:
        self._judging = judging

    @property
    def is_private(self) -> bool:
        """Whether the page has one owner: the person on whose machine it runs."""
        return self._judging.is_private

    @property
    def max_bytes(self) -> int:
        """Maximum size of an import."""
        return max_journal_bytes(private=self.is_private)

    def scoreboards(self, request: object) -> dict[str, object]:
        """Return the markup of an owner's scoreboards and judgements and what remains to grade; or `sentence`."""
        return answer_or_error(lambda: self._scoreboards(self._journal(request_field(request, "owner"))), FAILURE)

    def download(self, request: object) -> dict[str, object]:
        """Return an owner's evaluation in the requested `form`: name, type and content in base64; or `sentence`."""
        return answer_or_error(
            lambda: self._download(self._journal(request_field(request, "owner")), request_field(request, "form")),
            FAILURE,
        )

    def delete(self, request: object) -> dict[str, object]:
        """Delete an owner's judgements and list. Return the outcome as `said`, or `sentence`."""
        return answer_or_error(
            lambda: self._delete(self._judging.owner(request_field(request, "owner"))),
            FAILURE,
        )

    def import_evaluation(self, owner: object, data: bytes) -> str:
        """Import an exported evaluation. Return the markup of the outcome, or of the refusal."""
        try:
            return render_import_result(self._import(self._judging.owner(owner), data))
        except SmartError as error:
            return render_import_result(error.sentence)

    def import_text(self, owner: object, text: object) -> str:
        """Import pasted lines of a journal. Return the markup of the outcome, or of the refusal."""
        if not isinstance(text, str) or not text.strip():
            return render_import_result("There is nothing to import: paste the lines of a judgements.jsonl.")
        if len(text) > self.max_bytes:
            return render_import_result(f"That is longer than {self.max_bytes // 2**20} MB.")
        return self.import_evaluation(owner, text.encode("utf-8", "replace"))

    def _journal(self, owner: object) -> Journal:
        return self._judging.journal(self._judging.owner(owner))

    def _scoreboards(self, journal: Journal) -> dict[str, object]:
        judged = journal.judgements
        return {
            "boards": render_scoreboards(boards(judged)),
            "single": render_judgements(judged, len(journal.unreadable_lines)),
            "remaining": _remaining_sentence(judged),
        }

    def _download(self, journal: Journal, form: object) -> dict[str, object]:
        if not isinstance(form, str) or form not in FILE_FORMS:
            raise InputRefused("An evaluation is saved as a zip or as JSON lines.")
        judged = journal.judgements
        if not judged.events:
            raise InputRefused(NOTHING_TO_DOWNLOAD)
        stem, extension, media_type = FILE_FORMS[form]
        data = build_archive(judged) if form == "zip" else journal.export_lines()
        name = f"{stem}-{judged.events[-1].at[:10]}.{extension}"
        return {"name": name, "type": media_type, "data": base64.b64encode(data).decode("ascii")}

    def _delete(self, owner: Scope) -> dict[str, object]:
        self._judging.delete(owner)
        return {"said": "The evaluation is deleted."}

    def _import(self, owner: Scope, data: bytes) -> ImportResult:
        if len(data) > self.max_bytes:
            raise InputRefused(
                f"The file is larger than {self.max_bytes // 2**20} MB.", f"Choose a zip or a {JOURNAL_NAME}."
            )
        journal, lines = self._judging.journal(owner), extract_journal(data)
        if not self.is_private and len(lines) + len(journal.export_lines()) > PUBLIC_JOURNAL_BYTES:
            raise InputRefused(
                f"This page keeps {PUBLIC_JOURNAL_BYTES // 2**20} MB of judgements for each visitor, and that would be "
                "more.",
                "Import it into the demo on your own machine.",
            )
        self._judging.ensure_room(owner, len(lines))
        return journal.import_lines(lines)


def request_field(request: object, name: str) -> object:
    """Return one field of a script's request, or None if the request is no object or lacks the field."""
    return request.get(name) if isinstance(request, dict) else None


def render_results_panel() -> str:
    """Return the panel without figures: elements that the script fills, and the buttons for downloads and deletion."""
    return (
        '<div class="boards" aria-busy="true"><p class="notice boards-trouble" role="status" hidden></p>'
        '<h2 class="sr-only">Results</h2><div data-fill="boards"></div><p class="board-remaining"></p>'
        '<div data-fill="single"></div>'
        '<section class="board-part is-out" aria-labelledby="board-out"><h3 id="board-out">Download</h3><div>'
        '<p class="board-said">The zip holds the journal, a table for spreadsheets, TREC files for other tools and '
        "every figure above. Import it anywhere to continue.</p>"
        '<p class="board-tools"><button type="button" class="share-button is-main" data-file="zip">'
        'Download everything (zip)</button><button type="button" class="share-button" data-file="jsonl">'
        'Only the journal (JSONL)</button><button type="button" class="share-button is-quiet" data-forget>'
        'Delete this evaluation…</button></p><p class="board-file-said" role="status"></p>'
        "</div></section></div>"
    )


def render_import_intro(max_bytes: int, *, private: bool) -> str:
    """Return what can be imported, for the place beside the upload button or the text box."""
    size = f"{max_bytes // 2**20} MB"
    if private:
        text = (
            f"A zip or a judgements.jsonl of this program, up to {size}. It is added to your judgements here; nothing "
            "is counted twice."
        )
    else:
        # Gradio has one upload limit for all components of a page: if it were raised for this one, strangers could
        # fill the disk through any other.
        text = (
            f"Paste the lines of a judgements.jsonl, up to {size} together with your judgements here. This public page "
            "takes no files. Only this browser can open the result."
        )
    return f'<h3 id="board-in">Continue an earlier evaluation</h3><p class="board-said">{esc(text)}</p>'


def render_import_result(result: ImportResult | str) -> str:
    """Return the outcome of an import, or the reason why it was refused."""
    if isinstance(result, str):
        return f'<p class="taken is-refused" role="status">{esc(result)}</p>'
    if not result.added and not result.known and not result.refused:
        return render_import_result("There is no judgement in that.")
    parts = ["1 entry imported" if result.added == 1 else f"{result.added:,} entries imported"]
    parts += [f"{result.known:,} already here"] if result.known else []
    parts += [f"{count(result.refused, 'line')} refused"] if result.refused else []
    items = "".join(f"<li>{esc(reason)}</li>" for reason in result.reasons)
    more = result.refused - len(result.reasons)
    items += f"<li>{more:,} more lines were refused.</li>" if more > 0 else ""
    reasons = f'<ul class="board-cautions" aria-label="Refused lines">{items}</ul>' if items else ""
    return f'<div class="taken" role="status"><p>{esc(", ".join(parts))}.</p>{reasons}</div>'


def render_scoreboards(found: Sequence[Board]) -> str:
    """Return the scoreboards, the latest unfolded, or how to start if there are none."""
    if not found:
        start = '<button type="button" class="share-button is-main" data-panel="vote">Start to vote</button>'
        return f'<div class="board-none"><p>{NOTHING_JUDGED}</p><p class="board-tools">{start}</p></div>'
    latest, *others = found
    folded = "".join(
        f'<details class="board-other"><summary>{esc(scoreboard.board_title(board))}'
        f"<span>{esc(_describe_board(board))}</span></summary>{_render_board(board)}</details>"
        for board in others
    )
    note = f'<p class="board-why">{esc(scoreboard.grouping_note(found))}</p>' if others else ""
    return f'<p class="board-title">{esc(scoreboard.board_title(latest))}</p>{_render_board(latest)}{note}{folded}'


def _describe_board(board: Board) -> str:
    return f"{count(board.votes.votes, 'vote')}, {count_queries(len(board.queries))} with a relevant page"


def _render_board(board: Board) -> str:
    name = board.conditions.id
    parts = (
        ("votes", "Votes", _render_votes(board.votes)),
        ("means", "Measures", _render_means(board)),
        ("differences", "Differences", _render_differences(board)),
        ("cautions", "To be careful about", _render_cautions(board)),
    )
    return "".join(
        f'<section class="board-part is-{key}" aria-labelledby="board-{name}-{key}"><h3 id="board-{name}-{key}">'
        f"{esc(title)}</h3><div>{body}</div></section>"
        for key, title, body in parts
        if body
    )


def _render_votes(votes: VoteCount) -> str:
    outcomes = (
        ("smart", "SMART wins", votes.wins),
        ("tie", "ties", votes.ties),
        ("pooled", "SMART loses", votes.losses),
    )
    segments = "".join(f'<i class="of-{key}" style="flex-grow:{number}"></i>' for key, _, number in outcomes if number)
    numbers = "".join(
        f'<div class="of-{key}"><dt>{esc(label)}</dt><dd>{number:,}</dd></div>'
        for key, label, number in (*outcomes, ("bad", "both bad, in no test", votes.bad))
    )
    bar = f'<div class="vote-bar" aria-hidden="true">{segments}</div>' if segments else ""
    return f'<p class="board-said">{esc(votes.conclusion)}</p>{bar}<dl class="vote-numbers">{numbers}</dl>'


def _render_means(board: Board) -> str:
    if not board.queries and board.without_relevant:
        return '<p class="quiet">No graded page is relevant, so there is nothing to measure.</p>'
    if not board.queries:
        return (
            '<p class="quiet">No page is graded yet. Grade some under <b>Grade</b>: measures need to know which pages '
            "are relevant.</p>"
        )
    heads = "".join(f'<th scope="col">{esc(scoreboard.measure_label(name, board.k))}</th>' for name in MEASURES)
    ranked = board.k * len(board.queries)
    rows = "".join(
        f'<tr class="of-{method}"><th scope="row">{esc(METHOD_LABELS[method])}</th>'
        + "".join(f"<td>{format_score(board.means[method][name])}</td>" for name in MEASURES)
        + f'<td class="is-unjudged{" is-some" if board.unjudged[method] else ""}">'
        f"{board.unjudged[method]:,} of {ranked:,}</td></tr>"
        for method in METHODS
    )
    caption = f"Means over {count_queries(len(board.queries))} with a relevant page"
    return (
        f'<table class="board-table"><caption>{esc(caption)}</caption><thead><tr><td></td>{heads}'
        f'<th scope="col">pages not graded</th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _render_differences(board: Board) -> str:
    if not board.queries:
        return ""
    scale = fit_scale(found for measures in board.differences.values() for found in measures.values())
    conclusions = dict.fromkeys(  # with too few queries all pairs have the same one
        scoreboard.conclusion(board, pair, "ndcg") for pair in METHOD_PAIRS
    )
    sentences = "".join(f'<p class="board-said">{esc(sentence)}</p>' for sentence in conclusions)
    bodies = "".join(_render_pair(board, pair, scale) for pair in METHOD_PAIRS)
    axis, label, note = "", "no interval yet", ""
    if not board.too_few:
        limit = f"{scale.limit:g}"
        axis = f'<span aria-hidden="true"><i>−{limit}</i><i>0</i><i>+{limit}</i></span>'
        label = "interval"
        note = (
            "<p class=quiet>Interval: 95%, paired bootstrap over the queries. One that reaches zero shows no "
            "difference.</p>"
        )
    return (
        f'{sentences}<table class="board-table is-ranges"><thead><tr><td></td><th scope="col" class="range-head">'
        f'{axis}</th><th scope="col">mean</th><th scope="col">{label}</th><th scope="col">queries</th></tr></thead>'
        f"{bodies}</table>{note}"
    )


def _render_pair(board: Board, pair: tuple[str, str], scale: Scale) -> str:
    first, second = (METHOD_LABELS[name] for name in pair)
    rows = "".join(_render_difference(board, name, board.differences[pair][name], scale) for name in MEASURES)
    return (
        f'<tbody><tr class="range-pair"><th scope="rowgroup" colspan="5">{esc(first)} minus {esc(second)}</th></tr>'
        f"{rows}</tbody>"
    )


def _render_difference(board: Board, measure: str, found: Difference, scale: Scale) -> str:
    counts = f"{found.better:,} better, {found.same:,} same, {found.worse:,} worse"
    plot, interval, mark = "", "", ""
    if not board.too_few:
        plot = render_interval(found, scale)
        interval = f"{format_difference(found.low)} to {format_difference(found.high)}"
        side = interval_side(found)
        mark = f'<span class="range-mark is-{side}" aria-hidden="true">{SIDE_MARKS[side]}</span> '
    return (
        f'<tr><th scope="row">{esc(scoreboard.measure_label(measure, board.k))}</th><td class="range-cell">{plot}</td>'
        f'<td class="range-mean">{mark}{format_difference(found.mean)}</td><td class="range-interval">{interval}</td>'
        f'<td class="range-counts">{counts}</td></tr>'
    )


def _render_cautions(board: Board) -> str:
    items = "".join(f"<li>{esc(caution)}</li>" for caution in scoreboard.cautions(board))
    return f'<ul class="board-cautions">{items}</ul>' if items else ""


def _remaining_sentence(judged: Judgements) -> str:
    """Return how many pages still have no grade, or an empty text if all have one."""
    found = count_ungraded(judged)
    queries = sum(number > 0 for number in found.queries.values())
    if not found.total:
        return ""
    return f"{count(found.total, 'page')} of {count_queries(queries)} still to grade, under Grade."


@dataclass(frozen=True, slots=True)
class Scale:
    """The horizontal scale of all plots of a board, from -limit to limit, so that they can be compared by eye."""

    limit: float

    def x(self, value: float) -> float:
        """Return the pixels of a value from the left. Values outside the scale are drawn at its end.

        >>> Scale(0.5).x(0.0), Scale(0.5).x(-0.5), Scale(0.5).x(9.0)
        (120.0, 8.0, 232.0)
        """
        part = min(max(value / self.limit, -1.0), 1.0)
        return PLOT_WIDTH / 2 + part * (PLOT_WIDTH / 2 - PLOT_MARGIN)


def fit_scale(found: Iterable[Difference]) -> Scale:
    """Return the smallest scale that contains every interval."""
    furthest = max((max(abs(each.low), abs(each.high), abs(each.mean)) for each in found), default=0.0)
    return Scale(next((limit for limit in SCALE_LIMITS if furthest <= limit), SCALE_LIMITS[-1]))


def interval_side(found: Difference) -> str:
    """Return `up` or `down` if the interval is above or below zero, else `none`, as `scoreboard.conclusion` does.

    >>> interval_side(Difference(0.1, 0.0, 0.2, 5, 5, 0)), interval_side(Difference(-0.1, -0.2, -0.01, 0, 5, 5))
    ('none', 'down')
    """
    if found.low <= TIE_TOLERANCE and found.high >= -TIE_TOLERANCE:
        return "none"
    return "up" if found.mean > 0 else "down"


def render_interval(found: Difference, scale: Scale) -> str:
    """Return a difference with its interval as an SVG, hidden from screen readers: the figures are beside it."""
    low, mean, high = (scale.x(value) for value in (found.low, found.mean, found.high))
    zero, middle = scale.x(0.0), PLOT_HEIGHT / 2
    bar = f"M{low:.1f},{middle}H{high:.1f}M{low:.1f},{middle - 4}v8M{high:.1f},{middle - 4}v8"
    return (
        f'<svg class="range is-{interval_side(found)}" viewBox="0 0 {PLOT_WIDTH} {PLOT_HEIGHT}" aria-hidden="true" '
        'focusable="false">'
        f'<path class="range-zero" d="M{zero:.1f},0V{PLOT_HEIGHT}"/>'
        f'<path class="range-line" d="{bar}"/>'
        f'<circle cx="{mean:.1f}" cy="{middle}" r="4.5"/></svg>'
    )

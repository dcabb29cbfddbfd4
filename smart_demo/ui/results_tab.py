"""The panel Results: scoreboards, the list of judgements, and download, import and deletion of an evaluation.

Arguments from a browser are validated, as in `handlers`. Downloads are created in memory and go to their owner's
browser. A journal may come from anywhere, and the templates escape it. `judging.scoreboard` writes the
conclusions; the figures and plots here agree with them. `judge.js` requests the panel when it becomes visible and
after every judgement.
"""

from __future__ import annotations

import base64
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from markupsafe import Markup

from smart_demo.errors import InputRefused, SmartError
from smart_demo.evaluation.metrics import TIE_TOLERANCE, Difference
from smart_demo.judging.archive import JOURNAL_NAME, build_archive, extract_journal
from smart_demo.judging.journal import PUBLIC_JOURNAL_BYTES, ImportResult, max_journal_bytes
from smart_demo.judging.judging_store import JudgingStore
from smart_demo.judging.records import Grade, Judgements, Skip, Vote, count_ungraded
from smart_demo.judging.scoreboard import (
    MEASURES,
    METHOD_LABELS,
    METHOD_PAIRS,
    Board,
    board_title,
    boards,
    cautions,
    conclusion,
    format_weights,
    grouping_note,
    measure_label,
)
from smart_demo.judging.trials import Conditions, Trial
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, REGION_PREFIX, SearchRequest, parse_request
from smart_demo.types import PageId
from smart_demo.ui.events import answer_errors, request_field
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import NOTHING, render
from smart_demo.wording import count, count_queries, limit_in_words

FAILURE = "a request of the judging tab failed"
"""Log line of an unexpected exception."""
FILE_FORMS = {
    "zip": ("smart-evaluation", "zip", "application/zip"),
    "jsonl": ("judgements", "jsonl", "application/jsonl"),
}
"""File name, extension and media type of a download by its form."""
NOTHING_TO_DOWNLOAD = "There is nothing to download yet: nothing is judged."
PLOT_WIDTH, PLOT_HEIGHT, PLOT_MARGIN = 240, 26, 8
"""Pixels of a plot. The margin at both ends keeps marks from being cut."""
SCALE_LIMITS = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
"""Choices of a scale's limit."""
MAX_OPEN_QUERIES, MAX_LISTED_QUERIES = 10, 200
"""Judged queries shown at once, and listed in all: the last judged first. The export has every one."""
MAX_SHOWN_CHARS = 300
"""Characters of a judged query's text."""
CHOICE_BY_SCOPES = {("samples",): ON_SAMPLES, ("local",): ON_MINE, ("local", "samples"): ON_BOTH}
"""Scope choices of a request by the scopes of a recorded trial, which are sorted."""


class ResultsHandlers:
    """Handlers of the panel Results of one app."""

    def __init__(self, judging: JudgingStore, handlers: Handlers) -> None:
        self._judging, self._handlers = judging, handlers

    @property
    def max_bytes(self) -> int:
        """Maximum size of an import."""
        return max_journal_bytes(self._handlers.engine.settings)

    @answer_errors(FAILURE)
    def scoreboards(self, request: object) -> dict[str, object]:
        """Return the markup of the visitor's scoreboards and judgements and what remains to grade; or `sentence`."""
        del request
        owner = self._handlers.owner
        journal = self._judging.journal(owner)
        judged = journal.judgements
        linked = frozenset(query.key for query in self._judging.queries(owner))
        return {
            "boards": render_scoreboards(boards(judged)),
            "single": render_judgements(judged, len(journal.unreadable_lines), linked),
            "remaining": _remaining_sentence(judged),
        }

    @answer_errors(FAILURE)
    def download(self, request: object) -> dict[str, object]:
        """Return the visitor's evaluation in the requested `form`: name, type and content in base64; or `sentence`."""
        form = request_field(request, "form")
        journal = self._judging.journal(self._handlers.owner)
        if not isinstance(form, str) or form not in FILE_FORMS:
            raise InputRefused("An evaluation is saved as a zip or as JSON lines.")
        judged = journal.judgements
        if not judged.events:
            raise InputRefused(NOTHING_TO_DOWNLOAD)
        stem, extension, media_type = FILE_FORMS[form]
        data = build_archive(judged, journal.unreadable_lines) if form == "zip" else journal.export_lines()
        name = f"{stem}-{judged.events[-1].at[:10]}.{extension}"
        return {"name": name, "type": media_type, "data": base64.b64encode(data).decode("ascii")}

    @answer_errors(FAILURE)
    def delete(self, request: object) -> dict[str, object]:
        """Delete the visitor's judgements and list. Return the outcome as `said`, or `sentence`."""
        del request
        self._judging.delete(self._handlers.owner)
        return {"said": "The evaluation is deleted."}

    def import_evaluation(self, data: bytes) -> Markup:
        """Import an exported evaluation. Return the markup of the outcome, or of the refusal."""
        try:
            return render_import_result(self._import(data))
        except SmartError as error:
            return render_import_result(error.sentence)

    def import_text(self, text: object) -> Markup:
        """Import pasted lines of a journal. Return the markup of the outcome, or of the refusal."""
        if not isinstance(text, str) or not text.strip():
            return render_import_result("There is nothing to import: paste the lines of a judgements.jsonl.")
        if len(text) > self.max_bytes:
            return render_import_result(f"That is longer than {limit_in_words(self.max_bytes)}.")
        return self.import_evaluation(text.encode("utf-8", "replace"))

    def _import(self, data: bytes) -> ImportResult:
        if len(data) > self.max_bytes:
            raise InputRefused(
                f"The file is larger than {limit_in_words(self.max_bytes)}.", f"Choose a zip or a {JOURNAL_NAME}."
            )
        owner = self._handlers.owner
        journal, lines = self._judging.journal(owner), extract_journal(data)
        if not self._handlers.is_private and len(lines) + len(journal.export_lines()) > PUBLIC_JOURNAL_BYTES:
            raise InputRefused(
                f"This page keeps {limit_in_words(PUBLIC_JOURNAL_BYTES)} of judgements for each visitor, and that "
                "would be more.",
                "Import it into the demo on your own machine.",
            )
        self._judging.ensure_room(owner, len(lines))
        return journal.import_lines(lines)


def render_import_result(result: ImportResult | str) -> Markup:
    """Return the outcome of an import, or the reason why it was refused."""
    if isinstance(result, ImportResult) and not (result.added or result.known or result.refused):
        result = "There is no judgement in that."
    return render("import_result", result=result)


def render_scoreboards(found: Sequence[Board]) -> Markup:
    """Return the scoreboards, the latest unfolded, or how to start if there are none."""
    return render(
        "scoreboards",
        views=[BoardView(board) for board in found],
        note=grouping_note(found),
        methods=METHOD_LABELS,
        interval_side=interval_side,
        render_interval=render_interval,
    )


def _remaining_sentence(judged: Judgements) -> str:
    """Return how many pages still have no grade, or an empty text if all have one."""
    numbers = [number for number in count_ungraded(judged).values() if number]
    if not numbers:
        return ""
    return f"{count(sum(numbers), 'page')} of {count_queries(len(numbers))} still to grade, under Grade."


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


@dataclass(frozen=True)
class BoardView:
    """A scoreboard with its sentences and labels."""

    board: Board

    @property
    def title(self) -> str:
        """The board's conditions in one line."""
        return board_title(self.board)

    @property
    def measures(self) -> dict[str, str]:
        """Labels of the measures by name."""
        return {name: measure_label(name, self.board.k) for name in MEASURES}

    @property
    def conclusions(self) -> tuple[str, ...]:
        """Sentences on the differences in nDCG, each once: with too few queries all pairs of methods have the same."""
        return tuple(dict.fromkeys(conclusion(self.board, pair, "ndcg") for pair in METHOD_PAIRS))

    @property
    def cautions(self) -> tuple[str, ...]:
        """Sentences on what limits the figures."""
        return tuple(cautions(self.board))

    @cached_property
    def scale(self) -> Scale:
        """The scale of all its plots."""
        return fit_scale(found for measures in self.board.differences.values() for found in measures.values())


def interval_side(found: Difference) -> str:
    """Return `up` or `down` if the interval is above or below zero, else `none`, as `conclusion` does.

    >>> interval_side(Difference(0.1, 0.0, 0.2, 5, 5, 0)), interval_side(Difference(-0.1, -0.2, -0.01, 0, 5, 5))
    ('none', 'down')
    """
    if found.low <= TIE_TOLERANCE and found.high >= -TIE_TOLERANCE:
        return "none"
    return "up" if found.mean > 0 else "down"


def render_interval(found: Difference, scale: Scale) -> Markup:
    """Return a difference with its interval as an SVG, hidden from screen readers: the figures are beside it."""
    return render(
        "interval",
        side=interval_side(found),
        low=scale.x(found.low),
        mean=scale.x(found.mean),
        high=scale.x(found.high),
        zero=scale.x(0.0),
        width=PLOT_WIDTH,
        height=PLOT_HEIGHT,
    )


@dataclass(frozen=True, slots=True)
class JudgedEntry:
    """The current vote and grades of one query under one set of conditions."""

    trial: Trial
    """The last trial that was judged."""
    vote: Vote | None
    grades: dict[PageId, Grade]
    """Grades given under these conditions."""

    @property
    def request(self) -> SearchRequest | None:
        """The request that repeats the trial's search in Compare, with its weights.

        None for an uploaded picture, which is no longer stored.
        """
        trial, query, weights = self.trial, self.trial.query, self.trial.weights
        if query.picture and not query.picture.startswith(REGION_PREFIX):
            return None
        scope = CHOICE_BY_SCOPES.get(trial.library.scopes, ON_SAMPLES)
        return parse_request(
            query.text, scope, trial.k, weights.pooled, weights.late, weights.reduce, weights.counted, query.picture
        )


def render_judgements(judged: Judgements, unreadable_lines: int = 0, linked: Collection[str] = frozenset()) -> Markup:
    """Return all current judgements by query, then the number of those that do not count. Empty without any event.

    unreadable_lines: lines of the journal that are no events. linked: keys of the queries of the judge's list.
    """
    entries = _group_by_query(judged)
    if not judged.events:
        return NOTHING
    return render(
        "judgements",
        latest=entries[:MAX_OPEN_QUERIES],
        earlier=entries[MAX_OPEN_QUERIES:MAX_LISTED_QUERIES],
        unlisted=len(entries[MAX_LISTED_QUERIES:]),
        votes=sum(entry.vote is not None for entry in entries),
        grades=sum(len(entry.grades) for entry in entries),
        uncounted=_describe_uncounted(judged, unreadable_lines),
        format_weights=format_weights,
        max_chars=MAX_SHOWN_CHARS,
        linked=linked,
    )


def _group_by_query(judged: Judgements) -> tuple[JudgedEntry, ...]:
    """Return the current votes and grades by query and conditions, the last judged first."""
    found: dict[tuple[Conditions, str], JudgedEntry] = {}
    for event in judged.events:
        if not isinstance(event, Vote | Grade) or not judged.is_current(event):
            continue
        key = (event.trial.conditions, event.trial.query.key)
        before = found.pop(key, None) or JudgedEntry(event.trial, None, {})
        if isinstance(event, Vote):
            found[key] = JudgedEntry(event.trial, event, before.grades)
        else:
            found[key] = JudgedEntry(event.trial, before.vote, {**before.grades, event.page: event})
    return tuple(reversed(found.values()))


def _describe_uncounted(judged: Judgements, unreadable_lines: int) -> str:
    """Return the numbers of stored judgements and lines that do not count, or an empty text if all count."""
    cast = [event for event in judged.events if isinstance(event, Vote | Grade)]
    undone = sum(event.id in judged.undone for event in judged.events if isinstance(event, Vote | Grade | Skip))
    replaced = sum(event.id not in judged.undone and not judged.is_current(event) for event in cast)
    lines = "line" if unreadable_lines == 1 else "lines"
    counts = [
        (undone, "undone"),
        (replaced, "replaced by a later one"),
        (len(judged.skipped), f"{'query' if len(judged.skipped) == 1 else 'queries'} skipped"),
        (unreadable_lines, f"{lines} of the file not understood and left unchanged"),
    ]
    return ", ".join(f"{number:,} {what}" for number, what in counts if number)

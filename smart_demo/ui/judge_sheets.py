"""The panels Vote and Grade of one owner: a sheet for each query, and the start and the end of the list.

Before the vote a sheet is made of `BlindColumns` alone, so it cannot contain a method, a score, a badge or a map.
If the columns are exchanged, the markup has them exchanged and is equal otherwise; a test checks that. The grade sheet
shows the pages of a query in a random order and contains no rank until every page has a grade and the voter has voted
or asked for the ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from smart_demo.judging.judging_store import JudgingProgress, JudgingStore, judging_progress
from smart_demo.judging.query_list import MAX_LISTED_QUERY_CHARS
from smart_demo.judging.records import (
    MAX_NOTE_CHARS,
    REASONS,
    Vote,
    VoteChoice,
    count_ungraded,
    pages_to_grade,
    revealed_query,
)
from smart_demo.judging.scoreboard import METHOD_LABELS
from smart_demo.judging.trials import BlindColumns, Trial
from smart_demo.methods import SMART
from smart_demo.search.request import SearchRequest, format_url_query
from smart_demo.types import PageId, Scope, StoredPage
from smart_demo.ui.cards import ThumbnailAddress, describe_formula, render_thumbnail
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import render
from smart_demo.ui.tickets import Ticket, Tickets

GRADE_LABELS = ("Not relevant", "A little", "It helps", "It answers")
"""Labels of the grades 0 to 3."""


def no_thumbnail(_: StoredPage) -> str:
    """Return no picture, for a sheet whose thumbnails the browser already has."""
    return ""


@dataclass(frozen=True, slots=True)
class SearchSetup:
    """The search of the judged queries, and the settings it can be changed to."""

    search: SearchRequest
    scopes: Sequence[str]
    """Scopes to choose from."""
    compare: SearchRequest
    """The search now set in Compare."""

    @property
    def differs(self) -> bool:
        """Whether Compare has another depth or other weights."""
        return (self.compare.top, self.compare.weights) != (self.search.top, self.search.weights)

    @property
    def summary(self) -> str:
        """Scope, pages a column and weights in one line."""
        search = self.search
        return f"{search.scope} · {search.top} pages a column · SMART = {describe_formula(search.weights)}"

    @property
    def offer(self) -> str:
        """Pages a column and weights of Compare in one line."""
        return f"{self.compare.top} pages, {describe_formula(self.compare.weights)}"


@dataclass(frozen=True)
class VoteSheet:
    """One query to vote on, or voted on."""

    query: str
    ticket: str
    columns: BlindColumns
    progress: JudgingProgress
    setup: SearchSetup
    sides_shown: bool
    """Whether the judge has seen the sides of this query before."""
    vote: Vote | None
    """The vote, which reveals the sides, or None while the sheet is blind."""
    link: str
    """URL query that opens the same search in Compare."""
    key: str = ""
    """`Query.key` of the query, which its address contains."""

    @property
    def columns_are_equal(self) -> bool:
        """Whether both columns have the same pages in the same order."""
        return [page.key for page in self.columns.a] == [page.key for page in self.columns.b]


@dataclass(frozen=True)
class GradeSheet:
    """The pages of one query to grade."""

    query: str
    ticket: str
    pages: Sequence[StoredPage]
    """Pages in the order of grading."""
    grades: Mapping[PageId, int]
    """Grades given."""
    progress: JudgingProgress
    ungraded_elsewhere: int
    """Number of ungraded pages of the other judged queries."""
    ranks: Trial | None
    """The trial whose ranks are shown, or None to hide them."""
    key: str = ""
    """`Query.key` of the query, which its address contains."""

    @property
    def graded(self) -> int:
        """Number of pages with a grade."""
        return sum(page.id in self.grades for page in self.pages)

    @property
    def complete(self) -> bool:
        """Whether every page has a grade."""
        return self.graded == len(self.pages)

    @property
    def pages_by_rank(self) -> list[StoredPage]:
        """Pages in SMART's order, if ranks are shown."""
        order = self.ranks.orders[SMART.name] if self.ranks else ()
        return sorted(self.pages, key=lambda page: order.index(page.id) if page.id in order else len(order))


class JudgeSheets:
    """Renders the panels of one app's owners."""

    def __init__(self, judging: JudgingStore, handlers: Handlers) -> None:
        self.judging, self.handlers = judging, handlers
        self.tickets = Tickets(handlers)

    def vote_panel(self, owner: Scope, compare: SearchRequest) -> Markup:
        """Render the open query's columns, the start panel before the first query, or the end panel after the last."""
        return self._panel(owner, compare, self.render_votes)

    def grade_panel(self, owner: Scope, compare: SearchRequest) -> Markup:
        """Render the open query's pages to grade, the start panel, or the end panel."""
        return self._panel(owner, compare, self.render_grades)

    def render_votes(self, ticket: Ticket, thumbnail: ThumbnailAddress = no_thumbnail) -> Markup:
        """Render the vote sheet of a query: blind before its vote, revealed after it."""
        judged, trial = self.judging.journal(ticket.owner).judgements, ticket.trial
        vote = judged.votes.get((trial.conditions, trial.query.key))
        sheet = VoteSheet(
            trial.query.text,
            ticket.id,
            ticket.columns(vote.trial if vote else trial),
            self.progress(ticket),
            SearchSetup(ticket.search, self.handlers.scope_choices(), ticket.compare),
            # An undone vote has shown them too.
            (trial.seed, trial.query.key) in map(revealed_query, judged.events),
            vote,
            format_url_query(replace(ticket.search, text=trial.query.text)),
            trial.query.key,
        )
        return render_vote_sheet(sheet, thumbnail)

    def render_grades(
        self, ticket: Ticket, thumbnail: ThumbnailAddress = no_thumbnail, *, ranks: bool = False
    ) -> Markup:
        """Render the grade sheet of a query. ranks: show the ranks of its pages without a vote too."""
        judged, trial = self.judging.journal(ticket.owner).judgements, ticket.trial
        voted = (trial.conditions, trial.query.key) in judged.votes
        sheet = GradeSheet(
            trial.query.text,
            ticket.id,
            [ticket.pages[page] for page in pages_to_grade(trial) if page in ticket.pages],
            {page: grade.grade for page, grade in judged.trial_grades(trial).items()},
            self.progress(ticket),
            sum(number for key, number in count_ungraded(judged).items() if key != trial.query.key),
            trial if voted or ranks else None,
            trial.query.key,
        )
        return render(
            "grade_sheet",
            sheet=sheet,
            thumbnail=lambda page: render_thumbnail(page, thumbnail(page)),
            rank_text=rank_text,
            grade_labels=GRADE_LABELS,
        )

    def progress(self, ticket: Ticket) -> JudgingProgress:
        """Return the progress through the owner's list, at the ticket's query."""
        queries = self.judging.queries(ticket.owner)
        judged = self.judging.journal(ticket.owner).judgements
        return judging_progress(queries, min(ticket.position, len(queries)), judged, ticket.trial.conditions)

    def _panel(
        self, owner: Scope, compare: SearchRequest, render_sheet: Callable[[Ticket, ThumbnailAddress], Markup]
    ) -> Markup:
        judging = self.judging
        worklist, public = judging.worklist(owner), not self.handlers.is_private
        if not judging.started(owner):
            setup = SearchSetup(replace(compare, scope=worklist.search.scope), self.handlers.scope_choices(), compare)
            return render("judge_start", worklist=worklist, setup=setup, public=public)
        journal = judging.journal(owner)
        if worklist.current is None:
            conditions = self.tickets.conditions(worklist.search)
            progress = judging_progress(worklist.queries, worklist.position, journal.judgements, conditions)
            return render("judge_end", progress=progress, max_query_chars=MAX_LISTED_QUERY_CHARS)
        ticket = self.tickets.issue(owner, worklist, worklist.current, compare, journal.session.seed)
        return render_sheet(ticket, self.handlers.picture_addresses.thumbnail)


def render_vote_sheet(sheet: VoteSheet, thumbnail: ThumbnailAddress) -> Markup:
    """Render the panel Vote: blind before the vote, revealed after it."""
    return render(
        "vote_sheet",
        sheet=sheet,
        thumbnail=lambda page: render_thumbnail(page, thumbnail(page)),
        rank_text=rank_text,
        verdict=describe_vote(sheet.vote) if sheet.vote else "",
        method_labels=METHOD_LABELS,
        reasons=REASONS,
        max_note_chars=MAX_NOTE_CHARS,
        max_query_chars=MAX_LISTED_QUERY_CHARS,
    )


def rank_text(trial: Trial, method: str, page: PageId) -> str:
    """Return a page's recorded rank, or the lowest rank it can have, such as `11+`."""
    order = trial.orders[method]
    return str(order.index(page) + 1) if page in order else f"{len(order) + 1}+"


def describe_vote(vote: Vote) -> str:
    """Return a vote in one sentence that reveals the winner."""
    if vote.winner:
        return f"You preferred {vote.choice.upper()}: {METHOD_LABELS[vote.winner]}."
    return "You said: a tie." if vote.choice is VoteChoice.TIE else "You said: both are bad."

"""The panels Vote and Grade of one owner: tickets of what was shown, and the sheets made from them.

A vote is about what the voter saw. So a ticket keeps the trial that was shown until the vote arrives, even if the
library changes. Its id reveals nothing: the sides stay on the server. `vote_sheet` has the markup of Vote, this module
that of Grade. The grade sheet shows the pages of a query in a random order and contains no rank until every page has a
grade and the voter has voted or asked for the ranks.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from smart_demo.diagnostics import journal_versions
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.query_list import ListedQuery
from smart_demo.judging.queue import JudgingProgress, JudgingQueue, judging_progress
from smart_demo.judging.recording import judged_methods, library_fingerprint, record_trial, recorded_depth
from smart_demo.judging.records import BlindColumns, Conditions, Trial
from smart_demo.judging.replay import Judgements, count_ungraded, pages_to_grade, revealed_query
from smart_demo.judging.session import JudgingSession
from smart_demo.search.request import SearchRequest, format_url_query
from smart_demo.types import POOLED, SMART, PageId, Scope, StoredPage
from smart_demo.ui import vote_sheet
from smart_demo.ui.cards import ThumbnailLoader, render_thumbnail
from smart_demo.ui.format import bdi, esc, page_key
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.vote_sheet import SearchSetup, VoteSheet, rank_text, render_vote_sheet
from smart_demo.wording import count

MAX_TICKETS, MAX_TICKETS_PER_OWNER = 256, 64
"""Tickets kept in memory, of all owners and of one."""
GRADE_LABELS = ("Not relevant", "A little", "It helps", "It answers")
"""Labels of the grades 0 to 3."""
_NOT_BLIND = "You have not voted on this query. Once you know the ranks, a vote on it is no longer blind."


class NotReadyToJudge(LibraryError):
    """The pages to judge are not ready yet. No action is needed but to retry."""


class TicketExpired(InputRefused):
    """A ticket is no longer known; the page shows its query again."""

    def __init__(self) -> None:
        super().__init__("This was shown too long ago to be judged.", "Look at it once more, then judge.")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One query as it was shown to its owner."""

    id: str
    """32 random hex digits."""
    owner: Scope
    position: int
    """Index of the query in the owner's list."""
    search: SearchRequest
    """Scope, depth and weights of the search."""
    compare: SearchRequest
    """Depth and weights set in Compare when the query was shown."""
    trial: Trial
    pages: Mapping[PageId, StoredPage]
    """Pages of the recorded rankings that the library has."""

    def columns(self, trial: Trial | None = None) -> BlindColumns:
        """Return the pages of both columns, of this trial or of an earlier one of the same query."""
        trial = trial or self.trial
        a, b = (self._first_pages(trial, method) for method in (trial.sides.a, trial.sides.b))
        return BlindColumns(a, b)

    def _first_pages(self, trial: Trial, method: str) -> tuple[StoredPage, ...]:
        rows = trial.ranking(method)[: trial.k]
        return tuple(self.pages[row.page] for row in rows if row.page in self.pages)


class Tickets:
    """Tickets of all owners, in memory. Safe for threads."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._tickets: OrderedDict[str, Ticket] = OrderedDict()
        self._lock = threading.Lock()

    def issue(self, owner: Scope, queue: JudgingQueue, query: ListedQuery, compare: SearchRequest, seed: str) -> Ticket:
        """Search a query and store its ticket. Raises NotReadyToJudge, QueryRefused or LibraryError."""
        search = queue.search
        scopes = self._searchable_scopes(search)
        found = self._handlers.engine.search(
            self._handlers.query_for_visitor(query.query),
            scopes,
            judged_methods(search.weights),
            recorded_depth(search.top),
        )
        trial = record_trial(found, search.top, seed, journal_versions())
        ranked = {row.page for ranking in trial.rankings for row in ranking}
        pages: dict[PageId, StoredPage] = {}
        for page in found.parts.pages:
            if page.id in ranked:
                pages.setdefault(page.id, page)
        ticket = Ticket(secrets.token_hex(16), owner, queue.position, search, compare, trial, pages)
        with self._lock:
            self._tickets[ticket.id] = ticket
            for own in self._ids_of(owner)[:-MAX_TICKETS_PER_OWNER]:
                del self._tickets[own]
            while len(self._tickets) > MAX_TICKETS:
                self._tickets.popitem(last=False)
        return ticket

    def find(self, owner: Scope, ticket_id: object) -> Ticket:
        """Return an owner's ticket. Raises TicketExpired if it is unknown or another owner's."""
        with self._lock:
            ticket = self._tickets.get(ticket_id) if isinstance(ticket_id, str) else None
        if ticket is None or ticket.owner != owner:
            raise TicketExpired
        return ticket

    def delete(self, owner: Scope) -> None:
        """Delete every ticket of an owner."""
        with self._lock:
            for own in self._ids_of(owner):
                del self._tickets[own]

    def check_scope(self, scope: str) -> None:
        """Raise InputRefused if the current visitor may not search one of SCOPE_CHOICES."""
        self._handlers.resolve_scopes(scope)

    def conditions(self, search: SearchRequest) -> Conditions:
        """Return the conditions under which a query would be judged now, without a search. Raises as `issue` does."""
        scopes, engine = self._searchable_scopes(search), self._handlers.engine
        encoder = engine.backbone(scopes[0]).encoder.fingerprint
        return Conditions(library_fingerprint(engine.library.pages(scopes, encoder)), encoder, search.weights)

    def _searchable_scopes(self, search: SearchRequest) -> tuple[Scope, ...]:
        """Return the scopes to judge. Raises InputRefused if they are not allowed, NotReadyToJudge while they load."""
        handlers = self._handlers
        scopes = handlers.resolve_scopes(search.scope)
        if handlers.is_model_loading(scopes):
            raise NotReadyToJudge(
                f"{handlers.serving().name} is still loading.", "Your documents can be judged in a moment."
            )
        if pending := handlers.pending_samples(scopes):
            if pending.failed or pending.samples is None:
                raise LibraryError("The samples are not ready.", pending.error)
            done = f"{pending.samples.ready} of {pending.samples.total} pages"
            raise NotReadyToJudge("The sample library is being prepared.", f"{done} are ready. This happens only once.")
        return scopes

    def _ids_of(self, owner: Scope) -> list[str]:
        return [ticket.id for ticket in self._tickets.values() if ticket.owner == owner]


class JudgeSheets:
    """Renders the panels of one app's owners."""

    def __init__(self, judging: JudgingSession, handlers: Handlers) -> None:
        self.judging, self.handlers = judging, handlers
        self.tickets = Tickets(handlers)

    def vote_panel(self, owner: Scope, compare: SearchRequest) -> str:
        """Render the open query's columns, the start panel before the first query, or the end panel after the last."""
        load = self.handlers.load_thumbnail
        return self._panel(owner, compare, lambda ticket: self.render_votes(ticket, load))

    def grade_panel(self, owner: Scope, compare: SearchRequest) -> str:
        """Render the open query's pages to grade, the start panel, or the end panel."""
        load = self.handlers.load_thumbnail
        return self._panel(owner, compare, lambda ticket: self.render_grades(ticket, load))

    def render_votes(self, ticket: Ticket, thumbnail: ThumbnailLoader | None = None) -> str:
        """Render the vote sheet of a query: blind before its vote, revealed after it."""
        judged, trial = self.judging.journal(ticket.owner).judgements, ticket.trial
        vote = judged.votes.get((trial.conditions, trial.query.key))
        sheet = VoteSheet(
            trial.query.text,
            ticket.id,
            ticket.columns(vote.trial if vote else trial),
            self.progress(ticket),
            SearchSetup(ticket.search, self.handlers.scope_choices(), ticket.compare),
            _sides_were_shown(judged, ticket),
            vote,
            format_url_query(replace(ticket.search, text=trial.query.text)),
        )
        return render_vote_sheet(sheet, thumbnail or _no_thumbnail)

    def render_grades(self, ticket: Ticket, thumbnail: ThumbnailLoader | None = None, *, ranks: bool = False) -> str:
        """Render the grade sheet of a query. ranks: show the ranks of its pages without a vote too."""
        judged, trial = self.judging.journal(ticket.owner).judgements, ticket.trial
        pages = [ticket.pages[page] for page in pages_to_grade(trial) if page in ticket.pages]
        grades = {str(page): grade.grade for page, grade in judged.trial_grades(trial).items()}
        voted = (trial.conditions, trial.query.key) in judged.votes
        ungraded = count_ungraded(judged).queries
        ungraded_elsewhere = sum(number for key, number in ungraded.items() if key != trial.query.key)
        sheet = GradeSheet(
            trial.query.text,
            ticket.id,
            pages,
            grades,
            self.progress(ticket),
            ungraded_elsewhere,
            trial if voted or ranks else None,
        )
        return render_grade_sheet(sheet, thumbnail or _no_thumbnail)

    def progress(self, ticket: Ticket) -> JudgingProgress:
        """Return the progress through the owner's list, at the ticket's query."""
        queries = self.judging.queries(ticket.owner)
        judged = self.judging.journal(ticket.owner).judgements
        return judging_progress(queries, min(ticket.position, len(queries)), judged, ticket.trial.conditions)

    def _panel(self, owner: Scope, compare: SearchRequest, render: Callable[[Ticket], str]) -> str:
        judging = self.judging
        queue, public = judging.queue(owner), not self.handlers.is_private
        if not judging.started(owner):
            setup = SearchSetup(replace(compare, scope=queue.search.scope), self.handlers.scope_choices(), compare)
            return vote_sheet.start_panel(queue, setup, public=public)
        journal = judging.journal(owner)
        if queue.current is None:
            conditions = self.tickets.conditions(queue.search)
            progress = judging_progress(queue.queries, queue.position, journal.judgements, conditions)
            return vote_sheet.end_panel(progress)
        return render(self.tickets.issue(owner, queue, queue.current, compare, journal.session.seed))


@dataclass(frozen=True)
class GradeSheet:
    """The pages of one query to grade."""

    query: str
    ticket: str
    pages: Sequence[StoredPage]
    """Pages in the order of grading."""
    grades: Mapping[str, int]
    """Grades given, by `str(page.id)`."""
    progress: JudgingProgress
    ungraded_elsewhere: int
    """Number of ungraded pages of the other judged queries."""
    ranks: Trial | None
    """The trial whose ranks are shown, or None to hide them."""

    @property
    def graded(self) -> int:
        """Number of pages with a grade."""
        return sum(str(page.id) in self.grades for page in self.pages)


def render_grade_sheet(sheet: GradeSheet, thumbnail: ThumbnailLoader) -> str:
    """Render the panel Grade."""
    complete = sheet.graded == len(sheet.pages)
    ranks = (_ranks_table(sheet) if sheet.ranks else _ranks_offer()) if complete else ""
    slips = "".join(_page_slip(sheet, place, page, thumbnail(page)) for place, page in enumerate(sheet.pages, start=1))
    following = min(sheet.progress.position + 1, sheet.progress.total)
    header = vote_sheet.sheet_header(sheet.query, sheet.progress, grading_progress(sheet))
    return (
        f'<section class="sheet-of-grades" data-ticket="{sheet.ticket}" data-next="{following}" '
        f'aria-label="Graded relevance">{header}'
        f'{ranks}<div class="pool"><ul class="slips" role="listbox" aria-label="Pages to grade" '
        f'aria-orientation="horizontal">{slips}</ul>'
        '<div class="reading"><button type="button" class="reading-page" data-view aria-label="Open the page large">'
        '<img alt="" draggable="false" hidden></button><p class="reading-said"></p></div>'
        f"{_grade_form(following)}</div></section>"
    )


def grading_progress(sheet: GradeSheet) -> str:
    """Return the number of graded pages in words.

    >>> from smart_demo.judging.queue import JudgingProgress
    >>> grading_progress(GradeSheet("tide", "", (), {}, JudgingProgress((), 0), 31, None))
    '0 of 0 graded; 31 pages of other judged queries wait'
    """
    graded = f"{sheet.graded} of {len(sheet.pages)} graded"
    if not sheet.ungraded_elsewhere:
        return graded
    verb = "waits" if sheet.ungraded_elsewhere == 1 else "wait"
    return f"{graded}; {count(sheet.ungraded_elsewhere, 'page')} of other judged queries {verb}"


def _page_slip(sheet: GradeSheet, place: int, page: StoredPage, thumbnail: bytes) -> str:
    grade = sheet.grades.get(str(page.id))
    words = "not graded" if grade is None else f"grade {grade}, {GRADE_LABELS[grade].lower()}"
    shown = "–" if grade is None else str(grade)
    label = f"Page {place} of {len(sheet.pages)}: {page.document}, page {page.number}; {words}"
    return (
        f'<li class="slip" role="option" tabindex="-1" aria-selected="false" aria-label="{esc(label)}" '
        f'data-page="{esc(page_key(page.scope, page.id))}" data-grade="{"" if grade is None else grade}">'
        f'<span class="leaf-tray">{render_thumbnail(page, thumbnail)}</span>'
        f'<span class="slip-grade" aria-hidden="true">{shown}</span>'
        f'<span class="leaf-name">{bdi(page.document)}</span><span class="leaf-page">page {page.number}</span></li>'
    )


def _grade_form(following: int) -> str:
    """Render the buttons of the grades. following: index of the next query."""
    buttons = "".join(
        f'<button type="button" class="choice" data-as="{grade}" aria-keyshortcuts="{grade}" aria-pressed="false">'
        f"<kbd>{grade}</kbd><span>{words}</span></button>"
        for grade, words in enumerate(GRADE_LABELS)
    )
    return (
        '<div class="vote-desk is-grades"><p class="vote-trouble" role="alert" hidden></p>'
        f'<div class="choices" role="group" aria-label="How relevant is this page to the query?">{buttons}</div>'
        '<p class="vote-keys"><span><kbd>←</kbd> <kbd>→</kbd> pages, <kbd>v</kbd> large. '
        "The order is random, and ranks stay hidden until every page has a grade.</span>"
        f'<span class="vote-ways">{vote_sheet.UNDO_BUTTON}<button type="button" class="way" data-go="{following}" '
        'aria-keyshortcuts="n">Next query <kbd>n</kbd></button></span></p></div>'
    )


def _ranks_offer() -> str:
    """Render the choice between a vote and the ranks, for a judge who has not voted."""
    return (
        f'<div class="ranks is-hidden"><p><b>Every page has a grade.</b> {_NOT_BLIND}</p><p class="judge-ways">'
        '<button type="button" class="quiet-button" data-show="vote">Vote first</button>'
        '<button type="button" class="quiet-button" data-ranks>Show the ranks</button></p></div>'
    )


def _ranks_table(sheet: GradeSheet) -> str:
    """Render every page with its grade and both ranks, in SMART's order."""
    trial = sheet.ranks
    if trial is None:
        return ""
    order = trial.orders[SMART.name]
    by_rank = sorted(sheet.pages, key=lambda page: order.index(page.id) if page.id in order else len(order))
    rows = "".join(
        f'<tr><th scope="row">{bdi(page.document)} <span>page {page.number}</span></th>'
        f"<td>{sheet.grades[str(page.id)]}</td><td>{rank_text(trial, POOLED.name, page.id)}</td>"
        f'<td class="of-smart">{rank_text(trial, SMART.name, page.id)}</td></tr>'
        for page in by_rank
    )
    return (
        '<div class="ranks"><table><caption>Every page has a grade. These are the ranks.</caption><thead><tr>'
        '<th scope="col">page</th><th scope="col">grade</th><th scope="col">rank, pooled</th>'
        f'<th scope="col" class="of-smart">rank, SMART</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def _no_thumbnail(_: StoredPage) -> bytes:
    """Return no picture, for a sheet whose thumbnails the browser already has."""
    return b""


def _sides_were_shown(judged: Judgements, ticket: Ticket) -> bool:
    """Return whether the owner has seen the sides of the ticket's query, by an undone vote perhaps."""
    return (ticket.trial.seed, ticket.trial.query.key) in map(revealed_query, judged.events)

"""What is on judges' screens: each query searched once, recorded, and known again by a ticket when it is judged.

A vote is about what was seen. So the rankings that were shown are kept here until the vote comes, whatever happens to
the library meanwhile. The ticket tells nothing: the sides stay on the server.

Markup of graded relevance: the pages of a query's pool in a random order, one of them large, each with its grade.

No rank is in it before it is asked for and every page has a grade.

An owner's journal and desk -> the panels Vote and Grade as they stand.
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
from smart_demo.judging.records import (
    BlindColumns,
    Conditions,
    Trial,
    judged_methods,
    library_fingerprint,
    record_trial,
    recorded_depth,
)
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
"""Screens that are remembered, of all judges together and of one."""


class NotReadyToJudge(LibraryError):
    """What is judged is not there yet, and comes by itself."""


class TicketExpired(InputRefused):
    """A ticket of a screen that is not remembered: it is shown again, and judged then."""

    def __init__(self) -> None:
        super().__init__("This was shown too long ago to be judged.", "Look at it once more, then judge.")


@dataclass(frozen=True, slots=True)
class Ticket:
    """One query as one judge sees it."""

    ticket: str
    owner: Scope
    at: int
    """Its position in the judge's list."""
    search: SearchRequest
    """How it was searched,"""
    dials: SearchRequest
    """and how Compare stood at that time."""
    trial: Trial
    pages: Mapping[PageId, StoredPage]
    """Those of the recorded rankings that are in the library."""

    def columns(self, trial: Trial | None = None) -> BlindColumns:
        """The pages of both columns: of this trial, or of an earlier one of the same query."""
        trial = trial or self.trial
        a, b = (self._first(trial, method) for method in (trial.sides.a, trial.sides.b))
        return BlindColumns(a, b)

    def _first(self, trial: Trial, method: str) -> tuple[StoredPage, ...]:
        rows = trial.ranking(method)[: trial.k]
        return tuple(self.pages[row.page] for row in rows if row.page in self.pages)


class Tickets:
    """Safe for threads."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._shown: OrderedDict[str, Ticket] = OrderedDict()
        self._lock = threading.Lock()

    def show(self, owner: Scope, desk: JudgingQueue, query: ListedQuery, dials: SearchRequest, seed: str) -> Ticket:
        """Search the query of a desk and remember what is shown of it. NotReady, QueryRefused, or LibraryError."""
        search = desk.search
        scopes = self.searchable(search)
        wanted = judged_methods(search.weights)
        found = self._handlers.engine.search(
            self._handlers.query_for_visitor(query.query), scopes, wanted, recorded_depth(search.top)
        )
        trial = record_trial(found, search.top, seed, journal_versions())
        if not (trial.ranking(POOLED.name) and trial.ranking(SMART.name)):
            raise LibraryError("There are no pages to judge here.", "Add a document in the library.")
        ranked = {row.page for ranking in trial.rankings for row in ranking}
        pages: dict[PageId, StoredPage] = {}
        for page in found.parts.pages:
            if page.id in ranked:
                pages.setdefault(page.id, page)
        shown = Ticket(secrets.token_hex(16), owner, desk.position, search, dials, trial, pages)
        with self._lock:
            self._shown[shown.ticket] = shown
            mine = [ticket for ticket, one in self._shown.items() if one.owner == owner]
            for ticket in mine[:-MAX_TICKETS_PER_OWNER]:
                del self._shown[ticket]
            while len(self._shown) > MAX_TICKETS:
                self._shown.popitem(last=False)
        return shown

    def forget(self, owner: Scope) -> None:
        """Drop everything that was shown to somebody."""
        with self._lock:
            for ticket in [ticket for ticket, one in self._shown.items() if one.owner == owner]:
                del self._shown[ticket]

    def of(self, owner: Scope, ticket: object) -> Ticket:
        """What a ticket is about. Forgotten for one that is not this judge's."""
        with self._lock:
            shown = self._shown.get(ticket) if isinstance(ticket, str) else None
        if shown is None or shown.owner != owner:
            raise TicketExpired
        return shown

    def allowed(self, scope: str) -> tuple[Scope, ...]:
        """The scopes behind one of CHOICES. InputRefused where they may not be seen here."""
        return self._handlers.resolve_scopes(scope)

    def searchable(self, search: SearchRequest) -> tuple[Scope, ...]:
        """The scopes that are judged. InputRefused for what may not be seen here, NotReady while it is on its way."""
        scopes, handlers = self.allowed(search.scope), self._handlers
        if handlers.is_model_loading(scopes):
            raise NotReadyToJudge(
                f"{handlers.serving().name} is still loading.", "Your documents can be judged in a moment."
            )
        if pending := handlers.pending_samples(scopes):
            if pending.failed or pending.samples is None:
                raise LibraryError("The samples are not ready.", pending.error)
            done = f"{pending.samples.ready} of {pending.samples.total} pages"
            raise NotReadyToJudge("The sample library is being prepared.", f"{done} are there; only once.")
        return scopes

    def conditions(self, search: SearchRequest) -> Conditions:
        """Under which queries are judged now, without a search. Refuses as `show`."""
        scopes, engine = self.searchable(search), self._handlers.engine
        encoder = engine.backbone(scopes[0]).encoder.fingerprint
        return Conditions(library_fingerprint(engine.library.pages(scopes, encoder)), encoder, search.weights)


GRADE_LABELS = ("Not relevant", "A little", "It helps", "It answers")
"""What 0, 1, 2 and 3 say."""
_NOT_BLIND = "You have not voted on this query. Once you know the ranks, a vote on it is no longer blind."


@dataclass(frozen=True)
class GradeSheet:
    """The pages of one query, to be graded."""

    query: str
    ticket: str
    pages: Sequence[StoredPage]
    """In the order of grading."""
    grades: Mapping[str, int]
    """What was given, by `str(page.id)`."""
    standing: JudgingProgress
    waiting: int
    """Ungraded pages of the other queries that were judged."""
    ranks: Trial | None
    """Where the ranks are shown: the rankings they are from."""

    @property
    def done(self) -> int:
        return sum(str(page.id) in self.grades for page in self.pages)


def render_grade_sheet(pool: GradeSheet, thumbnail: ThumbnailLoader) -> str:
    """The whole panel."""
    whole = pool.done == len(pool.pages)
    after = (_ranks_table(pool) if pool.ranks else _ranks_offer()) if whole else ""
    strip = "".join(_page_slip(pool, place, page, thumbnail(page)) for place, page in enumerate(pool.pages, start=1))
    following = min(pool.standing.position + 1, pool.standing.total)
    return (
        f'<section class="sheet-of-grades" data-ticket="{pool.ticket}" data-next="{following}" '
        f'aria-label="Graded relevance">{vote_sheet.sheet_header(pool.query, pool.standing, grading_progress(pool))}'
        f'{after}<div class="pool"><ul class="slips" role="listbox" aria-label="Pages to grade" '
        f'aria-orientation="horizontal">{strip}</ul>'
        '<div class="reading"><button type="button" class="reading-page" data-view aria-label="Open the page large">'
        '<img alt="" draggable="false" hidden></button><p class="reading-said"></p></div>'
        f"{_grade_form(following)}</div></section>"
    )


def grading_progress(pool: GradeSheet) -> str:
    """How far it is, here and elsewhere.

    >>> from smart_demo.judging.queue import Standing
    >>> said(Pool("tide", "", (), {}, Standing((), 0), 31, None))
    '0 of 0 graded; 31 pages of other judged queries wait'
    """
    waits = f"; {count(pool.waiting, 'page')} of other judged queries {'waits' if pool.waiting == 1 else 'wait'}"
    return f"{pool.done} of {len(pool.pages)} graded{waits if pool.waiting else ''}"


def _page_slip(pool: GradeSheet, place: int, page: StoredPage, thumbnail: bytes) -> str:
    grade = pool.grades.get(str(page.id))
    words = "not graded" if grade is None else f"grade {grade}, {GRADE_LABELS[grade].lower()}"
    shown = "–" if grade is None else str(grade)
    label = f"Page {place} of {len(pool.pages)}: {page.document}, page {page.number}; {words}"
    return (
        f'<li class="slip" role="option" tabindex="-1" aria-selected="false" aria-label="{esc(label)}" '
        f'data-page="{esc(page_key(page.scope, page.id))}" data-grade="{"" if grade is None else grade}">'
        f'<span class="leaf-tray">{render_thumbnail(page, thumbnail)}</span>'
        f'<span class="slip-grade" aria-hidden="true">{shown}</span>'
        f'<span class="leaf-name">{bdi(page.document)}</span><span class="leaf-page">page {page.number}</span></li>'
    )


def _grade_form(following: int) -> str:
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
    """Whoever has not voted decides whether to know."""
    return (
        f'<div class="ranks is-hidden"><p><b>Every page has a grade.</b> {_NOT_BLIND}</p><p class="judge-ways">'
        '<button type="button" class="quiet-button" data-show="vote">Vote first</button>'
        '<button type="button" class="quiet-button" data-ranks>Show the ranks</button></p></div>'
    )


def _ranks_table(pool: GradeSheet) -> str:
    """Every page with its grade and both ranks, by SMART's order."""
    trial = pool.ranks
    if trial is None:
        return ""
    order = trial.orders[SMART.name]
    by_rank = sorted(pool.pages, key=lambda page: order.index(page.id) if page.id in order else len(order))
    rows = "".join(
        f'<tr><th scope="row">{bdi(page.document)} <span>page {page.number}</span></th>'
        f"<td>{pool.grades[str(page.id)]}</td><td>{rank_text(trial, POOLED.name, page.id)}</td>"
        f'<td class="of-smart">{rank_text(trial, SMART.name, page.id)}</td></tr>'
        for page in by_rank
    )
    return (
        '<div class="ranks"><table><caption>Every page has a grade. This is where they stood.</caption><thead><tr>'
        '<th scope="col">page</th><th scope="col">grade</th><th scope="col">rank, pooled</th>'
        f'<th scope="col" class="of-smart">rank, SMART</th></tr></thead><tbody>{rows}</tbody></table></div>'
    )


def no_thumbnail(_: StoredPage) -> bytes:
    """For sheets whose thumbnails the browser has already."""
    return b""


class JudgeSheets:
    """Markup of what one app's judges see."""

    def __init__(self, judging: JudgingSession, handlers: Handlers) -> None:
        self.judging, self.handlers = judging, handlers
        self.tickets = Tickets(handlers)

    def vote_panel(self, owner: Scope, dials: SearchRequest) -> str:
        """The open query's columns, or what stands there before the first and after the last."""
        return self._panel(owner, dials, lambda shown: self.votes(shown, self.handlers.load_thumbnail))

    def grade_panel(self, owner: Scope, dials: SearchRequest) -> str:
        """The open query's pool, or the same."""
        return self._panel(owner, dials, lambda shown: self.grades(shown, self.handlers.load_thumbnail))

    def votes(self, shown: Ticket, thumbnail: ThumbnailLoader = no_thumbnail) -> str:
        """The sheet of a query: blind while there is no vote on it, told after it."""
        judged, trial = self.judging.journal(shown.owner).judgements, shown.trial
        vote = judged.votes.get((trial.conditions, trial.query.key))
        sheet = VoteSheet(
            trial.query.text,
            shown.ticket,
            shown.columns(vote.trial if vote else trial),
            self.standing(shown),
            SearchSetup(shown.search, self.handlers.scope_choices(), shown.dials),
            _sides_were_shown(judged, shown),
            vote,
            format_url_query(replace(shown.search, text=trial.query.text)),
        )
        return render_vote_sheet(sheet, thumbnail)

    def grades(self, shown: Ticket, thumbnail: ThumbnailLoader = no_thumbnail, *, ranks: bool = False) -> str:
        """The pool of a query. Its ranks are told after a vote, or when they are asked for."""
        judged, trial = self.judging.journal(shown.owner).judgements, shown.trial
        pages = [shown.pages[page] for page in pages_to_grade(trial) if page in shown.pages]
        grades = {str(page): grade.grade for page, grade in judged.graded(trial).items()}
        voted = (trial.conditions, trial.query.key) in judged.votes
        left = count_ungraded(judged).queries
        waiting = sum(number for key, number in left.items() if key != trial.query.key)
        pool = GradeSheet(
            trial.query.text,
            shown.ticket,
            pages,
            grades,
            self.standing(shown),
            waiting,
            trial if voted or ranks else None,
        )
        return render_grade_sheet(pool, thumbnail)

    def standing(self, shown: Ticket) -> JudgingProgress:
        """How far the list is, seen from a query of it."""
        queries = self.judging.queries(shown.owner)
        judged = self.judging.journal(shown.owner).judgements
        return judging_progress(queries, min(shown.at, len(queries)), judged, shown.trial.conditions)

    def _panel(self, owner: Scope, dials: SearchRequest, sheet: Callable[[Ticket], str]) -> str:
        judging = self.judging
        desk, public = judging.queue(owner), not self.handlers.is_private
        if not judging.started(owner):
            setup = SearchSetup(replace(dials, scope=desk.search.scope), self.handlers.scope_choices(), dials)
            return vote_sheet.start_panel(desk, setup, public=public)
        if desk.current is None:
            now = self.tickets.conditions(desk.search)
            return vote_sheet.end_panel(
                judging_progress(desk.queries, desk.position, judging.journal(owner).judgements, now)
            )
        return sheet(self.tickets.show(owner, desk, desk.current, dials, judging.journal(owner).session.seed))


def _sides_were_shown(judged: Judgements, shown: Ticket) -> bool:
    """Whether the sides of this query were told, be it by a vote that was taken back."""
    return (shown.trial.seed, shown.trial.query.key) in map(revealed_query, judged.events)

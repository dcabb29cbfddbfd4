"""Tickets of the queries that were shown to judges.

A vote is about what the voter saw. So a ticket keeps the trial that was shown until the vote arrives, even if the
library changes. Its id reveals nothing: the sides stay on the server.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from smart_demo.diagnostics import journal_versions
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.judging_store import Worklist
from smart_demo.judging.query_list import ListedQuery
from smart_demo.judging.trials import (
    BlindColumns,
    Conditions,
    Trial,
    judged_methods,
    library_fingerprint,
    record_trial,
    recorded_depth,
)
from smart_demo.search.request import SearchRequest
from smart_demo.types import PageId, Scope, StoredPage
from smart_demo.ui.handlers import Handlers

MAX_TICKETS, MAX_TICKETS_PER_OWNER = 256, 64
"""Tickets kept in memory, of all owners and of one."""


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

    def issue(self, owner: Scope, worklist: Worklist, query: ListedQuery, compare: SearchRequest, seed: str) -> Ticket:
        """Search a query and store its ticket. Raises NotReadyToJudge, QueryRefused or LibraryError."""
        search = worklist.search
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
        ticket = Ticket(secrets.token_hex(16), owner, worklist.position, search, compare, trial, pages)
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

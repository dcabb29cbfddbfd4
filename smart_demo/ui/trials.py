"""What is on judges' screens: each query searched once, recorded, and known again by a ticket when it is judged.

A vote is about what was seen. So the rankings that were shown are kept here until the vote comes, whatever happens to
the library meanwhile. The ticket tells nothing: the sides stay on the server.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

from smart_demo.diagnostics import recorded_versions
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.judging.query_list import Listed
from smart_demo.judging.records import Columns, Conditions, Trial, depth, fingerprint, methods, record
from smart_demo.search.request import Asked
from smart_demo.types import POOLED, SMART, PageId, Scope, StoredPage
from smart_demo.ui.desk import Desk
from smart_demo.ui.handlers import Handlers

MOST_SHOWN, MOST_OF_ONE = 256, 64
"""Screens that are remembered, of all judges together and of one."""


class NotReady(LibraryError):
    """What is judged is not there yet, and comes by itself."""


class Forgotten(InputRefused):
    """A ticket of a screen that is not remembered: it is shown again, and judged then."""

    def __init__(self) -> None:
        super().__init__("This was shown too long ago to be judged.", "Look at it once more, then judge.")


@dataclass(frozen=True, slots=True)
class Shown:
    """One query as one judge sees it."""

    ticket: str
    owner: Scope
    at: int
    """Its position in the judge's list."""
    search: Asked
    """How it was searched,"""
    dials: Asked
    """and how Compare stood at that time."""
    trial: Trial
    pages: Mapping[PageId, StoredPage]
    """Those of the recorded rankings that are in the library."""

    def columns(self, trial: Trial | None = None) -> Columns:
        """The pages of both columns: of this trial, or of an earlier one of the same query."""
        trial = trial or self.trial
        a, b = (self._first(trial, method) for method in (trial.sides.a, trial.sides.b))
        return Columns(a, b)

    def _first(self, trial: Trial, method: str) -> tuple[StoredPage, ...]:
        rows = trial.ranking(method)[: trial.k]
        return tuple(self.pages[row.page] for row in rows if row.page in self.pages)


class Trials:
    """Safe for threads."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers
        self._shown: OrderedDict[str, Shown] = OrderedDict()
        self._lock = threading.Lock()

    def show(self, owner: Scope, desk: Desk, query: Listed, dials: Asked, seed: str) -> Shown:
        """Search the query of a desk and remember what is shown of it. NotReady, QueryRefused, or LibraryError."""
        search = desk.search
        scopes = self.searchable(search)
        wanted = methods(search.weights)
        found = self._handlers.engine.search(self._handlers.question(query.query), scopes, wanted, depth(search.top))
        trial = record(found, search.top, seed, recorded_versions())
        if not (trial.ranking(POOLED.name) and trial.ranking(SMART.name)):
            raise LibraryError("There are no pages to judge here.", "Add a document in the library.")
        ranked = {row.page for ranking in trial.rankings for row in ranking}
        pages: dict[PageId, StoredPage] = {}
        for page in found.parts.pages:
            if page.id in ranked:
                pages.setdefault(page.id, page)
        shown = Shown(secrets.token_hex(16), owner, desk.at, search, dials, trial, pages)
        with self._lock:
            self._shown[shown.ticket] = shown
            mine = [ticket for ticket, one in self._shown.items() if one.owner == owner]
            for ticket in mine[:-MOST_OF_ONE]:
                del self._shown[ticket]
            while len(self._shown) > MOST_SHOWN:
                self._shown.popitem(last=False)
        return shown

    def forget(self, owner: Scope) -> None:
        """Drop everything that was shown to somebody."""
        with self._lock:
            for ticket in [ticket for ticket, one in self._shown.items() if one.owner == owner]:
                del self._shown[ticket]

    def of(self, owner: Scope, ticket: object) -> Shown:
        """What a ticket is about. Forgotten for one that is not this judge's."""
        with self._lock:
            shown = self._shown.get(ticket) if isinstance(ticket, str) else None
        if shown is None or shown.owner != owner:
            raise Forgotten
        return shown

    def allowed(self, scope: str) -> tuple[Scope, ...]:
        """The scopes behind one of CHOICES. InputRefused where they may not be seen here."""
        return self._handlers.scopes(scope)

    def searchable(self, search: Asked) -> tuple[Scope, ...]:
        """The scopes that are judged. InputRefused for what may not be seen here, NotReady while it is on its way."""
        scopes, handlers = self.allowed(search.scope), self._handlers
        if handlers.waits(scopes):
            raise NotReady(f"{handlers.serving().name} is still loading.", "Your documents can be judged in a moment.")
        if pending := handlers.pending(scopes):
            if pending.failed or pending.samples is None:
                raise LibraryError("The samples are not ready.", pending.trouble)
            done = f"{pending.samples.ready} of {pending.samples.total} pages"
            raise NotReady("The sample library is being prepared.", f"{done} are there; only once.")
        return scopes

    def conditions(self, search: Asked) -> Conditions:
        """Under which queries are judged now, without a search. Refuses as `show`."""
        scopes, engine = self.searchable(search), self._handlers.engine
        encoder = engine.backbone(scopes[0]).encoder.fingerprint
        return Conditions(fingerprint(engine.library.pages(scopes, encoder)), encoder, search.weights)

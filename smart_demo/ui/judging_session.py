"""The judging state of one app: whose journal, which queries, which of them is open. No markup, no components.

What the panels of the tab use:

    owner = judging.owner(given)            whoever asks; `given` is what `smartDemo.judge.owner()` says in the browser
    judging.journal(owner)                  votes and grades: the core's `Journal`
    judging.desk(owner)                     the list, the open query and how it is searched: a `Desk`
    judging.queries(owner)                  the list alone
    judging.set_queries(owner, queries, at=3, source="mine.csv")      another list, open at its fourth query
    judging.open(owner, at)                 another query of the same list
    judging.forget(owner)                   everything of an owner is deleted

In the browser: `smartDemo.judge.owner()`, `smartDemo.judge.show("vote")` opens a panel, and `document` hears a `judged`
event whenever something was kept or taken back.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from smart_demo.errors import InputRefused
from smart_demo.judging.journal import Journal, max_journal_bytes
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.search.request import SearchRequest
from smart_demo.server import visitors
from smart_demo.server.visitors import visitor_scope
from smart_demo.types import LOCAL, Scope
from smart_demo.ui import judging_queue as desks
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.judging_queue import JudgingQueue
from smart_demo.ui.stories import STORY_QUERIES

ONE_STEP = 2**16
"""Bytes for which there must be room before a step is taken down. Most take a few thousand."""
OPEN_AT_ONCE = 32
"""Journals that are held in memory."""
FIRST = 20
"""Queries of the list that is there to begin with."""


class JudgingSession:
    """Safe for threads. Methods raise SmartError where something cannot be had or kept."""

    def __init__(self, handlers: Handlers) -> None:
        self.handlers = handlers
        self._data = handlers.engine.settings.data_dir
        self._journals: OrderedDict[Scope, Journal] = OrderedDict()
        self._desks: OrderedDict[Scope, JudgingQueue] = OrderedDict()
        self._lock = threading.RLock()

    def owner(self, given: object) -> Scope:
        """Whose journal is meant. A private page has one; on a public page each browser has its own, named by 128
        random bits that nobody else knows. InputRefused for anything else.
        """
        if self.handlers.is_private:
            return LOCAL
        owner = visitor_scope(given)
        if owner is None:
            raise InputRefused("This browser has no name to judge under.", "Reload the page.")
        return owner

    def journal(self, owner: Scope) -> Journal:
        """The owner's journal, which need not have anything in it: to look takes nobody's room."""
        with self._lock:
            journal = self._journals.pop(owner, None)
            if journal is None:
                journal = Journal(self._data, owner, most_bytes=self.most_bytes)
            self._journals[owner] = journal
            while len(self._journals) > OPEN_AT_ONCE:  # they stay on the disk, and two of one file agree
                self._journals.popitem(last=False)
            return journal

    def desk(self, owner: Scope) -> JudgingQueue:
        """The owner's desk as it was left, or the one that is there to begin with."""
        with self._lock:
            desk = self._desks.pop(owner, None) or desks.load(self._data, owner) or JudgingQueue(self.first_queries())
            self._desks[owner] = desk
            while len(self._desks) > OPEN_AT_ONCE:
                self._desks.popitem(last=False)
            return desk

    def started(self, owner: Scope) -> bool:
        """Whether the owner ever began."""
        return desks.exists(self._data, owner)

    def set_desk(self, owner: Scope, desk: JudgingQueue) -> None:
        """Keep another desk."""
        with self._lock:
            if self._desks.get(owner) == desk and self.started(owner):
                return
            self.admit(owner)
            desks.save(self._data, owner, desk)
            self._desks[owner] = desk

    def queries(self, owner: Scope) -> tuple[ListedQuery, ...]:
        """The owner's list."""
        return self.desk(owner).queries

    def set_queries(self, owner: Scope, queries: Sequence[ListedQuery], at: int = 0, source: str = "") -> None:
        """Another list, open at one of its queries. Grades that the list itself gives are left out: nobody who judges
        blind is shown them. InputRefused for an empty one.
        """
        with self._lock:
            bare = tuple(replace(one, relevant=()) for one in queries)[:MAX_QUERIES]
            if not bare:
                raise InputRefused("There is no query in the list.")
            desk = replace(self.desk(owner), queries=bare, at=min(max(at, 0), len(bare) - 1), source=source)
            self.set_desk(owner, desk)

    def open(self, owner: Scope, at: int) -> None:
        """Another query of the list; its length closes the last."""
        with self._lock:
            desk = self.desk(owner)
            self.set_desk(owner, replace(desk, at=min(max(at, 0), len(desk.queries))))

    def begin(self, owner: Scope, dials: SearchRequest) -> None:
        """Begin with the depth and the weights of the dials as they stand."""
        with self._lock:
            desk = self.desk(owner)
            self.set_desk(owner, replace(desk, search=_search(dials, desk.search.scope)))

    def search_by(self, owner: Scope, search: SearchRequest) -> None:
        """Judge with another scope, depth or other weights from here on. Before anything has begun it is not kept."""
        with self._lock:
            desk = replace(self.desk(owner), search=_search(search, search.scope))
            if self.started(owner):
                self.set_desk(owner, desk)
            else:
                self._desks[owner] = desk

    def insert(self, owner: Scope, query: ListedQuery) -> None:
        """Open a query: where it stands in the list, or put into it after the one that is open."""
        with self._lock:
            desk = self.desk(owner)
            at = desk.place(query.key)
            if at is None:
                if len(desk.queries) >= MAX_QUERIES:
                    raise InputRefused(
                        f"The list is full: it has {MAX_QUERIES} queries.", "Begin another under Queries."
                    )
                at = min(desk.at + 1, len(desk.queries))
                desk = replace(desk, queries=(*desk.queries[:at], replace(query, relevant=()), *desk.queries[at:]))
            self.set_desk(owner, replace(desk, at=at))

    def forget(self, owner: Scope) -> None:
        """Delete everything of an owner, on disk too."""
        with self._lock:
            self.journal(owner).discard()
            desks.drop(self._data, owner)
            self._desks.pop(owner, None)

    def let_go(self, owner: Scope) -> None:
        """An owner's files were deleted: what is in memory of them goes. What they have written since stays."""
        with self._lock:
            self._journals.pop(owner, None)
            self._desks.pop(owner, None)

    def first_queries(self) -> tuple[ListedQuery, ...]:
        """The stories, and the first of the sample library's own queries, without their judgements."""
        found = [ListedQuery(query) for query in STORY_QUERIES]
        try:
            more = read_queries((self.handlers.engine.settings.samples / "queries.jsonl").read_bytes()).queries
        except (OSError, InputRefused):  # a presenter's own folder may have none
            more = ()
        told = set(STORY_QUERIES)
        found += [replace(one, relevant=()) for one in more if one.query not in told]
        return tuple(found[:FIRST])

    @property
    def most_bytes(self) -> int:
        """Of one owner's journal."""
        return max_journal_bytes(private=self.handlers.is_private)

    def admit(self, owner: Scope, size: int = ONE_STEP) -> None:
        """See to room before so many bytes are written. LibraryError where a public page keeps as many visitors'
        judgements as it can and this is another one, NoRoom where everything of all visitors takes what it may.
        """
        if not self.handlers.is_private:
            visitors.make_room(self.handlers.engine, owner, size)

    def to_write(self, owner: Scope) -> Journal:
        """The owner's journal, where there is room for another line of it. Refuses as `admit`."""
        self.admit(owner)
        return self.journal(owner)


def _search(given: SearchRequest, scope: str) -> SearchRequest:
    """How queries are searched: nothing of one query's own."""
    return replace(given, text="", picture="", scope=scope)

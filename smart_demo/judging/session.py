"""Judging state of one app: for every owner a journal, a list of queries and the open query.

Nothing here knows the page, or how it knows the owner of a request.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, TotalQuotaExceeded
from smart_demo.judging import queue as queues
from smart_demo.judging.journal import Journal, max_journal_bytes
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.queue import JudgingQueue
from smart_demo.search.request import SearchRequest
from smart_demo.store.quotas import check_total
from smart_demo.types import Scope

MAX_VISITORS = 2_000
"""Visitors whose judgements a public page stores."""
STEP_BYTES = 2**16
"""Free bytes required before one step is written. Most steps take a few thousand."""
MAX_OPEN_OWNERS = 32
"""Journals, and queues, held in memory."""
DEFAULT_QUERIES = 20
"""Maximum length of the list for an owner who has none."""


class JudgingSession:
    """Journals and queues of all owners. Safe for threads.

    Methods raise SmartError if something cannot be read or stored.
    """

    def __init__(self, engine: Engine, examples: Sequence[str]) -> None:
        """Create the state around an engine. examples: queries that begin the list of an owner who has none."""
        self._engine, self._examples = engine, tuple(examples)
        self._data = engine.settings.data_dir
        self._journals: OrderedDict[Scope, Journal] = OrderedDict()
        self._queues: OrderedDict[Scope, JudgingQueue] = OrderedDict()
        self._lock = threading.RLock()

    @property
    def is_private(self) -> bool:
        """Whether the page has one owner: the person on whose machine it runs."""
        return self._engine.settings.is_private

    def journal(self, owner: Scope) -> Journal:
        """Return the owner's journal, which may be empty. Reading it writes no file."""
        with self._lock:
            journal = self._journals.pop(owner, None)
            if journal is None:
                journal = Journal(self._data, owner, max_bytes=max_journal_bytes(private=self.is_private))
            self._journals[owner] = journal
            while len(self._journals) > MAX_OPEN_OWNERS:  # they stay on the disk, and two of one file agree
                self._journals.popitem(last=False)
            return journal

    def writable_journal(self, owner: Scope) -> Journal:
        """Return the owner's journal after ensuring room for one more line. Raises as `ensure_room` does."""
        self.ensure_room(owner)
        return self.journal(owner)

    def queue(self, owner: Scope) -> JudgingQueue:
        """Return the owner's queue: the one in memory, the stored one, or the default."""
        with self._lock:
            queue = self._queues.pop(owner, None) or queues.load(self._data, owner)
            queue = queue or JudgingQueue(self.default_queries())
            self._queues[owner] = queue
            while len(self._queues) > MAX_OPEN_OWNERS:
                self._queues.popitem(last=False)
            return queue

    def started(self, owner: Scope) -> bool:
        """Return whether the owner has started judging."""
        return queues.exists(self._data, owner)

    def save_queue(self, owner: Scope, queue: JudgingQueue) -> None:
        """Store the owner's queue, if it changed."""
        with self._lock:
            if self._queues.get(owner) == queue and self.started(owner):
                return
            self.ensure_room(owner)
            queues.save(self._data, owner, queue)
            self._queues[owner] = queue

    def queries(self, owner: Scope) -> tuple[ListedQuery, ...]:
        """Return the owner's list of queries."""
        return self.queue(owner).queries

    def set_queries(self, owner: Scope, queries: Sequence[ListedQuery], position: int = 0, source: str = "") -> None:
        """Replace the owner's list and open the query at `position`.

        The list's own grades are discarded, so that a blind judge never sees them. Raises InputRefused if the list is
        empty.
        """
        with self._lock:
            ungraded = tuple(replace(query, relevant=()) for query in queries)[:MAX_QUERIES]
            if not ungraded:
                raise InputRefused("There is no query in the list.")
            position = min(max(position, 0), len(ungraded) - 1)
            self.save_queue(owner, replace(self.queue(owner), queries=ungraded, position=position, source=source))

    def go_to(self, owner: Scope, position: int) -> None:
        """Open the query at `position`; the list's length closes the last query."""
        with self._lock:
            queue = self.queue(owner)
            self.save_queue(owner, replace(queue, position=min(max(position, 0), len(queue.queries))))

    def start(self, owner: Scope, compare: SearchRequest) -> None:
        """Start judging with the depth and the weights now set in Compare."""
        with self._lock:
            queue = self.queue(owner)
            self.save_queue(owner, replace(queue, search=_without_query(compare, queue.search.scope)))

    def set_search(self, owner: Scope, search: SearchRequest) -> None:
        """Change scope, depth and weights for every later query. Stores them only if the owner has started."""
        with self._lock:
            queue = replace(self.queue(owner), search=_without_query(search, search.scope))
            if self.started(owner):
                self.save_queue(owner, queue)
            else:
                self._queues[owner] = queue

    def insert(self, owner: Scope, query: ListedQuery) -> None:
        """Open a query, inserting it after the open one if the list lacks it.

        Raises InputRefused if the list is full.
        """
        with self._lock:
            queue = self.queue(owner)
            position = queue.find(query.key)
            if position is None:
                if len(queue.queries) >= MAX_QUERIES:
                    raise InputRefused(
                        f"The list is full: it has {MAX_QUERIES} queries.", "Begin another under Queries."
                    )
                position = min(queue.position + 1, len(queue.queries))
                before, after = queue.queries[:position], queue.queries[position:]
                queue = replace(queue, queries=(*before, replace(query, relevant=()), *after))
            self.save_queue(owner, replace(queue, position=position))

    def default_queries(self) -> tuple[ListedQuery, ...]:
        """Return the examples, then the sample library's own queries without their grades."""
        found = [ListedQuery(query) for query in self._examples]
        try:
            samples = read_queries((self._engine.settings.samples / "queries.jsonl").read_bytes()).queries
        except (OSError, InputRefused):  # a presenter's own folder may have none
            samples = ()
        examples = set(self._examples)
        found += [replace(query, relevant=()) for query in samples if query.query not in examples]
        return tuple(found[:DEFAULT_QUERIES])

    def delete(self, owner: Scope) -> None:
        """Delete the owner's journal and queue, on disk too."""
        with self._lock:
            self.journal(owner).delete()
            queues.delete(self._data, owner)
            self._queues.pop(owner, None)

    def discard(self, owner: Scope) -> None:
        """Discard an owner's journal and queue from memory, after their files were deleted. Later files stay."""
        with self._lock:
            self._journals.pop(owner, None)
            self._queues.pop(owner, None)

    def ensure_room(self, owner: Scope, size: int = STEP_BYTES) -> None:
        """Ensure that a visitor's files may grow by `size` bytes, evicting idle visitors if needed.

        A private page has no such limit. Raises LibraryError if the page already stores MAX_VISITORS visitors'
        judgements and none of them is idle, TotalQuotaExceeded if all visitors together have no room and none is idle.
        """
        if self.is_private:
            return
        engine = self._engine
        judges = engine.library.visitor_judgement_bytes()
        if owner not in judges and len(judges) >= MAX_VISITORS and not engine.evict_idle_visitors(owner, 1, judges):
            raise LibraryError(
                f"This page keeps the judgements of {MAX_VISITORS:,} visitors and has no room for another.",
                "Try again in an hour, or run the demo on your own machine: it keeps yours.",
            )
        stored = engine.library.visitor_page_bytes() + sum(judges.values())
        try:
            check_total(stored + size, engine.settings.quotas)
        except TotalQuotaExceeded as refusal:
            if not engine.evict_idle_visitors(owner, refusal.missing_bytes):
                raise


def _without_query(search: SearchRequest, scope: str) -> SearchRequest:
    return replace(search, text="", picture="", scope=scope)

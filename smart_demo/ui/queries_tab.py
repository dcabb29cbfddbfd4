"""The panel Queries: runs of query lists, and their results with highlights for a slide.

One list of all visitors runs at a time. It holds only its turn between two queries, so a visitor's search waits for one
query at most. The results of a run are stored under a name of 128 random bits, known to its browser alone, until the
visitor runs another list or leaves, or many newer runs replace it. Arguments from a browser are validated, as in
`handlers`. Queries and names may come from any imported file, and the templates escape them.
"""

from __future__ import annotations

import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from markupsafe import Markup

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.evaluation.query_sets import QUERIES_FILE
from smart_demo.judging.judging_store import JudgingStore
from smart_demo.judging.list_comparison import (
    KnownGrades,
    QueryComparison,
    RefusedQuery,
    compare_queries,
    csv_text,
    select_highlights,
    sort_by_disagreement,
)
from smart_demo.judging.query_list import (
    MAX_LIST_BYTES,
    MAX_LISTED_QUERY_CHARS,
    MAX_NOTICES,
    MAX_QUERIES,
    ListedQuery,
    read_queries,
)
from smart_demo.methods import Found
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import SearchRequest
from smart_demo.types import Scope
from smart_demo.ui.cards import describe_formula
from smart_demo.ui.events import UNEXPECTED_ERROR, answer_errors, request_field
from smart_demo.ui.format import format_time_left
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.render import render
from smart_demo.ui.results_tab import FAILURE
from smart_demo.wording import MEGABYTE, count, count_queries, limit_in_words

log = logging.getLogger(__name__)
MAX_PUBLIC_QUERIES = 100
"""Queries of a list that a public page runs, because all visitors share its model."""
MAX_RUNS, MAX_ROWS, MAX_RUNS_PER_VISITOR = 24, 4_000, 3
"""Stored runs, rows of all stored runs (some 6 MB), and stored runs of one visitor of a public page."""
TURN_POLL_SECONDS = 0.4
"""Seconds between two attempts of a waiting list to start."""


def max_queries(*, private: bool) -> int:
    """Return the maximum number of queries of a list that the page runs."""
    return MAX_QUERIES if private else MAX_PUBLIC_QUERIES


@dataclass(frozen=True)
class ListRun:
    """The results of one run of a list."""

    rows: tuple[QueryComparison, ...]
    """Results in the order of the list."""
    search: SearchRequest
    """Scope, depth and weights of every search; its text is empty."""
    notices: tuple[str, ...]
    """Sentences on what was left out."""
    total: int
    """Queries of the list. A run that was stopped or failed has fewer rows."""


class QueriesHandlers:
    """Runs of query lists in one app. Safe for threads."""

    def __init__(self, judging: JudgingStore, handlers: Handlers, clock: Callable[[], float] = time.monotonic) -> None:
        self._judging, self._handlers, self._clock = judging, handlers, clock
        self._runs: LRUCache[ListRun] = LRUCache(MAX_RUNS, lambda run: len(run.rows), MAX_ROWS)
        """Finished runs by owner and name."""
        self._active: dict[str, tuple[Scope, threading.Event]] = {}
        """Owner and stop event of every run in progress, by its name."""
        self._turn = threading.Semaphore(1)

    def run(self, text: object, search: SearchRequest, last_run: object = "") -> Generator[tuple[Markup, str]]:
        """Run a list. Yield the markup of its progress and its name after every query; a refused list has no name.

        last_run: name of the visitor's last run, which is discarded. Closing the iterator stops the run.
        """
        name = secrets.token_hex(16)
        self.discard(last_run)
        try:
            self._active[name] = self._handlers.owner, threading.Event()
            yield from self._run(text, replace(search, text="", picture=""), name)
        except SmartError as error:
            yield render_message("refused", error.sentence), ""
        except Exception:
            log.exception("a list of queries failed")
            yield render_message("refused", UNEXPECTED_ERROR), ""
        finally:
            self._active.pop(name, None)

    def stop(self, name: object) -> None:
        """Stop a run in progress after its current query. Its results until then are shown."""
        active = self._active.get(name) if isinstance(name, str) else None
        if active is not None:
            _, stop = active
            stop.set()

    @answer_errors(FAILURE)
    def table(self, request: object) -> dict[str, object]:
        """Return the results of a run as `table`, their CSV as `csv` and its file name; or `sentence`."""
        run = self._find_run(request)
        return {"table": render_query_table(run), "csv": csv_text(run.rows), "name": "smart-queries.csv"}

    @answer_errors(FAILURE)
    def vote(self, request: object) -> dict[str, object]:
        """Replace the owner's judging queue with the list of a run, opened at query `at`; or return `sentence`."""
        run = self._find_run(request)
        at, owner = request_field(request, "at"), self._handlers.owner
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < len(run.rows):
            raise InputRefused("That is no query of the list.")
        queries = [ListedQuery(row.query, row.qid) for row in run.rows]
        self._judging.set_queries(owner, queries, at, "a list under Queries")
        self._judging.set_search(owner, run.search)
        return {"laid": len(queries)}

    def sample(self) -> str:
        """Return the sample library's own queries with their judgements. Raises InputRefused if it has none."""
        try:
            data = (self._handlers.engine.settings.samples / QUERIES_FILE).read_bytes()
        except OSError:
            raise InputRefused("These samples come without queries.") from None
        return decode_list(data)

    def delete(self, visitor: Scope) -> None:
        """Delete every run of a visitor. A run in progress stops."""
        for owner, stop in list(self._active.values()):
            if owner == visitor:
                stop.set()
        self._runs.discard(lambda key: isinstance(key, tuple) and key[0] == visitor)

    def discard(self, name: object) -> None:
        """Discard a run. It stops if it is in progress."""
        self.stop(name)
        self._runs.discard(lambda key: isinstance(key, tuple) and key[1] == name)

    def _run(self, text: object, search: SearchRequest, name: str) -> Iterator[tuple[Markup, str]]:
        queries, notices = self._read(text)
        self._check(search)
        rows, (owner, stop), has_turn = list[QueryComparison](), self._active[name], False
        waiting = render_message("progress", "Another list is running. This one starts after it.")
        try:
            while not has_turn and not stop.is_set():
                has_turn = self._turn.acquire(timeout=TURN_POLL_SECONDS)
                yield render_progress(0, len(queries)) if has_turn else waiting, name
            if has_turn:
                searches = self._search(queries, search, self._known_grades(owner), rows, notices)
                for done, seconds_left in enumerate(searches, start=1):
                    yield render_progress(done, len(queries), seconds_left), name
                    if stop.is_set():
                        break
        finally:
            if has_turn:
                self._turn.release()
        if self._handlers.engine.settings.public:
            self._runs.limit(lambda key: isinstance(key, tuple) and key[0] == owner, MAX_RUNS_PER_VISITOR - 1)
        self._runs.put((owner, name), ListRun(tuple(rows), search, summarize_notices(rows, notices), len(queries)))
        yield render("list_results", name=name), name

    def _read(self, text: object) -> tuple[tuple[ListedQuery, ...], list[str]]:
        """Return the queries of a list that the page runs, and sentences on what was left out."""
        if not isinstance(text, str) or not text.strip():
            raise InputRefused("There is no list yet.", "Write one query a line, or use the sample queries.")
        listed = read_queries(text)
        most = max_queries(private=self._handlers.is_private)
        notices = list(listed.notices)
        if len(listed.queries) > most:
            notices.insert(0, f"This page runs the first {most} queries of a list; the others were left out.")
        return listed.queries[:most], notices

    def _check(self, search: SearchRequest) -> None:
        """Raise LibraryError or InputRefused if the requested pages cannot be searched now."""
        scopes, handlers = self._handlers.resolve_scopes(search.scope), self._handlers
        if not search.weights.pooled and not search.weights.late:
            raise InputRefused("Both weights are 0, so SMART has nothing to rank by.", "Raise one under Compare.")
        if handlers.is_model_loading(scopes):
            raise LibraryError(f"{handlers.serving().name} is still loading.", "Run the list in a moment.")
        if pending := handlers.pending_samples(scopes):
            samples = pending.samples
            ready = f"{samples.ready} of {count(samples.total, 'page')} are ready" if samples else "none is ready"
            raise LibraryError(f"The samples are still being prepared: {ready}.", "Run the list in a moment.")

    def _search(
        self,
        queries: Sequence[ListedQuery],
        search: SearchRequest,
        known: KnownGrades,
        rows: list[QueryComparison],
        notices: list[str],
    ) -> Iterator[float | None]:
        """Search one query after the other, append to `rows` and `notices`, and yield the estimated seconds left."""
        engine, scopes = self._handlers.engine, self._handlers.resolve_scopes(search.scope)

        def answer(text: str) -> Found:
            return engine.search(self._handlers.query_for_visitor(text), scopes, search.compared, search.top)

        started = self._clock()
        results = compare_queries(queries, answer, search.top, known)
        for done in range(1, len(queries) + 1):
            try:
                result = next(results)
            except SmartError as error:  # the library or the model failed: the results so far are shown
                notices.append(f"The list stopped after {done - 1:,} of {len(queries):,} queries. {error.sentence}")
                return
            if isinstance(result, RefusedQuery):
                notices.append(f'"{result.query}" could not be searched. {result.sentence}')
            else:
                rows.append(result)
            yield (self._clock() - started) / done * (len(queries) - done)

    def _known_grades(self, owner: Scope) -> KnownGrades:
        """Return a function from a query's key to the grades in the owner's journal."""
        try:
            judged = self._judging.journal(owner).judgements
        except LibraryError:  # a list also runs on a page without room for another visitor's judgements
            return lambda _: {}
        return lambda key: {page: float(grade.grade) for page, grade in judged.query_grades(key).items()}

    def _find_run(self, request: object) -> ListRun:
        """Return the current visitor's run that a request names. Raises InputRefused if there is none."""
        name = request_field(request, "run")
        run = self._runs.get((self._handlers.owner, name)) if isinstance(name, str) else None
        if run is None:
            raise InputRefused("That list is not stored here. It may have been deleted.", "Run it again.")
        return run


def decode_list(data: bytes) -> str:
    """Return an uploaded list as text for the box. Raises InputRefused if it is too large or has no valid query."""
    if len(data) > MAX_LIST_BYTES:
        raise InputRefused(f"The list is larger than {limit_in_words(MAX_LIST_BYTES)}.", "Make it shorter.")
    read_queries(data)
    return data.decode("utf-8-sig")


def describe_list(text: object) -> str:
    """Return a sentence on the queries in the box, and the first notice. Raises InputRefused as `decode_list` does."""
    found = read_queries(text if isinstance(text, str) else "")
    judged = sum(bool(query.relevant) for query in found.queries)
    with_grades = f", {judged:,} with judgements" if judged else ""
    return " ".join([f"{count_queries(len(found.queries))}{with_grades}.", *found.notices[:1]])


def summarize_notices(rows: Sequence[QueryComparison], notices: Sequence[str]) -> tuple[str, ...]:
    """Return the first notices of a run, the number of the others, and the number of graded pages not searched."""
    shown = list(notices[:MAX_NOTICES])
    if len(notices) > MAX_NOTICES:
        shown.append(f"{len(notices) - MAX_NOTICES:,} more such lines.")
    if unknown := sum(row.unknown_pages for row in rows):
        verb = "is" if unknown == 1 else "are"
        shown.append(f"{count(unknown, 'graded page')} of the list {verb} not among the pages searched.")
    return tuple(shown)


def render_list_intro(limit: int, *, private: bool) -> Markup:
    """Return what a list does, its forms and its limits. limit: the maximum number of queries."""
    return render(
        "list_intro",
        private=private,
        queries=limit,
        chars=MAX_LISTED_QUERY_CHARS,
        megabytes=MAX_LIST_BYTES // MEGABYTE,
    )


def render_message(kind: str, sentence: str) -> Markup:
    """Return a message about the list.

    kind: `status` of its text, `progress` while it waits, `refused` if it cannot run.
    """
    return render("list_message", kind=kind, sentence=sentence)


def render_progress(done: int, total: int, seconds_left: float | None = None) -> Markup:
    """Return the progress of a list, with the estimated time left if it is known."""
    time_left = format_time_left(seconds_left) if done < total else ""
    return render("list_progress", done=done, total=total, time_left=time_left)


def render_query_table(run: ListRun) -> Markup:
    """Return the results of a list: a summary, what was left out, the hidden highlights and the table."""
    selected = select_highlights(run.rows)
    picked = {highlight.comparison.key for highlight in selected}
    return render(
        "query_table",
        summary=describe_run(run),
        notices=run.notices,
        rows=sort_by_disagreement(run.rows),
        highlights=selected,
        requests={found.key: replace(run.search, text=found.query) for found in run.rows},
        sort_values={row.key: _sort_values(row, place, picked=row.key in picked) for place, row in enumerate(run.rows)},
        graded=any(row.pooled is not None for row in run.rows),
        k=max((found.disagreement.k for found in run.rows), default=0),
    )


def describe_run(run: ListRun) -> str:
    """Return a sentence on how many queries were searched, and how."""
    setup = f"{run.search.scope}, {describe_formula(run.search.weights)}, the first {run.search.top} pages"
    done = f"{len(run.rows):,} of " if len(run.rows) < run.total else ""
    return f"{done}{count_queries(run.total)} searched: {setup}."


def _sort_values(row: QueryComparison, place: int, *, picked: bool) -> dict[str, object]:
    """Return the values by which the script sorts and filters a row.

    place: index of the query in the list.
    picked: whether the query is a highlight.
    """
    disagreement = row.disagreement
    return {
        "place": place,
        "rbo": _sort_key(disagreement.rbo),
        "tau": _sort_key(disagreement.tau),
        "shared": disagreement.shared,
        "first": int(disagreement.new_first),
        "pooled": _sort_key(row.pooled),
        "smart": _sort_key(row.smart),
        "gain": _sort_key(row.ndcg_gain),
        "better": row.better,
        "five": int(picked),
    }


def _sort_key(value: float | None) -> str:
    """Return a number as the script parses it, or an empty text for None and NaN."""
    return "" if value is None or math.isnan(value) else f"{value:.9f}"

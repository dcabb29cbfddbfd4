"""Markup of a list on its way. `data-run` names what there is to be shown.

What a list is before it is run and what came of it afterwards, in values and in words.

Lists of queries, asked one query after the other behind the page. Every argument is doubted, as in `handlers`.

Only one list of all visitors is asked at a time, and between its queries nothing is held but its turn: whoever searches
meanwhile waits for one query at most. What a run found stays here under 128 random bits that only whoever ran it is
told, until its visitor runs another list, leaves, or many others ran theirs.
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, replace

from smart_demo.errors import InputRefused, LibraryError, SmartError
from smart_demo.judging.list_comparison import KnownGrades, QueryRow, RefusedQuery, compare_queries, csv_text
from smart_demo.judging.query_list import MAX_LIST_BYTES, MAX_NOTICES, MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.session import JudgingSession
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import SearchRequest
from smart_demo.types import POOLED, SMART, Found, Method, Scope
from smart_demo.ui.compare import describe_formula
from smart_demo.ui.events import UNEXPECTED_ERROR, answer_or_error
from smart_demo.ui.format import count_queries, esc, format_time_left
from smart_demo.ui.handlers import Handlers
from smart_demo.ui.query_table import ShownRun, query_table
from smart_demo.ui.results_tab import FAILURE, field
from smart_demo.wording import count


def waiting() -> str:
    """Another list is asked first."""
    return '<p class="list-going" role="status">Another list is being asked; this one comes after it.</p>'


def step(done: int, total: int, seconds: float | None = None) -> str:
    """So many queries are asked."""
    part = done / total * 100 if total else 0.0
    at, soon = (
        f"{done:,} of {total:,}",
        f" · {format_time_left(seconds)}" if seconds is not None and done < total else "",
    )
    return (
        f'<div class="list-going"><p><b>{at}</b>{esc(soon)}</p>'
        f'<div class="progress" role="progressbar" aria-label="Queries asked" aria-valuemin="0" '
        f'aria-valuemax="{total}" aria-valuenow="{done}" aria-valuetext="{at}"><i style="width:{part:.1f}%"></i></div>'
        "</div>"
    )


def ended(name: str) -> str:
    """A place for the table, which the script asks for."""
    return f'<div class="list-found" data-run="{esc(name)}" aria-busy="true"></div>'


def refused(sentence: str) -> str:
    """Why nothing is asked."""
    return f'<p class="list-refused notice" role="status">{esc(sentence)}</p>'


def told(sentence: str) -> str:
    """What is in the box."""
    return f'<p class="list-told" role="status">{esc(sentence)}</p>'


@dataclass(frozen=True)
class Run:
    """What came of a list."""

    rows: tuple[QueryRow, ...]
    """In the order of the list."""
    search: SearchRequest
    """How each was asked; its text is empty."""
    notices: tuple[str, ...]
    total: int
    """Queries of the list. Where it was stopped there are more than rows."""


def written(data: bytes) -> str:
    """An uploaded list as the text for the box. InputRefused where it is no list."""
    if len(data) > MAX_LIST_BYTES:
        raise InputRefused(f"The list is larger than {MAX_LIST_BYTES // 2**20} MB.", "Make it shorter.")
    read_queries(data)
    return data.decode("utf-8-sig")


def counted(text: object) -> str:
    """What a text in the box holds, in a sentence. InputRefused where it is no list."""
    found = read_queries(text if isinstance(text, str) else "")
    judged = sum(bool(one.relevant) for one in found.queries)
    with_grades = f", {judged:,} with judgements" if judged else ""
    said = f"{count_queries(len(found.queries))}{with_grades}."
    return " ".join([said, *found.notices[:1]])


def summary(run: Run) -> str:
    """What was asked, and how, in a sentence."""
    how = f"{run.search.scope}, {describe_formula(run.search.weights)}, the first {run.search.top} pages"
    if len(run.rows) < run.total:
        return f"{len(run.rows):,} of {count_queries(run.total)} asked: {how}."
    return f"{count_queries(run.total)} asked: {how}."


def noticed(rows: Sequence[QueryRow], notices: Sequence[str]) -> tuple[str, ...]:
    """What is told of a run: not every line of a list that is all wrong."""
    unknown = sum(row.unknown_pages for row in rows)
    told = list(notices[:MAX_NOTICES])
    if len(notices) > MAX_NOTICES:
        told.append(f"{len(notices) - MAX_NOTICES:,} more such lines.")
    if unknown:
        pages = "1 graded page" if unknown == 1 else f"{unknown:,} graded pages"
        told.append(f"{pages} of the list {'is' if unknown == 1 else 'are'} not among the pages searched.")
    return tuple(told)


log = logging.getLogger(__name__)
MOST_PUBLIC = 100
"""Queries of a list on a public page, whose model belongs to all visitors."""
RUNS_KEPT, ROWS_KEPT, RUNS_OF_ONE = 24, 4_000, 3
"""Runs that are kept, their rows in all (some 6 MB), and runs of one visitor of a public page."""
PATIENCE = 0.4
"""Seconds between two looks at whose turn it is."""
SAMPLE_LIST = "queries.jsonl"


def most_queries(*, private: bool) -> int:
    """Of a list."""
    return MAX_QUERIES if private else MOST_PUBLIC


class QueryLists:
    """Lists of one app, around its judgements. Safe for threads."""

    def __init__(
        self, judging: JudgingSession, handlers: Handlers, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._judging, self._handlers, self._clock = judging, handlers, clock
        self._runs: LRUCache[Run] = LRUCache(RUNS_KEPT, lambda run: len(run.rows), ROWS_KEPT)
        self._going: dict[str, tuple[Scope | None, threading.Event]] = {}
        """Whose a run on its way is and what ends it, by its name."""
        self._turn = threading.Semaphore(1)

    def run(
        self, given: object, owner: object, wanted: SearchRequest, before: object = ""
    ) -> Generator[tuple[str, str]]:
        """Ask a list. (markup of how far it is, the run's name: empty where it is refused) after every query.

        `before` is the name of the visitor's last run, which is dropped. Closing the iterator ends the asking.
        """
        name = secrets.token_hex(16)
        self.drop(before)
        self._going[name] = self._handlers.visitor, threading.Event()
        try:
            yield from self._run(given, self._judging.owner(owner), replace(wanted, text="", picture=""), name)
        except SmartError as error:
            yield refused(error.sentence), ""
        except Exception:
            log.exception("a list of queries could not be asked")
            yield refused(UNEXPECTED_ERROR), ""
        finally:
            del self._going[name]

    def stop(self, name: object) -> None:
        """End a run on its way after the query at hand; what it found until then is shown."""
        going = self._going.get(name) if isinstance(name, str) else None
        if going is not None:
            going[1].set()

    def table(self, wanted: object) -> dict[str, object]:
        """Markup of what a run found, and the same as `csv`; or a sentence."""
        return answer_or_error(lambda: _table(self._kept(wanted)), FAILURE)

    def vote(self, wanted: object) -> dict[str, object]:
        """Lay the list of a run on the owner's desk, open at the query `at`; or a sentence."""
        return answer_or_error(lambda: self._vote(self._kept(wanted), wanted), FAILURE)

    def sample(self) -> str:
        """The sample library's own queries, with their judgements. InputRefused where there are none."""
        try:
            data = (self._handlers.engine.settings.samples / SAMPLE_LIST).read_bytes()
        except OSError:
            raise InputRefused("These samples come without queries.") from None
        return written(data)

    def forget(self, owner: Scope) -> None:
        """Drop every run of somebody; one on its way is ended."""
        for whose, ends in list(self._going.values()):
            if whose == owner:
                ends.set()
        self._runs.discard(lambda key: isinstance(key, tuple) and key[0] == owner)

    def drop(self, name: object) -> None:
        """Forget a run, and end it if it is on its way."""
        self.stop(name)
        self._runs.discard(lambda key: isinstance(key, tuple) and key[1] == name)

    # -- one run

    def _run(self, given: object, owner: Scope, search: SearchRequest, name: str) -> Iterator[tuple[str, str]]:
        queries, notices = self._read(given)
        self._check(search)
        rows, (whose, stop), held = list[QueryRow](), self._going[name], False
        try:
            while not held and not stop.is_set():
                held = self._turn.acquire(timeout=PATIENCE)
                yield step(0, len(queries)) if held else waiting(), name
            if held:
                for done, said in enumerate(self._ask(queries, search, self._known(owner), rows, notices), start=1):
                    yield step(done, len(queries), said), name
                    if stop.is_set():
                        break
        finally:
            if held:
                self._turn.release()
        if self._handlers.engine.settings.public:
            self._runs.limit(lambda key: isinstance(key, tuple) and key[0] == whose, RUNS_OF_ONE - 1)
        self._runs.put((whose, name), Run(tuple(rows), search, noticed(rows, notices), len(queries)))
        yield ended(name), name

    def _read(self, given: object) -> tuple[tuple[ListedQuery, ...], list[str]]:
        """The queries of a list that may be asked here, and what was left out."""
        if not isinstance(given, str) or not given.strip():
            raise InputRefused("There is no list yet.", "Write one query a line, or use the sample queries.")
        listed = read_queries(given)
        most = most_queries(private=self._handlers.is_private)
        more = len(listed.queries) > most
        told = [f"This page asks {most} queries of a list; those after them were left out."] if more else []
        return listed.queries[:most], [*listed.notices, *told]

    def _ask(
        self,
        queries: Sequence[ListedQuery],
        search: SearchRequest,
        known: KnownGrades,
        rows: list[QueryRow],
        notices: list[str],
    ) -> Iterator[float | None]:
        """Fill rows and notices, query by query; the seconds that are left after each."""
        engine, scopes = self._handlers.engine, self._handlers.resolve_scopes(search.scope)
        methods = (POOLED, Method(SMART.name, SMART.label, search.weights))

        def answer(text: str) -> Found:
            return engine.search(self._handlers.query_for_visitor(text), scopes, methods, search.top)

        begun = self._clock()
        asking = compare_queries(queries, answer, search.top, known)
        for done in range(1, len(queries) + 1):
            try:
                one = next(asking)
            except SmartError as error:  # the library's or the model's trouble: what was found so far is shown
                notices.append(f"The asking ended after {done - 1:,} of {len(queries):,} queries. {error.sentence}")
                return
            if isinstance(one, RefusedQuery):
                notices.append(f'"{one.query}" could not be asked. {one.sentence}')
            else:
                rows.append(one)
            yield (self._clock() - begun) / done * (len(queries) - done)

    def _known(self, owner: Scope) -> KnownGrades:
        """Grades that the owner gave before."""
        try:
            judged = self._judging.journal(owner).judgements
        except LibraryError:  # a page that has no room for another visitor's judgements still asks lists
            return lambda _: {}
        return lambda key: {page: float(given.grade) for page, given in judged.query_grades(key).items()}

    def _check(self, search: SearchRequest) -> None:
        """LibraryError or InputRefused where the pages that are meant cannot be searched now."""
        scopes, handlers = self._handlers.resolve_scopes(search.scope), self._handlers
        if not search.weights.pooled and not search.weights.late:
            raise InputRefused("Both weights are 0, so SMART has nothing to rank by.", "Raise one under Compare.")
        if handlers.is_model_loading(scopes):
            raise LibraryError(f"{handlers.serving().name} is still loading.", "Run the list in a moment.")
        if pending := handlers.pending_samples(scopes):
            samples = pending.samples
            ready = f"{samples.ready} of {count(samples.total, 'page')} are ready" if samples else "none is ready"
            raise LibraryError(f"The samples are still being prepared: {ready}.", "Run the list in a moment.")

    def _kept(self, wanted: object) -> Run:
        name = field(wanted, "run")
        run = self._runs.get((self._handlers.visitor, name)) if isinstance(name, str) else None
        if run is None:
            raise InputRefused("What that list found is no longer kept.", "Run it again.")
        return run

    def _vote(self, run: Run, wanted: object) -> dict[str, object]:
        at, owner = field(wanted, "at"), self._judging.owner(field(wanted, "owner"))
        if isinstance(at, bool) or not isinstance(at, int) or not 0 <= at < len(run.rows):
            raise InputRefused("That is no query of the list.")
        queries = [ListedQuery(row.comparison.query, row.qid) for row in run.rows]
        self._judging.set_queries(owner, queries, at, "a list under Queries")
        self._judging.set_search(owner, run.search)
        return {"laid": len(queries)}


def _table(run: Run) -> dict[str, object]:
    shown = ShownRun(run.rows, run.search, run.notices, summary(run))
    return {"table": query_table(shown), "csv": csv_text(run.rows), "name": "smart-queries.csv"}

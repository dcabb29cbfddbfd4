"""The judging of all owners: each one's journal, the worklist with the open query and how many are done, and outcomes.

A worklist is stored beside the journal, so a reload and a restart continue at the same query. What was judged is in the
journal alone. Nothing here knows the page, or how it knows the owner of a request.

    <data>/judgements/<owner>.desk.json         the worklist, under the name of earlier versions
    <data>/judgements/<owner>.outcomes.json     outcomes of the judged questions, as `evaluation.outcomes` saves them
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from smart_demo.engine import Engine
from smart_demo.errors import InputRefused, LibraryError, SmartError, TotalQuotaExceeded
from smart_demo.evaluation.outcomes import Outcome, load_outcomes, save_outcomes
from smart_demo.evaluation.query_sets import QUERIES_FILE
from smart_demo.judging.journal import Journal, journal_path, max_journal_bytes
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.records import Judgements
from smart_demo.judging.trials import Conditions
from smart_demo.search.cache import LRUCache
from smart_demo.search.request import SearchRequest, parse_request, parse_request_fields
from smart_demo.store import atomic_files
from smart_demo.store.judgement_files import FOLDER
from smart_demo.store.quotas import check_total
from smart_demo.strict_json import integer_between, one_line, parse_object, read_record
from smart_demo.types import Scope

FORMAT_VERSION = 1
MAX_WORKLIST_BYTES = 2**22
DEFAULT_SEARCH = parse_request()
"""The samples, five pages a column, weights 1 and 1."""
MAX_VISITORS = 2_000
"""Visitors whose judgements a public page stores."""
STEP_BYTES = 2**16
"""Free bytes required before one step is written. Most steps take a few thousand."""
MAX_OPEN_OWNERS = 32
"""Journals, and worklists, held in memory."""
FileVersion = tuple[int, int]
"""Time of a file's last change, in nanoseconds, and its size."""
DEFAULT_QUERIES = 20
"""Maximum length of the list for an owner who has none."""


def _read_search(value: object) -> SearchRequest:
    return value if isinstance(value, SearchRequest) else parse_request_fields(value)


def _search_fields(search: SearchRequest) -> dict[str, object]:
    return replace(search, text="", picture="").fields


@pydantic_dataclass(frozen=True, slots=True, config=ConfigDict(populate_by_name=True))
class Worklist:
    """One owner's queries to judge, in order, and the one that is open."""

    queries: Annotated[tuple[ListedQuery, ...], Field(max_length=MAX_QUERIES)]
    """1 to 500 queries, each text once, without grades."""
    position: Annotated[int, integer_between(0, MAX_QUERIES), Field(alias="at")] = 0
    """Index of the open query, or the number of queries at the end of the list."""
    search: Annotated[SearchRequest, PlainValidator(_read_search), PlainSerializer(_search_fields)] = DEFAULT_SEARCH
    """Scope, pages a column and weights for every query; its text is empty."""
    source: Annotated[str, one_line(empty=True)] = ""
    """Origin of the list in a few words, or empty for the default list."""

    @property
    def current(self) -> ListedQuery | None:
        """The open query, or None at the end of the list."""
        return self.queries[self.position] if 0 <= self.position < len(self.queries) else None

    def find(self, key: str) -> int | None:
        """Return the index of the query with a `Query.key`, or None."""
        return next((index for index, query in enumerate(self.queries) if query.key == key), None)


_WORKLIST, _LISTED_QUERY = TypeAdapter(Worklist), TypeAdapter(ListedQuery)


def load_worklist(data_dir: Path, owner: Scope) -> Worklist | None:
    """Load the owner's stored worklist, or return None if there is none or its file is damaged."""
    with suppress(OSError, SmartError):
        return _parse_worklist(atomic_files.read_file(_worklist_path(data_dir, owner)))
    return None


def worklist_exists(data_dir: Path, owner: Scope) -> bool:
    """Return whether the owner has a stored worklist."""
    return _worklist_path(data_dir, owner).exists()


def save_worklist(data_dir: Path, owner: Scope, worklist: Worklist) -> None:
    """Replace the owner's stored worklist. Raises LibraryError if the disk refuses."""
    fields = _WORKLIST.dump_python(worklist, mode="json", by_alias=True, exclude={"queries": {"__all__": {"relevant"}}})
    row = {"v": FORMAT_VERSION, **fields}
    path = _worklist_path(data_dir, owner)
    with atomic_files.storage_errors("keep the list of queries"):
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, MAX_WORKLIST_BYTES)
        atomic_files.write_file(path, json.dumps(row).encode("ascii"))


def delete_worklist(data_dir: Path, owner: Scope) -> None:
    """Delete the owner's stored worklist. Raises LibraryError if the disk refuses."""
    with atomic_files.storage_errors("delete the list of queries"):
        atomic_files.delete_files([_worklist_path(data_dir, owner)])


def _worklist_path(data_dir: Path, owner: Scope) -> Path:
    return data_dir / FOLDER / f"{owner}.desk.json"


def _parse_worklist(data: bytes) -> Worklist:
    """Return the worklist in a file's bytes. Raises InputRefused if they hold anything else.

    An entry that is no query, or repeats an earlier one, is left out, and the query that was open stays open.
    """
    if len(data) > MAX_WORKLIST_BYTES:
        raise InputRefused("The file is too large to be a worklist.")
    row = parse_object(data)
    entries = row.get("queries")
    if row.get("v") != FORMAT_VERSION or not isinstance(entries, list) or len(entries) > MAX_QUERIES:
        raise InputRefused("The file is not a worklist.")
    kept: dict[str, tuple[int, ListedQuery]] = {}
    for index, entry in enumerate(entries):
        with suppress(InputRefused):
            query = read_record(_LISTED_QUERY, entry)
            kept.setdefault(query.query, (index, replace(query, relevant=())))
    if not kept:
        raise InputRefused("The list is empty.")
    worklist = read_record(_WORKLIST, {**row, "queries": tuple(query for _, query in kept.values())})
    return replace(worklist, position=sum(index < worklist.position for index, _ in kept.values()))


class QueryStatus(StrEnum):
    """Whether a query was judged."""

    OPEN = "open"
    JUDGED = "judged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class JudgingProgress:
    """The status of every query of a list, and the position in it."""

    statuses: tuple[QueryStatus, ...]
    """One status a query, in the list's order."""
    position: int
    """Index of the open query, or the number of queries at the end of the list."""

    @property
    def total(self) -> int:
        """Number of queries."""
        return len(self.statuses)

    @property
    def judged(self) -> int:
        """Number of judged queries."""
        return self.statuses.count(QueryStatus.JUDGED)

    @property
    def skipped(self) -> int:
        """Number of skipped queries."""
        return self.statuses.count(QueryStatus.SKIPPED)

    @property
    def next_position(self) -> int:
        """Index of the next query to judge.

        It is the next open query, wrapping round at the end of the list; then the next skipped query after this one;
        then the end of the list.
        """
        others = [*range(self.position + 1, self.total), *range(min(self.position, self.total))]
        unseen: int | None = next((index for index in others if self.statuses[index] is QueryStatus.OPEN), None)
        if unseen is not None:
            return unseen
        later = range(self.position + 1, self.total)
        skipped: int | None = next((index for index in later if self.statuses[index] is QueryStatus.SKIPPED), None)
        return self.total if skipped is None else skipped

    @property
    def first_skipped(self) -> int | None:
        """Index of the first skipped query, or None."""
        return next((index for index, status in enumerate(self.statuses) if status is QueryStatus.SKIPPED), None)


def judging_progress(
    queries: Sequence[ListedQuery], position: int, judged: Judgements, conditions: Conditions
) -> JudgingProgress:
    """Return the progress through a list. A vote counts under its own conditions only, a skip under any."""
    voted = {key for under, key in judged.votes if under == conditions}
    return JudgingProgress(tuple(_status(query.key, voted, judged.skipped) for query in queries), position)


def _status(key: str, voted: set[str], skipped: frozenset[str]) -> QueryStatus:
    if key in voted:
        return QueryStatus.JUDGED
    return QueryStatus.SKIPPED if key in skipped else QueryStatus.OPEN


class JudgingStore:
    """Journals and worklists of all owners. Safe for threads.

    Methods raise SmartError if something cannot be read or stored.
    """

    def __init__(self, engine: Engine, examples: Sequence[str]) -> None:
        """Create the state around an engine. examples: queries that begin the list of an owner who has none."""
        self._engine, self._examples = engine, tuple(examples)
        self._data = engine.settings.data_dir
        self._journals: LRUCache[Journal] = LRUCache(MAX_OPEN_OWNERS)
        self._worklists: LRUCache[Worklist] = LRUCache(MAX_OPEN_OWNERS)
        self._sample_queries: tuple[FileVersion, tuple[ListedQuery, ...]] | None = None
        self._lock = threading.RLock()

    def journal(self, owner: Scope) -> Journal:
        """Return the owner's journal, which may be empty. Reading it writes no file."""
        with self._lock:
            journal = self._journals.get(owner)
            if journal is None:  # or it was evicted: it stays on the disk, and two of one file agree
                journal = Journal(self._data, owner, max_bytes=max_journal_bytes(self._engine.settings))
                self._journals.put(owner, journal)
            return journal

    def journal_version(self, owner: Scope) -> FileVersion | None:
        """Return what differs after every change of the owner's journal, without reading it; None if there is none."""
        return _file_version(journal_path(self._data, owner))

    def writable_journal(self, owner: Scope) -> Journal:
        """Return the owner's journal after ensuring room for one more line. Raises as `ensure_room` does."""
        self.ensure_room(owner)
        return self.journal(owner)

    def worklist(self, owner: Scope) -> Worklist:
        """Return the owner's worklist: the one in memory, the stored one, or the default."""
        with self._lock:
            worklist = self._worklists.get(owner) or load_worklist(self._data, owner)
            worklist = worklist or Worklist(self.default_queries())
            self._worklists.put(owner, worklist)
            return worklist

    def started(self, owner: Scope) -> bool:
        """Return whether the owner has started judging."""
        return worklist_exists(self._data, owner)

    def save_worklist(self, owner: Scope, worklist: Worklist) -> None:
        """Store the owner's worklist, if it changed."""
        with self._lock:
            if self._worklists.get(owner) == worklist and self.started(owner):
                return
            self.ensure_room(owner)
            save_worklist(self._data, owner, worklist)
            self._worklists.put(owner, worklist)

    def queries(self, owner: Scope) -> tuple[ListedQuery, ...]:
        """Return the owner's list of queries."""
        return self.worklist(owner).queries

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
            self.save_worklist(owner, replace(self.worklist(owner), queries=ungraded, position=position, source=source))

    def go_to(self, owner: Scope, position: int) -> None:
        """Open the query at `position`; the list's length closes the last query."""
        with self._lock:
            worklist = self.worklist(owner)
            self.save_worklist(owner, replace(worklist, position=min(max(position, 0), len(worklist.queries))))

    def start(self, owner: Scope, compare: SearchRequest) -> None:
        """Start judging with the depth and the weights now set in Compare."""
        with self._lock:
            worklist = self.worklist(owner)
            self.save_worklist(owner, replace(worklist, search=_without_query(compare, worklist.search.scope)))

    def set_search(self, owner: Scope, search: SearchRequest) -> None:
        """Change scope, depth and weights for every later query. Stores them only if the owner has started."""
        with self._lock:
            worklist = replace(self.worklist(owner), search=_without_query(search, search.scope))
            if self.started(owner):
                self.save_worklist(owner, worklist)
            else:
                self._worklists.put(owner, worklist)

    def insert(self, owner: Scope, query: ListedQuery) -> None:
        """Open a query, inserting it after the open one if the list lacks it.

        Raises InputRefused if the list is full.
        """
        with self._lock:
            worklist = self.worklist(owner)
            position = worklist.find(query.key)
            if position is None:
                if len(worklist.queries) >= MAX_QUERIES:
                    raise InputRefused(
                        f"The list is full: it has {MAX_QUERIES} queries.", "Begin another under Queries."
                    )
                position = min(worklist.position + 1, len(worklist.queries))
                before, after = worklist.queries[:position], worklist.queries[position:]
                worklist = replace(worklist, queries=(*before, replace(query, relevant=()), *after))
            self.save_worklist(owner, replace(worklist, position=position))

    def default_queries(self) -> tuple[ListedQuery, ...]:
        """Return the examples, then the sample library's own queries without their grades."""
        found = [ListedQuery(query) for query in self._examples]
        examples = set(self._examples)
        found += [replace(query, relevant=()) for query in self.sample_queries() if query.query not in examples]
        return tuple(found[:DEFAULT_QUERIES])

    def sample_version(self) -> FileVersion | None:
        """Return what differs after every change of the samples' own queries, or None if they have none."""
        return _file_version(self._engine.settings.samples / QUERIES_FILE)

    def sample_queries(self) -> tuple[ListedQuery, ...]:
        """Return the samples' own queries with their grades. A presenter's own folder may have none."""
        version, known = self.sample_version(), self._sample_queries
        if version is None:
            return ()
        if known is None or known[0] != version:
            try:
                queries = read_queries((self._engine.settings.samples / QUERIES_FILE).read_bytes()).queries
            except (OSError, InputRefused):
                queries = ()
            self._sample_queries = known = version, queries
        return known[1]

    def load_outcomes(self, owner: Scope, key: str) -> tuple[Outcome, ...] | None:
        """Return the owner's saved outcomes, or None if there are none of this key."""
        return load_outcomes(_outcomes_path(self._data, owner), key)

    def save_outcomes(self, owner: Scope, version: FileVersion, key: str, outcomes: Sequence[Outcome]) -> None:
        """Save the owner's outcomes, unless the journal differs from that version by now, or was deleted.

        They count as no change of the owner's, who would otherwise expire later. Raises LibraryError if the disk
        refuses.
        """
        with self._lock:
            if self.journal_version(owner) == version:
                path, changed = _outcomes_path(self._data, owner), version[0]
                save_outcomes(path, key, outcomes)
                with atomic_files.storage_errors("save the outcomes"):
                    os.utime(path, ns=(changed, changed))

    def delete(self, owner: Scope) -> None:
        """Delete the owner's journal, worklist and outcomes, on disk too."""
        with self._lock:
            self.journal(owner).delete()
            delete_worklist(self._data, owner)
            self._delete_outcomes(owner)
            self._worklists.discard(lambda key: key == owner)

    def discard(self, owner: Scope) -> None:
        """Discard an owner's journal and worklist from memory, after their files were deleted. Later files stay."""
        with self._lock:
            self._journals.discard(lambda key: key == owner)
            self._worklists.discard(lambda key: key == owner)
            if self.journal_version(owner) is None:  # outcomes may have been saved during the deletion
                self._delete_outcomes(owner)

    def _delete_outcomes(self, owner: Scope) -> None:
        with atomic_files.storage_errors("delete the outcomes"):
            atomic_files.delete_files([_outcomes_path(self._data, owner)])

    def ensure_room(self, owner: Scope, size: int = STEP_BYTES) -> None:
        """Ensure that a visitor's files may grow by `size` bytes, evicting idle visitors if needed.

        A private page has no such limit. Raises LibraryError if the page already stores MAX_VISITORS visitors'
        judgements and none of them is idle, TotalQuotaExceeded if all visitors together have no room and none is idle.
        """
        engine = self._engine
        if engine.settings.is_private:
            return
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


def _file_version(path: Path) -> FileVersion | None:
    try:
        info = path.stat()
    except OSError:
        return None
    return info.st_mtime_ns, info.st_size


def _outcomes_path(data_dir: Path, owner: Scope) -> Path:
    return data_dir / FOLDER / f"{owner}.outcomes.json"


def _without_query(search: SearchRequest, scope: str) -> SearchRequest:
    return replace(search, text="", picture="", scope=scope)

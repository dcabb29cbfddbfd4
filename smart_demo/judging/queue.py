"""The queries that one owner judges, how they are searched, and how many are done.

The queue is stored beside the journal, so a reload and a restart continue at the same query. What was judged is in the
journal alone.

    <data>/judgements/<owner>.desk.json
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import ConfigDict, Field, PlainSerializer, PlainValidator, TypeAdapter
from pydantic.dataclasses import dataclass

from smart_demo.errors import InputRefused, SmartError
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery
from smart_demo.judging.records import Conditions
from smart_demo.judging.replay import Judgements
from smart_demo.judging.strict_json import integer_between, one_line, parse_object, read_record
from smart_demo.search.request import SearchRequest, parse_request, parse_request_fields
from smart_demo.store import atomic_files
from smart_demo.store.judgement_files import FOLDER
from smart_demo.types import Scope

FORMAT_VERSION = 1
MAX_QUEUE_BYTES = 2**22
DEFAULT_SEARCH = parse_request()
"""The samples, five pages a column, weights 1 and 1."""


def _read_search(value: object) -> SearchRequest:
    return value if isinstance(value, SearchRequest) else parse_request_fields(value)


def _search_fields(search: SearchRequest) -> dict[str, object]:
    return replace(search, text="", picture="").fields


@dataclass(frozen=True, slots=True, config=ConfigDict(populate_by_name=True))
class JudgingQueue:
    """One owner's queries, in order, and the one that is open."""

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


_QUEUE = TypeAdapter(JudgingQueue)


def load(data_dir: Path, owner: Scope) -> JudgingQueue | None:
    """Load the owner's stored queue, or return None if there is none or its file is damaged."""
    with suppress(OSError, SmartError):
        return _parse(atomic_files.read_file(_path(data_dir, owner)))
    return None


def exists(data_dir: Path, owner: Scope) -> bool:
    """Return whether the owner has a stored queue."""
    return _path(data_dir, owner).exists()


def save(data_dir: Path, owner: Scope, queue: JudgingQueue) -> None:
    """Replace the owner's stored queue. Raises LibraryError if the disk refuses."""
    fields = _QUEUE.dump_python(queue, mode="json", by_alias=True, exclude={"queries": {"__all__": {"relevant"}}})
    row = {"v": FORMAT_VERSION, **fields}
    path = _path(data_dir, owner)
    with atomic_files.storage_errors("keep the list of queries"):
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, MAX_QUEUE_BYTES)
        atomic_files.write_file(path, json.dumps(row).encode("ascii"))


def delete(data_dir: Path, owner: Scope) -> None:
    """Delete the owner's stored queue. Raises LibraryError if the disk refuses."""
    with atomic_files.storage_errors("delete the list of queries"):
        atomic_files.delete_files([_path(data_dir, owner)])


def _path(data_dir: Path, owner: Scope) -> Path:
    return data_dir / FOLDER / f"{owner}.desk.json"


def _parse(data: bytes) -> JudgingQueue:
    """Return the queue in a file's bytes. Raises InputRefused if they hold anything else."""
    if len(data) > MAX_QUEUE_BYTES:
        raise InputRefused("The file is too large to be a judging queue.")
    row = parse_object(data)
    if row.get("v") != FORMAT_VERSION:
        raise InputRefused("The file is not a judging queue.")
    queue = read_record(_QUEUE, row)
    if not queue.queries:
        raise InputRefused("The list is empty.")
    return replace(queue, position=min(queue.position, len(queue.queries)))


class QueryStatus(StrEnum):
    """Whether a query was judged."""

    OPEN = "open"
    JUDGED = "judged"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True, slots=True)
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

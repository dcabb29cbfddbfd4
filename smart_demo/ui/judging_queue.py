"""What lies on a judge's desk: the queries to be judged, which of them is open, and how they are searched.

It is kept beside the journal, so that a reload and a restart find everything as it was. What was judged is not its
business: that is in the journal alone.

    <data>/judgements/<owner>.desk.json

How far an evaluation is: what has become of each query of the list. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from smart_demo.errors import InputRefused, SmartError
from smart_demo.judging import json_fields
from smart_demo.judging.journal import FOLDER
from smart_demo.judging.query_list import MAX_QUERIES, ListedQuery, read_queries
from smart_demo.judging.records import Conditions
from smart_demo.judging.replay import Judgements
from smart_demo.search.request import SearchRequest, parse_request, parse_request_fields
from smart_demo.store import atomic_files
from smart_demo.types import Scope

FORM = 1
MOST_BYTES = 2**22
AS_USUAL = parse_request()
"""The samples, five pages a column, weights 1 and 1."""


@dataclass(frozen=True, slots=True)
class JudgingQueue:
    """One owner's desk."""

    queries: tuple[ListedQuery, ...]
    """1 to 500, each text once; without grades."""
    at: int = 0
    """Position of the query that is open. At the end of the list none is."""
    search: SearchRequest = AS_USUAL
    """How each is searched: scope, pages a column, weights. Its text is empty."""
    source: str = ""
    """Where the list is from, in a few words; empty for the one that is there to begin with."""

    @property
    def open(self) -> ListedQuery | None:
        """The query that is judged now."""
        return self.queries[self.at] if 0 <= self.at < len(self.queries) else None

    def place(self, key: str) -> int | None:
        """Where a query stands in the list, by `Query.key`."""
        return next((at for at, one in enumerate(self.queries) if one.key == key), None)


def load(data_dir: Path, owner: Scope) -> JudgingQueue | None:
    """The desk as it was left; None where there is none, and where what is there is no desk."""
    with suppress(OSError, SmartError):
        return _read(atomic_files.read_file(_path(data_dir, owner)))
    return None


def exists(data_dir: Path, owner: Scope) -> bool:
    """Whether a desk was ever kept."""
    return _path(data_dir, owner).exists()


def save(data_dir: Path, owner: Scope, desk: JudgingQueue) -> None:
    """Keep a desk in the place of the one before. LibraryError where the disk refuses."""
    row = {
        "v": FORM,
        "queries": [{"query": one.query, "qid": one.qid} for one in desk.queries],
        "at": desk.at,
        "search": replace(desk.search, text="", picture="").fields,
        "source": desk.source,
    }
    path = _path(data_dir, owner)
    with atomic_files.storage_errors("keep the list of queries"):
        atomic_files.make_folder(path.parent)
        atomic_files.check_space(path.parent, MOST_BYTES)
        atomic_files.write_file(path, json.dumps(row).encode("ascii"))


def drop(data_dir: Path, owner: Scope) -> None:
    """Take a desk away."""
    with atomic_files.storage_errors("delete the list of queries"):
        atomic_files.delete_files([_path(data_dir, owner)])


def _path(data_dir: Path, owner: Scope) -> Path:
    return data_dir / FOLDER / f"{owner}.desk.json"


def _read(data: bytes) -> JudgingQueue:
    """InputRefused for anything but a desk."""
    if len(data) > MOST_BYTES:
        raise InputRefused("That is no desk.")
    row = json_fields.require_object(json_fields.parse_json(data), "a desk")
    if row.get("v") != FORM:
        raise InputRefused("That is no desk.")
    listed = json_fields.list_field(row, "queries", MAX_QUERIES)
    queries = read_queries("\n".join(json.dumps(one, ensure_ascii=False) for one in listed)).queries
    at, source = json_fields.integer_field(row, "at", 0, MAX_QUERIES), json_fields.line_field(row, "source", empty=True)
    return JudgingQueue(queries, min(at, len(queries)), parse_request_fields(row.get("search")), source)


class QueryStatus(StrEnum):
    """What has become of a query."""

    OPEN = "open"
    JUDGED = "judged"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class JudgingProgress:
    """The fates of a list's queries, in its order."""

    fates: tuple[QueryStatus, ...]
    at: int
    """The query that is open; the number of queries where none is."""

    @property
    def total(self) -> int:
        return len(self.fates)

    @property
    def judged(self) -> int:
        return self.fates.count(QueryStatus.JUDGED)

    @property
    def skipped(self) -> int:
        return self.fates.count(QueryStatus.SKIPPED)

    @property
    def following(self) -> int:
        """Where to go on: the next query that nobody has seen, from the beginning again after the last one; then
        those that were skipped, once through; then the end.
        """
        order = [*range(self.at + 1, self.total), *range(min(self.at, self.total))]
        unseen: int | None = next((at for at in order if self.fates[at] is QueryStatus.OPEN), None)
        if unseen is not None:
            return unseen
        later = range(self.at + 1, self.total)
        skipped: int | None = next((at for at in later if self.fates[at] is QueryStatus.SKIPPED), None)
        return self.total if skipped is None else skipped

    @property
    def first_skipped(self) -> int | None:
        return next((at for at, fate in enumerate(self.fates) if fate is QueryStatus.SKIPPED), None)


def judging_progress(
    queries: Sequence[ListedQuery], at: int, judged: Judgements, conditions: Conditions
) -> JudgingProgress:
    """Votes count under the conditions in which they were cast, skips under any."""
    voted = {key for under, key in judged.votes if under == conditions}
    return JudgingProgress(tuple(_fate(one.key, voted, judged.skipped) for one in queries), at)


def _fate(key: str, voted: set[str], skipped: frozenset[str]) -> QueryStatus:
    if key in voted:
        return QueryStatus.JUDGED
    return QueryStatus.SKIPPED if key in skipped else QueryStatus.OPEN

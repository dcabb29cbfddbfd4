"""A list of queries as it was pasted or uploaded -> queries. It may come from anywhere.

Three forms, told apart by the first line that is not empty:

    {"query": "torque of the bolts", "qid": "q1", "relevant": […]}    JSON lines, the form of `queries.jsonl`
    qid,query                                                         a header that has `query`; also ; or tabs
    torque of the bolts                                               anything else: one query a line

What is wrong with a line is said by its number and the other lines stand: nothing is measured by the list itself.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import MAX_GRADE, MAX_PAGE_NUMBER
from smart_demo.judging import json_fields
from smart_demo.types import PageId, Query, StoredPage

MAX_QUERIES, MAX_LIST_BYTES = 500, 2**20
MAX_LISTED_QUERY_CHARS, MAX_QID_CHARS = 300, 64
"""Characters."""
MAX_RELEVANT_PAGES = 1_000
"""Pages graded for one query."""
MAX_NOTICES = 20
"""Lines whose trouble is told."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RelevantPage:
    """How relevant one page is, as a list says it."""

    document: str
    page: int
    grade: float


@dataclass(frozen=True, slots=True)
class ListedQuery:
    """One query of a list."""

    query: str
    """One line, 1 to 300 characters."""
    qid: str = ""
    """What the list calls it."""
    relevant: tuple[RelevantPage, ...] = ()

    @property
    def key(self) -> str:
        """Its `Query.key`."""
        return Query(self.query).key

    def grades(self, pages: Iterable[StoredPage]) -> Mapping[PageId, float]:
        """Grades of those relevant pages that are among the given ones, found by document name and number."""
        said = {(one.document, one.page): one.grade for one in self.relevant}
        return {page.id: said[page.document, page.number] for page in pages if (page.document, page.number) in said}


@dataclass(frozen=True, slots=True)
class QueryList:
    """What a list holds."""

    queries: tuple[ListedQuery, ...]
    """1 to 500, each text once."""
    notices: tuple[str, ...]
    """Sentences on what was left out, by line where there is one."""


def read_queries(given: str | bytes) -> QueryList:
    """Read a list of any of the three forms. InputRefused where it is too large or no line holds a query."""
    text = _text(given)
    found: dict[str, ListedQuery] = {}
    notices: list[str] = []
    repeated, qids, full = 0, set[str](), False
    for number, read in _rows(text):
        try:
            one = read()
            if one.qid and one.qid in qids and one.query not in found:
                raise InputRefused(f'the qid "{one.qid}" is used twice.')
        except InputRefused as refused:
            notices.append(f"Line {number}: {refused.sentence}")
            continue
        if one.query in found:
            repeated += 1
        elif len(found) == MAX_QUERIES:
            full = True
            break
        else:
            found[one.query] = one
            qids.add(one.qid)
    if not found:
        raise InputRefused("There is no query in the list.", " ".join(notices[:1]) or "Write one query a line.")
    return QueryList(tuple(found.values()), tuple(_notices(notices, repeated, full)))


def _notices(told: list[str], repeated: int, full: bool) -> Iterator[str]:
    yield from told[:MAX_NOTICES]
    if len(told) > MAX_NOTICES:
        yield f"{len(told) - MAX_NOTICES:,} more lines were left out."
    if repeated:
        subject, verb = ("1 query", "was") if repeated == 1 else (f"{repeated:,} queries", "were")
        yield f"{subject} stood in the list before and {verb} left out."
    if full:
        yield f"A list may have {MAX_QUERIES} queries; those after them were left out."


def _text(given: str | bytes) -> str:
    if len(given) > MAX_LIST_BYTES:
        raise InputRefused(f"The list is larger than {MAX_LIST_BYTES // 2**20} MB.", "Make it shorter.")
    try:
        text = given if isinstance(given, str) else given.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputRefused("The list is not UTF-8 text.", "Save it as UTF-8.") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _rows(text: str) -> Iterator[tuple[int, Callable[[], ListedQuery]]]:
    """(line number, what reads its query) of whatever form; reading raises InputRefused."""
    lines = text.split("\n")  # not splitlines: a JSON string may hold U+2028 as it is
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    start = lines[first].strip()
    if not start.startswith("{"):
        for mark in ("\t", ";", ","):
            names = [name.strip().strip('"').strip().casefold() for name in start.split(mark)]
            if "query" in names:
                yield from _table("\n".join(lines[first + 1 :]), names, mark, first + 1)
                return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, partial(_from_json, line) if start.startswith("{") else partial(_listed_query, line)


def _table(text: str, names: list[str], mark: str, above: int) -> Iterator[tuple[int, Callable[[], ListedQuery]]]:
    """Rows of a table; `above`: how many lines stand above the first."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    while True:
        number = above + reader.line_num + 1  # a quoted cell may go on over several lines: where the row begins
        try:
            row = next(reader, None)
        except csv.Error:  # a cell longer than any query
            yield number, partial(_listed_query, None)
            continue
        if row is None:
            return
        cells = dict(zip(names, row, strict=False))
        if any(map(str.strip, row)):
            yield number, partial(_listed_query, cells.get("query"), cells.get("qid", ""))


def _listed_query(query: object, qid: object = "", relevant: tuple[RelevantPage, ...] = ()) -> ListedQuery:
    if not isinstance(query, str):
        raise InputRefused("there is no query.")
    words = " ".join(_CONTROL.sub(" ", query).split())
    if not words:
        raise InputRefused("the query is empty.")
    if len(words) > MAX_LISTED_QUERY_CHARS:
        raise InputRefused(
            f"the query has {len(words):,} characters, more than {MAX_LISTED_QUERY_CHARS}; it is left out."
        )
    name = str(qid) if isinstance(qid, int) else qid
    if not isinstance(name, str) or not json_fields.is_line(name.strip(), MAX_QID_CHARS):
        raise InputRefused(f"the qid must be one line of at most {MAX_QID_CHARS} characters.")
    return ListedQuery(words, name.strip(), relevant)


def _from_json(line: str) -> ListedQuery:
    row = json_fields.require_object(json_fields.parse_json(line), "the line")
    given = json_fields.list_field(row, "relevant", MAX_RELEVANT_PAGES) if "relevant" in row else []
    relevant: dict[tuple[str, int], RelevantPage] = {}
    for entry in given:
        one = _relevant(json_fields.require_object(entry, 'an entry of "relevant"'))
        if (one.document, one.page) in relevant:
            raise InputRefused(f'page {one.page} of "{one.document}" is judged twice.')
        relevant[one.document, one.page] = one
    return _listed_query(row.get("query"), row.get("qid", ""), tuple(relevant.values()))


def _relevant(row: Mapping[str, Any]) -> RelevantPage:
    page = json_fields.integer_field(row, "page", 1, MAX_PAGE_NUMBER)
    return RelevantPage(
        json_fields.line_field(row, "document"), page, json_fields.number_field(row, "grade", 0, MAX_GRADE)
    )

"""A pasted or uploaded list of queries, parsed line by line.

The first line that is not empty decides the form:

    {"query": "torque of the bolts", "qid": "q1", "relevant": […]}    JSON lines, the form of `queries.jsonl`
    qid,query                                                         a header with `query`; also with ; or tabs
    torque of the bolts                                               anything else: one query a line

The text is not trusted. An invalid line is left out and reported by its number; the other lines are used.
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
MAX_RELEVANT_PAGES = 1_000
"""Maximum number of graded pages for one query."""
MAX_NOTICES = 20
"""Invalid lines that are reported one by one."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class RelevantPage:
    """One page's grade in a list."""

    document: str
    page: int
    grade: float


@dataclass(frozen=True, slots=True)
class ListedQuery:
    """One query of a list."""

    query: str
    """One line of 1 to 300 characters."""
    qid: str = ""
    """The list's own id for it, or empty."""
    relevant: tuple[RelevantPage, ...] = ()

    @property
    def key(self) -> str:
        """Its `Query.key`."""
        return Query(self.query).key

    def grades(self, pages: Iterable[StoredPage]) -> Mapping[PageId, float]:
        """Return the grades of those given pages that the list grades, matched by document name and page number."""
        grades = {(entry.document, entry.page): entry.grade for entry in self.relevant}
        return {page.id: grades[page.document, page.number] for page in pages if (page.document, page.number) in grades}


@dataclass(frozen=True, slots=True)
class QueryList:
    """The valid queries of a list."""

    queries: tuple[ListedQuery, ...]
    """1 to 500 queries, each text once."""
    notices: tuple[str, ...]
    """Sentences on what was left out, with line numbers."""


def read_queries(given: str | bytes) -> QueryList:
    """Parse a list of any of the three forms. Raises InputRefused if it is too large or has no valid query."""
    text = _decode(given)
    found: dict[str, ListedQuery] = {}
    notices: list[str] = []
    repeated, qids, full = 0, set[str](), False
    for number, parse in _rows(text):
        try:
            query = parse()
            if query.qid and query.qid in qids and query.query not in found:
                raise InputRefused(f'the qid "{query.qid}" is used twice.')
        except InputRefused as refused:
            notices.append(f"Line {number}: {refused.sentence}")
            continue
        if query.query in found:
            repeated += 1
        elif len(found) == MAX_QUERIES:
            full = True
            break
        else:
            found[query.query] = query
            qids.add(query.qid)
    if not found:
        raise InputRefused("There is no query in the list.", " ".join(notices[:1]) or "Write one query a line.")
    return QueryList(tuple(found.values()), tuple(_notices(notices, repeated, full)))


def _notices(refused: list[str], repeated: int, full: bool) -> Iterator[str]:
    yield from refused[:MAX_NOTICES]
    if len(refused) > MAX_NOTICES:
        yield f"{len(refused) - MAX_NOTICES:,} more lines were left out."
    if repeated:
        subject, verb = ("1 query", "was") if repeated == 1 else (f"{repeated:,} queries", "were")
        yield f"{subject} {verb} repeated and left out."
    if full:
        yield f"A list may have {MAX_QUERIES} queries; those after them were left out."


def _decode(given: str | bytes) -> str:
    if len(given) > MAX_LIST_BYTES:
        raise InputRefused(f"The list is larger than {MAX_LIST_BYTES // 2**20} MB.", "Make it shorter.")
    try:
        text = given if isinstance(given, str) else given.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InputRefused("The list is not UTF-8 text.", "Save it as UTF-8.") from None
    return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def _rows(text: str) -> Iterator[tuple[int, Callable[[], ListedQuery]]]:
    """Yield each row's line number and the function that parses it, which raises InputRefused."""
    lines = text.split("\n")  # not splitlines: a JSON string may contain U+2028
    first = next((number for number, line in enumerate(lines) if line.strip()), 0)
    start = lines[first].strip()
    is_json = start.startswith("{")
    if not is_json:
        for delimiter in ("\t", ";", ","):
            names = [name.strip().strip('"').strip().casefold() for name in start.split(delimiter)]
            if "query" in names:
                yield from _table_rows("\n".join(lines[first + 1 :]), names, delimiter, first + 1)
                return
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield number, partial(_parse_json, line) if is_json else partial(_listed_query, line)


def _table_rows(
    text: str, names: list[str], delimiter: str, header_lines: int
) -> Iterator[tuple[int, Callable[[], ListedQuery]]]:
    """Yield the rows of a table as `_rows` does. header_lines: number of lines above the first row."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        number = header_lines + reader.line_num + 1  # the row's first line: a quoted cell may span several
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
    """Validate one query. Raises InputRefused with the reason."""
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


def _parse_json(line: str) -> ListedQuery:
    row = json_fields.require_object(json_fields.parse_json(line), "the line")
    entries = json_fields.list_field(row, "relevant", MAX_RELEVANT_PAGES) if "relevant" in row else []
    relevant: dict[tuple[str, int], RelevantPage] = {}
    for entry in entries:
        page = _relevant_page(json_fields.require_object(entry, 'an entry of "relevant"'))
        if (page.document, page.page) in relevant:
            raise InputRefused(f'page {page.page} of "{page.document}" is judged twice.')
        relevant[page.document, page.page] = page
    return _listed_query(row.get("query"), row.get("qid", ""), tuple(relevant.values()))


def _relevant_page(row: Mapping[str, Any]) -> RelevantPage:
    page = json_fields.integer_field(row, "page", 1, MAX_PAGE_NUMBER)
    document, grade = json_fields.line_field(row, "document"), json_fields.number_field(row, "grade", 0, MAX_GRADE)
    return RelevantPage(document, page, grade)

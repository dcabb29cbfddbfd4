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
from functools import partial
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter
from pydantic.dataclasses import dataclass as pydantic_dataclass

from smart_demo.errors import InputRefused
from smart_demo.evaluation.query_sets import MAX_GRADE, MAX_PAGE_NUMBER
from smart_demo.strict_json import integer_between, number_between, one_line, parse_object, read_record
from smart_demo.types import PageId, Query, StoredPage
from smart_demo.wording import MEGABYTE, limit_in_words

MAX_QUERIES, MAX_LIST_BYTES = 500, MEGABYTE
MAX_LISTED_QUERY_CHARS, MAX_QID_CHARS = 300, 64
MAX_RELEVANT_PAGES = 1_000
"""Maximum number of graded pages for one query."""
MAX_NOTICES = 20
"""Invalid lines that are reported one by one."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@pydantic_dataclass(frozen=True, slots=True)
class RelevantPage:
    """One page's grade in a list."""

    document: Annotated[str, one_line()]
    page: Annotated[int, integer_between(1, MAX_PAGE_NUMBER)]
    grade: Annotated[float, number_between(0, MAX_GRADE)]


def _clean_query(query: object) -> str:
    if not isinstance(query, str):
        raise InputRefused("there is no query.")
    words = " ".join(_CONTROL.sub(" ", query).split())
    if not words:
        raise InputRefused("the query is empty.")
    if len(words) > MAX_LISTED_QUERY_CHARS:
        raise InputRefused(
            f"the query has {len(words):,} characters, more than {MAX_LISTED_QUERY_CHARS}; it is left out."
        )
    return words


def _clean_qid(qid: object) -> object:
    return str(qid).strip() if isinstance(qid, str | int) else qid


def _check_judged_once(relevant: tuple[RelevantPage, ...]) -> tuple[RelevantPage, ...]:
    seen = set()
    for entry in relevant:
        if (entry.document, entry.page) in seen:
            raise InputRefused(f'page {entry.page} of "{entry.document}" is judged twice.')
        seen.add((entry.document, entry.page))
    return relevant


@pydantic_dataclass(frozen=True, slots=True)
class ListedQuery:
    """One query of a list. Creating it cleans the words."""

    query: Annotated[str, BeforeValidator(_clean_query)]
    """One line of 1 to 300 characters."""
    qid: Annotated[str, one_line(MAX_QID_CHARS, empty=True), BeforeValidator(_clean_qid)] = ""
    """The list's own id for it, or empty. JSON may write it as an integer."""
    relevant: Annotated[
        tuple[RelevantPage, ...], Field(max_length=MAX_RELEVANT_PAGES), AfterValidator(_check_judged_once)
    ] = ()

    @property
    def key(self) -> str:
        """Its `Query.key`."""
        return Query(self.query).key

    def grades(self, pages: Iterable[StoredPage]) -> Mapping[PageId, float]:
        """Return the grades of those given pages that the list grades, matched by document name and page number."""
        grades = {(entry.document, entry.page): entry.grade for entry in self.relevant}
        return {page.id: grades[page.document, page.number] for page in pages if (page.document, page.number) in grades}


_LISTED_QUERY = TypeAdapter(ListedQuery)


@pydantic_dataclass(frozen=True, slots=True)
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
        raise InputRefused(f"The list is larger than {limit_in_words(MAX_LIST_BYTES)}.", "Make it shorter.")
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
            yield number, partial(_parse_json, line) if is_json else partial(_read_query, {"query": line})


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
            yield number, partial(_read_query, {})
            continue
        if row is None:
            return
        cells = dict(zip(names, row, strict=False))
        if any(map(str.strip, row)):
            yield number, partial(_read_query, {key: cells[key] for key in ("query", "qid") if key in cells})


def _read_query(fields: Mapping[str, object]) -> ListedQuery:
    return read_record(_LISTED_QUERY, {"query": None, **fields})


def _parse_json(line: str) -> ListedQuery:
    return _read_query(parse_object(line))

"""Judged queries: which pages answer which query, read from `queries.jsonl` or from the tables of a collection.

`queries.jsonl` has one JSON object a line; `document` is a base name with its extension and `page` counts from 1:

    {"qid": "q01", "query": "torque of the M8 bolts", "kind": "exact code",
     "relevant": [{"document": "manual.pdf", "page": 4, "grade": 3}]}

In tables, `_id`, `title`, `text` and `query-id`, `corpus-id`, `score` are BEIR's columns
(beir/datasets/data_loader.py); `corpus-id`, `query-id`, `query`, `image`, `image_filename` ViDoRe's of the first two
editions (vidore-benchmark, vidore_evaluators/vidore_evaluator_beir.py and _qa.py); `corpus_id` and `query_id` those of
the third (pipeline_evaluation/dataset_loader.py); `id` MTEB's; `file_name` that of an image folder on the hub.

Nothing is repaired, since a mistake in a benchmark gives wrong numbers unnoticed: the first invalid line or row is
refused by its number. Notices list what was left out of a collection and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation.tables import Table, TableRow, is_number
from smart_demo.strict_json import parse_object, require_object
from smart_demo.types import PageId

QUERIES_FILE = "queries.jsonl"
"""Name of the judged queries of a folder of documents, such as the samples."""
MAX_GRADE, MAX_PAGE_NUMBER = 100, 9999
FindPage = Callable[[str, int], PageId]
"""Maps (document, page) to the page's id. Raises InputRefused if the collection has no such page."""
DOCUMENT_ID_COLUMNS = ("corpus-id", "corpus_id", "_id", "id")
QUERY_ID_COLUMNS = ("query-id", "query_id", "_id", "id")
QUERY_TEXT_COLUMNS = ("query", "text")
FILE_COLUMNS = ("image_filename", "image_path", "file_name")
MAX_ID_LENGTH = 500
MAX_QUERIES = 1_000_000
MAX_LISTED_LANGUAGES = 8


@dataclass(frozen=True)
class QueryJudgements:
    """A query and the grades of its judged pages."""

    qid: str
    query: str
    kind: str
    """The sort of query, for means by kind: one printable line."""
    grades: Mapping[PageId, float]
    """Grades of 0 or more, by page; at least one is above 0."""


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """The part of a collection to measure."""

    split: str = "test"
    language: str = ""
    """Only queries of this `language`; all if empty."""
    limit: int = 0
    """Maximum number of queries to run, from the start of the file; 0 for all."""
    revision: str = ""
    """Revision of a dataset on the hub; the newest if empty."""


@dataclass
class QuerySet:
    """The queries of a collection."""

    texts: dict[str, str] = field(default_factory=dict)
    """Query texts by id."""
    kinds: dict[str, str] = field(default_factory=dict)
    """Query kinds by id: the language, or `queries` if none is given."""
    others: set[str] = field(default_factory=set)
    """Ids of queries in other languages."""
    languages: set[str] = field(default_factory=set)
    """Languages seen, for the error if none matches."""


def read_text(path: Path) -> str:
    """Return a file's UTF-8 text with plain line ends.

    Raises InputRefused if it is missing, unreadable or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputRefused(f"{path} is not there.", "Check the path.") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None


def read_judgements(path: Path, find: FindPage) -> tuple[QueryJudgements, ...]:
    """Return every query of a `queries.jsonl`, in order. Raises InputRefused, which names file and line."""
    judgements: dict[str, QueryJudgements] = {}
    # Not splitlines: a JSON string may hold U+2028 unescaped.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            query = _parse_line(line, find)
            if query.qid in judgements:
                raise InputRefused(f'the qid "{query.qid}" is used twice.')
        except InputRefused as error:
            raise InputRefused(f"{path.name}, line {number}: {error}", error.hint) from None
        judgements[query.qid] = query
    if not judgements:
        raise InputRefused(f"{path.name} has no queries.", "Write one JSON object a line.")
    return tuple(judgements.values())


def make_page_id(number: int) -> PageId:
    """Return the page id of a document's number.

    >>> str(make_page_id(184))
    '00000000000000b8-0001'
    """
    return PageId(f"{number:016x}", 1)


def number_page(ids: dict[str, PageId], name: str) -> PageId:
    """Return the page id of a collection's own id, the next one if it is new: pages that tie keep this order."""
    return ids.setdefault(name, make_page_id(len(ids)))


def names_of(ids: Mapping[str, PageId]) -> dict[PageId, str]:
    """Return the collection's own ids by page id."""
    return {page: name for name, page in ids.items()}


def read_queries(rows: Iterable[TableRow], language: str) -> QuerySet:
    """Read the queries of a collection.

    Raises InputRefused, with the row, for a query without an id or words or a repeated id, and if no query is in the
    requested language.
    """
    query_set = QuerySet()
    for row in rows:
        qid = read_id(row, QUERY_ID_COLUMNS, "query")
        text = read_words(row, QUERY_TEXT_COLUMNS)
        if text and query_set.texts.get(qid) == text:  # the same line twice counts once
            continue
        if qid in query_set.texts or qid in query_set.others:
            raise row.refusal(f'the query "{qid}" appears twice, with another text.', "Keep one of the lines.")
        if not text:
            raise row.refusal(f'the query "{qid}" is empty.', "Remove it.")
        if len(query_set.texts) >= MAX_QUERIES:
            raise row.refusal(f"there are more than {MAX_QUERIES:,} queries.")
        if matches_language(row, language, query_set.languages):
            query_set.texts[qid], query_set.kinds[qid] = text, read_kind(row)
        else:
            query_set.others.add(qid)
    require_queries(query_set.texts, language, query_set.languages)
    return query_set


def read_grades(
    rows: Iterable[TableRow], query_set: QuerySet, ids: dict[str, PageId], notices: list[str]
) -> Mapping[str, Mapping[PageId, float]]:
    """Return the grades by query id and page.

    Documents that are not in the collection get ids that no page has, so they are never found. A judgement that is
    given twice counts once. Raises InputRefused, with the row, for an invalid id or grade and for two different grades
    of one document.
    """
    grades: dict[str, dict[PageId, float]] = {}
    known, unknown_queries, lost, repeated = len(ids), 0, 0, 0
    for row in rows:
        qid, name = read_id(row, QUERY_ID_COLUMNS[:2], "query"), read_id(row, DOCUMENT_ID_COLUMNS[:2], "document")
        score = read_grade(row)
        if qid not in query_set.texts:
            unknown_queries += qid not in query_set.others
            continue
        page = number_page(ids, name)
        own = grades.setdefault(qid, {})
        if own.get(page, score) != score:
            sentence = f'the document "{name}" has the grades {own[page]:g} and {score:g} for the query "{qid}".'
            raise row.refusal(sentence, "Keep one of the lines.")
        if page in own:
            repeated += 1
            continue
        own[page] = score
        lost += int(page.file, 16) >= known
    if lost:
        notices.append(
            f"Judgements of documents that are not in the collection: {lost:,}; relevant ones count as never found."
        )
    if repeated:
        notices.append(f"Judgements that are given twice, counted once: {repeated:,}.")
    if unknown_queries:
        notices.append(f"Judgements of queries that are not in the collection, left out: {unknown_queries:,}.")
    return grades


def select_judged(
    query_set: QuerySet, grades: Mapping[str, Mapping[PageId, float]], options: CollectionOptions, notices: list[str]
) -> tuple[QueryJudgements, ...]:
    """Return the queries with a relevant document, in the order of their file, at most `limit` of them.

    Raises InputRefused if no query has one.
    """
    judgements = tuple(
        QueryJudgements(qid, text, query_set.kinds[qid], grades[qid])
        for qid, text in query_set.texts.items()
        if any(grades.get(qid, {}).values())
    )
    if not judgements:
        raise InputRefused(f"No query has a relevant document in the judgements of the split {options.split}.")
    if left := len(query_set.texts) - len(judgements):
        notices.append(
            f"Queries without a relevant document in the split {options.split}, left out: "
            f"{left:,} of {len(query_set.texts):,}."
        )
    if query_set.others:
        notices.append(f"Queries in other languages than {options.language}, left out: {len(query_set.others):,}.")
    if options.limit and options.limit < len(judgements):
        notices.append(
            f"Only the first {options.limit:,} of {len(judgements):,} judged queries were run (--limit), each "
            "against all documents: these are not the figures of the whole collection."
        )
        judgements = judgements[: options.limit]
    return judgements


def read_rows(tables: Sequence[Table], columns: Sequence[str] | None = None) -> Iterator[TableRow]:
    """Yield the rows of all tables, in order; `columns` limits what is read from Parquet."""
    for table in tables:
        yield from table.rows(columns)


def read_judgement_rows(tables: Sequence[Table], columns: Sequence[str] | None = None) -> Iterator[TableRow]:
    """Yield the rows of all tables of judgements, with or without a header; `columns` as in `read_rows`."""
    for table in tables:
        yield from table.judgement_rows(columns)


def matches_language(row: TableRow, language: str, seen: set[str]) -> bool:
    """Return whether a row is in the requested language, and add the row's language to `seen`."""
    own = read_words(row, ["language"])
    if own and len(seen) < 100:
        seen.add(own[:40])
    return not language or own.casefold() == language.casefold()


def require_queries(found: Mapping[str, object], language: str, seen: set[str]) -> None:
    """Raise InputRefused if `found` is empty."""
    if found:
        return
    if not language:
        raise InputRefused("There are no queries in the collection.")
    some = ", ".join(sorted(name for name in seen if name.isprintable())[:MAX_LISTED_LANGUAGES])
    hint = f"There are queries in: {some}." if some else "Its queries have no language: leave --language out."
    raise InputRefused(f"No query is in the language {language}.", hint)


def read_kind(row: TableRow) -> str:
    """Return a query's language as its kind."""
    own = read_words(row, ["language"])
    return own if own and own.isprintable() and len(own) <= 40 else "queries"


def read_id(row: TableRow, names: Sequence[str], what: str) -> str:
    """Return an id. A whole number, as benchmarks have them in Parquet, becomes text such as `7`.

    Raises InputRefused if it is missing, empty, not one line or of another type.
    """
    given = find_value(row, names)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63:
        return str(given)
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise row.refusal(f"there is no {what} id.", f"Put one line of text under {' or '.join(names)}.")
    if len(given) > MAX_ID_LENGTH:
        raise row.refusal(f"the id of a {what} has {len(given):,} characters; the limit is {MAX_ID_LENGTH}.")
    return given


def read_words(row: TableRow, names: Sequence[str]) -> str:
    """Return a stripped text, empty if the row has none. Raises InputRefused for any other type."""
    given = find_value(row, names)
    if given is not None and not isinstance(given, str):
        raise row.refusal(f'"{next(name for name in names if name in row.values)}" is not text.')
    return (given or "").strip()


def read_grade(row: TableRow) -> float:
    """Return a document's grade, 0 to MAX_GRADE. Raises InputRefused for any other value."""
    given = row.values.get("score")
    if isinstance(given, str) and is_number(given):
        given = float(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise row.refusal('there is no number under "score".', "The columns are query-id, corpus-id and score.")
    if given < 0:
        raise row.refusal("the score is negative.", "Write 0 for what is not relevant.")
    if not given <= MAX_GRADE:
        raise row.refusal(f'"score" must be a number from 0 to {MAX_GRADE}.')
    return float(given)


def find_value(row: TableRow, names: Sequence[str]) -> object:
    """Return the value of the first of the columns `names` that the row has, or None."""
    return next((row.values[name] for name in names if name in row.values), None)


def _parse_line(line: str, find: FindPage) -> QueryJudgements:
    row = parse_object(line)
    qid, query, kind = (_require_text(row, key) for key in ("qid", "query", "kind"))
    relevant = row.get("relevant")
    if not isinstance(relevant, list):
        raise InputRefused('"relevant" must be a list of pages.')
    grades: dict[PageId, float] = {}
    for entry in relevant:
        page, grade = _parse_graded_page(require_object(entry, 'an entry of "relevant"'), find)
        if page in grades:
            raise InputRefused(f'page {entry["page"]} of "{entry["document"]}" is judged twice.')
        grades[page] = grade
    if not any(grades.values()):
        raise InputRefused("no page has a grade above 0, so there is nothing to find.", "Remove the query.")
    return QueryJudgements(qid, query, kind, grades)


def _parse_graded_page(entry: Mapping[str, Any], find: FindPage) -> tuple[PageId, float]:
    document, page, grade = _require_text(entry, "document"), entry.get("page"), entry.get("grade")
    # Python's bool is an int, but true is neither a page nor a grade.
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= MAX_PAGE_NUMBER:
        raise InputRefused(f'"page" must be a whole number from 1 to {MAX_PAGE_NUMBER}.')
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= MAX_GRADE:
        raise InputRefused(f'"grade" must be a number from 0 to {MAX_GRADE}.')
    return find(document, page), float(grade)


def _require_text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or (key != "query" and not value.isprintable()):
        raise InputRefused(f'"{key}" must be one line of text.')
    return value

"""Queries and qrels of a collection -> judged queries. What was left out, and why, is told in sentences."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smart_demo.errors import InputRefused
from smart_demo.evaluation import row_fields as fields
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.row_fields import Ids
from smart_demo.evaluation.tables import Row, Table
from smart_demo.types import PageId

MOST_QUERIES = 1_000_000
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class Choice:
    """Which part of a collection is measured."""

    split: str = "test"
    language: str = ""
    """Only queries whose `language` this is; all where it is empty."""
    limit: int = 0
    """Only so many queries, the first of the file; 0 for all."""
    revision: str = ""
    """Of a dataset on the hub; the newest where it is empty."""


@dataclass
class Asked:
    """The queries of a collection."""

    texts: dict[str, str] = field(default_factory=dict)
    """By id,"""
    kinds: dict[str, str] = field(default_factory=dict)
    """by id: the query's language, or `queries` where none is said."""
    others: set[str] = field(default_factory=set)
    """Ids of queries in other languages."""
    languages: set[str] = field(default_factory=set)


def read_rows(tables: Sequence[Table], columns: Sequence[str] | None = None) -> Iterator[Row]:
    """Rows of all tables, in order; of Parquet only those of the columns that are there."""
    for table in tables:
        wanted = None if columns is None else [name for name in table.columns() if name in columns]
        yield from table.rows(wanted)


def read_queries(rows: Iterable[Row], language: str) -> Asked:
    """InputRefused, by the row, for a query without an id or words, for an id that is there twice, and where a language
    is asked for that no query has.
    """
    asked = Asked()
    for row in rows:
        qid = fields.identity(row, fields.QUERY, "query")
        if qid in asked.texts or qid in asked.others:
            raise row.refusal(f'the query "{qid}" is there twice.')
        text = fields.words(row, fields.WORDS)
        if not text:
            raise row.refusal(f'the query "{qid}" is empty.', "Take it out.")
        if len(asked.texts) >= MOST_QUERIES:
            raise row.refusal(f"there are more than {MOST_QUERIES:,} queries.")
        if take_language(row, language, asked.languages):
            asked.texts[qid], asked.kinds[qid] = text, kind_of(row)
        else:
            asked.others.add(qid)
    check_language(asked.texts, language, asked.languages)
    return asked


def take_language(row: Row, language: str, seen: set[str]) -> bool:
    """Whether a row is in the language that is asked for; its own is remembered."""
    own = fields.words(row, ["language"])
    if own and len(seen) < 100:
        seen.add(own[:40])
    return not language or own.casefold() == language.casefold()


def check_language(found: Mapping[str, object], language: str, seen: set[str]) -> None:
    """InputRefused where nothing was found."""
    if found:
        return
    if not language:
        raise InputRefused("There are no queries in the collection.")
    some = ", ".join(sorted(name for name in seen if name.isprintable())[:MOST_NAMED])
    hint = f"There are queries in: {some}." if some else "Its queries do not say their language: leave --language out."
    raise InputRefused(f"No query is in the language {language}.", hint)


def kind_of(row: Row) -> str:
    """A query's language as its kind."""
    own = fields.words(row, ["language"])
    return own if own and own.isprintable() and len(own) <= 40 else "queries"


def read_grades(
    rows: Iterable[Row], asked: Asked, ids: Ids, notices: list[str]
) -> Mapping[str, Mapping[PageId, float]]:
    """Grades by query id. Documents that are not in the collection get numbers that nothing has: they are never found.

    InputRefused, by the row, for an id or a grade that makes no sense and for a judgement that is there twice.
    """
    grades: dict[str, dict[PageId, float]] = {}
    known, strangers, lost = len(ids), 0, 0
    for row in rows:
        qid, name = (
            fields.identity(row, ["query-id", "query_id"], "query"),
            fields.identity(row, ["corpus-id", "corpus_id"], "document"),
        )
        score = fields.grade(row)
        if qid not in asked.texts:
            strangers += qid not in asked.others
            continue
        page = ids.number(name)
        own = grades.setdefault(qid, {})
        if page in own:
            raise row.refusal(f'the document "{name}" is judged twice for the query "{qid}".')
        own[page] = score
        lost += int(page.file, 16) >= known
    if lost:
        notices.append(
            f"Judgements of documents that are not in the collection: {lost:,}; relevant ones count as never found."
        )
    if strangers:
        notices.append(f"Judgements of queries that are not in the collection, left out: {strangers:,}.")
    return grades


def judge(
    asked: Asked, grades: Mapping[str, Mapping[PageId, float]], choice: Choice, notices: list[str]
) -> tuple[Judged, ...]:
    """The queries that something answers, in the order of their file, the first `limit` of them.

    InputRefused where nothing answers any query.
    """
    judged = tuple(
        Judged(qid, text, asked.kinds[qid], grades[qid])
        for qid, text in asked.texts.items()
        if any(grades.get(qid, {}).values())
    )
    if not judged:
        raise InputRefused(f"No query has a relevant document in the judgements of the split {choice.split}.")
    if left := len(asked.texts) - len(judged):
        notices.append(
            f"Queries without a relevant document in the split {choice.split}, left out: "
            f"{left:,} of {len(asked.texts):,}."
        )
    if asked.others:
        notices.append(f"Queries in other languages than {choice.language}, left out: {len(asked.others):,}.")
    if choice.limit and choice.limit < len(judged):
        notices.append(
            f"Only the first {choice.limit:,} of {len(judged):,} judged queries were asked (--limit), each among all "
            "documents: these are not the figures of the whole collection."
        )
        judged = judged[: choice.limit]
    return judged

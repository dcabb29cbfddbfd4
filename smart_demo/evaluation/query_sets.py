"""What stands in a row: ids, grades, texts, under the column names that benchmarks use. Slips are refused by the row.

Names of columns: `_id`, `title`, `text` and `query-id`, `corpus-id`, `score` are BEIR's (beir/datasets/data_loader.py);
`corpus-id`, `query-id`, `query`, `image`, `image_filename` ViDoRe's of the first two editions (vidore-benchmark,
vidore_evaluators/vidore_evaluator_beir.py and _qa.py); `corpus_id` and `query_id` those of the third
(pipeline_evaluation/dataset_loader.py); `id` MTEB's; `file_name` that of a hub's folder of pictures.

Queries and qrels of a collection -> judged queries. What was left out, and why, is told in sentences.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import HIGHEST_GRADE, QueryJudgements
from smart_demo.evaluation.tables import Table, TableRow
from smart_demo.evaluation.texts import page_id
from smart_demo.types import PageId

DOCUMENT = ("corpus-id", "corpus_id", "_id", "id")
QUERY = ("query-id", "query_id", "_id", "id")
WORDS = ("query", "text")
FILE = ("image_filename", "image_path", "file_name")
LONGEST_ID = 500
_NUMBER = re.compile(r"-?[0-9]{1,9}(\.[0-9]{1,9})?")


def value(row: TableRow, names: Sequence[str]) -> object:
    """What stands under the first of the names that the row has; None where it has none of them."""
    return next((row.values[name] for name in names if name in row.values), None)


def identity(row: TableRow, names: Sequence[str], what: str) -> str:
    """An id: text, or a whole number as benchmarks have them in Parquet, `7` then.

    InputRefused where it is missing, empty, not of one line or of another kind.
    """
    given = value(row, names)
    if isinstance(given, int) and not isinstance(given, bool) and 0 <= given < 2**63:
        return str(given)
    if not isinstance(given, str) or not given.strip() or not given.isprintable():
        raise row.refusal(f"there is no id of a {what} of one line.", f"It stands under {' or '.join(names)}.")
    if len(given) > LONGEST_ID:
        raise row.refusal(f"the id of a {what} has {len(given):,} characters; the limit is {LONGEST_ID}.")
    return given


def words(row: TableRow, names: Sequence[str]) -> str:
    """A text, without white space around it; empty where there is none. InputRefused for what is no text."""
    given = value(row, names)
    if given is not None and not isinstance(given, str):
        raise row.refusal(f'"{next(name for name in names if name in row.values)}" is not a text.')
    return (given or "").strip()


def grade(row: TableRow) -> float:
    """How relevant a document is, 0 to HIGHEST_GRADE. InputRefused for anything else."""
    given = row.values.get("score")
    if isinstance(given, str) and _NUMBER.fullmatch(given.strip()):
        given = float(given)
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise row.refusal('there is no number under "score".', "The columns are query-id, corpus-id and score.")
    if given < 0:
        raise row.refusal("the score is negative.", "Write 0 for what is not relevant.")
    if not given <= HIGHEST_GRADE:
        raise row.refusal(f'"score" must be a number from 0 to {HIGHEST_GRADE}.')
    return float(given)


class Ids:
    """Numbers for the ids of a collection in the order in which they come, which is the order in which ties fall."""

    def __init__(self) -> None:
        self._pages: dict[str, PageId] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._pages

    def __getitem__(self, name: str) -> PageId:
        return self._pages[name]

    def __len__(self) -> int:
        return len(self._pages)

    def number(self, name: str) -> PageId:
        """The page of an id, a new one where it was not there."""
        if name not in self._pages:
            self._pages[name] = page_id(len(self._pages))
        return self._pages[name]

    @property
    def names(self) -> dict[PageId, str]:
        """Ids by page."""
        return {page: name for name, page in self._pages.items()}


MOST_QUERIES = 1_000_000
MOST_NAMED = 8


@dataclass(frozen=True, slots=True)
class CollectionOptions:
    """Which part of a collection is measured."""

    split: str = "test"
    language: str = ""
    """Only queries whose `language` this is; all where it is empty."""
    limit: int = 0
    """Only so many queries, the first of the file; 0 for all."""
    revision: str = ""
    """Of a dataset on the hub; the newest where it is empty."""


@dataclass
class QuerySet:
    """The queries of a collection."""

    texts: dict[str, str] = field(default_factory=dict)
    """By id,"""
    kinds: dict[str, str] = field(default_factory=dict)
    """by id: the query's language, or `queries` where none is said."""
    others: set[str] = field(default_factory=set)
    """Ids of queries in other languages."""
    languages: set[str] = field(default_factory=set)


def read_rows(tables: Sequence[Table], columns: Sequence[str] | None = None) -> Iterator[TableRow]:
    """Rows of all tables, in order; of Parquet only those of the columns that are there."""
    for table in tables:
        wanted = None if columns is None else [name for name in table.columns() if name in columns]
        yield from table.rows(wanted)


def read_queries(rows: Iterable[TableRow], language: str) -> QuerySet:
    """InputRefused, by the row, for a query without an id or words, for an id that is there twice, and where a language
    is asked for that no query has.
    """
    asked = QuerySet()
    for row in rows:
        qid = identity(row, QUERY, "query")
        if qid in asked.texts or qid in asked.others:
            raise row.refusal(f'the query "{qid}" is there twice.')
        text = words(row, WORDS)
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


def take_language(row: TableRow, language: str, seen: set[str]) -> bool:
    """Whether a row is in the language that is asked for; its own is remembered."""
    own = words(row, ["language"])
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


def kind_of(row: TableRow) -> str:
    """A query's language as its kind."""
    own = words(row, ["language"])
    return own if own and own.isprintable() and len(own) <= 40 else "queries"


def read_grades(
    rows: Iterable[TableRow], asked: QuerySet, ids: Ids, notices: list[str]
) -> Mapping[str, Mapping[PageId, float]]:
    """Grades by query id. Documents that are not in the collection get numbers that nothing has: they are never found.

    InputRefused, by the row, for an id or a grade that makes no sense and for a judgement that is there twice.
    """
    grades: dict[str, dict[PageId, float]] = {}
    known, strangers, lost = len(ids), 0, 0
    for row in rows:
        qid, name = (
            identity(row, ["query-id", "query_id"], "query"),
            identity(row, ["corpus-id", "corpus_id"], "document"),
        )
        score = grade(row)
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
    asked: QuerySet, grades: Mapping[str, Mapping[PageId, float]], choice: CollectionOptions, notices: list[str]
) -> tuple[QueryJudgements, ...]:
    """The queries that something answers, in the order of their file, the first `limit` of them.

    InputRefused where nothing answers any query.
    """
    judged = tuple(
        QueryJudgements(qid, text, asked.kinds[qid], grades[qid])
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

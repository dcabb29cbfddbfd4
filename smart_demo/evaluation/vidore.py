"""Collections of page pictures as ViDoRe has them.

The first edition is one table in which every row is a page, with a query or without (vidore-benchmark,
vidore_evaluators/vidore_evaluator_qa.py): `image`, `image_filename`, `query`. Rows of one `image_filename` are one
page. Rows of one query are one query, which all of their pages answer, as in the collections' own BEIR copies (in
`docvqa_test_subsampled_beir` 451 queries have 500 judgements); the evaluator of the first edition counted the last of
them alone.

Later editions have BEIR's three parts with `image` in the corpus: `corpus-id`, `query-id`, `query`, `score`
(vidore_evaluator_beir.py), in the third `corpus_id`, `query_id` and the query's `language`
(pipeline_evaluation/dataset_loader.py).

Pages that tie fall in the order of their tables.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from smart_demo.config import Limits
from smart_demo.errors import InputRefused
from smart_demo.evaluation import row_fields as fields
from smart_demo.evaluation.album import IMAGE, Album
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.layout import Layout
from smart_demo.evaluation.relevance import (
    Asked,
    Choice,
    check_language,
    judge,
    kind_of,
    read_grades,
    read_queries,
    read_rows,
    take_language,
)
from smart_demo.evaluation.row_fields import Ids
from smart_demo.evaluation.tables import Row
from smart_demo.types import PageId, Pixels

PAGE = (*fields.DOCUMENT, *fields.FILE, IMAGE)
PAGE_OF_A_ROW = (*fields.FILE, *fields.DOCUMENT, IMAGE)
"""Columns that may hold the id of a page; in one table with queries `id` may be the question's."""
MOST_PAGES = 100_000


@dataclass(frozen=True)
class PageCollection:
    """A collection of pictures as it was read; none of them is decoded yet."""

    name: str
    count: int
    """Pages it has."""
    pictures: Callable[[Limits], Iterator[tuple[PageId, Pixels | InputRefused]]]
    """Each page's picture, or why it has none, in order."""
    names: Mapping[PageId, str]
    """What the collection itself calls its pages, judged ones that are not there among them."""
    judged: tuple[Judged, ...]
    notices: tuple[str, ...] = ()


def read_pages(layout: Layout, name: str, choice: Choice) -> PageCollection:
    """Corpus, queries and qrels, with pictures in the corpus. InputRefused, with the file and the line, for anything
    that is not as it should be.
    """
    asked = read_queries(read_rows(layout.queries), choice.language)
    album, ids, notices = Album(layout, layout.corpus), Ids(), list[str]()
    called = partial(fields.identity, names=PAGE, what="page")
    for row in album.rows(fields.DOCUMENT):
        if called(row) in ids:
            raise row.refusal(f'the page "{called(row)}" is there twice.')
        _number(row, called(row), ids)
    count = _count(ids, name)
    grades = read_grades(read_rows(layout.qrels, [*fields.QUERY, *fields.DOCUMENT, "score"]), asked, ids, notices)
    judged = judge(asked, grades, choice, notices)
    pictures = partial(album.pages, ids, called)
    return PageCollection(name, count, pictures, ids.names, judged, tuple(notices))


def read_rows_of_pages(layout: Layout, name: str, choice: Choice) -> PageCollection:
    """One table with pages and queries. InputRefused as `read_pages`."""
    album, ids, notices = Album(layout, layout.rows), Ids(), list[str]()
    called = partial(fields.identity, names=PAGE_OF_A_ROW, what="page")
    asked, qids, grades = Asked(), dict[str, str](), dict[str, dict[PageId, float]]()
    repeated = 0
    for row in album.rows([*fields.DOCUMENT, "query", "language"]):
        page, text = _number(row, called(row), ids), fields.words(row, ["query"])
        if not text or not take_language(row, choice.language, asked.languages):
            continue
        repeated += text in qids
        qid = qids.setdefault(text, f"q{len(qids) + 1}")
        asked.texts.setdefault(qid, text)
        asked.kinds.setdefault(qid, kind_of(row))
        grades.setdefault(qid, {})[page] = 1.0
    check_language(asked.texts, choice.language, asked.languages)
    if repeated:
        notices.append(
            f"Rows that repeat a query: {repeated:,}; it is asked once, and every page it stands beside answers it."
        )
    count = _count(ids, name)
    judged = judge(asked, grades, choice, notices)
    return PageCollection(name, count, partial(album.pages, ids, called), ids.names, judged, tuple(notices))


def _number(row: Row, page: str, ids: Ids) -> PageId:
    if len(ids) >= MOST_PAGES and page not in ids:
        raise row.refusal(f"there are more than {MOST_PAGES:,} pages, which are not held here.")
    return ids.number(page)


def _count(ids: Ids, name: str) -> int:
    if not len(ids):
        raise InputRefused(f"There are no pages in {name}.")
    return len(ids)

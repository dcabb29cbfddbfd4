"""Queries of a list, asked -> rows of its table, and the table as a file. Where answers come from is the caller's."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from smart_demo.errors import QueryRefused
from smart_demo.evaluation.contrasts import Contrast, by_disagreement, contrast
from smart_demo.evaluation.event_table import cell
from smart_demo.evaluation.highlights import Highlight, find_five
from smart_demo.evaluation.metrics import ndcg
from smart_demo.evaluation.query_list import Listed
from smart_demo.evaluation.recording import order
from smart_demo.types import POOLED, SMART, Found, PageId, SearchResult, StoredPage

COLUMNS = (
    "qid", "query", "rbo", "kendall tau", "shared pages", "of", "first changes", "first by pooled", "first by smart",
    "ndcg pooled", "ndcg smart", "better", "picked because",
)  # fmt: skip
Search = Callable[[str], Found]
"""A query's words -> its answer by POOLED and SMART."""
Known = Callable[[str], Mapping[PageId, float]]
"""A `Query.key` -> grades that somebody gave before."""


@dataclass(frozen=True, slots=True)
class Row:
    """One query of a list."""

    qid: str
    contrast: Contrast
    pooled: float | None
    """nDCG@k of the pooled ranking; None where no graded page is relevant."""
    smart: float | None
    first: tuple[str, str]
    """The first page of pooled and of SMART: document and page number; empty where nothing was found."""
    own: bool
    """Whether its grades were given here before, since the list brings none."""
    unknown: int
    """Pages that the list grades and that are not among those searched."""

    @property
    def better(self) -> str:
        """Name of the method with the higher nDCG: empty where nothing is known, `same` where they agree."""
        if self.contrast.gain is None:
            return ""
        return SMART.name if self.contrast.better else POOLED.name if self.contrast.worse else "same"


@dataclass(frozen=True, slots=True)
class Refused:
    """A query of a list that could not be asked."""

    query: str
    sentence: str


def ask(queries: Iterable[Listed], search: Search, k: int, known: Known) -> Iterator[Row | Refused]:
    """Ask one query after the other; whoever takes no more of them stops the asking."""
    for one in queries:
        try:
            found = search(one.query)
        except QueryRefused as refused:
            yield Refused(one.query, refused.sentence)
        else:
            yield _row(one, found, k, known)


def sorted_rows(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The most different rankings first."""
    by_key = {row.contrast.key: row for row in rows}
    return tuple(by_key[one.key] for one in by_disagreement(row.contrast for row in by_key.values()))


def five(rows: Iterable[Row]) -> tuple[Highlight, ...]:
    """Up to five of the queries, for a slide."""
    return find_five([row.contrast for row in rows])


def csv_text(rows: Sequence[Row]) -> str:
    """A table for a spreadsheet, in which nothing is run. It begins with the mark by which spreadsheets see UTF-8."""
    picked = {one.contrast.key: one.sentence for one in five(rows)}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for row in sorted_rows(rows):
        writer.writerow([cell(value) for value in _cells(row, picked.get(row.contrast.key, ""))])
    return f"\ufeff{stream.getvalue()}"


def _row(one: Listed, found: Found, k: int, known: Known) -> Row:
    graded = dict(one.grades(found.parts.pages))
    unknown, own = len(one.relevant) - len(graded), False
    if not one.relevant:
        searched = {page.id for page in found.parts.pages}  # a page elsewhere cannot be found, so it is no ideal
        graded = {page: grade for page, grade in known(one.key).items() if page in searched}
        own = bool(graded)
    rankings = [found.results[method.name] for method in (POOLED, SMART)]
    pooled, smart = (order(ranking) for ranking in rankings)
    told = contrast(one.query, one.key, pooled, smart, k, graded)
    judged = told.gain is not None
    values = [ndcg(ranking, graded, k) if judged else None for ranking in (pooled, smart)]
    before, after = (_first(ranking) for ranking in rankings)
    return Row(one.qid, told, values[0], values[1], (before, after), own, max(unknown, 0))


def _first(result: SearchResult) -> str:
    return _named(result.hits[0].page) if result.hits else ""


def _named(page: StoredPage) -> str:
    return f"{page.document}, page {page.number}"


def _cells(row: Row, why: str) -> list[object]:
    told = row.contrast.disagreement
    before, after = row.first
    return [
        row.qid,
        row.contrast.query,
        round(told.rbo, 6),
        "" if told.tau != told.tau else round(told.tau, 6),  # NaN where a ranking is empty
        told.shared,
        told.k,
        "yes" if told.new_first else "no",
        before,
        after,
        "" if row.pooled is None else round(row.pooled, 6),
        "" if row.smart is None else round(row.smart, 6),
        row.better,
        why,
    ]

"""A list of queries, each asked both ways: how much the rankings of each differ, and what moved most.

Whether a change is good or bad is known only where pages of the query are graded.

Five queries for a slide, out of a list: each shows another thing, and one of them shows SMART losing if any does.

Without grades nobody knows whether a change is for the better, so a page is said to rise or to fall and no more.

Queries of a list, asked -> rows of its table, and the table as a file. Where answers come from is the caller's.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from smart_demo.errors import QueryRefused
from smart_demo.evaluation.metrics import TIE_TOLERANCE, ndcg
from smart_demo.evaluation.rank_overlap import Disagreement, measure_disagreement
from smart_demo.judging.archive import spreadsheet_cell
from smart_demo.judging.query_list import ListedQuery
from smart_demo.judging.records import page_order
from smart_demo.types import POOLED, SMART, Found, PageId, SearchResult, StoredPage


@dataclass(frozen=True, slots=True)
class RankChange:
    """One page's way from the pooled ranking to SMART's."""

    before: int | None
    """Rank by pooled, from 1; None where it is not ranked."""
    after: int | None
    """Rank by SMART."""

    @property
    def worth(self) -> float:
        """What the step would be worth to the DCG of a page of grade 1: a rise from 14 to 1 is more than one from 60
        to 20. Below 0 for a fall, 0 for a page that stays.
        """
        return _discount(self.after) - _discount(self.before)


@dataclass(frozen=True, slots=True)
class QueryComparison:
    """One query of a list."""

    query: str
    key: str
    """`Query.key`."""
    disagreement: Disagreement
    rise: RankChange | None
    """The page among SMART's first k that rose the most; None where none did."""
    fall: RankChange | None
    """The page among pooled's first k that fell the most."""
    gain: float | None
    """nDCG@k of SMART minus that of pooled; None where no graded page is relevant."""

    @property
    def better(self) -> bool:
        """Whether grades say that SMART is better."""
        return self.gain is not None and self.gain > TIE_TOLERANCE

    @property
    def worse(self) -> bool:
        """Whether grades say that SMART is worse."""
        return self.gain is not None and self.gain < -TIE_TOLERANCE


def compare_rankings(
    query: str,
    key: str,
    pooled: Sequence[PageId],
    smart: Sequence[PageId],
    k: int,
    grades: Mapping[PageId, float] | None = None,
) -> QueryComparison:
    """Compare the first k of two rankings, given as far down as they are known; grades of the query, if there are any.

    ValueError for k below 1 and for rankings that repeat a page.
    """
    grades = grades or {}
    judged = any(grade > 0 for grade in grades.values())
    gain = ndcg(smart, grades, k) - ndcg(pooled, grades, k) if judged else None
    before, after = ({page: rank for rank, page in enumerate(ranking, start=1)} for ranking in (pooled, smart))
    steps = [RankChange(before.get(page), after.get(page)) for page in dict.fromkeys([*smart[:k], *pooled[:k]])]
    rise = max(steps, key=lambda step: step.worth, default=None)
    fall = min(steps, key=lambda step: step.worth, default=None)
    return QueryComparison(
        query,
        key,
        measure_disagreement(pooled[:k], smart[:k]),
        rise if rise and rise.worth > 0 else None,
        fall if fall and fall.worth < 0 else None,
        gain,
    )


def sort_by_disagreement(contrasts: Iterable[QueryComparison]) -> tuple[QueryComparison, ...]:
    """The most different first: least RBO, then least tau; equal ones in the order of their list."""
    return tuple(sorted(contrasts, key=lambda one: (one.disagreement.rbo, _tau_or_lowest(one.disagreement.tau))))


def _tau_or_lowest(tau: float) -> float:
    return -1.0 if math.isnan(tau) else tau


def _discount(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / math.log2(rank + 1)


MAX_HIGHLIGHTS = 5


class HighlightKind(StrEnum):
    """What a query is picked for."""

    LOSS = "loss"
    """Grades say that SMART is worse."""
    GAIN = "gain"
    """Grades say that SMART is better."""
    RISE = "rise"
    """A page rises far."""
    FALL = "fall"
    """A page falls far."""
    UNCHANGED = "unchanged"
    """Both rankings are the same."""
    DIFFERENT = "different"
    """The rankings differ more than those of the other queries."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """A query and what it is picked for."""

    shows: HighlightKind
    contrast: QueryComparison

    @property
    def sentence(self) -> str:
        """What to look at, for the person who presents it."""
        one, k = self.contrast, self.contrast.disagreement.k
        match self.shows:
            case HighlightKind.LOSS | HighlightKind.GAIN:
                word = "loses" if self.shows is HighlightKind.LOSS else "wins"
                return f"SMART {word}: nDCG {one.gain or 0.0:+z.2f} by the grades.".replace("-", "−")
            case HighlightKind.RISE:
                return f"A page rises {_change_words(one.rise)}.{_grades_sentence(one)}"
            case HighlightKind.FALL:
                return f"A page falls {_change_words(one.fall)}.{_grades_sentence(one)}"
            case HighlightKind.UNCHANGED if k == 0:
                return "No change: nothing was found."
            case HighlightKind.UNCHANGED:
                return f"No change: the same {k} pages in the same order." if k > 1 else "No change: the same page."
            case HighlightKind.DIFFERENT:
                shared = one.disagreement.shared
                return f"The rankings differ: {shared} of {k} pages shared, RBO {one.disagreement.rbo:.2f}.{_grades_sentence(one)}"


def select_highlights(contrasts: Sequence[QueryComparison]) -> tuple[Highlight, ...]:
    """Up to five, each query once: the worst loss where there is one, the strongest rise, one without change, the most
    different, the best gain where there is one, the strongest fall; then the most different of the rest.
    """
    left, picked = list(contrasts), list[Highlight]()
    for shows, find in _SELECTORS:
        found = find(left)
        if found is not None and len(picked) < MAX_HIGHLIGHTS:
            left.remove(found)
            picked.append(Highlight(shows, found))
    for one in sort_by_disagreement(left)[: MAX_HIGHLIGHTS - len(picked)]:
        picked.append(Highlight(HighlightKind.UNCHANGED if one.disagreement.same else HighlightKind.DIFFERENT, one))
    return tuple(picked)


def _loss(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return min((one for one in left if one.worse), key=lambda one: one.gain or 0.0, default=None)


def _gain(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return max((one for one in left if one.better), key=lambda one: one.gain or 0.0, default=None)


def _rise(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return max((one for one in left if one.rise), key=lambda one: _gain_of(one.rise), default=None)


def _fall(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return min((one for one in left if one.fall), key=lambda one: _gain_of(one.fall), default=None)


def _unchanged(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return next((one for one in left if one.disagreement.same), None)


def _different(left: Sequence[QueryComparison]) -> QueryComparison | None:
    return next((one for one in sort_by_disagreement(left) if not one.disagreement.same), None)


_SELECTORS: tuple[tuple[HighlightKind, Callable[[Sequence[QueryComparison]], QueryComparison | None]], ...] = (
    (HighlightKind.LOSS, _loss),
    (HighlightKind.RISE, _rise),
    (HighlightKind.UNCHANGED, _unchanged),
    (HighlightKind.DIFFERENT, _different),
    (HighlightKind.GAIN, _gain),
    (HighlightKind.FALL, _fall),
)


def _gain_of(step: RankChange | None) -> float:
    return step.worth if step else 0.0


def _change_words(step: RankChange | None) -> str:
    """From where to where.

    >>> _way(Step(14, 1)), _way(Step(2, None))
    ('from rank 14 to rank 1', 'from rank 2 out of the ranking')
    """
    if step is None:
        return ""
    before = f"from rank {step.before}" if step.before else "from below the ranking"
    return f"{before} to rank {step.after}" if step.after else f"{before} out of the ranking"


def _grades_sentence(one: QueryComparison) -> str:
    if one.gain is None:
        return ""
    word = "better" if one.better else "worse" if one.worse else "no better and no worse"
    return f" By the grades SMART is {word} here."


COLUMNS = (
    "qid", "query", "rbo", "kendall tau", "shared pages", "of", "first changes", "first by pooled", "first by smart",
    "ndcg pooled", "ndcg smart", "better", "picked because",
)  # fmt: skip
Search = Callable[[str], Found]
"""A query's words -> its answer by POOLED and SMART."""
KnownGrades = Callable[[str], Mapping[PageId, float]]
"""A `Query.key` -> grades that somebody gave before."""


@dataclass(frozen=True, slots=True)
class QueryRow:
    """One query of a list."""

    qid: str
    contrast: QueryComparison
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
class RefusedQuery:
    """A query of a list that could not be asked."""

    query: str
    sentence: str


def compare_queries(
    queries: Iterable[ListedQuery], search: Search, k: int, known: KnownGrades
) -> Iterator[QueryRow | RefusedQuery]:
    """Ask one query after the other; whoever takes no more of them stops the asking."""
    for one in queries:
        try:
            found = search(one.query)
        except QueryRefused as refused:
            yield RefusedQuery(one.query, refused.sentence)
        else:
            yield _row(one, found, k, known)


def sorted_rows(rows: Iterable[QueryRow]) -> tuple[QueryRow, ...]:
    """The most different rankings first."""
    by_key = {row.contrast.key: row for row in rows}
    return tuple(by_key[one.key] for one in sort_by_disagreement(row.contrast for row in by_key.values()))


def highlights(rows: Iterable[QueryRow]) -> tuple[Highlight, ...]:
    """Up to five of the queries, for a slide."""
    return select_highlights([row.contrast for row in rows])


def csv_text(rows: Sequence[QueryRow]) -> str:
    """A table for a spreadsheet, in which nothing is run. It begins with the mark by which spreadsheets see UTF-8."""
    picked = {one.contrast.key: one.sentence for one in highlights(rows)}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for row in sorted_rows(rows):
        writer.writerow([spreadsheet_cell(value) for value in _cells(row, picked.get(row.contrast.key, ""))])
    return f"\ufeff{stream.getvalue()}"


def _row(one: ListedQuery, found: Found, k: int, known: KnownGrades) -> QueryRow:
    graded = dict(one.grades(found.parts.pages))
    unknown, own = len(one.relevant) - len(graded), False
    if not one.relevant:
        searched = {page.id for page in found.parts.pages}  # a page elsewhere cannot be found, so it is no ideal
        graded = {page: grade for page, grade in known(one.key).items() if page in searched}
        own = bool(graded)
    rankings = [found.results[method.name] for method in (POOLED, SMART)]
    pooled, smart = (page_order(ranking) for ranking in rankings)
    told = compare_rankings(one.query, one.key, pooled, smart, k, graded)
    judged = told.gain is not None
    values = [ndcg(ranking, graded, k) if judged else None for ranking in (pooled, smart)]
    before, after = (_first_page(ranking) for ranking in rankings)
    return QueryRow(one.qid, told, values[0], values[1], (before, after), own, max(unknown, 0))


def _first_page(result: SearchResult) -> str:
    return _named(result.hits[0].page) if result.hits else ""


def _named(page: StoredPage) -> str:
    return f"{page.document}, page {page.number}"


def _cells(row: QueryRow, why: str) -> list[object]:
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

"""Comparison of pooled and SMART over a list of queries: how much their rankings differ, and which way.

Only grades can say whether a difference is good or bad. Without grades a page rises or falls, and no more is claimed.
Includes the highlights for a slide, at least one of which shows SMART losing if it loses any query, and the CSV export.
The caller searches.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from smart_demo.errors import QueryRefused
from smart_demo.evaluation.metrics import TIE_TOLERANCE, Disagreement, measure_disagreement, ndcg
from smart_demo.judging.archive import spreadsheet_cell
from smart_demo.judging.query_list import ListedQuery
from smart_demo.judging.trials import page_order
from smart_demo.methods import POOLED, SMART, Found, SearchResult
from smart_demo.types import PageId

MAX_HIGHLIGHTS = 5
COLUMNS = (
    "qid", "query", "rbo", "kendall tau", "shared pages", "of", "first changes", "first by pooled", "first by smart",
    "ndcg pooled", "ndcg smart", "better", "picked because",
)  # fmt: skip
Search = Callable[[str], Found]
"""Function from a query's words to its answer by POOLED and SMART."""
KnownGrades = Callable[[str], Mapping[PageId, float]]
"""Function from a `Query.key` to the grades that the journal has for it."""


@dataclass(frozen=True, slots=True)
class RankChange:
    """Ranks of one page in the pooled ranking and in SMART's."""

    before: int | None
    """Rank by pooled, from 1, or None if it is not ranked."""
    after: int | None
    """Rank by SMART, from 1, or None if it is not ranked."""

    @property
    def dcg_change(self) -> float:
        """Change in the DCG of a page of grade 1: a rise from 14 to 1 counts more than one from 60 to 20. Negative for
        a fall, 0 for a page that keeps its rank.
        """
        return _discount(self.after) - _discount(self.before)


@dataclass(frozen=True, slots=True)
class QueryComparison:
    """Pooled and SMART compared on one query."""

    query: str
    key: str
    """`Query.key`."""
    disagreement: Disagreement
    rise: RankChange | None
    """The strongest rise of a page in either first k, or None if none rose."""
    fall: RankChange | None
    """The strongest fall of a page in either first k, or None if none fell."""
    pooled: float | None
    """Pooled's nDCG@k, or None if no graded page is relevant."""
    smart: float | None
    """SMART's nDCG@k, or None if no graded page is relevant."""
    qid: str = ""
    """The list's own id for the query, or empty."""
    first_pages: tuple[str, str] = ("", "")
    """The first page of pooled and of SMART, as document and page number; empty if nothing was found."""
    own_grades: bool = False
    """Whether the grades come from the journal, because the list has none for this query."""
    unknown_pages: int = 0
    """Number of pages that the list grades and the search does not cover."""

    @property
    def ndcg_gain(self) -> float | None:
        """SMART's nDCG@k minus pooled's, or None if no graded page is relevant."""
        return None if self.smart is None or self.pooled is None else self.smart - self.pooled

    @property
    def better(self) -> str:
        """Name of the method with the higher nDCG, `same` for a tie, or empty without grades."""
        gain = self.ndcg_gain
        if gain is None:
            return ""
        return SMART.name if gain > TIE_TOLERANCE else POOLED.name if gain < -TIE_TOLERANCE else "same"


class HighlightKind(StrEnum):
    """Reasons to highlight a query."""

    LOSS = "loss"
    """SMART has the lower nDCG."""
    GAIN = "gain"
    """SMART has the higher nDCG."""
    RISE = "rise"
    """A page rises far."""
    FALL = "fall"
    """A page falls far."""
    UNCHANGED = "unchanged"
    """Both rankings are equal."""
    DIFFERENT = "different"
    """The rankings differ more than those of the other queries."""


@dataclass(frozen=True, slots=True)
class Highlight:
    """A highlighted query."""

    kind: HighlightKind
    comparison: QueryComparison

    @property
    def sentence(self) -> str:
        """A sentence for the presenter on what to look at."""
        found, disagreement = self.comparison, self.comparison.disagreement
        k = disagreement.k
        match self.kind:
            case HighlightKind.LOSS | HighlightKind.GAIN:
                word = "loses" if self.kind is HighlightKind.LOSS else "wins"
                return f"SMART {word}: nDCG {found.ndcg_gain or 0.0:+z.2f} by the grades.".replace("-", "−")
            case HighlightKind.RISE:
                return f"A page rises {_change_words(found.rise)}.{_grades_sentence(found)}"
            case HighlightKind.FALL:
                return f"A page falls {_change_words(found.fall)}.{_grades_sentence(found)}"
            case HighlightKind.UNCHANGED if k == 0:
                return "No change: nothing was found."
            case HighlightKind.UNCHANGED:
                return f"No change: the same {k} pages in the same order." if k > 1 else "No change: the same page."
            case HighlightKind.DIFFERENT:
                overlap = f"{disagreement.shared} of {k} pages shared, RBO {disagreement.rbo:.2f}"
                return f"The rankings differ: {overlap}.{_grades_sentence(found)}"


@dataclass(frozen=True, slots=True)
class RefusedQuery:
    """A query that the search refused, and why."""

    query: str
    sentence: str


def compare_queries(
    queries: Iterable[ListedQuery], search: Search, k: int, known: KnownGrades
) -> Iterator[QueryComparison | RefusedQuery]:
    """Search one query after the other and yield its comparison. Close the iterator to stop."""
    for query in queries:
        try:
            found = search(query.query)
        except QueryRefused as refused:
            yield RefusedQuery(query.query, refused.sentence)
        else:
            yield _compare_answer(query, found, k, known)


def compare_rankings(
    query: str,
    key: str,
    pooled: Sequence[PageId],
    smart: Sequence[PageId],
    k: int,
    grades: Mapping[PageId, float] | None = None,
) -> QueryComparison:
    """Compare the first k of two rankings, each given as deep as it is known, with the query's grades if any.

    Raises ValueError if k is below 1 or a ranking repeats a page.
    """
    grades = grades or {}
    has_relevant = any(grade > 0 for grade in grades.values())
    before, after = ({page: rank for rank, page in enumerate(ranking, start=1)} for ranking in (pooled, smart))
    changes = [RankChange(before.get(page), after.get(page)) for page in dict.fromkeys([*smart[:k], *pooled[:k]])]
    rise = max(changes, key=lambda change: change.dcg_change, default=None)
    fall = min(changes, key=lambda change: change.dcg_change, default=None)
    return QueryComparison(
        query,
        key,
        measure_disagreement(pooled[:k], smart[:k]),
        rise if rise and rise.dcg_change > 0 else None,
        fall if fall and fall.dcg_change < 0 else None,
        ndcg(pooled, grades, k) if has_relevant else None,
        ndcg(smart, grades, k) if has_relevant else None,
    )


def sort_by_disagreement(comparisons: Iterable[QueryComparison]) -> tuple[QueryComparison, ...]:
    """Sort comparisons, the most different rankings first: lowest RBO, then lowest tau, then the given order."""
    return tuple(sorted(comparisons, key=_agreement))


def select_highlights(comparisons: Sequence[QueryComparison]) -> tuple[Highlight, ...]:
    """Select up to five queries, each once.

    They are, as far as they exist: the worst loss, the strongest rise, one without change, the most different
    rankings, the best gain, the strongest fall; then the most different of the others.
    """
    left, selected = list(comparisons), list[Highlight]()
    for kind, is_candidate, sort_key in _SELECTORS:
        found = min(filter(is_candidate, left), key=sort_key, default=None)
        if found is not None and len(selected) < MAX_HIGHLIGHTS:
            left.remove(found)
            selected.append(Highlight(kind, found))
    for found in sort_by_disagreement(left)[: MAX_HIGHLIGHTS - len(selected)]:
        selected.append(
            Highlight(HighlightKind.UNCHANGED if found.disagreement.same else HighlightKind.DIFFERENT, found)
        )
    return tuple(selected)


def csv_text(rows: Sequence[QueryComparison]) -> str:
    """Return the rows as CSV with no cell that a spreadsheet would run.

    It begins with the byte order mark by which spreadsheets recognise UTF-8.
    """
    reasons = {highlight.comparison.key: highlight.sentence for highlight in select_highlights(rows)}
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    writer.writerow(COLUMNS)
    for row in sort_by_disagreement(rows):
        writer.writerow([spreadsheet_cell(value) for value in _cells(row, reasons.get(row.key, ""))])
    return f"\ufeff{stream.getvalue()}"


def _compare_answer(query: ListedQuery, found: Found, k: int, known: KnownGrades) -> QueryComparison:
    graded = dict(query.grades(found.parts.pages))
    unknown, own = len(query.relevant) - len(graded), False
    if not query.relevant:
        searched = {page.id for page in found.parts.pages}  # a page not searched must not be part of nDCG's ideal
        graded = {page: grade for page, grade in known(query.key).items() if page in searched}
        own = bool(graded)
    pooled, smart = (found.results[method.name] for method in (POOLED, SMART))
    comparison = compare_rankings(query.query, query.key, page_order(pooled), page_order(smart), k, graded)
    return replace(
        comparison,
        qid=query.qid,
        first_pages=(_first_page(pooled), _first_page(smart)),
        own_grades=own,
        unknown_pages=max(unknown, 0),
    )


def _first_page(result: SearchResult) -> str:
    return f"{result.hits[0].page.document}, page {result.hits[0].page.number}" if result.hits else ""


def _cells(row: QueryComparison, reason: str) -> list[object]:
    disagreement = row.disagreement
    before, after = row.first_pages
    return [
        row.qid,
        row.query,
        round(disagreement.rbo, 6),
        "" if math.isnan(disagreement.tau) else round(disagreement.tau, 6),  # NaN if a ranking is empty
        disagreement.shared,
        disagreement.k,
        "yes" if disagreement.new_first else "no",
        before,
        after,
        "" if row.pooled is None else round(row.pooled, 6),
        "" if row.smart is None else round(row.smart, 6),
        row.better,
        reason,
    ]


def _agreement(found: QueryComparison) -> tuple[float, float]:
    tau = found.disagreement.tau
    return found.disagreement.rbo, -1.0 if math.isnan(tau) else tau


def _dcg_change(change: RankChange | None) -> float:
    return change.dcg_change if change else 0.0


def _change_words(change: RankChange | None) -> str:
    """Return the ranks of a change in words.

    >>> _change_words(RankChange(14, 1)), _change_words(RankChange(2, None))
    ('from rank 14 to rank 1', 'from rank 2 out of the ranking')
    """
    if change is None:
        return ""
    before = f"from rank {change.before}" if change.before else "from below the ranking"
    return f"{before} to rank {change.after}" if change.after else f"{before} out of the ranking"


def _grades_sentence(found: QueryComparison) -> str:
    if found.ndcg_gain is None:
        return ""
    word = {SMART.name: "better", POOLED.name: "worse"}.get(found.better, "no better and no worse")
    return f" By the grades SMART is {word} here."


def _discount(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / math.log2(rank + 1)


_SortKey = Callable[[QueryComparison], float | tuple[float, float]]
_SELECTORS: tuple[tuple[HighlightKind, Callable[[QueryComparison], bool], _SortKey], ...] = (
    (HighlightKind.LOSS, lambda found: found.better == POOLED.name, lambda found: found.ndcg_gain or 0.0),
    (HighlightKind.RISE, lambda found: found.rise is not None, lambda found: -_dcg_change(found.rise)),
    (HighlightKind.UNCHANGED, lambda found: found.disagreement.same, lambda found: 0.0),
    (HighlightKind.DIFFERENT, lambda found: not found.disagreement.same, _agreement),
    (HighlightKind.GAIN, lambda found: found.better == SMART.name, lambda found: -(found.ndcg_gain or 0.0)),
    (HighlightKind.FALL, lambda found: found.fall is not None, lambda found: _dcg_change(found.fall)),
)
"""Kinds of highlights in the order of selection, which queries are candidates, and the key of which the lowest wins."""

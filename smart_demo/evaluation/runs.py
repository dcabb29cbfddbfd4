"""Judged queries through a search -> values by query, method and metric. Knows nothing of where rankings come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from smart_demo import scoring
from smart_demo.errors import InputRefused, QueryRefused
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.metrics import METRICS
from smart_demo.types import LATE, POOLED, SMART, PageId, Parts, SearchResult

METHODS = (POOLED, LATE, SMART)
DEPTH = 1_000
"""Results of a ranking that have their scores with them; ranks are known of all."""
Search = Callable[[str], Mapping[str, SearchResult]]
"""A query's text -> its rankings of the whole collection, by method name, one for each of METHODS."""
Keep = Callable[[Judged, Mapping[str, SearchResult]], None]
"""Takes every query that could be asked, with its rankings, the moment it was."""
Tell = Callable[[str], None]
"""Takes one line of progress for the person who waits."""


@dataclass(frozen=True)
class Scored:
    """One query's values: by method name, then by metric name."""

    kind: str
    values: Mapping[str, Mapping[str, float]]


def silent(_: str) -> None:
    """Tell nobody."""


def forget(_judged: Judged, _results: Mapping[str, SearchResult]) -> None:
    """Keep nothing of a query but its values."""


def ranked(parts: Parts) -> Mapping[str, SearchResult]:
    """One query's rankings by every method."""
    return {method.name: scoring.rank(parts, method, DEPTH) for method in METHODS}


def evaluate(
    judged: Sequence[Judged], search: Search, tell: Tell = silent, keep: Keep = forget
) -> tuple[tuple[Scored, ...], tuple[str, ...]]:
    """(values of every query that could be asked, one notice for each that could not).

    InputRefused if none could.
    """
    scored: list[Scored] = []
    notices: list[str] = []
    for done, one in enumerate(judged, start=1):
        try:
            results = search(one.query)
        except QueryRefused as refused:
            notices.append(f"Query {one.qid} was left out. {refused.sentence}")
        else:
            keep(one, results)
            scored.append(Scored(one.kind, {method.name: _values(results[method.name], one) for method in METHODS}))
        tell_tenths(tell, "Asked", done, len(judged), "queries")
    if not scored:
        raise InputRefused("None of the queries could be asked.", notices[0] if notices else "")
    return tuple(scored), tuple(notices)


def tell_tenths(tell: Tell, verb: str, done: int, total: int, things: str) -> None:
    """One line of progress whenever another tenth is done."""
    if done * 10 // total > (done - 1) * 10 // total:
        tell(f"{verb} {done:,} of {total:,} {things}.")


def _values(result: SearchResult, judged: Judged) -> Mapping[str, float]:
    ranking = [page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)]
    return {name: metric(ranking, judged.grades) for name, metric in METRICS.items()}


def never_found(judged: Sequence[Judged], found: set[PageId]) -> dict[PageId, list[str]]:
    """Relevant pages that no ranking can reach, each with the ids of the queries that ask for it."""
    missing: dict[PageId, list[str]] = {}
    for one in judged:
        for page, grade in one.grades.items():
            if grade > 0 and page not in found:
                missing.setdefault(page, []).append(one.qid)
    return missing

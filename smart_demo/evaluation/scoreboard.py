"""Judgements -> scoreboards: one for each library, encoder and weights, for only those may be counted together.

A query is on a board if somebody voted on it or graded a page of it under the board's conditions. Its rankings are the
ones recorded then. Its grades are all that are known of it in the library, for a grade says how good a page is and
nothing of a ranking: those given under other weights count, and so do pages that no recorded ranking shows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean

from smart_demo.evaluation.events import Grade, Vote
from smart_demo.evaluation.metrics import FEWEST_QUERIES, Difference, hit, mrr, ndcg, paired_difference
from smart_demo.evaluation.trial import METHODS, Conditions, Trial
from smart_demo.evaluation.verdicts import Judgements
from smart_demo.evaluation.vote_count import VoteCount, count
from smart_demo.types import LATE, POOLED, SMART, PageId

Measure = Callable[[Sequence[PageId], Mapping[PageId, float], int], float]
MEASURES: Mapping[str, Measure] = {"ndcg": ndcg, "mrr": mrr, "hit": hit}
"""All cut at the board's k: up to there the rankings were graded."""
PAIRS = ((SMART.name, POOLED.name), (LATE.name, POOLED.name), (SMART.name, LATE.name))
"""Which differences are told: the first minus the second."""


@dataclass(frozen=True)
class ScoredQuery:
    """One query with a relevant page."""

    trial: Trial
    """The last one under the board's conditions."""
    grades: Mapping[PageId, int]
    """Every known grade of the query."""
    values: Mapping[str, Mapping[str, float]]
    """By method, then by measure."""
    unjudged: Mapping[str, int]
    """By method: pages among the first k that nobody graded. They count as not relevant."""


@dataclass(frozen=True)
class Board:
    """What was judged under one set of conditions."""

    conditions: Conditions
    trials: tuple[Trial, ...]
    """Of every query that was voted on or graded, the last; queries in the order in which they were first judged."""
    k: int
    """Cut of every measure: the smallest k that any of the queries was judged at."""
    votes: VoteCount
    queries: tuple[ScoredQuery, ...]
    """With at least one grade above 0, in the order in which they were first judged."""
    without: tuple[Trial, ...]
    """Queries with grades, none of them above 0: no ranking can be right or wrong about them, so they are left out."""
    carried: int
    """Grades that were given under other weights."""

    @cached_property
    def means(self) -> Mapping[str, Mapping[str, float]]:
        """By method, then by measure; empty without queries."""
        return {
            name: {measure: fmean(query.values[name][measure] for query in self.queries) for measure in MEASURES}
            for name in METHODS
            if self.queries
        }

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], Mapping[str, Difference]]:
        """By pair of methods, then by measure, with intervals; empty without queries. Slow when first asked for."""
        return {
            pair: {measure: _difference(*(self._values(name, measure) for name in pair)) for measure in MEASURES}
            for pair in PAIRS
            if self.queries
        }

    @property
    def unjudged(self) -> Mapping[str, int]:
        """By method, over all queries."""
        return {name: sum(query.unjudged[name] for query in self.queries) for name in METHODS}

    @property
    def too_few(self) -> bool:
        """Whether there are too few scored queries for an interval to mean much."""
        return len(self.queries) < FEWEST_QUERIES

    def _values(self, method: str, measure: str) -> tuple[float, ...]:
        return tuple(query.values[method][measure] for query in self.queries)


def boards(judged: Judgements) -> tuple[Board, ...]:
    """One board for each set of conditions under which something stands, that of the last judgement first."""
    groups: dict[Conditions, dict[str, Trial]] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            group = groups.pop(event.trial.conditions, {})
            group[event.trial.query.key] = event.trial
            groups[event.trial.conditions] = group  # at the end again: the last that was judged
    return tuple(_board(judged, conditions, tuple(some.values())) for conditions, some in reversed(groups.items()))


def _board(judged: Judgements, conditions: Conditions, trials: tuple[Trial, ...]) -> Board:
    known = [judged.graded(trial) for trial in trials]
    graded = [
        (trial, {page: grade.grade for page, grade in grades.items()})
        for trial, grades in zip(trials, known, strict=True)
        if grades
    ]
    relevant = [(trial, grades) for trial, grades in graded if any(grades.values())]
    k = min(trial.k for trial in [trial for trial, _ in relevant] or trials)
    votes = [vote for (under, _), vote in judged.votes.items() if under == conditions]
    return Board(
        conditions,
        trials,
        k,
        count(votes, judged.seen_before),
        tuple(_scored(trial, grades, k) for trial, grades in relevant),
        tuple(trial for trial, grades in graded if not any(grades.values())),
        sum(grade.trial.conditions != conditions for grades in known for grade in grades.values()),
    )


def _scored(trial: Trial, grades: Mapping[PageId, int], k: int) -> ScoredQuery:
    values = {
        name: {measure: value(order, grades, k) for measure, value in MEASURES.items()}
        for name, order in trial.orders.items()
    }
    unjudged = {name: sum(page not in grades for page in order[:k]) for name, order in trial.orders.items()}
    return ScoredQuery(trial, grades, values, unjudged)


@lru_cache(maxsize=256)
def _difference(values: tuple[float, ...], base: tuple[float, ...]) -> Difference:
    """Kept: a vote leaves all of them as they were, and each takes ten thousand resamples."""
    return paired_difference(values, base)

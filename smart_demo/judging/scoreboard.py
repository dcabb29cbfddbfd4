"""Blind votes -> wins, ties and losses of SMART against pooled, and what may be concluded from them.

Judgements -> scoreboards: one for each library, encoder and weights, for only those may be counted together.

A query is on a board if somebody voted on it or graded a page of it under the board's conditions. Its rankings are the
ones recorded then. Its grades are all that are known of it in the library, for a grade says how good a page is and
nothing of a ranking: those given under other weights count, and so do pages that no recorded ranking shows.

What a scoreboard says in words: under what conditions, what follows from it, what to be careful about.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from statistics import fmean

from smart_demo.evaluation.metrics import (
    MIN_DECIDED,
    MIN_QUERIES,
    SIGNIFICANCE_LEVEL,
    TIE_TOLERANCE,
    Difference,
    hit,
    mrr,
    ndcg,
    paired_difference,
    sign_test,
)
from smart_demo.judging.records import METHODS, Conditions, Grade, Trial, Vote, VoteChoice
from smart_demo.judging.replay import Judgements
from smart_demo.types import LATE, POOLED, SMART, Counted, PageId, Reduce, Weights


@dataclass(frozen=True, slots=True)
class VoteCount:
    """One vote a query, seen from SMART."""

    wins: int = 0
    ties: int = 0
    losses: int = 0
    bad: int = 0
    """Neither was any good: no tie, and no part of the test."""
    seen_before: int = 0
    """Of all these: votes on queries whose sides the voter had been shown before. They were not blind."""

    @property
    def votes(self) -> int:
        """All of them."""
        return self.wins + self.ties + self.losses + self.bad

    @property
    def decided(self) -> int:
        """N of the test: ties say nothing of either side and are left out."""
        return self.wins + self.losses

    @property
    def p(self) -> float:
        """Of the exact two-sided sign test; 1 where nothing is decided."""
        return sign_test(self.wins, self.losses)

    @property
    def too_few(self) -> bool:
        """Whether no outcome of so few decided votes could be told from chance."""
        return self.decided < MIN_DECIDED

    @property
    def conclusion(self) -> str:
        """What may be said of the votes.

        >>> VoteCount(wins=4, ties=3, losses=1).conclusion
        'Too few to conclude: 5 decided votes, and with fewer than 6 any outcome may be chance.'
        >>> VoteCount(wins=9, losses=1).conclusion
        'SMART is preferred: 9 of 10 decided votes, p = 0.021 (two-sided sign test).'
        """
        n, test = self.decided, f"p {_format_p(self.p)} (two-sided sign test)"
        if self.too_few:
            counted = "1 decided vote" if n == 1 else f"{n} decided votes"
            return f"Too few to conclude: {counted}, and with fewer than {MIN_DECIDED} any outcome may be chance."
        if self.p >= SIGNIFICANCE_LEVEL:
            return f"No preference shown: SMART has {self.wins} of {n} decided votes, {test}."
        name, won = (SMART.label, self.wins) if self.wins > self.losses else (POOLED.label, self.losses)
        return f"{name} is preferred: {won} of {n} decided votes, {test}."


def count_votes(votes: Iterable[Vote], seen_before: frozenset[str] = frozenset()) -> VoteCount:
    """Count votes; `seen_before` are the ids of those that were not blind."""
    votes = list(votes)
    won = [vote.winner for vote in votes]
    return VoteCount(
        wins=won.count(SMART.name),
        ties=sum(vote.choice is VoteChoice.TIE for vote in votes),
        losses=won.count(POOLED.name),
        bad=sum(vote.choice is VoteChoice.BAD for vote in votes),
        seen_before=sum(vote.id in seen_before for vote in votes),
    )


def _format_p(value: float) -> str:
    """To two figures, but never as 0.

    >>> _p(0.0214), _p(0.39), _p(1e-9)
    ('= 0.021', '= 0.39', '< 0.0001')
    """
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"


Measure = Callable[[Sequence[PageId], Mapping[PageId, float], int], float]
MEASURES: Mapping[str, Measure] = {"ndcg": ndcg, "mrr": mrr, "hit": hit}
"""All cut at the board's k: up to there the rankings were graded."""
METHOD_PAIRS = ((SMART.name, POOLED.name), (LATE.name, POOLED.name), (SMART.name, LATE.name))
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
            for pair in METHOD_PAIRS
            if self.queries
        }

    @property
    def unjudged(self) -> Mapping[str, int]:
        """By method, over all queries."""
        return {name: sum(query.unjudged[name] for query in self.queries) for name in METHODS}

    @property
    def too_few(self) -> bool:
        """Whether there are too few scored queries for an interval to mean much."""
        return len(self.queries) < MIN_QUERIES

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
        count_votes(votes, judged.seen_before),
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


METHOD_LABELS = {method.name: method.label for method in (POOLED, LATE, SMART)}
MEASURE_LABELS = {"ndcg": "nDCG", "mrr": "MRR", "hit": "hit"}
MAX_NAMED_QUERIES = 5
"""Queries that are named at most."""


def board_title(board: Board) -> str:
    """The board's conditions in one line."""
    last = board.trials[-1]
    where = " and ".join({"samples": "the samples", "local": "my documents"}[scope] for scope in last.library.scopes)
    pages = "1 page" if last.library.pages == 1 else f"{last.library.pages:,} pages"
    return f"{last.encoder.name}, {pages} of {where}, {format_weights(board.conditions.weights)}"


def format_weights(given: Weights) -> str:
    """Weights as the formula has them.

    >>> weights(Weights(1.0, 0.5, Reduce.SUM))
    '1 × pooled + 0.5 × late (sum)'
    """
    form = "mean" if given.reduce is Reduce.MEAN else "sum"
    form += ", own words only" if given.counted is Counted.CONTENT else ""
    return f"{given.pooled:g} × pooled + {given.late:g} × late ({form})"


def grouping_note(boards: Sequence[Board]) -> str:
    """Why there are several boards; empty where there is one or none."""
    if len(boards) < 2:
        return ""
    return (
        f"Judgements were made under {len(boards)} settings of library, model and weights. "
        "They are not added up: each has its own board, the latest first."
    )


def measure_label(name: str, k: int) -> str:
    """A measure as people write it.

    >>> measure("ndcg", 5)
    'nDCG@5'
    """
    return f"{MEASURE_LABELS[name]}@{k}"


def conclusion(board: Board, pair: tuple[str, str], name: str) -> str:
    """What may be said of one difference. Empty where nothing was graded."""
    if not board.queries:
        return ""
    one, other = (METHOD_LABELS[method] for method in pair)
    if board.too_few:
        n = len(board.queries)
        counted = "1 query" if n == 1 else f"{n} queries"
        return f"Too few to conclude: {counted} with a relevant page; an interval means little below {MIN_QUERIES}."
    found, what = board.differences[pair][name], measure_label(name, board.k)
    if (
        found.low <= TIE_TOLERANCE and found.high >= -TIE_TOLERANCE
    ):  # an end of 0 may have come out in the last bit of either sign
        return f"No difference shown between {one} and {other} in {what}: {_format_interval(found)}."
    return f"{one} is {'better' if found.mean > 0 else 'worse'} than {other} in {what}: {_format_interval(found)}."


def cautions(board: Board) -> Iterator[str]:
    """What one must know before believing the figures."""
    unjudged = {METHOD_LABELS[name]: board.unjudged[name] for name in METHODS if board.unjudged[name]}
    if unjudged:
        listed = ", ".join(f"{number} of {label}" for label, number in unjudged.items())
        yield (
            f"Nobody graded some pages among the first {board.k}: {listed}. They count as not relevant, "
            "so a method with many of them may be better than its figures."
        )
    if board.without:
        texts = [trial.query.text for trial in board.without]
        yield f"Left out of the measures, since no graded page is relevant: {_query_names(texts)}."
    if seen := board.votes.seen_before:
        votes = "1 vote was not blind: it was" if seen == 1 else f"{seen} votes were not blind: they were"
        yield f"{votes} cast on a query whose sides had been shown before."
    if board.carried:
        grades = "1 grade was" if board.carried == 1 else f"{board.carried} grades were"
        yield f"{grades} given under other weights; a grade is about a page, so it counts here too."


def _format_interval(found: Difference) -> str:
    return f"{found.mean:+z.3f} ({found.confidence:.0%} {found.low:+z.3f} to {found.high:+z.3f})".replace("-", "−")


def _query_names(texts: Sequence[str]) -> str:
    """The first few in quotes, and how many more.

    >>> _named(["tide table", ""])
    '"tide table", a picture'
    """
    shown = ", ".join(f'"{" ".join(text.split())[:80]}"' if text else "a picture" for text in texts[:MAX_NAMED_QUERIES])
    return shown + (f" and {len(texts) - MAX_NAMED_QUERIES} more" if len(texts) > MAX_NAMED_QUERIES else "")

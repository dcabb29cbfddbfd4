"""Scoreboards of an evaluation: votes and measures for each library, encoder and weights, and what they show.

Judgements under different conditions are never counted together, so there is one board for each set of conditions. A
query is on a board if it was voted on, or a page of it graded, under the board's conditions. Its rankings are the last
ones recorded then. Its grades are all that exist for it in the library: a grade judges a page, not a ranking, so grades
given under other weights count too.
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
from smart_demo.judging.records import Grade, Judgements, Vote, VoteChoice
from smart_demo.judging.trials import METHOD_NAMES, Conditions, Trial
from smart_demo.methods import LATE, POOLED, SMART, Counted, Reduce, Weights
from smart_demo.types import PageId

Measure = Callable[[Sequence[PageId], Mapping[PageId, float], int], float]
MEASURES: Mapping[str, Measure] = {"ndcg": ndcg, "mrr": mrr, "hit": hit}
"""Measures by name, all cut at the board's k, because grading goes no deeper."""
MEASURE_LABELS = {"ndcg": "nDCG", "mrr": "MRR", "hit": "hit"}
METHOD_LABELS = {method.name: method.label for method in (POOLED, LATE, SMART)}
METHOD_PAIRS = ((SMART.name, POOLED.name), (LATE.name, POOLED.name), (SMART.name, LATE.name))
"""Pairs of methods whose difference a board shows: the first minus the second."""
MAX_NAMED_QUERIES = 5
"""Queries that a sentence names before it says how many more there are."""


@dataclass(frozen=True, slots=True)
class VoteCount:
    """Counts of votes by outcome for SMART, one vote a query."""

    wins: int = 0
    ties: int = 0
    losses: int = 0
    bad: int = 0
    """Votes that both columns are bad. They are no ties and no part of the test."""
    seen_before: int = 0
    """Votes, among all of these, that were not blind: the voter had been shown the sides of the query before."""

    @property
    def votes(self) -> int:
        """Number of votes."""
        return self.wins + self.ties + self.losses + self.bad

    @property
    def decided(self) -> int:
        """Number of votes in the sign test: ties favour neither method and are left out."""
        return self.wins + self.losses

    @property
    def p(self) -> float:
        """P value of the exact two-sided sign test, or 1 if no vote is decided."""
        return sign_test(self.wins, self.losses)

    @property
    def too_few(self) -> bool:
        """Whether there are too few decided votes for any outcome to be significant."""
        return self.decided < MIN_DECIDED

    @property
    def conclusion(self) -> str:
        """One sentence on what the votes show.

        >>> VoteCount(wins=4, ties=3, losses=1).conclusion
        'Too few to conclude: 5 decided votes, and with fewer than 6 any outcome may be chance.'
        >>> VoteCount(wins=9, losses=1).conclusion
        'SMART is preferred: 9 of 10 decided votes, p = 0.021 (two-sided sign test).'
        """
        n, test = self.decided, f"p {_format_p(self.p)} (two-sided sign test)"
        if self.too_few:
            decided = "1 decided vote" if n == 1 else f"{n} decided votes"
            return f"Too few to conclude: {decided}, and with fewer than {MIN_DECIDED} any outcome may be chance."
        if self.p >= SIGNIFICANCE_LEVEL:
            return f"No preference shown: SMART has {self.wins} of {n} decided votes, {test}."
        name, won = (SMART.label, self.wins) if self.wins > self.losses else (POOLED.label, self.losses)
        return f"{name} is preferred: {won} of {n} decided votes, {test}."


@dataclass(frozen=True)
class ScoredQuery:
    """One query with a relevant page."""

    trial: Trial
    """The last trial under the board's conditions."""
    grades: Mapping[PageId, int]
    """Every grade of the query in the library."""
    values: Mapping[str, Mapping[str, float]]
    """Values by method, then by measure."""
    unjudged: Mapping[str, int]
    """Pages among the first k without a grade, by method. They count as not relevant."""


@dataclass(frozen=True)
class Board:
    """Everything judged under one set of conditions."""

    conditions: Conditions
    trials: tuple[Trial, ...]
    """The last trial of every query voted on or graded, in the order in which the queries were first judged."""
    k: int
    """Cut of every measure: the smallest k of any judged query."""
    votes: VoteCount
    queries: tuple[ScoredQuery, ...]
    """Queries with a grade above 0, in the order in which they were first judged."""
    without_relevant: tuple[Trial, ...]
    """Queries with no grade above 0, left out of the measures: no ranking of them is right or wrong."""
    carried_grades: int
    """Number of grades given under other weights."""

    @cached_property
    def means(self) -> Mapping[str, Mapping[str, float]]:
        """Means by method, then by measure; empty if there are no queries."""
        return {
            name: {measure: fmean(query.values[name][measure] for query in self.queries) for measure in MEASURES}
            for name in METHOD_NAMES
            if self.queries
        }

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], Mapping[str, Difference]]:
        """Differences with intervals by pair of methods, then by measure; empty if there are no queries.

        The first access computes ten thousand resamples for each.
        """
        return {
            pair: {measure: _difference(*(self._values(name, measure) for name in pair)) for measure in MEASURES}
            for pair in METHOD_PAIRS
            if self.queries
        }

    @property
    def unjudged(self) -> Mapping[str, int]:
        """Pages among the first k without a grade, by method, over all queries."""
        return {name: sum(query.unjudged[name] for query in self.queries) for name in METHOD_NAMES}

    @property
    def too_few(self) -> bool:
        """Whether there are too few scored queries for an interval to mean much."""
        return len(self.queries) < MIN_QUERIES

    def _values(self, method: str, measure: str) -> tuple[float, ...]:
        return tuple(query.values[method][measure] for query in self.queries)


def boards(judged: Judgements) -> tuple[Board, ...]:
    """Return one board for each set of conditions with a vote or grade that was not undone, last judged first."""
    groups: dict[Conditions, dict[str, Trial]] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            group = groups.pop(event.trial.conditions, {})
            group[event.trial.query.key] = event.trial
            groups[event.trial.conditions] = group  # inserted again at the end: the last that was judged
    return tuple(_board(judged, conditions, tuple(group.values())) for conditions, group in reversed(groups.items()))


def count_votes(votes: Iterable[Vote], seen_before: frozenset[str] = frozenset()) -> VoteCount:
    """Count votes by outcome. seen_before: ids of votes that were not blind."""
    votes = list(votes)
    winners = [vote.winner for vote in votes]
    return VoteCount(
        wins=winners.count(SMART.name),
        ties=sum(vote.choice is VoteChoice.TIE for vote in votes),
        losses=winners.count(POOLED.name),
        bad=sum(vote.choice is VoteChoice.BAD for vote in votes),
        seen_before=sum(vote.id in seen_before for vote in votes),
    )


def board_title(board: Board) -> str:
    """Return the board's conditions in one line."""
    last = board.trials[-1]
    scopes = " and ".join({"samples": "the samples", "local": "my documents"}[scope] for scope in last.library.scopes)
    pages = "1 page" if last.library.pages == 1 else f"{last.library.pages:,} pages"
    return f"{last.encoder.name}, {pages} of {scopes}, {format_weights(board.conditions.weights)}"


def format_weights(weights: Weights) -> str:
    """Return weights as a formula.

    >>> format_weights(Weights(1.0, 0.5, Reduce.SUM))
    '1 × pooled + 0.5 × late (sum)'
    """
    form = "mean" if weights.reduce is Reduce.MEAN else "sum"
    form += ", own words only" if weights.counted is Counted.CONTENT else ""
    return f"{weights.pooled:g} × pooled + {weights.late:g} × late ({form})"


def grouping_note(boards: Sequence[Board]) -> str:
    """Return a sentence on why there are several boards, or empty for fewer than two."""
    if len(boards) < 2:
        return ""
    return (
        f"Judgements were made under {len(boards)} settings of library, model and weights. "
        "They are not added up: each has its own board, the latest first."
    )


def measure_label(name: str, k: int) -> str:
    """Return a measure's name with its cut.

    >>> measure_label("ndcg", 5)
    'nDCG@5'
    """
    return f"{MEASURE_LABELS[name]}@{k}"


def conclusion(board: Board, pair: tuple[str, str], name: str) -> str:
    """Return one sentence on what a difference shows, or empty if no query has a relevant page."""
    if not board.queries:
        return ""
    first, second = (METHOD_LABELS[method] for method in pair)
    if board.too_few:
        n = len(board.queries)
        scored = "1 query" if n == 1 else f"{n} queries"
        return f"Too few to conclude: {scored} with a relevant page; an interval means little below {MIN_QUERIES}."
    found, label = board.differences[pair][name], measure_label(name, board.k)
    # The tolerance catches an end of 0 whose last bit has either sign.
    if found.low <= TIE_TOLERANCE and found.high >= -TIE_TOLERANCE:
        return f"No difference shown between {first} and {second} in {label}: {_format_interval(found)}."
    better = "better" if found.mean > 0 else "worse"
    return f"{first} is {better} than {second} in {label}: {_format_interval(found)}."


def cautions(board: Board) -> Iterator[str]:
    """Yield sentences on what limits the board's figures."""
    unjudged = {METHOD_LABELS[name]: board.unjudged[name] for name in METHOD_NAMES if board.unjudged[name]}
    if unjudged:
        counts = ", ".join(f"{number} of {label}" for label, number in unjudged.items())
        yield (
            f"Some pages among the first {board.k} have no grade: {counts}. They count as not relevant, "
            "so a method with many of them may be better than its figures."
        )
    if board.without_relevant:
        texts = [trial.query.text for trial in board.without_relevant]
        yield f"Left out of the measures, since no graded page is relevant: {_query_names(texts)}."
    if seen := board.votes.seen_before:
        votes = "1 vote was not blind: it was" if seen == 1 else f"{seen} votes were not blind: they were"
        yield f"{votes} cast on a query whose sides had been shown before."
    if board.carried_grades:
        grades = "1 grade was" if board.carried_grades == 1 else f"{board.carried_grades} grades were"
        yield f"{grades} given under other weights; a grade is about a page, so it counts here too."


def _board(judged: Judgements, conditions: Conditions, trials: tuple[Trial, ...]) -> Board:
    known = [judged.trial_grades(trial) for trial in trials]
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
        tuple(_scored_query(trial, grades, k) for trial, grades in relevant),
        tuple(trial for trial, grades in graded if not any(grades.values())),
        sum(grade.trial.conditions != conditions for grades in known for grade in grades.values()),
    )


def _scored_query(trial: Trial, grades: Mapping[PageId, int], k: int) -> ScoredQuery:
    values = {
        name: {measure: compute(order, grades, k) for measure, compute in MEASURES.items()}
        for name, order in trial.orders.items()
    }
    unjudged = {name: sum(page not in grades for page in order[:k]) for name, order in trial.orders.items()}
    return ScoredQuery(trial, grades, values, unjudged)


@lru_cache(maxsize=256)
def _difference(values: tuple[float, ...], base: tuple[float, ...]) -> Difference:
    """Return `paired_difference`, cached: a vote changes none of them, and each takes ten thousand resamples."""
    return paired_difference(values, base)


def _format_p(value: float) -> str:
    """Return a p value with two digits, but never as 0.

    >>> _format_p(0.0214), _format_p(0.39), _format_p(1e-9)
    ('= 0.021', '= 0.39', '< 0.0001')
    """
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"


def _format_interval(found: Difference) -> str:
    return f"{found.mean:+z.3f} ({found.confidence:.0%} {found.low:+z.3f} to {found.high:+z.3f})".replace("-", "−")


def _query_names(texts: Sequence[str]) -> str:
    """Return the first few queries in quotes and the number of the others.

    >>> _query_names(["tide table", ""])
    '"tide table", a picture'
    """
    shown = ", ".join(f'"{" ".join(text.split())[:80]}"' if text else "a picture" for text in texts[:MAX_NAMED_QUERIES])
    return shown + (f" and {len(texts) - MAX_NAMED_QUERIES} more" if len(texts) > MAX_NAMED_QUERIES else "")

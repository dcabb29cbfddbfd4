"""Ranking metrics, the bootstrap of their differences, the sign test, and how much two rankings differ (RBO, tau).

All are pure functions. A ranking is a sequence of items, best first, each at most once. A grade is an item's relevance:
any number of 0 or more. An item without a grade counts as 0; an item is relevant if its grade is above 0. Ranks r count
from 1, and an item that is not in the ranking earns nothing.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import comb, log2, nan, sqrt
from types import MappingProxyType
from typing import Protocol, TypeVar

import numpy as np

Item = TypeVar("Item", bound=Hashable)
RESAMPLES = 10_000
CONFIDENCE = 0.95
SEED = 20_260_524
TIE_TOLERANCE = 1e-9
"""Values of a query that differ by less are a tie: sums of the same gains may differ in the last bit."""
SIGNIFICANCE_LEVEL = 0.05
"""Two-sided significance level: a result that chance alone gives more often proves nothing."""
MIN_DECIDED = 6
"""Fewest wins and losses together from which the sign test can conclude anything.

Chance gives 5 of 5 once in 16 times (p 0.0625) and 6 of 6 once in 32 (p 0.03125): with fewer than 6 no outcome reaches
SIGNIFICANCE_LEVEL.
"""
MIN_QUERIES = 10
"""Fewest queries for an interval of means.

The percentile bootstrap is too narrow for few queries: if differences are normal, an interval that claims 95 % holds
the true mean 85 % of the time with 5 queries and 90 % with 10 (from Student's t). With fewer than 10 it would mislead.
"""
PERSISTENCE = 0.9
"""RBO's p: the probability that a reader reads on to the next rank. At 0.9 the first ten ranks have 86 % of the weight.
"""
_MAX_BLOCK_DRAWS = 2**18
"""Number of bootstrap draws made at once; the numbers drawn do not depend on it."""


class Metric(Protocol):
    """A metric with its cut already chosen."""

    def __call__(self, ranking: Sequence[Item], grades: Mapping[Item, float]) -> float:
        """Return the value of one query, in [0, 1]."""
        ...


def ndcg(ranking: Sequence[Item], grades: Mapping[Item, float], k: int) -> float:
    """Return the normalised discounted cumulative gain at k, in [0, 1].

        DCG@k  = Σ_{r=1..k} grade(item at r) / log2(r + 1)
        nDCG@k = DCG@k / DCG@k of the best possible order of ALL graded items, retrieved or not

    Gain is the grade itself (linear), as in Järvelin and Kekäläinen, "Cumulated gain-based evaluation of IR
    techniques" (2002), and in trec_eval's `ndcg_cut`; not 2^grade - 1. A query without relevant items has 0.
    Raises ValueError if k is below 1 or the ranking repeats an item.

    >>> round(ndcg(["b", "a"], {"a": 1}, k=2), 4)                    # one place too low: 1 / log2(3)
    0.6309
    >>> round(ndcg(["c", "a"], {"a": 3, "b": 3}, k=2), 4)            # b is not in the ranking, but in the ideal order
    0.3869
    """
    gains = [grades.get(item, 0.0) for item in _cut_ranking(ranking, k)]
    ideal = _dcg(sorted(grades.values(), reverse=True)[:k])
    return _dcg(gains) / ideal if ideal > 0 else 0.0


def ndcg_exponential(ranking: Sequence[Item], grades: Mapping[Item, float], k: int) -> float:
    """Return nDCG at k with exponential gain, 2^grade - 1, in [0, 1]; equal to `ndcg` if all grades are 0 or 1.

    Burges et al., "Learning to rank using gradient descent" (2005), equation for DCG. Errors as for `ndcg`.

    >>> round(ndcg_exponential(["b", "a"], {"a": 2, "b": 1}, k=2), 4)    # (1 + 3 / log2(3)) / (3 + 1 / log2(3))
    0.7967
    """
    return ndcg(ranking, {item: 2.0**grade - 1.0 for item, grade in grades.items()}, k)


def recall(ranking: Sequence[Item], grades: Mapping[Item, float], k: int) -> float:
    """Return the share of all relevant items that are among the first k, in [0, 1]: trec_eval's `recall_k`.

    It cannot reach 1 if there are more than k relevant items. A query without relevant items has 0. Errors as for
    `ndcg`.

    >>> recall(["a", "c", "b"], {"a": 1, "b": 2}, k=2)
    0.5
    """
    relevant = {item for item, grade in grades.items() if grade > 0}
    return sum(item in relevant for item in _cut_ranking(ranking, k)) / len(relevant) if relevant else 0.0


def mrr(ranking: Sequence[Item], grades: Mapping[Item, float], k: int) -> float:
    """Return 1 / rank of the first relevant item, or 0 if none is among the first k; in [0, 1].

    The mean over queries is the mean reciprocal rank: trec_eval's `recip_rank`, with a cut. Errors as for `ndcg`.

    >>> mrr(["c", "a", "b"], {"a": 1, "b": 5}, k=10)
    0.5
    """
    ranks = (rank for rank, item in enumerate(_cut_ranking(ranking, k), start=1) if grades.get(item, 0.0) > 0)
    return 1.0 / next(ranks, float("inf"))


def hit(ranking: Sequence[Item], grades: Mapping[Item, float], k: int) -> float:
    """Return 1 if a relevant item is among the first k, else 0: trec_eval's `success`. Errors as for `ndcg`.

    >>> hit(["c", "a"], {"a": 1}, k=2), hit(["c", "a"], {"a": 1}, k=1)
    (1.0, 0.0)
    """
    return float(any(grades.get(item, 0.0) > 0 for item in _cut_ranking(ranking, k)))


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "ndcg@5": partial(ndcg, k=5),
        "ndcg@10": partial(ndcg, k=10),
        "recall@1": partial(recall, k=1),
        "recall@5": partial(recall, k=5),
        "mrr@10": partial(mrr, k=10),
    }
)
"""The metrics of a report, in its order."""


@dataclass(frozen=True, slots=True)
class Difference:
    """The mean difference between two methods over the same queries, with a bootstrap interval."""

    mean: float
    low: float
    high: float
    """Upper end of the percentile bootstrap interval; `low` is the lower end."""
    better: int
    """Number of queries with a higher value."""
    same: int
    """Number of queries whose values differ by at most TIE_TOLERANCE."""
    worse: int
    """Number of queries with a lower value."""
    resamples: int = RESAMPLES
    confidence: float = CONFIDENCE


def paired_difference(
    values: Sequence[float], base: Sequence[float], *, resamples: int = RESAMPLES, seed: int = SEED
) -> Difference:
    """Return how much higher `values` is than `base`, query by query; equal seeds give equal intervals.

    The interval is Efron's percentile bootstrap (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    chapter 13): n of the n queries are drawn with replacement, `resamples` times; its ends are the 2.5th and 97.5th
    percentiles of the means of their differences. Pairs stay together, so that hard and easy queries cancel. It does
    not cover other documents or other kinds of queries, and is too narrow for very few queries. Raises ValueError if
    there are no queries or the lengths differ.

    >>> paired_difference([0.5, 1.0], [0.5, 0.5], resamples=1000)
    Difference(mean=0.25, low=0.0, high=0.5, better=1, same=1, worse=0, resamples=1000, confidence=0.95)
    """
    return stratified_difference([values], [base], resamples=resamples, seed=seed)


def stratified_difference(
    values: Sequence[Sequence[float]],
    base: Sequence[Sequence[float]],
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Difference:
    """Return how much higher the mean of the sets' means is in `values` than in `base`, pair by pair.

    values and base: for each set of queries, one value a query. Every set counts alike, however many queries it has. A
    resample draws each set's queries anew, so the interval does not cover other sets. Otherwise as `paired_difference`,
    which is the same for one set. Raises ValueError if there are no sets, or if a set has no queries or other lengths.

    >>> stratified_difference([[1.0, 1.0], [0.5]], [[0.5, 0.5], [0.5]], resamples=1000).mean
    0.25
    """
    if not values:
        raise ValueError("there are no sets to compare")
    random = np.random.default_rng(seed)
    differences, means = [], np.zeros(resamples)
    for own, other in zip(values, base, strict=True):
        n = len(own)
        if n == 0 or n != len(other):
            raise ValueError(f"{n} and {len(other)} values cannot be paired")
        differences.append(np.subtract(own, other, dtype=np.float64))
        rows = max(_MAX_BLOCK_DRAWS // n, 1)
        blocks = [min(rows, resamples - done) for done in range(0, resamples, rows)]
        drawn = [differences[-1][random.integers(n, size=(block, n))].mean(axis=1) for block in blocks]
        means += np.concatenate(drawn) / len(values)
    low, high = np.quantile(means, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    all_pairs = np.concatenate(differences)
    better, worse = int((all_pairs > TIE_TOLERANCE).sum()), int((all_pairs < -TIE_TOLERANCE).sum())
    mean = float(np.mean([own.mean() for own in differences]))
    return Difference(mean, float(low), float(high), better, len(all_pairs) - better - worse, worse, resamples)


def sign_test(wins: int, losses: int) -> float:
    """Return the exact two-sided p of the sign test.

    That is how often wins + losses throws of a fair coin are at least as uneven. The caller leaves ties out (Dixon and
    Mood, "The statistical sign test", 1946). It is 1 if there are neither wins nor losses. Raises ValueError for
    negative counts.

    >>> sign_test(6, 0), sign_test(5, 5), sign_test(0, 0)
    (0.03125, 1.0, 1.0)
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses: counts cannot be negative")
    n = wins + losses
    tail = sum(comb(n, i) for i in range(min(wins, losses) + 1))
    return min(1.0, float(2 * tail / 2**n))


@dataclass(frozen=True, slots=True)
class Disagreement:
    """How much the first k of two rankings differ."""

    rbo: float
    """Rank-biased overlap, in [0, 1]; 1 if the lists are equal."""
    tau: float
    """Kendall's tau-b, in [-1, 1]; NaN if one list is empty."""
    shared: int
    """Number of items in both lists."""
    k: int
    """Length of the longer list."""
    new_first: bool
    """Whether the lists begin with different items."""
    same: bool
    """Whether the lists are equal. RBO alone cannot show it: a list and its own beginning have 1."""


def measure_disagreement(left: Sequence[Item], right: Sequence[Item]) -> Disagreement:
    """Compare two rankings by every measure."""
    return Disagreement(
        rbo=rbo(left, right),
        tau=kendall_tau(left, right),
        shared=len(set(left) & set(right)),
        k=max(len(left), len(right)),
        new_first=list(left[:1]) != list(right[:1]),
        same=list(left) == list(right),
    )


def rbo(left: Sequence[Item], right: Sequence[Item], p: float = PERSISTENCE) -> float:
    """Return the rank-biased overlap, extrapolated beyond the ends of both lists, in [0, 1].

    RBO_ext of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings" (2010), equation 32. With the
    shorter list s long, the longer l, and X_d items shared at depth d:

        (1-p)/p · ( Σ_{d=1..l} X_d/d · p^d  +  Σ_{d=s+1..l} X_s·(d-s)/(s·d) · p^d )  +  ( (X_l-X_s)/l + X_s/s ) · p^l

    Two empty lists have 1; an empty list and another have 0. Raises ValueError if p is outside (0, 1) or a list repeats
    an item.

    >>> round(rbo("ab", "ba"), 9), rbo("ab", "ab"), rbo("ab", "cd")      # X_1 = 0, X_2 = 2: (1-p)·p + p² = p
    (0.9, 1.0, 0.0)
    """
    _validate_rankings(left, right, p)
    short, long = sorted((left, right), key=len)
    s, n = len(short), len(long)
    if list(left) == list(right):
        return 1.0
    if s == 0:
        return 0.0
    shared = _count_shared(short, long)
    at_s, at_n = shared[s - 1], shared[n - 1]
    total = sum(shared[d - 1] / d * p**d for d in range(1, n + 1))
    total += sum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return min(1.0, (1 - p) / p * total + ((at_n - at_s) / n + at_s / s) * p**n)


def kendall_tau(left: Sequence[Item], right: Sequence[Item]) -> float:
    """Return Kendall's tau-b over the union of both lists, in [-1, 1].

    Convention: items that a list lacks rank below its end, tied with each other. Tau-b leaves pairs that are tied in a
    list out of its denominator; two lists of k items without a common one have -2k/(3k-1), about -0.7. Returns NaN if
    one list is empty, and 1 if both are.

    >>> kendall_tau("abc", "abc"), kendall_tau("abc", "cba"), kendall_tau("a", "b")
    (1.0, -1.0, -1.0)
    """
    _validate_rankings(left, right, PERSISTENCE)
    if list(left) == list(right):
        return 1.0
    ranks = [(_find_rank(item, left), _find_rank(item, right)) for item in dict.fromkeys([*left, *right])]
    balance = left_apart = right_apart = 0  # pairs in the same order minus pairs in the other; pairs not tied
    for i, (a, b) in enumerate(ranks):
        for c, d in ranks[:i]:
            balance += _sign(a - c) * _sign(b - d)
            left_apart += a != c
            right_apart += b != d
    return balance / sqrt(left_apart * right_apart) if left_apart and right_apart else nan


def _cut_ranking(ranking: Sequence[Item], k: int) -> Sequence[Item]:
    first = ranking[:k]
    if k < 1:
        raise ValueError(f"the cut must be 1 or more, not {k}")
    if len(set(first)) != len(first):
        raise ValueError("a ranking must not repeat an item")
    return first


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def _count_shared(short: Sequence[Item], long: Sequence[Item]) -> list[int]:
    """Return X_1 to X_l: the number of items both lists share among their first d."""
    seen_short: set[Item] = set()
    seen_long: set[Item] = set()
    counts = []
    for d, item in enumerate(long):
        seen_long.add(item)
        seen_short.update(short[d : d + 1])
        counts.append(len(seen_short & seen_long))
    return counts


def _find_rank(item: Item, ranking: Sequence[Item]) -> int:
    return ranking.index(item) if item in ranking else len(ranking)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _validate_rankings(left: Sequence[Item], right: Sequence[Item], p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p must be between 0 and 1, not {p}")
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError("a ranking must not repeat an item")

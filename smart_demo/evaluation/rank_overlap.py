"""How much two rankings of one query differ: RBO, Kendall's tau and shared items. Pure functions.

A ranking is a list of items, best first, each at most once. Relevance plays no part: neither list is the better one.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
PERSISTENCE = 0.9
"""RBO's p: the probability that a reader reads on to the next rank. At 0.9 the first ten ranks have 86 % of the weight.
"""


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
    _validate(left, right, p)
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
    _validate(left, right, PERSISTENCE)
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


def _validate(left: Sequence[Item], right: Sequence[Item], p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p must be between 0 and 1, not {p}")
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError("a ranking must not repeat an item")

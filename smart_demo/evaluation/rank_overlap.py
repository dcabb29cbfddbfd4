"""How much two rankings of one query differ, whatever is relevant. Pure functions of two lists of items, best first.

A list holds each item at most once. Nothing here says which list is better.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from math import nan, sqrt
from typing import TypeVar

Item = TypeVar("Item", bound=Hashable)
PERSISTENCE = 0.9
"""p of RBO: how likely a reader goes on to the next rank. At 0.9 the first ten ranks have 86 % of the weight."""


@dataclass(frozen=True, slots=True)
class Disagreement:
    """Two lists of the first k compared."""

    rbo: float
    """[0, 1]; 1 where they are equal."""
    tau: float
    """[-1, 1]; NaN where a list is empty."""
    shared: int
    """Items in both,"""
    k: int
    """of the longer list's."""
    new_first: bool
    """Whether they begin with different items."""
    same: bool
    """Whether they are one and the same list. RBO alone cannot tell: a list and its own beginning have 1."""


def disagreement(left: Sequence[Item], right: Sequence[Item]) -> Disagreement:
    """Compare two lists."""
    return Disagreement(
        rbo=rbo(left, right),
        tau=kendall_tau(left, right),
        shared=len(set(left) & set(right)),
        k=max(len(left), len(right)),
        new_first=list(left[:1]) != list(right[:1]),
        same=list(left) == list(right),
    )


def rbo(left: Sequence[Item], right: Sequence[Item], p: float = PERSISTENCE) -> float:
    """Rank-biased overlap, extrapolated beyond the ends of both lists, [0, 1].

    RBO_ext of Webber, Moffat and Zobel, "A similarity measure for indefinite rankings" (2010), equation 32. With the
    shorter list s long, the longer l, and X_d items shared at depth d:

        (1-p)/p · ( Σ_{d=1..l} X_d/d · p^d  +  Σ_{d=s+1..l} X_s·(d-s)/(s·d) · p^d )  +  ( (X_l-X_s)/l + X_s/s ) · p^l

    Two empty lists agree; an empty and another share nothing. ValueError for p outside (0, 1) and repeated items.

    >>> round(rbo("ab", "ba"), 9), rbo("ab", "ab"), rbo("ab", "cd")      # X_1 = 0, X_2 = 2: (1-p)·p + p² = p
    (0.9, 1.0, 0.0)
    """
    _check(left, right, p)
    short, long = sorted((left, right), key=len)
    s, n = len(short), len(long)
    if list(left) == list(right):
        return 1.0
    if s == 0:
        return 0.0
    shared = _shared(short, long)
    at_s, at_n = shared[s - 1], shared[n - 1]
    total = sum(shared[d - 1] / d * p**d for d in range(1, n + 1))
    total += sum(at_s * (d - s) / (s * d) * p**d for d in range(s + 1, n + 1))
    return min(1.0, (1 - p) / p * total + ((at_n - at_s) / n + at_s / s) * p**n)


def kendall_tau(left: Sequence[Item], right: Sequence[Item]) -> float:
    """Kendall's tau-b over the union of both lists, [-1, 1].

    Convention: an item that a list lacks stands below its end, and all that it lacks are tied there. Pairs that are
    tied on a side say nothing, and tau-b takes them out of the denominator; two lists of k items without a common one
    come to -2k/(3k-1), about -0.7. NaN where one list is empty; two empty ones agree.

    >>> kendall_tau("abc", "abc"), kendall_tau("abc", "cba"), kendall_tau("a", "b")
    (1.0, -1.0, -1.0)
    """
    _check(left, right, PERSISTENCE)
    if list(left) == list(right):
        return 1.0
    ranks = [(_rank(item, left), _rank(item, right)) for item in dict.fromkeys([*left, *right])]
    balance = left_apart = right_apart = 0  # pairs in the same order minus pairs in the other; pairs not tied
    for i, (a, b) in enumerate(ranks):
        for c, d in ranks[:i]:
            balance += _sign(a - c) * _sign(b - d)
            left_apart += a != c
            right_apart += b != d
    return balance / sqrt(left_apart * right_apart) if left_apart and right_apart else nan


def _shared(short: Sequence[Item], long: Sequence[Item]) -> list[int]:
    """X_1 to X_l: how many items both lists share among their first d."""
    seen_short: set[Item] = set()
    seen_long: set[Item] = set()
    counts = []
    for d, item in enumerate(long):
        seen_long.add(item)
        seen_short.update(short[d : d + 1])
        counts.append(len(seen_short & seen_long))
    return counts


def _rank(item: Item, ranking: Sequence[Item]) -> int:
    return ranking.index(item) if item in ranking else len(ranking)


def _sign(value: int) -> int:
    return (value > 0) - (value < 0)


def _check(left: Sequence[Item], right: Sequence[Item], p: float) -> None:
    if not 0 < p < 1:
        raise ValueError(f"p must be between 0 and 1, not {p}")
    if len(set(left)) < len(left) or len(set(right)) < len(right):
        raise ValueError("a ranking must not repeat an item")

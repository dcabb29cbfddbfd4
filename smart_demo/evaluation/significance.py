"""Whether a count of wins and losses could be chance, and when there are too few of anything to say."""

from __future__ import annotations

from math import comb

LEVEL = 0.05
"""Of significance, two-sided: what is likelier than this under chance alone concludes nothing."""
FEWEST_DECIDED = 6
"""Wins and losses together: 5 of 5 comes about by chance once in sixteen (0.0625), 6 of 6 once in 32 (0.03125), so with
fewer no outcome whatever reaches LEVEL."""
FEWEST_QUERIES = 10
"""For an interval of means. The percentile bootstrap is too narrow for few queries: where differences are normal, an
interval that claims 95 % holds the true mean 85 % of the time with 5 queries and 90 % with 10 (from Student's t). With
fewer than 10 it would mislead more than it tells."""


def sign_test(wins: int, losses: int) -> float:
    """Exact two-sided p of the sign test: how often wins + losses throws of a fair coin are at least as uneven.

    Ties are left out before (Dixon and Mood, "The statistical sign test", 1946). 1 where nothing was decided.
    ValueError for negative counts.

    >>> sign_test(6, 0), sign_test(5, 5), sign_test(0, 0)
    (0.03125, 1.0, 1.0)
    """
    if wins < 0 or losses < 0:
        raise ValueError(f"{wins} wins and {losses} losses cannot be")
    n = wins + losses
    tail = sum(comb(n, i) for i in range(min(wins, losses) + 1))
    return min(1.0, float(2 * tail / 2**n))

"""Blind votes -> wins, ties and losses of SMART against pooled, and what may be concluded from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from smart_demo.evaluation.events import Choice, Vote
from smart_demo.evaluation.metrics import FEWEST_DECIDED, LEVEL, sign_test
from smart_demo.types import POOLED, SMART


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
        return self.decided < FEWEST_DECIDED

    @property
    def conclusion(self) -> str:
        """What may be said of the votes.

        >>> VoteCount(wins=4, ties=3, losses=1).conclusion
        'Too few to conclude: 5 decided votes, and with fewer than 6 any outcome may be chance.'
        >>> VoteCount(wins=9, losses=1).conclusion
        'SMART is preferred: 9 of 10 decided votes, p = 0.021 (two-sided sign test).'
        """
        n, test = self.decided, f"p {_p(self.p)} (two-sided sign test)"
        if self.too_few:
            counted = "1 decided vote" if n == 1 else f"{n} decided votes"
            return f"Too few to conclude: {counted}, and with fewer than {FEWEST_DECIDED} any outcome may be chance."
        if self.p >= LEVEL:
            return f"No preference shown: SMART has {self.wins} of {n} decided votes, {test}."
        name, won = (SMART.label, self.wins) if self.wins > self.losses else (POOLED.label, self.losses)
        return f"{name} is preferred: {won} of {n} decided votes, {test}."


def count(votes: Iterable[Vote], seen_before: frozenset[str] = frozenset()) -> VoteCount:
    """Count votes; `seen_before` are the ids of those that were not blind."""
    votes = list(votes)
    won = [vote.winner for vote in votes]
    return VoteCount(
        wins=won.count(SMART.name),
        ties=sum(vote.choice is Choice.TIE for vote in votes),
        losses=won.count(POOLED.name),
        bad=sum(vote.choice is Choice.BAD for vote in votes),
        seen_before=sum(vote.id in seen_before for vote in votes),
    )


def _p(value: float) -> str:
    """To two figures, but never as 0.

    >>> _p(0.0214), _p(0.39), _p(1e-9)
    ('= 0.021', '= 0.39', '< 0.0001')
    """
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"

"""A list of queries, each asked both ways: how much the rankings of each differ, and what moved most.

Whether a change is good or bad is known only where pages of the query are graded.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smart_demo.evaluation.metrics import SAME, ndcg
from smart_demo.evaluation.rank_overlap import Disagreement, disagreement
from smart_demo.types import PageId


@dataclass(frozen=True, slots=True)
class Step:
    """One page's way from the pooled ranking to SMART's."""

    before: int | None
    """Rank by pooled, from 1; None where it is not ranked."""
    after: int | None
    """Rank by SMART."""

    @property
    def worth(self) -> float:
        """What the step would be worth to the DCG of a page of grade 1: a rise from 14 to 1 is more than one from 60
        to 20. Below 0 for a fall, 0 for a page that stays.
        """
        return _discount(self.after) - _discount(self.before)


@dataclass(frozen=True, slots=True)
class Contrast:
    """One query of a list."""

    query: str
    key: str
    """`Query.key`."""
    disagreement: Disagreement
    rise: Step | None
    """The page among SMART's first k that rose the most; None where none did."""
    fall: Step | None
    """The page among pooled's first k that fell the most."""
    gain: float | None
    """nDCG@k of SMART minus that of pooled; None where no graded page is relevant."""

    @property
    def better(self) -> bool:
        """Whether grades say that SMART is better."""
        return self.gain is not None and self.gain > SAME

    @property
    def worse(self) -> bool:
        """Whether grades say that SMART is worse."""
        return self.gain is not None and self.gain < -SAME


def contrast(
    query: str,
    key: str,
    pooled: Sequence[PageId],
    smart: Sequence[PageId],
    k: int,
    grades: Mapping[PageId, float] | None = None,
) -> Contrast:
    """Compare the first k of two rankings, given as far down as they are known; grades of the query, if there are any.

    ValueError for k below 1 and for rankings that repeat a page.
    """
    grades = grades or {}
    judged = any(grade > 0 for grade in grades.values())
    gain = ndcg(smart, grades, k) - ndcg(pooled, grades, k) if judged else None
    before, after = ({page: rank for rank, page in enumerate(ranking, start=1)} for ranking in (pooled, smart))
    steps = [Step(before.get(page), after.get(page)) for page in dict.fromkeys([*smart[:k], *pooled[:k]])]
    rise = max(steps, key=lambda step: step.worth, default=None)
    fall = min(steps, key=lambda step: step.worth, default=None)
    return Contrast(
        query,
        key,
        disagreement(pooled[:k], smart[:k]),
        rise if rise and rise.worth > 0 else None,
        fall if fall and fall.worth < 0 else None,
        gain,
    )


def by_disagreement(contrasts: Iterable[Contrast]) -> tuple[Contrast, ...]:
    """The most different first: least RBO, then least tau; equal ones in the order of their list."""
    return tuple(sorted(contrasts, key=lambda one: (one.disagreement.rbo, _or_least(one.disagreement.tau))))


def _or_least(tau: float) -> float:
    return -1.0 if math.isnan(tau) else tau


def _discount(rank: int | None) -> float:
    return 0.0 if rank is None else 1 / math.log2(rank + 1)

"""What a hit's score is made of, and where the page would stand by each part alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smart_demo import scoring
from smart_demo.types import LATE, POOLED, SMART, Hit, Parts, StoredPage, Weights


@dataclass(frozen=True, slots=True)
class Anatomy:
    """One hit: λp · pooled and λl · late, and its ranks. None stands for what was not computed: the late part and
    ranks of a page that is no candidate.
    """

    page: StoredPage
    pooled: float
    late: float | None
    by_pooled: int
    by_late: int | None
    by_score: int | None
    """Under the weights given: both parts together."""

    @property
    def score(self) -> float | None:
        return None if self.late is None else self.pooled + self.late


def anatomy(parts: Parts, hits: Sequence[Hit], weights: Weights) -> tuple[Anatomy, ...]:
    """For each hit of any column, its parts and ranks under the weights and under each part alone.

    Ranks by late alone reduce and count as the weights do.
    """
    alone = [replace(weights, pooled=1.0, late=0.0), replace(weights, pooled=0.0, late=1.0)]
    methods = [replace(POOLED, weights=alone[0]), replace(LATE, weights=alone[1]), replace(SMART, weights=weights)]
    pooled, late, both = (scoring.rank(parts, method, 0).ranks for method in methods)
    lates = dict(zip(parts.candidates.tolist(), scoring.late(parts, weights).tolist(), strict=True))
    known = {parts.pages[position].key: value for position, value in lates.items()}
    shares = [scoring.contributions(weights, hit.pooled, known.get(hit.page.key, math.nan)) for hit in hits]
    return tuple(
        Anatomy(
            page=hit.page,
            pooled=of_pooled,
            late=None if math.isnan(of_late) else of_late,
            by_pooled=pooled[hit.page.key],
            by_late=late.get(hit.page.key),
            by_score=both.get(hit.page.key),
        )
        for hit, (of_pooled, of_late) in zip(hits, shares, strict=True)
    )

"""Which pages are graded for a query: the first k of pooled and of SMART together, in a random order.

The union makes the comparison fair, since neither method's pages are better known than the other's. The order is drawn
from the seed and no rank is in it, so that a page's place in a ranking does not colour its grade.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smart_demo.evaluation.events import Grade, Vote
from smart_demo.evaluation.sides import shuffled
from smart_demo.evaluation.trial import Trial
from smart_demo.evaluation.verdicts import Judgements
from smart_demo.types import POOLED, SMART, PageId


@dataclass(frozen=True)
class Ungraded:
    """How many pages of the pools nobody has graded."""

    queries: Mapping[str, int]
    """By `Query.key`, in the order in which the queries were first judged; 0 where a pool is done."""

    @property
    def total(self) -> int:
        return sum(self.queries.values())


def to_grade(trial: Trial) -> tuple[PageId, ...]:
    """The pages to be graded, in the order of grading."""
    first = [row.page for name in (POOLED.name, SMART.name) for row in trial.ranking(name)[: trial.k]]
    return shuffled(trial.seed, trial.query.key, first)


def remaining(trial: Trial, judged: Judgements) -> tuple[PageId, ...]:
    """The pages of a pool that have no grade yet, in the order of grading."""
    graded = judged.graded(trial)
    return tuple(page for page in to_grade(trial) if page not in graded)


def ungraded(judged: Judgements) -> Ungraded:
    """Over every query that was voted on or graded, by the last trial of each."""
    trials: dict[str, Trial] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            trials[event.trial.query.key] = event.trial
    return Ungraded({key: len(remaining(trial, judged)) for key, trial in trials.items()})

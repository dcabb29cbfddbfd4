"""What the events of a journal come to: votes, grades and skips that stand.

The order in which events are given does not matter, so two journals are merged by giving both: what is said later of
the same thing counts, by the events' own times, and an event that is there twice counts once.

Which pages are graded for a query: the first k of pooled and of SMART together, in a random order.

The union makes the comparison fair, since neither method's pages are better known than the other's. The order is drawn
from the seed and no rank is in it, so that a page's place in a ranking does not colour its grade.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smart_demo.judging.records import (
    Conditions,
    Event,
    Grade,
    Session,
    SidesRevealed,
    Skip,
    Trial,
    Undo,
    Vote,
    shuffled,
)
from smart_demo.types import POOLED, SMART, PageId


@dataclass(frozen=True)
class Judgements:
    """The state of an evaluation. Queries are named by their `Query.key`."""

    events: tuple[Event, ...]
    """Each once, by time."""
    undone: frozenset[str]
    """Ids of events that were taken back."""
    votes: Mapping[tuple[Conditions, str], Vote]
    """The last vote on each query under each set of conditions: one query, one vote."""
    grades: Mapping[tuple[str, str], Mapping[PageId, Grade]]
    """By library fingerprint and query: the last grade of each page. A grade says nothing of a ranking, so those that
    were given under other weights are among them."""
    skipped: frozenset[str]
    """Queries that were skipped and not voted on."""
    seen_before: frozenset[str]
    """Ids of votes that were cast when the same session had already been shown the sides of the same query, by a vote
    on it or by the ranks of its pages. They were not blind."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Headers, by time."""
        return tuple(event for event in self.events if isinstance(event, Session))

    def last(self, session: str) -> Vote | Grade | Skip | None:
        """What an undo in this session takes back."""
        for event in reversed(self.events):
            if event.session == session and isinstance(event, Vote | Grade | Skip) and event.id not in self.undone:
                return event
        return None

    def stands(self, event: Event) -> bool:
        """Whether a vote or a grade counts: it was neither taken back nor followed by another on the same."""
        if isinstance(event, Vote):
            return self.votes.get((event.trial.conditions, event.trial.query.key)) == event
        return isinstance(event, Grade) and self.graded(event.trial).get(event.page) == event

    def graded(self, trial: Trial) -> Mapping[PageId, Grade]:
        """What is known of a trial's query in its library."""
        return self.grades.get((trial.library.fingerprint, trial.query.key), {})

    def known(self, key: str) -> Mapping[PageId, Grade]:
        """What is known of a query in any library; the last grade of each page."""
        grades = (grade for (_, query), some in self.grades.items() if query == key for grade in some.values())
        return {grade.page: grade for grade in sorted(grades, key=_time)}


def replay(events: Iterable[Event]) -> Judgements:
    """Fold events, in whatever order they come. Of two with one id the first stands."""
    once: dict[str, Event] = {}
    for event in events:
        once.setdefault(event.id, event)
    ordered = tuple(sorted(once.values(), key=_time))
    undone = frozenset(event.event for event in ordered if isinstance(event, Undo))
    votes: dict[tuple[Conditions, str], Vote] = {}
    grades: dict[tuple[str, str], dict[PageId, Grade]] = {}
    skipped = set()
    for event in ordered:
        if event.id in undone:
            continue
        if isinstance(event, Vote):
            votes[event.trial.conditions, event.trial.query.key] = event
        elif isinstance(event, Grade):
            grades.setdefault((event.trial.library.fingerprint, event.trial.query.key), {})[event.page] = event
        elif isinstance(event, Skip):
            skipped.add(event.query.key)
    voted = {key for _, key in votes}
    return Judgements(ordered, undone, votes, grades, frozenset(skipped - voted), _seen_before(ordered))


def revealed_query(event: Event) -> tuple[str, str] | None:
    """The seed and the query whose sides an event has told; None if it told none. What is taken back was told, too."""
    if isinstance(event, Vote):
        return event.trial.seed, event.trial.query.key
    return (event.seed, event.query.key) if isinstance(event, SidesRevealed) else None


def _seen_before(ordered: Iterable[Event]) -> frozenset[str]:
    shown: set[tuple[str, str] | None] = set()
    again = set()
    for event in ordered:
        about = revealed_query(event)
        if isinstance(event, Vote) and about in shown:
            again.add(event.id)
        shown.add(about)
    return frozenset(again)


def _time(event: Event) -> tuple[str, str]:
    return event.at, event.id


@dataclass(frozen=True)
class UngradedPages:
    """How many pages of the pools nobody has graded."""

    queries: Mapping[str, int]
    """By `Query.key`, in the order in which the queries were first judged; 0 where a pool is done."""

    @property
    def total(self) -> int:
        return sum(self.queries.values())


def pages_to_grade(trial: Trial) -> tuple[PageId, ...]:
    """The pages to be graded, in the order of grading."""
    first = [row.page for name in (POOLED.name, SMART.name) for row in trial.ranking(name)[: trial.k]]
    return shuffled(trial.seed, trial.query.key, first)


def pages_without_grade(trial: Trial, judged: Judgements) -> tuple[PageId, ...]:
    """The pages of a pool that have no grade yet, in the order of grading."""
    graded = judged.graded(trial)
    return tuple(page for page in pages_to_grade(trial) if page not in graded)


def count_ungraded(judged: Judgements) -> UngradedPages:
    """Over every query that was voted on or graded, by the last trial of each."""
    trials: dict[str, Trial] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            trials[event.trial.query.key] = event.trial
    return UngradedPages({key: len(pages_without_grade(trial, judged)) for key, trial in trials.items()})

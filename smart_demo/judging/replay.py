"""The state of an evaluation after its events: votes, grades and skips that count, and the pages left to grade.

The order in which events are given does not matter, and an event given twice counts once, so two journals merge by
replaying both: the later event about the same query or page counts, by the events' own times.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from smart_demo.judging.randomisation import shuffled
from smart_demo.judging.records import Conditions, Event, Grade, Session, SidesRevealed, Skip, Trial, Undo, Vote
from smart_demo.types import POOLED, SMART, PageId


@dataclass(frozen=True)
class Judgements:
    """The state of an evaluation. Queries are identified by their `Query.key`."""

    events: tuple[Event, ...]
    """Every event once, by time."""
    undone: frozenset[str]
    """Ids of undone events."""
    votes: Mapping[tuple[Conditions, str], Vote]
    """The last vote on each query under each set of conditions."""
    grades: Mapping[tuple[str, str], Mapping[PageId, Grade]]
    """The last grade of each page, by library fingerprint and query. A grade does not depend on a ranking, so grades
    given under other weights are included."""
    skipped: frozenset[str]
    """Queries that were skipped and not voted on."""
    seen_before: frozenset[str]
    """Ids of votes that were not blind: the session had already shown the sides of the query, by a vote on it or by
    the ranks of its pages."""

    @property
    def sessions(self) -> tuple[Session, ...]:
        """Headers of sessions, by time."""
        return tuple(event for event in self.events if isinstance(event, Session))

    def last_step(self, session: str) -> Vote | Grade | Skip | None:
        """Return the event that an undo in this session undoes, or None."""
        for event in reversed(self.events):
            if event.session == session and isinstance(event, Vote | Grade | Skip) and event.id not in self.undone:
                return event
        return None

    def is_current(self, event: Event) -> bool:
        """Return whether a vote or a grade counts: it is neither undone nor replaced by a later one."""
        if isinstance(event, Vote):
            return self.votes.get((event.trial.conditions, event.trial.query.key)) == event
        return isinstance(event, Grade) and self.trial_grades(event.trial).get(event.page) == event

    def trial_grades(self, trial: Trial) -> Mapping[PageId, Grade]:
        """Return the grades of a trial's query in the trial's library."""
        return self.grades.get((trial.library.fingerprint, trial.query.key), {})

    def query_grades(self, key: str) -> Mapping[PageId, Grade]:
        """Return the last grade of each page for a query in any library."""
        grades = (grade for (_, query), by_page in self.grades.items() if query == key for grade in by_page.values())
        return {grade.page: grade for grade in sorted(grades, key=_time_and_id)}


@dataclass(frozen=True)
class UngradedPages:
    """Counts of pages to grade that have no grade yet."""

    queries: Mapping[str, int]
    """Pages without a grade by `Query.key`, in the order in which the queries were first judged; 0 if none is left."""

    @property
    def total(self) -> int:
        """Pages without a grade, over all queries."""
        return sum(self.queries.values())


def replay(events: Iterable[Event]) -> Judgements:
    """Return the state after events, given in any order. Of two events with one id the first counts."""
    once: dict[str, Event] = {}
    for event in events:
        once.setdefault(event.id, event)
    ordered = tuple(sorted(once.values(), key=_time_and_id))
    undone = frozenset(event.undoes for event in ordered if isinstance(event, Undo))
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
    """Return the seed and query key whose sides an event revealed, or None. Undone votes count: they were shown."""
    if isinstance(event, Vote):
        return event.trial.seed, event.trial.query.key
    return (event.seed, event.query.key) if isinstance(event, SidesRevealed) else None


def pages_to_grade(trial: Trial) -> tuple[PageId, ...]:
    """Return the first k pages of pooled and of SMART together, in a random order.

    The union is fair: neither method's pages are graded more than the other's. The order is drawn from the seed and no
    rank affects it, so that a page's rank does not bias its grade.
    """
    pages = [row.page for name in (POOLED.name, SMART.name) for row in trial.ranking(name)[: trial.k]]
    return shuffled(trial.seed, trial.query.key, pages)


def pages_without_grade(trial: Trial, judged: Judgements) -> tuple[PageId, ...]:
    """Return the pages of a trial that have no grade yet, in the order of grading."""
    graded = judged.trial_grades(trial)
    return tuple(page for page in pages_to_grade(trial) if page not in graded)


def count_ungraded(judged: Judgements) -> UngradedPages:
    """Count the pages without a grade of every query that was voted on or graded, by the last trial of each."""
    trials: dict[str, Trial] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            trials[event.trial.query.key] = event.trial
    return UngradedPages({key: len(pages_without_grade(trial, judged)) for key, trial in trials.items()})


def _seen_before(ordered: Iterable[Event]) -> frozenset[str]:
    revealed: set[tuple[str, str] | None] = set()
    not_blind = set()
    for event in ordered:
        query = revealed_query(event)
        if isinstance(event, Vote) and query in revealed:
            not_blind.add(event.id)
        revealed.add(query)
    return frozenset(not_blind)


def _time_and_id(event: Event) -> tuple[str, str]:
    return event.at, event.id

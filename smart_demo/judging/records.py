"""Events of an evaluation by people, and the votes, grades and skips that count after them.

Every vote and grade carries its trial, so that any single line of a journal can be run again. Events are frozen and
validated as trials are; `read_event` raises InputRefused alone.

The order in which `replay` is given events does not matter, and an event given twice counts once, so two journals merge
by replaying both: the later event about the same query or page counts, by the events' own times.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, TypeAdapter, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from smart_demo.errors import InputRefused
from smart_demo.judging.trials import (
    Conditions,
    JudgedQuery,
    Name,
    RandomId,
    RecordedPageId,
    Trial,
    Versions,
    shuffled,
)
from smart_demo.methods import POOLED, SMART
from smart_demo.strict_json import integer_between, matching, read_record, text_up_to
from smart_demo.types import PageId

A, B = "a", "b"
MAX_NOTE_CHARS = 1_000
MAX_GRADE = 3
REASONS = ("figure", "table", "small text", "wrong document", "other")
"""Reasons that a voter may give, in the order of their buttons."""


class VoteChoice(StrEnum):
    """The answers a voter can give."""

    A = A
    B = B
    TIE = "tie"
    BAD = "bad"
    """Neither column is any good."""


def _share_trial(value: object) -> object:
    try:
        return _parse_trial(json.dumps(value)) if isinstance(value, dict) else value
    except RecursionError:  # JSON nested almost as deep as the parser allows
        raise InputRefused("this is not JSON.", "Write one object a line.") from None


@lru_cache(maxsize=64)
def _parse_trial(text: str) -> Trial:
    """Parse a trial. Cached, because a query's vote and grades carry the same one: it is validated and stored once."""
    return read_record(_TRIAL, json.loads(text), '"trial"')


_TRIAL = TypeAdapter(Trial)
SharedTrial = Annotated[Trial, BeforeValidator(_share_trial)]


def _check_time(at: str) -> str:
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise InputRefused('"at" is no time that there is.') from None
    return at


_TIME = matching(r"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z", "a time such as 2026-05-24T10:11:12.131415Z")


@pydantic_dataclass(frozen=True, slots=True)
class Event:
    """Fields of every event."""

    id: RandomId
    at: Annotated[str, _TIME, AfterValidator(_check_time)]
    """UTC time with microseconds, `2026-05-24T10:11:12.131415Z`, so that texts sort by time."""
    session: RandomId
    """Id of the session's header."""


@pydantic_dataclass(frozen=True, slots=True)
class SessionHeader(Event):
    """The header of a session. Its id and its session are equal."""

    seed: RandomId
    versions: Versions

    @model_validator(mode="after")
    def _check_session(self) -> Self:
        if self.id != self.session:
            raise InputRefused("a session's header must belong to itself.")
        return self


def _sort_reasons(reasons: tuple[str, ...]) -> tuple[str, ...]:
    if any(reason not in REASONS for reason in reasons):
        raise InputRefused(f"A reason must be one of: {', '.join(REASONS)}.")
    return tuple(reason for reason in REASONS if reason in reasons)


@pydantic_dataclass(frozen=True, slots=True)
class Vote(Event):
    """One blind comparison of pooled and SMART."""

    trial: SharedTrial
    choice: VoteChoice
    reasons: Annotated[tuple[Name, ...], Field(max_length=len(REASONS)), AfterValidator(_sort_reasons)]
    """Some of REASONS, in their order."""
    note: Annotated[str, text_up_to(MAX_NOTE_CHARS)]

    @property
    def winner(self) -> str:
        """Name of the method that won, or empty for a tie and for both bad."""
        sides = self.trial.sides
        return {VoteChoice.A: sides.a, VoteChoice.B: sides.b}.get(self.choice, "")

    @model_validator(mode="after")
    def _check_pages(self) -> Self:
        if not (self.trial.rankings.pooled and self.trial.rankings.smart):
            raise InputRefused("there is nothing to compare: a ranking is empty.")
        return self


@pydantic_dataclass(frozen=True, slots=True)
class Grade(Event):
    """The relevance of one page to the query: 0 not relevant, 1 a little, 2 it helps, 3 it answers."""

    trial: SharedTrial
    page: RecordedPageId
    grade: Annotated[int, integer_between(0, MAX_GRADE)]

    @property
    def document(self) -> str:
        """Name of the page's document."""
        return next(row.document for ranking in self.trial.rankings for row in ranking if row.page == self.page)

    @model_validator(mode="after")
    def _check_page(self) -> Self:
        if all(self.page != row.page for ranking in self.trial.rankings for row in ranking):
            raise InputRefused("the page is in none of the rankings.")
        return self


@pydantic_dataclass(frozen=True, slots=True)
class Skip(Event):
    """A query left without a vote."""

    query: JudgedQuery


@pydantic_dataclass(frozen=True, slots=True)
class SidesRevealed(Event):
    """The ranks of a query's pages were shown without a vote, so a later vote is not blind."""

    seed: RandomId
    """The seed from which the sides were drawn."""
    query: JudgedQuery


@pydantic_dataclass(frozen=True, slots=True)
class Undo(Event):
    """A vote, a grade or a skip was undone. The judge may judge the same query again."""

    undoes: RandomId
    """Id of the undone event."""


AnyEvent = TypeVar("AnyEvent", bound=Event)

EVENT_TYPES: Mapping[str, type[Event]] = {
    "session": SessionHeader, "vote": Vote, "grade": Grade, "skip": Skip, "told": SidesRevealed, "undo": Undo,
}  # fmt: skip
"""Types of events by the name that JSON has for them."""
_ADAPTERS: Mapping[type[Event], TypeAdapter[Any]] = {kind: TypeAdapter(kind) for kind in EVENT_TYPES.values()}


def read_event(kind: type[AnyEvent], fields: Mapping[str, object]) -> AnyEvent:
    """Create an event from its fields, of Python or of JSON. Raises InputRefused with the first that is invalid."""
    event: AnyEvent = read_record(_ADAPTERS[kind], fields)
    return event


def event_fields(event: Event) -> dict[str, Any]:
    """Return an event's fields as plain data for JSON."""
    fields: dict[str, Any] = _ADAPTERS[type(event)].dump_python(event, mode="json")
    return fields


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
    def sessions(self) -> tuple[SessionHeader, ...]:
        """Headers of sessions, by time."""
        return tuple(event for event in self.events if isinstance(event, SessionHeader))

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


def count_ungraded(judged: Judgements) -> Mapping[str, int]:
    """Return the number of pages without a grade of every query that was voted on or graded, by `Query.key`.

    They are pages of its last trial, and 0 if all are graded. Queries are in the order in which they were first judged.
    """
    trials: dict[str, Trial] = {}
    for event in judged.events:
        if isinstance(event, Vote | Grade) and event.id not in judged.undone:
            trials[event.trial.query.key] = event.trial
    return {key: len(pages_without_grade(trial, judged)) for key, trial in trials.items()}


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

"""What happens in a manual evaluation: frozen values, one a line of the journal. `event_lines` has the form."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smart_demo.evaluation.sides import A, B
from smart_demo.evaluation.trial import Asked, Trial
from smart_demo.types import PageId

REASONS = ("figure", "table", "small text", "wrong document", "other")
"""What may have decided a vote, in the order of its chips."""
LONGEST_NOTE = 1_000
"""Characters."""
HIGHEST_GRADE = 3


class Choice(StrEnum):
    """What a person can say of two columns."""

    A = A
    B = B
    TIE = "tie"
    BAD = "bad"
    """Neither is any good."""


@dataclass(frozen=True, slots=True)
class Event:
    """What every event has."""

    id: str
    """32 hex digits, unique in the world."""
    at: str
    """UTC with microseconds, `2026-05-24T10:11:12.131415Z`: as texts they sort by time."""
    session: str
    """Id of the session's header."""


@dataclass(frozen=True, slots=True)
class Session(Event):
    """The header: a session begins. Its id and its session are the same."""

    seed: str
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Vote(Event):
    """One blind comparison of pooled and SMART."""

    trial: Trial
    choice: Choice
    reasons: tuple[str, ...] = ()
    """Of REASONS, in their order."""
    note: str = ""

    @property
    def winner(self) -> str:
        """Name of the method that won; empty for a tie and for both bad."""
        sides = self.trial.sides
        return {Choice.A: sides.a, Choice.B: sides.b}.get(self.choice, "")


@dataclass(frozen=True, slots=True)
class Grade(Event):
    """How relevant one page is to the query: 0 not at all, 1 a little, 2 it helps, 3 it answers."""

    trial: Trial
    page: PageId
    grade: int

    @property
    def document(self) -> str:
        """Name of the page's document."""
        return next(row.document for ranking in self.trial.rankings for row in ranking if row.page == self.page)


@dataclass(frozen=True, slots=True)
class Skip(Event):
    """The person went on without a vote."""

    query: Asked


@dataclass(frozen=True, slots=True)
class Told(Event):
    """The ranks of a query's pages were shown without a vote: one that follows is not blind."""

    seed: str
    """That the sides are drawn from."""
    query: Asked


@dataclass(frozen=True, slots=True)
class Undo(Event):
    """A vote, a grade or a skip is taken back. What was taken back stays so; the same may be said again."""

    event: str
    """Id of what is taken back."""

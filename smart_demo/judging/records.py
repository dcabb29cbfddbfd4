"""What is drawn by lot: which method is column A, and in what order pages are graded.

A lot is a hash of the session's seed and of what it is drawn for. So it is uniform, the same again after a reload,
and does not depend on what was drawn before. The seed is 128 random bits that stay on the server until somebody
exports the journal: who has it can work out the sides, so it is sent nowhere before a vote.

What one judgement was about: the question, the sides, the rankings and everything that made them.

A trial is written into every vote and grade, so that any one line of a journal can be run again and any metric can be
worked out later without the library.

What happens in a manual evaluation: frozen values, one a line of the journal. `event_lines` has the form.

An answer of the engine -> the trial that a vote or a grade of it carries.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from smart_demo.types import (
    LATE,
    POOLED,
    SAMPLES,
    SMART,
    Encoder,
    Found,
    Method,
    PageId,
    Query,
    Scope,
    SearchResult,
    StoredPage,
    Weights,
)

A, B = "a", "b"


@dataclass(frozen=True, slots=True)
class Sides:
    """Which method stands in which column, by name."""

    a: str
    b: str


@dataclass(frozen=True)
class BlindColumns:
    """All that may be shown before the vote: the pages of each column. No method, no score, no other rank."""

    a: tuple[StoredPage, ...]
    b: tuple[StoredPage, ...]


def new_seed() -> str:
    """32 hex digits that nobody can guess."""
    return secrets.token_hex(16)


def draw_sides(seed: str, key: str) -> Sides:
    """The sides of one query, by its `Query.key`. Pooled is column A for half of all keys and for half of all seeds.

    >>> draw("00" * 16, "ab" * 8) == draw("00" * 16, "ab" * 8)
    True
    """
    names = (POOLED.name, SMART.name)
    return Sides(*names) if _hash(seed, "sides", key) % 2 else Sides(*reversed(names))


def shuffled(seed: str, key: str, pages: Iterable[PageId]) -> tuple[PageId, ...]:
    """Each page once, in a random order that has nothing to do with the order given."""
    return tuple(sorted(set(pages), key=lambda page: (_hash(seed, "pool", key, str(page)), page)))


def _hash(*parts: str) -> int:
    """256 bits. The parts are joined by what none of them holds, so that no two lots are drawn from one text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())


MAX_RECORDED_RANKS = 50
"""Pages recorded of each ranking at most."""
MAX_QUERY_CHARS = 2_000
"""Characters of a query that can be judged; a longer one is no search."""
METHODS = (POOLED.name, LATE.name, SMART.name)
"""Whose rankings are recorded."""


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page of a recorded ranking."""

    page: PageId
    document: str
    score: float

    @property
    def number(self) -> int:
        """The page's number in its document, from 1."""
        return self.page.number


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """The question as it can be asked again."""

    text: str
    key: str
    """`Query.key`: a picture's pixels are part of it."""
    picture: str = ""
    """What names the picture it was asked with; empty for words alone."""


@dataclass(frozen=True, slots=True)
class RecordedLibrary:
    """The pages that were searched."""

    fingerprint: str
    scopes: tuple[str, ...]
    pages: int
    codec: str
    """How their token states were kept."""


@dataclass(frozen=True, slots=True)
class RecordedEncoder:
    """The encoder, as far as it names itself."""

    name: str
    model: str
    revision: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder) -> RecordedEncoder:
        """What is recorded of an encoder."""
        return cls(encoder.name, encoder.model, encoder.revision, encoder.fingerprint)


@dataclass(frozen=True, slots=True)
class Conditions:
    """What judgements must have in common to be counted together."""

    library: str
    encoder: str
    weights: Weights

    @property
    def id(self) -> str:
        """8 hex digits, the same everywhere."""
        return hashlib.sha256(repr((self.library, self.encoder, _weights_key(self.weights))).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Trial:
    """One question under one set of conditions."""

    query: JudgedQuery
    seed: str
    """Of the session, 32 hex digits."""
    sides: Sides
    library: RecordedLibrary
    encoder: RecordedEncoder
    weights: Weights
    """Of SMART; late is ranked with the same reduction over the same tokens."""
    k: int
    """Pages shown in each column."""
    rankings: tuple[tuple[RankedPage, ...], ...]
    """Of each of METHODS in turn, best first, max(k, 10) deep or as deep as the library."""
    versions: tuple[tuple[str, str], ...]

    @property
    def conditions(self) -> Conditions:
        return Conditions(self.library.fingerprint, self.encoder.fingerprint, self.weights)

    def ranking(self, method: str) -> tuple[RankedPage, ...]:
        """By a name of METHODS."""
        return self.rankings[METHODS.index(method)]

    @property
    def orders(self) -> Mapping[str, tuple[PageId, ...]]:
        """Page ids of each ranking, by method name."""
        return {name: tuple(row.page for row in self.ranking(name)) for name in METHODS}


def _weights_key(weights: Weights) -> tuple[float, float, str, str]:
    # Adding 0 makes minus zero, which equals it, look like it.
    return weights.pooled + 0.0, weights.late + 0.0, str(weights.reduce), str(weights.counted)


REASONS = ("figure", "table", "small text", "wrong document", "other")
"""What may have decided a vote, in the order of its chips."""
MAX_NOTE_CHARS = 1_000
"""Characters."""
MAX_GRADE = 3


class VoteChoice(StrEnum):
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
    choice: VoteChoice
    reasons: tuple[str, ...] = ()
    """Of REASONS, in their order."""
    note: str = ""

    @property
    def winner(self) -> str:
        """Name of the method that won; empty for a tie and for both bad."""
        sides = self.trial.sides
        return {VoteChoice.A: sides.a, VoteChoice.B: sides.b}.get(self.choice, "")


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

    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class SidesRevealed(Event):
    """The ranks of a query's pages were shown without a vote: one that follows is not blind."""

    seed: str
    """That the sides are drawn from."""
    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class Undo(Event):
    """A vote, a grade or a skip is taken back. What was taken back stays so; the same may be said again."""

    event: str
    """Id of what is taken back."""


MIN_RECORDED_RANKS = 10
"""Pages recorded of each ranking at least, where there are as many."""
SCORE_DECIMALS = 6
"""Of a recorded score: what `scoring.rank` tells apart."""


def judged_methods(weights: Weights) -> tuple[Method, Method, Method]:
    """What a judged query is searched with, for `record` to keep."""
    late = replace(LATE, weights=replace(weights, pooled=0.0, late=1.0))
    return POOLED, late, replace(SMART, weights=weights)


def recorded_depth(k: int) -> int:
    """How many hits of each method a judged query needs."""
    return min(max(k, MIN_RECORDED_RANKS), MAX_RECORDED_RANKS)


def record_trial(found: Found, k: int, seed: str, versions: Mapping[str, str]) -> Trial:
    """Record an answer of `engine.search` with `methods(weights)` and `top=depth(k)`.

    KeyError where one of the three methods is missing.
    """
    key = found.query.key
    return Trial(
        record_query(found.query),
        seed,
        draw_sides(seed, key),
        record_library(found.parts.pages),
        RecordedEncoder.of(found.encoder),
        found.results[SMART.name].method.weights,
        k,
        tuple(_ranking(found.results[name], recorded_depth(k)) for name in METHODS),
        tuple(sorted(versions.items())),
    )


def record_query(query: Query) -> JudgedQuery:
    """What is recorded of a query. A picture is named by the query's key."""
    words_alone = query.key == Query(query.text).key
    return JudgedQuery(query.text, query.key, "" if words_alone else query.key)


def record_library(pages: Iterable[StoredPage]) -> RecordedLibrary:
    """What is recorded of a library."""
    pages = list(pages)
    scopes = sorted({_recorded_scope(page.scope) for page in pages})
    return RecordedLibrary(
        library_fingerprint(pages), tuple(scopes), len(pages), "+".join(sorted({page.codec for page in pages}))
    )


def library_fingerprint(pages: Iterable[StoredPage]) -> str:
    """16 hex digits over scope, encoder and id of every page: two libraries with the same one hold the same pages.

    A visitor's own scope is a secret and another one after every visit, so all scopes but the samples count as
    `local`: the same documents give the same fingerprint wherever they were added.

    >>> fingerprint([])
    'e3b0c44298fc1c14'
    """
    rows = sorted(f"{_recorded_scope(page.scope)} {page.encoder} {page.id}\n" for page in pages)
    return hashlib.sha256("".join(rows).encode()).hexdigest()[:16]


def page_order(result: SearchResult) -> tuple[PageId, ...]:
    """Every page a method ranked, best first. One that is in two scopes stands where it stood first."""
    return tuple(dict.fromkeys(page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)))


def _ranking(result: SearchResult, deep: int) -> tuple[RankedPage, ...]:
    rows: dict[PageId, RankedPage] = {}
    for hit in result.hits:  # a page in two scopes is one page to a judge
        rows.setdefault(hit.page.id, RankedPage(hit.page.id, hit.page.document, round(hit.score, SCORE_DECIMALS)))
    return tuple(rows.values())[:deep]


def _recorded_scope(scope: Scope) -> str:
    return "samples" if scope == SAMPLES else "local"

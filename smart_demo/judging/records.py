"""Events of an evaluation by people, and the trials that votes and grades are about: frozen values.

A trial holds the query, the sides, the rankings and everything that made them. Every vote and grade carries its trial,
so that any single line of a journal can be run again and any metric computed later without the library.
`validation` formats and parses events.

Sides and grading orders are random: a hash of the session's seed and of what is drawn. A hash is uniform, gives the
same result after a reload, and does not depend on earlier draws. The seed is 128 random bits and stays on the server
until its owner exports the journal: anyone who knows it can compute the sides, so no page receives it before a vote.
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
METHODS = (POOLED.name, LATE.name, SMART.name)
"""Names of the methods whose rankings a trial records."""
MIN_RECORDED_RANKS, MAX_RECORDED_RANKS = 10, 50
"""Pages recorded of each ranking, if the library has as many."""
SCORE_DECIMALS = 6
"""Decimals of a recorded score: `scoring.rank` compares no more."""
MAX_QUERY_CHARS = 2_000
"""Maximum length of a query that can be judged."""
MAX_NOTE_CHARS = 1_000
MAX_GRADE = 3
REASONS = ("figure", "table", "small text", "wrong document", "other")
"""Reasons that a voter may give, in the order of their buttons."""


@dataclass(frozen=True, slots=True)
class Sides:
    """The name of the method in each column."""

    a: str
    b: str


@dataclass(frozen=True)
class BlindColumns:
    """The pages of each column: everything a voter may see before the vote."""

    a: tuple[StoredPage, ...]
    b: tuple[StoredPage, ...]


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
    """A query as recorded, complete enough to search it again."""

    text: str
    key: str
    """`Query.key`, a hash of the words and of a picture's pixels."""
    picture: str = ""
    """Name of the query's picture, or empty."""


@dataclass(frozen=True, slots=True)
class RecordedLibrary:
    """The pages that were searched."""

    fingerprint: str
    scopes: tuple[str, ...]
    pages: int
    codec: str
    """Format of the stored token states."""


@dataclass(frozen=True, slots=True)
class RecordedEncoder:
    """The encoder that made the rankings."""

    name: str
    model: str
    revision: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder) -> RecordedEncoder:
        """Return the record of an encoder."""
        return cls(encoder.name, encoder.model, encoder.revision, encoder.fingerprint)


@dataclass(frozen=True, slots=True)
class Conditions:
    """Library, encoder and weights. Only judgements under the same conditions are counted together."""

    library: str
    encoder: str
    weights: Weights

    @property
    def id(self) -> str:
        """8 hex digits, the same on every machine."""
        return hashlib.sha256(repr((self.library, self.encoder, _weights_key(self.weights))).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Trial:
    """One query searched under one set of conditions."""

    query: JudgedQuery
    seed: str
    """The session's seed, 32 hex digits."""
    sides: Sides
    library: RecordedLibrary
    encoder: RecordedEncoder
    weights: Weights
    """SMART's weights. The late ranking uses the same reduction and the same tokens."""
    k: int
    """Pages shown in each column."""
    rankings: tuple[tuple[RankedPage, ...], ...]
    """One ranking for each of METHODS, best page first, max(k, 10) pages if the library has as many."""
    versions: tuple[tuple[str, str], ...]
    """Versions of programs, by name."""

    @property
    def conditions(self) -> Conditions:
        """The conditions under which judgements of this trial count."""
        return Conditions(self.library.fingerprint, self.encoder.fingerprint, self.weights)

    def ranking(self, method: str) -> tuple[RankedPage, ...]:
        """Return the ranking of one of METHODS."""
        return self.rankings[METHODS.index(method)]

    @property
    def orders(self) -> Mapping[str, tuple[PageId, ...]]:
        """Page ids of each ranking, by method name."""
        return {name: tuple(row.page for row in self.ranking(name)) for name in METHODS}


class VoteChoice(StrEnum):
    """The answers a voter can give."""

    A = A
    B = B
    TIE = "tie"
    BAD = "bad"
    """Neither column is any good."""


@dataclass(frozen=True, slots=True)
class Event:
    """Fields of every event."""

    id: str
    """32 random hex digits."""
    at: str
    """UTC time with microseconds, `2026-05-24T10:11:12.131415Z`, so that texts sort by time."""
    session: str
    """Id of the session's header."""


@dataclass(frozen=True, slots=True)
class Session(Event):
    """The header of a session. Its id and its session are equal."""

    seed: str
    versions: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Vote(Event):
    """One blind comparison of pooled and SMART."""

    trial: Trial
    choice: VoteChoice
    reasons: tuple[str, ...] = ()
    """Some of REASONS, in their order."""
    note: str = ""

    @property
    def winner(self) -> str:
        """Name of the method that won, or empty for a tie and for both bad."""
        sides = self.trial.sides
        return {VoteChoice.A: sides.a, VoteChoice.B: sides.b}.get(self.choice, "")


@dataclass(frozen=True, slots=True)
class Grade(Event):
    """The relevance of one page to the query: 0 not relevant, 1 a little, 2 it helps, 3 it answers."""

    trial: Trial
    page: PageId
    grade: int

    @property
    def document(self) -> str:
        """Name of the page's document."""
        return next(row.document for ranking in self.trial.rankings for row in ranking if row.page == self.page)


@dataclass(frozen=True, slots=True)
class Skip(Event):
    """A query left without a vote."""

    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class SidesRevealed(Event):
    """The ranks of a query's pages were shown without a vote, so a later vote is not blind."""

    seed: str
    """The seed from which the sides were drawn."""
    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class Undo(Event):
    """A vote, a grade or a skip was undone. The judge may judge the same query again."""

    event: str
    """Id of the undone event."""


def new_seed() -> str:
    """Return 32 random hex digits."""
    return secrets.token_hex(16)


def draw_sides(seed: str, key: str) -> Sides:
    """Draw the sides of the query with this `Query.key`. Pooled is column A for half of all keys and of all seeds.

    >>> draw_sides("00" * 16, "ab" * 8) == draw_sides("00" * 16, "ab" * 8)
    True
    """
    names = (POOLED.name, SMART.name)
    return Sides(*names) if _hash(seed, "sides", key) % 2 else Sides(*reversed(names))


def shuffled(seed: str, key: str, pages: Iterable[PageId]) -> tuple[PageId, ...]:
    """Return each page once, in a random order that does not depend on the given one."""
    return tuple(sorted(set(pages), key=lambda page: (_hash(seed, "pool", key, str(page)), page)))


def judged_methods(weights: Weights) -> tuple[Method, Method, Method]:
    """Return the methods with which to search a query for `record_trial`."""
    late = replace(LATE, weights=replace(weights, pooled=0.0, late=1.0))
    return POOLED, late, replace(SMART, weights=weights)


def recorded_depth(k: int) -> int:
    """Return the number of pages to record of each ranking if each column shows `k`."""
    return min(max(k, MIN_RECORDED_RANKS), MAX_RECORDED_RANKS)


def record_trial(found: Found, k: int, seed: str, versions: Mapping[str, str]) -> Trial:
    """Record the answer of `engine.search` with `judged_methods(weights)` and `top=recorded_depth(k)`.

    Raises KeyError if one of the three methods is missing.
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
        tuple(_record_ranking(found.results[name], recorded_depth(k)) for name in METHODS),
        tuple(sorted(versions.items())),
    )


def record_query(query: Query) -> JudgedQuery:
    """Return the record of a query. A picture is named by the query's key."""
    words_alone = query.key == Query(query.text).key
    return JudgedQuery(query.text, query.key, "" if words_alone else query.key)


def record_library(pages: Iterable[StoredPage]) -> RecordedLibrary:
    """Return the record of a library, given all its pages."""
    pages = list(pages)
    scopes = tuple(sorted({_recorded_scope(page.scope) for page in pages}))
    codecs = "+".join(sorted({page.codec for page in pages}))
    return RecordedLibrary(library_fingerprint(pages), scopes, len(pages), codecs)


def library_fingerprint(pages: Iterable[StoredPage]) -> str:
    """Return 16 hex digits over scope, encoder and id of every page: equal fingerprints mean equal libraries.

    A visitor's scope is secret and differs on every visit, so every scope but the samples counts as `local`: the same
    documents give the same fingerprint on every page.

    >>> library_fingerprint([])
    'e3b0c44298fc1c14'
    """
    rows = sorted(f"{_recorded_scope(page.scope)} {page.encoder} {page.id}\n" for page in pages)
    return hashlib.sha256("".join(rows).encode()).hexdigest()[:16]


def page_order(result: SearchResult) -> tuple[PageId, ...]:
    """Return every page a method ranked, best first. A page in two scopes counts at its better rank."""
    return tuple(dict.fromkeys(page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)))


def _record_ranking(result: SearchResult, depth: int) -> tuple[RankedPage, ...]:
    rows: dict[PageId, RankedPage] = {}
    for hit in result.hits:  # a page in two scopes is one page to a judge
        rows.setdefault(hit.page.id, RankedPage(hit.page.id, hit.page.document, round(hit.score, SCORE_DECIMALS)))
    return tuple(rows.values())[:depth]


def _hash(*parts: str) -> int:
    """Return 256 bits. A zero byte, which no part contains, joins the parts, so no two draws hash the same text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())


def _weights_key(weights: Weights) -> tuple[float, float, str, str]:
    # Adding 0 gives minus zero, which equals zero, the same text.
    return weights.pooled + 0.0, weights.late + 0.0, str(weights.reduce), str(weights.counted)


def _recorded_scope(scope: Scope) -> str:
    return "samples" if scope == SAMPLES else "local"

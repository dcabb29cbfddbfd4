"""Everything of an evaluation by people that is written or read: its events, and the trials that they are about.

A trial holds the query, the sides, the rankings and everything that made them. Every vote and grade carries its trial,
so that any single line of a journal can be run again and any metric computed later without the library.

Records are frozen. Creating one validates every field, from values of Python or of JSON (`strict_json`), and raises
InputRefused or pydantic's ValidationError; `read_event` and `read_trial` raise InputRefused alone. `as_json` returns
the JSON form. A page of a ranking is `[page id, document, page number, score]` in it.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Any, Self, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    TypeAdapter,
    model_serializer,
    model_validator,
)
from pydantic.dataclasses import dataclass
from pydantic_core import ArgsKwargs

from smart_demo.errors import InputRefused
from smart_demo.judging.randomisation import Sides, draw_sides
from smart_demo.judging.strict_json import (
    hex_digits,
    integer_between,
    matching,
    number_between,
    one_line,
    read_record,
    text_up_to,
)
from smart_demo.types import (
    LATE,
    POOLED,
    SMART,
    Counted,
    PageId,
    Query,
    Reduce,
    StoredPage,
    Weights,
)

A, B = "a", "b"
METHODS = (POOLED.name, LATE.name, SMART.name)
"""Names of the methods whose rankings a trial records."""
MIN_RECORDED_RANKS, MAX_RECORDED_RANKS = 10, 50
"""Pages recorded of each ranking, if the library has as many."""
MAX_QUERY_CHARS = 2_000
"""Maximum length of a query that can be judged."""
MAX_NOTE_CHARS = 1_000
MAX_GRADE = 3
MAX_LIBRARY_PAGES = 10**7
"""Maximum number of pages of a searched library."""
MAX_VERSIONS = 20
"""Maximum number of programs whose versions are recorded."""
MAX_WEIGHT, MAX_SCORE = 1e3, 1e9
REASONS = ("figure", "table", "small text", "wrong document", "other")
"""Reasons that a voter may give, in the order of their buttons."""
Name = Annotated[str, one_line()]
Fingerprint = Annotated[str, hex_digits(16)]
RandomId = Annotated[str, hex_digits(32)]


_parse_page_id = lru_cache(maxsize=4096)(PageId.parse)
"""`PageId.parse`, cached: most pages are in all three rankings, and parsing ids was a third of reading a trial."""


def parse_page(value: object) -> PageId:
    """Return a page's id, given as such or as text."""
    try:
        return value if isinstance(value, PageId) else _parse_page_id(value if isinstance(value, str) else "")
    except ValueError:
        raise InputRefused("a page must be named by its id, 16 hex digits, a dash and 4 digits.") from None


RecordedPageId = Annotated[PageId, PlainValidator(parse_page), PlainSerializer(str)]


def _version_items(value: object) -> object:
    if not isinstance(value, dict | tuple) or len(value) > MAX_VERSIONS:
        raise InputRefused(f'"versions" must name at most {MAX_VERSIONS} programs.')
    return tuple(sorted(value.items())) if isinstance(value, dict) else value


Versions = Annotated[
    tuple[tuple[Annotated[str, one_line(40, empty=True)], Annotated[str, one_line(100)]], ...],
    BeforeValidator(_version_items),
    PlainSerializer(dict),
]
"""Versions of programs, by name; an object in JSON."""


@dataclasses.dataclass(frozen=True)
class BlindColumns:
    """The pages of each column: everything a voter may see before the vote."""

    a: tuple[StoredPage, ...]
    b: tuple[StoredPage, ...]


@dataclass(frozen=True, slots=True)
class RankedPage:
    """One page of a recorded ranking."""

    page: RecordedPageId
    document: Name
    score: Annotated[float, number_between(-MAX_SCORE, MAX_SCORE)]

    @property
    def number(self) -> int:
        """The page's number in its document, from 1."""
        return self.page.number

    @model_validator(mode="before")
    @classmethod
    def _read_list(cls, value: object) -> object:
        if isinstance(value, RankedPage | ArgsKwargs):
            return value
        if not isinstance(value, list) or len(value) != 4:
            raise InputRefused("a ranked page must be a list of page id, document, page number and score.")
        page = parse_page(value[0])
        if isinstance(value[2], bool) or value[2] != page.number:
            raise InputRefused("a page's number must be the one in its id.")
        return {"page": page, "document": value[1], "score": value[3]}

    @model_serializer
    def _as_list(self) -> list[object]:
        return [str(self.page), self.document, self.number, self.score]


Ranking = Annotated[tuple[RankedPage, ...], Field(max_length=MAX_RECORDED_RANKS)]


@dataclass(frozen=True, slots=True)
class Rankings:
    """The ranking of each of METHODS, best page first. Iterable in their order."""

    pooled: Ranking
    late: Ranking
    smart: Ranking

    def __iter__(self) -> Iterator[tuple[RankedPage, ...]]:
        return iter((self.pooled, self.late, self.smart))

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for name, rows in zip(METHODS, self, strict=True):
            if len({row.page for row in rows}) < len(rows):
                raise InputRefused(f"the {name} ranking has a page twice.")
            if any(later.score > row.score for row, later in pairwise(rows)):
                raise InputRefused(f"the scores of the {name} ranking do not fall.")
        return self


@dataclass(frozen=True, slots=True)
class JudgedQuery:
    """A query as recorded, complete enough to search it again."""

    text: Annotated[str, text_up_to(MAX_QUERY_CHARS)]
    key: Fingerprint
    """`Query.key`, a hash of the words and of a picture's pixels."""
    picture: Annotated[str, one_line(empty=True)]
    """Name of the query's picture, or empty."""

    @model_validator(mode="after")
    def _check_key(self) -> Self:
        if not self.picture and (not self.text.strip() or Query(self.text).key != self.key):
            raise InputRefused("the query's key is not that of its words.")
        return self


def _check_scopes(scopes: tuple[str, ...]) -> tuple[str, ...]:
    if scopes not in (("samples",), ("local",), ("local", "samples")):
        raise InputRefused('"scopes" may hold: local, samples.')
    return scopes


@dataclass(frozen=True, slots=True)
class RecordedLibrary:
    """The pages that were searched."""

    fingerprint: Fingerprint
    scopes: Annotated[tuple[Name, ...], Field(max_length=2), AfterValidator(_check_scopes)]
    pages: Annotated[int, integer_between(1, MAX_LIBRARY_PAGES)]
    codec: Annotated[str, one_line(40)]
    """Format of the stored token states."""


@dataclass(frozen=True, slots=True)
class RecordedEncoder:
    """The encoder that made the rankings."""

    name: Name
    model: Name
    revision: Annotated[str, one_line(empty=True)]
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class RecordedWeights:
    """The form in which `Weights` are recorded."""

    pooled: Annotated[float, number_between(-MAX_WEIGHT, MAX_WEIGHT)]
    late: Annotated[float, number_between(-MAX_WEIGHT, MAX_WEIGHT)]
    reduce: Reduce
    counted: Counted


def _read_weights(value: object) -> Weights:
    fields = asdict(value) if isinstance(value, Weights) else value
    return Weights(**asdict(read_record(_RECORDED_WEIGHTS, fields, '"weights"')))


_RECORDED_WEIGHTS = TypeAdapter(RecordedWeights)


@dataclasses.dataclass(frozen=True, slots=True)
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
    seed: RandomId
    """The session's seed."""
    sides: Sides
    """What the seed draws for the query."""
    library: RecordedLibrary
    encoder: RecordedEncoder
    weights: Annotated[Weights, BeforeValidator(_read_weights)]
    """SMART's weights. The late ranking uses the same reduction and the same tokens."""
    k: Annotated[int, integer_between(1, MAX_RECORDED_RANKS)]
    """Pages shown in each column."""
    rankings: Rankings
    """One ranking for each of METHODS, max(k, 10) pages if the library has as many."""
    versions: Versions

    @property
    def conditions(self) -> Conditions:
        """The conditions under which judgements of this trial count."""
        return Conditions(self.library.fingerprint, self.encoder.fingerprint, self.weights)

    def ranking(self, method: str) -> tuple[RankedPage, ...]:
        """Return the ranking of one of METHODS."""
        return tuple(self.rankings)[METHODS.index(method)]

    @property
    def orders(self) -> Mapping[str, tuple[PageId, ...]]:
        """Page ids of each ranking, by method name."""
        return {name: tuple(row.page for row in self.ranking(name)) for name in METHODS}

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.sides != draw_sides(self.seed, self.query.key):
            raise InputRefused("the sides are not those that the seed draws for this query.")
        return self


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


@dataclass(frozen=True, slots=True)
class Event:
    """Fields of every event."""

    id: RandomId
    at: Annotated[str, _TIME, AfterValidator(_check_time)]
    """UTC time with microseconds, `2026-05-24T10:11:12.131415Z`, so that texts sort by time."""
    session: RandomId
    """Id of the session's header."""


@dataclass(frozen=True, slots=True)
class Session(Event):
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
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


@dataclass(frozen=True, slots=True)
class Skip(Event):
    """A query left without a vote."""

    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class SidesRevealed(Event):
    """The ranks of a query's pages were shown without a vote, so a later vote is not blind."""

    seed: RandomId
    """The seed from which the sides were drawn."""
    query: JudgedQuery


@dataclass(frozen=True, slots=True)
class Undo(Event):
    """A vote, a grade or a skip was undone. The judge may judge the same query again."""

    undoes: RandomId
    """Id of the undone event."""


AnyEvent = TypeVar("AnyEvent", bound=Event)

EVENT_TYPES: Mapping[str, type[Event]] = {
    "session": Session, "vote": Vote, "grade": Grade, "skip": Skip, "told": SidesRevealed, "undo": Undo,
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


def _weights_key(weights: Weights) -> tuple[float, float, str, str]:
    # Adding 0 gives minus zero, which equals zero, the same text.
    return weights.pooled + 0.0, weights.late + 0.0, str(weights.reduce), str(weights.counted)

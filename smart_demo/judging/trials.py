"""Trials: a query searched under one set of conditions, as recorded for the votes and grades that are about it.

A trial holds the query, the sides, the rankings and everything that made them, so that it can be run again and any
metric computed later without the library. Trials are frozen. Creating one validates every field, from values of Python
or of JSON (`strict_json`), and raises InputRefused or pydantic's ValidationError. A page of a ranking is
`[page id, document, page number, score]` in JSON.

Sides and grading orders are random: a hash of the session's seed and of what is drawn. A hash is uniform, gives the
same result after a reload, and does not depend on earlier draws. The seed is 128 random bits and stays on the server
until its owner exports the journal: anyone who knows it can compute the sides, so no page receives it before a vote.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from itertools import pairwise
from typing import Annotated, Self

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
from pydantic.dataclasses import dataclass as pydantic_dataclass
from pydantic_core import ArgsKwargs

from smart_demo.errors import InputRefused, LibraryError
from smart_demo.methods import LATE, POOLED, SMART, Counted, Found, Method, Reduce, SearchResult, Weights, part_methods
from smart_demo.strict_json import (
    hex_digits,
    integer_between,
    number_between,
    one_line,
    read_record,
    text_up_to,
)
from smart_demo.types import SAMPLES, PageId, Query, Scope, StoredPage

METHOD_NAMES = (POOLED.name, LATE.name, SMART.name)
"""Names of the methods whose rankings a trial records."""
MIN_RECORDED_RANKS, MAX_RECORDED_RANKS = 10, 50
"""Pages recorded of each ranking, if the library has as many."""
MAX_QUERY_CHARS = 2_000
"""Maximum length of a query that can be judged."""
MAX_LIBRARY_PAGES = 10**7
"""Maximum number of pages of a searched library."""
MAX_VERSIONS = 20
"""Maximum number of programs whose versions are recorded."""
MAX_WEIGHT, MAX_SCORE = 1e3, 1e9
SCORE_DECIMALS = 6
"""Decimals of a recorded score: `scoring.rank` compares no more."""
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


@dataclass(frozen=True)
class BlindColumns:
    """The pages of each column: everything a voter may see before the vote."""

    a: tuple[StoredPage, ...]
    b: tuple[StoredPage, ...]


@pydantic_dataclass(frozen=True, slots=True)
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


@pydantic_dataclass(frozen=True, slots=True)
class Rankings:
    """The ranking of each of METHOD_NAMES, best page first. Iterable in their order."""

    pooled: Ranking
    late: Ranking
    smart: Ranking

    def __iter__(self) -> Iterator[tuple[RankedPage, ...]]:
        return iter((self.pooled, self.late, self.smart))

    @model_validator(mode="after")
    def _check_order(self) -> Self:
        for name, rows in zip(METHOD_NAMES, self, strict=True):
            if len({row.page for row in rows}) < len(rows):
                raise InputRefused(f"the {name} ranking has a page twice.")
            if any(later.score > row.score for row, later in pairwise(rows)):
                raise InputRefused(f"the scores of the {name} ranking do not fall.")
        return self


@pydantic_dataclass(frozen=True, slots=True)
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


@pydantic_dataclass(frozen=True, slots=True)
class RecordedLibrary:
    """The pages that were searched."""

    fingerprint: Fingerprint
    scopes: Annotated[tuple[Name, ...], Field(max_length=2), AfterValidator(_check_scopes)]
    pages: Annotated[int, integer_between(1, MAX_LIBRARY_PAGES)]
    codec: Annotated[str, one_line(40)]
    """Format of the stored token states."""


@pydantic_dataclass(frozen=True, slots=True)
class RecordedEncoder:
    """The encoder that made the rankings."""

    name: Name
    model: Name
    revision: Annotated[str, one_line(empty=True)]
    fingerprint: Fingerprint


@pydantic_dataclass(frozen=True, slots=True)
class RecordedWeights:
    """The form in which `Weights` are recorded."""

    pooled: Annotated[float, number_between(-MAX_WEIGHT, MAX_WEIGHT)]
    late: Annotated[float, number_between(-MAX_WEIGHT, MAX_WEIGHT)]
    reduce: Reduce
    counted: Counted


def _read_weights(value: object) -> Weights:
    fields = asdict(value) if isinstance(value, Weights) else value
    return Weights(**asdict(read_record(_RECORDED_WEIGHTS, fields, '"weights"')))


def write_weights(weights: Weights) -> dict[str, object]:
    """Return the fields of `RecordedWeights`."""
    return {name: getattr(weights, name) for name in RecordedWeights.__slots__}


_RECORDED_WEIGHTS = TypeAdapter(RecordedWeights)


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


@pydantic_dataclass(frozen=True, slots=True)
class Sides:
    """The name of the method in each column."""

    a: str
    b: str


@pydantic_dataclass(frozen=True, slots=True)
class Trial:
    """One query searched under one set of conditions."""

    query: JudgedQuery
    seed: RandomId
    """The session's seed."""
    sides: Sides
    """What the seed draws for the query."""
    library: RecordedLibrary
    encoder: RecordedEncoder
    weights: Annotated[Weights, BeforeValidator(_read_weights), PlainSerializer(write_weights)]
    """SMART's weights. The late ranking uses the same reduction and the same tokens."""
    k: Annotated[int, integer_between(1, MAX_RECORDED_RANKS)]
    """Pages shown in each column."""
    rankings: Rankings
    """One ranking for each of METHOD_NAMES, max(k, 10) pages if the library has as many."""
    versions: Versions

    @property
    def conditions(self) -> Conditions:
        """The conditions under which judgements of this trial count."""
        return Conditions(self.library.fingerprint, self.encoder.fingerprint, self.weights)

    def ranking(self, method: str) -> tuple[RankedPage, ...]:
        """Return the ranking of one of METHOD_NAMES."""
        ranking: tuple[RankedPage, ...] = getattr(self.rankings, method)
        return ranking

    @property
    def orders(self) -> Mapping[str, tuple[PageId, ...]]:
        """Page ids of each ranking, by method name."""
        return {name: tuple(row.page for row in self.ranking(name)) for name in METHOD_NAMES}

    @model_validator(mode="after")
    def _check_sides(self) -> Self:
        if self.sides != draw_sides(self.seed, self.query.key):
            raise InputRefused("the sides are not those that the seed draws for this query.")
        return self


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
    return *part_methods(weights), replace(SMART, weights=weights)


def recorded_depth(k: int) -> int:
    """Return the number of pages to record of each ranking if each column shows `k`."""
    return min(max(k, MIN_RECORDED_RANKS), MAX_RECORDED_RANKS)


def record_trial(found: Found, k: int, seed: str, versions: Mapping[str, str]) -> Trial:
    """Record the answer of `engine.search` with `judged_methods(weights)` and `top=recorded_depth(k)`.

    Raises LibraryError if no page was found, KeyError if one of the three methods is missing.
    """
    pooled, late, smart = (_record_ranking(found.results[name], recorded_depth(k)) for name in METHOD_NAMES)
    if not (pooled and smart):
        raise LibraryError("There are no pages to judge here.", "Add a document in the library.")
    encoder = found.encoder
    return Trial(
        record_query(found.query),
        seed,
        draw_sides(seed, found.query.key),
        record_library(found.parts.pages),
        RecordedEncoder(encoder.name, encoder.model, encoder.revision, encoder.fingerprint),
        found.results[SMART.name].method.weights,
        k,
        Rankings(pooled, late, smart),
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


def _hash(*parts: str) -> int:
    """Return 256 bits. A zero byte, which no part contains, joins the parts, so no two draws hash the same text."""
    return int.from_bytes(hashlib.sha256("\0".join(parts).encode()).digest())


def _weights_key(weights: Weights) -> tuple[float, float, str, str]:
    # Adding 0 gives minus zero, which equals zero, the same text.
    return weights.pooled + 0.0, weights.late + 0.0, str(weights.reduce), str(weights.counted)


def _record_ranking(result: SearchResult, depth: int) -> tuple[RankedPage, ...]:
    rows: dict[PageId, RankedPage] = {}
    for hit in result.hits:  # a page in two scopes is one page to a judge
        rows.setdefault(hit.page.id, RankedPage(hit.page.id, hit.page.document, round(hit.score, SCORE_DECIMALS)))
    return tuple(rows.values())[:depth]


def _recorded_scope(scope: Scope) -> str:
    return "samples" if scope == SAMPLES else "local"

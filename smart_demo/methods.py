"""Ranking methods as data, and what a search by them returns.

Axis letters: M candidates and N pages of a search, Q tokens of its query.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from smart_demo.errors import Notice
from smart_demo.types import Encoder, Floats, PageId, Query, QueryEncoding, Scope, StoredPage, TokenSpace


class Reduce(StrEnum):
    """Reduction of per-token maxima to a number: `mean` (the paper and its code) or `sum` (its blog post, ColBERT)."""

    MEAN = "mean"
    SUM = "sum"


class Counted(StrEnum):
    """Which query tokens count: all stored ones, or only the query's own words (our labelled ablation)."""

    ALL = "all"
    CONTENT = "content"


@dataclass(frozen=True, slots=True)
class Weights:
    """smart = pooled_weight * pooled + late_weight * late. (1, 0) is pooled only, (0, 1) late only."""

    pooled: float = 1.0
    late: float = 1.0
    reduce: Reduce = Reduce.MEAN
    counted: Counted = Counted.ALL
    space: TokenSpace = TokenSpace.RAW
    """Token space of the late part."""

    def __post_init__(self) -> None:
        if not (np.isfinite(self.pooled) and np.isfinite(self.late)):
            raise ValueError(f"weights must be finite numbers: {self.pooled}, {self.late}")


@dataclass(frozen=True, slots=True)
class Method:
    """A ranking method, as data: one formula serves all of them."""

    name: str
    label: str
    weights: Weights


POOLED = Method("pooled", "Pooled only", Weights(1.0, 0.0))
LATE = Method("late", "Late only", Weights(0.0, 1.0))
SMART = Method("smart", "SMART", Weights(1.0, 1.0))
TRAINED = Method("trained", "Trained late", Weights(0.0, 1.0, space=TokenSpace.TRAINED))
"""Late interaction over states that were trained for it. Only some encoders give them."""


def part_methods(weights: Weights) -> tuple[Method, Method]:
    """Return the methods that rank by the pooled and by the late part alone.

    Both have the late part of `weights`, so that a page has one late score in every ranking; the pooled one does not
    rank by it.
    """
    pooled, late = (replace(weights, pooled=one, late=1.0 - one) for one in (1.0, 0.0))
    return replace(POOLED, weights=pooled), replace(LATE, weights=late)


def compared_methods(weights: Weights) -> tuple[Method, Method]:
    """Return the two methods that are compared, left and right, when the page's weights are these."""
    return part_methods(weights)[0], Method(SMART.name, name_weights(weights), weights)


def name_weights(weights: Weights) -> str:
    """Return the label of the ranking by a page's pooled and late parts under these weights.

    >>> name_weights(Weights(1.0, 0.5)), name_weights(Weights(0.0, 2.0)), name_weights(Weights(1.0, 0.0))
    ('SMART', 'Late only', 'Pooled only')
    """
    if weights.late and not weights.pooled:
        return LATE.label
    return POOLED.label if weights.pooled and not weights.late else SMART.label


class TokenMaxima(NamedTuple):
    """How well each query token matches each candidate in one token space."""

    kinds: npt.NDArray[np.uint8]
    """(Q,) TokenKind of each query token."""
    maxima: Floats
    """(M, Q) best cosine of each query token over the page's tokens."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The scores of one query before any weights: caching them makes re-ranking free.

    Pooled scores cover all N visible pages, token maxima the M candidates among them. `kinds` and `maxima` are those of
    the raw token space, as `TokenMaxima`.
    """

    kinds: npt.NDArray[np.uint8]
    pages: tuple[StoredPage, ...]
    """The N visible pages."""
    pooled: Floats
    """(N,) exact cosines of the pooled vectors."""
    candidates: npt.NDArray[np.int64]
    """(M,) positions in `pages`, ascending."""
    maxima: Floats
    spaces: Mapping[TokenSpace, TokenMaxima] = field(default_factory=dict)
    """Token maxima of each other space that was scored."""

    def in_space(self, space: TokenSpace) -> TokenMaxima:
        """Return the token maxima of one space. Raises KeyError if it was not scored."""
        return TokenMaxima(self.kinds, self.maxima) if space is TokenSpace.RAW else self.spaces[space]


@dataclass(frozen=True, slots=True)
class Hit:
    """One page in a ranking, with the parts of its score."""

    rank: int
    page: StoredPage
    score: float
    pooled: float
    late: float


@dataclass(frozen=True, eq=False)
class SearchResult:
    """One method's ranking of one query."""

    method: Method
    hits: tuple[Hit, ...]
    """The first k pages, best first."""
    ranks: Mapping[tuple[Scope, PageId], int]
    """Rank of every page that this method ranked, also beyond the first k."""
    candidates: int
    """M, the number of pages that this method ranked."""
    pages: int
    """N, the number of visible pages."""


@dataclass(frozen=True, eq=False)
class Found:
    """The results of several methods for one query, from one set of parts."""

    query: Query
    encoder: Encoder
    encoding: QueryEncoding
    parts: Parts
    results: Mapping[str, SearchResult]
    """Results by method name, in the requested order."""
    milliseconds: Mapping[str, float]
    """Time of each stage: encode, candidates, score, rank; 0 if a cache answered it."""
    notices: tuple[Notice, ...] = ()
    """What a reader should know about the whole answer."""

    @property
    def compared(self) -> tuple[SearchResult, SearchResult]:
        """The two rankings that are compared, left and right: those of the first two methods requested."""
        left, right = list(self.results.values())[:2]
        return left, right

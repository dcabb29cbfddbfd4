"""What one judgement was about: the question, the sides, the rankings and everything that made them.

A trial is written into every vote and grade, so that any one line of a journal can be run again and any metric can be
worked out later without the library.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from smart_demo.evaluation.sides import Sides
from smart_demo.types import LATE, POOLED, SMART, Encoder, PageId, Weights

DEEPEST = 50
"""Pages recorded of each ranking at most."""
LONGEST_QUERY = 2_000
"""Characters of a query that can be judged; a longer one is no search."""
METHODS = (POOLED.name, LATE.name, SMART.name)
"""Whose rankings are recorded."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One page of a recorded ranking."""

    page: PageId
    document: str
    score: float

    @property
    def number(self) -> int:
        """The page's number in its document, from 1."""
        return self.page.number


@dataclass(frozen=True, slots=True)
class Asked:
    """The question as it can be asked again."""

    text: str
    key: str
    """`Query.key`: a picture's pixels are part of it."""
    picture: str = ""
    """What names the picture it was asked with; empty for words alone."""


@dataclass(frozen=True, slots=True)
class Searched:
    """The pages that were searched."""

    fingerprint: str
    scopes: tuple[str, ...]
    pages: int
    codec: str
    """How their token states were kept."""


@dataclass(frozen=True, slots=True)
class Model:
    """The encoder, as far as it names itself."""

    name: str
    model: str
    revision: str
    fingerprint: str

    @classmethod
    def of(cls, encoder: Encoder) -> Model:
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
        return hashlib.sha256(repr((self.library, self.encoder, _plain(self.weights))).encode()).hexdigest()[:8]


@dataclass(frozen=True, slots=True)
class Trial:
    """One question under one set of conditions."""

    query: Asked
    seed: str
    """Of the session, 32 hex digits."""
    sides: Sides
    library: Searched
    encoder: Model
    weights: Weights
    """Of SMART; late is ranked with the same reduction over the same tokens."""
    k: int
    """Pages shown in each column."""
    rankings: tuple[tuple[Ranked, ...], ...]
    """Of each of METHODS in turn, best first, max(k, 10) deep or as deep as the library."""
    versions: tuple[tuple[str, str], ...]

    @property
    def conditions(self) -> Conditions:
        return Conditions(self.library.fingerprint, self.encoder.fingerprint, self.weights)

    def ranking(self, method: str) -> tuple[Ranked, ...]:
        """By a name of METHODS."""
        return self.rankings[METHODS.index(method)]

    @property
    def orders(self) -> Mapping[str, tuple[PageId, ...]]:
        """Page ids of each ranking, by method name."""
        return {name: tuple(row.page for row in self.ranking(name)) for name in METHODS}


def _plain(weights: Weights) -> tuple[float, float, str, str]:
    # Adding 0 makes minus zero, which equals it, look like it.
    return weights.pooled + 0.0, weights.late + 0.0, str(weights.reduce), str(weights.counted)

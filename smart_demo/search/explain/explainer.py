"""Search -> why one of its pages stands where it stands. Joins the pure arithmetic of `explain` with the library."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from smart_demo import scoring
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.page_list import listed
from smart_demo.search import explain
from smart_demo.search.cache import LRUCache
from smart_demo.search.comparison import Key, passing
from smart_demo.search.explain import Attribution, ColourRange, Match, PageMap, PairDifference, Sweep
from smart_demo.store.library import Library
from smart_demo.types import POOLED, SMART, Found, Parts, QueryEncoding, StoredPage, TokenKind, Weights

MATCHES_KEPT, MATCH_BYTES = 64, 2**21
"""How many matches are kept, and how large one may be to be kept: 128 MiB at most. Forty query tokens on a page of
1,750 take 280 kB."""
RANGES_KEPT = 16
WORDS = 32
"""Words of a query, its picture being one, whose maps decide its colours, beside the map of all of them together."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One page under one search. Both ranges belong to the search and are the same for all of its pages."""

    page: StoredPage
    attribution: Attribution
    scored: bool
    """Whether the search reached the page token by token, or its late part was computed for this look alone."""
    similarity: ColourRange
    contribution: ColourRange
    parts: Parts | None = None
    """What other weights rank the search's pages from."""

    @cached_property
    def sweep(self) -> Sweep | None:
        """Its rank by SMART for late weights over the slider's range and the one in use; None for a page that the
        search did not reach.
        """
        if self.parts is None or not self.scored:
            return None
        late = np.union1d(explain.late_weights(), np.float32(self.attribution.weights.late))
        return explain.sweep(self.parts, self.page, self.attribution.weights, late)

    @cached_property
    def leads(self) -> tuple[float, float] | None:
        """The late weights between which it is first; None for a page that is nowhere, or that was not reached."""
        if self.parts is None or not self.scored:
            return None
        return explain.first_place(self.parts, self.page, self.attribution.weights)


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two pages under one search, the first set against the second."""

    found: Found
    first: Explanation
    second: Explanation
    pair: PairDifference
    swap: float | None
    """The late weight at which they change places; None where none does, and for a pair of which the search did not
    reach both token by token."""

    @property
    def scored(self) -> bool:
        """Whether SMART ranked both."""
        return self.first.scored and self.second.scored


@dataclass(frozen=True, eq=False)
class _Ranges:
    similarity: ColourRange
    contribution: ColourRange


class Explainer:
    """Explains pages of searches, keeping the last matches. Encodes nothing: a search brings its encoding along."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._matches: LRUCache[Match] = LRUCache(MATCHES_KEPT)
        self._ranges: LRUCache[_Ranges] = LRUCache(RANGES_KEPT)
        self._generation = library.generation

    def explain(self, found: Found, page: Key, weights: Weights) -> Explanation:
        """Take a page of a search apart. LibraryError if it is not, or no longer, among the pages searched."""
        self.drop_what_went()
        pages = listed(found.parts.pages)
        position = pages.position(page)
        if position is None:
            raise LibraryError("That page is no longer in the library.", "Search again.")
        stored = pages[position]
        attribution = explain.attribute(self._match(found.encoding, stored), weights)
        ranges = self._ranges_of(found, weights)
        scored = bool((found.parts.candidates == position).any())
        return Explanation(stored, attribution, scored, ranges.similarity, ranges.contribution, found.parts)

    def pair(self, found: Found, page: Key, other: Key | None, weights: Weights) -> Pairing:
        """Set one page of a search against another: that of `comparison.passing`, and in its order, if None.
        InputRefused where that is the same page or there is no other; LibraryError as `explain`.
        """
        keys = (page, other) if other else passing(found.results[POOLED.name], found.results[SMART.name], page)
        if keys is None or keys[0] == keys[1]:
            raise InputRefused("A page is compared with another one.", "Choose two different pages.")
        first, second = (self.explain(found, key, weights) for key in keys)
        both = first.scored and second.scored
        meeting = explain.swap(found.parts, first.page, second.page, weights) if both else None
        return Pairing(found, first, second, explain.compare(first.attribution, second.attribution), meeting)

    def _match(self, query: QueryEncoding, page: StoredPage) -> Match:
        key = (query.query.key, page)
        match = self._matches.get(key)
        if match is None:
            # What is shown adds up to the score: it is made of the very cosines whose maxima were scored.
            cosines = scoring.cosines(query.tokens, self._library.tokens(page))
            match = explain.match(query, self._library.encoding(page), cosines)
            # The states are not needed again, and are a hundred times what is kept.
            match = replace(match, page=replace(match.page, tokens=np.zeros((0, 0), np.float32)))
            if match.cosines.nbytes <= MATCH_BYTES:
                self._matches.put(key, match)
        return match

    def _ranges_of(self, found: Found, weights: Weights) -> _Ranges:
        """One range of similarities and one of contributions, from the pages that stand in any of the columns."""
        shown = {hit.page: None for result in found.results.values() for hit in result.hits}
        key = (found.encoding.query.key, tuple(shown), weights)
        ranges = self._ranges.get(key)
        if ranges is None:
            similar, owed = [], []
            for attribution in self._attributions(found.encoding, tuple(shown), weights):
                similar += _maps(attribution)
                owed.append(explain.winner_map(attribution).map)
            ranges = _Ranges(explain.range_of(similar), explain.range_of(owed))
            self._ranges.put(key, ranges)
        return ranges

    def _attributions(self, query: QueryEncoding, pages: Sequence[StoredPage], weights: Weights) -> list[Attribution]:
        found = []
        for page in pages:
            try:
                found.append(explain.attribute(self._match(query, page), weights))
            except LibraryError:  # it went a moment ago; the colours are those of the pages that are left
                continue
        return found

    def drop_what_went(self) -> None:
        """Nothing of a page is kept longer than the page."""
        generation = self._library.generation
        if generation != self._generation:
            self._matches.drop(lambda key: isinstance(key, tuple) and key[1] not in self._library)
            self._ranges.drop(lambda key: isinstance(key, tuple) and any(page not in self._library for page in key[1]))
            self._generation = generation


def _maps(attribution: Attribution) -> list[PageMap]:
    asked = [term for term in attribution.terms if term.word >= 0 or term.kind is TokenKind.PATCH][:WORDS]
    maps = [explain.similarity_map(attribution.match, term.tokens) for term in asked]
    return [*maps, explain.whole_query_map(attribution.match)]

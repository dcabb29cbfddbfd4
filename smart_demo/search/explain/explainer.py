"""Explanations of a search's pages: the pure functions of `explain`, applied to the library, with caches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from smart_demo import scoring
from smart_demo.errors import InputRefused, LibraryError
from smart_demo.methods import Found, Parts, Weights
from smart_demo.page_list import Key, as_page_list
from smart_demo.search import explain
from smart_demo.search.cache import LRUCache
from smart_demo.search.comparison import find_passing_pair
from smart_demo.search.explain import (
    Attribution,
    ColourRange,
    EvidenceCrop,
    Match,
    NoPlace,
    PageMap,
    PairDifference,
    Slot,
    Sweep,
)
from smart_demo.store.library import Library
from smart_demo.store.prepared_page import picture_size
from smart_demo.types import QueryEncoding, StoredPage, TokenKind, TokenSpace

MAX_CACHED_MATCHES, MAX_CACHED_MATCH_BYTES = 64, 2**21
"""Maximum number of cached matches, and maximum size of each: 134 MB in all. Forty query tokens on a page of 1,750
take 280 kB."""
MAX_CACHED_RANGES = 16
MAX_TERM_MAPS = 32
"""Maximum number of a query's words, its picture counting as one, whose maps determine the range of colours."""


@dataclass(frozen=True, eq=False)
class Explanation:
    """One page of one search. The ranges of colours are the same for all pages of the search."""

    page: StoredPage
    attribution: Attribution
    scored: bool
    """Whether the search scored the page token by token. If not, its late part was computed for this explanation."""
    similarity: ColourRange
    contribution: ColourRange
    parts: Parts | None = None
    """Parts of the search, from which its pages are ranked under other weights."""

    @cached_property
    def sweep(self) -> Sweep | None:
        """Rank for late weights over the slider's range and the current one; None if it was not scored."""
        if self.parts is None or not self.scored:
            return None
        late = np.union1d(explain.late_weights(), np.float32(self.attribution.weights.late))
        return explain.sweep_late_weight(self.parts, self.page, self.attribution.weights, late)

    @cached_property
    def first_place_weights(self) -> tuple[float, float] | None:
        """Range of late weights in which the page is first; None if there is none or it was not scored."""
        if self.parts is None or not self.scored:
            return None
        return explain.find_first_place_weights(self.parts, self.page, self.attribution.weights)


@dataclass(frozen=True, slots=True)
class PageCrop:
    """One page of one search, with the part that shows its evidence."""

    page: StoredPage
    crop: EvidenceCrop | NoPlace
    width: int = 0
    """Pixels of the crop's width in the stored picture of its page; 0 without a crop."""
    height: int = 0


@dataclass(frozen=True, eq=False)
class Pairing:
    """Two pages of one search, the first compared with the second."""

    found: Found
    first: Explanation
    second: Explanation
    pair: PairDifference
    swap_weight: float | None
    """The late weight at which they change places; None if there is none, or if the search did not score both."""

    @property
    def scored(self) -> bool:
        """Whether the search scored both pages token by token."""
        return self.first.scored and self.second.scored


@dataclass(frozen=True, eq=False)
class _Ranges:
    similarity: ColourRange
    contribution: ColourRange


class Explainer:
    """Explains pages of searches, with a cache of matches. It encodes nothing: a search contains its encoding."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._matches: LRUCache[Match] = LRUCache(MAX_CACHED_MATCHES)
        self._ranges: LRUCache[_Ranges] = LRUCache(MAX_CACHED_RANGES)
        self._generation = library.generation

    def explain(self, found: Found, page: Key, weights: Weights) -> Explanation:
        """Explain one page of a search. Raises LibraryError if the library does not contain it any more."""
        self.discard_deleted_pages()
        stored, position = _find_page(found, page)
        attribution = explain.attribute(self._match(found.encoding, stored, weights.space), weights)
        ranges = self._colour_ranges(found, weights)
        scored = bool((found.parts.candidates == position).any())
        return Explanation(stored, attribution, scored, ranges.similarity, ranges.contribution, found.parts)

    def crop(self, found: Found, page: Key, weights: Weights, slot: Slot) -> PageCrop:
        """Find the part of a page in which most of its late score was won, whether or not the search scored it.

        It does not depend on the two weights, only on which tokens count, and on their space. Raises LibraryError as
        `explain`.
        """
        self.discard_deleted_pages()
        stored, _ = _find_page(found, page)
        counted = replace(weights, pooled=0.0, late=1.0)
        attribution = explain.attribute(self._match(found.encoding, stored, counted.space), counted)
        width, height = _fit_picture(stored.width, stored.height)
        page_words = self._library.page_words(stored)
        words = [box for word in page_words.words for box in word.boxes] if page_words else []
        crop = explain.find_crop(attribution, width, height, slot, words)
        if isinstance(crop, NoPlace):
            return PageCrop(stored, crop)
        across, down = (crop.box.right - crop.box.left) * width, (crop.box.bottom - crop.box.top) * height
        return PageCrop(stored, crop, max(1, round(across)), max(1, round(down)))

    def pair(self, found: Found, page: Key, other: Key | None, weights: Weights) -> Pairing:
        """Compare one page of a search with another, or, if None, as `comparison.find_passing_pair` pairs it.

        Raises InputRefused if they are the same page or there is no other, and LibraryError as `explain`.
        """
        if other:
            keys: tuple[Key, Key] | None = (page, other)
        else:
            keys = find_passing_pair(*found.compared, page)
        if keys is None or keys[0] == keys[1]:
            raise InputRefused("A page is compared with another one.", "Choose two different pages.")
        first, second = (self.explain(found, key, weights) for key in keys)
        both_scored = first.scored and second.scored
        swap = explain.find_swap_weight(found.parts, first.page, second.page, weights) if both_scored else None
        return Pairing(found, first, second, explain.compare_pages(first.attribution, second.attribution), swap)

    def _match(self, query: QueryEncoding, page: StoredPage, space: TokenSpace) -> Match:
        key = (query.query.key, page, space)
        match = self._matches.get(key)
        if match is None:
            # From the very cosines whose maxima were scored, so that contributions add up to the score.
            cosines = scoring.cosines(query.in_space(space).tokens, self._library.tokens(page, space))
            match = explain.match_tokens(query, self._library.encoding(page), cosines, space)
            # The states are not needed again, and are a hundred times as large as the rest.
            match = replace(match, page=replace(match.page, tokens=np.zeros((0, 0), np.float32)))
            if match.cosines.nbytes <= MAX_CACHED_MATCH_BYTES:
                self._matches.put(key, match)
        return match

    def _colour_ranges(self, found: Found, weights: Weights) -> _Ranges:
        """Return one range of similarities and one of contributions, from the pages in any of the columns."""
        shown = {hit.page: None for result in found.results.values() for hit in result.hits}
        key = (found.encoding.query.key, tuple(shown), weights)
        ranges = self._ranges.get(key)
        if ranges is None:
            similarity_maps, winner_maps = [], []
            for attribution in self._attributions(found.encoding, tuple(shown), weights):
                similarity_maps += _similarity_maps(attribution)
                winner_maps.append(explain.winner_map(attribution).map)
            ranges = _Ranges(explain.colour_range(similarity_maps), explain.colour_range(winner_maps))
            self._ranges.put(key, ranges)
        return ranges

    def _attributions(self, query: QueryEncoding, pages: Sequence[StoredPage], weights: Weights) -> list[Attribution]:
        attributions = []
        for page in pages:
            try:
                attributions.append(explain.attribute(self._match(query, page, weights.space), weights))
            except LibraryError:  # deleted since the search: the range is that of the other pages
                continue
        return attributions

    def discard_deleted_pages(self) -> None:
        """Discard cached values of pages that the library no longer contains."""
        generation = self._library.generation
        if generation != self._generation:
            self._matches.discard(lambda key: isinstance(key, tuple) and key[1] not in self._library)
            self._ranges.discard(
                lambda key: isinstance(key, tuple) and any(page not in self._library for page in key[1])
            )
            self._generation = generation


def _find_page(found: Found, page: Key) -> tuple[StoredPage, int]:
    """Return a page of a search with its position. Raises LibraryError if it is not among those searched."""
    pages = as_page_list(found.parts.pages)
    position = pages.position(page)
    if position is None:
        raise LibraryError("That page is no longer in the library.", "Search again.")
    return pages[position], position


def _fit_picture(width: int, height: int) -> tuple[float, float]:
    """Return (width, height) in pixels of the stored picture of a page of that size."""
    most_wide, most_high = picture_size(max(width, 1), max(height, 1))
    scale = min(1.0, most_wide / max(width, 1), most_high / max(height, 1))
    return scale * max(width, 1), scale * max(height, 1)


def _similarity_maps(attribution: Attribution) -> list[PageMap]:
    terms = [term for term in attribution.terms if term.word >= 0 or term.kind is TokenKind.PATCH][:MAX_TERM_MAPS]
    maps = [explain.similarity_map(attribution.match, term.tokens) for term in terms]
    return [*maps, explain.whole_query_map(attribution.match)]

"""The check whether anything in a library answers a question, by the library's own scores and without any label.

Random words of the library's own pages are searched first: no page answers them, so their best pages match by chance.
A question whose best page matches worse than that of most random queries is probably not answered here. A match is the
late part over the query's own words. Both constants below were chosen on the sample library with minilm:

    libraries (pages)                judged questions warned    off-topic questions warned, of 20 in each set
    samples (71)                     1 of 63                    18, 17 and 16
    four random parts (45 or more)   4 of 180                   151 of 160 in the first two sets
    four random parts (30 or more)   6 of 129                   153 of 160

The statistic was chosen by the judged questions and the first set, out of some twenty. The quantile was fixed when the
counts of all three sets had been seen at three quantiles (10 % warned of 14 in the third), so no set is untouched.
The parts were searched with 40 random queries. `tests/search/test_answer_check.py` repeats the first line. Encoders
that see pages were not measured and never warn.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from smart_demo.backbones.base import Backbone
from smart_demo.errors import LibraryError, Notice, NoticeCode, QueryRefused
from smart_demo.methods import Found, Parts
from smart_demo.page_list import PageList
from smart_demo.search.background import BackgroundResults
from smart_demo.store.library import Library
from smart_demo.types import Query, Scope, TokenKind

MIN_PAGES = 40
"""Pages of the smallest library that is checked: in smaller ones more questions were warned that have an answer."""
RANDOM_QUERIES = 64
QUANTILE = 0.25
"""Share of the random queries that match worse than the threshold."""
MIN_WORDS = 100
"""Different words of the smallest vocabulary to draw from."""
MAX_PAGES_READ = 200
"""Pages whose words make up the vocabulary."""
MAX_CHECKED_LIBRARIES = 64
QUERY_WORDS = (3, 7)
"""Shortest and longest random query, in words."""
NOTICE = Notice(
    NoticeCode.NO_GOOD_MATCH,
    "Probably nothing here answers this. The best page matches no better than it would match random words.",
)
_WORD = re.compile(r"[^\W\d_]{3,}")
ScoreQuery = Callable[[Query, Sequence[Scope], Backbone], Parts]
"""Returns the parts of a query over some scopes, without caches."""


@dataclass(frozen=True, slots=True)
class SearchedLibrary:
    """A version of the pages of some scopes under one encoder."""

    scopes: tuple[Scope, ...]
    encoder: str
    """Fingerprint of the encoder."""
    versions: tuple[int, ...]
    """As `Library.versions` returns them."""
    backbone: Backbone = field(compare=False)


class AnswerCheck:
    """The thresholds of the libraries that were searched, computed in the background. Safe for threads."""

    def __init__(self, library: Library, score: ScoreQuery) -> None:
        self._library, self._score = library, score
        self._thresholds: BackgroundResults[SearchedLibrary, float] = BackgroundResults(
            "answer-check", self._compute, self._is_current, MAX_CHECKED_LIBRARIES
        )

    def threshold(self, scopes: Sequence[Scope], pages: int, backbone: Backbone) -> float | None:
        """Return the match below which a question is probably not answered by the `pages` pages of these scopes.

        None if the library is too small or cannot be checked, and while the threshold is computed.
        """
        if pages < MIN_PAGES or backbone.encoder.visual_tokens:
            return None
        encoder = backbone.encoder.fingerprint
        filled = tuple(scope for scope in scopes if any(self._library.versions([scope], encoder)))
        if not filled:  # the pages were deleted during the search
            return None
        versions = self._library.versions(filled, encoder)
        return self._thresholds.look_up(filled, SearchedLibrary(filled, encoder, versions, backbone))

    def is_pending(self, scopes: Sequence[Scope]) -> bool:
        """Return whether the threshold of these scopes is being computed."""
        return self._thresholds.is_pending(tuple(scopes))

    def check(self, found: Found, scopes: Sequence[Scope], backbone: Backbone) -> Found:
        """Return the answer to a question, with a notice if probably nothing answers it.

        A query with a picture is never checked.
        """
        if found.query.image_hash or found.encoding.encoder != backbone.encoder.fingerprint:
            return found
        threshold = self.threshold(scopes, len(found.parts.pages), backbone)
        if threshold is None or best_match(found.parts) >= threshold:
            return found
        return replace(found, notices=(NOTICE, *found.notices))

    def delete_scope(self, scope: Scope) -> None:
        """Discard the thresholds of all libraries that include a scope."""
        self._thresholds.discard(lambda key: isinstance(key, tuple) and scope in key)

    def _compute(self, searched: SearchedLibrary) -> float | None:
        """Search random words and return the threshold, or None if there are too few words.

        Raises LibraryError if a page is added or deleted.
        """
        matches = []
        for text in make_random_queries(self._list_words(self._library.pages(searched.scopes, searched.encoder))):
            with suppress(QueryRefused):  # the encoder may know none of the words
                parts = self._score(Query(text), searched.scopes, searched.backbone)
                if not self._is_current(searched):
                    raise LibraryError("The library changed during the check of answers.")
                matches.append(best_match(parts))
        return float(np.quantile(matches, QUANTILE)) if len(matches) > RANDOM_QUERIES // 2 else None

    def _is_current(self, searched: SearchedLibrary) -> bool:
        return self._library.versions(searched.scopes, searched.encoder) == searched.versions

    def _list_words(self, pages: PageList) -> list[str]:
        """Return the different words of some pages, evenly drawn, in a fixed order."""
        step = max(1, -(-len(pages) // MAX_PAGES_READ))
        found: set[str] = set()
        for page in pages[::step]:
            stored = self._library.page_words(page)
            for word in stored.words if stored else ():
                found.update(_WORD.findall(word.text))
        return sorted(found)


def make_random_queries(words: Sequence[str]) -> Iterator[str]:
    """Yield RANDOM_QUERIES queries of random words, equal ones for equal words; none from fewer than MIN_WORDS."""
    if len(words) < MIN_WORDS:
        return
    chance = random.Random(0)
    for _ in range(RANDOM_QUERIES):
        yield " ".join(chance.sample(words, chance.randint(*QUERY_WORDS)))


def best_match(parts: Parts) -> float:
    """Return the best late score of any page over the query's own words, or over all its tokens if it has none."""
    own = parts.kinds == TokenKind.CONTENT
    maxima = parts.maxima[:, own] if own.any() else parts.maxima
    return float(maxima.mean(axis=1).max()) if len(maxima) else 0.0

"""From a query to rankings: encoding, candidates, score parts, their caches, and the JSON form of the results."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.config import Settings
from smart_demo.errors import LibraryError, Notice, NoticeCode, QueryRefused
from smart_demo.methods import Found, Hit, Method, Parts
from smart_demo.page_list import Positions
from smart_demo.search.cache import LRUCache
from smart_demo.search.candidate_check import (
    CandidateCheck,
    choose_depth,
    delete_checks,
    find_depths,
    load_check,
    save_check,
)
from smart_demo.search.costs import RecentTimings, StageTiming, Stopwatch
from smart_demo.store.library import Library
from smart_demo.types import Encoder, Floats, Query, QueryEncoding, Scope, TokenSpace

MAX_RESULTS = 50
MAX_CACHED_QUERIES, MAX_CACHED_PARTS = 128, 16
MAX_TIMINGS = 64
"""Maximum number of timings per stage and set of scopes."""
MAX_TIMED_SCOPE_SETS = 16


@dataclass(frozen=True, eq=False)
class _CachedQuery:
    """A query's encoding, and the scopes that it searched."""

    encoding: QueryEncoding
    scopes: set[Scope] = field(default_factory=set)


class Retrieval:
    """Searches the library. Encodings and score parts are cached, so a search with other weights runs no model."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library, self._settings = library, settings
        self._queries: LRUCache[_CachedQuery] = LRUCache(MAX_CACHED_QUERIES)
        self._parts: LRUCache[Parts] = LRUCache(MAX_CACHED_PARTS)
        self._timings: LRUCache[RecentTimings] = LRUCache(MAX_TIMED_SCOPE_SETS)
        self._checks: dict[tuple[Scope, str], CandidateCheck] = {}

    def search(
        self, query: Query, scopes: Sequence[Scope], methods: Sequence[Method], top: int, backbone: Backbone
    ) -> Found:
        """Return the rankings of one query by several methods, from one encoding and one set of parts.

        `top` is limited to 1 … MAX_RESULTS. Raises QueryRefused if the query is empty or too long, or if the encoder
        does not give the token space of a method.
        """
        query, top = _clean(query, self._settings.quotas.query_chars), min(max(int(top), 1), MAX_RESULTS)
        spaces = {method.weights.space for method in methods}
        if missing := spaces.difference(backbone.encoder.widths):
            name = backbone.encoder.name
            raise QueryRefused(f"{name} gives no {min(missing)} token states.", "Choose another ranking.")
        watch = Stopwatch()
        encoding = self._encode(backbone, query, scopes, watch)
        parts = self._find_parts(encoding, tuple(scopes), watch, spaces)
        results = {method.name: scoring.rank(parts, method, top) for method in methods}
        watch.lap("rank")
        self._add_timings(tuple(scopes), parts, encoding.encoder, watch)
        return Found(query, backbone.encoder, encoding, parts, results, watch.stages)

    def score(self, query: Query, scopes: Sequence[Scope], backbone: Backbone) -> Parts:
        """Return the parts of one query, for work in the background.

        The query is neither looked up in the caches of queries and parts nor added to them, and is not timed. Token
        states are read, and cached, as in every search. Raises QueryRefused if the query is empty or too long.
        """
        encoding = backbone.encode_query(_clean(query, self._settings.quotas.query_chars))
        while (computed := self._compute_parts(encoding, tuple(scopes), Stopwatch(), ())) is None:
            pass
        return computed

    def stage_timings(self, scopes: Sequence[Scope], encoder: str) -> Mapping[str, tuple[StageTiming, ...]]:
        """Return the timings by stage of the last queries over these scopes that ran it, oldest first."""
        timings = self._timings.get((frozenset(scopes), encoder))
        return timings.by_stage() if timings else {}

    def _add_timings(self, scopes: tuple[Scope, ...], parts: Parts, encoder: str, watch: Stopwatch) -> None:
        """Add the timings of the stages that ran. A stage answered by a cache has time 0 and does not count."""
        key = (frozenset(scopes), encoder)
        timings = self._timings.get(key) or RecentTimings(MAX_TIMINGS)
        self._timings.put(key, timings)
        pages = {"encode": 0, "score": len(parts.candidates)}
        for stage, milliseconds in watch.stages.items():
            if milliseconds:
                timings.add(stage, StageTiming(milliseconds, pages.get(stage, len(parts.pages))))

    def candidate_check(self, scopes: Sequence[Scope], encoder: str, pages: int) -> CandidateCheck | None:
        """Return the last check of the candidates of one scope with `pages` pages, or None if none applies."""
        if len(scopes) != 1:
            return None
        key = (scopes[0], encoder)
        check = self._checks.get(key) or load_check(self._settings.index_dir, *key)
        if check is None:
            return None
        self._checks[key] = check
        return check if check.holds(pages) else None

    def check_candidates(
        self, queries: Iterable[QueryEncoding], scope: Scope, encoder: str, on_progress: Callable[[int], None]
    ) -> CandidateCheck:
        """Compare the candidates of a scope with a full scan for some queries, and use the depth that suffices.

        The check is saved. Raises LibraryError if a page is deleted during the scan.
        """
        pages, pooled = self._library.pooled([scope], encoder)
        depths = find_depths(list(queries), pages, pooled, self._library.tokens, on_progress)
        min_depth, max_depth = self._settings.candidates, max(self._settings.candidates, self._settings.exhaustive)
        check = choose_depth(depths, len(pages), min_depth, max_depth)
        save_check(self._settings.index_dir, scope, encoder, check)
        self._checks[scope, encoder] = check
        self._parts.discard(lambda _: True)  # they are of another depth
        return check

    def delete_scope(self, scope: Scope) -> None:
        """Discard every query over a scope or by its owner with its results, and delete the scope's checks."""
        self._queries.discard_values(lambda query: scope in query.scopes or query.encoding.query.owner == str(scope))
        self._parts.discard(lambda key: isinstance(key, tuple) and key[1] == str(scope))
        self._timings.discard(lambda key: isinstance(key, tuple) and scope in key[0])
        self._checks = {key: check for key, check in self._checks.items() if key[0] != scope}
        delete_checks(self._settings.index_dir, scope)
        self.discard_deleted_pages()

    def discard_deleted_pages(self) -> None:
        """Discard parts computed before the library's last change, so that no page is cached longer than it exists."""
        generation = self._library.generation
        self._parts.discard(lambda key: isinstance(key, tuple) and key[-1] != generation)

    def _encode(self, backbone: Backbone, query: Query, scopes: Sequence[Scope], watch: Stopwatch) -> QueryEncoding:
        key = (backbone.encoder.fingerprint, query.key, query.owner)
        cached = self._queries.get(key)
        if cached is not None:
            cached.scopes.update(scopes)
            watch.stages["encode"] = 0.0
            return cached.encoding
        # The cache holds no pixels: they take megabytes.
        encoding = replace(backbone.encode_query(query), query=query.without_pixels())
        watch.lap("encode")
        self._queries.put(key, _CachedQuery(encoding, set(scopes)))
        return encoding

    def _find_parts(
        self, encoding: QueryEncoding, scopes: tuple[Scope, ...], watch: Stopwatch, spaces: Collection[TokenSpace]
    ) -> Parts:
        """Return parts of the raw token space and of these from the cache or from the library.

        If a page vanishes or proves damaged, the library's generation changes, and the parts are computed again without
        that page.
        """
        while True:
            generation = self._library.generation
            key = (encoding.query.key, encoding.query.owner, encoding.encoder, scopes, generation)
            cached = self._parts.get(key)
            if cached is not None:
                spaces = {TokenSpace.RAW, *cached.spaces, *spaces}
                if len(spaces) == 1 + len(cached.spaces):
                    watch.stages |= {"candidates": 0.0, "score": 0.0}
                    return cached
            parts = self._compute_parts(encoding, scopes, watch, spaces)
            if parts is None:
                continue
            self._parts.put(key, parts)
            if self._library.generation != generation:
                self.discard_deleted_pages()
            return parts

    def _compute_parts(
        self, encoding: QueryEncoding, scopes: tuple[Scope, ...], watch: Stopwatch, spaces: Collection[TokenSpace]
    ) -> Parts | None:
        """Return the parts of a query from the library, or None if a page vanished: then call it again.

        spaces: token spaces to score beside the raw one. Raises LibraryError if a page cannot be read.
        """
        generation = self._library.generation
        pages, pooled = self._library.pooled(scopes, encoding.encoder)
        cosines = pooled @ encoding.pooled if len(pages) else np.zeros(0, np.float32)
        positions = self._choose_candidates(cosines, scopes, encoding.encoder)
        watch.lap("candidates")
        self._library.prefetch(pages[position] for position in positions.tolist())
        try:
            parts = scoring.compute_parts(encoding, pages, cosines, positions, self._library.tokens, spaces)
        except LibraryError:
            if self._library.generation == generation:
                raise
            return None
        watch.lap("score")
        return parts

    def _choose_candidates(self, cosines: Floats, scopes: Sequence[Scope], encoder: str) -> Positions:
        """Return the ascending positions of the pages to score token by token: all if they are few, else the nearest.

        The pooled column is exact and needs the cosine of every page anyway, so no index is used: it could only be
        slower and less than exact.
        """
        pages, depth = len(cosines), self._settings.candidates
        if pages > self._settings.exhaustive and (check := self.candidate_check(scopes, encoder, pages)):
            depth = max(depth, check.depth)
        if pages <= max(self._settings.exhaustive, depth):
            return np.arange(pages)
        return np.sort(np.argpartition(-cosines, depth - 1)[:depth])


def as_dict(found: Found, notices: Iterable[Notice] = ()) -> dict[str, Any]:
    """Return the results of one query as `search --json` and the API print them.

    notices: those of the caller, which follow those of the query.

    Each method has its hits with both parts of their scores. `smart` is pooled + late, whatever weights the method
    used. `late` and `smart` are None if the page's tokens were not scored.
    """
    hits = [hit for result in found.results.values() for hit in result.hits]
    of_pages = (*_list_unscored(found.parts), *list_little_known(found.encoder, hits))
    listed = (*found.notices, *found.encoding.notices, *of_pages, *notices)
    return {
        "query": found.query.text,
        "pages": len(found.parts.pages),
        "candidates": len(found.parts.candidates),
        "milliseconds": {stage: round(value, 3) for stage, value in found.milliseconds.items()},
        "results": {name: [_hit_as_dict(hit) for hit in result.hits] for name, result in found.results.items()},
        "notices": [{"code": str(notice.code), "text": notice.text} for notice in listed],
    }


def list_little_known(encoder: Encoder, hits: Iterable[Hit]) -> Iterator[Notice]:
    """Yield a notice if the model knows few words of some of the pages shown, which `hits` may repeat."""
    pages = len({hit.page.key for hit in hits if hit.page.few_known_words})
    if pages:
        rank = "its rank says" if pages == 1 else "their rank says"
        text = f"{encoder.name} knows few words of {pages:,} of these pages, so {rank} little."
        yield Notice(NoticeCode.FEW_KNOWN_WORDS_ON_PAGE, text)


def _list_unscored(parts: Parts) -> Iterator[Notice]:
    """Yield a notice if only candidates were scored token by token."""
    scored, pages = len(parts.candidates), len(parts.pages)
    if scored < pages:
        text = f"SMART ranked {scored:,} of {pages:,} pages: those nearest by pooled vector."
        yield Notice(NoticeCode.RANKED_N_OF_M, text)


def _hit_as_dict(hit: Hit) -> dict[str, Any]:
    late = None if math.isnan(hit.late) else round(hit.late, 6)
    return {
        "rank": hit.rank,
        "document": hit.page.document,
        "page": hit.page.number,
        "pooled": round(hit.pooled, 6),
        "late": late,
        "smart": None if late is None else round(hit.pooled + hit.late, 6),
    }


def _clean(query: Query, max_chars: int) -> Query:
    """Return the query without characters that no encoder reads. Raises QueryRefused if it is empty or too long."""
    text = query.text.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ").strip()
    if not text and query.image is None:
        raise QueryRefused("The query is empty.", "Type what you are looking for.")
    if len(text) > max_chars:
        raise QueryRefused(f"The query has {len(text):,} characters; at most {max_chars:,} are taken.", "Shorten it.")
    return replace(query, text=text)

"""Query -> encoding -> candidates -> parts -> rankings. Knows nothing of uploads."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from smart_demo import scoring
from smart_demo.backbones.base import Backbone
from smart_demo.config import Settings
from smart_demo.errors import LibraryError, QueryRefused
from smart_demo.page_list import Positions
from smart_demo.search import candidates
from smart_demo.search.cache import Lap, Laps, LRUCache, Stopwatch
from smart_demo.search.candidates import CandidateCheck
from smart_demo.store.library import Library
from smart_demo.types import Floats, Found, Method, Parts, Query, QueryEncoding, Scope

MAX_TOP = 50
QUERIES_KEPT, PARTS_KEPT = 128, 16
LAPS_KEPT, LIBRARIES_TIMED = 64, 16
"""Queries whose times are kept per stage, and of how many sets of scopes."""


@dataclass(frozen=True, eq=False)
class _Asked:
    """A query's encoding, and the scopes over which it was asked."""

    encoding: QueryEncoding
    scopes: set[Scope] = field(default_factory=set)


class Retrieval:
    """Answers queries. What one query needed is kept, so asking again under other weights runs no model."""

    def __init__(self, library: Library, settings: Settings) -> None:
        self._library, self._settings = library, settings
        self._queries: LRUCache[_Asked] = LRUCache(QUERIES_KEPT)
        self._parts: LRUCache[Parts] = LRUCache(PARTS_KEPT)
        self._laps: LRUCache[Laps] = LRUCache(LIBRARIES_TIMED)
        self._checks: dict[tuple[Scope, str], CandidateCheck] = {}

    def search(
        self, query: Query, scopes: Sequence[Scope], methods: Sequence[Method], top: int, backbone: Backbone
    ) -> Found:
        """One query answered by several methods from one encoding and one set of parts."""
        query, top, watch = _clean(query, self._settings.quotas.query), min(max(int(top), 1), MAX_TOP), Stopwatch()
        encoding = self._encode(backbone, query, scopes, watch)
        parts = self._find_parts(encoding, tuple(scopes), watch)
        results = {method.name: scoring.rank(parts, method, top) for method in methods}
        watch.lap("rank")
        self._remember(tuple(scopes), parts, encoding.encoder, watch)
        return Found(query, backbone.encoder, encoding, parts, results, watch.stages)

    def laps(self, scopes: Sequence[Scope], encoder: str) -> Mapping[str, tuple[Lap, ...]]:
        """How long each stage took in the last queries over these scopes that really ran it, oldest first."""
        kept = self._laps.get((frozenset(scopes), encoder))
        return kept.by_stage() if kept else {}

    def _remember(self, scopes: tuple[Scope, ...], parts: Parts, encoder: str, watch: Stopwatch) -> None:
        """Keep the times of the stages that ran; one answered from a cache says 0 and does not count."""
        key = (frozenset(scopes), encoder)
        laps = self._laps.get(key) or Laps(LAPS_KEPT)
        self._laps.put(key, laps)
        pages = {"encode": 0, "score": len(parts.candidates)}
        for stage, took in watch.stages.items():
            if took:
                laps.add(stage, Lap(took, pages.get(stage, len(parts.pages))))

    def checked(self, scopes: Sequence[Scope], encoder: str, pages: int) -> CandidateCheck | None:
        """What a full scan said of the candidates of a library of so many pages; None where it says nothing of it."""
        if len(scopes) != 1:
            return None
        key = (scopes[0], encoder)
        found = self._checks.get(key) or candidates.kept(self._settings.index_dir, *key)
        if found is None:
            return None
        self._checks[key] = found
        return found if found.holds(pages) else None

    def check(
        self, queries: Iterable[QueryEncoding], scope: Scope, encoder: str, tell: Callable[[int], None]
    ) -> CandidateCheck:
        """Compare the candidates of a scope with a full scan for some queries, and go as deep as that takes from now
        on. LibraryError where a page goes meanwhile.
        """
        pages, pooled = self._library.pooled([scope], encoder)
        needed = candidates.depths(list(queries), pages, pooled, self._library.tokens, tell)
        least, most = self._settings.candidates, max(self._settings.candidates, self._settings.exhaustive)
        found = candidates.checked(needed, len(pages), least, most)
        candidates.keep(self._settings.index_dir, scope, encoder, found)
        self._checks[scope, encoder] = found
        self._parts.drop(lambda _: True)  # they are of another depth
        return found

    def forget(self, scope: Scope) -> None:
        """Let go of everything that was asked over a scope or by its owner, and of what was found there."""
        self._queries.drop_values(lambda asked: scope in asked.scopes or asked.encoding.query.asker == str(scope))
        self._parts.drop(lambda key: isinstance(key, tuple) and key[1] == str(scope))
        self._laps.drop(lambda key: isinstance(key, tuple) and scope in key[0])
        self._checks = {key: found for key, found in self._checks.items() if key[0] != scope}
        candidates.forget(self._settings.index_dir, scope)
        self.drop_what_went()

    def drop_what_went(self) -> None:
        """Nothing of a page is kept longer than the page: what was found in an earlier library is found anew."""
        generation = self._library.generation
        self._parts.drop(lambda key: isinstance(key, tuple) and key[-1] != generation)

    def _encode(self, backbone: Backbone, query: Query, scopes: Sequence[Scope], watch: Stopwatch) -> QueryEncoding:
        key = (backbone.encoder.fingerprint, query.key, query.asker)
        kept = self._queries.get(key)
        if kept is not None:
            kept.scopes.update(scopes)
            watch.stages["encode"] = 0.0
            return kept.encoding
        # Megabytes of pixels are not kept with what was made of them.
        encoding = replace(backbone.encode_query(query), query=query.without_pixels())
        watch.lap("encode")
        self._queries.put(key, _Asked(encoding, set(scopes)))
        return encoding

    def _find_parts(self, encoding: QueryEncoding, scopes: tuple[Scope, ...], watch: Stopwatch) -> Parts:
        """Parts from the cache, or from the library. A page that vanishes or proves damaged on the way changes the
        library's generation; then the library is asked again and the page is simply not there.
        """
        while True:
            generation = self._library.generation
            key = (encoding.query.key, encoding.query.asker, encoding.encoder, scopes, generation)
            kept = self._parts.get(key)
            if kept is not None:
                watch.stages |= {"candidates": 0.0, "score": 0.0}
                return kept
            pages, pooled = self._library.pooled(scopes, encoding.encoder)
            cosines = pooled @ encoding.pooled if len(pages) else np.zeros(0, np.float32)
            candidates = self._candidates(cosines, scopes, encoding.encoder)
            watch.lap("candidates")
            self._library.ask_for(pages[position] for position in candidates.tolist())
            try:
                parts = scoring.parts(encoding, pages, cosines, candidates, self._library.tokens)
            except LibraryError:
                if self._library.generation == generation:
                    raise
                continue
            watch.lap("score")
            self._parts.put(key, parts)
            if self._library.generation != generation:
                self.drop_what_went()
            return parts

    def _candidates(self, cosines: Floats, scopes: Sequence[Scope], encoder: str) -> Positions:
        """Positions, rising, of the pages to score token by token: every page while they are few, else the nearest
        pooled. The pooled column is exact and needs the cosine of every page anyway, so no index is asked: it could
        only be slower and less than exact.
        """
        pages, depth = len(cosines), self._settings.candidates
        if pages > self._settings.exhaustive and (checked := self.checked(scopes, encoder, pages)):
            depth = max(depth, checked.depth)
        if pages <= max(self._settings.exhaustive, depth):
            return np.arange(pages)
        return np.sort(np.argpartition(-cosines, depth - 1)[:depth])


def _clean(query: Query, most: int) -> Query:
    """The query without what no encoder can read; QueryRefused if nothing is left, or more characters than `most`."""
    text = query.text.encode("utf-8", "ignore").decode("utf-8").replace("\0", " ").strip()
    if not text and query.image is None:
        raise QueryRefused("The query is empty.", "Type what you are looking for.")
    if len(text) > most:
        raise QueryRefused(f"The query has {len(text):,} characters; at most {most:,} are taken.", "Shorten it.")
    return replace(query, text=text)

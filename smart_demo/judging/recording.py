"""Recording of a search as the trial that votes and grades are about."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from smart_demo.errors import LibraryError
from smart_demo.judging.randomisation import draw_sides
from smart_demo.judging.records import (
    MAX_RECORDED_RANKS,
    METHODS,
    MIN_RECORDED_RANKS,
    JudgedQuery,
    RankedPage,
    Rankings,
    RecordedEncoder,
    RecordedLibrary,
    Trial,
)
from smart_demo.types import (
    LATE,
    POOLED,
    SAMPLES,
    SMART,
    Found,
    Method,
    PageId,
    Query,
    Scope,
    SearchResult,
    StoredPage,
    Weights,
)

SCORE_DECIMALS = 6
"""Decimals of a recorded score: `scoring.rank` compares no more."""


def judged_methods(weights: Weights) -> tuple[Method, Method, Method]:
    """Return the methods with which to search a query for `record_trial`."""
    late = replace(LATE, weights=replace(weights, pooled=0.0, late=1.0))
    return POOLED, late, replace(SMART, weights=weights)


def recorded_depth(k: int) -> int:
    """Return the number of pages to record of each ranking if each column shows `k`."""
    return min(max(k, MIN_RECORDED_RANKS), MAX_RECORDED_RANKS)


def record_trial(found: Found, k: int, seed: str, versions: Mapping[str, str]) -> Trial:
    """Record the answer of `engine.search` with `judged_methods(weights)` and `top=recorded_depth(k)`.

    Raises LibraryError if no page was found, KeyError if one of the three methods is missing.
    """
    pooled, late, smart = (_record_ranking(found.results[name], recorded_depth(k)) for name in METHODS)
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


def _record_ranking(result: SearchResult, depth: int) -> tuple[RankedPage, ...]:
    rows: dict[PageId, RankedPage] = {}
    for hit in result.hits:  # a page in two scopes is one page to a judge
        rows.setdefault(hit.page.id, RankedPage(hit.page.id, hit.page.document, round(hit.score, SCORE_DECIMALS)))
    return tuple(rows.values())[:depth]


def _recorded_scope(scope: Scope) -> str:
    return "samples" if scope == SAMPLES else "local"

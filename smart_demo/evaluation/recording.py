"""An answer of the engine -> the trial that a vote or a grade of it carries."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import replace

from smart_demo.evaluation.sides import draw
from smart_demo.evaluation.trial import DEEPEST, METHODS, Asked, Model, Ranked, Searched, Trial
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

SHALLOWEST = 10
"""Pages recorded of each ranking at least, where there are as many."""
DECIMALS = 6
"""Of a recorded score: what `scoring.rank` tells apart."""


def methods(weights: Weights) -> tuple[Method, Method, Method]:
    """What a judged query is searched with, for `record` to keep."""
    late = replace(LATE, weights=replace(weights, pooled=0.0, late=1.0))
    return POOLED, late, replace(SMART, weights=weights)


def depth(k: int) -> int:
    """How many hits of each method a judged query needs."""
    return min(max(k, SHALLOWEST), DEEPEST)


def record(found: Found, k: int, seed: str, versions: Mapping[str, str]) -> Trial:
    """Record an answer of `engine.search` with `methods(weights)` and `top=depth(k)`.

    KeyError where one of the three methods is missing.
    """
    key = found.query.key
    return Trial(
        asked(found.query),
        seed,
        draw(seed, key),
        searched(found.parts.pages),
        Model.of(found.encoder),
        found.results[SMART.name].method.weights,
        k,
        tuple(_ranking(found.results[name], depth(k)) for name in METHODS),
        tuple(sorted(versions.items())),
    )


def asked(query: Query) -> Asked:
    """What is recorded of a query. A picture is named by the query's key."""
    words_alone = query.key == Query(query.text).key
    return Asked(query.text, query.key, "" if words_alone else query.key)


def searched(pages: Iterable[StoredPage]) -> Searched:
    """What is recorded of a library."""
    pages = list(pages)
    scopes = sorted({_scope(page.scope) for page in pages})
    return Searched(fingerprint(pages), tuple(scopes), len(pages), "+".join(sorted({page.codec for page in pages})))


def fingerprint(pages: Iterable[StoredPage]) -> str:
    """16 hex digits over scope, encoder and id of every page: two libraries with the same one hold the same pages.

    A visitor's own scope is a secret and another one after every visit, so all scopes but the samples count as
    `local`: the same documents give the same fingerprint wherever they were added.

    >>> fingerprint([])
    'e3b0c44298fc1c14'
    """
    rows = sorted(f"{_scope(page.scope)} {page.encoder} {page.id}\n" for page in pages)
    return hashlib.sha256("".join(rows).encode()).hexdigest()[:16]


def order(result: SearchResult) -> tuple[PageId, ...]:
    """Every page a method ranked, best first. One that is in two scopes stands where it stood first."""
    return tuple(dict.fromkeys(page for _, page in sorted(result.ranks, key=result.ranks.__getitem__)))


def _ranking(result: SearchResult, deep: int) -> tuple[Ranked, ...]:
    rows: dict[PageId, Ranked] = {}
    for hit in result.hits:  # a page in two scopes is one page to a judge
        rows.setdefault(hit.page.id, Ranked(hit.page.id, hit.page.document, round(hit.score, DECIMALS)))
    return tuple(rows.values())[:deep]


def _scope(scope: Scope) -> str:
    return "samples" if scope == SAMPLES else "local"

"""Parts -> late scores -> a method's ranking. Everything here is exact arithmetic over numbers that were kept."""

from __future__ import annotations

import numpy as np

from smart_demo.types import Counted, Floats, Hit, Method, Parts, Reduce, SearchResult, TokenKind, Weights

TIE = 6
"""Scores that agree to this many decimals are ties: BLAS may differ in the seventh with a row's place in a matrix."""


def late(parts: Parts, weights: Weights) -> Floats:
    """(M,) late-interaction score of each candidate under the weights' reduction and choice of query tokens.

    A query without content tokens counts them all rather than none.
    """
    counted = np.ones(len(parts.kinds), dtype=bool)
    if weights.counted is Counted.CONTENT and (parts.kinds == TokenKind.CONTENT).any():
        counted = parts.kinds == TokenKind.CONTENT
    maxima = parts.maxima[:, counted]
    reduced: Floats = maxima.sum(axis=1) if weights.reduce is Reduce.SUM else maxima.mean(axis=1)
    return reduced


def rank(parts: Parts, method: Method, top: int) -> SearchResult:
    """One method's ranking. Pages that tie stand in the order of their ids, whatever order they came in.

    A method without a late part ranks all N visible pages, since their pooled cosines are exact; any other ranks the
    M candidates.
    """
    weights = method.weights
    positions, late_scores = parts.candidates, late(parts, weights)
    if weights.late == 0.0:
        positions = np.arange(len(parts.pages))
        known = np.full(len(parts.pages), np.nan, dtype=np.float32)
        known[parts.candidates] = late_scores
        scores, late_scores = weights.pooled * parts.pooled, known
    else:
        scores = weights.pooled * parts.pooled[positions] + weights.late * late_scores
    keys = [(str(parts.pages[p].id), str(parts.pages[p].scope)) for p in positions]
    rounded = (-scores.astype(np.float64)).round(TIE)
    order = sorted(range(len(positions)), key=lambda row: (rounded[row], keys[row]))
    hits = tuple(
        Hit(place, page, float(scores[row]), float(parts.pooled[positions[row]]), float(late_scores[row]))
        for place, row in enumerate(order[:top], start=1)
        for page in (parts.pages[positions[row]],)
    )
    ranks = {parts.pages[positions[row]].key: place for place, row in enumerate(order, start=1)}
    return SearchResult(method, hits, ranks, len(positions), len(parts.pages))

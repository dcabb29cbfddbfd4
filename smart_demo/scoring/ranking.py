"""One query and the pages it is asked of -> parts: all the reading and multiplying, once.

Parts -> late scores -> a method's ranking. Everything here is exact arithmetic over numbers that were kept.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from smart_demo.page_list import PageList, Positions, Ranks, listed
from smart_demo.scoring import kernel
from smart_demo.types import (
    Counted,
    Floats,
    Hit,
    Method,
    Parts,
    QueryEncoding,
    Reduce,
    SearchResult,
    StoredPage,
    TokenCodes,
    TokenKind,
    Weights,
)

PAGES = 512
"""Whose token states are held at a time: each may be a map with an open file."""


def parts(
    query: QueryEncoding,
    pages: Iterable[StoredPage],
    cosines: Floats,
    candidates: npt.NDArray[np.int64],
    tokens: Callable[[StoredPage], TokenCodes],
) -> Parts:
    """Everything the methods need of one query, in one pass over the candidates' token states.

    cosines: (N,) of the pooled vectors of all visible pages, in the order of `pages`; candidates: (M,) rising
    positions. Errors of `tokens` (a damaged or removed page) pass through.
    """
    among, maxima = listed(pages), [np.zeros((0, len(query.tokens)), dtype=np.float32)]
    for begin in range(0, len(candidates), PAGES):
        some = [tokens(among[position]) for position in candidates[begin : begin + PAGES].tolist()]
        maxima.append(kernel.maxima(query.tokens, some))
    return Parts(query.kinds, among, cosines, candidates, np.concatenate(maxima))


Value = TypeVar("Value", float, Floats)
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


def contributions(weights: Weights, pooled: Value, late: Value) -> tuple[Value, Value]:
    """Return λp · pooled and λl · late, the two parts of a score (paper, section 3), of one page or of many."""
    return weights.pooled * pooled, weights.late * late


def combined(weights: Weights, pooled: Value, late: Value | None = None) -> Value:
    """Return the score λp · pooled + λl · late, of one page or of many; λp · pooled if there is no late part."""
    if late is None:
        return weights.pooled * pooled
    by_pooled, by_late = contributions(weights, pooled, late)
    return by_pooled + by_late


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
        scores, late_scores = combined(weights, parts.pooled), known
    else:
        scores = combined(weights, parts.pooled[positions], late_scores)
    pages = listed(parts.pages)
    order = _order(pages, positions, (-scores.astype(np.float64)).round(TIE))
    hits = tuple(
        Hit(place, page, float(scores[row]), float(parts.pooled[positions[row]]), float(late_scores[row]))
        for place, row in enumerate(order[:top], start=1)
        for page in (pages[positions[row]],)
    )
    return SearchResult(method, hits, Ranks(pages, positions[order]), len(positions), len(pages))


def _order(pages: PageList, positions: Positions, rising: npt.NDArray[np.float64]) -> Positions:
    """(M,) rows of `positions` in the order of `rising`; those that tie stand in the order of their pages' ids."""
    by_id = pages.by_id if len(positions) == len(pages) else np.argsort(pages.standing[positions])
    return by_id[np.argsort(rising[by_id], kind="stable")]

"""Encodings -> parts -> scores -> rankings. One formula serves every method.

    pooled = z_q · z_c                                    cosine of the pooled vectors, [-1, 1]
    late   = mean over query tokens of max over page tokens of t_q · t_c        [-1, 1]
    score  = λp · pooled + λl · late                      (paper section 3; late is a sum under Reduce.SUM)

`parts` does all the reading and multiplying once; `rank` turns the same parts into any method's ranking. Nothing is
padded, so no page's score depends on its neighbours. All products accumulate in float32.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from smart_demo.listing import Listing, Positions, Ranks, listed
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

BLOCK = 2**24
"""Bytes of float32 codes multiplied at a time, whole pages together: one product over many pages instead of one a page,
since every product wakes all cores, and on busy ones waiting for them cost sixty times the arithmetic (measured)."""
TIE = 6
"""Scores that agree to this many decimals are ties: BLAS may differ in the seventh with a row's place in a matrix."""


def token_maxima(query: Floats, page: TokenCodes) -> Floats:
    """Best cosine of each query token among the page's tokens, (Q,).

    query: (Q, D) unit rows. With states t_j = μ + s·c_j and s > 0, max_j q·t_j = q·μ + s · max_j q·c_j, so the
    maximum runs on the stored codes and nothing is decoded (an identity, not an approximation).

    >>> q = np.eye(2, dtype=np.float32)
    >>> token_maxima(q, TokenCodes(np.array([[-1, 0]], dtype=np.float32))).tolist()   # a padded row would give 0
    [-1.0, 0.0]
    """
    maxima: Floats = _maxima(query, [page])[0]
    return maxima


def winners(query: Floats, page: TokenCodes) -> npt.NDArray[np.int64]:
    """Index of the page token that wins each query token, (Q,); the first of equals."""
    first: npt.NDArray[np.int64] = (query @ page.codes.astype(np.float32).T).argmax(axis=1)
    return first


def _maxima(query: Floats, pages: Sequence[TokenCodes]) -> Floats:
    """(M, Q) maxima of whole pages, in one product over all their tokens; M >= 1 and no page is empty."""
    ends = np.cumsum([len(page.codes) for page in pages])
    starts = np.concatenate([[0], ends[:-1]])
    rows = np.empty((ends[-1], query.shape[1]), dtype=np.float32)
    for page, start, end in zip(pages, starts, ends, strict=True):
        rows[start:end] = page.codes
    best = np.maximum.reduceat(query @ rows.T, starts, axis=1).T  # (M, Q) of the codes alone
    scales = np.array([page.scale for page in pages], dtype=np.float32)
    nowhere = np.zeros(query.shape[1], dtype=np.float32)
    means = np.stack([nowhere if page.mean is None else page.mean for page in pages])
    maxima: Floats = best * scales[:, None] + means @ query.T
    return maxima


def _groups(pages: Iterable[TokenCodes]) -> Iterator[list[TokenCodes]]:
    """Whole pages together, up to BLOCK bytes of float32 codes; a longer page is alone."""
    group: list[TokenCodes] = []
    size = 0
    for page in pages:
        if group and size + page.codes.size * 4 > BLOCK:
            yield group
            group, size = [], 0
        group.append(page)
        size += page.codes.size * 4
    if group:
        yield group


def parts(
    query: QueryEncoding,
    pages: Sequence[StoredPage],
    pooled: Floats,
    candidates: npt.NDArray[np.int64],
    tokens: Callable[[StoredPage], TokenCodes],
) -> Parts:
    """Everything the methods need of one query, in one pass over the candidates' token states.

    pooled: (N, P) unit rows of all visible pages, in the order of `pages`; candidates: (M,) rising positions.
    Errors of `tokens` (a damaged or removed page) pass through.
    """
    groups = _groups(tokens(pages[position]) for position in candidates)
    none = np.zeros((0, len(query.tokens)), dtype=np.float32)
    maxima = np.concatenate([none, *(_maxima(query.tokens, group) for group in groups)])
    cosines = (pooled @ query.pooled).astype(np.float32) if len(pages) else np.zeros(0, dtype=np.float32)
    return Parts(query.kinds, tuple(pages), cosines, candidates, maxima)


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
    pages = listed(parts.pages)
    order = _order(pages, positions, (-scores.astype(np.float64)).round(TIE))
    hits = tuple(
        Hit(place, page, float(scores[row]), float(parts.pooled[positions[row]]), float(late_scores[row]))
        for place, row in enumerate(order[:top], start=1)
        for page in (pages[positions[row]],)
    )
    return SearchResult(method, hits, Ranks(pages, positions[order]), len(positions), len(pages))


def _order(pages: Listing, positions: Positions, rising: npt.NDArray[np.float64]) -> Positions:
    """(M,) rows of `positions` in the order of `rising`; those that tie stand in the order of their pages' ids."""
    by_id = pages.by_id if len(positions) == len(pages) else np.argsort(pages.standing[positions])
    return by_id[np.argsort(rising[by_id], kind="stable")]

"""Score and rank pages for a query: the parts of every score, computed once, and the ranking of any method.

Ranking is exact arithmetic over the parts; it reads no token states.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from smart_demo.methods import Counted, Hit, Method, Parts, Reduce, SearchResult, TokenMaxima, Weights
from smart_demo.page_list import PageList, Positions, Ranks, as_page_list
from smart_demo.scoring import kernel
from smart_demo.types import Floats, QueryEncoding, StoredPage, TokenCodes, TokenKind, TokenSpace

BATCH_PAGES = 512
"""Pages whose token states are in use at a time: each may be a memory map with an open file."""
TIE_DECIMALS = 6
"""Scores equal to this many decimals are ties: BLAS may differ in the seventh with a row's position in a matrix."""
Value = TypeVar("Value", float, Floats)


def compute_parts(
    query: QueryEncoding,
    pages: Iterable[StoredPage],
    cosines: Floats,
    candidates: npt.NDArray[np.int64],
    tokens: Callable[[StoredPage, TokenSpace], TokenCodes],
    spaces: Collection[TokenSpace] = (TokenSpace.RAW,),
) -> Parts:
    """Return all that the methods need for one query, in one pass over the candidates' token states.

    cosines: (N,) of the pooled vectors of all visible pages, in the order of `pages`. candidates: (M,) ascending
    positions. tokens: loads a page's states in a space; its errors (a damaged or deleted page) pass through. spaces:
    those to score beside the raw one.
    """
    page_list = as_page_list(pages)

    def score(space: TokenSpace) -> TokenMaxima:
        own = query.in_space(space)
        maxima = [np.zeros((0, len(own.tokens)), dtype=np.float32)]
        for start in range(0, len(candidates), BATCH_PAGES):
            positions = candidates[start : start + BATCH_PAGES].tolist()
            maxima.append(kernel.maxima(own.tokens, [tokens(page_list[position], space) for position in positions]))
        return TokenMaxima(own.kinds, np.concatenate(maxima))

    others: dict[TokenSpace, TokenMaxima] = {
        space: score(space) for space in TokenSpace if space in spaces and space is not TokenSpace.RAW
    }
    return Parts(query.kinds, page_list, cosines, candidates, score(TokenSpace.RAW).maxima, others)


def late_scores(parts: Parts, weights: Weights) -> Floats:
    """Return (M,) late-interaction scores of the candidates, by the weights' reduction and choice of query tokens.

    If a query has no content tokens, all its tokens count.
    """
    kinds, maxima = parts.in_space(weights.space)
    counted = np.ones(len(kinds), dtype=bool)
    if weights.counted is Counted.CONTENT and (kinds == TokenKind.CONTENT).any():
        counted = kinds == TokenKind.CONTENT
    maxima = maxima[:, counted]  # a copy even if all count: its order in memory decides the last digit of a sum
    reduced: Floats = maxima.sum(axis=1) if weights.reduce is Reduce.SUM else maxima.mean(axis=1)
    return reduced


def contributions(weights: Weights, pooled: Value, late: Value) -> tuple[Value, Value]:
    """Return λp · pooled and λl · late, the two parts of a score (paper, section 3), of one page or of many."""
    return weights.pooled * pooled, weights.late * late


def combine(weights: Weights, pooled: Value, late: Value | None = None) -> Value:
    """Return the score λp · pooled + λl · late, of one page or of many; λp · pooled if there is no late part."""
    if late is None:
        return weights.pooled * pooled
    by_pooled, by_late = contributions(weights, pooled, late)
    return by_pooled + by_late


def rank(parts: Parts, method: Method, top: int) -> SearchResult:
    """Return one method's ranking with its `top` hits. Ties are in the order of page ids, whatever the input order.

    A method without a late part ranks all N visible pages, since their pooled cosines are exact; any other ranks the M
    candidates.
    """
    weights = method.weights
    positions, late = parts.candidates, late_scores(parts, weights)
    if weights.late == 0.0:
        positions = np.arange(len(parts.pages))
        known = np.full(len(parts.pages), np.nan, dtype=np.float32)
        known[parts.candidates] = late
        scores, late = combine(weights, parts.pooled), known
    else:
        scores = combine(weights, parts.pooled[positions], late)
    pages = as_page_list(parts.pages)
    order = _order(pages, positions, (-scores.astype(np.float64)).round(TIE_DECIMALS))
    hits = tuple(
        Hit(place, page, float(scores[row]), float(parts.pooled[positions[row]]), float(late[row]))
        for place, row in enumerate(order[:top], start=1)
        for page in (pages[positions[row]],)
    )
    return SearchResult(method, hits, Ranks(pages, positions[order]), len(positions), len(pages))


def _order(pages: PageList, positions: Positions, keys: npt.NDArray[np.float64]) -> Positions:
    """Return (M,) rows of `positions` sorted by `keys`, ties by page id."""
    id_order = pages.id_order if len(positions) == len(pages) else np.argsort(pages.id_ranks[positions])
    return id_order[np.argsort(keys[id_order], kind="stable")]

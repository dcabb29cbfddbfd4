"""One query and the pages it is asked of -> parts: all the reading and multiplying, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from smart_demo.scoring import kernel
from smart_demo.types import Floats, Parts, QueryEncoding, StoredPage, TokenCodes

PAGES = 512
"""Whose token states are held at a time: each may be a map with an open file."""


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
    cosines = (pooled @ query.pooled).astype(np.float32) if len(pages) else np.zeros(0, dtype=np.float32)
    maxima = gather(query, [pages[position] for position in candidates.tolist()], tokens)
    return Parts(query.kinds, tuple(pages), cosines, candidates, maxima)


def gather(
    query: QueryEncoding, candidates: Sequence[StoredPage], tokens: Callable[[StoredPage], TokenCodes]
) -> Floats:
    """(M, Q) best cosine of each query token on each candidate. Errors of `tokens` pass through."""
    maxima = [np.zeros((0, len(query.tokens)), dtype=np.float32)]
    for begin in range(0, len(candidates), PAGES):
        some = [tokens(page) for page in candidates[begin : begin + PAGES]]
        maxima.append(kernel.maxima(query.tokens, some))
    return np.concatenate(maxima)

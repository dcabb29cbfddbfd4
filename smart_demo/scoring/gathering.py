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
    wanted = [pages[position] for position in candidates.tolist()]
    maxima = [np.zeros((0, len(query.tokens)), dtype=np.float32)]
    for begin in range(0, len(wanted), PAGES):
        some = [tokens(page) for page in wanted[begin : begin + PAGES]]
        maxima.append(kernel.maxima(query.tokens, some))
    cosines = (pooled @ query.pooled).astype(np.float32) if len(pages) else np.zeros(0, dtype=np.float32)
    return Parts(query.kinds, tuple(pages), cosines, candidates, np.concatenate(maxima))

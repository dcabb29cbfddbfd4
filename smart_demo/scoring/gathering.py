"""One query and the pages it is asked of -> parts: all the reading and multiplying, once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import numpy.typing as npt

from smart_demo.page_list import listed
from smart_demo.scoring import kernel
from smart_demo.types import Floats, Parts, QueryEncoding, StoredPage, TokenCodes

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

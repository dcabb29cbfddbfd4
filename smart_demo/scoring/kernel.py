"""Per-token maxima of many pages, straight from their codes.

A page's states are t_j = μ + s·c_j with s > 0, so max_j q·t_j = q·μ + s · max_j q·c_j: the maximum runs on the stored
codes and nothing is decoded (an identity, not an approximation). Codes of 8 bits are multiplied by the query in 8 bits
(`quantised`), all others by the query as it is. Pages that lie one behind the other in memory are multiplied together
where they lie; the product's maxima are taken while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from smart_demo.scoring import gpu, int8, thread_pool
from smart_demo.scoring.int8 import Product, quantise
from smart_demo.types import Codes, Floats, TokenCodes

if TYPE_CHECKING:
    from torch import Tensor

SHARE = 40_000_000
"""Bytes of codes in one product, at most: what there is to do around it is some hundredths of it."""
RESULT = 2**26
"""Bytes of a product's result, at most: many queries may be asked together."""
SMALL = 2**20
"""Bytes of codes up to which numpy multiplies: loading torch takes a second, and so little is done in a blink."""


Query = npt.NDArray[np.float32] | npt.NDArray[np.int8]
"""(Q, D) rows that are multiplied by codes."""


class _Run(NamedTuple):
    """Pages one behind the other in memory: the rows of `codes` (T, D) from `starts` on belong to each."""

    codes: Codes
    starts: npt.NDArray[np.int64]


def token_maxima(query: Floats, page: TokenCodes) -> Floats:
    """Best cosine of each query token among the page's tokens, (Q,).

    query: (Q, D) unit rows.

    >>> q = np.eye(2, dtype=np.float32)
    >>> token_maxima(q, TokenCodes(np.array([[-1, 0]], dtype=np.float32))).tolist()   # a padded row would give 0
    [-1.0, 0.0]
    """
    best: Floats = maxima(query, [page])[0]
    return best


def cosines(query: Floats, page: TokenCodes) -> Floats:
    """(Q, T) cosines whose maxima are `token_maxima`: what is looked at token by token is what was scored."""
    codes = page.codes.astype(np.float32)
    if page.codes.dtype == np.int8:
        asked, scales = quantise(query)
        found = (asked.astype(np.float32) @ codes.T) * (scales[:, None] * np.float32(page.scale))
    else:
        found = (query @ codes.T) * np.float32(page.scale)
    result: Floats = found if page.mean is None else found + (query @ page.mean)[:, None]
    return result


def maxima(query: Floats, pages: Sequence[TokenCodes]) -> Floats:
    """(M, Q) maxima of pages of one width, each of one token or more. ValueError for a page without tokens.

    query: (Q, D). Safe for threads; reads the codes where they lie and writes nowhere.
    """
    best = np.empty((len(pages), len(query)), dtype=np.float32)
    if not pages:
        return best
    if not all(len(page.codes) for page in pages):
        raise ValueError("a page without token states has no maximum")
    scales = np.array([page.scale for page in pages], dtype=np.float32)
    small = np.array([page.codes.dtype == np.int8 for page in pages])
    for rows, asked, steps in _forms(query, small):
        some = [pages[row] for row in rows]
        best[rows] = _best(asked, some) * (steps * scales[rows, None])
    centred = [at for at, page in enumerate(pages) if page.mean is not None]
    if centred:
        best[centred] += np.stack([mean for page in pages if (mean := page.mean) is not None]) @ query.T
    return best


def _forms(query: Floats, small: npt.NDArray[np.bool_]) -> Iterator[tuple[npt.NDArray[np.int64], Query, Floats]]:
    """Which pages are asked by the query in 8 bits and which as it is: their rows, the query, and its rows' steps."""
    if small.any():
        yield np.flatnonzero(small), *quantise(query)
    if not small.all():
        yield np.flatnonzero(~small), query, np.ones(len(query), dtype=np.float32)


def _best(query: Query, pages: Sequence[TokenCodes]) -> Floats:
    """(M, Q) largest dot product of each query row among the codes of each page."""
    total = sum(page.codes.nbytes for page in pages)
    if total > gpu.WORTH and (states := gpu.of_this_machine()):
        with suppress(gpu.full()):
            return states.best(query.astype(np.float32), pages)
    share = _share(total, pages[0].codes.strides[0], query)
    if total <= SMALL:
        return np.concatenate([_by_numpy(query, run) for run in _runs(pages, share)])
    product = int8.choice(query.shape[1]).product if query.dtype == np.int8 else Product.FLOAT32
    # The query is prepared there as well: the cores that torch takes for it here would go on turning for a while.
    ready = thread_pool.alone(lambda: int8.asked(product, query))
    tasks = _tasks(list(_runs(pages, share)), share)
    asked = ready.result()
    found = thread_pool.spread(lambda some: [asked.best(_shared(run.codes), run.starts) for run in some], tasks)
    return np.concatenate(list(chain.from_iterable(found)))


def _share(total: int, row: int, query: Query) -> int:
    """Bytes of one product of so many, in rows of so many: all cores have equally many, none more than SHARE, and none
    with a result of more than RESULT.
    """
    most = min(SHARE, RESULT // 4 // len(query) * row) if len(query) else SHARE
    rounds = -(-total // (max(1, most) * thread_pool.count()))
    return -(-total // (rounds * thread_pool.count()))


def _runs(pages: Sequence[TokenCodes], most: int) -> Iterator[_Run]:
    """Pages as they lie in memory, up to about `most` bytes together; a longer page is alone."""
    first = 0
    while first < len(pages):
        codes = pages[first].codes
        base, begin = codes.base, _place(codes)
        starts, end, last = [0], len(codes), first + 1
        if begin is not None:
            row, place = codes.strides[0], _address(codes)
            while last < len(pages) and (end + len(pages[last].codes) // 2) * row <= most:
                more = pages[last].codes
                if more.base is not base or not _follows(more, codes, place + end * row):
                    break
                starts.append(end)
                end, last = end + len(more), last + 1
        if last > first + 1 and base is not None and begin is not None:
            codes = base[begin : begin + end]
        yield _Run(codes, np.array(starts))
        first = last


def _tasks(runs: Sequence[_Run], most: int) -> list[list[_Run]]:
    """Runs in order, about `most` bytes in each task: handing over a page costs a third of multiplying it."""
    tasks: list[list[_Run]] = [[]]
    size = 0
    for run in runs:
        if tasks[-1] and size + run.codes.nbytes // 2 > most:
            tasks.append([])
            size = 0
        tasks[-1].append(run)
        size += run.codes.nbytes
    return tasks


def _place(codes: Codes) -> int | None:
    """Which row of the array that it is a part of a page begins at; None where it is no rows of a matrix."""
    base = codes.base
    if not isinstance(base, np.ndarray) or base.ndim != 2 or base.shape[1] != codes.shape[1]:
        return None
    if base.dtype != codes.dtype or base.strides != codes.strides:
        return None
    row, within = divmod(_address(codes) - _address(base), base.strides[0])
    return None if within else row


def _follows(more: Codes, codes: Codes, place: int) -> bool:
    """Whether rows like those of `codes` begin at this place."""
    alike = more.dtype == codes.dtype and more.strides == codes.strides and more.shape[1] == codes.shape[1]
    return alike and _address(more) == place


def _address(codes: Codes) -> int:
    place: int = codes.__array_interface__["data"][0]
    return place


def _by_numpy(query: Query, run: _Run) -> Floats:
    """(M, Q) of pages one behind the other."""
    few: Floats = np.maximum.reduceat(query.astype(np.float32) @ run.codes.astype(np.float32).T, run.starts, axis=1)
    return few.T


def _shared(codes: Codes) -> Tensor:
    """The codes as torch sees them, where they lie. Mapped pages are copy-on-write, so that torch takes them; what
    nobody may write at all is copied.
    """
    import torch

    return torch.from_numpy(codes if codes.flags.writeable else codes.copy())

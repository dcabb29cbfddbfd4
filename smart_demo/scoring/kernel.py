"""MaxSim: the best cosine of each query token on each of many pages, straight from the stored codes.

A page's states are t_j = μ + s·c_j with s > 0, so max_j q·t_j = q·μ + s · max_j q·c_j: the maximum is taken over the
stored codes and nothing is decoded (an identity, not an approximation). 8-bit codes are multiplied by the query in 8
bits (`int8`), all others by the query itself. Pages that are adjacent in memory are multiplied together in place; the
product's maxima are taken while it is in the cache.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from smart_demo.config import core_count
from smart_demo.scoring import gpu, int8, thread_pool
from smart_demo.scoring.int8 import Product, quantise
from smart_demo.types import Codes, Floats, TokenCodes

if TYPE_CHECKING:
    from torch import Tensor

MAX_PRODUCT_BYTES = 40_000_000
"""Bytes of codes in one product: the overhead of each is then some hundredths of its time."""
MAX_RESULT_BYTES = 2**26
"""Bytes of one product's result: many queries may be multiplied together."""
MAX_NUMPY_BYTES = 2**20
"""Bytes of codes up to which numpy multiplies: loading torch takes a second, and this little work takes none."""

QueryRows = npt.NDArray[np.float32] | npt.NDArray[np.int8]
"""(Q, D) rows to multiply with codes."""


class _PageRun(NamedTuple):
    """Pages adjacent in memory: page i's rows of `codes` (T, D) begin at `starts[i]`."""

    codes: Codes
    starts: npt.NDArray[np.int64]


def token_maxima(query: Floats, page: TokenCodes) -> Floats:
    """Return the best cosine of each query token among the page's tokens, (Q,).

    query: (Q, D) unit rows.

    >>> q = np.eye(2, dtype=np.float32)
    >>> token_maxima(q, TokenCodes(np.array([[-1, 0]], dtype=np.float32))).tolist()   # a padded row would give 0
    [-1.0, 0.0]
    """
    best: Floats = maxima(query, [page])[0]
    return best


def cosines(query: Floats, page: TokenCodes) -> Floats:
    """Return (Q, T) cosines, whose row maxima are `token_maxima`, so that explanations show what was scored."""
    codes = page.codes.astype(np.float32)
    if page.codes.dtype == np.int8:
        rows, scales = quantise(query)
        dots = (rows.astype(np.float32) @ codes.T) * (scales[:, None] * np.float32(page.scale))
    else:
        dots = (query @ codes.T) * np.float32(page.scale)
    result: Floats = dots if page.mean is None else dots + (query @ page.mean)[:, None]
    return result


def maxima(query: Floats, pages: Sequence[TokenCodes]) -> Floats:
    """Return (M, Q) best cosines of each query token on each page.

    query: (Q, D). pages: of one width, each with one token or more; raises ValueError for a page without tokens. Safe
    for threads; reads the codes in place and writes nothing.
    """
    best = np.empty((len(pages), len(query)), dtype=np.float32)
    if not pages:
        return best
    if not all(len(page.codes) for page in pages):
        raise ValueError("a page without token states has no maximum")
    scales = np.array([page.scale for page in pages], dtype=np.float32)
    is_int8 = np.array([page.codes.dtype == np.int8 for page in pages])
    for rows, query_rows, query_scales in _query_forms(query, is_int8):
        selected = [pages[row] for row in rows]
        best[rows] = _dot_maxima(query_rows, selected) * (query_scales * scales[rows, None])
    centred = [row for row, page in enumerate(pages) if page.mean is not None]
    if centred:
        best[centred] += np.stack([mean for page in pages if (mean := page.mean) is not None]) @ query.T
    return best


def _query_forms(
    query: Floats, is_int8: npt.NDArray[np.bool_]
) -> Iterator[tuple[npt.NDArray[np.int64], QueryRows, Floats]]:
    """Yield (rows of the pages, query rows, query scales) for the 8-bit pages and for the others."""
    if is_int8.any():
        yield np.flatnonzero(is_int8), *quantise(query)
    if not is_int8.all():
        yield np.flatnonzero(~is_int8), query, np.ones(len(query), dtype=np.float32)


def _dot_maxima(query: QueryRows, pages: Sequence[TokenCodes]) -> Floats:
    """Return (M, Q): the largest dot product of each query row with the codes of each page."""
    total = sum(page.codes.nbytes for page in pages)
    if total > gpu.MIN_BYTES and (device := gpu.local_gpu()):
        with suppress(gpu.out_of_memory_error()):
            return device.maxima(query.astype(np.float32), pages)
    size = _product_bytes(total, pages[0].codes.strides[0], query)
    if total <= MAX_NUMPY_BYTES:
        return np.concatenate([_maxima_by_numpy(query, run) for run in _adjacent_pages(pages, size)])
    product = int8.product_for(query.shape[1]).product if query.dtype == np.int8 else Product.FLOAT32
    # On a pool thread: torch threads started from here would keep spinning on their cores for a while.
    future = thread_pool.submit(lambda: int8.prepare_query(product, query))
    tasks = _group_runs(list(_adjacent_pages(pages, size)), size)
    prepared = future.result()
    found = thread_pool.map_items(
        lambda runs: [prepared.maxima(_as_tensor(run.codes), run.starts) for run in runs], tasks
    )
    return np.concatenate(list(chain.from_iterable(found)))


def _product_bytes(total: int, row_bytes: int, query: QueryRows) -> int:
    """Return the bytes of codes per product, out of `total`, in rows of `row_bytes`.

    All cores get equal shares, within MAX_PRODUCT_BYTES of codes and MAX_RESULT_BYTES of results.
    """
    most = min(MAX_PRODUCT_BYTES, MAX_RESULT_BYTES // 4 // len(query) * row_bytes) if len(query) else MAX_PRODUCT_BYTES
    rounds = -(-total // (max(1, most) * core_count()))
    return -(-total // (rounds * core_count()))


def _adjacent_pages(pages: Sequence[TokenCodes], max_bytes: int) -> Iterator[_PageRun]:
    """Yield runs of pages adjacent in memory, each about `max_bytes` or less; a longer page is a run alone."""
    first = 0
    while first < len(pages):
        codes = pages[first].codes
        base, base_row = codes.base, _first_row(codes)
        starts, end, last = [0], len(codes), first + 1
        if base_row is not None:
            row_bytes, address = codes.strides[0], _address(codes)
            while last < len(pages) and (end + len(pages[last].codes) // 2) * row_bytes <= max_bytes:
                following = pages[last].codes
                if following.base is not base or not _continues_at(following, codes, address + end * row_bytes):
                    break
                starts.append(end)
                end, last = end + len(following), last + 1
        if last > first + 1 and base is not None and base_row is not None:
            codes = base[base_row : base_row + end]
        yield _PageRun(codes, np.array(starts))
        first = last


def _group_runs(runs: Sequence[_PageRun], max_bytes: int) -> list[list[_PageRun]]:
    """Group runs in order into tasks of about `max_bytes`: handing over a page costs a third of multiplying it."""
    tasks: list[list[_PageRun]] = [[]]
    size = 0
    for run in runs:
        if tasks[-1] and size + run.codes.nbytes // 2 > max_bytes:
            tasks.append([])
            size = 0
        tasks[-1].append(run)
        size += run.codes.nbytes
    return tasks


def _first_row(codes: Codes) -> int | None:
    """Return the row of the base array at which the codes begin, or None if they are not whole rows of a matrix."""
    base = codes.base
    if not isinstance(base, np.ndarray) or base.ndim != 2 or base.shape[1] != codes.shape[1]:
        return None
    if base.dtype != codes.dtype or base.strides != codes.strides:
        return None
    row, remainder = divmod(_address(codes) - _address(base), base.strides[0])
    return None if remainder else row


def _continues_at(following: Codes, codes: Codes, address: int) -> bool:
    """Return True if `following` has the same layout as `codes` and begins at the address."""
    same_layout = (
        following.dtype == codes.dtype and following.strides == codes.strides and following.shape[1] == codes.shape[1]
    )
    return same_layout and _address(following) == address


def _address(codes: Codes) -> int:
    address: int = codes.__array_interface__["data"][0]
    return address


def _maxima_by_numpy(query: QueryRows, run: _PageRun) -> Floats:
    """Return (M, Q) maxima of a run's pages."""
    dots = query.astype(np.float32) @ run.codes.astype(np.float32).T
    best: Floats = np.maximum.reduceat(dots, run.starts, axis=1)
    return best.T


def _as_tensor(codes: Codes) -> Tensor:
    """Return the codes as a tensor, in place if they are writable.

    Mapped pages are copy-on-write, so they are writable. Read-only codes are copied, because torch rejects them.
    """
    import torch

    return torch.from_numpy(codes if codes.flags.writeable else codes.copy())

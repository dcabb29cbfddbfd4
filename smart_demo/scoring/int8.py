"""Queries in 8 bits, and the fastest exact product of int8 codes on this machine.

Query row i becomes scale_i · codes_i, with an error of at most scale_i / 2 per coordinate. Pages that are stored in 8
bits are scored with it, so all products are sums of small integers: exact in any implementation and any order. For page
states x_j = μ + s·c_j the term q·μ uses the exact query, so a cosine's error is at most
|q_i - scale_i · codes_i| · |x_j - μ|: about 1e-4 on states of trained models, without bias.

The product is chosen once per width by measuring. torch multiplies int8 directly if the processor can (VNNI, AMX); on
other processors that is slow or, without VNNI, wrong (pytorch #136746), and the same integers are multiplied in
float32. So every choice gives the same numbers, and a wrong choice on a busy machine costs only time. `_int_mm` first
copies both sides into its own order. The function that torch's compiler uses for quantised layers takes the codes in
place once the query is packed, but it is not public: if it is missing it is not chosen. Codes first or query first
differ by up to a third, and which is faster depends on the width, so that is measured too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from smart_demo.scoring import gpu, thread_pool
from smart_demo.types import Floats

if TYPE_CHECKING:
    from torch import Tensor

MAX_CODE = 127
SAMPLE_BYTES = 2**23
"""Bytes of codes multiplied per measurement; more than a core's cache holds."""
SAMPLE_PAGE_TOKENS = 512
SAMPLE_QUERY_TOKENS = 32
ROUNDS = 5
"""Measurements after a first one. The fastest counts, since other processes may run."""
ENOUGH_SECONDS = 0.3
"""Total time after which a product is not measured again: it is slow."""
FEW_TOKENS, MAX_SAMPLE_SECONDS = 64, 1.0
"""Tokens of the first look at a product, and the estimate from which no run over the whole sample is made."""
EXACT_CHECK_TOKENS = 2_048
"""Page tokens on which a product is compared with exact arithmetic."""
CONVERT_TOKENS = 2_048
"""Codes converted to float32 at once, in tokens: few enough to stay in the cache until they are multiplied."""
PACK_MULTIPLE = 16
"""Rows of a packed query are padded to a multiple of this; taking the maxima is slow at any other count."""


class QuantisedQuery(NamedTuple):
    """A query's Q rows in 8 bits."""

    codes: npt.NDArray[np.int8]
    """(Q, D) within ±127: -128 has no opposite, which some processors get wrong."""
    scales: Floats
    """(Q,), 0 for a row of zeros."""


def quantise(query: Floats) -> QuantisedQuery:
    """Return (Q, D) finite rows in 8 bits, each with its own scale, so no row depends on the others.

    >>> quantise(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32)).codes.tolist()
    [[64, -127], [0, 0]]
    """
    scales = (np.abs(query).max(axis=1, initial=0.0) / MAX_CODE).astype(np.float32)
    divisors = np.where(scales >= np.finfo(np.float32).tiny, scales, np.float32(1))
    codes = np.clip(np.rint(query / divisors[:, None]), -MAX_CODE, MAX_CODE).astype(np.int8)
    return QuantisedQuery(codes, scales)


class Product(StrEnum):
    """Ways to multiply int8 codes (T, D) with an int8 query (Q, D)."""

    PACKED = "codes times packed query"
    """Int8 products as (T, Q) float32: exact up to 2^24, rounded like any float32 beyond."""
    QUERY_FIRST = "query times codes"
    """Int8 products as (Q, T)."""
    CODES_FIRST = "codes times query"
    """Int8 products as (T, Q)."""
    FLOAT32 = "float32"
    """The same integers in float32, as (Q, T)."""


@dataclass(frozen=True, slots=True)
class ProductChoice:
    """The product in use for one width, and why."""

    product: Product
    reason: str


class PreparedQuery(NamedTuple):
    """A query in the form that one product needs."""

    multiply: Callable[[Tensor], Tensor]
    """Function from codes (T, D) to dot products, (Q, T) or (T, Q). Rows after the query's own are meaningless."""
    tokens_first: bool
    """True if the dot products are (T, Q)."""
    rows: int
    """Rows of the query, Q."""

    def maxima(self, codes: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
        """Return (M, Q) maxima of pages whose rows of `codes` (T, D) begin at `starts`."""
        dots = self.multiply(codes)
        return _maxima_of_columns(dots, starts)[:, : self.rows] if self.tokens_first else _maxima_of_rows(dots, starts)


_choices: dict[int, ProductChoice] = {}
_measuring = threading.Lock()


def product_for(width: int) -> ProductChoice:
    """Return the product for int8 codes of `width` coordinates. The first call per width measures for some 0.3 s."""
    if (choice := _choices.get(width)) is None:
        with _measuring:
            choice = _choices.get(width) or _choices.setdefault(
                width, thread_pool.submit(lambda: measure_products(width)).result()
            )
    return choice


def product_reason(width: int) -> str:
    """Return a text on the product in use and why, for the operator."""
    return gpu.product_reason() or product_for(width).reason


def measure_products(width: int) -> ProductChoice:
    """Measure every product on random codes of this width and return the fastest exact one."""
    import torch

    rng = np.random.default_rng(width)
    tokens = max(SAMPLE_PAGE_TOKENS, SAMPLE_BYTES // width)
    codes = torch.from_numpy(rng.integers(-127, 128, (tokens, width), dtype=np.int8))
    query = rng.integers(-127, 128, (SAMPLE_QUERY_TOKENS, width), dtype=np.int8)
    codes[:8], query[:2] = 127, -127  # the largest possible sums, so that saturation shows
    codes[8:16] = -127
    starts = np.arange(0, len(codes), SAMPLE_PAGE_TOKENS)
    seconds, exact = {}, {Product.FLOAT32}
    for product in Product:
        try:
            prepared = prepare_query(product, query)
            seconds[product] = _measure_seconds(prepared, codes, starts)
            if product is not Product.FLOAT32 and _is_exact(prepared, query, codes):
                exact.add(product)
        except (AttributeError, RuntimeError, TypeError):  # this torch or this processor lacks the product
            continue
    return pick_product(seconds, exact)


def pick_product(seconds: dict[Product, float], exact: set[Product]) -> ProductChoice:
    """Return the fastest of the exact products, with the reason. seconds: measured time of each product."""
    best = min(exact, key=lambda product: seconds[product])
    int8_products = [product for product in seconds if product is not Product.FLOAT32]
    if best is not Product.FLOAT32:
        gain = seconds[Product.FLOAT32] / seconds[best]
        return ProductChoice(best, f"int8 products, {best} (exact here, {gain:.1f} x faster than float32)")
    if not exact.intersection(int8_products):
        return ProductChoice(best, "float32 products of the 8-bit codes (int8 products are not exact here)")
    gain = min(seconds[product] for product in int8_products) / seconds[best]
    return ProductChoice(best, f"float32 products of the 8-bit codes ({gain:.1f} x faster here than int8 products)")


def prepare_query(product: Product, query: npt.NDArray[np.int8] | Floats) -> PreparedQuery:
    """Return a query (Q, D) ready to multiply codes of its width.

    The int8 products need an int8 query and int8 codes; FLOAT32 takes any.
    """
    import torch

    rows = torch.from_numpy(np.ascontiguousarray(query))
    if product is Product.PACKED:
        return PreparedQuery(_multiply_packed(rows), tokens_first=True, rows=len(rows))
    if product is Product.CODES_FIRST:
        columns = rows.t().contiguous()
        return PreparedQuery(lambda codes: torch._int_mm(codes, columns), tokens_first=True, rows=len(rows))
    if product is Product.QUERY_FIRST:
        return PreparedQuery(lambda codes: torch._int_mm(rows, codes.t()), tokens_first=False, rows=len(rows))
    wide = rows.float()
    return PreparedQuery(lambda codes: _multiply_float32(wide, codes), tokens_first=False, rows=len(rows))


def _multiply_packed(query: Tensor) -> Callable[[Tensor], Tensor]:
    """Pack the query and return the function that multiplies codes with it."""
    import torch

    padded = torch.nn.functional.pad(query, (0, 0, 0, -len(query) % PACK_MULTIPLE))
    packed = torch.ops.onednn.qlinear_prepack(padded, None)
    ones, zeros = torch.ones(len(padded)), torch.zeros(len(padded), dtype=torch.int64)
    multiply = torch.ops.onednn.qlinear_pointwise
    return lambda codes: multiply(codes, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")


def _multiply_float32(query: Tensor, codes: Tensor) -> Tensor:
    """Return (Q, T) dot products; codes of another type are converted to float32 in blocks, in one buffer."""
    import torch

    if codes.dtype == torch.float32:
        return query @ codes.t()
    dots, buffer = torch.empty((len(query), len(codes))), torch.empty((min(CONVERT_TOKENS, len(codes)), codes.shape[1]))
    for start in range(0, len(codes), CONVERT_TOKENS):
        block = codes[start : start + CONVERT_TOKENS]
        wide = buffer[: len(block)].copy_(block)
        dots[:, start : start + len(block)] = query @ wide.t()
    return dots


def _is_exact(query: PreparedQuery, rows: npt.NDArray[np.int8], codes: Tensor) -> bool:
    import torch

    block = codes[:EXACT_CHECK_TOKENS]
    dots = query.multiply(block).double()
    dots = dots[:, : query.rows].t() if query.tokens_first else dots
    return bool((dots == torch.from_numpy(rows).double() @ block.double().t()).all())


def _measure_seconds(query: PreparedQuery, codes: Tensor, starts: npt.NDArray[np.int64]) -> float:
    """Return the seconds of the fastest of a few runs.

    A product that a few tokens show to be slow is estimated from them. Without AMX torch's packed product takes 8.4 s
    for the whole sample (measured on AVX-512 VNNI), for which the first search would wait.
    """
    few = codes[:FEW_TOKENS]
    estimate = min(_time_run(query, few, starts[:1]) for _ in range(3)) * len(codes) / len(few)
    if estimate > MAX_SAMPLE_SECONDS:
        return estimate
    measured: list[float] = []
    while len(measured) < 1 + ROUNDS and sum(measured) < ENOUGH_SECONDS:
        measured.append(_time_run(query, codes, starts))
    return min(measured)


def _time_run(query: PreparedQuery, codes: Tensor, starts: npt.NDArray[np.int64]) -> float:
    started = time.perf_counter()
    query.maxima(codes, starts)
    return time.perf_counter() - started


def _maxima_of_rows(dots: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
    """Return (M, Q) from (Q, T). In this order numpy takes a tenth of the time of torch's segment reductions."""
    maxima: Floats = np.maximum.reduceat(dots.numpy(), starts, axis=1).T.astype(np.float32)
    return maxima


def _maxima_of_columns(dots: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
    """Return (M, Q) from (T, Q).

    Pages of equal length are reduced in one call, which takes a third of the time of one call per page.
    """
    import torch

    if len(starts) == 1:
        single: Floats = dots.amax(0, keepdim=True).numpy().astype(np.float32, copy=False)
        return single
    lengths = np.diff(starts, append=len(dots)).tolist()
    if min(lengths) == max(lengths):
        found = dots.view(len(lengths), lengths[0], dots.shape[1]).amax(1)
    else:
        found = torch.stack([page.amax(0) for page in torch.split(dots, lengths)])
    maxima: Floats = found.numpy().astype(np.float32, copy=False)
    return maxima

"""A query in 8 bits: row i is scale_i · codes_i, off by at most scale_i / 2 in a coordinate.

Pages that are stored in 8 bits are asked by it, so that products are of small integers: exact whatever multiplies
them, in whatever order. Against page states x_j = μ + s·c_j the term q·μ keeps the exact query, so a cosine is off by
at most |q_i - scale_i · codes_i| · |x_j - μ|, on states of trained models by about 1e-4 and without a side to it.

How stored codes are multiplied on this machine: one choice per width, measured once, with its reason in words.

int8 codes times an int8 query are exact sums of integers. torch multiplies them directly where the processor can
(VNNI, AMX); elsewhere that is slow or, without VNNI, wrong (pytorch #136746), and the same integers are multiplied in
float32. So every choice gives the same numbers, and a wrong guess under load costs time alone. `_int_mm` copies both
sides into an order of its own; what torch's compiler multiplies quantised layers by takes the codes as they lie, once
the query is packed, but is no public name: where it is missing it is not chosen. Which side the codes stand on decides
by as much as a third, and not the same way at every width, so that is measured too.
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

from smart_demo.scoring import thread_pool
from smart_demo.types import Floats

STEPS = 127


class Quantised(NamedTuple):
    """Q rows of a query."""

    codes: npt.NDArray[np.int8]
    """(Q, D) within ±127: -128 has no opposite, which some processors stumble over."""
    scales: Floats
    """(Q,), 0 for a row of zeros."""


def quantise(query: Floats) -> Quantised:
    """(Q, D) finite rows in 8 bits, each by its own scale: no row depends on the others.

    >>> quantise(np.array([[0.5, -1.0], [0.0, 0.0]], np.float32)).codes.tolist()
    [[64, -127], [0, 0]]
    """
    scales = (np.abs(query).max(axis=1, initial=0.0) / STEPS).astype(np.float32)
    steps = np.where(scales >= np.finfo(np.float32).tiny, scales, np.float32(1))
    codes = np.clip(np.rint(query / steps[:, None]), -STEPS, STEPS).astype(np.int8)
    return Quantised(codes, scales)


if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 2**23
"""Bytes of codes that are multiplied to find out, more than stay close to a core, in pages of"""
PAGE = 512
"""tokens, by"""
SAMPLE_QUERY = 32
"""query tokens,"""
ROUNDS = 5
"""so many times after a first one; the best counts, since others may be at work. Whatever takes"""
ENOUGH = 0.3
"""seconds is slow enough to know."""
EXACT = 2_048
"""Tokens on which a product is proven."""
CONVERTED = 2_048
"""Tokens converted to float32 at a time, where codes have to be: they are still in the cache when they are read."""
PACK = 16
"""Rows of the packed query are a multiple of: what reduces the product is slow at any other number."""


class Product(StrEnum):
    """What multiplies int8 codes (T, D) and an int8 query (Q, D)."""

    PACKED = "codes times packed query"
    """int8, giving (T, Q) float32: exact up to 2^24, rounded like any float32 beyond"""
    QUERY_FIRST = "query times codes"
    """int8, giving (Q, T)"""
    CODES_FIRST = "codes times query"
    """int8, giving (T, Q)"""
    FLOAT32 = "float32"
    """The same integers in float32, giving (Q, T)"""


@dataclass(frozen=True, slots=True)
class ProductChoice:
    """The product in use for one width, and why."""

    product: Product
    reason: str


class PreparedQuery(NamedTuple):
    """A query that is ready to be multiplied."""

    multiply: Callable[[Tensor], Tensor]
    """Codes (T, D) -> dot products, (Q, T) or (T, Q) with rows after the query's own that mean nothing."""
    tokens_first: bool
    rows: int
    """Of the query, Q."""

    def best(self, codes: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
        """(M, Q) maxima of pages whose rows of `codes` (T, D) begin at `starts`."""
        dots = self.multiply(codes)
        return _columns(dots, starts)[:, : self.rows] if self.tokens_first else _segments(dots, starts)


_known: dict[int, ProductChoice] = {}
_measuring = threading.Lock()


def choice(width: int) -> ProductChoice:
    """What multiplies int8 codes of `width` coordinates here. The first call for a width measures for some 0.3 s."""
    if (known := _known.get(width)) is None:
        with _measuring:
            known = _known.get(width) or _known.setdefault(width, thread_pool.alone(lambda: choose(width)).result())
    return known


def reason(width: int) -> str:
    """The choice in words, for people who look after the machine."""
    from smart_demo.scoring import gpu

    return gpu.reason() or choice(width).reason


def choose(width: int) -> ProductChoice:
    """Measure every product on random codes of this width."""
    import torch

    rng = np.random.default_rng(width)
    codes = torch.from_numpy(rng.integers(-127, 128, (max(PAGE, SAMPLE // width), width), dtype=np.int8))
    query = rng.integers(-127, 128, (SAMPLE_QUERY, width), dtype=np.int8)
    codes[:8], query[:2] = 127, -127  # the largest sums there are: where they saturate it shows
    codes[8:16] = -127
    pages = np.arange(0, len(codes), PAGE)
    took, exact = {}, {Product.FLOAT32}
    for product in Product:
        try:
            ready = asked(product, query)
            took[product] = _seconds(ready, codes, pages)
            if product is not Product.FLOAT32 and _is_exact(ready, query, codes):
                exact.add(product)
        except (AttributeError, RuntimeError, TypeError):  # this torch, or this processor, does not have it
            continue
    return decide(took, exact)


def decide(took: dict[Product, float], exact: set[Product]) -> ProductChoice:
    """The fastest of the exact products, by seconds each took."""
    best = min(exact, key=lambda product: took[product])
    ints = [product for product in took if product is not Product.FLOAT32]
    if best is not Product.FLOAT32:
        gain = took[Product.FLOAT32] / took[best]
        return ProductChoice(best, f"int8 products, {best} (exact here, {gain:.1f} x faster than float32)")
    if not exact.intersection(ints):
        return ProductChoice(best, "float32 products of the 8-bit codes (int8 products are not exact here)")
    gain = min(took[product] for product in ints) / took[best]
    return ProductChoice(best, f"float32 products of the 8-bit codes ({gain:.1f} x faster here than int8 products)")


def asked(product: Product, query: npt.NDArray[np.int8] | Floats) -> PreparedQuery:
    """A query (Q, D), ready for codes of its width: in 8 bits for codes in 8 bits, and for any codes by FLOAT32."""
    import torch

    rows = torch.from_numpy(np.ascontiguousarray(query))
    if product is Product.PACKED:
        return PreparedQuery(_by_packed(rows), tokens_first=True, rows=len(rows))
    if product is Product.CODES_FIRST:
        across = rows.t().contiguous()
        return PreparedQuery(lambda codes: torch._int_mm(codes, across), tokens_first=True, rows=len(rows))
    if product is Product.QUERY_FIRST:
        return PreparedQuery(lambda codes: torch._int_mm(rows, codes.t()), tokens_first=False, rows=len(rows))
    wide = rows.float()
    return PreparedQuery(lambda codes: _by_float32(wide, codes), tokens_first=False, rows=len(rows))


def _by_packed(query: Tensor) -> Callable[[Tensor], Tensor]:
    import torch

    padded = torch.nn.functional.pad(query, (0, 0, 0, -len(query) % PACK))
    packed = torch.ops.onednn.qlinear_prepack(padded, None)
    ones, zeros = torch.ones(len(padded)), torch.zeros(len(padded), dtype=torch.int64)
    multiply = torch.ops.onednn.qlinear_pointwise
    return lambda codes: multiply(codes, 1.0, 0, packed, ones, zeros, None, 1.0, 0, torch.float32, "none", [], "")


def _by_float32(query: Tensor, codes: Tensor) -> Tensor:
    """(Q, T) of codes that become float32 first, where they are not, by blocks in one buffer."""
    import torch

    if codes.dtype == torch.float32:
        return query @ codes.t()
    dots, buffer = torch.empty((len(query), len(codes))), torch.empty((min(CONVERTED, len(codes)), codes.shape[1]))
    for begin in range(0, len(codes), CONVERTED):
        some = codes[begin : begin + CONVERTED]
        wide = buffer[: len(some)].copy_(some)
        dots[:, begin : begin + len(some)] = query @ wide.t()
    return dots


def _is_exact(query: PreparedQuery, rows: npt.NDArray[np.int8], codes: Tensor) -> bool:
    import torch

    few = codes[:EXACT]
    found = query.multiply(few).double()
    found = found[:, : query.rows].t() if query.tokens_first else found
    return bool((found == torch.from_numpy(rows).double() @ few.double().t()).all())


def _seconds(query: PreparedQuery, codes: Tensor, starts: npt.NDArray[np.int64]) -> float:
    took: list[float] = []
    while len(took) < 1 + ROUNDS and sum(took) < ENOUGH:
        begun = time.perf_counter()
        query.best(codes, starts)
        took.append(time.perf_counter() - begun)
    return min(took)


def _segments(dots: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
    """(M, Q) from (Q, T). This way round it takes a tenth of the time of torch's own reductions over segments."""
    found: Floats = np.maximum.reduceat(dots.numpy(), starts, axis=1).T.astype(np.float32)
    return found


def _columns(dots: Tensor, starts: npt.NDArray[np.int64]) -> Floats:
    """(M, Q) from (T, Q): all pages in one call where they are equally long, which takes a third of the time of one
    call for each.
    """
    import torch

    if len(starts) == 1:
        alone: Floats = dots.amax(0, keepdim=True).numpy().astype(np.float32, copy=False)
        return alone
    lengths = np.diff(starts, append=len(dots)).tolist()
    if min(lengths) == max(lengths):
        found = dots.view(len(lengths), lengths[0], dots.shape[1]).amax(1)
    else:
        found = torch.stack([page.amax(0) for page in torch.split(dots, lengths)])
    best: Floats = found.numpy().astype(np.float32, copy=False)
    return best

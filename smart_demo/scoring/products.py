"""How stored codes are multiplied on this machine: one choice per width, measured once, with its reason in words.

int8 codes times an int8 query are exact sums of integers. torch multiplies them directly where the processor can
(VNNI, AMX); elsewhere that is slow or, without VNNI, wrong (pytorch #136746), and the same integers are multiplied in
float32. So every choice gives the same numbers, and a wrong guess under load costs time alone. Which side of the
product the codes stand on decides by as much as a third, and not the same way at every width, so that is measured too.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import Tensor

SAMPLE = 2_048
"""Tokens that are multiplied to find out, by"""
SAMPLE_QUERY = 32
"""query tokens,"""
ROUNDS = 3
"""so many times after a first one; the best counts, since others may be at work."""


class Product(StrEnum):
    """What multiplies int8 codes (T, D) and an int8 query (Q, D)."""

    QUERY_FIRST = "query times codes"
    """int8, giving (Q, T)"""
    CODES_FIRST = "codes times query"
    """int8, giving (T, Q)"""
    FLOAT32 = "float32"
    """The same integers in float32, giving (Q, T)"""


@dataclass(frozen=True, slots=True)
class Choice:
    """The product in use for one width, and why."""

    product: Product
    reason: str


_known: dict[int, Choice] = {}
_measuring = threading.Lock()


def choice(width: int) -> Choice:
    """What multiplies int8 codes of `width` coordinates here. The first call for a width measures for some 20 ms."""
    if (known := _known.get(width)) is None:
        with _measuring:
            known = _known.get(width) or _known.setdefault(width, choose(width))
    return known


def reason(width: int) -> str:
    """The choice in words, for people who look after the machine."""
    from smart_demo.scoring import device

    return device.reason() or choice(width).reason


def choose(width: int) -> Choice:
    """Measure every product on random codes of this width."""
    import torch

    rng = np.random.default_rng(width)
    codes = torch.from_numpy(rng.integers(-127, 128, (SAMPLE, width), dtype=np.int8))
    query = torch.from_numpy(rng.integers(-127, 128, (SAMPLE_QUERY, width), dtype=np.int8))
    codes[:8], query[:2] = 127, -127  # the largest sums there are: where they saturate it shows
    codes[8:16] = -127
    took = {product: _seconds(partial(multiply, product, query, codes)) for product in Product}
    exact = {p for p in took if p is Product.FLOAT32 or _is_exact(p, query, codes)}
    return decide(took, exact)


def decide(took: dict[Product, float], exact: set[Product]) -> Choice:
    """The fastest of the exact products, by seconds each took."""
    best = min(exact, key=lambda product: took[product])
    ints = [product for product in took if product is not Product.FLOAT32]
    if best is not Product.FLOAT32:
        gain = took[Product.FLOAT32] / took[best]
        return Choice(best, f"int8 products, {best} (exact here, {gain:.1f} x faster than float32)")
    if not exact.intersection(ints):
        return Choice(best, "float32 products of the 8-bit codes (int8 products are not exact here)")
    gain = min(took[product] for product in ints) / took[best]
    return Choice(best, f"float32 products of the 8-bit codes ({gain:.1f} x faster here than int8 products)")


def multiply(product: Product, query: Tensor, codes: Tensor) -> Tensor:
    """Dot products of int8 query (Q, D) and codes (T, D): (Q, T) or (T, Q) int32, or (Q, T) float32."""
    import torch

    if product is Product.QUERY_FIRST:
        return torch._int_mm(query, codes.t())
    if product is Product.CODES_FIRST:
        return torch._int_mm(codes, query.t())
    return query.float() @ codes.float().t()


def _is_exact(product: Product, query: Tensor, codes: Tensor) -> bool:
    few = codes[:64]
    found = multiply(product, query, few)
    right = query.double() @ few.double().t()
    return bool((found.double() == (right if product is Product.QUERY_FIRST else right.t())).all())


def _seconds(run: Callable[[], object]) -> float:
    run()
    took = []
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        run()
        took.append(time.perf_counter() - begun)
    return min(took)

"""A pool with one thread per core, each of which multiplies alone.

A product that is split over cores ends when the slowest core does, and on a busy machine that core is often taken away:
consecutive products then took eight times as long as products that share nothing (measured beside other work, two
cores). Simultaneous searches share these threads instead of each using every core.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from smart_demo.config import core_count

Item = TypeVar("Item")
Result = TypeVar("Result")


def map_items(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Run `work` on each item in the pool and return the results in order. Raises the first error.

    `work` must not call this itself.
    """
    if len(items) < 2:
        return [work(item) for item in items]
    return list(_pool().map(work, items))


def submit(work: Callable[[], Result]) -> Future[Result]:
    """Run `work` on a pool thread and return its future, so timings match real queries."""
    return _pool().submit(work)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(core_count(), "scoring", initializer=_limit_to_one_core)


def _limit_to_one_core() -> None:
    """Limit this thread's products to one core; torch's own setting would change every thread."""
    import torch
    from threadpoolctl import ThreadpoolController

    torch.get_num_threads()  # otherwise torch sets this thread's count again at its first product
    ThreadpoolController().select(user_api="openmp").limit(limits=1)

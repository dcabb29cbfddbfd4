"""A pool with one thread per core, each of which multiplies alone.

A product that is split over cores ends when the slowest core does, and on a busy machine that core is often taken away:
consecutive products then took eight times as long as products that share nothing (measured beside other work, two
cores). Simultaneous searches share these threads instead of each using every core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

QUOTA_FILE = Path("/sys/fs/cgroup/cpu.max")
"""A container's CPU time per period and the period, in microseconds."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def core_count() -> int:
    """Return the number of cores that this process may use.

    A container often gets fewer than its machine has, and more threads than that only stop each other.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA_FILE.read_text(encoding="ascii").split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a quota: "max"
        return cores


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

"""One thread for each core, each of which multiplies alone.

A product that is divided among cores waits for the slowest of them at its end, and on a busy machine that core is often
taken from it: one product after another took eight times as long then as products that share nothing (measured beside
other work, two cores). Searches that come together share these threads, instead of each taking every core.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import TypeVar

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""Microseconds of all cores that a container may take in each period, and the period."""
Item = TypeVar("Item")
Result = TypeVar("Result")


def count() -> int:
    """How many this process may use: a container is often given fewer than its machine has, and more threads than that
    only stop each other.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text(encoding="ascii").split()
        return max(1, min(there, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or one without a bound: "max"
        return there


def spread(work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `work` makes of each item, in their order. The first error is raised. Not to be called within `work`."""
    if len(items) < 2:
        return [work(item) for item in items]
    return list(_pool().map(work, items))


def alone(work: Callable[[], Result]) -> Future[Result]:
    """What `work` will have made, in one of the threads: what is measured there is what will be."""
    return _pool().submit(work)


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(count(), "scoring", initializer=_take_one_core)


def _take_one_core() -> None:
    """For this thread's products alone: torch's own setting is everybody's."""
    import torch
    from threadpoolctl import ThreadpoolController

    torch.get_num_threads()  # which would else set this thread's number again at its first product
    ThreadpoolController().select(user_api="openmp").limit(limits=1)

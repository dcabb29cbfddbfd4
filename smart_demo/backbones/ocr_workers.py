"""Threads that read pictures by OCR, and what one picture may cost them: one set for pages, one for queries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from smart_demo.backbones.ocr_networks import missing_package
from smart_demo.config import core_count

MAX_DETECTIONS, MAX_QUERY_DETECTIONS = 4, 2
"""Tiles of pages, and of queries' pictures, that are detected at once, because of their memory."""
MAX_LINES, MAX_QUERY_LINES = 2_000, 500
"""Lines read of one page, and of a query's picture: a page of a newspaper has some 300."""
PAGE_SECONDS, QUERY_SECONDS = 60.0, 15.0
"""Processor time for one page, and for a query's picture, of all cores together: 400 words take 1 second, a page of a
newspaper 7, and a picture of 5,600 words in 400 lines 17."""
MAX_WAIT = 2.0
"""Time on the clock over processor time until a picture is given up: other work must not cut an ordinary page."""
QUERY_THREADS = 4
"""Threads of their own that read queries' pictures, so that none waits for pages."""
Item = TypeVar("Item")
Result = TypeVar("Result")


class Budget:
    """What reading one picture may cost. Its methods may be called from several threads."""

    def __init__(self, lines: int, seconds: float, wait: float) -> None:
        """Set the limits. lines: most lines read. seconds: of processor time. wait: seconds on the clock from now."""
        self.lines = lines
        self.cut = False
        """Whether something of the picture was not read because its budget was spent."""
        self.seconds = seconds
        """Processor time that is left."""
        self._end, self._lock = time.monotonic() + wait, threading.Lock()

    def allows(self) -> bool:
        """Return whether something is left to spend; if not, the picture is `cut`."""
        allowed = self.seconds > 0 and time.monotonic() < self._end
        self.cut |= not allowed
        return allowed

    def charge(self, seconds: float) -> None:
        """Take processor time from the budget."""
        with self._lock:
            self.seconds -= seconds


class Workers:
    """Threads that read pictures of one purpose: pages, or queries."""

    def __init__(self, name: str, threads: int, detections: int, *, lines: int, seconds: float) -> None:
        """Start no thread yet. lines, seconds: the budget of one picture.

        Raises BackboneUnavailable if OpenCV is not installed, which comes with rapidocr.
        """
        try:
            import cv2
        except ImportError as missing:
            raise missing_package("rapidocr") from missing

        cv2.setNumThreads(1)  # the lines are shared out already
        self._lines, self._seconds = lines, seconds
        self._detectors = ThreadPoolExecutor(min(threads, detections), f"{name}-detect")
        self._readers = ThreadPoolExecutor(threads, f"{name}-read")

    def budgets(self, count: int) -> list[Budget]:
        """Return the budgets of pictures that are read together from now on."""
        return [Budget(self._lines, self._seconds, count * self._seconds * MAX_WAIT) for _ in range(count)]

    def detect(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the results in order; few are worked on at once, because of their memory. Raises the first error."""
        return list(self._detectors.map(work, items))

    def read(self, work: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
        """Return the results in order, worked on by all threads. Raises the first error."""
        return list(self._readers.map(work, items))


@cache
def page_workers() -> Workers:
    """Return the threads that read pages, one per core."""
    return Workers("ocr-page", core_count(), MAX_DETECTIONS, lines=MAX_LINES, seconds=PAGE_SECONDS)


@cache
def query_workers() -> Workers:
    """Return the threads that read pictures of queries."""
    threads = min(QUERY_THREADS, core_count())
    return Workers("ocr-query", threads, MAX_QUERY_DETECTIONS, lines=MAX_QUERY_LINES, seconds=QUERY_SECONDS)


@contextmanager
def charging(*budgets: Budget) -> Iterator[None]:
    """Charge the processor time of this thread in the context to budgets, in even parts."""
    start = time.thread_time()
    try:
        yield
    finally:
        seconds = (time.thread_time() - start) / len(budgets)
        for budget in budgets:
            budget.charge(seconds)

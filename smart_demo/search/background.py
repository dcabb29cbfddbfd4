"""Results that one background thread computes when what they depend on has changed, and that no caller waits for."""

from __future__ import annotations

import logging
import math
import os
import threading
import time
from collections.abc import Callable, Hashable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from smart_demo.errors import SmartError
from smart_demo.search.cache import LRUCache

log = logging.getLogger(__name__)
RETRY_SECONDS = 60.0
"""Pause before a computation that failed is tried again."""
BACKGROUND_NICENESS = 10
"""How much the threads of background work yield to searches, from 0 to 19."""
Source = TypeVar("Source", bound=Hashable)
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class _Entry(Generic[Source, Result]):
    """A finished computation."""

    source: Source
    result: Result | None
    retry_at: float = math.inf
    """Time of the clock from which it is computed again."""


class BackgroundResults(Generic[Source, Result]):
    """The last result by key, with the source that it was computed from. Safe for threads.

    A source describes a version of what the result depends on: equal sources give equal results. It stays in memory, so
    it should hold no content.
    """

    def __init__(
        self,
        name: str,
        compute: Callable[[Source], Result | None],
        is_current: Callable[[Source], bool],
        max_entries: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create an empty cache; `name` is that of its thread.

        compute: may raise; it is then tried again RETRY_SECONDS later, when it is looked up. is_current: whether a
        source is the latest version. Nothing is computed or kept of an outdated one. clock: in seconds.
        """
        self._name, self._compute, self._is_current, self._clock = name, compute, is_current, clock
        self._done: LRUCache[_Entry[Source, Result]] = LRUCache(max_entries)
        self._waiting: dict[object, Source] = {}
        """Sources to compute, the one in progress included, in the order of their requests."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def look_up(self, key: object, source: Source) -> Result | None:
        """Return the result for a source, or None if there is none or if it is only now being computed."""
        known = self._done.get(key)
        if known is not None and known.source == source and self._clock() < known.retry_at:
            return known.result
        with self._lock:
            if self._waiting.get(key) != source:
                self._waiting[key] = source
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
                self._thread.start()
        return None

    def is_pending(self, key: object) -> bool:
        """Return whether a result of this key is being computed."""
        with self._lock:
            return key in self._waiting

    def discard(self, matches: Callable[[object], bool]) -> None:
        """Discard the results of all keys for which `matches` is true, also those that are being computed."""
        with self._lock:
            self._waiting = {key: source for key, source in self._waiting.items() if not matches(key)}
            self._done.discard(matches)

    def _work(self) -> None:
        """Compute one result after the other. A result whose source changed, or was discarded, by then is dropped."""
        yield_to_searches()
        while (item := self._next()) is not None:
            key, source = item
            entry = self._try(source)
            with self._lock:
                if self._waiting.get(key) is source:
                    if entry is not None:
                        self._done.put(key, entry)
                    del self._waiting[key]

    def _try(self, source: Source) -> _Entry[Source, Result] | None:
        """Return the entry of a source, or None if it is outdated, before or after it is computed."""
        try:
            if not self._is_current(source):
                return None
            entry = _Entry(source, self._compute(source))
        except Exception as error:
            # A page may have been deleted, or the disk may have failed for a moment.
            level = logging.INFO if isinstance(error, SmartError) else logging.ERROR
            log.log(level, "%s failed", self._name, exc_info=True)
            entry = _Entry(source, None, self._clock() + RETRY_SECONDS)
        try:
            return entry if self._is_current(source) else None
        except Exception:
            log.exception("%s failed", self._name)
            return None

    def _next(self) -> tuple[object, Source] | None:
        with self._lock:
            item = next(iter(self._waiting.items()), None)
            if item is None:
                self._thread = None
            return item


def yield_to_searches() -> None:
    """Lower the priority of the current thread, on systems that have one for each thread."""
    with suppress(AttributeError, OSError):
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), BACKGROUND_NICENESS)

"""Results that one background thread computes when what they depend on has changed, and that no caller waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Generic, TypeVar

from smart_demo.errors import SmartError
from smart_demo.search.cache import LRUCache

log = logging.getLogger(__name__)
Source = TypeVar("Source")
Result = TypeVar("Result")


class BackgroundResults(Generic[Source, Result]):
    """The last result by key, with the source that it was computed from. Safe for threads."""

    def __init__(
        self,
        name: str,
        compute: Callable[[Source], Result | None],
        is_same: Callable[[Source, Source], bool],
        max_entries: int,
    ) -> None:
        """Create an empty cache; `name` is that of its thread.

        compute: may raise; the result is then None until the source changes. is_same: whether two sources of one key
        give the same result.
        """
        self._name, self._compute, self._is_same = name, compute, is_same
        self._done: LRUCache[tuple[Source, Result | None]] = LRUCache(max_entries)
        self._waiting: dict[object, Source] = {}
        """Sources to compute, the one in progress included, in the order of their requests."""
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    def look_up(self, key: object, source: Source) -> Result | None:
        """Return the result for a source, or None if there is none or if it is only now being computed."""
        known = self._done.get(key)
        if known is not None and self._is_same(known[0], source):
            return known[1]
        with self._lock:
            waiting = self._waiting.get(key)
            if waiting is None or not self._is_same(waiting, source):
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
        while (entry := self._next()) is not None:
            key, source = entry
            try:
                result = self._compute(source)
            except Exception as error:
                # A page may have been deleted; the next request then has another source.
                level = logging.INFO if isinstance(error, SmartError) else logging.ERROR
                log.log(level, "%s failed", self._name, exc_info=True)
                result = None
            with self._lock:
                if self._waiting.get(key) is source:
                    self._done.put(key, (source, result))
                    del self._waiting[key]

    def _next(self) -> tuple[object, Source] | None:
        with self._lock:
            entry = next(iter(self._waiting.items()), None)
            if entry is None:
                self._thread = None
            return entry

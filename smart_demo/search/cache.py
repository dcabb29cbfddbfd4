"""A cache with limits of entries and total weight, safe for threads."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """A cache that evicts the least recently used values. Safe for threads."""

    def __init__(
        self, max_entries: int, weight: Callable[[Value], float] = lambda _: 0, max_weight: float = math.inf
    ) -> None:
        """`weight`: the weight of one value, such as its bytes. `max_weight`: the maximum of all weights' sum."""
        self._max_entries, self._weight, self._max_weight = max_entries, weight, max_weight
        self._values: OrderedDict[object, Value] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: object) -> Value | None:
        """Return the value of a key, or None."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: object, value: Value) -> None:
        """Store a value, and evict the least recently used ones while a limit is exceeded."""
        with self._lock:
            self._values[key] = value
            self._values.move_to_end(key)
            while len(self._values) > self._max_entries or self._total_weight() > self._max_weight:
                self._values.popitem(last=False)

    def limit(self, matches: Callable[[object], bool], max_entries: int) -> None:
        """Keep at most `max_entries` of the keys for which `matches` is true: the most recently used."""
        with self._lock:
            keys = [key for key in self._values if matches(key)]
            for key in keys[: max(0, len(keys) - max_entries)]:
                del self._values[key]

    def discard(self, matches: Callable[[object], bool]) -> None:
        """Discard every key for which `matches` is true."""
        with self._lock:
            for key in [key for key in self._values if matches(key)]:
                del self._values[key]

    def discard_values(self, matches: Callable[[Value], bool]) -> None:
        """Discard every value for which `matches` is true."""
        with self._lock:
            for key in [key for key, value in self._values.items() if matches(value)]:
                del self._values[key]

    def _total_weight(self) -> float:
        return sum(map(self._weight, self._values.values()))

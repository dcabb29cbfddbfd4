"""Small caches and clocks of the service."""

from __future__ import annotations

import math
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Value = TypeVar("Value")


class LRUCache(Generic[Value]):
    """The last few answers by key, for several threads; the oldest unused one leaves first."""

    def __init__(self, size: int, weigh: Callable[[Value], float] = lambda _: 0, most: float = math.inf) -> None:
        """How many are kept, and how much they may weigh together."""
        self._size, self._weigh, self._most, self._lock = size, weigh, most, threading.Lock()
        self._kept: OrderedDict[object, Value] = OrderedDict()

    def get(self, key: object) -> Value | None:
        """What was kept under the key, or None."""
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def put(self, key: object, value: Value) -> None:
        """Keep a value, dropping the oldest over the size or the weight."""
        with self._lock:
            self._kept[key] = value
            self._kept.move_to_end(key)
            while len(self._kept) > self._size or sum(map(self._weigh, self._kept.values())) > self._most:
                self._kept.popitem(last=False)

    def thin(self, belongs: Callable[[object], bool], most: int) -> None:
        """Of the keys of which this is true keep so many, those used last."""
        with self._lock:
            keys = [key for key in self._kept if belongs(key)]
            for key in keys[: max(0, len(keys) - most)]:
                del self._kept[key]

    def drop(self, gone: Callable[[object], bool]) -> None:
        """Forget every key of which this is true."""
        with self._lock:
            for key in [key for key in self._kept if gone(key)]:
                del self._kept[key]

    def drop_values(self, gone: Callable[[Value], bool]) -> None:
        """Forget every value of which this is true."""
        with self._lock:
            for key in [key for key, value in self._kept.items() if gone(value)]:
                del self._kept[key]


@dataclass
class Stopwatch:
    """Milliseconds by stage."""

    stages: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """The time since the last lap was this stage's."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + (now - self.started) * 1000
        self.started = now


@dataclass(frozen=True, slots=True)
class Lap:
    """One stage of one query, as it really ran."""

    milliseconds: float
    pages: int
    """That the stage went through; 0 where it looks at none."""


class Laps:
    """The last few laps of each stage, for several threads."""

    def __init__(self, size: int) -> None:
        self._size, self._lock = size, threading.Lock()
        self._stages: dict[str, deque[Lap]] = {}

    def add(self, stage: str, lap: Lap) -> None:
        """Keep a lap, dropping the oldest of its stage over the size."""
        with self._lock:
            self._stages.setdefault(stage, deque(maxlen=self._size)).append(lap)

    def by_stage(self) -> Mapping[str, tuple[Lap, ...]]:
        """What is kept, oldest first."""
        with self._lock:
            return {stage: tuple(laps) for stage, laps in self._stages.items()}

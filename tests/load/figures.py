"""What a run counts: how long people waited, which limits they met, what was broken."""

from __future__ import annotations

import re
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

LIMITS = (
    "busy: the queue is full",
    "busy with your other questions",
    "busy with the questions of others",
    "wait to be read already",
    "at once: add this one again",
    "has room for",
    "library is full",
    "all visitors together may take",
)
"""Parts of the sentences that state a limit."""
EXAMPLES = 5
"""Of each kind of broken promise, that are told in full."""


class LimitMet(Exception):
    """A stated limit, said in a sentence."""


@dataclass
class Figures:
    """Tallies of one run, for several threads."""

    waits: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds by kind of action, of those that were answered."""
    limits: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)
    """Sentences in which something else was refused, numbers left out."""
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What should not have happened, by promise."""
    requests: int = 0
    octets: int = 0
    """Bytes of answers that were read through."""
    unclaimed: int = 0
    """Uploads that arrived, but that no event took since the queue was full: their copies wait for the janitor."""
    estimates: list[tuple[float, float]] = field(default_factory=list)
    """Seconds that the queue said somebody would wait, and that they did."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Time an action; one that ends in an error does not count."""
        begun = time.monotonic()
        yield
        with self._lock:
            self.waits[kind].append(time.monotonic() - begun)

    def met(self, sentence: str) -> None:
        """Somebody met a limit that is stated."""
        with self._lock:
            self.limits[_shape(sentence)] += 1

    def refused(self, sentence: str) -> None:
        """Somebody was refused something in words: a limit or another."""
        if any(part in sentence for part in LIMITS):
            self.met(sentence)
            return
        with self._lock:
            self.said[_shape(sentence)] += 1

    def break_(self, promise: str, detail: str) -> None:
        """A promise was broken."""
        with self._lock:
            self.broken[promise].append(detail[:400])

    def read(self, octets: int) -> None:
        """An answer of so many bytes was read and searched for what is others'."""
        with self._lock:
            self.requests += 1
            self.octets += octets

    def estimated(self, said: float, took: float) -> None:
        """What the queue said of a wait, and how long it was."""
        with self._lock:
            self.estimates.append((said, took))

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Count and 50th, 95th and 99th percentile and the longest, in milliseconds, by kind of action."""
        return {
            kind: {"count": len(waits)}
            | {f"p{part}": round(float(np.percentile(waits, part)) * 1000, 1) for part in (50, 95, 99)}
            | {"max": round(max(waits) * 1000, 1)}
            for kind, waits in sorted(self.waits.items())
        }


def _shape(sentence: str) -> str:
    """A sentence without the names and numbers in it, so that equal ones are counted together."""
    return re.sub(r"\b\S+\.(pdf|png)\b", "FILE", re.sub(r"\d[\d,.]*", "N", sentence))[:160]

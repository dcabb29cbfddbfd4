"""Metrics of a run: durations of actions, limits that were reached, promises that were broken."""

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
    "still waiting",
    "at once: add this one again",
    "has room for",
    "library is full",
    "all visitors together may take",
)
"""Parts of the sentences that state a limit."""
EXAMPLES = 5
"""Examples of each kind of broken promise that are reported in full."""


class LimitReached(Exception):
    """A stated limit was reached; the message is its sentence."""


@dataclass
class Metrics:
    """Counts of one run, safe for several threads."""

    durations: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds of the answered actions, by kind of action."""
    limits: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    """Other sentences of refusal, without their numbers."""
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    """Details of broken promises, by promise."""
    requests: int = 0
    checked_bytes: int = 0
    """Bytes of answers that were searched."""
    unclaimed: int = 0
    """Uploads that arrived but were refused by a full queue; expiry deletes their copies."""
    estimates: list[tuple[float, float]] = field(default_factory=list)
    """Pairs of the wait that the queue estimated and the real wait, in seconds."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    @contextmanager
    def timing(self, kind: str) -> Iterator[None]:
        """Time an action; one that raises does not count."""
        begun = time.monotonic()
        yield
        with self.lock:
            self.durations[kind].append(time.monotonic() - begun)

    def record_limit(self, sentence: str) -> None:
        """Count a stated limit that a visitor reached."""
        with self.lock:
            self.limits[_without_details(sentence)] += 1

    def record_refusal(self, sentence: str) -> None:
        """Count a refusal with a sentence, whether or not it states a limit."""
        if any(part in sentence for part in LIMITS):
            self.record_limit(sentence)
            return
        with self.lock:
            self.refusals[_without_details(sentence)] += 1

    def record_broken(self, promise: str, detail: str) -> None:
        """Record a broken promise."""
        with self.lock:
            self.broken[promise].append(detail[:400])

    def count_answer(self, size: int) -> None:
        """Count the bytes of an answer that was searched for other visitors' data."""
        with self.lock:
            self.requests += 1
            self.checked_bytes += size

    def record_estimate(self, estimate: float, taken: float) -> None:
        """Record a wait as the queue estimated it and as it was."""
        with self.lock:
            self.estimates.append((estimate, taken))

    def percentiles(self) -> dict[str, dict[str, float]]:
        """Return count, 50th, 95th and 99th percentile and maximum in milliseconds, by kind of action."""
        return {
            kind: {"count": len(seconds)}
            | {f"p{part}": round(float(np.percentile(seconds, part)) * 1000, 1) for part in (50, 95, 99)}
            | {"max": round(max(seconds) * 1000, 1)}
            for kind, seconds in sorted(self.durations.items())
        }


def _without_details(sentence: str) -> str:
    """Return a sentence without its names and numbers, so that equal ones are counted together."""
    return re.sub(r"\b\S+\.(pdf|png)\b", "FILE", re.sub(r"\d[\d,.]*", "N", sentence))[:160]

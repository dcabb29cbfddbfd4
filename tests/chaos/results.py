"""Counts of trials and operations, and the promises that they kept or broke."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.chaos.checks import Observation
from tests.chaos.operations_log import OperationsLog

PROMISES = {
    "lost": "everything acknowledged is there, bit for bit",
    "returned": "everything acknowledged as removed is gone",
    "half": "nothing is half visible",
    "wrong": "a search finds what numpy finds, and Chroma has exactly the pages",
    "leak": "no leftover survives the next start",
    "index unhealthy": "the library reports ok or rebuilt",
    "broke": "every start opens the library",
    "undetected": "no altered page file returns data",
    "server": "the killed server starts again and has every page that it showed as stored",
}
"""The promise that each kind of fault breaks."""


@dataclass
class Results:
    """Sums over trials; `add` joins those of several processes."""

    trials: Counter[str] = field(default_factory=Counter)
    """Trials by kind."""
    counts: Counter[str] = field(default_factory=Counter)
    """Counts of acknowledged operations, kills, torn Chroma files and so on."""
    faults: list[tuple[str, str]] = field(default_factory=list)
    """Pairs of a fault's kind and a description that names its trial."""

    def record_trial(self, trial: str, observation: Observation, log: OperationsLog | None = None) -> None:
        """Record the result of a trial."""
        self.trials[trial] += 1
        self.faults += [(kind, f"{trial}: {words}") for kind, words in observation.faults]
        if observation.index.startswith("rebuilt"):
            self.counts["rebuilt"] += 1
            self.counts["recovered"] += not observation.faults
        if log is not None:
            self.counts["acknowledged"] += log.acknowledged
            log.acknowledged = 0

    def record_fault(self, kind: str, words: str) -> None:
        """Record a broken promise."""
        self.faults.append((kind, words))

    def add(self, other: Results) -> None:
        """Add the figures of another process."""
        self.trials.update(other.trials)
        self.counts.update(other.counts)
        self.faults += other.faults

    def promises(self) -> list[dict[str, object]]:
        """Return every promise, whether it held, and the first few faults that broke it."""
        kept = []
        for kind, name in PROMISES.items():
            against = [words for found, words in self.faults if found == kind]
            kept.append({"name": name, "held": not against, "detail": "; ".join(against[:5])[:2_000]})
        return kept

    def as_json(self) -> dict[str, object]:
        """Return the figures by name. Faults are counted; `promises` has their descriptions."""
        broken = Counter(kind for kind, _ in self.faults)
        return {
            "trials": dict(sorted(self.trials.items())),
            "acknowledged": self.counts["acknowledged"],
            "kills": self.counts["kills"],
            "aimed": self.counts["aimed"],
            "torn_chroma": self.counts["torn"],
            "rebuilt": self.counts["rebuilt"],
            "recovered": self.counts["recovered"],
            "milliseconds_to_stop": self.counts["stopped"],
            "segfaults_in_the_canary": self.counts["segfaults"],
            "lost": broken["lost"],
            "half_visible": broken["half"] + broken["returned"] + broken["wrong"],
            "leaks": broken["leak"],
            "mutations": self.counts["mutations"],
            "detected": self.counts["detected"],
            "promises": self.promises(),
        }

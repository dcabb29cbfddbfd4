"""What the measures return and share: goals and figures, a clock, and measurements in separate processes."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from statistics import median

from smart_demo.config import REPOSITORY


class Kind(StrEnum):
    """On which side of its bound a measured value must be."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Goal:
    """A measured value with its bound.

    >>> Goal("map.first", "a first map", 0.3, 0.5).met, Goal("recall", "found", 0.3, 0.5, Kind.MIN).met
    (True, False)
    """

    name: str
    what: str
    """What was measured and in which unit, if not seconds; one line."""
    measured: float
    bound: float
    """Highest or lowest allowed value, in the unit of `measured`."""
    kind: Kind = Kind.MAX

    @property
    def met(self) -> bool:
        return self.measured <= self.bound if self.kind is Kind.MAX else self.measured >= self.bound


@dataclass(frozen=True, slots=True)
class Figure:
    """A measured value without a bound."""

    name: str
    what: str
    """What was measured and in which unit; one line."""
    measured: float


def median_seconds(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Return the median seconds of each run.

    The runs take turns, so that other load on the machine affects all of them alike. The first round is a warm-up
    and does not count.
    """
    took: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, times in zip(runs, took, strict=True):
            begun = time.perf_counter()
            run()
            if number:
                times.append(time.perf_counter() - begun)
    return [median(times) for times in took]


def run_module(module: str, *arguments: str) -> str:
    """Run a module of this package in a separate process and return its output, so that its memory is its own.

    Raises CalledProcessError if it fails; its errors are printed.
    """
    # Importing the package imports the module before it is run, of which Python warns.
    command = [sys.executable, "-W", "ignore::RuntimeWarning:runpy", "-m", f"tests.bench.{module}", *arguments]
    return subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True, check=True).stdout

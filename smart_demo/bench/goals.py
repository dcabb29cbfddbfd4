"""Goals: what was measured and what it may be. Values and two ways to write them down."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class Kind(StrEnum):
    """Which side of its bound a measure must be on."""

    MAX = "max"
    MIN = "min"


@dataclass(frozen=True, slots=True)
class Goal:
    """One promise, measured.

    >>> Goal("map.first", "a first map", 0.3, 0.5).met, Goal("recall", "found", 0.3, 0.5, Kind.MIN).met
    (True, False)
    """

    name: str
    what: str
    """What was done, one line."""
    measured: float
    """In seconds, unless `what` says otherwise,"""
    bound: float
    """as is what it may be at most or must be at least."""
    kind: Kind = Kind.MAX

    @property
    def met(self) -> bool:
        return self.measured <= self.bound if self.kind is Kind.MAX else self.measured >= self.bound


def as_json(goals: Sequence[Goal]) -> dict[str, object]:
    """Everything, for a file that a script reads."""
    rows = [
        {"name": goal.name, "measured": goal.measured, "bound": goal.bound, "kind": str(goal.kind), "met": goal.met}
        for goal in goals
    ]
    return {"machine": _machine(), "goals": rows}


def as_markdown(goals: Sequence[Goal]) -> str:
    """A table for people."""
    lines = ["| goal | measured | bound | met | what |", "|---|---|---|---|---|"]
    for goal in goals:
        sign = "≤" if goal.kind is Kind.MAX else "≥"
        met = "yes" if goal.met else "**no**"
        lines.append(f"| {goal.name} | {goal.measured:.3f} | {sign} {goal.bound:g} | {met} | {goal.what} |")
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in _machine().items())])


def _machine() -> dict[str, str]:
    return {"cores": str(os.cpu_count()), "python": platform.python_version(), "numpy": np.__version__}

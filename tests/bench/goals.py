"""Goals: what was measured and what it may be; figures: what was measured. Values and two ways to write them down."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

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


@dataclass(frozen=True, slots=True)
class Figure:
    """Something measured of which nothing was promised."""

    name: str
    what: str
    """What was done and in which unit, one line."""
    measured: float


def as_json(found: Sequence[Goal | Figure]) -> dict[str, object]:
    """Everything, for a file that a script reads."""
    goals = [
        {"name": goal.name, "measured": goal.measured, "bound": goal.bound, "kind": str(goal.kind), "met": goal.met}
        for goal in found
        if isinstance(goal, Goal)
    ]
    figures = [{"name": one.name, "measured": one.measured} for one in found if isinstance(one, Figure)]
    return {"machine": _machine(), "goals": goals, "figures": figures, "done": {one.name: one.what for one in found}}


def as_markdown(found: Sequence[Goal | Figure]) -> str:
    """A table for people."""
    lines = ["| goal | measured | bound | met | what |", "|---|---|---|---|---|"]
    for goal in found:
        if isinstance(goal, Figure):
            lines.append(f"| {goal.name} | {goal.measured:.3f} | | | {goal.what} |")
            continue
        sign = "≤" if goal.kind is Kind.MAX else "≥"
        met = "yes" if goal.met else "**no**"
        lines.append(f"| {goal.name} | {goal.measured:.3f} | {sign} {goal.bound:g} | {met} | {goal.what} |")
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in _machine().items())])


def _machine() -> dict[str, str]:
    known = {"cores": str(os.cpu_count()), "python": platform.python_version(), "numpy": np.__version__}
    with suppress(OSError):
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
        known["int8"] = next((name for name in ("amx_int8", "avx512_vnni", "avx_vnni") if name in flags), "none")
    return known

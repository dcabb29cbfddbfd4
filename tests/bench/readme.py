"""bench.json -> the block of the README that is made of it. Equal figures give equal text, to which a test holds it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

_BLOCK = re.compile(r"(<!-- bench -->)\n.*?(<!-- end -->)", re.DOTALL)


def fill(readme: str, found: Mapping[str, Any]) -> str:
    """A text whose block between `<!-- bench -->` and `<!-- end -->` is made anew."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{table(found)}\n{block[2]}", readme)


def table(found: Mapping[str, Any]) -> str:
    """Goals and figures as Markdown; of what was done the part before the details."""
    goals: Sequence[Mapping[str, Any]] = found["goals"]
    lines = ["| | measured | goal | |", "|---|---|---|---|"]
    for goal in goals:
        sign, met = ("≤" if goal["kind"] == "max" else "≥"), ("met" if goal["met"] else "**missed**")
        lines.append(f"| {_what(goal, found)} | {_number(goal['measured'])} | {sign} {goal['bound']:,g} | {met} |")
    lines += [f"| {_what(one, found)} | {_number(one['measured'])} | | |" for one in found["figures"]]
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return "\n".join([*lines, "", f"Measured on: {machine}."])


def _what(one: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    done = str(found["done"][one["name"]])
    said = done if "NOT MEASURED" in done else re.split(r": |; ", done)[0]
    return f"`{one['name']}` {said}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.4f}"

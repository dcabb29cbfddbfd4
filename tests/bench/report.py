"""Results of the measures as JSON, as a table for the terminal, and as the table of assets/bench.md.

`python -m tests.bench.report` makes the table in assets/bench.md again from assets/bench.json. Equal figures give equal
text.
"""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from smart_demo.config import REPOSITORY
from tests.bench.harness import Figure, Goal, Kind

ASSETS = REPOSITORY / "assets"
_BLOCK = re.compile(r"(<!-- bench -->)\n.*?(<!-- end -->)", re.DOTALL)


def as_json(results: Sequence[Goal | Figure]) -> dict[str, object]:
    """Return all results, for a JSON file."""
    goals = [
        {"name": goal.name, "measured": goal.measured, "bound": goal.bound, "kind": str(goal.kind), "met": goal.met}
        for goal in results
        if isinstance(goal, Goal)
    ]
    figures = [{"name": result.name, "measured": result.measured} for result in results if isinstance(result, Figure)]
    done = {result.name: result.what for result in results}
    return {"machine": _describe_machine(), "goals": goals, "figures": figures, "done": done}


def as_markdown(results: Sequence[Goal | Figure]) -> str:
    """Return all results as a table for the terminal."""
    lines = ["| goal | measured | bound | met | what |", "|---|---|---|---|---|"]
    for result in results:
        if isinstance(result, Figure):
            lines.append(f"| {result.name} | {result.measured:.3f} | | | {result.what} |")
            continue
        sign = "≤" if result.kind is Kind.MAX else "≥"
        met = "yes" if result.met else "**no**"
        lines.append(f"| {result.name} | {result.measured:.3f} | {sign} {result.bound:g} | {met} | {result.what} |")
    return "\n".join([*lines, "", ", ".join(f"{name} {value}" for name, value in _describe_machine().items())])


def fill_table(text: str, found: Mapping[str, Any]) -> str:
    """Return the text with the block between `<!-- bench -->` and `<!-- end -->` made again from `as_json`'s form."""
    return _BLOCK.sub(lambda block: f"{block[1]}\n{format_table(found)}\n{block[2]}", text)


def format_table(found: Mapping[str, Any]) -> str:
    """Return goals and figures as Markdown, without the details that follow a colon or semicolon."""
    goals: Sequence[Mapping[str, Any]] = found["goals"]
    lines = ["| | measured | goal | |", "|---|---|---|---|"]
    for goal in goals:
        sign, met = ("≤" if goal["kind"] == "max" else "≥"), ("met" if goal["met"] else "**missed**")
        measured = _format_number(goal["measured"])
        lines.append(f"| {_describe(goal, found)} | {measured} | {sign} {goal['bound']:,g} | {met} |")
    lines += [
        f"| {_describe(figure, found)} | {_format_number(figure['measured'])} | | |" for figure in found["figures"]
    ]
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    return "\n".join([*lines, "", f"Measured on: {machine}."])


def _describe(result: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    what = str(found["done"][result["name"]])
    what = what if "NOT MEASURED" in what else re.split(r": |; ", what)[0]
    return f"`{result['name']}` {what}"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3f}" if abs(value) >= 0.01 else f"{value:.4f}"


def _describe_machine() -> dict[str, str]:
    known = {"cores": str(os.cpu_count()), "python": platform.python_version(), "numpy": np.__version__}
    with suppress(OSError):
        flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
        known["int8"] = next((name for name in ("amx_int8", "avx512_vnni", "avx_vnni") if name in flags), "none")
    return known


def main() -> None:
    """Make the table in assets/bench.md again from assets/bench.json."""
    page, figures = ASSETS / "bench.md", ASSETS / "bench.json"
    found = json.loads(figures.read_text(encoding="utf-8"))
    page.write_text(fill_table(page.read_text(encoding="utf-8"), found), encoding="utf-8")


if __name__ == "__main__":
    main()

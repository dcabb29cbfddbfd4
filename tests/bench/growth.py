"""Cost of more pages: opening, memory and every stage of a query, from 100 to 100,000 pages.

The libraries are written, measured and deleted one after the other; the largest takes some 3 GB of disk.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smart_demo.config import REPOSITORY, Settings
from tests.bench import harness, large_library
from tests.bench.harness import Goal

SIZES = ((100, 64), (2_000, 64), (2_000, 500), (20_000, 64), (100_000, 64))
"""Pages and tokens of each library. The third is the shape N of the scoring goals, all of it scored."""
OUT = REPOSITORY / "build"
AGAIN_BOUND, FIRST_BOUND = 8.0, 40.0
"""Seconds to open the largest, with a snapshot and without one."""
TIME_BOUND = 1.3
"""Ratio of the scoring time at 100,000 pages to that at 20,000."""
OVERHEAD_BOUND = 1.5
"""Ratio of a query's time after its encoding to the scoring time."""
MEMORY_BOUND, SNAPSHOT_BOUND = 4_000.0, 2_000.0
"""Bytes per page in memory and in the snapshot."""


def measure_growth() -> list[Goal]:
    """Measure `open.*`, `growth.*` and `query.overhead`; write every stage to `build/growth.json`, and a plot of it."""
    measured = [_measure_size(pages, tokens) for pages, tokens in SIZES]
    write_figures(measured, OUT)
    *_, shape, middle, largest = measured
    deep = Settings().candidates
    ratio = largest["stages"]["score"] / middle["stages"]["score"]
    sizes = f"{largest['pages']:,} pages over {middle['pages']:,}"
    memory = largest["memory"] / largest["pages"]
    snapshot = largest["snapshot"] / largest["pages"]
    overhead = sum(shape["stages"].values()) / shape["stages"]["score"]
    shape_size = f"{shape['pages']:,} pages of {shape['tokens']} tokens"
    return [
        Goal("open.100k", f"open {largest['pages']:,} pages with a snapshot", largest["again"], AGAIN_BOUND),
        Goal("open.100k.first", "the same without one: every head is read", largest["first"], FIRST_BOUND),
        Goal("open.snapshot", "bytes a page of the snapshot, vectors included", snapshot, SNAPSHOT_BOUND),
        Goal("growth.time", f"times as long to score {deep} candidates of {sizes}", ratio, TIME_BOUND),
        Goal("growth.memory", "bytes a page in memory, searches included, Chroma left out", memory, MEMORY_BOUND),
        Goal(
            "query.overhead",
            f"times scoring: all of a query but its encoding, {shape_size}",
            overhead,
            OVERHEAD_BOUND,
        ),
    ]


def write_figures(measured: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Write the figures as JSON and, if matplotlib is installed, as a plot."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "growth.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if find_spec("matplotlib") is not None:
        _draw([size for size in measured if size["tokens"] == large_library.TOKENS], out / "growth.png")


def _measure_size(pages: int, tokens: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        large_library.write_library(Path(name) / "data", pages, tokens)
        found: dict[str, Any] = {"pages": pages, "tokens": tokens}
        for opening in ("first", "again"):
            found |= json.loads(harness.run_module("large_library", opening, name).splitlines()[-1])
        return found


def _draw(measured: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Plot the milliseconds of each stage of a query over the number of pages, both axes logarithmic."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    from smart_demo.evidence.plots import COBALT, GREY, INK, LINE, RUST, STYLE

    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 4.2))
        sizes = [size["pages"] for size in measured]
        for stage, colour in zip(large_library.STAGES, (GREY, COBALT, RUST, INK), strict=True):
            axes.plot(sizes, [size["stages"][stage] for size in measured], "o-", color=colour, label=stage)
        axes.axvline(Settings().exhaustive, color=LINE, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="pages in the library", ylabel="milliseconds of a query")
        axes.set_title(f"A query over more pages, {Settings().candidates} candidates beyond {Settings().exhaustive:,}")
        axes.legend(frameon=False)
        figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
        pyplot.close(figure)

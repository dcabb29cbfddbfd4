"""What more pages cost: opening, memory and every stage of a query, from 100 to 100,000 pages. The libraries are made,
measured and deleted one after the other; the largest takes some 3 GB for as long as that.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from smart_demo.config import REPOSITORY, Settings
from tests.bench import large, program
from tests.bench.goals import Goal
from tests.bench.one_size import STAGES

SIZES = ((100, 64), (2_000, 64), (2_000, 500), (20_000, 64), (100_000, 64))
"""Pages and tokens of each. The third is the shape N of the scoring goals, all of it scored."""
OUT = REPOSITORY / "build"
AGAIN, FIRST = 8.0, 40.0
"""Seconds in which the largest opens, with a snapshot of its heads and without one."""
TIME, OVERHEAD, MEMORY, KEPT = 1.3, 1.5, 4_000.0, 2_000.0
"""Score at 100,000 pages over that at 20,000; all that follows the encoder over scoring; bytes a page in memory and in
the snapshot."""


def measure_growth() -> list[Goal]:
    """`open.*`, `growth.*` and `query.overhead`; every stage goes to `build/growth.json`, and to a plot of it."""
    measured = [_measured(pages, tokens) for pages, tokens in SIZES]
    write(measured, OUT)
    return goals(measured)


def goals(measured: Sequence[Mapping[str, Any]]) -> list[Goal]:
    """From what was measured of SIZES, in their order."""
    *_, shape, middle, largest = measured
    deep = Settings().candidates
    flat = largest["stages"]["score"] / middle["stages"]["score"]
    sizes = f"{largest['pages']:,} pages over {middle['pages']:,}"
    each = largest["memory"] / largest["pages"]
    return [
        Goal("open.100k", f"open {largest['pages']:,} pages with a snapshot", largest["again"], AGAIN),
        Goal("open.100k.first", "the same without one: every head is read", largest["first"], FIRST),
        Goal(
            "open.snapshot",
            "bytes a page of the snapshot, vectors included",
            largest["snapshot"] / largest["pages"],
            KEPT,
        ),
        Goal("growth.time", f"times as long to score {deep} candidates of {sizes}", flat, TIME),
        Goal("growth.memory", "bytes a page in memory, searches included, Chroma left out", each, MEMORY),
        Goal(
            "query.overhead",
            f"times scoring: all of a query but its encoding, {_shape(shape)}",
            _ratio(shape),
            OVERHEAD,
        ),
    ]


def write(measured: Sequence[Mapping[str, Any]], out: Path) -> None:
    """The figures as JSON and, where matplotlib is there, as a plot."""
    out.mkdir(parents=True, exist_ok=True)
    (out / "growth.json").write_text(json.dumps(measured, indent=1) + "\n", encoding="utf-8")
    if find_spec("matplotlib") is not None:
        _draw([one for one in measured if one["tokens"] == large.TOKENS], out / "growth.png")


def _measured(pages: int, tokens: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        large.write(Path(name) / "data", pages, tokens)
        found: dict[str, Any] = {"pages": pages, "tokens": tokens}
        for times in ("first", "again"):
            found |= json.loads(program.run("one_size", times, name).splitlines()[-1])
        return found


def _ratio(one: Mapping[str, Any]) -> float:
    stages: Mapping[str, float] = one["stages"]
    return sum(stages.values()) / stages["score"]


def _shape(one: Mapping[str, Any]) -> str:
    return f"{one['pages']:,} pages of {one['tokens']} tokens"


def _draw(measured: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Milliseconds of a query's stages over pages, one on the other, both axes by powers of ten."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    from smart_demo.evidence.plots import COBALT, GREY, LINE, RUST, STYLE

    with mpl.rc_context(STYLE):
        figure, axes = pyplot.subplots(figsize=(7, 4.2))
        sizes = [one["pages"] for one in measured]
        for stage, colour in zip(STAGES, (GREY, COBALT, RUST, "#15171c"), strict=True):
            axes.plot(sizes, [one["stages"][stage] for one in measured], "o-", color=colour, label=stage)
        axes.axvline(Settings().exhaustive, color=LINE, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel="pages in the library", ylabel="milliseconds of a query")
        axes.set_title(f"A query over more pages, {Settings().candidates} candidates beyond {Settings().exhaustive:,}")
        axes.legend(frameon=False)
        figure.savefig(path, bbox_inches="tight", metadata={"Software": None})
        pyplot.close(figure)

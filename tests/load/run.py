"""A run: visitors in threads against a page, then everybody forgets everything, and what was promised is judged."""

from __future__ import annotations

import secrets
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.load.figures import EXAMPLES, Figures
from tests.load.life import SAMPLE_QUERIES, Life, Street, live
from tests.load.marks import Marks
from tests.load.watch import Sample, hourly, thirds
from tests.visitor import Visitor

STILL = 0.1
"""By how much memory, threads and files may be more in the last third of a run than in the middle one: medians, and for
memory the least, too, which is what is held while little goes on. The most is whatever happens to come together. Ten
minutes cannot show a slower growth than that; the longer the run, the slower the growth that breaks it."""
LAST = 300
"""Seconds after the end of a run in which everybody can forget everything."""
SHORTEST = 180
"""Seconds under which nothing is said of growth."""


@dataclass(frozen=True)
class Promise:
    """What visitors are promised, and whether that was so."""

    name: str
    held: bool
    detail: str


@dataclass
class Course:
    """How a run goes: who comes, for how long, how fast."""

    visitors: int
    seed: int
    seconds: float = 3600.0
    acts: int = 1_000_000
    pace: float = 1.0
    pictures: bool = True


def run(url: str, folder: Path, course: Course) -> Figures:
    """Let everybody come, act and leave; `folder` takes their papers."""
    figures = Figures()
    street = Street(url, folder, Marks(), figures, pace=course.pace, pictures=course.pictures)
    until = time.monotonic() + course.seconds
    threads = [
        threading.Thread(target=_guarded, args=(street, number, course, until), name=f"visitor {number}", daemon=True)
        for number in range(course.visitors)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.2 * course.pace)
    for thread in threads:
        thread.join(max(0.0, until + LAST - time.monotonic()))
        if thread.is_alive():
            figures.break_("queue honest", f"{thread.name} still waits for something, {LAST} s after the end")
    return figures


def fill(url: str, tabs: int) -> None:
    """Search in so many pages and go: the server remembers the last ones with their answers, and that is no growth
    once it is at its limit.
    """
    visitor = Visitor(url)
    for _ in range(tabs):
        visitor.session = secrets.token_hex(6)
        visitor.search(SAMPLE_QUERIES[0])
    visitor.close()


def _guarded(street: Street, number: int, course: Course, until: float) -> None:
    try:
        live(Life(street, number, course.seed), until, course.acts)
    except BaseException as error:  # noqa: BLE001 - of a thread: the run must know
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else ""
        street.figures.break_("no error", f"a visitor gave up at {where}: {type(error).__name__}: {error}")


def judged(figures: Figures) -> list[Promise]:
    """What every run can say."""

    def so(name: str, well: str) -> Promise:
        broken = figures.broken.get(name, [])
        told = "; ".join(broken[:EXAMPLES])
        return Promise(name, not broken, f"{len(broken)} times: {told}" if broken else well)

    answers = f"{figures.requests:,} answers with {figures.octets / 1e6:,.0f} MB"
    return [
        so("no error", f"{answers}, none of them an error"),
        so("no cross-talk", f"no name, word or number of anybody else in {answers}"),
        so("nothing lost", "the shelf showed what was acknowledged, at every look"),
        so("own pages found", "every page came first for its own words"),
        so("queue honest", queue(figures)),
    ]


def queue(figures: Figures) -> str:
    """What the queue said, against what happened."""
    said = "every event that was taken had an outcome, no place was lost"
    if figures.estimates:
        off = np.array([took - told for told, took in figures.estimates])
        said += f"; of {len(off)} waits that were estimated half were within {np.median(np.abs(off)):.1f} s"
    return said


def judged_growth(samples: Sequence[Sample], shipped: int) -> list[Promise]:
    """Whether memory, threads and open files are flat, and the files of pages that went are closed: no more than the
    `shipped` ones are open when everybody has gone. Nothing is said of a run that is too short.
    """
    if not samples or samples[-1].at < SHORTEST:
        return []
    own = thirds(samples, "own")
    flat = all(own[2][which] <= own[1][which] * (1 + STILL) for which in ("median", "min"))
    told = ", ".join(f"{third['median']:.0f} (at least {third['min']:.0f})" for third in own)
    lines = [
        Promise("memory flat", flat, f"medians by thirds {told} MB; the slope is {hourly(samples):+.0f} MB an hour")
    ]
    for name in ("threads", "files"):
        parts = thirds(samples, name)
        held = parts[2]["median"] <= parts[1]["median"] * (1 + STILL) + 5
        lines.append(Promise(f"{name} flat", held, f"median by thirds {', '.join(str(t['median']) for t in parts)}"))
    last = samples[-1].pages
    lines.append(
        Promise("pages let go", last <= shipped, f"{last} token files open at the end, of {shipped} sample pages")
    )
    return lines


def judged_folders(
    before: set[str], after: set[str], left: Sequence[str], unclaimed: int, rows: tuple[int, int]
) -> list[Promise]:
    """Whether nothing of anybody stays: of the data folder before and after, of the temporary folder, of Chroma. A copy
    of an upload that a full queue refused is the janitor's, an hour later.
    """
    more, less = sorted(after - before), sorted(before - after)
    return [
        Promise("everything forgotten", not more and not less, f"left: {more[:5]}, missing: {less[:5]}"),
        Promise("index emptied", rows[0] == rows[1], f"{rows[0]} rows before, {rows[1]} after"),
        Promise(
            "no copy left",
            len(left) <= unclaimed,
            f"{len(left)} temporary files, {unclaimed} refused by the queue: {list(left)[:5]}",
        ),
    ]


def as_table(figures: Figures, promises: Sequence[Promise]) -> str:
    """Figures and promises, to be printed."""
    lines = [f"{'action':<22}{'count':>7}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}   ms"]
    for kind, row in figures.percentiles().items():
        lines.append(
            f"{kind:<22}{row['count']:>7}{row['p50']:>9.0f}{row['p95']:>9.0f}{row['p99']:>9.0f}{row['max']:>9.0f}"
        )
    for title, counted in (("limits met", figures.limits), ("refused otherwise", figures.said)):
        lines.append(f"{title}: {sum(counted.values())}")
        lines += [f"  {times:>5} × {sentence}" for sentence, times in counted.most_common(12)]
    lines += [f"{'held  ' if one.held else 'BROKEN'} {one.name}: {one.detail}" for one in promises]
    return "\n".join(lines)


def say(line: str) -> None:
    """A line of the report, at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

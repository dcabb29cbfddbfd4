"""A run: visitors in threads use a page and delete everything at the end; then the promises are checked."""

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
from tests.load.papers import Marks
from tests.load.watch import Sample, hourly, thirds
from tests.server.visitor import Visitor

STILL = 0.1
"""The allowed growth of memory, threads and files from the middle third of a run to the last one.

It applies to medians and, for memory, also to minima, which show what is held while the server is nearly idle. Maxima
depend on which requests coincide. Ten minutes cannot show slower growth; a longer run detects slower growth.
"""
LAST = 300
"""Seconds after the end of a run within which all visitors can delete everything."""
SHORTEST = 180
"""Seconds below which growth is not judged."""


@dataclass(frozen=True)
class Promise:
    """A promise to visitors, and whether it held."""

    name: str
    held: bool
    detail: str


@dataclass
class Course:
    """The course of a run: number of visitors, duration, pace."""

    visitors: int
    seed: int
    seconds: float = 3600.0
    acts: int = 1_000_000
    pace: float = 1.0
    pictures: bool = True


def run(url: str, folder: Path, course: Course) -> Figures:
    """Play all visitors of a run; `folder` stores their papers."""
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
    """Search on `tabs` pages and close them.

    The server caches a limited number of last answers; once that cache is full, it does not grow.
    """
    visitor = Visitor(url)
    for _ in range(tabs):
        visitor.session = secrets.token_hex(6)
        visitor.search(SAMPLE_QUERIES[0])
    visitor.close()


def _guarded(street: Street, number: int, course: Course, until: float) -> None:
    try:
        live(Life(street, number, course.seed), until, course.acts)
    except BaseException as error:  # noqa: BLE001 - an error in a thread must be reported
        place = error.__traceback__
        while place is not None and place.tb_next is not None:
            place = place.tb_next
        where = f"{place.tb_frame.f_code.co_name}:{place.tb_lineno}" if place else ""
        street.figures.break_("no error", f"a visitor gave up at {where}: {type(error).__name__}: {error}")


def judged(figures: Figures) -> list[Promise]:
    """Return the promises that every run can check."""

    def so(name: str, well: str) -> Promise:
        broken = figures.broken.get(name, [])
        told = "; ".join(broken[:EXAMPLES])
        return Promise(name, not broken, f"{len(broken)} times: {told}" if broken else well)

    answers = f"{figures.requests:,} answers with {figures.octets / 1e6:,.0f} MB"
    return [
        so("no error", f"{answers}, none of them an error"),
        so("no cross-talk", f"no name, word or number of anybody else in {answers}"),
        so("nothing lost", "the Library always listed exactly what was acknowledged"),
        so("own pages found", "every page came first for its own words"),
        so("queue honest", queue(figures)),
    ]


def queue(figures: Figures) -> str:
    """Return the queue's estimates compared with the real waits."""
    said = "every event that was taken had an outcome, no place was lost"
    if figures.estimates:
        off = np.array([took - told for told, took in figures.estimates])
        said += f"; of {len(off)} waits that were estimated half were within {np.median(np.abs(off)):.1f} s"
    return said


def judged_growth(samples: Sequence[Sample], shipped: int) -> list[Promise]:
    """Check that memory, threads and open files do not grow and that files of deleted pages are closed.

    At most the `shipped` token files may be open after every visitor has left. A run that is too short is not judged.
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
        Promise("pages closed", last <= shipped, f"{last} token files open at the end, of {shipped} sample pages")
    )
    return lines


def judged_folders(
    before: set[str], after: set[str], left: Sequence[str], unclaimed: int, rows: tuple[int, int]
) -> list[Promise]:
    """Check that no visitor's data stays in the data folder, the temporary folder or Chroma.

    The janitor deletes copies of uploads that a full queue refused an hour later.
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
    """Return figures and promises as a table to print."""
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
    """Print a line of the report at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()

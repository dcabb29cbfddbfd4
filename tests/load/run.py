"""Run simulated visitors in threads against a page, and check the promises afterwards."""

from __future__ import annotations

import secrets
import threading
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.load.metrics import EXAMPLES, Metrics
from tests.load.process_monitor import Sample, hourly_growth, summarise_thirds
from tests.load.simulated_user import SAMPLE_QUERIES, RunPlan, RunState, SimulatedUser
from tests.server.visitor import Visitor

ALLOWED_GROWTH = 0.1
"""The allowed growth of memory, threads and files from the middle third of a run to the last one.

It applies to medians and, for memory, also to minima, which show what is held while the server is nearly idle. Maxima
depend on which requests coincide. Ten minutes cannot show slower growth; a longer run detects slower growth.
"""
CLEANUP_SECONDS = 300
"""Seconds after the end of a run within which all visitors can delete everything."""
MIN_GROWTH_SECONDS = 180
"""Seconds below which growth is not check_run."""


@dataclass(frozen=True)
class Promise:
    """A promise to visitors, and whether it held."""

    name: str
    held: bool
    detail: str


def run(url: str, folder: Path, plan: RunPlan) -> Metrics:
    """Run all visitors and return what they measured; `folder` stores their documents."""
    shared = RunState(url, folder, plan)
    metrics, until = shared.metrics, time.monotonic() + plan.seconds
    threads = [
        threading.Thread(target=_run_user, args=(shared, number, until), name=f"visitor {number}", daemon=True)
        for number in range(plan.visitors)
    ]
    for thread in threads:
        thread.start()
        time.sleep(0.2 * plan.pace)
    for thread in threads:
        thread.join(max(0.0, until + CLEANUP_SECONDS - time.monotonic()))
        if thread.is_alive():
            metrics.record_broken("queue honest", f"{thread.name} still waits {CLEANUP_SECONDS} s after the end")
    return metrics


def fill_answer_cache(url: str, tabs: int) -> None:
    """Search on `tabs` pages and close them.

    The server caches a limited number of last answers; once that cache is full, it does not grow.
    """
    visitor = Visitor(url)
    for _ in range(tabs):
        visitor.session = secrets.token_hex(6)
        visitor.search(SAMPLE_QUERIES[0])
    visitor.close()


def _run_user(shared: RunState, number: int, until: float) -> None:
    try:
        SimulatedUser(shared, number).run(until)
    except BaseException:  # noqa: BLE001 - an error in a thread must be reported
        shared.metrics.record_broken("no error", f"a visitor gave up: {traceback.format_exc(limit=-1)}")


def check_run(metrics: Metrics) -> list[Promise]:
    """Return the promises that every run can check."""

    def promise(name: str, detail: str) -> Promise:
        broken = metrics.broken.get(name, [])
        return Promise(name, not broken, f"{len(broken)} times: {'; '.join(broken[:EXAMPLES])}" if broken else detail)

    answers = f"{metrics.requests:,} answers with {metrics.checked_bytes / 1e6:,.0f} MB"
    queue = "every event that was taken had an outcome, no place was lost"
    if metrics.estimates:
        off = np.median([abs(taken - estimate) for estimate, taken in metrics.estimates])
        queue += f"; of {len(metrics.estimates)} waits that were estimated half were within {off:.1f} s"
    return [
        promise("no error", f"{answers}, none of them an error"),
        promise("no cross-talk", f"no name, word or number of another visitor in {answers}"),
        promise("nothing lost", "the Library always listed exactly what was acknowledged"),
        promise("own pages found", "every page came first for its own words"),
        promise("queue honest", queue),
    ]


def check_growth(samples: Sequence[Sample], shipped: int) -> list[Promise]:
    """Check that memory, threads and open files do not grow and that files of deleted pages are closed.

    At most the `shipped` token files may be open after every visitor has left. A run that is too short is not judged.
    """
    if not samples or samples[-1].at < MIN_GROWTH_SECONDS:
        return []
    own = summarise_thirds(samples, "own")
    flat = all(own[2][which] <= own[1][which] * (1 + ALLOWED_GROWTH) for which in ("median", "min"))
    medians = ", ".join(f"{third['median']:.0f} (at least {third['min']:.0f})" for third in own)
    slope = f"the slope is {hourly_growth(samples):+.0f} MB an hour"
    promises = [Promise("memory flat", flat, f"medians by thirds {medians} MB; {slope}")]
    for name in ("threads", "files"):
        parts = summarise_thirds(samples, name)
        held = parts[2]["median"] <= parts[1]["median"] * (1 + ALLOWED_GROWTH) + 5
        medians = ", ".join(str(third["median"]) for third in parts)
        promises.append(Promise(f"{name} flat", held, f"median by thirds {medians}"))
    last = samples[-1].pages
    detail = f"{last} token files open at the end, of {shipped} sample pages"
    return [*promises, Promise("pages closed", last <= shipped, detail)]


def check_folders(
    before: set[str], after: set[str], left: Sequence[str], unclaimed: int, rows: tuple[int, int]
) -> list[Promise]:
    """Check that no visitor's data stays in the data folder, the temporary folder or Chroma.

    Copies of uploads that a full queue refused expire after an hour.
    """
    more, less = sorted(after - before), sorted(before - after)
    copies = f"{len(left)} temporary files, {unclaimed} refused by the queue: {list(left)[:5]}"
    return [
        Promise("everything forgotten", not more and not less, f"left: {more[:5]}, missing: {less[:5]}"),
        Promise("index emptied", rows[0] == rows[1], f"{rows[0]} rows before, {rows[1]} after"),
        Promise("no copy left", len(left) <= unclaimed, copies),
    ]

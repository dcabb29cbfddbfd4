"""The real server under load: `python -m tests.load --minutes 10 --visitors 20 --seed 1`. Exit 1: a promise broke."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from smart_demo.config import SAMPLE_DOCUMENTS
from smart_demo.ui.theme import MAX_SESSIONS
from tests.apps import App
from tests.load.metrics import Metrics
from tests.load.process_monitor import ProcessMonitor, count_index_rows, stored_files, summarise_thirds
from tests.load.run import Promise, check_folders, check_growth, check_run, fill_answer_cache, run
from tests.load.simulated_user import RunPlan
from tests.sample_library import copy_sample_library

REPORT = Path(__file__).resolve().parents[2] / "build" / "load.json"


def main() -> int:
    """Return 0 if every promise held."""
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000), help="random by default")
    options = parser.parse_args()
    faulthandler.register(signal.SIGUSR1)  # prints the stack of every visitor's thread
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # for the client in this process
    with tempfile.TemporaryDirectory(prefix="smart-load-") as name:
        folder = Path(name)
        data, uploads = folder / "data", folder / "uploads"
        copy_sample_library(data)
        uploads.mkdir()
        before, rows = stored_files(data), count_index_rows(data)
        # Small, so that visitors meet the limits and the caches are full before growth is measured.
        limits = {"SMART_LIBRARY_PAGES": "15", "SMART_WAITING_FILES": "8", "SMART_RESIDENT_MB": "32"}
        app = App(data, SAMPLE_DOCUMENTS, SMART_PUBLIC="on", GRADIO_TEMP_DIR=str(uploads), **limits)
        app.start()
        fill_answer_cache(app.url, MAX_SESSIONS)
        monitor = ProcessMonitor(app.pid)
        monitor.start()
        try:
            plan = RunPlan(options.visitors, options.seed, options.minutes * 60)
            metrics = run(app.url, folder / "documents", plan)
            samples = monitor.stop()
            left = [str(path.relative_to(uploads)) for path in uploads.rglob("*") if path.is_file()]
            after = stored_files(data)
        finally:
            app.stop()
            sys.stdout.write(app.log + "\n")
        if app.log.strip():
            metrics.record_broken("no error", f"the log: {app.log[-300:]}")
        promises = [*check_run(metrics), *check_growth(samples, rows)]
        promises += check_folders(before, after, left, metrics.unclaimed, (rows, count_index_rows(data)))
    thirds = {name: summarise_thirds(samples, name) for name in ("resident", "own", "threads", "files", "pages")}
    report = vars(options) | {
        "milliseconds": metrics.percentiles(),
        "requests": metrics.requests,
        "limits": metrics.limits,
        "refused": metrics.refusals,
        "server": thirds,
        "broken": metrics.broken,
        "promises": [asdict(promise) for promise in promises],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1), encoding="utf-8")
    lines = as_table(metrics, promises)
    for name, parts in thirds.items():
        lines.append(
            f"{name:<9} by thirds (min, median, max): {', '.join(str(tuple(part.values())) for part in parts)}"
        )
    lines.append(f"seed {options.seed}, {metrics.requests:,} answers; all of it in {REPORT.name}")
    sys.stdout.write("\n".join(lines) + "\n")
    return 0 if all(promise.held for promise in promises) else 1


def as_table(metrics: Metrics, promises: Sequence[Promise]) -> list[str]:
    """Return the lines of a table of durations, limits and promises."""
    lines = [f"{'action':<22}{'count':>7}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}   ms"]
    for kind, row in metrics.percentiles().items():
        numbers = "".join(f"{row[name]:>9.0f}" for name in ("p50", "p95", "p99", "max"))
        lines.append(f"{kind:<22}{row['count']:>7}{numbers}")
    for title, counted in (("limits met", metrics.limits), ("refused otherwise", metrics.refusals)):
        lines.append(f"{title}: {sum(counted.values())}")
        lines += [f"  {times:>5} × {sentence}" for sentence, times in counted.most_common(12)]
    return [*lines, *(f"{'held  ' if one.held else 'BROKEN'} {one.name}: {one.detail}" for one in promises)]


if __name__ == "__main__":
    raise SystemExit(main())

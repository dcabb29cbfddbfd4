"""The real server under load: `python -m tests.load --minutes 10 --visitors 20 --seed 1`. Exit 1: a promise broke."""

from __future__ import annotations

import argparse
import faulthandler
import json
import os
import signal
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from smart_demo.config import SAMPLE_DOCUMENTS
from smart_demo.ui.theme import MAX_SESSIONS
from tests.apps import App
from tests.load.figures import Figures
from tests.load.life import fresh_seed
from tests.load.run import Course, Promise, as_table, fill, judged, judged_folders, judged_growth, run, say
from tests.load.watch import Sample, Watch, hourly, indexed, stored, thirds
from tests.sample_library import copy_sample_library

REPORT = Path(__file__).resolve().parents[2] / "build" / "load.json"


def main() -> int:
    """Return 0 if every promise held."""
    options = _options()
    faulthandler.register(signal.SIGUSR1)  # prints the stack of every visitor's thread
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"  # for the client in this process
    with tempfile.TemporaryDirectory(prefix="smart-load-") as name:
        folder = Path(name)
        data, uploads = folder / "data", folder / "uploads"
        copy_sample_library(data)
        uploads.mkdir()
        before, rows = stored(data), indexed(data)
        # Small, so that visitors meet the limits and the caches are full before growth is measured.
        limits = {"SMART_LIBRARY_PAGES": "15", "SMART_WAITING_FILES": "8", "SMART_RESIDENT_MB": "32"}
        app = App(data, SAMPLE_DOCUMENTS, SMART_PUBLIC="on", GRADIO_TEMP_DIR=str(uploads), **limits)
        app.start()
        fill(app.url, MAX_SESSIONS)
        watch = Watch(app.pid)
        watch.start()
        try:
            course = Course(options.visitors, options.seed, options.minutes * 60)
            figures = run(app.url, folder / "papers", course)
            samples = watch.stop()
            left = [str(path.relative_to(uploads)) for path in uploads.rglob("*") if path.is_file()]
            after = stored(data)
        finally:
            app.stop()
            say(app.log)
        if app.log.strip():
            figures.break_("no error", f"the log: {app.log[-300:]}")
        promises = [
            *judged(figures), *judged_growth(samples, rows),
            *judged_folders(before, after, left, figures.unclaimed, (rows, indexed(data))),
        ]  # fmt: skip
    return _report(options, figures, samples, promises)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.load", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--visitors", type=int, default=20)
    parser.add_argument("--seed", type=int, default=None, help="the same visitors again; drawn where left out")
    options = parser.parse_args()
    options.seed = fresh_seed() if options.seed is None else options.seed
    return options


def _report(options: argparse.Namespace, figures: Figures, samples: list[Sample], promises: list[Promise]) -> int:
    server = (
        {name: thirds(samples, name) for name in ("resident", "own", "threads", "files", "pages")} if samples else {}
    )
    report = {
        "seed": options.seed,
        "ran": {
            "minutes": options.minutes,
            "visitors": options.visitors,
            "backbone": "minilm",
            "at": time.time(),
            "machine_load": os.getloadavg(),
        },
        "milliseconds": figures.percentiles(),
        "requests": figures.requests,
        "limits": dict(figures.limits),
        "refused": dict(figures.said),
        "estimates": len(figures.estimates),
        "server": server | ({"hourly_mb": round(hourly(samples), 1)} if len(samples) > 40 else {}),
        "curve": [[round(one.at), round(one.own), one.pages] for one in samples[:: max(1, len(samples) // 120)]],
        "broken": dict(figures.broken),
        "promises": [asdict(promise) for promise in promises],
    }
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report, indent=1), encoding="utf-8")
    say(as_table(figures, promises))
    for name, parts in server.items():
        say(f"{name:<9} by thirds (min, median, max): {', '.join(str(tuple(part.values())) for part in parts)}")
    say(f"seed {options.seed}, {figures.requests:,} answers; all of it in {REPORT.name}")
    return 0 if all(promise.held for promise in promises) else 1


if __name__ == "__main__":
    raise SystemExit(main())

"""Time from the start of the process to the first page, over an encoded sample library."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from smart_demo.config import REPOSITORY, SAMPLE_DOCUMENTS
from tests.apps import App
from tests.bench.harness import Goal

BOUND, RUNS = 10.0, 3
"""Seconds that the page may take, and the number of timed starts."""


def measure_start() -> list[Goal]:
    """Measure `start.first_page`; the first start finds every sample encoded, as after `make demo`."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        app = App(Path(name) / "data", SAMPLE_DOCUMENTS, SMART_PUBLIC="0", OMP_NUM_THREADS=str(os.cpu_count()))
        command = [sys.executable, "-m", "smart_demo", "samples"]
        subprocess.run(command, cwd=REPOSITORY, env=app.env, check=True, capture_output=True)
        taken = [_time_start(app) for _ in range(RUNS)]
    return [Goal("start.first_page", "process start to the page, the sample library encoded", median(taken), BOUND)]


def _time_start(app: App) -> float:
    """Return the seconds from the start of the process to the page."""
    begun = time.perf_counter()
    app.start()
    taken = time.perf_counter() - begun
    app.stop()
    return taken

"""Time from the start of the process to the first page over an encoded library, and to the first answer over none."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from statistics import median

from smart_demo.config import REPOSITORY, SAMPLE_DOCUMENTS
from tests.apps import App
from tests.bench.harness import Goal

QUERY = "What does the warranty of the Petrel 3 cover?"
BOUND, RUNS = 10.0, 3
"""Seconds that the page and the answer may take, and the number of timed starts."""


def measure_start() -> list[Goal]:
    """Measure `start.first_page` with every sample encoded, and `start.first_answer` with an empty data folder."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        app = App(Path(name) / "data", SAMPLE_DOCUMENTS, SMART_PUBLIC="0", OMP_NUM_THREADS=str(os.cpu_count()))
        command = [sys.executable, "-m", "smart_demo", "samples"]
        subprocess.run(command, cwd=REPOSITORY, env=app.env, check=True, capture_output=True)
        taken = [_time_start(app) for _ in range(RUNS)]
        answers = []
        for run in range(RUNS):
            fresh = App(Path(name) / f"fresh-{run}", SAMPLE_DOCUMENTS, OMP_NUM_THREADS=str(os.cpu_count()))
            answers.append(_time_start(fresh, _wait_for_answer))
    return [
        Goal("start.first_page", "process start to the page, the sample library encoded", median(taken), BOUND),
        Goal("start.first_answer", "first start to the first sample query answered", median(answers), BOUND),
    ]


def _wait_for_answer(app: App) -> None:
    """Ask the endpoint for programs until it answers from the samples."""
    address, data = f"{app.url}/gradio_api/call/search", json.dumps({"data": [QUERY, 5]}).encode()
    while True:
        request = urllib.request.Request(address, data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as response:
            event = json.load(response)["event_id"]
        with urllib.request.urlopen(f"{address}/{event}", timeout=60) as response:
            if b"event: complete" in response.read():
                return
        time.sleep(0.1)


def _time_start(app: App, wait: Callable[[App], None] = lambda _: None) -> float:
    """Return the seconds from the start of the process to the page, and to the end of `wait` after that."""
    begun = time.perf_counter()
    app.start()
    wait(app)
    taken = time.perf_counter() - begun
    app.stop()
    return taken

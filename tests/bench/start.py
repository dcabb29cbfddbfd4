"""Time from the start of the process to the first page, over an encoded sample library."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path
from statistics import median

from smart_demo.config import REPOSITORY
from tests.bench.harness import Goal

BOUND, RUNS, TIMEOUT = 10.0, 3, 120.0
"""Seconds that the page may take, number of timed starts, seconds after which a start has failed."""


def measure_start() -> list[Goal]:
    """Measure `start.first_page`; the first start finds every sample encoded, as after `make demo`."""
    with tempfile.TemporaryDirectory(prefix="smart-demo-bench-") as name:
        environment = os.environ | {"SMART_DATA_DIR": name, "SMART_BACKBONE": "minilm", "SMART_PUBLIC": "0"}
        command = [sys.executable, "-m", "smart_demo", "samples"]
        subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True)
        taken = [time_first_page(environment) for _ in range(RUNS)]
    return [Goal("start.first_page", "process start to the page, the sample library encoded", median(taken), BOUND)]


def time_first_page(environment: dict[str, str]) -> float:
    """Start the app and return the seconds until the page answers. Raises RuntimeError if it never does."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    begun = time.perf_counter()
    with tempfile.TemporaryFile() as log:
        app = subprocess.Popen(
            [sys.executable, "app.py"],
            cwd=REPOSITORY,
            env=environment | {"GRADIO_SERVER_PORT": str(port)},
            stdout=log,
            stderr=log,
        )
        try:
            while time.perf_counter() - begun < TIMEOUT and app.poll() is None:
                if _is_ready(port):
                    return time.perf_counter() - begun
                time.sleep(0.02)
            log.seek(0)
            raise RuntimeError(f"no page came: {log.read().decode(errors='replace')[-500:]}")
        finally:
            app.send_signal(signal.SIGTERM)
            app.wait(TIMEOUT)


def _is_ready(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=TIMEOUT) as page:
            return b"gradio" in page.read()
    except OSError:
        return False


def main(folder: Path) -> None:
    """Time one start over a data folder and print the seconds."""
    environment = os.environ | {"SMART_DATA_DIR": str(folder), "SMART_PUBLIC": "0"}
    sys.stdout.write(f"{time_first_page(environment):.2f} s\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Worker processes watched from outside, and the results of a run."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.fuzz.attempt import ALIVE, LIMITS, MOST_SECONDS, NAME, PROMISES, QUICK

ROOT = Path(__file__).resolve().parents[2]
LINE = re.compile(r"[\w/]+:\d+")
KILL_SECONDS = 2 * MOST_SECONDS
"""Seconds on one file after which a worker is killed."""


@dataclass(frozen=True)
class CampaignPlan:
    """What to run: seconds, or trials per worker."""

    seed: int
    workers: int = 2
    seconds: float = 0
    executions: int = 0
    failures: Path = ROOT / "build" / "fuzz-failures"
    found: Path = ROOT / "build" / "fuzz-corpus"


@dataclass
class Progress:
    """Results that the workers have reported so far."""

    counts: dict[int, dict[str, Any]] = field(default_factory=dict)
    """The last counts of each process, by process."""
    known: set[str] = field(default_factory=set)
    """Behaviours and lines of the files to begin with."""
    found: set[str] = field(default_factory=set)
    """Behaviours and lines that damaged files added."""
    kept: int = 0
    failures: dict[str, dict[str, str]] = field(default_factory=dict)
    """The first file that broke each promise, by promise and place."""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def record_failure(self, plan: CampaignPlan, promise: str, detail: str, content: bytes) -> None:
        """Record a broken promise, once for each place in the code, and store the file."""
        place = promise + (detail.strip().splitlines() or [""])[-1][:80]
        with self.lock:
            if place in self.failures:
                return
            name = hashlib.sha256(content).hexdigest()[:16]
            self.failures[place] = {"promise": promise, "detail": detail, "file": f"{name}.bin"}
        plan.failures.mkdir(parents=True, exist_ok=True)
        (plan.failures / f"{name}.bin").write_bytes(content)
        (plan.failures / f"{name}.txt").write_text(f"{promise}\n\n{detail}\n")


def run(plan: CampaignPlan) -> dict[str, Any]:
    """Run the campaign and return its results, as build/fuzz.json stores them."""
    progress, began = Progress(), time.monotonic()
    plan.found.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="smart-fuzz-") as folder:
        threads = [
            threading.Thread(target=_run_worker, args=(plan, progress, Path(folder, str(index)), index))
            for index in range(plan.workers)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return _figures(plan, progress, time.monotonic() - began)


def _run_worker(plan: CampaignPlan, progress: Progress, folder: Path, index: int) -> None:
    """Run one worker until the time is over; start it again each time a file ended it."""
    folder.mkdir()
    end, starts = time.monotonic() + plan.seconds, 0
    while starts == 0 or time.monotonic() < end:
        if _run_process(plan, progress, folder, f"{plan.seed}-{index}-{starts}", end - time.monotonic()):
            return
        starts += 1


def _run_process(plan: CampaignPlan, progress: Progress, folder: Path, seed: str, seconds: float) -> bool:
    """Run one worker process; return whether it ended by itself."""
    command = [sys.executable, "-m", "tests.fuzz.worker", str(folder), str(plan.found), "--seed", seed]
    command += ["--executions", str(plan.executions)] if plan.executions else ["--seconds", str(seconds)]
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    errors = folder / "errors"
    with (
        errors.open("w") as stderr,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=stderr, text=True) as worker,
    ):
        watch = threading.Thread(target=_watch, args=(plan, progress, folder, worker))
        watch.start()
        assert worker.stdout
        for line in worker.stdout:
            _record(plan, progress, worker.pid, json.loads(line))
    watch.join()
    if worker.returncode == 0:
        return True
    last = errors.read_text()[-2_000:]
    progress.record_failure(plan, ALIVE, f"{last}\nended with {worker.returncode}", _current_file(folder))
    return False


def _watch(plan: CampaignPlan, progress: Progress, folder: Path, worker: subprocess.Popen[str]) -> None:
    """Kill a worker that has been at one file for too long."""
    while True:
        try:
            worker.wait(1)
        except subprocess.TimeoutExpired:
            path = folder / NAME
            if path.exists() and time.time() - path.stat().st_mtime > KILL_SECONDS:
                progress.record_failure(plan, QUICK, f"more than {KILL_SECONDS} s", _current_file(folder))
                worker.kill()
        else:
            return


def _current_file(folder: Path) -> bytes:
    path = folder / NAME
    return path.read_bytes() if path.exists() else b""


def _record(plan: CampaignPlan, progress: Progress, worker: int, message: dict[str, Any]) -> None:
    if "broken" in message:
        progress.record_failure(plan, message["broken"], message["detail"], bytes.fromhex(message["content"]))
    elif "known" in message:
        progress.known |= set(message["known"])
    elif "new" in message:
        progress.found |= set(message["new"])
        progress.kept += 1
    else:
        progress.counts[worker] = message


def _split(known: set[str]) -> dict[str, int]:
    """Count what is known: lines, written `module:line`, and outcomes."""
    lines = sum(bool(LINE.fullmatch(one)) for one in known)
    return {"outcomes": len(known) - lines, "lines": lines}


def _figures(plan: CampaignPlan, progress: Progress, seconds: float) -> dict[str, Any]:
    counts = progress.counts.values()
    outcomes: Counter[str] = Counter()
    for count in counts:
        outcomes.update(count["outcomes"])
    executions = sum(count["executions"] for count in counts)
    slowest, name = max(((count["seconds"], count["slowest"]) for count in counts), default=(0.0, ""))
    found = progress.found - progress.known
    broken = {promise: [one for one in progress.failures.values() if one["promise"] == promise] for promise in PROMISES}
    return {
        "seed": plan.seed,
        "workers": plan.workers,
        "minutes": round(seconds / 60, 2),
        "limits": {name: getattr(LIMITS, name) for name in LIMITS.__slots__},
        "executions": executions,
        "executions_per_second": round(executions / seconds, 1),
        "outcomes": dict(outcomes.most_common()),
        "begun_with": _split(progress.known),
        "found": _split(found),
        "files_kept": progress.kept,
        "peak_mb": round(max((count["peak"] for count in counts), default=0) / 1e6),
        "slowest": {"seconds": round(slowest, 2), "file": name},
        "failures": list(progress.failures.values()),
        "promises": [
            {
                "name": promise,
                "held": not broken[promise],
                "detail": "; ".join(
                    f"{one['file']}: {one['detail'].strip().splitlines()[-1]}" for one in broken[promise]
                ),
            }
            for promise in PROMISES
        ],
    }

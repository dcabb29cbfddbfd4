"""The server's use of memory, threads and open files, and the content of its folders."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil


@dataclass(frozen=True)
class Sample:
    """One measurement of a process and its children."""

    at: float
    """Seconds since the first measurement."""
    resident: float
    """MB of memory, including mapped files."""
    own: float
    """MB of memory without mapped files: what the process itself holds."""
    threads: int
    files: int
    """Open files, including sockets, without token files."""
    pages: int = 0
    """Open token files of pages, which stay open while they are mapped."""


class ProcessMonitor(threading.Thread):
    """Measures a process every few seconds until it is stopped."""

    def __init__(self, pid: int, every: float = 2.0) -> None:
        super().__init__(name="watch", daemon=True)
        self.process, self.every, self.over = psutil.Process(pid), every, threading.Event()
        self.samples: list[Sample] = []

    def run(self) -> None:
        begun = time.monotonic()
        while not self.over.wait(self.every):
            self.samples.append(self.measure(time.monotonic() - begun))
        self.samples.append(self.measure(time.monotonic() - begun))

    def stop(self) -> list[Sample]:
        """Return all measurements, with a last one made now."""
        self.over.set()
        self.join(30)
        return self.samples

    def measure(self, at: float) -> Sample:
        resident = own = 0.0
        program = _program(self.process.pid)
        for process in [self.process, *self.process.children(recursive=True)]:
            if process != self.process and _program(process.pid) == program:
                continue  # before exec its memory is its parent's
            whole, anonymous = _memory(process.pid)
            resident, own = resident + whole, own + anonymous
        files, pages = _open_files(self.process.pid)
        return Sample(at, resident, own, self.process.num_threads(), files, pages)


def _program(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(encoding="utf-8")
    except OSError:
        return ""


def _memory(pid: int) -> tuple[float, float]:
    """Return the proportional MB of a process, and those without mapped files. Zeros if it has ended."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()[1:]
    except OSError:
        return 0.0, 0.0
    said = {name: int(rest.split()[0]) * 1024 / 1e6 for name, _, rest in (line.partition(":") for line in lines)}
    return said.get("Pss", 0.0), said.get("Pss_Anon", 0.0)


def _open_files(pid: int) -> tuple[int, int]:
    """Return the number of open files and of open token files, including deleted ones."""
    links = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed since the listing
            links.append(os.readlink(link))
    pages = sum("/tokens/" in link for link in links)
    return len(links) - pages, pages


def summarise_thirds(samples: Sequence[Sample], field: str) -> list[dict[str, float]]:
    """Return minimum, median and maximum of each third of a run."""
    values = [float(getattr(sample, field)) for sample in samples]
    parts = np.array_split(np.array(values), 3)
    return [
        {name: round(float(of(part)), 1) for name, of in (("min", np.min), ("median", np.median), ("max", np.max))}
        for part in parts
        if part.size
    ]


def hourly_growth(samples: Sequence[Sample], after: float = 0.3) -> float:
    """Return the growth of held memory in MB an hour after the first part of a run.

    It is the slope of a line through the minimum of each twentieth of the run, so that short peaks are no growth.
    """
    late = samples[int(len(samples) * after) :]
    parts = [part for part in np.array_split(np.arange(len(late)), 20) if part.size]
    least = [min((late[at] for at in part), key=lambda sample: sample.own) for part in parts]
    slope, _ = np.polyfit([sample.at for sample in least], [sample.own for sample in least], 1)
    return float(slope * 3600)


def stored_files(data: Path) -> set[str]:
    """Return the files with any visitor's data, except the index."""
    return {
        str(path.relative_to(data))
        for path in data.rglob("*")
        if path.is_file() and path.relative_to(data).parts[0] != "index" and path.name != "lock"
    }


def count_index_rows(data: Path) -> int:
    """Return the number of Chroma's rows after its owner process has ended."""
    count = 0
    for file in (data / "index").glob("*/chroma.sqlite3"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as rows:
            (found,) = rows.execute("select count(*) from embeddings").fetchone()
        count += int(found)
    return count

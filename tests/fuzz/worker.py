"""A process that damages and tries one file after another; the campaign starts `python -m tests.fuzz.worker`.

Every file is written to the worker's folder before it is tried, so it survives if it ends the process. Results are
reported in lines of JSON: counts once a second, new behaviours and broken promises at once.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from random import Random

from smart_demo.ingest import sandbox
from tests.fuzz import coverage
from tests.fuzz.attempt import NAME, Outcome, attempt_file
from tests.fuzz.damage import damaged
from tests.fuzz.seeds import load_corpus, make_seeds

SLOW = 1.5
"""Seconds above which a file is no seed: the hour would be spent on few files."""
DOCUMENTS = 0.12
"""Share of trials that are PDFs: each starts a dozen programs and takes as long as fifty pictures."""


class Worker:
    """Tries files until it is stopped. The same seed tries the same files, as long as it works alone."""

    def __init__(self, folder: Path, found: Path, seed: str) -> None:
        self.input, self.found, self.rng = folder / NAME, found, Random(seed)
        self.known: set[str] = set()
        self.pool: list[tuple[bytes, bool, bool]] = []
        """The bytes of every file worth damaging, whether it is a PDF, and whether it gave pages."""
        self.names: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.slowest, self.peak, self.executions = (0.0, ""), 0, 0

    def try_seeds(self, files: Iterable[bytes]) -> None:
        """Try files to begin with as they are."""
        for content in files:
            self.add_to_pool(content, self.try_file(content), fresh=False)
        self.report(known=sorted(self.known))

    def fuzz(self, seconds: float, executions: int) -> None:
        """Damage and try files for `seconds`, or `executions` times, whichever is given."""
        end, reported = time.monotonic() + seconds, 0.0
        executions += self.executions if executions else 0
        while (self.executions < executions) if executions else (time.monotonic() < end):
            content = damaged(self.choose(), self.contents, self.rng)
            self.add_to_pool(content, self.try_file(content), fresh=True)
            if time.monotonic() - reported > 1:
                reported = time.monotonic()
                self.report_counts()
                self.load_found()
        self.report_counts()

    def choose(self) -> bytes:
        """Choose a file to damage. Files that gave pages and recent finds are more likely."""
        document, good = self.rng.random() < DOCUMENTS, self.rng.random() < 0.7
        fitting = [content for content, *facts in self.pool if facts == [document, good]]
        fitting = fitting[-40:] if self.rng.random() < 0.5 else fitting
        return self.rng.choice(fitting or self.contents)

    @property
    def contents(self) -> list[bytes]:
        return [content for content, *_ in self.pool]

    def try_file(self, content: bytes) -> Outcome:
        self.input.write_bytes(content)
        outcome = attempt_file(self.input)
        self.executions += 1
        self.counts[outcome.kind] += 1
        self.slowest = max(self.slowest, (outcome.seconds, _name(content)))
        self.peak = max(self.peak, outcome.peak)
        for promise, detail in outcome.broken:
            self.report(broken=promise, detail=detail, behaviour=outcome.behaviour, content=content.hex())
        return outcome

    def add_to_pool(self, content: bytes, outcome: Outcome, *, fresh: bool) -> None:
        """Store a file with a new behaviour. A broken promise is reported, and its file is not damaged further."""
        new = {outcome.behaviour, *outcome.lines} - self.known
        self.known |= new
        if outcome.broken or outcome.seconds > SLOW or (fresh and not new):
            return
        self.pool.append((content, b"%PDF-" in content[:1_024], outcome.kind != "refused"))
        self.names.add(_name(content))
        if fresh:
            (self.found / _name(content)).write_bytes(content)
            self.report(new=sorted(new))

    def load_found(self) -> None:
        """Add the files that the other workers found."""
        for path in sorted(self.found.iterdir()):
            if path.name not in self.names:
                self.names.add(path.name)
                content = path.read_bytes()
                self.pool.append((content, b"%PDF-" in content[:1_024], True))

    def report_counts(self) -> None:
        counts = {"executions": self.executions, "outcomes": dict(self.counts), "peak": self.peak}
        self.report(**counts, seconds=self.slowest[0], slowest=self.slowest[1])

    def report(self, **fields: object) -> None:
        sys.stdout.write(json.dumps(fields) + "\n")
        sys.stdout.flush()


def _name(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16] + ".bin"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("found", type=Path)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--seconds", type=float, default=0)
    parser.add_argument("--executions", type=int, default=0)
    options = parser.parse_args()
    logging.disable()
    sandbox.PROGRAM = coverage.PROGRAM
    tempfile.tempdir = str(options.folder / "tmp")
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    Path(tempfile.tempdir).mkdir()
    worker = Worker(options.folder, options.found, options.seed)
    # A short run begins with the made files only, since `tests/fuzz/test_fuzz.py` replays the stored ones.
    worker.try_seeds(make_seeds() if options.executions else (*make_seeds(), *load_corpus()))
    worker.fuzz(options.seconds, options.executions)


if __name__ == "__main__":
    main()

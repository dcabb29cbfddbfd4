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
from tests.fuzz import tracing
from tests.fuzz.mutations import damaged
from tests.fuzz.seeds import kept, made
from tests.fuzz.trial import NAME, Trial, attempt

INPUT = NAME
SLOW = 1.5
"""Seconds above which a file is no seed: the hour would be spent on few files."""
DOCUMENTS = 0.12
"""Share of trials that are PDFs: each starts a dozen programs and takes as long as fifty pictures."""


class Worker:
    """Tries files until it is stopped. The same seed tries the same files, as long as it works alone."""

    def __init__(self, folder: Path, found: Path, seed: str) -> None:
        self._input, self._found, self._rng = folder / INPUT, found, Random(seed)
        self._known: set[str] = set()
        self._pool: list[tuple[bytes, bool, bool]] = []
        """The bytes of every file worth damaging, whether it is a PDF, and whether it gave pages."""
        self._names: set[str] = set()
        self._counts: Counter[str] = Counter()
        self._slowest, self._peak, self._executions = (0.0, ""), 0, 0

    def begin(self, files: Iterable[bytes]) -> None:
        """Try files to begin with as they are."""
        for content in files:
            self._take(content, self._try(content), fresh=False)
        self._say(known=sorted(self._known))

    def go_on(self, seconds: float, executions: int) -> None:
        """Damage and try files for `seconds`, or `executions` times, whichever is given."""
        end, told = time.monotonic() + seconds, 0.0
        executions += self._executions if executions else 0
        while (self._executions < executions) if executions else (time.monotonic() < end):
            content = damaged(self._chosen(), self._others, self._rng)
            self._take(content, self._try(content), fresh=True)
            if time.monotonic() - told > 1:
                told = time.monotonic()
                self._tell()
                self._learn()
        self._tell()

    def _chosen(self) -> bytes:
        """Choose a file to damage. Files that gave pages and recent finds are more likely."""
        document, good = self._rng.random() < DOCUMENTS, self._rng.random() < 0.7
        fitting = [content for content, *facts in self._pool if facts == [document, good]]
        fitting = fitting[-40:] if self._rng.random() < 0.5 else fitting
        return self._rng.choice(fitting or self._others)

    @property
    def _others(self) -> list[bytes]:
        return [content for content, *_ in self._pool]

    def _try(self, content: bytes) -> Trial:
        self._input.write_bytes(content)
        trial = attempt(self._input)
        self._executions += 1
        self._counts[trial.kind] += 1
        self._slowest = max(self._slowest, (trial.seconds, _name(content)))
        self._peak = max(self._peak, trial.peak)
        for promise, detail in trial.broken:
            self._say(broken=promise, detail=detail, behaviour=trial.behaviour, content=content.hex())
        return trial

    def _take(self, content: bytes, trial: Trial, *, fresh: bool) -> None:
        """Store a file with a new behaviour. A broken promise is reported, and its file is not damaged further."""
        new = {trial.behaviour, *trial.lines} - self._known
        self._known |= new
        if trial.broken or trial.seconds > SLOW or (fresh and not new):
            return
        self._pool.append((content, b"%PDF-" in content[:1_024], trial.kind != "refused"))
        self._names.add(_name(content))
        if fresh:
            (self._found / _name(content)).write_bytes(content)
            self._say(new=sorted(new))

    def _learn(self) -> None:
        """Add the files that the other workers found."""
        for path in sorted(self._found.iterdir()):
            if path.name not in self._names:
                self._names.add(path.name)
                content = path.read_bytes()
                self._pool.append((content, b"%PDF-" in content[:1_024], True))

    def _tell(self) -> None:
        counts = {"executions": self._executions, "outcomes": dict(self._counts), "peak": self._peak}
        self._say(**counts, seconds=self._slowest[0], slowest=self._slowest[1])

    def _say(self, **fields: object) -> None:
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
    sandbox.PROGRAM = tracing.PROGRAM
    tempfile.tempdir = str(options.folder / "tmp")
    shutil.rmtree(tempfile.tempdir, ignore_errors=True)
    Path(tempfile.tempdir).mkdir()
    worker = Worker(options.folder, options.found, options.seed)
    # A short run begins with the made files only, since `tests/fuzz/test_fuzz.py` replays the stored ones.
    worker.begin(made() if options.executions else (*made(), *kept()))
    worker.go_on(options.seconds, options.executions)


if __name__ == "__main__":
    main()

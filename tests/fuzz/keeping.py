"""The small stored corpus: the fewest and smallest files that together show every behaviour that was found."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from smart_demo.ingest import sandbox
from tests.fuzz import tracing
from tests.fuzz.seeds import CORPUS
from tests.fuzz.trial import NAME, attempt

LARGEST = 60_000
MOST_BYTES = 1_500_000
MOST_DOCUMENTS = 40
"""Each PDF starts a dozen programs, and `make test` replays all of them."""
SLOWEST = 1.0
"""Seconds that a stored file may take."""


def keep(found: Path) -> str:
    """Choose the corpus again from itself and `found`; return a sentence with the figures."""
    sandbox.PROGRAM = tracing.PROGRAM
    behaviours: dict[bytes, set[str]] = {}
    with tempfile.TemporaryDirectory(prefix="smart-keep-") as folder:
        path = Path(folder, NAME)
        Path(folder, "tmp").mkdir()
        tempfile.tempdir = str(Path(folder, "tmp"))
        for source in sorted([*CORPUS.glob("*.bin"), *found.glob("*.bin")]):
            content = source.read_bytes()
            path.write_bytes(content)
            trial = attempt(path)
            if len(content) <= LARGEST and trial.seconds < SLOWEST and not trial.broken:
                behaviours[content] = {trial.behaviour, *trial.lines}
        tempfile.tempdir = None
    chosen = _cover(behaviours)
    CORPUS.mkdir(exist_ok=True)
    for old in CORPUS.glob("*.bin"):
        old.unlink()
    for content in chosen:
        (CORPUS / f"{hashlib.sha256(content).hexdigest()[:16]}.bin").write_bytes(content)
    return f"{len(chosen)} of {len(behaviours)} files kept, {sum(map(len, chosen)):,} bytes."


def _cover(behaviours: dict[bytes, set[str]]) -> list[bytes]:
    """Return the smallest files first, each with a behaviour that none before it has."""
    chosen, seen, size, documents = [], set(), 0, 0
    for content in sorted(behaviours, key=lambda content: (len(content), content)):
        document = b"%PDF-" in content[:1_024]
        fits = size + len(content) <= MOST_BYTES and documents + document <= MOST_DOCUMENTS
        if fits and behaviours[content] - seen:
            chosen.append(content)
            seen |= behaviours[content]
            size, documents = size + len(content), documents + document
    return chosen

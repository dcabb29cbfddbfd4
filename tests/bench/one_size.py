"""One library of one size, opened and asked in a process of its own, so that its memory is its own:
`python -m tests.bench.one_size first|again FOLDER`. Prints one line of JSON.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from smart_demo.backbones.base import Runtime
from smart_demo.backbones.registry import BackboneChoice
from smart_demo.backbones.serving import Backbones
from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.errors import PageRefused
from smart_demo.store.library import Library
from smart_demo.types import LATE, LOCAL, POOLED, SMART, Encoder, Page, PageEncoding, Query, QueryEncoding
from smart_demo.ui import compare
from tests.bench import large

QUERIES, WARM = 25, 5
"""Queries that are asked, and how many of them do not count."""
THUMBNAIL = bytes(12_000)
STAGES = ("candidates", "score", "rank", "html")


class Asking:
    """A `Backbone` that encodes nothing but the queries of a made library."""

    batch, reason, runtime = 1, "It measures.", Runtime("cpu", "float32")

    def __init__(self, queries: Sequence[QueryEncoding]) -> None:
        self._queries = {query.query.key: query for query in queries}
        self.encoder = _Named("asking", "asking", "1", "0" * 64, pooled_width=large.WIDTH, token_width=large.WIDTH)

    def encode_query(self, query: Query) -> QueryEncoding:
        return self._queries[query.key]

    def encode_pages(self, pages: Sequence[Page]) -> list[PageEncoding | PageRefused]:
        raise NotImplementedError

    def encode_texts(self, texts: Sequence[str]) -> Iterator[QueryEncoding]:
        return map(self.encode_query, map(Query, texts))


class _Named(Encoder):
    """An encoder with the fingerprint that made pages have."""

    @property
    def fingerprint(self) -> str:
        return large.ENCODER


def opened(folder: Path) -> Library:
    """A library as the app opens it, before anything is done behind it: Chroma would be filled meanwhile, and answers
    no query anyway.
    """
    return Library.open(folder / "data", folder / "index", behind=True)


def open_first(folder: Path) -> dict[str, Any]:
    """Seconds of opening where every head is read, and bytes of the snapshot that is kept then."""
    begun = time.perf_counter()
    with opened(folder) as library:
        seconds = time.perf_counter() - begun
        library.keep_snapshots()
    kept = sum(path.stat().st_size for path in (folder / "index" / "snapshots").glob("*"))
    return {"first": seconds, "snapshot": kept}


def open_again(folder: Path) -> dict[str, Any]:
    """Seconds of opening with a snapshot, milliseconds of each stage of a query, bytes of memory."""
    made, before = large.Made.of(), _memory()
    queries = list(made.queries(QUERIES))
    settings = Settings(data_dir=folder / "data", index_dir=folder / "index", samples=folder / "none")
    backbones = Backbones(BackboneChoice("asking", "", insisted=True), lambda _: Asking(queries), fall_back=False)
    backbones.main()
    begun = time.perf_counter()
    with opened(folder) as library, Engine(library, backbones, settings) as engine:
        seconds = time.perf_counter() - begun
        times = [_ask(engine, query.query) for query in queries][WARM:]
        return {
            "again": seconds,
            "stages": {stage: median(one[stage] for one in times) for stage in STAGES},
            "memory": _memory() - before,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


def _ask(engine: Engine, query: Query) -> dict[str, float]:
    """Milliseconds of each stage from a query's encoding to both columns' markup."""
    found = engine.search(query, (LOCAL,), (POOLED, LATE, SMART), 5)
    begun = time.perf_counter()
    compare.results(found, lambda _: THUMBNAIL)
    return {**found.milliseconds, "html": (time.perf_counter() - begun) * 1000}


def _memory() -> int:
    """Bytes of this process that are in no file."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    done = {"first": open_first, "again": open_again}[sys.argv[1]](Path(sys.argv[2]))
    sys.stdout.write(json.dumps(done) + "\n")

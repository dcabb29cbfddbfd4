"""A library of any number of small pages, written, opened and searched.

It is written in the store's own format but without waiting for the disk: it is deleted afterwards, and 100,000 pages
that are each on the disk before the next one begins would take an hour. Pages of a document are similar and documents
of a subject are, as in a real library: random pooled vectors would make the search for the nearest ones look harder
than it is.

`python -m tests.bench.large_library first|again FOLDER` opens and searches it in a separate process, so that the memory
is its own, and prints one line of JSON.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from smart_demo.config import Settings
from smart_demo.engine import Engine
from smart_demo.methods import LATE, POOLED, SMART
from smart_demo.store import token_file
from smart_demo.store.library import Library
from smart_demo.store.page_files import PageFiles
from smart_demo.types import (
    LOCAL,
    Codes,
    Encoder,
    Floats,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    StoredPage,
    TokenBoxes,
    TokenCodes,
    TokenKind,
)
from smart_demo.ui import compare
from tests.apps import open_words
from tests.bench.cases import SeededBackbone, normalise, random_directions

WIDTH, TOKENS, QUERY_TOKENS = 384, 64, 24
"""Width of the states, tokens of a page, tokens of a query."""
ENCODER = Encoder("prepared", "prepared", "1", "0" * 64, pooled_width=WIDTH, token_width=WIDTH)
DOCUMENT_PAGES, SUBJECTS, BANK_ROWS = 100, 200, 2_048
"""Pages of a document, subjects of the library, rows of codes that pages are composed of."""
QUERIES, WARM_UP = 25, 5
"""Number of queries, and how many of the first do not count."""
THUMBNAIL_ADDRESS = "pictures/samples/page/version/thumbnail.webp"
STAGES = ("candidates", "score", "rank", "html")


@dataclass(frozen=True, eq=False)
class PageSource:
    """What the pages of a library are drawn from."""

    subjects: Floats
    """(SUBJECTS, WIDTH) directions that documents are near to."""
    bank: Codes
    """(BANK_ROWS, WIDTH) int8 codes."""
    scale: float

    @classmethod
    def draw(cls) -> PageSource:
        rng = np.random.default_rng(0)
        drawn = random_directions(rng, BANK_ROWS, WIDTH)
        codes = token_file.encode(drawn, "int8")
        return cls(random_directions(rng, SUBJECTS, WIDTH), codes.codes, codes.scale)

    def document(self, number: int) -> Floats:
        """Return the (DOCUMENT_PAGES, WIDTH) pooled vectors of a document's pages."""
        rng = np.random.default_rng([number, 1])
        own = normalise(self.subjects[number % SUBJECTS] + 0.8 * random_directions(rng, WIDTH))
        return normalise(own + 0.8 * random_directions(rng, DOCUMENT_PAGES, WIDTH))

    def states(self, pooled: Floats, number: int, tokens: int) -> TokenCodes:
        """Return a page's token states: near its pooled vector, each different."""
        start = number * 37 % (BANK_ROWS - tokens)
        return TokenCodes(self.bank[start : start + tokens], 0.6 * pooled, 0.8 * self.scale)

    def queries(self, count: int) -> Iterator[QueryEncoding]:
        """Yield `count` queries, each near one page."""
        for number in range(count):
            rng = np.random.default_rng([number, 2])
            page = self.document(number)[rng.integers(DOCUMENT_PAGES)]
            drawn = random_directions(rng, QUERY_TOKENS, WIDTH)
            rows = self.bank[rng.integers(BANK_ROWS, size=QUERY_TOKENS)]
            tokens = normalise(0.6 * page + 0.4 * drawn + 0.7 * rows * self.scale)
            kinds = np.full(QUERY_TOKENS, TokenKind.CONTENT, np.uint8)
            pooled = normalise(page + 0.8 * random_directions(rng, WIDTH))
            labels = tuple(f"word{n}" for n in range(QUERY_TOKENS))
            yield QueryEncoding(Query(f"query {number}"), ENCODER.fingerprint, pooled, tokens, kinds, labels)


def write_library(data_dir: Path, pages: int, tokens: int = TOKENS) -> None:
    """Write this number of pages into an empty data folder. Raises OSError if the disk fails."""
    source, files = PageSource.draw(), PageFiles(data_dir)
    boxes = TokenBoxes(np.tile(np.array([0.1, 0.1, 0.2, 0.12], np.float32), (tokens, 1)))
    kinds = np.full(tokens, TokenKind.CONTENT, np.uint8)
    folders: set[Path] = set()
    for number in range(pages):
        document, at = divmod(number, DOCUMENT_PAGES)
        if at == 0:
            vectors, file = source.document(document), _fake_hash(document)
        page = PageId(file, at + 1)
        facts = (f"report {document:04d}.pdf", DOCUMENT_PAGES, 1240, 1754, tokens, 0, "int8", 1.7e9 + number, 0.1)
        stored = StoredPage(LOCAL, ENCODER.fingerprint, page, *facts)
        encoding = PageEncoding(page, ENCODER.fingerprint, vectors[at], np.zeros((0, WIDTH), np.float32), kinds, boxes)
        path = files.path(stored)
        if path.parent not in folders:
            folders.add(path.parent)
            path.parent.mkdir(parents=True, exist_ok=True)
        data = token_file.serialise(stored, encoding, source.states(vectors[at], number, tokens))
        file_number = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(file_number, data)
        os.close(file_number)


def _fake_hash(document: int) -> str:
    """Return 16 hex digits, spread as content hashes are."""
    return f"{(document * 0x9E3779B97F4A7C15 + 0x1234567) % 2**64:016x}"


def measure_first_opening(folder: Path) -> dict[str, Any]:
    """Return the seconds of opening without a snapshot, which reads every header, and the bytes of the new snapshot."""
    begun = time.perf_counter()
    with _open_library(folder) as library:
        seconds = time.perf_counter() - begun
        library.update_snapshots()
    size = sum(path.stat().st_size for path in (folder / "index" / "snapshots").glob("*"))
    return {"first": seconds, "snapshot": size}


def measure_opening_again(folder: Path) -> dict[str, Any]:
    """Return the seconds of opening with a snapshot, milliseconds of each stage of a query, and bytes of memory."""
    source, before = PageSource.draw(), _anonymous_bytes()
    queries = list(source.queries(QUERIES))
    settings = Settings(data_dir=folder / "data", index_dir=folder / "index", samples=folder / "none")
    begun = time.perf_counter()
    with _open_library(folder) as library, open_words(settings, PreparedQueries(queries), library=library) as engine:
        engine.backbones.main()
        seconds = time.perf_counter() - begun
        times = [_time_query(engine, query.query) for query in queries][WARM_UP:]
        return {
            "again": seconds,
            "stages": {stage: median(query[stage] for query in times) for stage in STAGES},
            "memory": _anonymous_bytes() - before,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        }


class PreparedQueries(SeededBackbone):
    """A backbone that encodes nothing but the queries of a `PageSource`."""

    def __init__(self, queries: Sequence[QueryEncoding]) -> None:
        super().__init__(ENCODER)
        self.by_key = {query.query.key: query for query in queries}

    def encode_query(self, query: Query) -> QueryEncoding:
        return self.by_key[query.key]


def _open_library(folder: Path) -> Library:
    """Open the library as the app does, without background tasks: they would fill Chroma, which no query uses."""
    return Library.open(folder / "data", folder / "index", in_background=True)


def _time_query(engine: Engine, query: Query) -> dict[str, float]:
    """Return the milliseconds of each stage from a query's encoding to both columns' markup."""
    found = engine.search(query, (LOCAL,), (POOLED, LATE, SMART), 5)
    begun = time.perf_counter()
    compare.render_results(found, lambda _: THUMBNAIL_ADDRESS)
    return {**found.milliseconds, "html": (time.perf_counter() - begun) * 1000}


def _anonymous_bytes() -> int:
    """Return this process's resident memory that no file backs, or 0 if unknown."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
        return 1024 * int(next(line.split()[1] for line in lines if line.startswith("RssAnon")))
    except (OSError, StopIteration):
        return 0


if __name__ == "__main__":
    measures = {"first": measure_first_opening, "again": measure_opening_again}
    sys.stdout.write(json.dumps(measures[sys.argv[1]](Path(sys.argv[2]))) + "\n")

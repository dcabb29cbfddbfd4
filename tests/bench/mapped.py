"""Candidates that are read from their files: in memory, mapped and warm, mapped and cold."""

from __future__ import annotations

import os
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np

from smart_demo import scoring
from smart_demo.store.library import Library
from smart_demo.types import LOCAL, Page, PageEncoding, PageId, Parts, Query, QueryEncoding, TokenGrid, TokenKind
from tests.bench.goals import Goal
from tests.bench.shapes import WIDE, Case, directions, made, seconds

ENCODER = "be" * 8
ROUNDS = 9
MEMORY = 2**31


def measure_mapped() -> list[Goal]:
    """`mapped`: pages of shape W through the library, with and without a budget of memory."""
    case = made(WIDE)
    with tempfile.TemporaryDirectory() as folder:
        data, index = Path(folder) / "data", Path(folder) / "index"
        with Library.open(data, index) as library:
            _fill(library, case)
        took = {}
        for name, budget in (("memory", MEMORY), ("mapped", 0)):
            with Library.open(data, index, resident=budget) as library:
                took[name] = seconds([partial(_score, library, case)], ROUNDS)[0]
        _forget_cached(data)
        with Library.open(data, index, resident=0) as library:
            begun = time.perf_counter()
            _score(library, case)
            cold = time.perf_counter() - begun
    told = ", ".join(f"{name} {1000 * value:.1f} ms" for name, value in took.items())
    what = f"times the figure in memory, {WIDE.pages} pages of W through the library: {told}"
    what += f", cold files with their proof {1000 * cold:.0f} ms"
    return [Goal("mapped", what, took["mapped"] / took["memory"], 1.3)]


def _fill(library: Library, case: Case) -> None:
    blank = np.full((8, 8, 3), 255, dtype=np.uint8)
    for number, states in enumerate(case.states, start=1):
        page = Page(PageId("0" * 16, number), "seeded.pdf", len(case.states), blank)
        kinds = np.full(len(states), TokenKind.PATCH, dtype=np.uint8)
        pooled = np.asarray(states[0], dtype=np.float32)
        encoding = PageEncoding(page.id, ENCODER, pooled, states, kinds, TokenGrid(0, 1, len(states)))
        library.add(LOCAL, page, encoding)


def _score(library: Library, case: Case) -> Parts:
    """As a search does it."""
    tokens = len(case.query)
    kinds = np.full(tokens, TokenKind.CONTENT, dtype=np.uint8)
    pooled = directions(np.random.default_rng(0), case.shape.width)
    query = QueryEncoding(Query("q"), ENCODER, pooled, case.query, kinds, ("q",) * tokens)
    pages, vectors = library.pooled([LOCAL], ENCODER)
    library.ask_for(pages)
    return scoring.parts(query, pages, vectors @ pooled, np.arange(len(pages)), library.tokens)


def _forget_cached(folder: Path) -> None:
    """Have the system drop what it keeps of the files; what it will not drop stays, and is then not cold."""
    os.sync()
    for path in folder.rglob("*.safetensors"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)

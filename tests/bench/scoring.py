"""Scoring against the machine's limits and against other scorers, in memory and from files.

Goals are ratios of medians whose rounds took turns.
"""

from __future__ import annotations

import gc
import os
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from smart_demo import scoring
from smart_demo.methods import Parts
from smart_demo.store.library import Library
from smart_demo.types import (
    LOCAL,
    Floats,
    Page,
    PageEncoding,
    PageId,
    Query,
    QueryEncoding,
    TokenCodes,
    TokenGrid,
    TokenKind,
)
from tests.bench import cases
from tests.bench.cases import NARROW, RAGGED, WIDE, Case, Shape, make_case, random_directions
from tests.bench.harness import Goal, Kind, median_seconds

ROUNDS = 9
QUERIES = 10
TOP = 10
SQUARE = 2_048
"""Side of the product that measures the rate of int8 arithmetic."""
BOUNDS = {WIDE.name: (2, 18, 4), NARROW.name: (3, 5, 3)}
"""Bounds by shape: most times the read limit; least times faster than the released scorer, and than fast-maxsim."""
EVERYTHING = ((NARROW, 2_000, 0.070), (WIDE, 1_000, 0.150))
"""Shape, pages and seconds for scoring every page of a library."""
MAPPED_BOUND = 1.3
MEMORY_BYTES = 2**31
"""Memory budget of the library that holds every page in memory."""
ENCODER = "be" * 8


def measure_scoring() -> list[Goal]:
    """Measure `W.*`, `N.*`, `fidelity.*` and `exhaustive.*`; the ragged shape is reported beside W's."""
    goals: list[Goal] = []
    errors, overlaps = [], []
    ragged = _time_scorers(make_case(RAGGED))
    for shape in (WIDE, NARROW):
        case = make_case(shape)
        remark = f"; ragged 300 to 1,100 tokens: {_list_times(ragged)}" if shape is WIDE else ""
        goals += compare_scorers(case, remark)
        error, overlap = measure_fidelity(case)
        errors.append(error)
        overlaps.append(overlap)
        del case
        gc.collect()
    what = f"{QUERIES} queries of each shape, the default codec against float32"
    goals.append(Goal("fidelity.overlap", f"top-{TOP} overlap of late: {what}", min(overlaps), 0.99, Kind.MIN))
    goals.append(Goal("fidelity.error", f"largest error of late: {what}", max(errors), 0.002))
    for shape, pages, bound in EVERYTHING:
        seconds = _time_exhaustive(shape, pages)
        goals.append(Goal(f"exhaustive.{shape.name}", f"seconds to score {pages:,} pages", seconds, bound))
        gc.collect()
    return goals


def compare_scorers(case: Case, remark: str) -> list[Goal]:
    """Return the three goals of a shape."""
    shape, times = case.shape, _time_scorers(case)
    read, alone, sums, wide = measure_limits(case)
    ours, (most, slower, compiled) = times["ours"], BOUNDS[case.shape.name]
    size = f"{shape.pages} pages of {shape.lengths[1]} x {shape.width}, {shape.query} query tokens"
    limits = f"ours {_ms(alone)} in turns with reading {_ms(read)}, int8 arithmetic {_ms(sums)}, float32 {_ms(wide)}"
    goals = [
        Goal(
            f"{shape.name}.limit", f"times the read limit: {size}: {_list_times(times)}; {limits}", alone / read, most
        ),
        Goal(
            f"{shape.name}.released",
            f"times faster than the released scorer{remark}",
            times["released"] / ours,
            slower,
            Kind.MIN,
        ),
    ]
    what = "times faster than fast-maxsim"
    if "fast_maxsim" not in times:
        what += ": NOT MEASURED, it is not installed (tests/bench/requirements.txt)"
    gain = times.get("fast_maxsim", 0.0) / ours
    return [*goals, Goal(f"{shape.name}.fast_maxsim", what, gain, compiled, Kind.MIN)]


def _time_scorers(case: Case) -> dict[str, float]:
    """Return the median seconds of every scorer over the same pages. Raises RuntimeError if their scores differ."""
    scorers: dict[str, Callable[[Floats, list[Floats]], Floats]] = {
        "released": cases.score_released,
        "lists": cases.score_lists,
    }
    if cases.has_fast_maxsim():
        scorers["fast_maxsim"] = cases.score_fast_maxsim
    states = list(case.states)
    ours = scoring.maxima(case.query, case.codes).mean(axis=1)
    for name, scorer in scorers.items():
        if np.abs(scorer(case.query, states) - ours).max() > 0.002:
            raise RuntimeError(f"{name} computes something else")  # then nothing was compared
    runs = [lambda scorer=scorer: scorer(case.query, states) for scorer in scorers.values()]
    took = median_seconds([lambda: scoring.maxima(case.query, case.codes), *runs], ROUNDS)
    return dict(zip(("ours", *scorers), took, strict=True))


def measure_limits(case: Case) -> tuple[float, float, float, float]:
    """Return the seconds of four runs over a case.

    To read the codes once with all cores; of our scorer, in turns with that alone; for the products at the best rate of
    int8 arithmetic that a large square product reaches on this machine; to multiply float32 states in one product.
    """
    import torch

    words = torch.from_numpy(np.concatenate([page.codes for page in case.codes])).view(torch.int64)
    read, alone = median_seconds([words.sum, lambda: scoring.maxima(case.query, case.codes)], 2 * ROUNDS)
    square = torch.ones((SQUARE, SQUARE), dtype=torch.int8)
    states, query = torch.from_numpy(np.concatenate(case.states)), torch.from_numpy(case.query)
    rate, wide = median_seconds([lambda: torch._int_mm(square, square), lambda: query @ states.t()], ROUNDS)
    return read, alone, rate * case.bytes * case.shape.query / SQUARE**3, wide


def measure_fidelity(case: Case) -> tuple[float, float]:
    """Return (largest error of late, mean overlap of the first TOP pages) over queries like the case's own."""
    rng = np.random.default_rng(1)
    rows = np.concatenate(case.states[::10])
    errors, overlaps = [], []
    for _ in range(QUERIES):
        query = rows[rng.choice(len(rows), case.shape.query)]
        query = cases.normalise(query + 0.7 * random_directions(rng, *query.shape))
        exact = cases.score_lists(query, list(case.states))
        late = scoring.maxima(query, case.codes).mean(axis=1)
        errors.append(float(np.abs(late - exact).max()))
        overlaps.append(len({*np.argsort(-late)[:TOP]} & {*np.argsort(-exact)[:TOP]}) / TOP)
    return max(errors), float(np.mean(overlaps))


def _time_exhaustive(shape: Shape, pages: int) -> float:
    """Return the median seconds to score this number of pages in memory."""
    rng = np.random.default_rng(0)
    tokens = shape.lengths[1]
    block = rng.integers(-127, 128, (pages * tokens, shape.width), dtype=np.int8)
    mean = np.zeros(shape.width, dtype=np.float32)
    codes = [TokenCodes(block[at : at + tokens], mean, 0.003) for at in range(0, len(block), tokens)]
    query = random_directions(rng, shape.query, shape.width)
    return median_seconds([lambda: scoring.maxima(query, codes)], ROUNDS // 2)[0]


def _list_times(times: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', '-')} {_ms(took)}" for name, took in times.items())


def _ms(took: float) -> str:
    return f"{1000 * took:.1f} ms"


def measure_mapped() -> list[Goal]:
    """Measure `mapped`: pages of shape W through the library, in memory, memory-mapped, and from cold files."""
    case = make_case(WIDE)
    with tempfile.TemporaryDirectory() as folder:
        data, index = Path(folder) / "data", Path(folder) / "index"
        with Library.open(data, index) as library:
            _add_pages(library, case)
        took = {}
        for name, budget in (("memory", MEMORY_BYTES), ("mapped", 0)):
            with Library.open(data, index, cache_bytes=budget) as library:
                took[name] = median_seconds([partial(_score, library, case)], ROUNDS)[0]
        _drop_file_cache(data)
        with Library.open(data, index, cache_bytes=0) as library:
            begun = time.perf_counter()
            _score(library, case)
            cold = time.perf_counter() - begun
    what = f"times the figure in memory, {WIDE.pages} pages of W through the library: {_list_times(took)}"
    what += f", cold files with their proof {1000 * cold:.0f} ms"
    return [Goal("mapped", what, took["mapped"] / took["memory"], MAPPED_BOUND)]


def _add_pages(library: Library, case: Case) -> None:
    blank = np.full((8, 8, 3), 255, dtype=np.uint8)
    for number, states in enumerate(case.states, start=1):
        page = Page(PageId("0" * 16, number), "seeded.pdf", len(case.states), blank)
        kinds = np.full(len(states), TokenKind.PATCH, dtype=np.uint8)
        pooled = np.asarray(states[0], dtype=np.float32)
        encoding = PageEncoding(page.id, ENCODER, pooled, states, kinds, TokenGrid(0, 1, len(states)))
        library.add(LOCAL, page, encoding)


def _score(library: Library, case: Case) -> Parts:
    """Score all pages as a search does."""
    tokens = len(case.query)
    kinds = np.full(tokens, TokenKind.CONTENT, dtype=np.uint8)
    pooled = random_directions(np.random.default_rng(0), case.shape.width)
    query = QueryEncoding(Query("q"), ENCODER, pooled, case.query, kinds, ("q",) * tokens)
    pages, vectors = library.pooled([LOCAL], ENCODER)
    library.prefetch(pages)
    return scoring.compute_parts(query, pages, vectors @ pooled, np.arange(len(pages)), library.tokens)


def _drop_file_cache(folder: Path) -> None:
    """Ask the system to drop its cache of the files; what it keeps is then not cold."""
    os.sync()
    for path in folder.rglob("*.safetensors"):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)

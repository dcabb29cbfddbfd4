"""Scoring against what the machine allows and what others take: ratios of medians whose rounds took turns."""

from __future__ import annotations

import gc
from collections.abc import Callable

import numpy as np

from smart_demo import scoring
from smart_demo.types import Floats, TokenCodes
from tests.bench import peers, shapes
from tests.bench.goals import Goal, Kind
from tests.bench.shapes import NARROW, RAGGED, WIDE, Case, Shape, made, seconds

ROUNDS = 9
QUERIES = 10
TOP = 10
SQUARE = 2_048
"""Side of the product by which the rate of int8 arithmetic is measured."""
BOUNDS = {WIDE.name: (2, 18, 4), NARROW.name: (3, 5, 3)}
"""By shape: at most so many times the read limit; at least so many times faster than the released scorer, and than
fast-maxsim."""
EVERYTHING = ((NARROW, 2_000, 0.070), (WIDE, 1_000, 0.150))
"""Every page of a library: shape, pages, seconds."""


def measure_scoring() -> list[Goal]:
    """`W.*` and `N.*`, `fidelity.*` and `exhaustive.*`; the ragged shape is told of beside W's."""
    goals: list[Goal] = []
    errors, overlaps = [], []
    ragged = _peers(made(RAGGED))
    for shape in (WIDE, NARROW):
        case = made(shape)
        told = f"; ragged 300 to 1,100 tokens: {_told(ragged)}" if shape is WIDE else ""
        goals += _against(case, told)
        error, overlap = fidelity(case)
        errors.append(error)
        overlaps.append(overlap)
        del case
        gc.collect()
    what = f"{QUERIES} queries of each shape, the default codec against float32"
    goals.append(Goal("fidelity.overlap", f"top-{TOP} overlap of late: {what}", min(overlaps), 0.99, Kind.MIN))
    goals.append(Goal("fidelity.error", f"largest error of late: {what}", max(errors), 0.002))
    for shape, pages, bound in EVERYTHING:
        goals.append(Goal(f"exhaustive.{shape.name}", f"seconds to score {pages:,} pages", _all(shape, pages), bound))
        gc.collect()
    return goals


def _against(case: Case, told: str) -> list[Goal]:
    """The three goals of a shape."""
    shape, times = case.shape, _peers(case)
    read, alone, sums, wide = limits(case)
    ours, (most, slower, compiled) = times["ours"], BOUNDS[case.shape.name]
    size = f"{shape.pages} pages of {shape.lengths[1]} x {shape.width}, {shape.query} query tokens"
    allowed = f"ours {_ms(alone)} in turns with reading {_ms(read)}, int8 arithmetic {_ms(sums)}, float32 {_ms(wide)}"
    found = [
        Goal(f"{shape.name}.limit", f"times the read limit: {size}: {_told(times)}; {allowed}", alone / read, most),
        Goal(
            f"{shape.name}.released",
            f"times faster than the released scorer{told}",
            times["released"] / ours,
            slower,
            Kind.MIN,
        ),
    ]
    what = "times faster than fast-maxsim"
    if "fast_maxsim" not in times:
        what += ": NOT MEASURED, it is not installed (tests/bench/requirements.txt)"
    gain = times.get("fast_maxsim", 0.0) / ours
    return [*found, Goal(f"{shape.name}.fast_maxsim", what, gain, compiled, Kind.MIN)]


def _peers(case: Case) -> dict[str, float]:
    """Median seconds of ours and of each peer over the same pages. RuntimeError where they disagree on the scores."""
    scorers: dict[str, Callable[[Floats, list[Floats]], Floats]] = {"released": peers.released, "lists": peers.lists}
    if peers.fast_maxsim_is_there():
        scorers["fast_maxsim"] = peers.fast_maxsim
    states = list(case.states)
    ours = scoring.maxima(case.query, case.codes).mean(axis=1)
    for name, scorer in scorers.items():
        if np.abs(scorer(case.query, states) - ours).max() > 0.002:
            raise RuntimeError(f"{name} computes something else")  # then nothing was compared
    runs = [lambda scorer=scorer: scorer(case.query, states) for scorer in scorers.values()]
    took = seconds([lambda: scoring.maxima(case.query, case.codes), *runs], ROUNDS)
    return dict(zip(("ours", *scorers), took, strict=True))


def limits(case: Case) -> tuple[float, float, float, float]:
    """Seconds to read the codes once with all cores, and of ours, in turns with that alone; to do the products at the
    best rate of int8 arithmetic that a large square product reaches here; to multiply float32 states in one product.
    """
    import torch

    words = torch.from_numpy(np.concatenate([page.codes for page in case.codes])).view(torch.int64)
    read, alone = seconds([words.sum, lambda: scoring.maxima(case.query, case.codes)], 2 * ROUNDS)
    square = torch.ones((SQUARE, SQUARE), dtype=torch.int8)
    states, query = torch.from_numpy(np.concatenate(case.states)), torch.from_numpy(case.query)
    rate, wide = seconds([lambda: torch._int_mm(square, square), lambda: query @ states.t()], ROUNDS)
    return read, alone, rate * case.bytes * case.shape.query / SQUARE**3, wide


def fidelity(case: Case) -> tuple[float, float]:
    """(largest error of late, mean overlap of the first TOP pages) over queries like the case's own."""
    rng = np.random.default_rng(1)
    every = np.concatenate(case.states[::10])
    errors, overlaps = [], []
    for _ in range(QUERIES):
        query = every[rng.choice(len(every), case.shape.query)]
        query = shapes.unit(query + 0.7 * shapes.directions(rng, *query.shape))
        right = peers.lists(query, list(case.states))
        late = scoring.maxima(query, case.codes).mean(axis=1)
        errors.append(float(np.abs(late - right).max()))
        overlaps.append(len({*np.argsort(-late)[:TOP]} & {*np.argsort(-right)[:TOP]}) / TOP)
    return max(errors), float(np.mean(overlaps))


def _all(shape: Shape, pages: int) -> float:
    """Median seconds to score so many pages that are in memory."""
    rng = np.random.default_rng(0)
    tokens = shape.lengths[1]
    block = rng.integers(-127, 128, (pages * tokens, shape.width), dtype=np.int8)
    mean = np.zeros(shape.width, dtype=np.float32)
    found = [TokenCodes(block[at : at + tokens], mean, 0.003) for at in range(0, len(block), tokens)]
    query = shapes.directions(rng, shape.query, shape.width)
    return seconds([lambda: scoring.maxima(query, found)], ROUNDS // 2)[0]


def _told(times: dict[str, float]) -> str:
    return ", ".join(f"{name.replace('_', '-')} {_ms(took)}" for name, took in times.items())


def _ms(took: float) -> str:
    return f"{1000 * took:.1f} ms"

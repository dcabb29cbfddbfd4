"""Queries and pages to score, as large as real ones, made from a seed; and how long things take."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from smart_demo.store import token_file
from smart_demo.types import Floats, TokenCodes


@dataclass(frozen=True, slots=True)
class Shape:
    """So many pages of so many tokens, and the query's."""

    name: str
    pages: int
    lengths: tuple[int, int]
    """Fewest and most tokens of a page."""
    width: int
    query: int


WIDE = Shape("W", 100, (700, 700), 2048, 32)
"""Candidates by Qwen3-VL-Embedding-2B,"""
NARROW = Shape("N", 200, (500, 500), 384, 24)
"""and by MiniLM."""
RAGGED = Shape("R", 100, (300, 1100), 2048, 32)
"""Wide ones of unequal length."""


@dataclass(frozen=True, eq=False)
class Case:
    """A shape's numbers."""

    shape: Shape
    query: Floats
    states: Sequence[Floats]
    """Pages in float32, each (T, D)."""
    codes: Sequence[TokenCodes]
    """The same in 8 bits, one behind the other in memory."""

    @property
    def bytes(self) -> int:
        return sum(page.codes.nbytes for page in self.codes)


def made(shape: Shape) -> Case:
    """Pages share a direction and a few large coordinates, as states of decoders do; a tenth share a subject with the
    query, so that a ranking has something to find.
    """
    rng = np.random.default_rng(len(shape.name) + shape.width)
    low, high = shape.lengths
    common, subjects = directions(rng, shape.width), directions(rng, 10, shape.width)
    common[: shape.width // 64] *= 8
    lengths = rng.integers(low, high + 1, shape.pages)
    states = []
    for number, length in enumerate(lengths):
        rows = common + rng.uniform(0.3, 1) * subjects[number % 10] + directions(rng, int(length), shape.width)
        states.append(unit(rows))
    own = np.concatenate(states[::10])
    query = unit(own[rng.choice(len(own), shape.query)] + 0.7 * directions(rng, shape.query, shape.width))
    return Case(shape, query, states, beside([token_file.encode(page, "int8") for page in states]))


def beside(pages: Sequence[TokenCodes]) -> list[TokenCodes]:
    """The same pages one behind the other in memory, as the library keeps them."""
    block, at, placed = np.concatenate([page.codes for page in pages]), 0, []
    for page in pages:
        placed.append(TokenCodes(block[at : at + len(page.codes)], page.mean, page.scale))
        at += len(page.codes)
    return placed


def directions(rng: np.random.Generator, *shape: int) -> Floats:
    """Rows of length 1 that point anywhere."""
    return unit(rng.standard_normal(shape, dtype=np.float32))


def unit(rows: Floats) -> Floats:
    """Rows of length 1."""
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), dtype=np.float32)


def seconds(runs: Sequence[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each run. They take turns, so that whatever else the machine does meets all of them alike;
    the first round warms up and does not count.
    """
    took: list[list[float]] = [[] for _ in runs]
    for number in range(rounds + 1):
        for run, times in zip(runs, took, strict=True):
            begun = time.perf_counter()
            run()
            if number:
                times.append(time.perf_counter() - begun)
    return [median(times) for times in took]

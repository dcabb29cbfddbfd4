"""The costs of late interaction, measured on this library: bytes, seconds, and projections for more pages.

Sizes follow the layout of a token file exactly, so they are known even for codecs of which no page is stored. Times are
measured, and None until there is a measurement. Projections grow linearly with the number of pages.
"""

from __future__ import annotations

import statistics
import threading
import time
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from smart_demo.config import CODECS, Settings
from smart_demo.store.token_file import TokenFileLayout
from smart_demo.types import Encoder, StoredPage, TokenSpace

STAGES = ("encode", "candidates", "score", "rank")
"""Stages of a query in the order they run."""
FLOAT32_BYTES = 4


@dataclass
class Stopwatch:
    """Milliseconds by stage of one query."""

    stages: dict[str, float] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)

    def lap(self, stage: str) -> None:
        """Add the time since the last lap to a stage."""
        now = time.perf_counter()
        self.stages[stage] = self.stages.get(stage, 0.0) + (now - self.started) * 1000
        self.started = now


@dataclass(frozen=True, slots=True)
class StageTiming:
    """The measured time of one stage of one query."""

    milliseconds: float
    pages: int
    """Number of pages that the stage processed; 0 if it processes none."""


class RecentTimings:
    """The most recent timings of each stage. Safe for threads."""

    def __init__(self, size: int) -> None:
        """`size`: the number of timings kept per stage."""
        self._size, self._lock = size, threading.Lock()
        self._stages: dict[str, deque[StageTiming]] = {}

    def add(self, stage: str, timing: StageTiming) -> None:
        """Add a timing, and discard the oldest of its stage if there are too many."""
        with self._lock:
            self._stages.setdefault(stage, deque(maxlen=self._size)).append(timing)

    def by_stage(self) -> Mapping[str, tuple[StageTiming, ...]]:
        """Return the timings of each stage, oldest first."""
        with self._lock:
            return {stage: tuple(timings) for stage, timings in self._stages.items()}


@dataclass(frozen=True, slots=True)
class StageCost:
    """The time that one stage of a query takes."""

    milliseconds: float
    """Median over the queries that ran it."""
    queries: int
    per_page: float
    """Median milliseconds per processed page; 0 for a stage that processes none."""


@dataclass(frozen=True, slots=True)
class IndexingTime:
    """Wall seconds of adding a page, over the pages whose time was measured."""

    mean: float
    median: float
    pages: int


@dataclass(frozen=True, slots=True)
class ScaledCosts:
    """The costs of a number of pages. None if there is no measurement to project from."""

    pooled: float
    """Bytes of all pooled vectors."""
    states: Mapping[str, float]
    """Bytes of all token states by codec."""
    indexing: float | None
    """Seconds to add all pages on one machine like this one, one page after the other."""
    every_page: float | None
    """Milliseconds to score every page token by token."""
    candidates: float | None
    """Milliseconds to score only the candidates."""


@dataclass(frozen=True, slots=True)
class SpaceCost:
    """The token states of one token space beside the raw one, over pages of one encoder."""

    space: TokenSpace
    mean_tokens: float
    """Mean number of token states per page."""
    width: int
    """D, the coordinates of a token state."""
    states: Mapping[str, float]
    """Mean bytes of a page's token states by codec."""


@dataclass(frozen=True, slots=True)
class Costs:
    """The costs of the N >= 1 pages of some scopes under one encoder."""

    pages: int
    mean_tokens: float
    """Mean number of token states per page."""
    min_tokens: int
    max_tokens: int
    width: int
    """D, the coordinates of a token state."""
    pooled_width: int
    """P, the coordinates of a pooled vector."""
    states: Mapping[str, float]
    """Mean bytes of a page's token states by codec: codes, mean and scale of int8, each token's kind and place."""
    stored: Mapping[str, int]
    """Number of pages by the codec in which they are stored."""
    stored_bytes: float
    """Mean bytes of a page's token states in the codec in which they are stored."""
    disk: int
    """Bytes of these pages on disk: token files, page images and thumbnails."""
    indexing: IndexingTime | None
    stages: Mapping[str, StageCost]
    """The stages that were measured."""
    depth: int
    """Number of candidates that are scored if there are more than `exhaustive` pages."""
    exhaustive: int
    spaces: tuple[SpaceCost, ...] = ()
    """The token spaces that these pages have beside the raw one."""

    @property
    def pooled(self) -> int:
        """Bytes of a page's pooled vector in float32."""
        return FLOAT32_BYTES * self.pooled_width

    @property
    def size_ratio(self) -> float:
        """Bytes of a page's stored token states, divided by those of its pooled vector."""
        return self.stored_bytes / self.pooled

    def at_scale(self, pages: int) -> ScaledCosts:
        """Return the projected costs of `pages` pages like these."""
        score = self.stages.get("score")
        return ScaledCosts(
            float(pages * self.pooled),
            {codec: pages * size for codec, size in self.states.items()},
            pages * self.indexing.mean if self.indexing else None,
            pages * score.per_page if score else None,
            min(pages, self.depth) * score.per_page if score else None,
        )


def compute_costs(
    pages: Sequence[StoredPage], encoder: Encoder, timings: Mapping[str, Sequence[StageTiming]], settings: Settings
) -> Costs | None:
    """Return the costs of pages of one encoder, with the timings of queries by stage; None if there are no pages."""
    if not pages:
        return None
    tokens = [page.tokens for page in pages]
    sizes = Counter((page.tokens, page.codec) for page in pages)  # few of many pages differ in what is computed below
    return Costs(
        pages=len(pages),
        mean_tokens=statistics.fmean(tokens),
        min_tokens=min(tokens),
        max_tokens=max(tokens),
        width=encoder.token_width,
        pooled_width=encoder.pooled_width,
        states={codec: _mean_states_bytes(sizes, encoder, codec) for codec in CODECS},
        stored={codec: number for codec in CODECS if (number := sum(page.codec == codec for page in pages))},
        stored_bytes=_mean_states_bytes(sizes, encoder),
        disk=sum(page.bytes for page in pages),
        indexing=_indexing_time([page.seconds for page in pages if page.seconds > 0]),
        stages={stage: _stage_cost(timings[stage]) for stage in STAGES if timings.get(stage)},
        depth=settings.candidates,
        exhaustive=settings.exhaustive,
        spaces=tuple(_space_cost(space, pages, encoder) for space, _ in encoder.space_widths),
    )


def _space_cost(space: TokenSpace, pages: Sequence[StoredPage], encoder: Encoder) -> SpaceCost:
    sizes = Counter((dict(page.space_tokens).get(space, 0), page.codec) for page in pages)
    mean = sum(tokens * count for (tokens, _), count in sizes.items()) / len(pages)
    states = {codec: _mean_states_bytes(sizes, encoder, codec, space) for codec in CODECS}
    return SpaceCost(space, mean, encoder.widths[space], states)


def token_states_bytes(tokens: int, codec: str, encoder: Encoder, space: TokenSpace = TokenSpace.RAW) -> int:
    """Return the bytes of `tokens` token states of a space in a token file.

    An encoder with a budget of visual tokens sees the page, so its tokens form a grid; one without reads words, each of
    which has a box.
    """
    layout = TokenFileLayout(codec, tokens, encoder.widths[space], encoder.pooled_width, not encoder.visual_tokens)
    return layout.states_bytes(TokenSpace.RAW)


def _mean_states_bytes(
    sizes: Counter[tuple[int, str]], encoder: Encoder, codec: str = "", space: TokenSpace = TokenSpace.RAW
) -> float:
    """Return the mean bytes of token states over counted pairs of (tokens, codec), or in `codec` if it is given."""
    total = sum(
        number * token_states_bytes(tokens, codec or own, encoder, space) for (tokens, own), number in sizes.items()
    )
    return total / sizes.total()


def _indexing_time(seconds: Sequence[float]) -> IndexingTime | None:
    if not seconds:
        return None
    return IndexingTime(statistics.fmean(seconds), statistics.median(seconds), len(seconds))


def _stage_cost(timings: Sequence[StageTiming]) -> StageCost:
    per_page = [timing.milliseconds / timing.pages for timing in timings if timing.pages]
    milliseconds = statistics.median(timing.milliseconds for timing in timings)
    return StageCost(milliseconds, len(timings), statistics.median(per_page) if per_page else 0.0)

"""What late interaction costs, from what this library measured itself: bytes, seconds, and what more pages would need.

Sizes follow the layout of a token file exactly, so they are known for codecs that no page is stored in. Times are only
ever measured ones, and None until there are any. What is extrapolated grows with the number of pages.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from smart_demo.config import CODECS, Settings
from smart_demo.search.cache import Lap
from smart_demo.store.token_file import TokenFileLayout
from smart_demo.types import Encoder, StoredPage

STAGES = ("encode", "candidates", "score", "rank")
"""Of a query, in the order they run."""
FLOAT32 = 4
"""Bytes of a coordinate of a pooled vector."""


@dataclass(frozen=True, slots=True)
class Stage:
    """How long one stage of a query takes."""

    milliseconds: float
    """Median over the queries that ran it."""
    queries: int
    each: float
    """Median milliseconds per page that the stage went through; 0 for a stage that looks at none."""


@dataclass(frozen=True, slots=True)
class Indexing:
    """Wall seconds of taking a page in, over the pages of which they are known."""

    mean: float
    median: float
    pages: int


@dataclass(frozen=True, slots=True)
class AtScale:
    """What so many pages would need. None where nothing was measured to extrapolate from."""

    pooled: float
    """Bytes of all pooled vectors,"""
    states: Mapping[str, float]
    """and of all token states, by codec."""
    indexing: float | None
    """Seconds to take all of them in, one machine like this one, one page after the other."""
    every_page: float | None
    """Milliseconds to score every page token by token,"""
    candidates: float | None
    """and to score the candidates alone."""


@dataclass(frozen=True, slots=True)
class Costs:
    """Of the N >= 1 pages of some scopes under one encoder."""

    pages: int
    tokens: float
    """Token states per page: mean,"""
    fewest: int
    most: int
    width: int
    """of so many coordinates each, D."""
    pooled_width: int
    """P."""
    states: Mapping[str, float]
    """Mean bytes of a page's token states by codec: codes, the mean and scale of int8, each token's kind and place."""
    stored: Mapping[str, int]
    """Pages by the codec that they are really kept in,"""
    kept: float
    """and the mean bytes of their token states in it."""
    disk: int
    """Bytes that these pages take on this disk: token files, page images and thumbnails."""
    indexing: Indexing | None
    stages: Mapping[str, Stage]
    """Those that were measured."""
    depth: int
    """Candidates that are scored where there are more than `exhaustive` pages."""
    exhaustive: int

    @property
    def pooled(self) -> int:
        """Bytes of a page's pooled vector, in float32."""
        return FLOAT32 * self.pooled_width

    @property
    def price(self) -> float:
        """How many times the bytes of its pooled vector a page's token states take, as they are kept."""
        return self.kept / self.pooled

    def at(self, pages: int) -> AtScale:
        """What `pages` pages like these would need."""
        score = self.stages.get("score")
        return AtScale(
            float(pages * self.pooled),
            {codec: pages * size for codec, size in self.states.items()},
            pages * self.indexing.mean if self.indexing else None,
            pages * score.each if score else None,
            min(pages, self.depth) * score.each if score else None,
        )


def costs(
    pages: Sequence[StoredPage], encoder: Encoder, laps: Mapping[str, Sequence[Lap]], settings: Settings
) -> Costs | None:
    """Costs of pages that `encoder` made, whose queries took `laps`; None where there are no pages."""
    if not pages:
        return None
    tokens = [page.tokens for page in pages]
    alike = Counter((page.tokens, page.codec) for page in pages)  # of many pages few differ in what is computed below
    return Costs(
        pages=len(pages),
        tokens=statistics.fmean(tokens),
        fewest=min(tokens),
        most=max(tokens),
        width=encoder.token_width,
        pooled_width=encoder.pooled_width,
        states={codec: _kept(alike, encoder, codec) for codec in CODECS},
        stored={codec: found for codec in CODECS if (found := sum(page.codec == codec for page in pages))},
        kept=_kept(alike, encoder),
        disk=sum(page.bytes for page in pages),
        indexing=_indexing([page.seconds for page in pages if page.seconds > 0]),
        stages={stage: _stage(laps[stage]) for stage in STAGES if laps.get(stage)},
        depth=settings.candidates,
        exhaustive=settings.exhaustive,
    )


def states(tokens: int, codec: str, encoder: Encoder) -> int:
    """Bytes that `tokens` token states take in a token file: all of its tensors but the pooled vector.

    An encoder with a budget of visual tokens sees the page, so its tokens form a grid; one without reads words, each of
    which has a box.
    """
    layout = TokenFileLayout(codec, tokens, encoder.token_width, encoder.pooled_width, boxes=not encoder.visual_tokens)
    return layout.size - FLOAT32 * encoder.pooled_width


def _kept(alike: Counter[tuple[int, str]], encoder: Encoder, codec: str = "") -> float:
    """Mean bytes of token states, over counted pairs of tokens and codec; in another codec if one is named."""
    return sum(count * states(tokens, codec or own, encoder) for (tokens, own), count in alike.items()) / alike.total()


def _indexing(seconds: Sequence[float]) -> Indexing | None:
    if not seconds:
        return None
    return Indexing(statistics.fmean(seconds), statistics.median(seconds), len(seconds))


def _stage(laps: Sequence[Lap]) -> Stage:
    each = [lap.milliseconds / lap.pages for lap in laps if lap.pages]
    return Stage(
        statistics.median(lap.milliseconds for lap in laps), len(laps), statistics.median(each) if each else 0.0
    )

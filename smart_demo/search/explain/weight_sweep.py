"""What the weight of the late part does to a page's rank. Pure arithmetic on the parts of a search: no model runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.page_list import as_page_list
from smart_demo.types import Floats, Parts, StoredPage, Weights

MAX_LATE_WEIGHT = 4.0
"""Where the sliders and the plot end."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """One page's rank for each weight of the late part."""

    late: Floats
    """(L,) weights λl,"""
    ranks: npt.NDArray[np.int64]
    """(L,) and the rank at each, 1 being first,"""
    candidates: int
    """among so many pages,"""
    pages: int
    """and at λl = 0 among so many."""


def late_weights(steps: int = 80) -> Floats:
    """λl from 0 to LARGEST, both included: steps + 1 of them."""
    return np.linspace(0, MAX_LATE_WEIGHT, steps + 1, dtype=np.float32)


def sweep_late_weight(parts: Parts, page: StoredPage, weights: Weights, late: Floats | None = None) -> Sweep:
    """Rank of one candidate page under `weights` as their late part takes each value of `late` in its turn.

    Every rank is the one that `scoring.rank` gives, ties included; so at λl = 0 it is among all visible pages, and
    elsewhere among the candidates. late: (L,), from 0 to LARGEST if None. ValueError for a page that is no candidate.
    """
    lambdas = late_weights() if late is None else np.asarray(late, dtype=np.float32)
    row = _row(parts, page)
    pooled, late_scores = parts.pooled[parts.candidates], scoring.late_scores(parts, weights)
    scores = np.stack([scoring.combine(replace(weights, late=float(one)), pooled, late_scores) for one in lambdas])
    ranks = _ranks(scores, row, _before(parts, parts.candidates, page))
    if not lambdas.all():
        everywhere = _before(parts, np.arange(len(parts.pages)), page)
        whole = _ranks(scoring.combine(weights, parts.pooled)[None], int(parts.candidates[row]), everywhere)
        ranks = np.where(lambdas == 0, whole, ranks)
    return Sweep(lambdas, ranks, len(parts.candidates), len(parts.pages))


def find_swap_weight(parts: Parts, one: StoredPage, other: StoredPage, weights: Weights) -> float | None:
    """The λl > 0 at which two candidates change places; None where one is ahead whatever the weight.

    λp a + λl b = λp a' + λl b' gives λl = -λp (a - a') / (b - b'), a and b being the pooled and late parts.
    Beyond LARGEST it is right and lies off the plot. ValueError for a page that is no candidate.
    """
    rows = [_row(parts, page) for page in (one, other)]
    pooled = parts.pooled[parts.candidates[rows]].astype(np.float64)
    late = scoring.late_scores(replace(parts, candidates=parts.candidates[rows], maxima=parts.maxima[rows]), weights)
    gap, slope = weights.pooled * (pooled[0] - pooled[1]), float(late[0]) - float(late[1])
    if slope == 0.0:
        return None
    meeting = float(-gap / slope)
    return meeting if 0.0 < meeting < np.inf else None


def find_first_place_weights(parts: Parts, page: StoredPage, weights: Weights) -> tuple[float, float] | None:
    """The λl > 0 between which a candidate page leads all other candidates, the far end possibly infinite.

    Scores are straight lines over λl, so a page leads between two weights or nowhere: None. It leads inside of them;
    at the ends it ties. Pages that tie everywhere are led by the one with the smaller id. ValueError for a page that
    is no candidate.
    """
    row = _row(parts, page)
    pooled = weights.pooled * parts.pooled[parts.candidates].astype(np.float64)
    late = scoring.late_scores(parts, weights).astype(np.float64)
    gaps, slopes = pooled[row] - pooled, late[row] - late
    first = _before(parts, parts.candidates, page)
    level = (slopes == 0) & ((gaps < 0) | ((gaps == 0) & first))
    level[row] = False
    rising, falling = slopes > 0, slopes < 0
    start = float(max(0.0, (-gaps[rising] / slopes[rising]).max(initial=0.0)))
    end = float((-gaps[falling] / slopes[falling]).min(initial=np.inf))
    return None if level.any() or start >= end else (start, end)


def _row(parts: Parts, page: StoredPage) -> int:
    position = as_page_list(parts.pages).position(page.key)
    rows = np.flatnonzero(parts.candidates == (-1 if position is None else position))
    if not rows.size:
        raise ValueError(f"page {page.id} is not among the candidates")
    return int(rows[0])


def _before(parts: Parts, positions: npt.NDArray[np.int64], page: StoredPage) -> npt.NDArray[np.bool_]:
    """Which pages stand before this one where their scores tie: those with the smaller id, as in `scoring.rank`."""
    pages = as_page_list(parts.pages)
    own = pages.position(page.key)
    before: npt.NDArray[np.bool_] = pages.id_ranks[positions] < (len(pages) if own is None else pages.id_ranks[own])
    return before


def _ranks(scores: Floats, row: int, before: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Rank (L,) of one row among scores (L, M): 1 + those that are better, or as good and before it."""
    rounded = scores.astype(np.float64).round(scoring.TIE_DECIMALS)
    own = rounded[:, [row]]
    ahead: npt.NDArray[np.int64] = 1 + ((rounded > own) | ((rounded == own) & before)).sum(axis=1)
    return ahead

"""The effect of the late weight on a page's rank, computed from the parts of a search: no model runs."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smart_demo import scoring
from smart_demo.methods import Parts, Weights
from smart_demo.page_list import as_page_list
from smart_demo.types import Floats, StoredPage

MAX_LATE_WEIGHT = 4.0
"""End of the sliders and of the plot."""


@dataclass(frozen=True, eq=False)
class Sweep:
    """The rank of one page for each of L late weights."""

    late: Floats
    """(L,) weights λl."""
    ranks: npt.NDArray[np.int64]
    """(L,) rank at each weight, counted from 1."""
    candidates: int
    """Number of pages ranked at λl > 0."""
    pages: int
    """Number of pages ranked at λl = 0."""


def late_weights(steps: int = 80) -> Floats:
    """Return steps + 1 values of λl from 0 to MAX_LATE_WEIGHT, both included."""
    return np.linspace(0, MAX_LATE_WEIGHT, steps + 1, dtype=np.float32)


def sweep_late_weight(parts: Parts, page: StoredPage, weights: Weights, late: Floats | None = None) -> Sweep:
    """Return the rank of a candidate page under `weights` with each value of `late` as the late weight.

    Every rank equals that of `scoring.rank`, ties included; so at λl = 0 it is among all visible pages, and elsewhere
    among the candidates. late: (L,), from 0 to MAX_LATE_WEIGHT if None. Raises ValueError if the page is not a
    candidate.
    """
    lambdas = late_weights() if late is None else np.asarray(late, dtype=np.float32)
    row = _find_row(parts, page)
    pooled, late_scores = parts.pooled[parts.candidates], scoring.late_scores(parts, weights)
    scores = np.stack([scoring.combine(replace(weights, late=float(value)), pooled, late_scores) for value in lambdas])
    ranks = _ranks(scores, row, _wins_ties(parts, parts.candidates, page))
    if not lambdas.all():
        wins_ties = _wins_ties(parts, np.arange(len(parts.pages)), page)
        pooled_rank = _ranks(scoring.combine(weights, parts.pooled)[None], int(parts.candidates[row]), wins_ties)
        ranks = np.where(lambdas == 0, pooled_rank, ranks)
    return Sweep(lambdas, ranks, len(parts.candidates), len(parts.pages))


def find_swap_weight(parts: Parts, first: StoredPage, second: StoredPage, weights: Weights) -> float | None:
    """Return the λl > 0 at which two candidates change places, or None if one leads at every weight.

    λp a + λl b = λp a' + λl b' gives λl = -λp (a - a') / (b - b'), a and b being the pooled and late parts. The result
    may exceed MAX_LATE_WEIGHT. Raises ValueError if a page is not a candidate.
    """
    rows = [_find_row(parts, page) for page in (first, second)]
    pooled = parts.pooled[parts.candidates[rows]].astype(np.float64)
    spaces = {space: own._replace(maxima=own.maxima[rows]) for space, own in parts.spaces.items()}
    both = replace(parts, candidates=parts.candidates[rows], maxima=parts.maxima[rows], spaces=spaces)
    late = scoring.late_scores(both, weights)
    gap, slope = weights.pooled * (pooled[0] - pooled[1]), float(late[0]) - float(late[1])
    if slope == 0.0:
        return None
    swap = float(-gap / slope)
    return swap if 0.0 < swap < np.inf else None


def find_first_place_weights(parts: Parts, page: StoredPage, weights: Weights) -> tuple[float, float] | None:
    """Return the range of λl > 0 in which a candidate page leads all others; its end may be infinite.

    Scores are linear in λl, so a page leads in one range or never: None. It leads inside the range and ties at its
    ends. Of pages that tie at every weight, the one with the smaller id leads. Raises ValueError if the page is not a
    candidate.
    """
    row = _find_row(parts, page)
    pooled = weights.pooled * parts.pooled[parts.candidates].astype(np.float64)
    late = scoring.late_scores(parts, weights).astype(np.float64)
    gaps, slopes = pooled[row] - pooled, late[row] - late
    wins_ties = _wins_ties(parts, parts.candidates, page)
    always_behind = (slopes == 0) & ((gaps < 0) | ((gaps == 0) & wins_ties))
    always_behind[row] = False
    rising, falling = slopes > 0, slopes < 0
    start = float(max(0.0, (-gaps[rising] / slopes[rising]).max(initial=0.0)))
    end = float((-gaps[falling] / slopes[falling]).min(initial=np.inf))
    return None if always_behind.any() or start >= end else (start, end)


def _find_row(parts: Parts, page: StoredPage) -> int:
    position = as_page_list(parts.pages).position(page.key)
    rows = np.flatnonzero(parts.candidates == (-1 if position is None else position))
    if not rows.size:
        raise ValueError(f"page {page.id} is not among the candidates")
    return int(rows[0])


def _wins_ties(parts: Parts, positions: npt.NDArray[np.int64], page: StoredPage) -> npt.NDArray[np.bool_]:
    """Return which pages rank before this one if their scores tie: those with the smaller id, as in `scoring.rank`."""
    pages = as_page_list(parts.pages)
    own = pages.position(page.key)
    before: npt.NDArray[np.bool_] = pages.id_ranks[positions] < (len(pages) if own is None else pages.id_ranks[own])
    return before


def _ranks(scores: Floats, row: int, wins_ties: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """Return the rank (L,) of one row among scores (L, M): 1 + those better, or equal and in `wins_ties`."""
    rounded = scores.astype(np.float64).round(scoring.TIE_DECIMALS)
    own = rounded[:, [row]]
    ranks: npt.NDArray[np.int64] = 1 + ((rounded > own) | ((rounded == own) & wins_ties)).sum(axis=1)
    return ranks

"""Every token of a query against every token of one page, and where on the page a token stands."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smart_demo.types import Box, Floats, PageEncoding, QueryEncoding, TokenBoxes, TokenGrid, TokenKind


@dataclass(frozen=True, slots=True)
class Cell:
    """One patch of a page's grid, counted from 0 at the top left."""

    row: int
    col: int


@dataclass(frozen=True, slots=True)
class Spot:
    """One token of a page and, if it has a place there, its rectangle; the cell too where the page is a grid."""

    token: int
    kind: TokenKind
    box: Box | None = None
    cell: Cell | None = None

    @property
    def placed(self) -> bool:
        return self.box is not None


@dataclass(frozen=True, eq=False)
class Match:
    """A query and a page with the cosines (Q, T) of all their tokens."""

    query: QueryEncoding
    page: PageEncoding
    cosines: Floats
    placed: npt.NDArray[np.bool_]
    """(T,) which tokens of the page have a place on it."""

    chance: float
    """How far the best place would stand above the 2nd percentile for a query that points anywhere."""

    def spot(self, token: int) -> Spot:
        """Where row `token` of the page's token matrix stands. IndexError beyond it."""
        if not 0 <= token < len(self.placed):
            raise IndexError(f"token {token} of {len(self.placed)}")
        kind, place = TokenKind(int(self.page.kinds[token])), self.page.place
        if not self.placed[token]:
            return Spot(token, kind)
        if isinstance(place, TokenBoxes):
            left, top, right, bottom = map(float, place.boxes[token])
            return Spot(token, kind, Box(left, top, right, bottom))
        row, col = place.cell(token)
        return Spot(token, kind, cell_box(place, row, col), Cell(row, col))


def match(query: QueryEncoding, page: PageEncoding, cosines: Floats | None = None) -> Match:
    """Multiply the two once; attributions and maps all come from it.

    cosines: (Q, T) as they were scored, where that is not the product of the two: `scoring.cosines` of stored codes.
    ValueError for encodings of different encoders, or a place that does not fit the page's tokens.
    """
    if query.encoder != page.encoder:
        raise ValueError(f"a query of encoder {query.encoder} and a page of {page.encoder} cannot be compared")
    placed = _placed(page)
    if cosines is None:
        cosines = query.tokens @ page.tokens.T
    return Match(query, page, cosines, placed, _chance(page.tokens[placed]))


def cell_box(place: TokenGrid, row: int, col: int) -> Box:
    """The rectangle of one patch."""
    return Box(col / place.cols, row / place.rows, (col + 1) / place.cols, (row + 1) / place.rows)


def _chance(states: Floats) -> float:
    """Along a random direction of D dimensions n placed states (n, D) of mean μ spread by σ = sqrt((1 - |μ|²) / D);
    their 2nd percentile lies 2.05 σ below the middle, their largest about sqrt(2 ln n) σ above it.
    """
    if not len(states):
        return 0.0
    spread = max(0.0, 1.0 - float(np.square(states.mean(axis=0, dtype=np.float64)).sum()))
    return math.sqrt(spread / states.shape[1]) * (2.05 + math.sqrt(2 * math.log(len(states))))


def _placed(page: PageEncoding) -> npt.NDArray[np.bool_]:
    count, place = len(page.tokens), page.place
    if isinstance(place, TokenGrid):
        end = place.start + place.rows * place.cols
        if place.start < 0 or end > count:
            raise ValueError(f"{place} reaches beyond the page's {count} tokens")
        at = np.arange(count)
        return (at >= place.start) & (at < end)
    if place.boxes.shape != (count, 4):
        raise ValueError(f"boxes of shape {place.boxes.shape} for {count} tokens")
    return np.asarray(~np.isnan(place.boxes).any(axis=1))

"""The cosines of all tokens of a query with all tokens of a page, and the location of each token on the page."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smart_demo.page_text import Box
from smart_demo.types import Floats, PageEncoding, QueryEncoding, TokenBoxes, TokenGrid, TokenKind, TokenSpace


@dataclass(frozen=True, slots=True)
class Cell:
    """One patch of a page's grid, counted from 0 at the top left."""

    row: int
    col: int


@dataclass(frozen=True, slots=True)
class TokenLocation:
    """One token of a page with its rectangle, if it has a place on the page, and its cell, if the page is a grid."""

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
    """(T,) whether each token has a place on the page."""

    chance: float
    """Expected distance of the best place above the 2nd percentile for a query of random direction."""

    def locate(self, token: int) -> TokenLocation:
        """Return the location of row `token` of the page's token matrix. Raises IndexError if there is no such row."""
        if not 0 <= token < len(self.placed):
            raise IndexError(f"token {token} of {len(self.placed)}")
        kind, place = TokenKind(int(self.page.kinds[token])), self.page.place
        if not self.placed[token]:
            return TokenLocation(token, kind)
        if isinstance(place, TokenBoxes):
            left, top, right, bottom = map(float, place.boxes[token])
            return TokenLocation(token, kind, Box(left, top, right, bottom))
        row, col = place.cell(token)
        return TokenLocation(token, kind, cell_box(place, row, col), Cell(row, col))


def match_tokens(
    query: QueryEncoding, page: PageEncoding, cosines: Floats | None = None, space: TokenSpace = TokenSpace.RAW
) -> Match:
    """Return all cosines of a query and a page in one token space, from which attributions and maps are computed.

    The query and the page of the result have the tokens of that space. cosines: (Q, T) as they were scored, if that is
    not the product of the two: `scoring.cosines` of stored codes. Raises ValueError if the encoders differ, or if the
    places do not fit the page's tokens; KeyError if the encoder does not give the space.
    """
    states = page.in_space(space)
    query = query.in_space(space)
    page = replace(page, tokens=states.tokens, kinds=states.kinds, place=states.place, spaces={})
    if query.encoder != page.encoder:
        raise ValueError(f"a query of encoder {query.encoder} and a page of {page.encoder} cannot be compared")
    placed = _find_placed(page)
    if cosines is None:
        cosines = query.tokens @ page.tokens.T
    return Match(query, page, cosines, placed, _chance(page.tokens[placed]))


def cell_box(place: TokenGrid, row: int, col: int) -> Box:
    """Return the rectangle of one patch on the page, without its padding."""
    width, height = place.cols * place.covered_width, place.rows * place.covered_height
    return Box(col / width, row / height, min(1.0, (col + 1) / width), min(1.0, (row + 1) / height))


def _chance(states: Floats) -> float:
    """Return `Match.chance` for the n placed states (n, D).

    Along a random direction of D dimensions, n states of mean μ have the spread σ = sqrt((1 - |μ|²) / D). Their 2nd
    percentile is 2.05 σ below the middle, their maximum about sqrt(2 ln n) σ above it.
    """
    if not len(states):
        return 0.0
    spread = max(0.0, 1.0 - float(np.square(states.mean(axis=0, dtype=np.float64)).sum()))
    return math.sqrt(spread / states.shape[1]) * (2.05 + math.sqrt(2 * math.log(len(states))))


def _find_placed(page: PageEncoding) -> npt.NDArray[np.bool_]:
    count, place = len(page.tokens), page.place
    if isinstance(place, TokenGrid):
        end = place.start + place.rows * place.cols
        if place.start < 0 or end > count:
            raise ValueError(f"{place} reaches beyond the page's {count} tokens")
        tokens = np.arange(count)
        return (tokens >= place.start) & (tokens < end)
    if place.boxes.shape != (count, 4):
        raise ValueError(f"boxes of shape {place.boxes.shape} for {count} tokens")
    return np.asarray(~np.isnan(place.boxes).any(axis=1))

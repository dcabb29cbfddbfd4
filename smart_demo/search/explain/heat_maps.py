"""Numbers to colours: viridis, which stays in order for every kind of colour vision and in grey.

Scalars on a page: how similar its placed tokens are, or what they contribute; and the one colour range of them all.

Two pictures that must not be confused. A similarity map shows cosines and says nothing of the score. A winner map is
an attribution: every counted query token puts its contribution on the token that won it, so the map and the listed
remainder (winners without a place) add up to λl · late. Nothing is masked in a score because it looks bad here.

Maps to pictures that lie over a page. Scalars are enlarged first and coloured last: no colour is off the scale.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smart_demo.search.explain.attribution import Attribution, Term
from smart_demo.search.explain.matching import Cell, Match, cell_box
from smart_demo.types import Box, Floats, TokenBoxes, TokenGrid, TokenKind

Overlay = npt.NDArray[np.uint8]
"""(height, width, 4) RGBA, to lie on the page's picture stretched to its size."""
OPAQUE = 0.65
"""Alpha of the largest value: what is printed under it stays readable."""
ANCHORS = (
    (68, 1, 84),
    (72, 23, 105),
    (71, 42, 122),
    (67, 61, 132),
    (61, 78, 138),
    (53, 94, 141),
    (46, 109, 142),
    (41, 123, 142),
    (35, 137, 142),
    (31, 151, 139),
    (33, 165, 133),
    (46, 179, 124),
    (70, 192, 111),
    (101, 203, 94),
    (137, 213, 72),
    (176, 221, 47),
    (216, 226, 25),
    (253, 231, 37),
)
"""Eighteen even steps of viridis by Stéfan van der Walt and Nathaniel Smith, dedicated to the public domain (CC0)."""


def table() -> npt.NDArray[np.uint8]:
    """(256, 3) RGB from the lowest value to the highest, for the map itself and for its legend."""
    steps = np.linspace(0, len(ANCHORS) - 1, 256)
    channels = [np.interp(steps, range(len(ANCHORS)), channel) for channel in zip(*ANCHORS, strict=True)]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def paint(values: Floats, strength: Floats | None = None) -> Overlay:
    """Colours of values 0..1 (height, width); alpha grows with the strength (the value itself if None) to OPAQUE.

    Alone, the values give 256 colours with alpha, which makes a file 2.5 times smaller than alpha in finer steps.
    """
    steps = (values * 255).round().astype(np.uint8)
    shades = np.empty((256, 4), dtype=np.uint8)
    shades[:, :3] = table()
    shades[:, 3] = (np.arange(256) * OPAQUE).round()
    overlay: Overlay = shades[steps]
    if strength is not None:
        overlay[..., 3] = (strength * np.float32(255 * OPAQUE)).round()
    return overlay


FLOOR = 0.02
"""Cosines: a map whose best place stands out by no more has no clear location, wherever chance lies: the int8 codec
alone may move a cosine by about so much."""
CLIP = (2, 98)
"""The colours run from this percentile of all similarities to this percentile of the maps' best places."""


class Measure(StrEnum):
    """What a map's numbers are: cosines, or parts of the score."""

    SIMILARITY = "similarity"
    CONTRIBUTION = "contribution"


@dataclass(frozen=True, eq=False)
class PageMap:
    """One number for every placed token of a page."""

    measure: Measure
    place: TokenGrid | TokenBoxes
    values: Floats
    """(rows, cols) for a TokenGrid; (T,) for TokenBoxes, NaN where a token has no place."""
    floor: float = FLOOR
    """By how much the best place must stand above the 2nd percentile of similarities to be a clear location."""

    def by_box(self) -> tuple[Floats, Floats]:
        """Different boxes (B, 4) of a map of boxes, and a value (B,) for each: the pieces of one word share its box,
        where the best similarity shows and contributions add up. ValueError for a grid.
        """
        if not isinstance(self.place, TokenBoxes):
            raise ValueError("a grid has no boxes")
        placed = ~np.isnan(self.values)
        boxes, own = np.unique(self.place.boxes[placed], axis=0, return_inverse=True)
        adds = self.measure is Measure.CONTRIBUTION
        values = np.full(len(boxes), 0 if adds else -np.inf, dtype=np.float32)
        (np.add if adds else np.maximum).at(values, own, self.values[placed])
        return boxes, values

    @cached_property
    def shown(self) -> Floats:
        """Every value that is drawn, flat: one for each patch or different box."""
        return self.by_box()[1] if isinstance(self.place, TokenBoxes) else self.values.ravel()

    @property
    def best(self) -> tuple[Box, Cell | None] | None:
        """Rectangle of the largest value drawn, and its cell where the page is a grid; None where nothing is drawn."""
        if isinstance(self.place, TokenBoxes):
            boxes, values = self.by_box()
            return (Box(*boxes[values.argmax()].tolist()), None) if len(values) else None
        row, col = divmod(int(self.values.argmax()), self.place.cols)
        return cell_box(self.place, row, col), Cell(row, col)

    @property
    def flat(self) -> bool:
        """No clear location: no place stands out by more than chance. The best place decides and not the 98th
        percentile: a word that stands on a page once is the clearest location there is, and under 2 % of its tokens.
        """
        shown = self.shown
        if not shown.size:
            return True
        if self.measure is Measure.CONTRIBUTION:
            return not shown.any()
        return bool(shown.max() - np.percentile(shown, CLIP[0]) <= self.floor)


@dataclass(frozen=True, eq=False)
class WinnerMap:
    """Where λl · late comes from: sum of the map's known values + contributions of the remainder."""

    map: PageMap
    remainder: tuple[Term, ...]
    """Counted tokens that were won by a page token without a place, in the query's order."""


@dataclass(frozen=True, slots=True)
class ColourRange:
    """The values that get the first and the last colour; what lies outside is clipped."""

    low: float
    high: float

    def scale(self, values: Floats) -> Floats:
        """The values as 0..1 of this range; NaN stays."""
        scaled: Floats = np.clip((values - np.float32(self.low)) / np.float32(self.high - self.low), 0, 1)
        return scaled


def similarity_map(match: Match, tokens: Sequence[int]) -> PageMap:
    """Best cosine of any of these query tokens at every placed page token: a token's or a word's map.

    ValueError for no tokens, IndexError for one that the query does not have.
    """
    if not len(tokens):
        raise ValueError("a map of no query tokens")
    return _placed(match, Measure.SIMILARITY, match.cosines[list(tokens)].max(axis=0))


def whole_query_map(match: Match) -> PageMap:
    """Best cosine of any token of what was asked: its words and its picture; of any token where it has neither."""
    asked = np.flatnonzero(np.isin(match.query.kinds, (TokenKind.CONTENT, TokenKind.PATCH)))
    return similarity_map(match, asked.tolist() or range(len(match.query.kinds)))


def winner_map(attribution: Attribution) -> WinnerMap:
    """Each counted token's contribution on the placed page token that won it."""
    match = attribution.match
    values = np.zeros(len(match.placed), dtype=np.float64)
    remainder = []
    for term in attribution.tokens:
        if term.winner.placed:
            values[term.winner.token] += term.contribution
        elif term.contribution:
            remainder.append(term)
    return WinnerMap(_placed(match, Measure.CONTRIBUTION, values.astype(np.float32)), tuple(remainder))


def range_of(maps: Iterable[PageMap]) -> ColourRange:
    """One range for all words, pages and columns of a query, so that one colour means one number.

    Similarities run from their 2nd percentile to the 98th of the maps' best places, and over the maps' floor at least,
    so that noise is never stretched to full colour. (The 98th of all similarities would paint a word that is not on
    the page as hot as the one that decides: on pages of words an exact match is one token of hundreds.) Contributions,
    which most places have none of, run from 0 to the largest. ValueError for maps of both measures.
    """
    maps = list(maps)
    measures = {one.measure for one in maps}
    if len(measures) > 1:
        raise ValueError("similarities and contributions have no common range")
    shown = np.concatenate([one.shown for one in maps]) if maps else np.zeros(0, np.float32)
    if not shown.size:
        return ColourRange(0.0, 1.0)
    if measures == {Measure.CONTRIBUTION}:
        low, high = min(0.0, float(shown.min())), max(0.0, float(shown.max()))
        return ColourRange(low, high if high > low else low + 1.0)
    low = float(np.percentile(shown, CLIP[0]))
    high = float(np.percentile([one.shown.max() for one in maps if one.shown.size], CLIP[1]))
    return ColourRange(low, max(high, low + max(one.floor for one in maps)))


def _placed(match: Match, measure: Measure, values: Floats) -> PageMap:
    """The values (T,) of a page's tokens as a map of those that have a place."""
    place, floor = match.page.place, max(FLOOR, match.chance)
    if isinstance(place, TokenGrid):
        own = values[match.placed].reshape(place.rows, place.cols)
        return PageMap(measure, place, own.astype(np.float32), floor)
    return PageMap(measure, place, np.where(match.placed, values, np.nan).astype(np.float32), floor)


PATCH = 16
"""Pixels of a patch's side in an overlay, on grids that stay within LONG_SIDE so;"""
LONG_SIDE = 1280
"""larger grids get smaller patches, and grids of more patches one pixel each."""
BOXES_SIDE = 800
"""Long side of an overlay of word boxes."""
SOFT = 4
"""Pixels over which a word's colour fades around its box."""


def draw(page_map: PageMap, colours: ColourRange, *, aspect: float = 1.0) -> Overlay:
    """The map as a picture of the whole page, upright as the page.

    aspect: width / height of the page, for maps of boxes; a grid has its own. ValueError for an aspect that is no
    positive number.
    """
    if isinstance(page_map.place, TokenBoxes):
        return _draw_boxes(page_map, colours, aspect)
    values = colours.scale(page_map.values)
    patch = min(PATCH, max(1, LONG_SIDE // max(values.shape)))
    return paint(_bilinear(values, patch))


def encode(overlay: Overlay) -> bytes:
    """The bytes of a lossless WebP file."""
    from PIL import Image

    kept = io.BytesIO()
    # Colours under alpha 0 are dropped, which nobody sees; method 0 is many times faster and little larger.
    Image.fromarray(overlay, "RGBA").save(kept, "webp", lossless=True, method=0, quality=0)
    return kept.getvalue()


def _bilinear(values: Floats, patch: int) -> Floats:
    """(rows, cols) enlarged `patch` times: exact at the centre of each patch, level beyond the outermost centres."""
    return _stretch(_stretch(values, patch).T, patch).T


def _stretch(values: Floats, times: int) -> Floats:
    """Along the first axis."""
    count = len(values)
    at = np.clip((np.arange(count * times, dtype=np.float32) + 0.5) / times - 0.5, 0, count - 1)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    share = (at - low).astype(np.float32)[:, None]
    stretched: Floats = values[low] * (1 - share) + values[high] * share
    return stretched


def _draw_boxes(page_map: PageMap, colours: ColourRange, aspect: float) -> Overlay:
    """Each box filled, fading over SOFT pixels around it; where boxes meet, the stronger shows."""
    if not 0 < aspect < np.inf:
        raise ValueError(f"no page has a width of {aspect} heights")
    height = BOXES_SIDE if aspect <= 1 else max(1, round(BOXES_SIDE / aspect))
    width = BOXES_SIDE if aspect >= 1 else max(1, round(BOXES_SIDE * aspect))
    values = np.zeros((height, width), dtype=np.float32)
    strength = np.zeros_like(values)
    boxes, own = page_map.by_box()
    edges = boxes * np.array([width, height, width, height], dtype=np.float32)
    for (left, top, right, bottom), value in zip(edges.tolist(), colours.scale(own).tolist(), strict=True):
        across, columns = _fade(left, right, width)
        down, rows = _fade(top, bottom, height)
        stronger = value * down[:, None] * across
        region = (rows, columns)
        wins = stronger > strength[region]
        values[region][wins] = value
        strength[region][wins] = stronger[wins]
    return paint(values, strength)


def _fade(low: float, high: float, size: int) -> tuple[Floats, slice]:
    """How strongly the pixels around an interval are filled: 1 inside, falling to 0 over SOFT. With their slice.

    An interval narrower than a pixel fills one pixel.
    """
    low, high = min(low, size - 1.0), max(high, low + 1.0)
    start, end = max(0, int(low) - SOFT), min(size, int(np.ceil(high)) + SOFT)
    centres = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
    outside = np.maximum(np.maximum(low - centres, centres - high), 0)
    filled: Floats = np.clip(1 - outside / SOFT, 0, 1).astype(np.float32)
    return filled, slice(start, end)

"""Heat maps of a page: one number per placed token, their common range of colours, and pictures to lay over the page.

The two kinds must not be confused. A similarity map shows cosines and does not explain the score. A winner map is an
attribution: every counted query token puts its contribution on the token that won it, so the map and the listed
remainder (winners without a place) add up to λl · late. No score leaves out a token because its map looks bad.

Numbers are enlarged first and coloured last, so every colour is one of the scale.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smart_demo.page_text import Box
from smart_demo.search.explain.attribution import Attribution, Term
from smart_demo.search.explain.matching import Cell, Match, cell_box
from smart_demo.types import Floats, TokenBoxes, TokenGrid, TokenKind

Overlay = npt.NDArray[np.uint8]
"""(height, width, 4) RGBA, to be stretched over the page's picture."""

MIN_CONTRAST = 0.02
"""Cosines: a map whose best place exceeds the rest by no more has no clear location, whatever chance gives. The int8
codec alone may move a cosine by about this much."""
CLIP_PERCENTILES = (2, 98)
"""The colours run from this percentile of all similarities to this percentile of the maps' best places."""
MAX_ALPHA = 0.65
"""Alpha of the largest value: print under it stays readable."""
MAX_PATCH_PIXELS = 16
"""Side of a patch in an overlay of a grid, unless the grid is too large for MAX_GRID_SIDE_PIXELS."""
MAX_GRID_SIDE_PIXELS = 1280
"""Maximum side of an overlay of a grid. Larger grids get smaller patches, of at least one pixel."""
BOXES_SIDE_PIXELS = 800
"""Long side of an overlay of word boxes."""
FADE_PIXELS = 4
"""Pixels over which a word's colour fades around its box."""
VIRIDIS_ANCHORS = (
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
"""Eighteen even steps of viridis by Stéfan van der Walt and Nathaniel Smith, dedicated to the public domain (CC0). Its
order is visible with every kind of colour vision, and in grey."""


class Measure(StrEnum):
    """The numbers of a map: cosines, or parts of the score."""

    SIMILARITY = "similarity"
    CONTRIBUTION = "contribution"


@dataclass(frozen=True, eq=False)
class PageMap:
    """One number for every placed token of a page."""

    measure: Measure
    place: TokenGrid | TokenBoxes
    values: Floats
    """(rows, cols) for a TokenGrid; (T,) for TokenBoxes, NaN for tokens without a place."""
    min_contrast: float = MIN_CONTRAST
    """Distance above the 2nd percentile of similarities that the best place must exceed to be a clear location."""

    def by_box(self) -> tuple[Floats, Floats]:
        """Return the distinct boxes (B, 4) and a value (B,) for each.

        The pieces of one word share its box: similarities give their maximum, contributions their sum. Raises
        ValueError if the page is a grid.
        """
        if not isinstance(self.place, TokenBoxes):
            raise ValueError("a grid has no boxes")
        placed = ~np.isnan(self.values)
        boxes, box_of = np.unique(self.place.boxes[placed], axis=0, return_inverse=True)
        adds = self.measure is Measure.CONTRIBUTION
        values = np.full(len(boxes), 0 if adds else -np.inf, dtype=np.float32)
        (np.add if adds else np.maximum).at(values, box_of, self.values[placed])
        return boxes, values

    @cached_property
    def shown(self) -> Floats:
        """Every value that is drawn, flat: one for each patch or distinct box."""
        return self.by_box()[1] if isinstance(self.place, TokenBoxes) else self.values.ravel()

    @property
    def best(self) -> tuple[Box, Cell | None] | None:
        """Rectangle of the largest value, and its cell if the page is a grid; None if nothing is drawn."""
        if isinstance(self.place, TokenBoxes):
            boxes, values = self.by_box()
            return (Box(*boxes[values.argmax()].tolist()), None) if len(values) else None
        row, col = divmod(int(self.values.argmax()), self.place.cols)
        return cell_box(self.place, row, col), Cell(row, col)

    @property
    def flat(self) -> bool:
        """Whether there is no clear location: no place exceeds the rest by more than chance.

        The best place decides, not the 98th percentile: a word that occurs once on a page is the clearest location
        possible, and under 2 % of its tokens.
        """
        shown = self.shown
        if not shown.size:
            return True
        if self.measure is Measure.CONTRIBUTION:
            return not shown.any()
        return bool(shown.max() - np.percentile(shown, CLIP_PERCENTILES[0]) <= self.min_contrast)


@dataclass(frozen=True, eq=False)
class WinnerMap:
    """The places of λl · late: the sum of the map's known values + the contributions of the remainder."""

    map: PageMap
    remainder: tuple[Term, ...]
    """Counted tokens whose winner has no place on the page, in the query's order."""


@dataclass(frozen=True, slots=True)
class ColourRange:
    """The values of the first and the last colour. Values outside are clipped."""

    low: float
    high: float

    def scale(self, values: Floats) -> Floats:
        """Return the values scaled from this range to [0, 1]; NaN stays NaN."""
        scaled: Floats = np.clip((values - np.float32(self.low)) / np.float32(self.high - self.low), 0, 1)
        return scaled


def similarity_map(match: Match, tokens: Sequence[int]) -> PageMap:
    """Return the best cosine of any of these query tokens at every placed page token: the map of a token or a word.

    Raises ValueError if there are no tokens, and IndexError if the query does not have one of them.
    """
    if not len(tokens):
        raise ValueError("a map of no query tokens")
    return _page_map(match, Measure.SIMILARITY, match.cosines[list(tokens)].max(axis=0))


def whole_query_map(match: Match) -> PageMap:
    """Return the best cosine of any token of the query's words and picture, or of any token if it has neither."""
    tokens = np.flatnonzero(np.isin(match.query.kinds, (TokenKind.CONTENT, TokenKind.PATCH)))
    return similarity_map(match, tokens.tolist() or range(len(match.query.kinds)))


def winner_map(attribution: Attribution) -> WinnerMap:
    """Return each counted token's contribution on the placed page token that won it."""
    match = attribution.match
    values = np.zeros(len(match.placed), dtype=np.float64)
    remainder = []
    for term in attribution.tokens:
        if term.winner.placed:
            values[term.winner.token] += term.contribution
        elif term.contribution:
            remainder.append(term)
    return WinnerMap(_page_map(match, Measure.CONTRIBUTION, values.astype(np.float32)), tuple(remainder))


def _page_map(match: Match, measure: Measure, values: Floats) -> PageMap:
    """Return the values (T,) of a page's tokens as a map of those with a place."""
    place, min_contrast = match.page.place, max(MIN_CONTRAST, match.chance)
    if isinstance(place, TokenGrid):
        grid = values[match.placed].reshape(place.rows, place.cols)
        return PageMap(measure, place, grid.astype(np.float32), min_contrast)
    return PageMap(measure, place, np.where(match.placed, values, np.nan).astype(np.float32), min_contrast)


def colour_range(maps: Iterable[PageMap]) -> ColourRange:
    """Return one range for all words, pages and columns of a query, so that one colour means one number.

    Similarities run from their 2nd percentile to the 98th of the maps' best places, and over the maps' minimum contrast
    at least, so that noise is never stretched to full colour. (The 98th of all similarities would paint a word that is
    not on the page as hot as the one that decides: on pages of words an exact match is one token of hundreds.)
    Contributions, which most places have none of, run from 0 to the largest. Raises ValueError for maps of both
    measures.
    """
    maps = list(maps)
    measures = {page_map.measure for page_map in maps}
    if len(measures) > 1:
        raise ValueError("similarities and contributions have no common range")
    shown = np.concatenate([page_map.shown for page_map in maps]) if maps else np.zeros(0, np.float32)
    if not shown.size:
        return ColourRange(0.0, 1.0)
    if measures == {Measure.CONTRIBUTION}:
        low, high = min(0.0, float(shown.min())), max(0.0, float(shown.max()))
        return ColourRange(low, high if high > low else low + 1.0)
    low = float(np.percentile(shown, CLIP_PERCENTILES[0]))
    best = [page_map.shown.max() for page_map in maps if page_map.shown.size]
    high = float(np.percentile(best, CLIP_PERCENTILES[1]))
    return ColourRange(low, max(high, low + max(page_map.min_contrast for page_map in maps)))


def draw_map(page_map: PageMap, colours: ColourRange, *, aspect: float = 1.0) -> Overlay:
    """Draw a map as a picture of the whole page, upright as the page.

    aspect: width / height of the page, for maps of boxes; a grid has its own. Raises ValueError if it is not a positive
    number.
    """
    if isinstance(page_map.place, TokenBoxes):
        return _draw_boxes(page_map, colours, aspect)
    values, place = colours.scale(page_map.values), page_map.place
    patch = min(MAX_PATCH_PIXELS, max(1, MAX_GRID_SIDE_PIXELS // max(values.shape)))
    enlarged = _enlarge(values, patch)
    shares = zip(enlarged.shape, (place.covered_height, place.covered_width), strict=True)
    height, width = (max(1, round(size * share)) for size, share in shares)
    return colour_values(enlarged[:height, :width])  # without the padding beside the page


def encode_webp(overlay: Overlay) -> bytes:
    """Return the bytes of a lossless WebP file."""
    from PIL import Image

    file = io.BytesIO()
    # Colours under alpha 0 are dropped, which is invisible; method 0 is many times faster and little larger.
    Image.fromarray(overlay, "RGBA").save(file, "webp", lossless=True, method=0, quality=0)
    return file.getvalue()


def viridis() -> npt.NDArray[np.uint8]:
    """Return (256, 3) RGB from the lowest value to the highest, for maps and their legend."""
    steps = np.linspace(0, len(VIRIDIS_ANCHORS) - 1, 256)
    channels = [
        np.interp(steps, range(len(VIRIDIS_ANCHORS)), channel) for channel in zip(*VIRIDIS_ANCHORS, strict=True)
    ]
    return np.stack(channels, axis=1).round().astype(np.uint8)


def colour_values(values: Floats, strength: Floats | None = None) -> Overlay:
    """Return the colours of values 0..1 (height, width). Alpha grows with `strength` to MAX_ALPHA.

    If `strength` is None, it is the value itself; then there are 256 colours with alpha, which makes a file 2.5 times
    smaller than alpha in finer steps.
    """
    steps = (values * 255).round().astype(np.uint8)
    colours = np.empty((256, 4), dtype=np.uint8)
    colours[:, :3] = viridis()
    colours[:, 3] = (np.arange(256) * MAX_ALPHA).round()
    overlay: Overlay = colours[steps]
    if strength is not None:
        overlay[..., 3] = (strength * np.float32(255 * MAX_ALPHA)).round()
    return overlay


def _enlarge(values: Floats, patch: int) -> Floats:
    """Return (rows, cols) enlarged `patch` times, bilinear.

    Values are exact at the centre of each patch and constant beyond the outermost centres.
    """
    return _enlarge_rows(_enlarge_rows(values, patch).T, patch).T


def _enlarge_rows(values: Floats, times: int) -> Floats:
    count = len(values)
    at = np.clip((np.arange(count * times, dtype=np.float32) + 0.5) / times - 0.5, 0, count - 1)
    low = at.astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    share = (at - low).astype(np.float32)[:, None]
    enlarged: Floats = values[low] * (1 - share) + values[high] * share
    return enlarged


def _draw_boxes(page_map: PageMap, colours: ColourRange, aspect: float) -> Overlay:
    """Fill each box, fading over FADE_PIXELS around it; where boxes overlap, the stronger one shows."""
    if not 0 < aspect < np.inf:
        raise ValueError(f"no page has a width of {aspect} heights")
    height = BOXES_SIDE_PIXELS if aspect <= 1 else max(1, round(BOXES_SIDE_PIXELS / aspect))
    width = BOXES_SIDE_PIXELS if aspect >= 1 else max(1, round(BOXES_SIDE_PIXELS * aspect))
    values = np.zeros((height, width), dtype=np.float32)
    strength = np.zeros_like(values)
    boxes, box_values = page_map.by_box()
    edges = boxes * np.array([width, height, width, height], dtype=np.float32)
    for (left, top, right, bottom), value in zip(edges.tolist(), colours.scale(box_values).tolist(), strict=True):
        across, columns = _fade(left, right, width)
        down, rows = _fade(top, bottom, height)
        box_strength = value * down[:, None] * across
        region = (rows, columns)
        wins = box_strength > strength[region]
        values[region][wins] = value
        strength[region][wins] = box_strength[wins]
    return colour_values(values, strength)


def _fade(low: float, high: float, size: int) -> tuple[Floats, slice]:
    """Return how strongly the pixels around an interval are filled, and their slice: 1 inside, 0 after FADE_PIXELS.

    An interval narrower than a pixel fills one pixel.
    """
    low, high = min(low, size - 1.0), max(high, low + 1.0)
    start, end = max(0, int(low) - FADE_PIXELS), min(size, int(np.ceil(high)) + FADE_PIXELS)
    centres = np.arange(start, end, dtype=np.float32) + np.float32(0.5)
    outside = np.maximum(np.maximum(low - centres, centres - high), 0)
    filled: Floats = np.clip(1 - outside / FADE_PIXELS, 0, 1).astype(np.float32)
    return filled, slice(start, end)

"""The crop of a page that shows its evidence: the place where most of the late score was won, at reading size."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from smart_demo.page_text import Box
from smart_demo.search.explain.attribution import Attribution, Term
from smart_demo.search.explain.heat_maps import similarity_map
from smart_demo.search.explain.informative_terms import select_informative_terms
from smart_demo.types import TokenBoxes

TEXT_HEIGHT = 14
"""CSS pixels of a winning word's box, ascenders and descenders included: print of about 12 pixels."""
MAX_ENLARGEMENT = 1.6
"""CSS pixels for one pixel of the page's picture, at most: beyond it print is blurred."""
GRID_WIDTH = 0.5
"""Width of a patch grid that GRID_SLOT_WIDTH shows, whose print has no known size, in widths of the A4 sheet with the
page's long side."""
GRID_SLOT_WIDTH = 360
A4_RATIO = 2**0.5
MARGIN = 1.2
"""Least size of a crop, in sizes of the strongest winner."""
MAX_PLACES = 64
"""Maximum number of winners, the strongest, that decide which window is chosen."""
MAX_MARKS = 12
"""Maximum number of outlined places, the strongest, in one crop."""
VERTICAL_RATIO = 3
"""Height over width of a box above which its word runs vertically, so that its width is the size of its print."""
MAX_SNAP = 0.07
"""Part of a crop's width or height by which an edge moves outwards at most to cut no word: print gets smaller by it."""
WORTH_MOVING = 0.05
"""Part of a crop's width or height by which an edge moves to cut one word less, if no winner is in that word's line."""
GAP = 0.1
"""Distance of an edge from the words beside it, in heights of their boxes; words are at least twice as far apart."""
Numbers = npt.NDArray[np.float64]
_ROUNDING = 1e-6
"""Fractions of a page that single precision may move an edge."""


@dataclass(frozen=True, slots=True)
class Slot:
    """Where a crop is shown: its size in CSS pixels."""

    width: int
    height: int


class NoPlace(StrEnum):
    """Why a page has no crop."""

    NO_MATCH = "no_match"
    """The words that matter add nothing to the late score."""
    UNPLACED = "unplaced"
    """Page tokens without a place on the page won all of these words."""
    FLAT = "flat"
    """No place stands out from the rest of the page by more than chance."""


@dataclass(frozen=True, slots=True)
class Mark:
    """One place inside a crop that won words of the query."""

    box: Box
    """The place, in fractions of the crop."""
    labels: tuple[str, ...]
    """The query's words that it won: data, never markup."""
    contribution: float
    """Part of the late score that it carried."""


@dataclass(frozen=True, slots=True)
class EvidenceCrop:
    """The part of a page in which the marked words won most of the late score."""

    box: Box
    """The part, in fractions of the page."""
    marks: tuple[Mark, ...]
    """Marked places, the strongest first; there is at least one."""
    share: float
    """Part of the late score that the query's informative words won inside, from 0 to 1."""

    @property
    def labels(self) -> tuple[str, ...]:
        """The marked words of the query, each once, the strongest first."""
        return tuple(dict.fromkeys(label for mark in self.marks for label in mark.labels))


@dataclass(frozen=True, slots=True)
class WonPlace:
    """A place on a page with all that informative words won there."""

    box: Box
    labels: tuple[str, ...]
    contribution: float


def find_crop(
    attribution: Attribution, width: float, height: float, slot: Slot, words: Sequence[Box] = ()
) -> EvidenceCrop | NoPlace:
    """Return the window of a page whose winners carried most of the late score, or why no place is clear.

    Informative words count, or all terms if the query has none; a word counts only if its similarity map has a clear
    location. The window is as large as the slot shows with print of `TEXT_HEIGHT`, and centred on the winners in it. It
    has the slot's shape, unless the page or its strongest winner does not fit; then its edges move to gaps between
    words near them, so that letters are not cut.

    width, height: pixels of the page's picture.
    words: boxes of the page's words, in fractions of the page; none if they are unknown.
    """
    places = find_won_places(attribution)
    if isinstance(places, NoPlace):
        return places
    is_grid = not isinstance(attribution.match.page.place, TokenBoxes)
    strongest = places[:MAX_PLACES]
    across, down = window_size(places, strongest[0], (width, height), slot, is_grid=is_grid)
    while True:
        left, top = choose_window(strongest, across, down)
        inside = _list_inside(strongest, left, top, across, down)
        narrower, lower = window_size(inside, strongest[0], (width, height), slot, is_grid=is_grid)
        if narrower >= across:
            break
        # The print here is smaller than on the rest of the page: look again through a window that makes it readable.
        across, down = narrower, lower
    left, top = _centre(inside, across, down)
    inside = _list_inside(places, left, top, across, down)
    box = Box(left, top, left + across, top + down)
    if words:
        box = snap_to_words(box, [place.box for place in inside], words, width / height)
        inside = _list_inside(places, box.left, box.top, box.right - box.left, box.bottom - box.top)
    share = min(1.0, sum(place.contribution for place in inside) / attribution.late)
    marked = _join_touching(inside) if is_grid else inside
    marks = [Mark(_relative(place.box, box), place.labels, place.contribution) for place in marked]
    return EvidenceCrop(box, tuple(marks[:MAX_MARKS]), share)


def find_won_places(attribution: Attribution) -> list[WonPlace] | NoPlace:
    """Return the places that informative words won clearly, the strongest first; or why there are none.

    What several words, or several pieces of one word, won at one place is joined.
    """
    terms = [attribution.terms[n] for n in select_informative_terms(attribution.terms)] or list(attribution.terms)
    won = [term for term in terms if any(attribution.tokens[n].contribution > 0 for n in term.tokens)]
    if attribution.late <= 0 or not won:
        return NoPlace.NO_MATCH
    placed = [term for term in won if _placed_pieces(attribution, term)]
    if not placed:
        return NoPlace.UNPLACED
    contributions: dict[Box, float] = {}
    labels: dict[Box, dict[str, None]] = {}
    for term in placed:
        if similarity_map(attribution.match, term.tokens).flat:
            continue
        for box, contribution in _placed_pieces(attribution, term):
            contributions[box] = contributions.get(box, 0.0) + contribution
            labels.setdefault(box, {})[term.label] = None
    if not contributions:
        return NoPlace.FLAT
    places = [WonPlace(box, tuple(labels[box]), contribution) for box, contribution in contributions.items()]
    return sorted(places, key=lambda place: (-place.contribution, place.box.top, place.box.left))


def _placed_pieces(attribution: Attribution, term: Term) -> list[tuple[Box, float]]:
    """Return the box and the contribution of each token of a term that a place on the page won."""
    pieces = [attribution.tokens[n] for n in term.tokens]
    return [
        (_inside_page(piece.winner.box), piece.contribution)
        for piece in pieces
        if piece.winner.box is not None and piece.contribution > 0
    ]


def _inside_page(box: Box) -> Box:
    left, top, right, bottom = (min(max(side, 0.0), 1.0) for side in (box.left, box.top, box.right, box.bottom))
    return Box(left, top, max(left, right), max(top, bottom))


def window_size(
    places: Sequence[WonPlace], needed: WonPlace, size: tuple[float, float], slot: Slot, *, is_grid: bool
) -> tuple[float, float]:
    """Return the (width, height) of the window for these places, in fractions of a page.

    needed: the place that must fit.
    size: (width, height) of the page's picture in pixels.
    """
    width, height = size
    aspect = slot.width / slot.height
    needed_width = min(width, MARGIN * (needed.box.right - needed.box.left) * width)
    needed_height = min(height, MARGIN * (needed.box.bottom - needed.box.top) * height)
    if is_grid:
        readable = GRID_WIDTH * slot.width / GRID_SLOT_WIDTH * max(size) / A4_RATIO
    else:
        readable = slot.width / TEXT_HEIGHT * statistics.median(_print_size(place.box, size) for place in places)
    across = min(width, max(readable, slot.width / MAX_ENLARGEMENT, needed_width, needed_height * aspect))
    down = max(across / aspect, needed_height)
    if down > height:
        across, down = min(across, max(height * aspect, needed_width)), height
    return across / width, down / height


def _print_size(box: Box, size: tuple[float, float]) -> float:
    across, down = (box.right - box.left) * size[0], (box.bottom - box.top) * size[1]
    return across if down > VERTICAL_RATIO * across > 0 else down


def choose_window(places: Sequence[WonPlace], across: float, down: float) -> tuple[float, float]:
    """Return left and top of the window, of this size inside the page, with the largest sum of contributions.

    Of equal ones, the topmost and then the leftmost.
    """
    # A window can move right and down, without losing a place, until it touches the left or top of one.
    lefts = np.unique([min(place.box.left, 1 - across) for place in places])
    tops = np.unique([min(place.box.top, 1 - down) for place in places])
    boxes = np.array([(place.box.left, place.box.top, place.box.right, place.box.bottom) for place in places])
    contributions = np.array([place.contribution for place in places])
    in_columns = (boxes[:, 0] >= lefts[:, None] - _ROUNDING) & (boxes[:, 2] <= lefts[:, None] + across + _ROUNDING)
    in_rows = (boxes[:, 1] >= tops[:, None] - _ROUNDING) & (boxes[:, 3] <= tops[:, None] + down + _ROUNDING)
    sums = (in_rows * contributions) @ in_columns.T.astype(np.float64)
    row, col = np.unravel_index(int(sums.round(12).argmax()), sums.shape)
    return float(lefts[col]), float(tops[row])


def _list_inside(places: Sequence[WonPlace], left: float, top: float, across: float, down: float) -> list[WonPlace]:
    right, bottom = left + across + _ROUNDING, top + down + _ROUNDING
    left, top = left - _ROUNDING, top - _ROUNDING
    return [
        place
        for place in places
        if left <= place.box.left and place.box.right <= right and top <= place.box.top and place.box.bottom <= bottom
    ]


def _centre(places: Sequence[WonPlace], across: float, down: float) -> tuple[float, float]:
    """Return left and top of the window of this size whose middle is that of all places, moved into the page."""
    around = _join([place.box for place in places])
    left = (around.left + around.right - across) / 2
    top = (around.top + around.bottom - down) / 2
    return min(max(left, 0.0), 1 - across), min(max(top, 0.0), 1 - down)


def snap_to_words(window: Box, kept: Sequence[Box], words: Sequence[Box], aspect: float) -> Box:
    """Return the window with each edge moved to a gap between words if there is one near it.

    An edge moves outwards by at most MAX_SNAP of the window's size, and inwards as far as the `kept` boxes. A word in a
    line with one of these is cut only if all positions cut one; any other if the gap is too far away to be worth it.

    aspect: width over height of the page.
    """
    boxes = np.array([(word.left, word.top, word.right, word.bottom) for word in words], dtype=np.float64)
    heights, middles = boxes[:, 3] - boxes[:, 1], (boxes[:, 1] + boxes[:, 3]) / 2
    in_line = np.zeros(len(boxes), dtype=bool)
    for box in kept:
        in_line |= (box.top < middles) & (middles < box.bottom)
    within = _join(kept)
    # The left and the right edge count words at the height of the window; the others those between the new edges.
    beside = (boxes[:, 3] > window.top) & (boxes[:, 1] < window.bottom)
    spans, gaps = boxes[beside][:, [0, 2]], GAP * heights[beside] / aspect
    costs, size = np.where(in_line[beside], 1e3, 1.0), window.right - window.left
    left = _snap_edge(window.left, (window.left - MAX_SNAP * size, within.left), size, spans, gaps, costs)
    right = _snap_edge(window.right, (within.right, window.right + MAX_SNAP * size), size, spans, gaps, costs)
    between = (boxes[:, 2] > left) & (boxes[:, 0] < right)
    spans, gaps = boxes[between][:, [1, 3]], GAP * heights[between]
    costs, size = np.ones(len(spans)), window.bottom - window.top
    top = _snap_edge(window.top, (window.top - MAX_SNAP * size, within.top), size, spans, gaps, costs)
    bottom = _snap_edge(window.bottom, (within.bottom, window.bottom + MAX_SNAP * size), size, spans, gaps, costs)
    return Box(left, top, right, bottom)


def _snap_edge(
    edge: float, limits: tuple[float, float], size: float, spans: Numbers, gaps: Numbers, costs: Numbers
) -> float:
    """Return the position within limits, and on the page, that costs least: by the words it cuts and its distance.

    size: of the window along this axis.
    spans: (N, 2) start and end of each word. gaps: (N,) wanted distance from it. costs: (N,) of cutting it.
    """
    low, high = max(limits[0], 0.0), min(limits[1], 1.0)
    starts, ends = spans.T
    positions = np.concatenate([[edge, low, high], starts - gaps, ends + gaps])
    positions = positions[(low <= positions) & (positions <= high)]
    cut = (starts + _ROUNDING < positions[:, None]) & (positions[:, None] < ends - _ROUNDING)
    total = cut @ costs + np.abs(positions - edge) / (WORTH_MOVING * size)
    return float(positions[int(total.argmin())])


def _join(boxes: Sequence[Box]) -> Box:
    return Box(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


def _join_touching(places: Sequence[WonPlace]) -> list[WonPlace]:
    """Return the places, the strongest first, with patches that touch and won the same words joined to rectangles."""
    joined: list[WonPlace] = []
    for place in places:
        waiting = place
        while touching := [other for other in joined if other.labels == waiting.labels and _touch(other, waiting)]:
            other = touching[0]
            joined.remove(other)
            box, contribution = _join([other.box, waiting.box]), other.contribution + waiting.contribution
            waiting = WonPlace(box, waiting.labels, contribution)
        joined.append(waiting)
    return sorted(joined, key=lambda place: -place.contribution)


def _touch(one: WonPlace, other: WonPlace) -> bool:
    a, b = one.box, other.box
    across = a.left <= b.right + _ROUNDING and b.left <= a.right + _ROUNDING
    return across and a.top <= b.bottom + _ROUNDING and b.top <= a.bottom + _ROUNDING


def _relative(box: Box, crop: Box) -> Box:
    across, down = crop.right - crop.left, crop.bottom - crop.top
    left, right = (box.left - crop.left) / across, (box.right - crop.left) / across
    top, bottom = (box.top - crop.top) / down, (box.bottom - crop.top) / down
    return _inside_page(Box(left, top, right, bottom))

"""Words that a page draws twice, as fake bold or as a drop shadow; and the lines that they are found in."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

MAX_SHADOW_OFFSET = 0.25
"""Offset, in heights of the print, up to which equal words are one word drawn twice. Poppler finds up to a tenth."""
MIN_REACH, MAX_SIDE = 0.001, 1_000_000.0
"""Limits of the reach and of coordinates, in points, for finding shadows: broken files have boxes of any size."""
MIN_SHADOW_CHARACTERS = 3
"""Shorter words may follow each other as closely: the two letters of "ll" do."""
OFFSET_TOLERANCE = 0.03
"""Difference, in heights of the print, between the offsets of shadows in one paragraph: those of bytes and rounding."""
SHORT_CELL = 1.0
"""Points: cells of the grid in which the twins of short words are found."""

MIN_SPACE = 0.1
"""Narrowest space between words, in heights of the print, as in poppler."""

PointBox = tuple[float, float, float, float]
"""Left, top, right and bottom, in points from the page's top left corner."""


@dataclass(slots=True)
class Piece:
    """A part of a line with one box: poppler's word, or some of them joined."""

    text: str
    box: PointBox
    space_after: bool = True


@dataclass(slots=True)
class Line:
    """One line of a page, its pieces as drawn from left to right, whatever way the whole line is turned."""

    pieces: list[Piece]
    block: int = 0
    """Number of its paragraph on the page."""
    ends_flow: bool = False
    """Whether its words have no next line to go on in."""


def box_around(boxes: Sequence[PointBox]) -> PointBox:
    """Return the box around some boxes."""
    lefts, tops, rights, bottoms = zip(*boxes, strict=True)
    return min(lefts), min(tops), max(rights), max(bottoms)


def drop_shadows(lines: Sequence[Line]) -> None:
    """Drop each word that is drawn a second time a little beside the first, as for fake bold print or a shadow."""
    twins = _find_shadows(lines)
    twins |= _find_short_shadows(lines, twins)
    for line in lines:
        kept: list[Piece] = []
        is_after_shadow = False
        for piece in line.pieces:
            if id(piece) in twins:
                is_after_shadow = bool(kept)
                continue
            if is_after_shadow and not kept[-1].space_after:
                # The shadow filled the space, so poppler found none.
                between = compare(kept[-1], piece)
                kept[-1].space_after = between.gap > MIN_SPACE * between.height
            is_after_shadow = False
            kept.append(piece)
        if is_after_shadow:
            kept[-1].space_after = True
        pieces, line.pieces = line.pieces, kept
        for piece in pieces:
            if id(piece) in twins:
                twins[id(piece)].box = box_around([twins[id(piece)].box, piece.box])


def _find_shadows(lines: Sequence[Line]) -> dict[int, Piece]:
    """Return the word that is drawn again, by the `id` of each repetition that is too close to be another word."""
    seen: dict[tuple[str, int, int], Piece] = {}
    twins: dict[int, Piece] = {}
    for piece in (piece for line in lines for piece in line.pieces):
        reach = _shadow_reach(piece)
        if len(piece.text) < MIN_SHADOW_CHARACTERS or not reach:
            continue
        # Cells of a power of two: words of nearly the same size share the grid.
        cell = 2.0 ** math.ceil(math.log2(reach))
        around = (seen.get((piece.text, column, row)) for column, row in _cellsbox_around(*piece.box[:2], cell))
        twin = next((other for other in around if other is not None and _is_shadow(piece, other, (0, 0), reach)), None)
        if twin is not None:
            twins[id(piece)] = twin
        else:
            seen[piece.text, int(piece.box[0] // cell), int(piece.box[1] // cell)] = piece
    return twins


def _find_short_shadows(lines: Sequence[Line], twins: Mapping[int, Piece]) -> dict[int, Piece]:
    """Return the repeated short words of paragraphs drawn twice, as `_find_shadows` does the longer ones.

    twins: what that returned. A paragraph is drawn twice if most of its longer words are; its short words then have
    their shadows at the same offset.
    """
    offsets = _find_offsets(lines, twins) if twins else {}
    seen: dict[tuple[str, int, int], Piece] = {}
    found: dict[int, Piece] = {}
    for line in lines if offsets else ():
        for piece in line.pieces:
            if line.block not in offsets or len(piece.text) >= MIN_SHADOW_CHARACTERS or not _shadow_reach(piece):
                continue
            across, down = offsets[line.block]
            left, top, right, bottom = piece.box
            near = OFFSET_TOLERANCE * min(right - left, bottom - top)
            # The line that poppler puts first may be the shadow.
            for shift in ((across, down), (-across, -down)):
                cells = _cellsbox_around(left - shift[0], top - shift[1], SHORT_CELL)
                others = (seen.get((piece.text, column, row)) for column, row in cells)
                twin = next((other for other in others if other and _is_shadow(piece, other, shift, near)), None)
                if twin is not None:
                    found[id(piece)] = twin
                    break
            else:
                seen[piece.text, int(left // SHORT_CELL), int(top // SHORT_CELL)] = piece
    return found


def _find_offsets(lines: Sequence[Line], twins: Mapping[int, Piece]) -> dict[int, tuple[float, float]]:
    """Return (points to the right, points down) of the shadows of each paragraph that is drawn twice, by its number.

    A paragraph without longer words is as most of the page is.
    """
    offsets: dict[int, list[tuple[float, float]]] = {line.block: [] for line in lines}
    singles = dict.fromkeys(offsets, 0)
    for line in lines:
        for piece in line.pieces:
            if twin := twins.get(id(piece)):
                offsets[line.block].append((piece.box[0] - twin.box[0], piece.box[1] - twin.box[1]))
            else:
                singles[line.block] += len(piece.text) >= MIN_SHADOW_CHARACTERS
    of_page, singles_of_page = list(itertools.chain.from_iterable(offsets.values())), sum(singles.values())
    chosen: dict[int, tuple[float, float]] = {}
    for block, found in offsets.items():
        shadows, words = (found, singles[block]) if singles[block] else (of_page, singles_of_page)
        if 2 * len(shadows) > words:
            chosen[block] = sorted(shadows)[len(shadows) // 2]
    return chosen


def _cellsbox_around(left: float, top: float, cell: float) -> Iterator[tuple[int, int]]:
    column, row = int(left // cell), int(top // cell)
    yield from ((column + x, row + y) for x in (-1, 0, 1) for y in (-1, 0, 1))


def _shadow_reach(piece: Piece) -> float:
    """Return the points between a word and its shadow, at most; 0 for a box of no sane size."""
    left, top, right, bottom = piece.box
    reach = MAX_SHADOW_OFFSET * min(right - left, bottom - top)
    return reach if reach > MIN_REACH and all(abs(side) < MAX_SIDE for side in piece.box) else 0.0


def _is_shadow(piece: Piece, other: Piece, offset: tuple[float, float], reach: float) -> bool:
    """Return whether `piece` is drawn at an offset from `other`, to within `reach` points."""
    sides = zip(piece.box, other.box, offset * 2, strict=True)
    return all(abs(side - other_side - shift) <= reach for side, other_side, shift in sides)


class Neighbours(NamedTuple):
    """How two pieces of a line are placed."""

    gap: float
    height: float
    """Height of the print."""
    is_turned: bool
    """Whether the line runs up or down the page."""


def compare(first: Piece, second: Piece) -> Neighbours:
    """Return how two pieces of a line lie to each other."""
    left, top, right, bottom = first.box
    other_left, other_top, other_right, other_bottom = second.box
    across, down = max(other_left - right, left - other_right), max(other_top - bottom, top - other_bottom)
    return Neighbours(across, bottom - top, False) if across >= down else Neighbours(down, right - left, True)


# From the order of drawing to that of reading.

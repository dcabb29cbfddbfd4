"""Lines of text in a picture, found and read by the two networks that the rapidocr package contains, on onnxruntime.

RapidOCR's own program is not used: it read every page at full size, padded lines to batches, and missed the spaces of
long lines. Here detection works at the size that the print needs, in tiles if the picture is large; lines are cut out
of the full picture, cut again at gaps between words if they are long, and read by one thread per core.

What one picture may cost is limited (`ocr_workers.Budget`): a picture of noise has as many lines as its maker wants.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from smart_demo.backbones.line_words import split_words
from smart_demo.backbones.ocr_networks import detector, recogniser
from smart_demo.backbones.ocr_workers import Budget, Workers, charging
from smart_demo.types import Floats, Pixels

X_HEIGHT = 6.0
"""Pixels of a small letter, at the size at which lines are detected: smaller print is found less surely (measured)."""
MIN_LETTERS = 20
"""Marks that look like letters without which the size of print is unknown."""
LETTER_HEIGHTS = (5, 80)
"""Heights in pixels of marks that may be letters; lower ones are specks."""
SCALES = (0.3, X_HEIGHT / LETTER_HEIGHTS[0])
"""Lowest and highest scale of detection: the lowest letters that count are enlarged to X_HEIGHT.

Smaller print is lost by then: at scales of 1.4 and 2 as many of its words are read (two drawn pages at half size)."""
MIN_STRETCHED = 96
"""Side in pixels of detection from which a side is stretched to a multiple of 32; a lower one gets a margin."""
MAX_TILE_PIXELS = 2_600_000
"""Pixels that detection reads at once, which takes 0.5 GB; an A4 page at 150 dpi in full is less."""
TILE_SIDE, TILE_MARGIN = 1_280, 96
"""Side of a tile's own area, and of what it sees around it, in pixels of detection."""
MIN_PROBABILITY, MIN_BOX_SCORE, MIN_LINE_SCORE = 0.3, 0.5, 0.5
"""Thresholds of the networks' makers: of a pixel, of a line's pixels, and of its characters."""
UNCLIP = 1.6
"""How far a line's box grows: the detector marks the core of a line."""
MIN_LINE_SIDE = 3
"""Pixels of detection: a mark of the detector that is thinner is no line."""
PORTION_COLUMNS = 200_000
"""Columns of strips that are held and read at once: 30 MB, and one to five seconds of one core."""
LINE_HEIGHT = 48
"""Height of the recogniser's input."""
MAX_LINE_WIDTH = 900
"""Width of the recogniser's input beyond which a line is cut: it misses spaces in longer ones."""
WIDTH_STEP = 32
"""Widths of the recogniser's input are rounded up to a multiple of this, so that lines of like width fit one batch."""
BATCH_WIDTH = 1_000
"""Lines of about equal width are read together up to this width: many short lines cost less so."""
STRETCH = 0.9
"""Width of a line as it is read over its true shape: narrower is faster, and from 0.8 on small print suffers."""
PADDING, BOX_PADDING = 0.35, 0.05
"""Room above and below a line's letters, over their height: as it is read, and in the boxes of its words."""
Item = TypeVar("Item")


@dataclass(frozen=True, eq=False)
class TextLine:
    """One line of text with its characters.

    `corners` are as of `detect`, in the direction of reading. `edges` are the two ends of each word, as fractions of
    the line's length.
    """

    corners: Floats
    words: tuple[str, ...]
    edges: tuple[tuple[float, float], ...]
    score: float
    """Mean probability of the characters."""


@dataclass(frozen=True, eq=False)
class _Strip:
    """A line cut out of the picture, LINE_HEIGHT high, as the recogniser takes it, and the corners of its letters."""

    pixels: Pixels
    corners: Floats


def detect(pictures: Sequence[Pixels], workers: Workers, budgets: Sequence[Budget]) -> list[list[Floats]]:
    """Return the corners of each picture's lines, (4, 2) in pixels: both ends of the top, then of the bottom from the
    right.

    A large picture is read in tiles that see some of their surroundings. Their maps are joined before lines are made of
    them, so that a line across a seam is one line. Tiles that a spent budget does not allow hold no lines.
    """
    scaled = workers.read(_scaled, pictures)
    maps = [np.zeros(picture.padded.shape[:2], np.uint8) for picture in scaled]

    def fill(tile: tuple[int, int, int]) -> None:
        page, top, left = tile
        if not budgets[page].allows():
            return
        with charging(budgets[page]):
            own = _detect_tile(scaled[page].padded, top, left)
            maps[page][top : top + own.shape[0], left : left + own.shape[1]] = own

    workers.detect(fill, [(page, *at) for page, picture in enumerate(scaled) for at in _tiles(picture.padded)])
    found = [map_[: picture.height, : picture.width] for map_, picture in zip(maps, scaled, strict=True)]
    jobs = list(zip(found, (pixels.shape[:2] for pixels in pictures), budgets, strict=True))
    return workers.read(lambda job: _boxes(*job), jobs)


def print_scale(pixels: Pixels) -> float:
    """Return the scale at which a picture's small print has X_HEIGHT; 1 if it has too little print to tell."""
    height = letter_height(pixels)
    return 1.0 if height is None else float(np.clip(X_HEIGHT / height, *SCALES))


def letter_height(pixels: Pixels) -> float | None:
    """Return the height in pixels of the small letters of a picture, estimated from its connected marks.

    None if fewer than MIN_LETTERS marks look like letters.
    """
    import cv2

    gray = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    around = cv2.blur(gray, (31, 31))
    ink = (cv2.absdiff(gray, around) > 40).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(ink, connectivity=8)
    width, height, area = stats[1:, 2], stats[1:, 3], stats[1:, 4]
    # Specks, rules, frames and pictures are no letters.
    low, high = LETTER_HEIGHTS
    shaped = (width <= 3 * height) & (height <= 5 * width) & (area * 8 >= width * height)
    letters = shaped & (height >= low) & (height <= high)
    heights = height[letters]
    return float(np.percentile(heights, 30)) if len(heights) >= MIN_LETTERS else None


@dataclass(frozen=True, eq=False)
class _Scaled:
    """A picture at the size of detection: `height` by `width`, padded to sides that are multiples of 32."""

    padded: Pixels
    height: int
    width: int


def _scaled(pixels: Pixels) -> _Scaled:
    """Return a picture at the scale of its print, with at most twice its pixels and the padding.

    Large sides are stretched to a multiple of 32. A small one would change its shape so: it gets a margin of the
    colour of the ground.
    """
    import cv2

    scale = print_scale(pixels)
    height, width = (_scaled_side(side * scale) for side in pixels.shape[:2])
    small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    below, right = -height % 32, -width % 32
    if below or right:
        ground = np.median(small.reshape(-1, 3), axis=0).tolist()
        small = cv2.copyMakeBorder(small, 0, below, 0, right, cv2.BORDER_CONSTANT, value=ground)
    return _Scaled(np.asarray(small, np.uint8), height, width)


def _scaled_side(side: float) -> int:
    return max(1, round(side)) if side < MIN_STRETCHED else round(side / 32) * 32


def _tiles(padded: Pixels) -> list[tuple[int, int]]:
    """Return the top and left of each tile's own area; (0, 0) alone if the picture is read as a whole."""
    height, width = padded.shape[:2]
    if height * width <= MAX_TILE_PIXELS:
        return [(0, 0)]
    return [(top, left) for top in range(0, height, TILE_SIDE) for left in range(0, width, TILE_SIDE)]


def _detect_tile(padded: Pixels, top: int, left: int) -> Pixels:
    """Return the probability of text, 0 to 255, in each pixel of a tile's own area."""
    above, before = max(0, top - TILE_MARGIN), max(0, left - TILE_MARGIN)
    part = padded
    whole = padded.shape[0] * padded.shape[1] <= MAX_TILE_PIXELS
    if not whole:
        part = padded[above : top + TILE_SIDE + TILE_MARGIN, before : left + TILE_SIDE + TILE_MARGIN]
    bgr = part[:, :, ::-1].astype(np.float32) / 127.5 - 1
    found = detector().run(None, {"x": np.ascontiguousarray(bgr.transpose(2, 0, 1)[None])})[0][0, 0]
    own = found if whole else found[top - above :, left - before :][:TILE_SIDE, :TILE_SIDE]
    return np.asarray(own * 255, dtype=np.uint8)


def _boxes(found: Pixels, size: tuple[int, int], budget: Budget) -> list[Floats]:
    """Return the corners of the lines in a probability map, in pixels of a picture of this height and width.

    Of more lines than the budget allows, the largest.
    """
    import cv2

    with charging(budget):
        mask = cv2.dilate((found > 255 * MIN_PROBABILITY).astype(np.uint8), np.ones((2, 2), np.uint8))
        contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
        marks = [cv2.minAreaRect(contour) for contour in contours]
    large = [n for n, (_, sides, _) in enumerate(marks) if min(sides) >= MIN_LINE_SIDE]
    chosen: list[int] = []
    for n in sorted(large, key=lambda n: -marks[n][1][0] * marks[n][1][1]):
        if not budget.allows():
            break
        with charging(budget):
            sure = _box_score(found, cv2.boxPoints(marks[n])) >= 255 * MIN_BOX_SCORE
        if sure and len(chosen) == budget.lines:
            budget.cut = True
            break
        if sure:
            chosen.append(n)
    stretch = np.array([size[1] / found.shape[1], size[0] / found.shape[0]], np.float32)
    lines = []
    for middle, (width, height), angle in (marks[n] for n in sorted(chosen)):
        grow = width * height * UNCLIP / (width + height)
        points = cv2.boxPoints((middle, (width + grow, height + grow), angle))
        lines.append(_in_order(points) * stretch)
    return lines


def _box_score(found: Pixels, points: Floats) -> float:
    """Return the mean of the map inside a box."""
    import cv2

    height, width = found.shape
    left, top = np.clip(np.floor(points.min(axis=0)).astype(int), 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(points.max(axis=0)).astype(int), 0, (width - 1, height - 1))
    inside = np.zeros((bottom - top + 1, right - left + 1), np.uint8)
    cv2.fillPoly(inside, [(points - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(found[top : bottom + 1, left : right + 1], inside)[0])


def _in_order(points: Floats) -> Floats:
    """Return four corners in the order of `detect`."""
    by_x = points[np.argsort(points[:, 0], kind="stable")]
    (top, bottom), (right_top, right_bottom) = (
        pair[np.argsort(pair[:, 1], kind="stable")] for pair in (by_x[:2], by_x[2:])
    )
    return np.array([top, right_top, right_bottom, bottom], np.float32)


def turn(corners: Floats, size: tuple[int, int], turns: int) -> Floats:
    """Return the corners of a line after `numpy.rot90(picture, turns)` of a picture of this height and width."""
    height, width = size
    for _ in range(turns):
        corners = np.stack([corners[:, 1], width - corners[:, 0]], axis=1)
        height, width = width, height
    return _in_order(corners) if turns else corners


def measure(corners: Floats) -> tuple[float, float]:
    """Return the width and height of a line in pixels, at least 1."""
    first, second, third, fourth = corners
    width = max(np.linalg.norm(first - second), np.linalg.norm(fourth - third))
    height = max(np.linalg.norm(first - fourth), np.linalg.norm(second - third))
    return max(1.0, float(width)), max(1.0, float(height))


def recognise(
    pictures: Sequence[tuple[Pixels, Sequence[Floats]]], workers: Workers, budgets: Sequence[Budget]
) -> list[list[TextLine | None]]:
    """Return the text of lines of several pictures; None for one that is not read surely or holds no text.

    Corners are as from `detect`. Lines that run up or down are read upward, as margins are printed. The longest lines
    are read first, and what a spent budget does not allow is None.
    """
    read: list[list[TextLine | None]] = [[None] * len(lines) for _, lines in pictures]
    jobs = [(page, n) for page, (_, lines) in enumerate(pictures) for n in range(len(lines))]
    for portion in _portions(jobs, [_columns(pictures[page][1][n]) for page, n in jobs]):
        ready = [(page, n) for page, n in portion if budgets[page].allows()]
        lines = [(pictures[page][0], pictures[page][1][n], budgets[page]) for page, n in ready]
        for (page, n), line in zip(ready, _read_portion(lines, workers), strict=True):
            read[page][n] = line
    return read


def _columns(corners: Floats) -> float:
    """Return about how wide the strip of a line is."""
    sides = sorted(measure(corners))
    return LINE_HEIGHT * sides[1] / sides[0]


def _portions(jobs: Sequence[Item], columns: Sequence[float]) -> Iterator[list[Item]]:
    """Yield jobs from the widest on, in portions of about PORTION_COLUMNS."""
    portion: list[Item] = []
    held = 0.0
    for n in sorted(range(len(jobs)), key=lambda n: -columns[n]):
        if portion and held + columns[n] > PORTION_COLUMNS:
            yield portion
            portion, held = [], 0.0
        portion.append(jobs[n])
        held += columns[n]
    if portion:
        yield portion


def _read_portion(lines: Sequence[tuple[Pixels, Floats, Budget]], workers: Workers) -> list[TextLine | None]:
    """Return the text of lines, each with its picture and the budget of that."""

    def cut_out(line: tuple[Pixels, Floats, Budget]) -> _Strip:
        pixels, corners, budget = line
        with charging(budget):
            return _cut_out(pixels, corners)

    def read_group(group: Sequence[Cut]) -> list[tuple[Cut, tuple[str, Floats, Floats]]]:
        with charging(*(lines[n][2] for n, _, _ in group)):
            return _read_group(strips, group)

    strips = workers.read(cut_out, lines)
    cuts = [(n, start, end) for n, strip in enumerate(strips) for start, end in _cut(strip.pixels)]
    read = dict(pair for pairs in workers.read(read_group, list(_groups(cuts))) for pair in pairs)
    parts: list[list[tuple[str, Floats, Floats]]] = [[] for _ in strips]
    for cut in cuts:
        parts[cut[0]].append(read[cut])
    return [_join(strip, own) for strip, own in zip(strips, parts, strict=True)]


def _cut_out(pixels: Pixels, corners: Floats) -> _Strip:
    """Cut a line out of its picture, with its ink at a fixed part of the height."""
    width, height = measure(corners)
    if height >= 1.5 * width:
        corners = corners[[3, 0, 1, 2]]
    strip = _warp(pixels, corners, STRETCH)
    rows = _ink_rows(strip)
    if rows is None:
        return _Strip(strip, corners)
    top, bottom = rows
    height = bottom - top
    wide = _narrow(corners, top - PADDING * height, bottom + PADDING * height)
    return _Strip(
        _warp(pixels, wide, STRETCH), _narrow(corners, top - BOX_PADDING * height, bottom + BOX_PADDING * height)
    )


def _narrow(corners: Floats, top: float, bottom: float) -> Floats:
    """Return the corners of the rows from `top` to `bottom` of a strip with these corners."""
    above, below = (corners[:2], corners[[3, 2]])
    (first, second), (fourth, third) = (above + (below - above) * (row / LINE_HEIGHT) for row in (top, bottom))
    return np.array([first, second, third, fourth], np.float32)


def _ink_rows(strip: Pixels) -> tuple[float, float] | None:
    """Return the first and last row of a line's letters; None if no row stands out."""
    gray = strip.mean(axis=2)
    edges = np.abs(np.diff(gray, axis=1)).clip(24) - 24
    energy = edges.sum(axis=1)
    peak = energy.max()
    if peak <= 0:
        return None
    middle = int(np.argmax(np.convolve(energy, np.ones(9), "same")))
    quiet = energy < 0.06 * peak
    above, below = np.flatnonzero(quiet[:middle]), np.flatnonzero(quiet[middle:])
    top = int(above[-1]) + 1 if len(above) else 0
    bottom = middle + int(below[0]) if len(below) else LINE_HEIGHT
    return (float(top), float(bottom)) if bottom - top >= 12 else None


def _warp(pixels: Pixels, corners: Floats, stretch: float) -> Pixels:
    """Return what lies between the corners, LINE_HEIGHT high, `stretch` times as wide as its shape says."""
    import cv2

    width, height = measure(corners)
    across = max(8, math.ceil(LINE_HEIGHT * width / height * stretch))
    target = np.array([[0, 0], [across, 0], [across, LINE_HEIGHT], [0, LINE_HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(np.asarray(corners, np.float32), target)
    cut = cv2.warpPerspective(
        pixels, matrix, (across, LINE_HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(cut, np.uint8)


def _contrast(strip: Pixels) -> Floats:
    """Return each column's difference of brightest and darkest pixel, without the edges of neighbouring lines."""
    gray = strip[6:-6].mean(axis=2)
    return np.asarray(gray.max(axis=0) - gray.min(axis=0), np.float32)


def _cut(strip: Pixels) -> list[tuple[int, int]]:
    """Return the columns at which parts of a line start and end: even parts, cut in the emptiest place nearby."""
    width = strip.shape[1]
    count = math.ceil(width / MAX_LINE_WIDTH)
    if count == 1:
        return [(0, width)]
    emptiness = np.convolve(_contrast(strip), np.ones(10), "same")
    ends = []
    for n in range(1, count):
        begin = round(width * n / count) - MAX_LINE_WIDTH // 6
        ends.append(begin + int(np.argmin(emptiness[begin : begin + MAX_LINE_WIDTH // 3])))
    return list(zip([0, *ends], [*ends, width], strict=True))


Cut = tuple[int, int, int]
"""Index of a strip, first and last column of the part."""


def _groups(cuts: Sequence[Cut]) -> Iterator[list[Cut]]:
    """Yield groups of parts of about equal width that are read together."""
    group: list[Cut] = []
    for cut in sorted(cuts, key=lambda cut: cut[1] - cut[2]):
        wide = _padded(group[0][2] - group[0][1]) if group else 0
        if group and ((len(group) + 1) * wide > BATCH_WIDTH or (cut[2] - cut[1]) < 0.8 * wide - WIDTH_STEP):
            yield group
            group = []
        group.append(cut)
    if group:
        yield group


def _padded(width: int) -> int:
    return max(1, math.ceil(width / WIDTH_STEP)) * WIDTH_STEP


def _read_group(strips: Sequence[_Strip], group: Sequence[Cut]) -> list[tuple[Cut, tuple[str, Floats, Floats]]]:
    """Return the text of each part with its characters' places, in columns of the strip, and probabilities."""
    width = _padded(group[0][2] - group[0][1])
    batch = np.zeros((len(group), 3, LINE_HEIGHT, width), np.float32)
    for row, (n, start, end) in enumerate(group):
        part = strips[n].pixels[:, start:end, ::-1].astype(np.float32) / 127.5 - 1
        batch[row, :, :, : end - start] = part.transpose(2, 0, 1)
    session, characters = recogniser()
    logits = session.get_outputs()[0].name == "logits"
    results = []
    for cut, steps in zip(group, session.run(None, {"x": batch})[0], strict=True):
        best = steps.argmax(axis=1)
        own = np.flatnonzero((best != 0) & np.concatenate([[True], best[1:] != best[:-1]]))
        places = np.asarray(cut[1] + (own + 0.5) * (width / len(best)), np.float32)
        chosen = steps[own]
        scores = np.exp(chosen.max(axis=1)) / np.exp(chosen).sum(axis=1) if logits else chosen.max(axis=1, initial=0)
        results.append((cut, ("".join(characters[n] for n in best[own]), places, scores)))
    return results


def _join(strip: _Strip, parts: Sequence[tuple[str, Floats, Floats]]) -> TextLine | None:
    """Return the line that the parts of a strip make; None if it has no text or is not sure."""
    chars: list[str] = []
    places: list[float] = []
    scores: list[float] = []
    for text, at, score in parts:
        if chars and text:
            chars.append(" ")
            places.append(float(at[0]))
        chars += text
        places += at.tolist()
        scores += score.tolist()
    if not "".join(chars).strip() or np.mean(scores) < MIN_LINE_SCORE:
        return None
    words, edges = split_words(_contrast(strip.pixels), chars, places)
    return TextLine(strip.corners, words, edges, float(np.mean(scores)))

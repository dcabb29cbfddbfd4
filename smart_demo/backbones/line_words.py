"""Words of a recognised line: where spaces belong, and where each word starts and ends, from its characters and ink.

The recogniser says where a character is to some pixels, and misses spaces between figures and in long lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from smart_demo.types import Floats

CLOSING = ".,;:!?%)]}»”’'\""
"""Characters that no space comes before."""
THIN = "1lIijrt|"
"""Characters with much room around them: two columns of it on each side belong to them."""
MIN_SPACE = 7
"""Columns without ink that part two words, if letters are much closer."""


def split_words(
    contrast: Floats, chars: Sequence[str], places: Sequence[float]
) -> tuple[tuple[str, ...], tuple[tuple[float, float], ...]]:
    """Return the words of a line and the two ends of each, as fractions of the line's length.

    contrast: how much ink each column of the line's picture has. places: the column of each character's middle.
    """
    apart = _missing_spaces(contrast, chars, places)
    words: list[str] = []
    spans: list[tuple[int, int]] = []
    for n, char in enumerate(chars):
        if char.isspace():
            continue
        if not words or chars[n - 1].isspace() or n in apart:
            words.append("")
            spans.append((n, n))
        words[-1] += char
        spans[-1] = (spans[-1][0], n)
    edges = _edges(contrast, [(places[a], places[b]) for a, b in spans])
    return tuple(words), tuple(edges)


def _missing_spaces(contrast: Floats, chars: Sequence[str], places: Sequence[float]) -> set[int]:
    """Return the characters before which a space was not read although the ink leaves one, in scripts that set them."""
    empty = contrast < 0.3 * np.percentile(contrast, 90)
    gaps = {}
    for n, (one, other) in enumerate(pairwise(chars), start=1):
        if max(one, other) < "\u2e80" and not one.isspace() and not other.isspace() and other not in CLOSING:
            run = _longest_run(empty[int(places[n - 1]) : int(places[n]) + 1])
            gaps[n] = (run[1] - run[0] if run else 0) - 2 * ((one in THIN) + (other in THIN))
    least = max(MIN_SPACE, 2.5 * float(np.median(list(gaps.values()))) if gaps else 0)
    return {n for n, gap in gaps.items() if gap >= least}


def _edges(contrast: Floats, middles: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return where each word starts and ends, from the middles of its first and last character and the ink between."""
    width = len(contrast)
    empty = contrast < 0.3 * np.percentile(contrast, 90)
    bounds = []
    last = 0
    for n, (begin, _) in enumerate(middles):
        first = min(width - 1, max(last, int(begin)))
        gap = _longest_run(empty[last : first + 1]) if n else None
        if n:
            start, end = gap or ((first - last) // 2, (first - last) // 2)
            bounds += [last + start, last + end]
        else:
            ink = np.flatnonzero(~empty[: first + 1])
            bounds.append(int(ink[0]) if len(ink) else first)
        last = min(width - 1, int(middles[n][1]))
    ink = np.flatnonzero(~empty[last:])
    bounds.append(last + int(ink[-1]) + 1 if len(ink) else last + 1)
    return [(a / width, max(a + 1, b) / width) for a, b in zip(bounds[::2], bounds[1::2], strict=True)]


def _longest_run(flags: npt.NDArray[np.bool_]) -> tuple[int, int] | None:
    """Return the start and end of the longest run of True; None if there is none."""
    steps = np.flatnonzero(np.diff(np.concatenate([[0], flags.astype(np.int8), [0]])))
    runs = list(zip(steps[::2].tolist(), steps[1::2].tolist(), strict=True))
    return max(runs, key=lambda run: run[1] - run[0], default=None)

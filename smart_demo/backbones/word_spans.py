"""Which word of a text each of its pieces belongs to, whatever tokenizer cut it.

A word is what a reader would point at: letters and digits with what joins them inside (`Müller's`, `1,234.50`,
`12:30`, `follow-up`), or a single other sign. A sentence without spaces (Chinese, Japanese, Thai) is cut where the
tokenizer cut it. Close to Unicode's annex 29, but without its tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

UNSPACED = ((0xE00, 0xEFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3040, 0x30FF), (0x3400, 0x9FFF), (0x20000, 0x3FFFF))
"""Thai and Lao, Myanmar, Khmer, kana, Han: no spaces between words."""
SHAPE = re.compile(r"[ad][adm]*(?:j[ad][adm]*|(?<=d)n(?=d)[adm]*)*|[ojnx]m*|m+")
"""Over one letter per character, as `_shape` gives them."""


def spell(text: str, pieces: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """For each piece (start, end) of the text the word it belongs to, counted from 0, and the words as written.

    Pieces that hold nothing but spaces are of no word: -1. A piece that reaches over several words makes them one.

    >>> spell("3.5 (knots)", [(0, 1), (1, 2), (2, 3), (4, 8), (8, 10), (10, 11)])
    ((0, 0, 0, 1, 1, 2), ('3.5', 'knots', ')'))
    """
    spans = [found.span() for found in SHAPE.finditer("".join(map(_shape, text)))]
    at = [-1] * len(text)  # which span each character is in
    for word, (start, end) in enumerate(spans):
        at[start:end] = [word] * (end - start)
    joined = list(range(len(spans)))  # the first word of those that pieces made one
    owners = []
    for start, end in pieces:
        covered = sorted(set(at[start:end]) - {-1})
        # Signs own a piece only where there is nothing else in it: `(kno` belongs to `knots`.
        own = [word for word in covered if text[spans[word][0]].isalnum()] or covered[:1]
        for word in own[1:]:
            joined[word] = joined[own[0]]
        owners.append(own[0] if own else -1)
    firsts = [joined[own] if own >= 0 else -1 for own in owners]
    numbers = {first: n for n, first in enumerate(sorted(set(firsts) - {-1}))}
    ends = {joined[word]: end for word, (_, end) in enumerate(spans)}
    spelled = tuple(text[spans[first][0] : ends[first]] for first in numbers)
    return tuple(numbers.get(first, -1) for first in firsts), spelled


def _shape(char: str) -> str:
    """A letter, d digit, m mark, j joiner of both, n joiner of digits, o unspaced letter, x other sign, or a space."""
    if char.isspace():
        return " "
    if char in ".'’-/@&_\u200c\u200d":
        return "j"
    if char in ",:":
        return "n"
    category = unicodedata.category(char)[0]
    if category == "L" and any(low <= ord(char) <= high for low, high in UNSPACED):
        return "o"
    return {"L": "a", "N": "d", "M": "m"}.get(category, "x")

"""Words of a text from the pieces of any tokenizer.

A word is what a reader would point at: letters and digits with what joins them inside (`Müller's`, `1,234.50`,
`12:30`, `follow-up`), or a single other sign. A sentence without spaces (Chinese, Japanese, Thai) is cut at the
tokenizer's cuts. Close to Unicode's annex 29, but without its tables.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

UNSPACED_RANGES = (
    (0xE00, 0xEFF),
    (0x1000, 0x109F),
    (0x1780, 0x17FF),
    (0x3040, 0x30FF),
    (0x3400, 0x9FFF),
    (0x20000, 0x3FFFF),
)
"""Thai and Lao, Myanmar, Khmer, kana, Han: scripts without spaces between words."""
WORD_PATTERN = re.compile(r"[ad][adm]*(?:j[ad][adm]*|(?<=d)n(?=d)[adm]*)*|[ojnx]m*|m+")
"""Pattern of a word over one letter per character, as `_char_class` returns them."""


def group_pieces(text: str, pieces: Sequence[tuple[int, int]]) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """Return the index of the word that each piece (start, end) of the text belongs to, and the words' texts.

    A piece of nothing but spaces belongs to no word: -1. A piece that spans several words makes them one.

    >>> group_pieces("3.5 (knots)", [(0, 1), (1, 2), (2, 3), (4, 8), (8, 10), (10, 11)])
    ((0, 0, 0, 1, 1, 2), ('3.5', 'knots', ')'))
    """
    spans = [found.span() for found in WORD_PATTERN.finditer("".join(map(_char_class, text)))]
    word_at = [-1] * len(text)  # index of the span that each character is in
    for word, (start, end) in enumerate(spans):
        word_at[start:end] = [word] * (end - start)
    joined = list(range(len(spans)))  # for each span, the first of those that a piece joined it to
    owners = []
    for start, end in pieces:
        covered = sorted(set(word_at[start:end]) - {-1})
        # Signs own a piece only if it holds nothing else: `(kno` belongs to `knots`.
        own = [word for word in covered if text[spans[word][0]].isalnum()] or covered[:1]
        for word in own[1:]:
            joined[word] = joined[own[0]]
        owners.append(own[0] if own else -1)
    firsts = [joined[own] if own >= 0 else -1 for own in owners]
    numbers = {first: n for n, first in enumerate(sorted(set(firsts) - {-1}))}
    ends = {joined[word]: end for word, (_, end) in enumerate(spans)}
    texts = tuple(text[spans[first][0] : ends[first]] for first in numbers)
    return tuple(numbers.get(first, -1) for first in firsts), texts


def _char_class(char: str) -> str:
    """Return the class of a character, as one letter.

    a: letter; d: digit; m: mark, or a character without a width; j: joiner of letters and digits; n: joiner of digits;
    o: letter of a script without spaces; x: other sign; a space for a space.
    """
    if char.isspace():
        return " "
    if char in ".'’-/@&_\u200c\u200d":
        return "j"
    if char in ",:":
        return "n"
    category = unicodedata.category(char)
    if category == "Cf":  # a soft hyphen or another character without a width is part of the word around it
        return "m"
    category = category[0]
    if category == "L" and any(low <= ord(char) <= high for low, high in UNSPACED_RANGES):
        return "o"
    return {"L": "a", "N": "d", "M": "m"}.get(category, "x")

"""Text that runs from right to left: the order in which it is drawn, printed by plain pdftotext, and read."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

RIGHT_TO_LEFT_LETTER = re.compile("[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefe\U00010800-\U00010fff\U0001e800-\U0001efff]")
"""Blocks of right-to-left scripts, to pass quickly over the pages that have none."""
LEFT_TO_RIGHT, RIGHT_TO_LEFT, END_OF_DIRECTION = "\u202a", "\u202b", "\u202c"
"""Marks that plain pdftotext writes around text that runs against its page or against left to right."""

FINAL_LETTERS = frozenset("םןץףךةى")
"""Hebrew and Arabic letters that only end words."""
FREQUENT_WORDS = frozenset(
    re.findall(
        r"\S+",
        """
        של על את הוא היא זה כל גם אם עם או כי יש אני
        في من على إلى عن أن هذا التي الذي مع كان
        به از که این را است با برای کے کی میں ہے سے
        """,
    )
)
"""Frequent right-to-left words that backwards are no words."""
ATOM = re.compile("L(?:[^R]*[LN])?|E{0,3}N+(?:SN+)*E{0,3}|.", re.DOTALL)
"""Parts of a right-to-left line that read from left to right, as classes of characters: words and numbers."""
RIGHT_TO_LEFT_SPAN = re.compile("R(?:[^L]*R)?", re.DOTALL)
"""Part of a left-to-right line that reads from right to left."""
CLASSES = {"L": "L", "R": "R", "AL": "R", "EN": "N", "AN": "N", "ES": "S", "CS": "S", "ET": "E"}
"""Left, Right, Number, Separator in numbers, End of a number (currency, per cent), by Unicode's bidirectional class."""


def has_right_to_left(text: str) -> bool:
    """Return whether a letter of `text` may run from right to left."""
    return RIGHT_TO_LEFT_LETTER.search(text) is not None


def right_to_left_excess(text: str) -> int:
    """Return the number of its right-to-left letters less that of the others.

    >>> right_to_left_excess("אבג ab 1")
    1
    """
    classes = _classes(text)
    return classes.count("R") - classes.count("L")


# The order of plain pdftotext.


def written(pieces: Sequence[str], left_to_right: bool) -> Iterator[str | int]:
    r"""Yield what plain pdftotext writes for the pieces of a line, and the index of each one that a space may follow.

    The order of a line with right-to-left letters is that of poppler's `reorderText`. left_to_right: the direction of
    the page.

    >>> list(written(["ab", "אב"], left_to_right=True))
    ['a', 'b', 0, '\u202b', 'ב', 'א', '\u202c']
    """
    text = "".join(pieces)
    if left_to_right and not has_right_to_left(text):
        for index, piece in enumerate(pieces):
            yield piece
            yield index
        return
    gaps: dict[int, int] = {}  # by the number of characters before the gap
    end = 0
    for index, piece in enumerate(pieces[:-1]):
        end += len(piece)
        gaps[end] = index
    if left_to_right:
        yield from _written_left_to_right(text, gaps)
    else:
        yield from _written_right_to_left(text, gaps)


def _written_left_to_right(text: str, gaps: dict[int, int]) -> Iterator[str | int]:
    classes = _classes(text)
    start = 0
    while start < len(text):
        end = _skip(classes, start, "R")
        yield from _section(text, start, end, gaps)
        yield from _gap(end, gaps)
        start, end = end, _skip(classes, end, "LN")
        if end > start:
            yield RIGHT_TO_LEFT
            yield from _gap(end, gaps)
            yield from _section_backwards(text, start, end, gaps)
            yield END_OF_DIRECTION
        start = end


def _written_right_to_left(text: str, gaps: dict[int, int]) -> Iterator[str | int]:
    backwards = _classes(text)[::-1]
    yield RIGHT_TO_LEFT
    end = len(text)
    yield from _gap(end, gaps)  # before a hyphen that is left out
    while end > 0:
        start = len(text) - _skip(backwards, len(text) - end, "LN")
        yield from _section_backwards(text, start, end, gaps)
        yield from _gap(start, gaps)
        end, start = start, len(text) - _skip(backwards, len(text) - start, "R")
        if start < end:
            yield LEFT_TO_RIGHT
            yield from _gap(start, gaps)
            yield from _section(text, start, end, gaps)
            yield END_OF_DIRECTION
        end = start
    yield END_OF_DIRECTION


def _skip(classes: str, start: int, stop: str) -> int:
    """Return the index of the first class that is in `stop`, from `start` on."""
    found = re.compile(f"[{stop}]").search(classes, start)
    return found.start() if found else len(classes)


def _gap(index: int, gaps: dict[int, int]) -> Iterator[int]:
    if index in gaps:
        yield gaps[index]


def _section(text: str, start: int, end: int, gaps: dict[int, int]) -> Iterator[str | int]:
    for index in range(start, end):
        yield text[index]
        if index + 1 < end:
            yield from _gap(index + 1, gaps)


def _section_backwards(text: str, start: int, end: int, gaps: dict[int, int]) -> Iterator[str | int]:
    for index in range(end - 1, start - 1, -1):
        yield text[index]
        if index > start:
            yield from _gap(index, gaps)


# The order of reading.


def is_drawn_as_read(words: Iterable[str]) -> bool:
    """Return whether words, given as drawn, make more sense from left to right.

    Programs that know nothing of directions draw them so: the page shows them backwards, but the file has them right.
    """
    return sum(_sense(word) - _sense(word[::-1]) for word in words if has_right_to_left(word)) > 0


def _sense(text: str) -> int:
    """Return the signs that `text` is a right-to-left word in logical order, less those that it is not."""
    letters = "".join(filter(str.isalpha, text))
    if len(letters) < 2:
        return 0
    frequent = letters in FREQUENT_WORDS
    has_article = len(letters) > 3 and letters.startswith("ال")
    return frequent + has_article + _ends_words(letters[-1]) - _ends_words(letters[0])


def _ends_words(letter: str) -> bool:
    return letter in FINAL_LETTERS or unicodedata.decomposition(letter).startswith("<final>")


def logical_order(text: str, right_to_left: bool) -> list[int]:
    """Return the indices of the characters of a line, given as drawn from left to right, in the order of reading.

    >>> "".join("12.50 םולש"[index] for index in logical_order("12.50 םולש", right_to_left=True))
    'שלום 12.50'
    """
    classes = _classes(text)
    return _right_to_left_order(classes, 0, len(text)) if right_to_left else _left_to_right_order(classes)


def _left_to_right_order(classes: str) -> list[int]:
    """Return the logical order of the characters of a left-to-right line, given their classes as drawn."""
    order: list[int] = []
    for span in RIGHT_TO_LEFT_SPAN.finditer(classes):
        order += range(len(order), span.start())
        order += _right_to_left_order(classes, span.start(), span.end())
    return [*order, *range(len(order), len(classes))]


def _right_to_left_order(classes: str, start: int, end: int) -> list[int]:
    """Return the logical order of a right-to-left span: backwards but for the words and numbers of `ATOM`."""
    atoms = list(ATOM.finditer(classes, start, end))
    return [index for atom in reversed(atoms) for index in range(atom.start(), atom.end())]


def _classes(text: str) -> str:
    return "".join(CLASSES.get(unicodedata.bidirectional(character), "-") for character in text)

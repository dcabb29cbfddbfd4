"""The words of a page: text, boxes, and where they come from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle on a page, in fractions of its width and height from the left and the top."""

    left: float
    top: float
    right: float
    bottom: float


class WordSource(StrEnum):  # token files hold these names: never change one
    """Where a page's words come from."""

    LAYER = "layer"
    """The file's text layer."""
    OCR = "ocr"
    BOTH = "both"
    """The text layer, and OCR of areas that it does not cover."""
    NONE = "none"
    """The page was read and has no words."""


@dataclass(frozen=True, slots=True)
class Word:
    """One word from a text layer or OCR, as it is written, with its box."""

    text: str
    box: Box
    """Box of the word; if a line break divides it, of its first part."""
    parts: tuple[tuple[int, Box], ...] = ()
    """(index of its first character in `text`, box) of each part after the first, if line breaks divide the word."""

    @property
    def boxes(self) -> tuple[Box, ...]:
        """The box of each part, in the order of the text."""
        return (self.box, *(box for _, box in self.parts))

    def box_at(self, character: int) -> Box:
        """Return the box of the part that holds a character of `text`.

        >>> first, second = Box(0.8, 0.1, 0.9, 0.2), Box(0.1, 0.2, 0.2, 0.3)
        >>> Word("lighthouse", first, ((5, second),)).box_at(5) == second
        True
        """
        return next((box for start, box in reversed(self.parts) if start <= character), self.box)


@dataclass(frozen=True, slots=True)
class PageWords:
    """The words of one page in reading order, as the library keeps them with it."""

    words: tuple[Word, ...]
    source: WordSource

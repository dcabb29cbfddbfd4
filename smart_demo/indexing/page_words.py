"""The reading step between rendering and encoding: the words of a page, from its text layer or by OCR."""

from __future__ import annotations

import unicodedata
from dataclasses import replace

from smart_demo.backbones import ocr
from smart_demo.errors import BackboneUnavailable, InputRefused, PageRefused
from smart_demo.types import Page, Word, WordSource

PUBLIC_HINT = "This page finds documents by their words: add one with text, or a sharper scan."
"""Hint for visitors of a public page, who cannot install anything."""


def read_page(page: Page, *, use_ocr: bool, public: bool = False) -> Page | PageRefused:
    """Return a rendered page with its words and their source.

    use_ocr: read the words by OCR if the text layer has none. public: whether a visitor reads the refusals, who can
    install nothing. Returns a PageRefused if OCR is needed and fails; a page without words is none.
    """
    if any(map(_says_something, page.words)):
        return replace(page, source=WordSource.LAYER)
    if not use_ocr:
        return replace(page, words=(), source=WordSource.NONE)
    try:
        words = ocr.read_words(page.pixels)
    except (BackboneUnavailable, InputRefused) as error:
        hint = PUBLIC_HINT if public and isinstance(error, BackboneUnavailable) else error.hint
        return PageRefused(f"Page {page.number} of {page.document} has no text layer. {error}", hint)
    return replace(page, words=words, source=WordSource.OCR if words else WordSource.NONE)


def _says_something(word: Word) -> bool:
    """Return whether a word has a character that is drawn: broken layers hold control characters alone."""
    return any(unicodedata.category(character)[0] not in "CZ" and character != "\ufffd" for character in word.text)

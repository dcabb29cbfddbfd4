"""Numbers with their units, and sentences that the page and a shell share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from smart_demo.page_text import WordSource

MEGABYTE = 1_000_000
"""Bytes of 1 MB, in the settings, in limits and on the page."""
SOURCE_NAMES = {
    WordSource.LAYER: "text layer",
    WordSource.OCR: "OCR",
    WordSource.BOTH: "text layer and OCR",
    WordSource.NONE: "no words",
}
"""How the words of a page were read."""


def count(number: int, noun: str) -> str:
    """Return a number with its noun, in the plural unless the number is 1.

    >>> count(1, "page"), count(1200, "page")
    ('1 page', '1,200 pages')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def count_queries(number: int) -> str:
    """Return a number of queries with its noun.

    >>> count_queries(1), count_queries(1200)
    ('1 query', '1,200 queries')
    """
    return "1 query" if number == 1 else f"{number:,} queries"


def list_in_words(words: Sequence[str], conjunction: str) -> str:
    """Return words as a list in a sentence, with a conjunction before the last.

    >>> list_in_words(("PNG", "JPEG", "BMP"), "or"), list_in_words(("PNG",), "or")
    ('PNG, JPEG or BMP', 'PNG')
    """
    return f" {conjunction} ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def size_in_words(size: int) -> str:
    """Return a size in bytes with its unit. 1 kB is 1,000 bytes and 1 MB is 1,000 kB.

    >>> size_in_words(900), size_in_words(38_400), size_in_words(4_300_000), size_in_words(500 * MEGABYTE)
    ('900 bytes', '38 kB', '4.3 MB', '500 MB')
    """
    if size < 1_000:
        return f"{size} byte{'' if size == 1 else 's'}"
    if size < MEGABYTE:
        return f"{size / 1_000:.0f} kB"
    return f"{size / MEGABYTE:,.{1 if size < 100 * MEGABYTE else 0}f} MB"


def limit_in_words(size: int) -> str:
    """Return a limit in bytes with its unit, in whole MB if it is 1 MB or more.

    >>> limit_in_words(256_000), limit_in_words(50 * MEGABYTE)
    ('256 kB', '50 MB')
    """
    return size_in_words(size) if size < MEGABYTE else f"{size / MEGABYTE:,.0f} MB"


def describe_sources(sources: Mapping[WordSource, int]) -> str:
    """Return how the pages of a file were read; empty for none.

    >>> describe_sources({WordSource.LAYER: 10, WordSource.OCR: 2})
    '12 pages: 10 text layer, 2 OCR'
    """
    if not sources:
        return ""
    return f"{count(sum(sources.values()), 'page')}: " + ", ".join(
        f"{sources[source]:,} {SOURCE_NAMES[source]}" for source in WordSource if sources.get(source)
    )


def describe_source(source: WordSource) -> str:
    """Return how one page was read, as a sentence.

    >>> describe_source(WordSource.BOTH)
    'Text layer and OCR.'
    """
    name = SOURCE_NAMES[source]
    return f"{name[0].upper()}{name[1:]}."


def describe_pages_of_other_models(pages: int) -> str:
    """Return that another model encoded these pages.

    >>> describe_pages_of_other_models(1)
    '1 page was encoded by another model and is not searched.'
    """
    verbs = ("was", "is") if pages == 1 else ("were", "are")
    return f"{count(pages, 'page')} {verbs[0]} encoded by another model and {verbs[1]} not searched."


def describe_pages_of_older_versions(pages: int) -> str:
    """Return what to do about pages that an earlier version read; empty for none.

    >>> describe_pages_of_older_versions(1)
    '1 page was read by an older version. Add its document again to read it better.'
    """
    if not pages:
        return ""
    if pages == 1:
        return "1 page was read by an older version. Add its document again to read it better."
    return f"{pages:,} pages were read by an older version. Add their documents again to read them better."

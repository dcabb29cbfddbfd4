"""Numbers, sizes and times as the page shows them, and text without control characters. Templates escape it."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from smart_demo.methods import Weights
from smart_demo.types import LOCAL, SAMPLES, PageId, Scope
from smart_demo.wording import count

_UNSHOWABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control characters and marks that change the direction of the text around them."""


def strip_unprintable(text: str) -> str:
    """Remove control characters and direction marks. Templates apply it to every value that they print.

    >>> strip_unprintable("\u202egpj.exe")
    'gpj.exe'
    """
    return _UNSHOWABLE.sub("", text)


def in_sentence(label: str) -> str:
    """Return a label as it is written inside a sentence: names in capitals stay as they are.

    >>> in_sentence("Pooled only"), in_sentence("SMART")
    ('pooled only', 'SMART')
    """
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def count_of(part: int, whole: int, noun: str) -> str:
    """Return "part of whole" with the noun, or the whole alone if the part equals it.

    >>> count_of(12, 12, "page"), count_of(9, 12, "page")
    ('12 pages', '9 of 12 pages')
    """
    return count(whole, noun) if part == whole else f"{part:,} of {count(whole, noun)}"


def format_bytes(size: float) -> str:
    """Return a size in bytes to three digits, in a unit from bytes to PB (powers of 1,000).

    >>> format_bytes(900), format_bytes(1_536), format_bytes(103_240), format_bytes(1.536e12), format_bytes(4.2e17)
    ('900 bytes', '1.54 kB', '103 kB', '1.54 TB', '420 PB')
    """
    if size < 1_000:
        return count(round(size), "byte")
    units = ("kB", "MB", "GB", "TB", "PB")
    power = min(int(math.log10(float(f"{size:.3g}")) // 3), len(units))
    return f"{format_digits(size / 1_000**power)} {units[power - 1]}"


def format_digits(value: float) -> str:
    """Return a positive number to three digits, never in powers of ten.

    >>> format_digits(0.0123), format_digits(1.2), format_digits(98.44), format_digits(12_345)
    ('0.0123', '1.2', '98.4', '12,345')
    """
    return f"{value:,.0f}" if value >= 999.5 else f"{value:.3g}"


def format_duration(seconds: float) -> str:
    """Return a span of time in a unit from milliseconds to years.

    >>> format_duration(0.0004), format_duration(0.0123), format_duration(7.77), format_duration(600)
    ('<1 ms', '12 ms', '7.8 s', '10 min')
    >>> format_duration(86_400), format_duration(86_400 * 90), format_duration(4.1e9)
    ('24 h', '90 days', '130 years')
    """
    if seconds < 1:
        return format_milliseconds(seconds * 1_000) if seconds else "0 s"
    year = 365.25 * 86_400
    spans = ((120, 1, "s"), (7_200, 60, "min"), (172_800, 3_600, "h"), (2 * year, 86_400, "days"))
    unit, label = next(((unit, label) for below, unit, label in spans if seconds < below), (year, "years"))
    value = seconds / unit
    return f"{value:,.0f} {label}" if value >= 10 else f"{value:.1f} {label}"


def format_time_left(seconds: float | None) -> str:
    """Return a rounded estimate of the time left, or an empty text if it is unknown.

    >>> format_time_left(None), format_time_left(0.4), format_time_left(12.4), format_time_left(50)
    ('', 'a few seconds left', 'about 20 seconds left', 'about a minute left')
    >>> format_time_left(150), format_time_left(4000), format_time_left(9000)
    ('about 3 minutes left', 'about an hour left', 'about 3 hours left')
    """
    if seconds is None or not math.isfinite(seconds):
        return ""
    if seconds < 5:
        return "a few seconds left"
    if seconds <= 40:
        return f"about {math.ceil(seconds / 10) * 10} seconds left"
    minutes = max(1, math.floor(seconds / 60 + 0.5))
    if minutes < 60:
        return f"about {count(minutes, 'minute') if minutes > 1 else 'a minute'} left"
    hours = math.floor(seconds / 3_600 + 0.5)
    return f"about {count(hours, 'hour') if hours > 1 else 'an hour'} left"


def format_milliseconds(value: float) -> str:
    """Return the time of a search stage, or the label of a cached result if the time is exactly 0.

    >>> format_milliseconds(0.0), format_milliseconds(0.4), format_milliseconds(12.3), format_milliseconds(2190)
    ('kept', '<1 ms', '12 ms', '2.2 s')
    """
    if value == 0.0:
        return "kept"
    if value < 1:
        return "<1 ms"
    return f"{value:.0f} ms" if value < 1_000 else f"{value / 1_000:.1f} s"


def format_score(value: float, places: int = 3) -> str:
    """Return a score to `places` decimals with a minus sign (U+2212), or a dash for NaN.

    >>> format_score(0.4119), format_score(-0.02), format_score(float("nan"))
    ('0.412', '−0.020', '–')
    """
    return "–" if math.isnan(value) else f"{value:.{places}f}".replace("-", "−")


def format_difference(value: float) -> str:
    """Return a difference of scores to three decimals, with its sign; zero has a plus.

    >>> format_difference(0.1239), format_difference(-0.02), format_difference(-0.0)
    ('+0.124', '−0.020', '+0.000')
    """
    return f"{value:+z.3f}".replace("-", "−")


def format_contribution(value: float) -> str:
    """Return a contribution to three decimals with its sign; zero has none.

    >>> format_contribution(0.0312), format_contribution(-0.2), format_contribution(0.0)
    ('+0.031', '−0.200', '0.000')
    """
    text = format_score(value)
    return text if text.startswith("−") or not float(text) else f"+{text}"


def format_weight(value: float) -> str:
    """Return a weight to two decimals.

    >>> format_weight(1.0)
    '1.00'
    """
    return f"{value:.2f}"


def format_distinct_weight(value: float, *others: float) -> str:
    """Return a weight with as many decimals (2 to 6) as distinguish it from 0 and from the others.

    >>> format_distinct_weight(0.6234), format_distinct_weight(0.6234, 0.62), format_distinct_weight(0.0012)
    ('0.62', '0.623', '0.001')
    """
    for places in range(2, 6):
        if round(value, places) not in {0.0, *(round(other, places) for other in others)}:
            return f"{value:.{places}f}"
    return f"{value:.6f}"


class MatchName(NamedTuple):
    """What a ranking compares, in words for readers who do not know the method."""

    name: str
    note: str
    """The same in one phrase."""


def describe_match(weights: Weights) -> MatchName:
    """Return what a ranking by these weights compares.

    >>> describe_match(Weights(1, 0)).name, describe_match(Weights(0, 2)).name, describe_match(Weights(1, 1)).name
    ('Overall match', 'Detail match', 'Overall + detail match')
    """
    if weights.pooled and weights.late:
        return MatchName("Overall + detail match", "The whole page, and each word’s best place")
    if weights.late:
        return MatchName("Detail match", "Each word and its best place on the page")
    if weights.pooled:
        return MatchName("Overall match", "One comparison for the whole page")
    return MatchName("No match", "Both weights are 0, so the order means nothing")


def page_key(scope: Scope, page: PageId) -> str:
    """Return a page's name in markup: `samples` or `local` and its id. A visitor's scope is never shown.

    `handlers.parse_page_key` reads it.
    """
    return f"{SAMPLES if scope == SAMPLES else LOCAL}/{page}"


def document_key(scope: Scope, file: str) -> str:
    """Return a document's name in addresses: `samples` or `local` and the hash of its file.

    >>> document_key(SAMPLES, "00ff00ff00ff00ff"), document_key(Scope("visitor-1"), "00ff00ff00ff00ff")
    ('samples/00ff00ff00ff00ff', 'local/00ff00ff00ff00ff')
    """
    return f"{SAMPLES if scope == SAMPLES else LOCAL}/{file}"

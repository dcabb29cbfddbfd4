"""Readings of a JSON object from outside: what it should hold, or InputRefused with the field's name.

Nothing is repaired. What comes back is of the right type, inside its bounds, and can be written as UTF-8.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from smart_demo.errors import InputRefused

MAX_NAME_CHARS = 255
"""Characters of a document's name, a model's name, a version."""
_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that a text of one line does not have: controls, lone surrogates, separators."""


def parse_json(text: str | bytes) -> object:
    """Any JSON value. InputRefused for anything else, NaN and infinities included."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputRefused("this is not JSON.", "Write one object a line.") from None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def require_object(value: object, what: str) -> Mapping[str, Any]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise InputRefused(f"{what} must be a JSON object.")
    return value


def object_field(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The object inside an object."""
    return require_object(row.get(key), f'"{key}"')


def list_field(row: Mapping[str, Any], key: str, most: int) -> Sequence[Any]:
    """A list of at most so many entries."""
    value = row.get(key)
    if not isinstance(value, list) or len(value) > most:
        raise InputRefused(f'"{key}" must be a list of at most {most:,} entries.')
    return value


def text_field(row: Mapping[str, Any], key: str, longest: int) -> str:
    """Any text up to so many characters; it may be empty and have several lines."""
    value = row.get(key)
    if not isinstance(value, str) or len(value) > longest or "\0" in value or not _is_utf8(value):
        raise InputRefused(f'"{key}" must be a text of at most {longest:,} characters.')
    return value


def line_field(row: Mapping[str, Any], key: str, longest: int = MAX_NAME_CHARS, *, empty: bool = False) -> str:
    """A text of one line."""
    value = row.get(key)
    if not isinstance(value, str) or not is_line(value, longest) or not (value or empty):
        raise InputRefused(f'"{key}" must be a text of one line of at most {longest:,} characters.')
    return value


def is_line(value: str, longest: int = MAX_NAME_CHARS) -> bool:
    r"""Whether a text is one line that can be written. Marks that turn the reading direction are text, too.

    >>> is_line("bolts.pdf"), is_line("two\nlines"), is_line("long", 3)
    (True, False, False)
    """
    if len(value) > longest:
        return False
    return (value.isascii() and value.isprintable()) or not any(map(_breaks_line, value))


def pattern_field(row: Mapping[str, Any], key: str, pattern: str, what: str) -> str:
    """A text of a certain form, such as hex digits."""
    value = row.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputRefused(f'"{key}" must be {what}.')
    return value


def choice_field(row: Mapping[str, Any], key: str, choices: Collection[str]) -> str:
    """One of a few words."""
    value = row.get(key)
    if not isinstance(value, str) or value not in choices:
        raise InputRefused(f'"{key}" must be one of: {", ".join(choices)}.')
    return value


def integer_field(row: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """A whole number; true is none, though Python counts it as 1."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputRefused(f'"{key}" must be a whole number from {low:,} to {high:,}.')
    return value


def number_field(row: Mapping[str, Any], key: str, low: float, high: float) -> float:
    """A finite number."""
    value = finite_number(row.get(key))
    if value is None or not low <= value <= high:
        raise InputRefused(f'"{key}" must be a number from {low:g} to {high:g}.')
    return value


def finite_number(value: object) -> float | None:
    """A finite number; None for anything else that JSON may hold.

    >>> a_number(2), a_number(True), a_number("2"), a_number(10**400)
    (2.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # a whole number beyond all floats
        return None


def _breaks_line(character: str) -> bool:
    return unicodedata.category(character) in _NOT_IN_A_LINE


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can spell
        return False
    return True

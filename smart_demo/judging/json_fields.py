"""Validated fields of a JSON object from outside.

Each function returns a value of the right type and inside its bounds, or raises InputRefused with the field's name.
Nothing is repaired, and every text can be written as UTF-8.
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
"""Maximum length of a document's name, a model's name or a version."""
_NOT_IN_A_LINE = {"Cc", "Cs", "Zl", "Zp"}
"""Unicode categories that a single line must not contain: controls, lone surrogates, separators."""


def parse_json(text: str | bytes) -> object:
    """Parse any JSON value. Raises InputRefused for anything else, including NaN and infinities."""
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputRefused("this is not JSON.", "Write one object a line.") from None


def require_object(value: object, what: str) -> Mapping[str, Any]:
    """Return a value that must be a JSON object. what: its name in the error."""
    if not isinstance(value, dict):
        raise InputRefused(f"{what} must be a JSON object.")
    return value


def object_field(row: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """Return a field that must be a JSON object."""
    return require_object(row.get(key), f'"{key}"')


def list_field(row: Mapping[str, Any], key: str, max_length: int) -> Sequence[Any]:
    """Return a field that must be a list of at most `max_length` entries."""
    value = row.get(key)
    if not isinstance(value, list) or len(value) > max_length:
        raise InputRefused(f'"{key}" must be a list of at most {max_length:,} entries.')
    return value


def text_field(row: Mapping[str, Any], key: str, max_chars: int) -> str:
    """Return a field that must be a text of at most `max_chars` characters, possibly empty or of several lines."""
    value = row.get(key)
    if not isinstance(value, str) or len(value) > max_chars or "\0" in value or not _is_utf8(value):
        raise InputRefused(f'"{key}" must be a text of at most {max_chars:,} characters.')
    return value


def line_field(row: Mapping[str, Any], key: str, max_chars: int = MAX_NAME_CHARS, *, empty: bool = False) -> str:
    """Return a field that must be a text of one line, not empty unless `empty`."""
    value = row.get(key)
    if not isinstance(value, str) or not is_line(value, max_chars) or not (value or empty):
        raise InputRefused(f'"{key}" must be a text of one line of at most {max_chars:,} characters.')
    return value


def is_line(value: str, max_chars: int = MAX_NAME_CHARS) -> bool:
    r"""Return whether a text is one line that can be written. Marks that turn the writing direction are allowed.

    >>> is_line("bolts.pdf"), is_line("two\nlines"), is_line("long", 3)
    (True, False, False)
    """
    if len(value) > max_chars:
        return False
    return (value.isascii() and value.isprintable()) or not any(map(_breaks_line, value))


def pattern_field(row: Mapping[str, Any], key: str, pattern: str, what: str) -> str:
    """Return a field that must match a pattern as a whole. what: the pattern in words."""
    value = row.get(key)
    if not isinstance(value, str) or not re.fullmatch(pattern, value):
        raise InputRefused(f'"{key}" must be {what}.')
    return value


def choice_field(row: Mapping[str, Any], key: str, choices: Collection[str]) -> str:
    """Return a field that must be one of `choices`."""
    value = row.get(key)
    if not isinstance(value, str) or value not in choices:
        raise InputRefused(f'"{key}" must be one of: {", ".join(choices)}.')
    return value


def integer_field(row: Mapping[str, Any], key: str, low: int, high: int) -> int:
    """Return a field that must be an integer in [low, high]. Booleans are refused."""
    value = row.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InputRefused(f'"{key}" must be a whole number from {low:,} to {high:,}.')
    return value


def number_field(row: Mapping[str, Any], key: str, low: float, high: float) -> float:
    """Return a field that must be a finite number in [low, high]."""
    value = finite_number(row.get(key))
    if value is None or not low <= value <= high:
        raise InputRefused(f'"{key}" must be a number from {low:g} to {high:g}.')
    return value


def finite_number(value: object) -> float | None:
    """Return a JSON value as a float, or None if it is no finite number.

    >>> finite_number(2), finite_number(True), finite_number("2"), finite_number(10**400)
    (2.0, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # an integer beyond all floats
        return None


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _breaks_line(character: str) -> bool:
    return unicodedata.category(character) in _NOT_IN_A_LINE


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:  # a lone surrogate, which JSON can contain
        return False
    return True

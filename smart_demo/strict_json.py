"""JSON from outside, read into pydantic dataclasses: the types of their fields, and refusals in plain sentences.

A record is a frozen `pydantic_dataclass` whose single values have the types below. They convert nothing: a text is no
number and true is no integer. Only JSON's own forms are accepted for other Python types: a list for a tuple, an object
for a record, a text for a member of an enumeration. Unknown keys are ignored. Every text can be written as UTF-8.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from pydantic import GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from smart_demo.errors import InputRefused

MAX_NAME_CHARS = 255
"""Maximum length of a document's name, a model's name or a version."""
Record = TypeVar("Record")


class Expected:
    """The type of a single value, for `Annotated`, and its description for the sentence that refuses another value."""

    def __init__(self, description: str, schema: CoreSchema) -> None:
        self._message, self._schema = f"must be {description}", schema

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return the schema, every failure of which has the same message."""
        return core_schema.custom_error_schema(self._schema, "expected", custom_error_message=self._message)


def text_up_to(max_chars: int) -> Expected:
    """Return the type of a text, possibly empty or of several lines."""
    schema = core_schema.str_schema(strict=True, max_length=max_chars, pattern=r"^[^\x00]*$")
    return Expected(f"a text of at most {max_chars:,} characters", schema)


def one_line(max_chars: int = MAX_NAME_CHARS, *, empty: bool = False) -> Expected:
    """Return the type of a text without controls and line breaks. Marks that turn the writing direction are allowed."""
    pattern = rf"^[^\p{{Cc}}\p{{Zl}}\p{{Zp}}]{{{0 if empty else 1},}}$"
    schema = core_schema.str_schema(strict=True, max_length=max_chars, pattern=pattern)
    return Expected(f"a text of one line of at most {max_chars:,} characters", schema)


def matching(pattern: str, description: str) -> Expected:
    """Return the type of a text that matches a pattern as a whole."""
    return Expected(description, core_schema.str_schema(strict=True, pattern=f"^(?:{pattern})$"))


def hex_digits(count: int) -> Expected:
    """Return the type of a hash or a random id."""
    return matching(f"[0-9a-f]{{{count}}}", f"{count} hex digits")


def integer_between(low: int, high: int) -> Expected:
    """Return the type of an integer in [low, high]."""
    schema = core_schema.int_schema(strict=True, ge=low, le=high)
    return Expected(f"a whole number from {low:,} to {high:,}", schema)


def number_between(low: float, high: float) -> Expected:
    """Return the type of a finite float in [low, high], which JSON may write as an integer."""
    schema = core_schema.float_schema(strict=True, ge=low, le=high, allow_inf_nan=False)
    return Expected(f"a number from {low:g} to {high:g}", schema)


def parse_object(data: str | bytes) -> Mapping[str, Any]:
    """Parse a JSON object. Raises InputRefused for anything else, and for NaN and infinities in it."""
    try:
        value = json.loads(data, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise InputRefused("this is not JSON.", "Write one object a line.") from None
    return require_object(value, "the line")


def require_object(value: object, name: str) -> Mapping[str, Any]:
    """Return a value that must be a JSON object. name: its name in the refusal."""
    if not isinstance(value, dict):
        raise InputRefused(f"{name} must be a JSON object.")
    return value


def read_choice(row: Mapping[str, Any], key: str, choices: Collection[str]) -> str:
    """Return a field that must be one of `choices`."""
    value = row.get(key)
    if not isinstance(value, str) or value not in choices:
        raise InputRefused(f'"{key}" must be one of: {", ".join(choices)}.')
    return value


def read_record(kind: TypeAdapter[Record], value: object, name: str = "the line") -> Record:
    """Return a JSON value as a record, or as one of its fields' types. name: the value's name in the refusal.

    Raises InputRefused with the first thing that is wrong.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise InputRefused(_sentence(error.errors(include_url=False, include_input=False)[0], name)) from None


def _sentence(error: ErrorDetails, name: str) -> str:
    """Return one of pydantic's errors in our words: the innermost field that has a name, and what it must be."""
    place, limits = error["loc"], error.get("ctx", {})
    keys = [key for key in place if isinstance(key, str)]
    subject = f'"{keys[-1]}"' if keys else name
    if keys and place[-1] != keys[-1]:
        subject = f"an entry of {subject}"
    match error["type"]:
        case "missing":
            fault = "is missing"
        case "expected":
            fault = error["msg"]
        case "enum":
            fault = f"must be one of: {limits['expected'].replace(' or ', ', ').replace(chr(39), '')}"
        case "too_long":
            fault = f"must be a list of at most {limits['max_length']:,} entries"
        case "tuple_type":
            fault = "must be a list"
        case "dataclass_type":
            fault = "must be a JSON object"
        case _:
            fault = "is not what this program writes"
    return f"{subject} {fault}."


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")

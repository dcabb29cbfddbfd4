"""Which pages answer which query: the form of `queries.jsonl`, read with doubt.

One JSON object a line; `document` is a file's base name with its extension and `page` counts from 1:

    {"qid": "q01", "query": "torque of the M8 bolts", "kind": "exact code",
     "relevant": [{"document": "manual.pdf", "page": 4, "grade": 3}]}

A benchmark with a slip in it gives wrong numbers quietly, so nothing is repaired: the first line that is not right is
refused by its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.types import PageId

HIGHEST_GRADE, LAST_PAGE = 100, 9999
FindPage = Callable[[str, int], PageId]
"""(document, page) -> its id. InputRefused where the collection has no such page."""


@dataclass(frozen=True)
class QueryJudgements:
    """A query and how relevant the pages known to answer it are."""

    qid: str
    query: str
    kind: str
    """What sort of query it is, for means by kind: one printable line."""
    grades: Mapping[PageId, float]
    """0 or more; at least one above 0."""


def read_text(path: Path) -> str:
    """A file's UTF-8 text with plain line ends. InputRefused where it is missing, unreadable or of another encoding."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputRefused(f"{path} is not there.", "Check the path.") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None


def read_judged(path: Path, find: FindPage) -> tuple[QueryJudgements, ...]:
    """Every query of a `queries.jsonl`, in the file's order. InputRefused names the file and the line."""
    judged: dict[str, QueryJudgements] = {}
    # Not splitlines: a JSON string may hold U+2028 as it is.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            one = _judged(line, find)
            if one.qid in judged:
                raise InputRefused(f'the qid "{one.qid}" is used twice.')
        except InputRefused as error:
            raise InputRefused(f"{path.name}, line {number}: {error}", error.hint) from None
        judged[one.qid] = one
    if not judged:
        raise InputRefused(f"{path.name} has no queries.", "Give it one JSON object a line.")
    return tuple(judged.values())


def _judged(line: str, find: FindPage) -> QueryJudgements:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise InputRefused("this is not JSON.", "Write one object a line.") from None
    row = _object(given, "the line")
    qid, query, kind = (_text(row, key) for key in ("qid", "query", "kind"))
    relevant = row.get("relevant")
    if not isinstance(relevant, list):
        raise InputRefused('"relevant" must be a list of pages.')
    grades: dict[PageId, float] = {}
    for entry in relevant:
        page, grade = _graded(_object(entry, 'an entry of "relevant"'), find)
        if page in grades:
            raise InputRefused(f'page {entry["page"]} of "{entry["document"]}" is judged twice.')
        grades[page] = grade
    if not any(grades.values()):
        raise InputRefused("no page has a grade above 0, so there is nothing to find.", "Take the query out.")
    return QueryJudgements(qid, query, kind, grades)


def _graded(entry: Mapping[str, Any], find: FindPage) -> tuple[PageId, float]:
    document, page, grade = _text(entry, "document"), entry.get("page"), entry.get("grade")
    # bool is an int to Python, but true is neither a page nor a grade.
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= LAST_PAGE:
        raise InputRefused(f'"page" must be a whole number from 1 to {LAST_PAGE}.')
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= HIGHEST_GRADE:
        raise InputRefused(f'"grade" must be a number from 0 to {HIGHEST_GRADE}.')
    return find(document, page), float(grade)


def _object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputRefused(f"{what} must be a JSON object.")
    return value


def _text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or (key != "query" and not value.isprintable()):
        raise InputRefused(f'"{key}" must be a text of one line.')
    return value

"""Which pages answer which query: the reader of `queries.jsonl`.

One JSON object a line; `document` is a file's base name with its extension and `page` counts from 1:

    {"qid": "q01", "query": "torque of the M8 bolts", "kind": "exact code",
     "relevant": [{"document": "manual.pdf", "page": 4, "grade": 3}]}

The reader repairs nothing, since a mistake in a benchmark gives wrong numbers unnoticed: it refuses the first invalid
line and names its number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.types import PageId

MAX_GRADE, MAX_PAGE_NUMBER = 100, 9999
FindPage = Callable[[str, int], PageId]
"""Maps (document, page) to the page's id. Raises InputRefused if the collection has no such page."""


@dataclass(frozen=True)
class QueryJudgements:
    """A query and the grades of its judged pages."""

    qid: str
    query: str
    kind: str
    """The sort of query, for means by kind: one printable line."""
    grades: Mapping[PageId, float]
    """Grades of 0 or more, by page; at least one is above 0."""


def read_text(path: Path) -> str:
    """Return a file's UTF-8 text with plain line ends.

    Raises InputRefused if it is missing, unreadable or in another encoding.
    """
    try:
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputRefused(f"{path} is not there.", "Check the path.") from None
    except UnicodeDecodeError:
        raise InputRefused(f"{path} is not UTF-8 text.", "Save it as UTF-8.") from None
    except OSError as error:
        raise InputRefused(f"{path} cannot be read: {error.strerror}.", "Check the path.") from None


def read_judgements(path: Path, find: FindPage) -> tuple[QueryJudgements, ...]:
    """Return every query of a `queries.jsonl`, in order. Raises InputRefused, which names file and line."""
    judgements: dict[str, QueryJudgements] = {}
    # Not splitlines: a JSON string may hold U+2028 unescaped.
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            query = _parse_line(line, find)
            if query.qid in judgements:
                raise InputRefused(f'the qid "{query.qid}" is used twice.')
        except InputRefused as error:
            raise InputRefused(f"{path.name}, line {number}: {error}", error.hint) from None
        judgements[query.qid] = query
    if not judgements:
        raise InputRefused(f"{path.name} has no queries.", "Write one JSON object a line.")
    return tuple(judgements.values())


def _parse_line(line: str, find: FindPage) -> QueryJudgements:
    try:
        given = json.loads(line)
    except (ValueError, RecursionError):
        raise InputRefused("this is not JSON.", "Write one object a line.") from None
    row = _require_object(given, "the line")
    qid, query, kind = (_require_text(row, key) for key in ("qid", "query", "kind"))
    relevant = row.get("relevant")
    if not isinstance(relevant, list):
        raise InputRefused('"relevant" must be a list of pages.')
    grades: dict[PageId, float] = {}
    for entry in relevant:
        page, grade = _parse_graded_page(_require_object(entry, 'an entry of "relevant"'), find)
        if page in grades:
            raise InputRefused(f'page {entry["page"]} of "{entry["document"]}" is judged twice.')
        grades[page] = grade
    if not any(grades.values()):
        raise InputRefused("no page has a grade above 0, so there is nothing to find.", "Remove the query.")
    return QueryJudgements(qid, query, kind, grades)


def _parse_graded_page(entry: Mapping[str, Any], find: FindPage) -> tuple[PageId, float]:
    document, page, grade = _require_text(entry, "document"), entry.get("page"), entry.get("grade")
    # Python's bool is an int, but true is neither a page nor a grade.
    if isinstance(page, bool) or not isinstance(page, int) or not 1 <= page <= MAX_PAGE_NUMBER:
        raise InputRefused(f'"page" must be a whole number from 1 to {MAX_PAGE_NUMBER}.')
    if isinstance(grade, bool) or not isinstance(grade, int | float) or not 0 <= grade <= MAX_GRADE:
        raise InputRefused(f'"grade" must be a number from 0 to {MAX_GRADE}.')
    return find(document, page), float(grade)


def _require_object(value: object, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InputRefused(f"{what} must be a JSON object.")
    return value


def _require_text(row: Mapping[str, Any], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str) or not value.strip() or (key != "query" and not value.isprintable()):
        raise InputRefused(f'"{key}" must be one line of text.')
    return value

"""What a list is before it is run and what came of it afterwards, in values and in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from smart_demo.errors import InputRefused
from smart_demo.judging.list_comparison import Row
from smart_demo.judging.query_list import MOST_LIST_BYTES, TOLD, read_queries
from smart_demo.search.request import Asked
from smart_demo.ui.results import formula
from smart_demo.ui.wording import queries


@dataclass(frozen=True)
class Run:
    """What came of a list."""

    rows: tuple[Row, ...]
    """In the order of the list."""
    search: Asked
    """How each was asked; its text is empty."""
    notices: tuple[str, ...]
    total: int
    """Queries of the list. Where it was stopped there are more than rows."""


def written(data: bytes) -> str:
    """An uploaded list as the text for the box. InputRefused where it is no list."""
    if len(data) > MOST_LIST_BYTES:
        raise InputRefused(f"The list is larger than {MOST_LIST_BYTES // 2**20} MB.", "Make it shorter.")
    read_queries(data)
    return data.decode("utf-8-sig")


def counted(text: object) -> str:
    """What a text in the box holds, in a sentence. InputRefused where it is no list."""
    found = read_queries(text if isinstance(text, str) else "")
    judged = sum(bool(one.relevant) for one in found.queries)
    with_grades = f", {judged:,} with judgements" if judged else ""
    said = f"{queries(len(found.queries))}{with_grades}."
    return " ".join([said, *found.notices[:1]])


def summary(run: Run) -> str:
    """What was asked, and how, in a sentence."""
    how = f"{run.search.scope}, {formula(run.search.weights)}, the first {run.search.top} pages"
    if len(run.rows) < run.total:
        return f"{len(run.rows):,} of {queries(run.total)} asked: {how}."
    return f"{queries(run.total)} asked: {how}."


def noticed(rows: Sequence[Row], notices: Sequence[str]) -> tuple[str, ...]:
    """What is told of a run: not every line of a list that is all wrong."""
    unknown = sum(row.unknown for row in rows)
    told = list(notices[:TOLD])
    if len(notices) > TOLD:
        told.append(f"{len(notices) - TOLD:,} more such lines.")
    if unknown:
        pages = "1 graded page" if unknown == 1 else f"{unknown:,} graded pages"
        told.append(f"{pages} of the list {'is' if unknown == 1 else 'are'} not among the pages searched.")
    return tuple(told)

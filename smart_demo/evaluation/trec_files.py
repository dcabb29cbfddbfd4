"""Grades and rankings in the forms that trec_eval, ir_measures, pytrec_eval and ranx read, and back.

    qrels:  query 0 page grade             one space between, no comments
    run:    query Q0 page rank score tag

A query is called by `q` and its `Query.key`, so that no tool takes it for a number; a page by its id. trec_eval sorts a
run by score, kept in 32 bits, and ties by name, whatever ranks it says. Scores that are equal in 32 bits are therefore
written one step of a 32-bit number below each other: tools then see the order that people saw.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np

from smart_demo.errors import InputRefused
from smart_demo.evaluation.fields import a_number
from smart_demo.evaluation.trial import Asked, Ranked
from smart_demo.types import PageId

Qrels = Mapping[str, Mapping[PageId, int]]
"""Grades by query and page."""
Run = Mapping[str, Sequence[tuple[PageId, float]]]
"""By query, (page, score) best first."""
MOST_BYTES = 2**25
Value = TypeVar("Value")


def query_id(query: Asked) -> str:
    """What a query is called in both files.

    >>> query_id(Asked("tide table", "00112233445566aa"))
    'q00112233445566aa'
    """
    return f"q{query.key}"


def qrels_text(qrels: Qrels) -> str:
    """The qrels file, sorted by query and page."""
    rows = [f"{query} 0 {page} {grade}" for query in sorted(qrels) for page, grade in sorted(qrels[query].items())]
    return _lines(rows)


def run_text(run: Run, tag: str) -> str:
    """A run file, queries sorted; `tag` names the method."""
    rows = []
    for query in sorted(run):
        scores = _apart([score for _, score in run[query]])
        for rank, ((page, _), score) in enumerate(zip(run[query], scores, strict=True), start=1):
            rows.append(f"{query} Q0 {page} {rank} {score} {tag}")
    return _lines(rows)


def run_of(rankings: Mapping[str, Iterable[Ranked]]) -> Run:
    """Recorded rankings by query id, as a run."""
    return {query: [(row.page, row.score) for row in ranking] for query, ranking in rankings.items()}


def read_qrels(text: str) -> dict[str, dict[PageId, int]]:
    """What `qrels_text` wrote. InputRefused with the line for anything else."""
    qrels: dict[str, dict[PageId, int]] = {}
    for number, (query, zero, page, grade) in _rows(text, 4):
        if zero != "0" or not re.fullmatch(r"[0-9]{1,3}", grade):
            raise InputRefused(f"Line {number}: this is not a query, 0, a page and a grade.")
        _put(qrels.setdefault(query, {}), _page(page, number), int(grade), number)
    return qrels


def read_run(text: str) -> dict[str, list[tuple[PageId, float]]]:
    """What `run_text` wrote, best score first. InputRefused with the line for anything else."""
    run: dict[str, dict[PageId, float]] = {}
    for number, (query, constant, page, _, score, _) in _rows(text, 6):
        value = _score(score)
        if constant != "Q0" or value is None:
            raise InputRefused(f"Line {number}: this is not a query, Q0, a page, a rank, a score and a tag.")
        _put(run.setdefault(query, {}), _page(page, number), value, number)
    return {query: sorted(pages.items(), key=lambda one: (-one[1], one[0])) for query, pages in run.items()}


def _apart(scores: Sequence[float]) -> list[str]:
    """Falling scores, spelled so that each is below the one before as a 32-bit number, too.

    >>> _apart([0.5, 0.5, 0.25])
    ['0.5', '0.49999997', '0.25']
    """
    spelled = []
    last = np.float32(np.inf)
    for score in scores:
        last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
        spelled.append(np.format_float_positional(last, trim="-"))
    return spelled


def _rows(text: str, columns: int) -> Iterable[tuple[int, list[str]]]:
    if len(text) > MOST_BYTES:
        raise InputRefused(f"The file is larger than {MOST_BYTES // 2**20} MB.")
    for number, line in enumerate(text.split("\n"), start=1):
        row = line.split()
        if row and len(row) != columns:
            raise InputRefused(f"Line {number}: there are {len(row)} columns, not {columns}.")
        if row:
            yield number, row


def _put(pages: dict[PageId, Value], page: PageId, value: Value, number: int) -> None:
    if page in pages:
        raise InputRefused(f"Line {number}: the page stands twice under its query.")
    pages[page] = value


def _page(text: str, number: int) -> PageId:
    try:
        return PageId.parse(text)
    except ValueError:
        raise InputRefused(f"Line {number}: this is no page's id.") from None


def _score(text: str) -> float | None:
    try:
        return a_number(float(text))
    except ValueError:
        return None


def _lines(rows: Iterable[str]) -> str:
    return "".join(f"{row}\n" for row in rows)

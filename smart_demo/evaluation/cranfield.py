"""The Cranfield 1400 collection of abstracts, read as a text collection.

`cran.all.1400` holds the documents and `cran.qry` the queries, in records that begin with `.I number`; `cranqrel` holds
a line `query document grade` for every judgement and numbers the queries by their order in the file. A grade of 1 is a
complete answer, 4 of minimal interest, -1 the paper that the question came from. Gains reverse that: 5 - grade, at
least 1, and 1 for -1.

An abstract's id is its number, so ties are ordered by number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.query_sets import QueryJudgements, make_page_id, read_text
from smart_demo.evaluation.runner import ProgressCallback, Report, ignore_progress
from smart_demo.evaluation.texts import TextCollection, evaluate_texts
from smart_demo.types import PageId

DOCUMENTS_FILE, QUERIES_FILE, QRELS_FILE = "cran.all.1400", "cran.qry", "cranqrel"
_RECORD = re.compile(r"^\.I[ \t]+([0-9]{1,9})[ \t]*\n", re.MULTILINE)
_TITLE = re.compile(r"^\.T\n(.*?)(?=^\.[ABW]$|\Z)", re.MULTILINE | re.DOTALL)


def evaluate_cranfield(
    settings: Settings, folder: Path, on_progress: ProgressCallback = ignore_progress, run_dir: Path | None = None
) -> Report:
    """Rank all abstracts for every judged query by every method, with the backbone and codec of the settings.

    run_dir: a folder for TREC files. Raises InputRefused if the folder does not hold the collection; errors as
    `evaluate_texts`.
    """
    return evaluate_texts(settings, read_cranfield(folder), on_progress, run_dir)


def grade_to_gain(grade: int) -> float:
    """Return the gain of a judged document.

    >>> [grade_to_gain(grade) for grade in (1, 2, 3, 4, -1)]
    [4.0, 3.0, 2.0, 1.0, 1.0]
    """
    return 1.0 if grade < 0 else float(max(5 - grade, 1))


def read_cranfield(folder: Path) -> TextCollection:
    """Read the three files of the collection. Raises InputRefused, with the line if there is one."""
    if not folder.is_dir():
        raise InputRefused(
            f"{folder} is not a folder.", f"Name the one with {DOCUMENTS_FILE}, {QUERIES_FILE} and {QRELS_FILE}."
        )
    numbers, documents = set(), {}
    for number, record in _read_records(folder / DOCUMENTS_FILE):
        if number in numbers:
            raise InputRefused(f"{DOCUMENTS_FILE} has document {number} twice.")
        numbers.add(number)
        documents[number] = _record_text(record)
    queries = [_record_text(record) for _, record in _read_records(folder / QUERIES_FILE)]
    grades = _read_gains(folder / QRELS_FILE, len(queries), numbers)
    judgements = {
        number: QueryJudgements(str(number), queries[number - 1], "abstracts", grades[number])
        for number in sorted(grades)
    }
    empty = [number for number, words in documents.items() if not words]
    unjudged = [number for number in range(1, len(queries) + 1) if number not in judgements]
    notices = [
        f"{what} were left out{so}: {', '.join(map(str, which))}."
        for what, so, which in (
            ("Documents without words", " and count as never found", empty),
            ("Queries without judgements", "", unjudged),
        )
        if which
    ]
    return TextCollection(
        "Cranfield",
        {make_page_id(number): words for number, words in documents.items() if words},
        {make_page_id(number): str(number) for number in documents},
        tuple(judgements.values()),
        tuple(notices),
    )


def _read_records(path: Path) -> Sequence[tuple[int, str]]:
    """Return the number and the content of every record."""
    before, *pieces = _RECORD.split(read_text(path))
    if before.strip() or not pieces:
        raise InputRefused(f"{path.name} is not in Cranfield's form.", "It should begin with .I 1.")
    return [(int(number), record) for number, record in zip(pieces[::2], pieces[1::2], strict=True)]


def _record_text(record: str) -> str:
    """Return a record's field .W, or its title .T if that is empty.

    Field .W ends with the record: two abstracts hold lines that look like the next field.
    """
    head, _, words = f"\n{record}\n".partition("\n.W\n")
    title = _TITLE.search(head)
    return words.strip() or (title[1].strip() if title else "")


def _read_gains(path: Path, queries: int, documents: set[int]) -> Mapping[int, Mapping[PageId, float]]:
    """Return the gains by query number and page."""
    grades: dict[int, dict[PageId, float]] = {}
    for line, text in enumerate(read_text(path).split("\n"), start=1):
        if not text.strip():
            continue
        found = re.fullmatch(r"\s*([0-9]{1,9})\s+([0-9]{1,9})\s+(-1|[1-5])\s*", text)
        if found is None:
            raise InputRefused(
                f"{path.name}, line {line}: this is not a query, a document and a grade of -1 or 1 to 5."
            )
        query, document, grade = (int(value) for value in found.groups())
        if not 1 <= query <= queries or document not in documents:
            raise InputRefused(
                f"{path.name}, line {line}: query {query} or document {document} is not in the collection."
            )
        own = grades.setdefault(query, {})
        if make_page_id(document) in own:
            raise InputRefused(f"{path.name}, line {line}: document {document} is judged twice for query {query}.")
        own[make_page_id(document)] = grade_to_gain(grade)
    if not grades:
        raise InputRefused(f"{path.name} has no judgements.")
    return grades

"""The Cranfield 1400 collection: abstracts instead of pages, the same encodings, codecs and scores.

`cran.all.1400` holds the documents and `cran.qry` the queries, in records that begin with `.I number`; `cranqrel` holds
a line `query document grade` for every judgement and counts the queries by their order in the file. A grade of 1 is a
complete answer, 4 of minimal interest, -1 the paper that the question came from. Gains turn that round: 5 - grade, not
below 1, and 1 for -1.

An abstract is known by its number, so ties fall in the order of the numbers.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from smart_demo.config import Settings
from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import QueryJudgements, read_text
from smart_demo.evaluation.runner import Report, Tell, silent
from smart_demo.evaluation.texts import TextCollection, evaluate_texts, page_id
from smart_demo.types import PageId

DOCUMENTS, QUERIES, JUDGEMENTS = "cran.all.1400", "cran.qry", "cranqrel"
_RECORD = re.compile(r"^\.I[ \t]+([0-9]{1,9})[ \t]*\n", re.MULTILINE)
_TITLE = re.compile(r"^\.T\n(.*?)(?=^\.[ABW]$|\Z)", re.MULTILINE | re.DOTALL)


def evaluate_cranfield(settings: Settings, folder: Path, tell: Tell = silent, runs: Path | None = None) -> Report:
    """Rank all abstracts for every judged query by every method, with the backbone and the codec of the settings.

    runs: a folder for TREC files. InputRefused where the folder does not hold the collection; errors as
    `evaluate_texts`.
    """
    return evaluate_texts(settings, read_cranfield(folder), tell, runs)


def gain(grade: int) -> float:
    """What a judged document is worth.

    >>> [gain(grade) for grade in (1, 2, 3, 4, -1)]
    [4.0, 3.0, 2.0, 1.0, 1.0]
    """
    return 1.0 if grade < 0 else float(max(5 - grade, 1))


def read_cranfield(folder: Path) -> TextCollection:
    """The three files of the collection. InputRefused, with the line where there is one, for anything unexpected."""
    if not folder.is_dir():
        raise InputRefused(f"{folder} is not a folder.", f"Name the one with {DOCUMENTS}, {QUERIES} and {JUDGEMENTS}.")
    numbers, documents = set(), {}
    for number, record in _records(folder / DOCUMENTS):
        if number in numbers:
            raise InputRefused(f"{DOCUMENTS} has document {number} twice.")
        numbers.add(number)
        documents[number] = _words(record)
    queries = [_words(record) for _, record in _records(folder / QUERIES)]
    grades = _judgements(folder / JUDGEMENTS, len(queries), numbers)
    judged = {
        number: QueryJudgements(str(number), queries[number - 1], "abstracts", grades[number])
        for number in sorted(grades)
    }
    empty = [number for number, words in documents.items() if not words]
    unjudged = [number for number in range(1, len(queries) + 1) if number not in judged]
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
        {page_id(number): words for number, words in documents.items() if words},
        {page_id(number): str(number) for number in documents},
        tuple(judged.values()),
        tuple(notices),
    )


def _records(path: Path) -> Sequence[tuple[int, str]]:
    """(number, what follows) of every record."""
    before, *pieces = _RECORD.split(read_text(path))
    if before.strip() or not pieces:
        raise InputRefused(f"{path.name} is not in Cranfield's form.", "It should begin with .I 1.")
    return [(int(number), record) for number, record in zip(pieces[::2], pieces[1::2], strict=True)]


def _words(record: str) -> str:
    """Field .W, which ends with the record: two abstracts hold lines that look like the next field. Else field .T."""
    head, _, words = f"\n{record}\n".partition("\n.W\n")
    title = _TITLE.search(head)
    return words.strip() or (title[1].strip() if title else "")


def _judgements(path: Path, queries: int, documents: set[int]) -> Mapping[int, Mapping[PageId, float]]:
    """Gains by query number."""
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
        if page_id(document) in own:
            raise InputRefused(f"{path.name}, line {line}: document {document} is judged twice for query {query}.")
        own[page_id(document)] = gain(grade)
    if not grades:
        raise InputRefused(f"{path.name} has no judgements.")
    return grades

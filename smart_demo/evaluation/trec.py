"""What was judged and how it was ranked as TREC files, so that anybody can check a report with trec_eval or ranx.

`qrels.txt` has a line for every judgement, and `pooled.run`, `late.run` and `smart.run` have one for each of the first
1,000 of every ranking, in the form of `trec_files`.

Grades and rankings in the forms that trec_eval, ir_measures, pytrec_eval and ranx read, and back.

    qrels:  query 0 document grade             one space between, no comments
    run:    query Q0 document rank score tag

trec_eval separates columns by white space, so other characters than printable ASCII, white space and % are written as
in addresses. It sorts a run by score, kept in 32 bits, and ties by name, whatever the ranks say. So a score that is not
below the one before it in 32 bits is written one step of a 32-bit number lower: tools then see our order.

Of a board, a query is called by `q` and its `Query.key`, so that no tool takes it for a number; a page by its id.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO, TypeVar
from urllib.parse import quote

import numpy as np

from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import QueryJudgements
from smart_demo.evaluation.runner import DEPTH, METHODS, Keep, forget
from smart_demo.judging.json_fields import a_number
from smart_demo.judging.records import JudgedQuery, Ranked
from smart_demo.types import PageId, SearchResult

QRELS = "qrels.txt"
UNFINISHED = ".part"
Name = Callable[[PageId], str]


@contextmanager
def run_files(folder: Path | None, judged: Sequence[QueryJudgements], name: Name) -> Iterator[Keep]:
    """Give what takes each query's rankings; the files are there, whole, when the context ends without an error.

    folder: made where it is not there; files of an earlier run are replaced. Without a folder nothing is written.
    name: what a document is called in the files, two never the same. InputRefused, before anything is ranked, where
    the folder cannot be written or a grade is not whole, which trec_eval would cut.
    """
    if folder is None:
        yield forget
        return
    for one in judged:
        if any(grade != int(grade) for grade in one.grades.values()):
            raise InputRefused(
                f"Query {one.qid} has a grade that is not a whole number, which TREC files cannot hold.",
                "Leave --run-dir out, or multiply all grades.",
            )
    files = _Files(folder, name)
    try:
        files.open()
        yield files.write
        files.finish()
    except BaseException:
        files.drop()
        raise


class _Files:
    """The files of one run, under names of their own until they are finished."""

    def __init__(self, folder: Path, name: Name) -> None:
        self._folder, self._name = folder, name
        self._open: dict[str, TextIO] = {}

    def open(self) -> None:
        """Begin all of them."""
        with _refusals(self._folder):
            self._folder.mkdir(parents=True, exist_ok=True)
            for file in (QRELS, *(f"{method.name}.run" for method in METHODS)):
                self._open[file] = (self._folder / (file + UNFINISHED)).open("w", encoding="ascii", newline="\n")

    def write(self, judged: QueryJudgements, results: Mapping[str, SearchResult]) -> None:
        """One query's judgements and rankings."""
        grades = [(self._name(page), int(grade)) for page, grade in judged.grades.items()]
        with _refusals(self._folder):
            self._open[QRELS].writelines(qrels_lines(judged.qid, grades))
            for method in METHODS:
                ranking = [(self._name(hit.page.id), hit.score) for hit in results[method.name].hits[:DEPTH]]
                self._open[f"{method.name}.run"].writelines(run_lines(judged.qid, ranking, method.name))

    def finish(self) -> None:
        """Give the files their names."""
        with _refusals(self._folder):
            for file, opened in self._open.items():
                opened.close()
                (self._folder / (file + UNFINISHED)).replace(self._folder / file)

    def drop(self) -> None:
        """Leave nothing of an unfinished run."""
        for file, opened in self._open.items():
            with suppress(OSError):
                opened.close()
            (self._folder / (file + UNFINISHED)).unlink(missing_ok=True)


@contextmanager
def _refusals(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputRefused(
            f"The run files cannot be written to {folder}: {(error.strerror or str(error)).lower()}.",
            "Name another folder.",
        ) from error


Qrels = Mapping[str, Mapping[PageId, int]]
"""Grades by query and page."""
Run = Mapping[str, Sequence[tuple[PageId, float]]]
"""By query, (page, score) best first."""
MOST_BYTES = 2**25
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
Value = TypeVar("Value")


def qrels_lines(query: str, grades: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Yield one query's lines of a qrels file, for (document, grade) in any order."""
    for document, grade in grades:
        yield f"{column(query)} 0 {column(document)} {grade}\n"


def run_lines(query: str, ranking: Sequence[tuple[str, float]], tag: str) -> Iterator[str]:
    """Yield one query's lines of a run file, for (document, score) best first; `tag` names the method."""
    scores = falling([score for _, score in ranking])
    for rank, ((document, _), score) in enumerate(zip(ranking, scores, strict=True), start=1):
        yield f"{column(query)} Q0 {column(document)} {rank} {score} {tag}\n"


def column(text: str) -> str:
    """Return a name as one column: `%20` for a space, and the like; different names stay different.

    >>> column("tide table.pdf#3"), column("Ärger 5%")
    ('tide%20table.pdf#3', '%C3%84rger%205%25')
    """
    return quote(text, safe=PRINTABLE)


def falling(scores: Sequence[float]) -> list[str]:
    """Spell a ranking's scores so that each is below the one before as a 32-bit number, too.

    >>> falling([0.5, 0.5, 0.25])
    ['0.5', '0.49999997', '0.25']
    """
    spelled = []
    last = np.float32(np.inf)
    for score in scores:
        last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
        spelled.append(np.format_float_positional(last, trim="-"))
    return spelled


def query_id(query: JudgedQuery) -> str:
    """What a query is called in both files.

    >>> query_id(Asked("tide table", "00112233445566aa"))
    'q00112233445566aa'
    """
    return f"q{query.key}"


def qrels_text(qrels: Qrels) -> str:
    """The qrels file, sorted by query and page."""
    return "".join(
        line
        for query in sorted(qrels)
        for line in qrels_lines(query, [(str(page), grade) for page, grade in sorted(qrels[query].items())])
    )


def run_text(run: Run, tag: str) -> str:
    """A run file, queries sorted; `tag` names the method."""
    return "".join(
        line
        for query in sorted(run)
        for line in run_lines(query, [(str(page), score) for page, score in run[query]], tag)
    )


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

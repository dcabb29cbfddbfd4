"""Judgements and rankings as TREC files, which trec_eval, ir_measures, pytrec_eval and ranx read.

    qrels:  query 0 document grade             one space between, no comments
    run:    query Q0 document rank score tag

A run writes `qrels.txt`, a line for every judgement, and `pooled.run`, `late.run` and `smart.run`, a line for each of
the first 1,000 results of every ranking.

trec_eval separates columns by white space, so all characters but printable ASCII, and white space and %, are
percent-encoded. It sorts a run by score, stored in 32 bits, and ties by name, ignoring the ranks. So a score that is
not below the one before it in 32 bits is written one 32-bit step lower: tools then see our order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

import numpy as np

from smart_demo.errors import InputRefused
from smart_demo.evaluation.query_sets import QueryJudgements
from smart_demo.evaluation.runner import METHODS, RUN_DEPTH, RankingsCallback, discard_rankings
from smart_demo.methods import SearchResult
from smart_demo.types import PageId

QRELS_NAME = "qrels.txt"
RUN_FILES = (QRELS_NAME, *(f"{method.name}.run" for method in METHODS))
UNESCAPED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
DocumentName = Callable[[PageId], str]
"""Maps a page to its name in the files; no two pages share a name."""
Qrels = Mapping[str, Mapping[PageId, int]]
"""Grades by query and page."""
Run = Mapping[str, Sequence[tuple[PageId, float]]]
"""Rankings by query: (page, score), best first."""


@contextmanager
def open_run_files(
    folder: Path | None, judgements: Sequence[QueryJudgements], name: DocumentName
) -> Iterator[RankingsCallback]:
    """Yield a callback that writes each query's judgements and rankings.

    The files appear, complete, when the context ends without an error. folder: created if missing; files of an earlier
    run are replaced; None writes nothing. Raises InputRefused, before any query runs, if the folder cannot be written
    or a grade is not a whole number, which trec_eval would truncate.
    """
    if folder is None:
        yield discard_rankings
        return
    for query in judgements:
        if any(grade != int(grade) for grade in query.grades.values()):
            raise InputRefused(
                f"Query {query.qid} has a grade that is not a whole number, which TREC files cannot hold.",
                "Leave --run-dir out, or multiply all grades.",
            )
    with _translate_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        unfinished = TemporaryDirectory(prefix=".unfinished-", dir=folder)
    with unfinished as made:

        def append(file: str, lines: Iterable[str]) -> None:
            with _translate_errors(folder), (Path(made) / file).open("a", encoding="ascii", newline="\n") as opened:
                opened.writelines(lines)

        def write(query: QueryJudgements, results: Mapping[str, SearchResult]) -> None:
            grades = [(name(page), int(grade)) for page, grade in query.grades.items()]
            append(QRELS_NAME, format_qrels_lines(query.qid, grades))
            for method in METHODS:
                ranking = [(name(hit.page.id), hit.score) for hit in results[method.name].hits[:RUN_DEPTH]]
                append(f"{method.name}.run", format_run_lines(query.qid, ranking, method.name))

        for file in RUN_FILES:
            append(file, ())
        yield write
        with _translate_errors(folder):
            for file in RUN_FILES:
                (Path(made) / file).replace(folder / file)


@contextmanager
def _translate_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InputRefused(
            f"The run files cannot be written to {folder}: {(error.strerror or str(error)).lower()}.",
            "Name another folder.",
        ) from error


def format_qrels(qrels: Qrels) -> str:
    """Return a qrels file, sorted by query and page."""
    return "".join(
        line
        for query in sorted(qrels)
        for line in format_qrels_lines(query, [(str(page), grade) for page, grade in sorted(qrels[query].items())])
    )


def format_run(run: Run, tag: str) -> str:
    """Return a run file, sorted by query; `tag` names the method."""
    return "".join(
        line
        for query in sorted(run)
        for line in format_run_lines(query, [(str(page), score) for page, score in run[query]], tag)
    )


def format_qrels_lines(query: str, grades: Iterable[tuple[str, int]]) -> Iterator[str]:
    """Yield one query's lines of a qrels file, for (document, grade) in any order."""
    for document, grade in grades:
        yield f"{escape_column(query)} 0 {escape_column(document)} {grade}\n"


def format_run_lines(query: str, ranking: Sequence[tuple[str, float]], tag: str) -> Iterator[str]:
    """Yield one query's lines of a run file, for (document, score) best first; `tag` names the method."""
    scores = format_falling_scores([score for _, score in ranking])
    for rank, ((document, _), score) in enumerate(zip(ranking, scores, strict=True), start=1):
        yield f"{escape_column(query)} Q0 {escape_column(document)} {rank} {score} {tag}\n"


def escape_column(text: str) -> str:
    """Return a name percent-encoded as one column; different names stay different.

    >>> escape_column("tide table.pdf#3"), escape_column("Ärger 5%")
    ('tide%20table.pdf#3', '%C3%84rger%205%25')
    """
    return quote(text, safe=UNESCAPED)


def format_falling_scores(scores: Sequence[float]) -> list[str]:
    """Return a ranking's scores as text, each below the one before as a 32-bit number too.

    >>> format_falling_scores([0.5, 0.5, 0.25])
    ['0.5', '0.49999997', '0.25']
    """
    formatted = []
    last = np.float32(np.inf)
    for score in scores:
        last = min(np.float32(score), np.nextafter(last, np.float32(-np.inf)))
        formatted.append(np.format_float_positional(last, trim="-"))
    return formatted

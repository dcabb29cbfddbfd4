"""What was judged and how it was ranked as TREC files, so that anybody can check a report with trec_eval or ranx.

`qrels.txt` has a line for every judgement, and `pooled.run`, `late.run` and `smart.run` have one for each of the first
1,000 of every ranking, in the form of `trec_files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.runs import DEPTH, METHODS, Keep, forget
from smart_demo.evaluation.trec_files import qrels_lines, run_lines
from smart_demo.types import PageId, SearchResult

QRELS = "qrels.txt"
UNFINISHED = ".part"
Name = Callable[[PageId], str]


@contextmanager
def run_files(folder: Path | None, judged: Sequence[Judged], name: Name) -> Iterator[Keep]:
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

    def write(self, judged: Judged, results: Mapping[str, SearchResult]) -> None:
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

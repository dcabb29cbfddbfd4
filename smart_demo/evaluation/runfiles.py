"""What was judged and how it was ranked as TREC files, so that anybody can check a report with trec_eval or ranx.

`qrels.txt` has a line `query 0 document grade` for every judgement, and `pooled.run`, `late.run` and `smart.run` have a
line `query Q0 document rank score method` for the first 1,000 of every ranking: the forms of trec_eval, which separates
columns by white space, so that other characters than printable ASCII, white space and % are written as in addresses.

trec_eval does not read the rank: it sorts by the score, as a float of 32 bits, and ties by the document's name. So that
it sees our order, a score is written a hair (one millionth) below the one before it where the two are a tie to us.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO
from urllib.parse import quote

import numpy as np

from smart_demo.errors import InputRefused
from smart_demo.evaluation.judgements import Judged
from smart_demo.evaluation.runs import DEPTH, METHODS, Keep, forget
from smart_demo.types import PageId, SearchResult

QRELS = "qrels.txt"
UNFINISHED = ".part"
PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) != "%")
STEP = 1e-6
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


def column(text: str) -> str:
    """A name as one column: `%20` for a space, and the like; different names stay different.

    >>> column("tide table.pdf#3"), column("Ärger 5%")
    ('tide%20table.pdf#3', '%C3%84rger%205%25')
    """
    return quote(text, safe=PRINTABLE)


def falling(scores: Sequence[float]) -> list[float]:
    """Scores in the order of a ranking as numbers of 32 bits, each below the one before.

    >>> falling([0.5, 0.5, 0.25])[1:]
    [0.4999989867210388, 0.25]
    """
    written: list[float] = []
    for score in scores:
        if written:
            score = min(score, written[-1] - max(STEP, float(np.spacing(np.float32(abs(written[-1]))))))
        written.append(float(np.float32(score)))
    return written


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
        query = column(judged.qid)
        with _refusals(self._folder):
            for page, grade in judged.grades.items():
                self._open[QRELS].write(f"{query} 0 {column(self._name(page))} {int(grade)}\n")
            for method in METHODS:
                hits = results[method.name].hits[:DEPTH]
                for hit, score in zip(hits, falling([hit.score for hit in hits]), strict=True):
                    document = column(self._name(hit.page.id))
                    line = f"{query} Q0 {document} {hit.rank} {score:.9g} {method.name}\n"
                    self._open[f"{method.name}.run"].write(line)

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

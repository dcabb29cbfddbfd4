"""Operations of a process on a library, each reported before and after, and the library that trials begin with."""

from __future__ import annotations

import copy
import os
import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from smart_demo.store.library import Library
from smart_demo.types import SAMPLES, Scope
from tests.chaos import processes
from tests.chaos.operations_log import OperationsLog
from tests.chaos.page_content import ENCODERS, PAGES, SCOPES, Key, differences, make_page, queries, ranking_error
from tests.chaos.processes import Report

MOST = 2_000
"""Operations of one process; it is killed long before the last one."""


def open_library(folder: Path, report: Report) -> Library:
    """Open the library of a folder and report it."""
    report({"try": "open"})
    library = Library.open(folder / "data", folder / "index")
    processes.use_real_canary()
    report({"ack": "open", "index": library.report.index})
    return library


def random_operations(folder: Path, seed: int, report: Report) -> None:
    """Do random operations; the same seed does the same ones."""
    rng, library = random.Random(seed), open_library(folder, report)
    for _ in range(MOST):
        library = _random_operation(folder, library, rng, report)


def _random_operation(folder: Path, library: Library, rng: random.Random, report: Report) -> Library:
    scope, encoder = rng.choice(SCOPES), ENCODERS[rng.random() < 0.2]
    weights = {"add": 40, "remove": 22, "flush": 8, "search": 28, "delete scope": 1, "compact": 3, "reopen": 1}
    (kind,) = rng.choices(list(weights), list(weights.values()))
    if kind == "add":
        add(library, scope, encoder, rng.randint(1, 12), range(1, rng.randint(2, 7)), report)
        if rng.random() < 0.7:
            flush(library, report)
    elif kind == "remove":
        remove(library, scope, rng.randint(1, 12), report)
    elif kind == "flush":
        flush(library, report)
    elif kind == "search":
        search(library, scope, encoder, rng, report)
    elif kind == "delete scope":
        delete_scope(library, scope, report)
    elif kind == "compact":
        compact(library, report)
    else:
        report({"try": "close"})
        library.close()
        report({"ack": "close"})
        return open_library(folder, report)
    return library


def add(library: Library, scope: Scope, encoder: str, file: int, numbers: range, report: Report) -> None:
    """Add a document page by page."""
    for number in numbers:
        key = Key(str(scope), encoder, file, number)
        report({"try": "add", "key": key})
        page = library.add(scope, *make_page(key))
        report({"ack": "add", "key": key, "added": page.added, "bytes": page.bytes})


def remove(library: Library, scope: Scope, file: int, report: Report) -> None:
    """Remove a document under every encoder."""
    report({"try": "remove", "scope": str(scope), "file": file})
    library.delete_document(scope, f"{file:016x}")
    report({"ack": "remove", "scope": str(scope), "file": file})


def delete_scope(library: Library, scope: Scope, report: Report) -> None:
    """Delete everything of one owner; the samples belong to no owner."""
    if scope != SAMPLES:
        report({"try": "delete scope", "scope": str(scope)})
        library.delete_scope(scope)
        report({"ack": "delete scope", "scope": str(scope)})


def compact(library: Library, report: Report) -> None:
    """Rebuild Chroma if that frees space."""
    report({"try": "compact"})
    library.compact()
    report({"ack": "compact"})


def flush(library: Library, report: Report) -> None:
    """Write pending changes to Chroma."""
    report({"try": "flush"})
    library.flush()
    report({"ack": "flush"})


def search(library: Library, scope: Scope, encoder: str, rng: random.Random, report: Report) -> None:
    """Search as a query does, and compare the result with numpy."""
    scopes = (scope, rng.choice(SCOPES))
    report({"try": "search"})
    if wrong := ranking_error(library, scopes, encoder, rng.choice(queries(9)), rng.randint(1, 40)):
        report({"wrong": wrong})
    pages, matrix = library.pooled(scopes, encoder)
    if pages:
        at = rng.randrange(len(pages))
        for name in differences(library, pages[at], matrix[at]):
            report({"wrong": f"the {name} of {pages[at].id} is not what was given"})
    report({"ack": "search"})


def rebuild(folder: Path, report: Report) -> None:
    """Open and close the library. If Chroma is missing or torn, this rebuilds it from the files."""
    open_library(folder, report).close()


def delete_long_document(folder: Path, report: Report) -> None:
    """Delete a thousand rows at once."""
    remove(open_library(folder, report), SCOPES[0], 1, report)


def add_long_document(folder: Path, report: Report) -> None:
    """Add a thousand rows. The trial kills processes and does not cut the power, so fsync is skipped."""
    os.fsync = lambda _: None  # type: ignore[assignment]
    library = open_library(folder, report)
    for start in range(1, PAGES + 51, 150):
        add(library, SCOPES[1], ENCODERS[0], 1, range(start, start + 150), report)
        flush(library, report)


@dataclass(frozen=True)
class SeedLibrary:
    """A library of over a thousand pages whose Chroma has written its files, made once and copied for each trial."""

    folder: Path
    log: OperationsLog

    def copy(self, folder: Path) -> OperationsLog:
        """Copy the folder and return a copy of its log.

        Token files are never written twice, so they are linked. The lock is not copied: it would be held in every copy.
        """
        no_lock = shutil.ignore_patterns("lock")
        shutil.copytree(self.folder / "data", folder / "data", copy_function=os.link, ignore=no_lock)
        shutil.copytree(self.folder / "index", folder / "index")
        log = copy.deepcopy(self.log)
        log.acknowledged = 0
        return log


def make_library(folder: Path, longest: int = PAGES) -> SeedLibrary:
    """Make one document of a thousand pages and two short ones."""

    def act(report: Report) -> None:
        os.fsync = lambda _: None  # type: ignore[assignment]
        with Library.open(folder / "data", folder / "index") as library:
            for file, count in ((1, longest), (2, 30), (3, 30)):
                add(library, SCOPES[0], ENCODERS[0], file, range(1, count + 1), report)

    log = OperationsLog()
    log.record(processes.run_in_process(act))
    assert not log.faults, log.faults
    return SeedLibrary(folder, log)

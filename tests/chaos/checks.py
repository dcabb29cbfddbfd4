"""Open the library after a trial, in its own process, and compare every byte with the expected one."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from smart_demo.store.chroma_index import row_id
from smart_demo.store.library import Library
from smart_demo.types import StoredPage
from tests.chaos import processes
from tests.chaos.operations_log import OperationsLog, StoredFacts
from tests.chaos.page_content import ENCODERS, SCOPES, Key, differences, expected_parts, key_of, queries, ranking_error
from tests.chaos.processes import Report

WHOLE = 300
"""Pages up to which everything is compared. Above: the first ten of a ranking, every vector, every fifth page whole."""


@dataclass
class Observation:
    """What one opening of the library showed."""

    pages: dict[Key, StoredFacts] = field(default_factory=dict)
    index: str = ""
    """How the library reports the state of Chroma."""
    faults: list[tuple[str, str]] = field(default_factory=list)


def check_library(folder: Path, log: OperationsLog, *, quick: bool = False) -> Observation:
    """Open, compare, close, look for leftovers, and compare the result with the log, which is then updated.

    quick: use a forked canary.
    """
    for key in log.stored:
        expected_parts(key)  # computed once here, not in every process again
    found = Observation()
    for event in processes.run_in_process(partial(_inspect, folder), forked_canary=quick):
        if "page" in event:
            found.pages[Key(*event["page"])] = (event["added"], event["bytes"])
        elif "index" in event:
            found.index = str(event["index"])
        else:
            kind, words = next(iter(event.items()))
            found.faults.append((kind, str(words)))
    if not any(kind == "broke" for kind, _ in found.faults):
        found.faults += log.compare(found.pages)
        found.faults += [("leak", name) for name in leftovers(folder, found.pages)]
    found.faults += log.faults
    log.faults = []
    return found


def _inspect(folder: Path, report: Report) -> None:
    """Report the pages of the library, the state of its index, and every fault."""
    with Library.open(folder / "data", folder / "index") as library:
        status = library.report
        report({"index": status.index})
        if not status.index.startswith(("ok", "rebuilt: ")):
            report({"index unhealthy": status.index})
        for sentence in status.damaged:
            report({"half": f"a killed process left a damaged page: {sentence}"})
        for encoder in ENCODERS:
            _inspect_pages(library, encoder, report)
        if status.pages != sum(len(library.pages(SCOPES, encoder)) for encoder in ENCODERS):
            report({"half": f"{status.pages} pages are counted, others listed"})
        if library.report.index != status.index:
            report({"index unhealthy": library.report.index})


def _inspect_pages(library: Library, encoder: str, report: Report) -> None:
    pages, matrix = library.pooled(SCOPES, encoder)
    for page, pooled in zip(pages, matrix, strict=True):
        report({"page": key_of(page), "added": page.added, "bytes": page.bytes})
        try:
            wrong = differences(library, page, pooled, whole=len(pages) <= WHOLE or page.number % 5 == 0)
        except Exception as error:  # noqa: BLE001 - any error is a fault: a listed page must be readable
            wrong = [repr(error)]
        for name in wrong:
            report({"half": f"page {key_of(page)}: {name}"})
    _compare_rows(library, encoder, pages, report)
    few = len(pages) <= WHOLE
    for query in queries(3):
        for scopes in (SCOPES, SCOPES[:1]):
            if wrong := ranking_error(library, scopes, encoder, query, len(pages) if few else 10):
                report({"wrong": wrong})


def _compare_rows(library: Library, encoder: str, pages: tuple[StoredPage, ...], report: Report) -> None:
    rows, wanted = library._chroma._index.ids(encoder), {row_id(page) for page in pages}
    if rows != wanted:
        report({"wrong": f"Chroma has {len(rows - wanted)} rows too many and lacks {len(wanted - rows)}"})


def leftovers(folder: Path, pages: dict[Key, StoredFacts]) -> list[str]:
    """Return files that belong to nothing, in the folder of a closed library."""
    belonging = {
        f"data/tokens/{key.scope}/{key.encoder}/{str(key.page)[:2]}/{key.page}{ending}"
        for key in pages
        for ending in (".safetensors", ".webp", ".thumb.webp")
    }
    found = {str(path.relative_to(folder)) for path in (folder / "data").rglob("*") if not path.is_dir()}
    left = sorted((found - {"data/lock"}) ^ belonging)
    left += [f"{path.relative_to(folder)} is empty" for path in (folder / "data" / "tokens").rglob("*") if _empty(path)]
    beside = sorted(path.name for path in (folder / "index").iterdir() if path.name != "lock")
    chromas = [name for name in beside if "." not in name]
    if len(chromas) != 1:
        left += chromas
    # The record of the folder in use may stay, but not a mark of distrust.
    left += [
        name for name in beside if "." in name and (name.endswith(".distrust") or name.split(".")[0] not in chromas)
    ]
    for name in chromas:
        left += _unused_segments(folder / "index" / name)
    return left


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _unused_segments(chroma: Path) -> list[str]:
    """Return folders inside a folder of Chroma that its database does not list."""
    if not (chroma / "chroma.sqlite3").is_file():
        return [f"{chroma.name} is no folder of Chroma"]
    with closing(sqlite3.connect(f"file:{chroma / 'chroma.sqlite3'}?mode=ro", uri=True)) as database:
        known = {row[0] for row in database.execute("select id from segments")}
    return [f"{chroma.name}/{path.name}" for path in chroma.iterdir() if path.is_dir() and path.name not in known]

"""Opens the library afterwards, in its own process, and compares every byte with the expected one."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from smart_demo.store.chroma_index import row_id
from smart_demo.store.library import Library
from smart_demo.types import StoredPage
from tests.chaos import children
from tests.chaos.children import Tell
from tests.chaos.ledger import Facts, Ledger
from tests.chaos.pages import ENCODERS, SCOPES, Key, differences, expected, key_of, queries, vector_differs, wrong_order

WHOLE = 300
"""Pages up to which everything is compared. Above: the first ten of a ranking, every vector, every fifth page whole."""


@dataclass
class Seen:
    """The observations of one opening."""

    pages: dict[Key, Facts] = field(default_factory=dict)
    index: str = ""
    """How the library reports the state of Chroma."""
    faults: list[tuple[str, str]] = field(default_factory=list)


def check(folder: Path, ledger: Ledger, *, quick: bool = False) -> Seen:
    """Open, compare, close, look for leftovers, and compare the result with the ledger, which is then updated.

    quick: use a forked canary.
    """
    for key in ledger.there:
        expected(key)  # computed once here, not in every process again
    seen = Seen()
    for event in children.ask(_look(folder, quick=quick)):
        if "page" in event:
            seen.pages[Key(*event["page"])] = (event["added"], event["bytes"])
        elif "index" in event:
            seen.index = str(event["index"])
        else:
            kind, words = next(iter(event.items()))
            seen.faults.append((kind, str(words)))
    if not any(kind == "broke" for kind, _ in seen.faults):
        seen.faults += ledger.settle(seen.pages)
        seen.faults += [("leak", name) for name in leftovers(folder, seen.pages)]
    seen.faults += ledger.faults
    ledger.faults = []
    return seen


def _look(folder: Path, *, quick: bool) -> Callable[[Tell], None]:
    def act(tell: Tell) -> None:
        if quick:
            children.hurry()
        with Library.open(folder / "data", folder / "index") as library:
            report = library.report
            tell({"index": report.index})
            if not report.index.startswith(("ok", "rebuilt: ")):
                tell({"index unhealthy": report.index})
            for sentence in report.damaged:
                tell({"half": f"a killed process left a damaged page: {sentence}"})
            for encoder in ENCODERS:
                _look_at(library, encoder, tell)
            if report.pages != len(library.pages(SCOPES, ENCODERS[0])) + len(library.pages(SCOPES, ENCODERS[1])):
                tell({"half": f"{report.pages} pages are counted, others listed"})
            if library.report.index != report.index:
                tell({"index unhealthy": library.report.index})

    return act


def _look_at(library: Library, encoder: str, tell: Tell) -> None:
    pages, matrix = library.pooled(SCOPES, encoder)
    for page, pooled in zip(pages, matrix, strict=True):
        tell({"page": key_of(page), "added": page.added, "bytes": page.bytes})
        try:
            whole = len(pages) <= WHOLE or page.number % 5 == 0
            wrong = differences(library, page, pooled) if whole else vector_differs(page, pooled)
        except Exception as error:  # noqa: BLE001 - any error is a fault: a listed page must be readable
            wrong = [repr(error)]
        for name in wrong:
            tell({"half": f"page {key_of(page)}: {name}"})
    _look_at_rows(library, encoder, pages, tell)
    few = len(pages) <= WHOLE
    for query in queries(3):
        for scopes in (SCOPES, SCOPES[:1]):
            if wrong := wrong_order(library, scopes, encoder, query, len(pages) if few else 10):
                tell({"wrong": wrong})


def _look_at_rows(library: Library, encoder: str, pages: tuple[StoredPage, ...], tell: Tell) -> None:
    rows, wanted = library._chroma._index.ids(encoder), {row_id(page) for page in pages}
    if rows != wanted:
        tell({"wrong": f"Chroma has {len(rows - wanted)} rows too many and lacks {len(wanted - rows)}"})


def leftovers(folder: Path, pages: dict[Key, Facts]) -> list[str]:
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

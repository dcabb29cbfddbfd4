"""Random operations that a process does with the library until it is killed, each reported before and after."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

from smart_demo.store.library import Library
from smart_demo.types import SAMPLES, Scope
from tests.chaos import children
from tests.chaos.children import Tell
from tests.chaos.pages import ENCODERS, PAGES, SCOPES, Key, differences, made, queries, wrong_order

LONGEST = 2_000
"""Operations of one process; it is killed long before the last one."""
FORGETS = hasattr(Library, "delete_scope")
"""Whether a library can delete a whole scope at once."""
COMPACTS = hasattr(Library, "compact")
"""Whether a library can rebuild Chroma beside the index in use."""


def opened(folder: Path, tell: Tell) -> Library:
    """Open the library of a folder and report it."""
    tell({"try": "open"})
    library = Library.open(folder / "data", folder / "index")
    children.take_time()
    tell({"ack": "open", "index": library.report.index})
    return library


def live(folder: Path, seed: int) -> Callable[[Tell], None]:
    """Return a function that does random operations; the same seed does the same ones."""

    def act(tell: Tell) -> None:
        rng, library = random.Random(seed), opened(folder, tell)
        for _ in range(LONGEST):
            library = _anything(folder, library, rng, tell)

    return act


def _anything(folder: Path, library: Library, rng: random.Random, tell: Tell) -> Library:
    scope, encoder = rng.choice(SCOPES), ENCODERS[rng.random() < 0.2]
    weights = {
        "add": 40,
        "remove": 22,
        "flush": 8,
        "search": 28,
        "forget": FORGETS,
        "compact": 3 * COMPACTS,
        "reopen": 1,
    }
    (kind,) = rng.choices(list(weights), list(weights.values()))
    if kind == "add":
        add(library, scope, encoder, rng.randint(1, 12), range(1, rng.randint(2, 7)), tell)
        if rng.random() < 0.7:
            flush(library, tell)
    elif kind == "remove":
        remove(library, scope, rng.randint(1, 12), tell)
    elif kind == "flush":
        flush(library, tell)
    elif kind == "search":
        search(library, scope, encoder, rng, tell)
    elif kind == "forget":
        forget(library, scope, tell)
    elif kind == "compact":
        compact(library, tell)
    else:
        tell({"try": "close"})
        library.close()
        tell({"ack": "close"})
        return opened(folder, tell)
    return library


def add(library: Library, scope: Scope, encoder: str, file: int, numbers: range, tell: Tell) -> None:
    """Add a document page by page."""
    for number in numbers:
        key = Key(str(scope), encoder, file, number)
        tell({"try": "add", "key": key})
        page = library.add(scope, *made(key))
        tell({"ack": "add", "key": key, "added": page.added, "bytes": page.bytes})


def remove(library: Library, scope: Scope, file: int, tell: Tell) -> None:
    """Remove a document under every encoder."""
    tell({"try": "remove", "scope": str(scope), "file": file})
    library.delete_document(scope, f"{file:016x}")
    tell({"ack": "remove", "scope": str(scope), "file": file})


def forget(library: Library, scope: Scope, tell: Tell) -> None:
    """Delete everything of one owner; the samples belong to no owner."""
    if scope != SAMPLES:
        tell({"try": "forget", "scope": str(scope)})
        library.delete_scope(scope)
        tell({"ack": "forget", "scope": str(scope)})


def compact(library: Library, tell: Tell) -> None:
    """Rebuild Chroma if that frees space."""
    tell({"try": "compact"})
    library.compact()
    tell({"ack": "compact"})


def flush(library: Library, tell: Tell) -> None:
    """Write pending changes to Chroma."""
    tell({"try": "flush"})
    library.flush()
    tell({"ack": "flush"})


def search(library: Library, scope: Scope, encoder: str, rng: random.Random, tell: Tell) -> None:
    """Search as a query does, and compare the result with numpy."""
    scopes = (scope, rng.choice(SCOPES))
    tell({"try": "search"})
    if wrong := wrong_order(library, scopes, encoder, rng.choice(queries(9)), rng.randint(1, 40)):
        tell({"wrong": wrong})
    pages, matrix = library.pooled(scopes, encoder)
    if pages:
        at = rng.randrange(len(pages))
        for name in differences(library, pages[at], matrix[at]):
            tell({"wrong": f"the {name} of {pages[at].id} is not what was given"})
    tell({"ack": "search"})


def rebuild(folder: Path) -> Callable[[Tell], None]:
    """Open and close the library. If Chroma is missing or torn, this rebuilds it from the files."""

    def act(tell: Tell) -> None:
        opened(folder, tell).close()

    return act


def take_out_the_longest(folder: Path) -> Callable[[Tell], None]:
    """Delete a thousand rows at once."""

    def act(tell: Tell) -> None:
        remove(opened(folder, tell), SCOPES[0], 1, tell)

    return act


def put_in_the_longest(folder: Path) -> Callable[[Tell], None]:
    """Add a thousand rows. The trial kills processes and does not cut the power, so fsync is skipped."""

    def act(tell: Tell) -> None:
        os.fsync = lambda _: None  # type: ignore[assignment]
        library = opened(folder, tell)
        for start in range(1, PAGES + 51, 150):
            add(library, SCOPES[1], ENCODERS[0], 1, range(start, start + 150), tell)
            flush(library, tell)

    return act

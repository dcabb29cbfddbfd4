"""What a process does with the library until it is killed: real operations, each told before and after."""

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
"""Operations of one life: nobody lives to see them all done."""
FORGETS = hasattr(Library, "delete_scope")
"""Whether a library can forget a whole scope at once."""
COMPACTS = hasattr(Library, "compact")
"""Whether it can have Chroma built anew beside the one in use."""


def opened(folder: Path, tell: Tell) -> Library:
    """Open the library of a folder, and tell of it."""
    tell({"try": "open"})
    library = Library.open(folder / "data", folder / "index")
    children.take_time()
    tell({"ack": "open", "index": library.report.index})
    return library


def live(folder: Path, seed: int) -> Callable[[Tell], None]:
    """A random life: the same seed does the same."""

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
    """A document, page by page."""
    for number in numbers:
        key = Key(str(scope), encoder, file, number)
        tell({"try": "add", "key": key})
        page = library.add(scope, *made(key))
        tell({"ack": "add", "key": key, "added": page.added, "bytes": page.bytes})


def remove(library: Library, scope: Scope, file: int, tell: Tell) -> None:
    """A document, under every encoder."""
    tell({"try": "remove", "scope": str(scope), "file": file})
    library.delete_document(scope, f"{file:016x}")
    tell({"ack": "remove", "scope": str(scope), "file": file})


def forget(library: Library, scope: Scope, tell: Tell) -> None:
    """Everything of one owner; the samples are everybody's."""
    if scope != SAMPLES:
        tell({"try": "forget", "scope": str(scope)})
        library.delete_scope(scope)
        tell({"ack": "forget", "scope": str(scope)})


def compact(library: Library, tell: Tell) -> None:
    """Have Chroma built anew, where that frees something."""
    tell({"try": "compact"})
    library.compact()
    tell({"ack": "compact"})


def flush(library: Library, tell: Tell) -> None:
    """Let Chroma know."""
    tell({"try": "flush"})
    library.flush()
    tell({"ack": "flush"})


def search(library: Library, scope: Scope, encoder: str, rng: random.Random, tell: Tell) -> None:
    """Ask as a query does, and compare with numpy."""
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
    """Open and close: with no Chroma, or a torn one, everything that it knows is told to it again."""

    def act(tell: Tell) -> None:
        opened(folder, tell).close()

    return act


def take_out_the_longest(folder: Path) -> Callable[[Tell], None]:
    """A thousand rows leave at once."""

    def act(tell: Tell) -> None:
        remove(opened(folder, tell), SCOPES[0], 1, tell)

    return act


def put_in_the_longest(folder: Path) -> Callable[[Tell], None]:
    """A thousand rows come. Only a killed process is tried, not a lost current, so nothing waits for the disk."""

    def act(tell: Tell) -> None:
        os.fsync = lambda _: None  # type: ignore[assignment]
        library = opened(folder, tell)
        for start in range(1, PAGES + 51, 150):
            add(library, SCOPES[1], ENCODERS[0], 1, range(start, start + 150), tell)
            flush(library, tell)

    return act

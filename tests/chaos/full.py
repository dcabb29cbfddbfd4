"""Disks that are full at any byte, for everything that is written: token files, pictures, Chroma, its database.

The system refuses every write beyond a file size limit, in any process, so Chroma fails as on a full disk.
"""

from __future__ import annotations

import random
import resource
from collections.abc import Callable
from pathlib import Path

from smart_demo.errors import LibraryError, StorageFull
from smart_demo.store.library import Library
from tests.chaos import children, damage, life, witness
from tests.chaos.children import Tell
from tests.chaos.figures import Figures
from tests.chaos.pages import ENCODERS, SCOPES, Key, made
from tests.chaos.template import Template


def some(template: Template, folder: Path, limits: list[int], rng: random.Random, figures: Figures) -> None:
    """Run one trial per limit in bytes: add until refused, search, then start again with room."""
    for at, limit in enumerate(limits):
        here = folder / f"full-{at}"
        ledger = template.copy(here)
        if rng.random() < 0.3:
            damage.lose_chroma(here)
        child = children.Child(_filling(here, limit))
        ledger.hear(child.end())
        if child.killed:
            figures.fault("broke", f"a disk full at {limit} bytes killed the process")
        figures.judge("full disk", witness.check(here, ledger, quick=True), ledger)
        damage.away(here)


def _filling(folder: Path, limit: int) -> Callable[[Tell], None]:
    def act(tell: Tell) -> None:
        children.hurry()
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
        try:
            library = life.opened(folder, tell)
        except LibraryError:  # a clear error at the start is a valid answer, too
            return
        for number in range(1, 9):
            key = Key(str(SCOPES[1]), ENCODERS[0], 5, number)
            tell({"try": "add", "key": key})
            try:
                page = library.add(SCOPES[1], *made(key))
            except StorageFull:
                tell({"ack": "refused"})
            else:
                tell({"ack": "add", "key": key, "added": page.added, "bytes": page.bytes})
            life.flush(library, tell)
        _look(library, tell)
        library.close()

    return act


def _look(library: Library, tell: Tell) -> None:
    """Check that reading still works, whatever state Chroma is in."""
    rng = random.Random(4)
    for _ in range(3):
        life.search(library, SCOPES[0], ENCODERS[0], rng, tell)

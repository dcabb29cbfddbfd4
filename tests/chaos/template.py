"""A library of over a thousand pages whose Chroma has written its files, made once and copied for each trial."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from smart_demo.store.library import Library
from tests.chaos import children, life
from tests.chaos.children import Tell
from tests.chaos.ledger import Ledger
from tests.chaos.pages import ENCODERS, PAGES, SCOPES


@dataclass(frozen=True)
class Template:
    """The folder and the ledger of its content."""

    folder: Path
    ledger: Ledger

    def copy(self, folder: Path) -> Ledger:
        """Copy the folder and its ledger, to be damaged.

        Token files are never written twice, so they are linked. The lock is not copied: it would be held in every copy.
        """
        no_lock = shutil.ignore_patterns("lock")
        shutil.copytree(self.folder / "data", folder / "data", copy_function=os.link, ignore=no_lock)
        shutil.copytree(self.folder / "index", folder / "index")
        ledger = copy.deepcopy(self.ledger)
        ledger.acknowledged = 0
        return ledger


def make(folder: Path, longest: int = PAGES) -> Template:
    """Make one document of a thousand pages and two short ones."""

    def act(tell: Tell) -> None:
        os.fsync = lambda _: None  # type: ignore[assignment]
        with Library.open(folder / "data", folder / "index") as library:
            for file, count in ((1, longest), (2, 30), (3, 30)):
                life.add(library, SCOPES[0], ENCODERS[0], file, range(1, count + 1), tell)

    ledger = Ledger()
    ledger.hear(children.ask(act))
    assert not ledger.faults, ledger.faults
    return Template(folder, ledger)


def segments(folder: Path) -> Iterator[Path]:
    """Yield the folders of Chroma's own files under a data folder's index."""
    yield from (path for path in (folder / "index").glob("chroma-*/*") if path.is_dir())

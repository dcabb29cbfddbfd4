"""Which snapshots there are, and whether they are out of date. What stands in them is `snapshot`'s."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np

from smart_demo.store import snapshot
from smart_demo.store.catalogue import Catalogue, key_of
from smart_demo.store.reading import Reader
from smart_demo.store.snapshot import Snapshot
from smart_demo.types import Scope

Shelf = tuple[Scope, str]
"""A scope and an encoder."""


class Snapshots:
    """The snapshots of one library, in its index folder."""

    def __init__(self, index_dir: Path) -> None:
        self._index_dir = index_dir
        self._taken: dict[Shelf, Snapshot] = {}
        self._written: dict[Shelf, int] = {}
        """With the number of the change that each was written after."""

    def read(self, scope: Scope, encoder: str) -> Snapshot | None:
        """The snapshot of a scope under an encoder, to start from."""
        found = snapshot.read(self._index_dir, scope, encoder)
        if found is not None:
            self._taken[scope, encoder] = found
        return found

    def offer(self, catalogue: Catalogue) -> None:
        """Give the vectors of the snapshots that were read to the pages that were listed from them."""
        shelves = catalogue.shelves()
        for (scope, encoder), taken in self._taken.items():
            rows, pages = [], []
            for row, head in enumerate(taken.heads.values()):
                if catalogue.get(key_of(head.page)) is head:
                    rows.append(row)
                    pages.append(head.page)
            if pages:
                whole = len(rows) == len(taken.heads)
                catalogue.offer(scope, encoder, pages, taken.pooled if whole else taken.pooled[np.array(rows)])
                count, move = shelves[scope, encoder]
                if whole and count == len(pages):
                    self._written[scope, encoder] = move
        self._taken.clear()

    def keep(self, catalogue: Catalogue, reader: Reader, changing: Callable[[], AbstractContextManager[None]]) -> None:
        """Write those of large scopes that are out of date, delete those that nobody needs any more.

        `changing` keeps writers out; it is entered when a snapshot stands, for a look whether it still may.
        """
        snapshot.sweep(self._index_dir)
        shelves = catalogue.shelves()
        large = {shelf: move for shelf, (count, move) in shelves.items() if count >= snapshot.WORTHWHILE}
        for scope, encoder in snapshot.there(self._index_dir):
            if (scope, encoder) not in large:
                with changing():
                    self.forget(scope, encoder)
        for (scope, encoder), move in large.items():
            if self._written.get((scope, encoder)) == move:
                continue
            pages, pooled = reader.matrix([scope], encoder)
            heads = [head for page in pages if (head := catalogue.get(key_of(page))) is not None and head.page is page]
            if len(heads) < len(pages):
                continue  # something went meanwhile: the next look tries again
            snapshot.write(self._index_dir, scope, encoder, heads, pooled)
            with changing():
                if catalogue.view([scope], encoder).pages is pages:
                    self._written[scope, encoder] = catalogue.shelves()[scope, encoder][1]
                elif (scope, encoder) not in catalogue.shelves():  # it was forgotten meanwhile
                    self.forget(scope, encoder)

    def forget(self, scope: Scope, encoder: str = "") -> None:
        """Delete the snapshots of a scope, or the one under one encoder. LibraryError where the disk refuses."""
        snapshot.forget(self._index_dir, scope, encoder)
        for shelf in [shelf for shelf in self._written if shelf[0] == scope and encoder in {"", shelf[1]}]:
            del self._written[shelf]

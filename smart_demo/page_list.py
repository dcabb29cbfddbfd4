"""Pages in one fixed order, and rankings of them: who stands where is found without a walk through all of them.

A library of 100,000 pages is listed once for as long as nothing comes or goes, and asked at every search.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby

import numpy as np
import numpy.typing as npt

from smart_demo.types import Document, PageId, Scope, StoredPage

Positions = npt.NDArray[np.int64]
Key = tuple[Scope, PageId]


class PageList(tuple[StoredPage, ...]):
    """Pages in the order they are given. Everything else about them is worked out once, when it is first asked."""

    @cached_property
    def by_id(self) -> Positions:
        """(N,) positions in the order of `str(id)`, then of the scope's name: how pages stand whose scores tie."""
        return np.lexsort(self._columns[::-1]).astype(np.int64)

    @cached_property
    def standing(self) -> Positions:
        """(N,) place of each page in `by_id`, from 0."""
        places = np.empty(len(self), np.int64)
        places[self.by_id] = np.arange(len(self))
        return places

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The files of the pages, by name. Only for pages of one scope under one encoder."""
        stored = sorted(self, key=lambda page: (page.document.casefold(), page.id.file, page.id.number))
        groups = [list(group) for _, group in groupby(stored, key=lambda page: page.id.file)]
        return tuple(map(_document, groups))

    @cached_property
    def newest(self) -> float:
        """When the last page came, in seconds of the epoch; 0 where there is none."""
        return max((page.added for page in self), default=0.0)

    def position(self, key: Key) -> int | None:
        """Where a page stands; None where it is not listed."""
        scope, page = key
        files, numbers = self._sorted
        file = np.uint64(int(page.file, 16))
        first, last = (int(np.searchsorted(files, file, side)) for side in ("left", "right"))
        at = first + int(np.searchsorted(numbers[first:last], page.number))
        while at < last and numbers[at] == page.number:
            found = int(self.by_id[at])
            if self[found].scope == scope:
                return found
            at += 1
        return None

    @cached_property
    def _columns(self) -> tuple[npt.NDArray[np.uint64], Positions, Positions]:
        """(N,) of the file's hash as a number, the page's number, and the place of its scope among all names."""
        names = {page.scope.name for page in self}
        places = {name: place for place, name in enumerate(sorted(names))}
        return (
            np.fromiter((int(page.id.file, 16) for page in self), np.uint64, len(self)),
            np.fromiter((page.id.number for page in self), np.int64, len(self)),
            np.fromiter((places[page.scope.name] for page in self), np.int64, len(self)),
        )

    @cached_property
    def _sorted(self) -> tuple[npt.NDArray[np.uint64], Positions]:
        """Files and numbers in the order of `by_id`."""
        files, numbers, _ = self._columns
        return files[self.by_id], numbers[self.by_id]


def _document(pages: Sequence[StoredPage]) -> Document:
    first, size = pages[0], sum(page.bytes for page in pages)
    return Document(first.scope, first.id.file, first.document, first.pages, len(pages), size)


def listed(pages: Iterable[StoredPage]) -> PageList:
    """The listing itself, or one of these pages."""
    return pages if isinstance(pages, PageList) else PageList(pages)


class Ranks(Mapping[Key, int]):
    """Rank of each page of a ranking, 1 being first. Pages that were not ranked are missing."""

    def __init__(self, pages: PageList, order: Positions) -> None:
        """`order`: (M,) positions in `pages`, the best first."""
        self._pages, self._order = pages, order

    def __getitem__(self, key: Key) -> int:
        position = self._pages.position(key)
        if position is None or not self._places[position]:
            raise KeyError(key)
        return int(self._places[position])

    def __iter__(self) -> Iterator[Key]:
        return (self._pages[position].key for position in self._order)

    def __len__(self) -> int:
        return len(self._order)

    @cached_property
    def _places(self) -> Positions:
        """(N,) ranks by position, 0 where there is none."""
        places = np.zeros(len(self._pages), np.int64)
        places[self._order] = np.arange(1, len(self._order) + 1)
        return places

"""Pages in a fixed order and rankings of them, with lookups that do not scan every page.

A library of 100,000 pages builds its list once after each change, and every search uses it.
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
    """Pages in the given order. Everything derived from them is computed once, on first use."""

    @cached_property
    def id_order(self) -> Positions:
        """(N,) positions sorted by `str(id)`, then by the scope's name: the order of pages whose scores tie."""
        return np.lexsort(self._columns[::-1]).astype(np.int64)

    @cached_property
    def id_ranks(self) -> Positions:
        """(N,) place of each page in `id_order`, from 0."""
        ranks = np.empty(len(self), np.int64)
        ranks[self.id_order] = np.arange(len(self))
        return ranks

    @cached_property
    def documents(self) -> tuple[Document, ...]:
        """The files of the pages, sorted by name. Only for pages of one scope under one encoder."""
        stored = sorted(self, key=lambda page: (page.document.casefold(), page.id.file, page.id.number))
        groups = [list(group) for _, group in groupby(stored, key=lambda page: page.id.file)]
        return tuple(map(_document, groups))

    @cached_property
    def newest(self) -> float:
        """Time at which the newest page was added, in seconds since the epoch; 0 if there are no pages."""
        return max((page.added for page in self), default=0.0)

    def position(self, key: Key) -> int | None:
        """Return the position of a page, or None if it is not listed."""
        scope, page = key
        files, numbers = self._sorted_keys
        file = np.uint64(int(page.file, 16))
        first, last = (int(np.searchsorted(files, file, side)) for side in ("left", "right"))
        at = first + int(np.searchsorted(numbers[first:last], page.number))
        while at < last and numbers[at] == page.number:
            found = int(self.id_order[at])
            if self[found].scope == scope:
                return found
            at += 1
        return None

    @cached_property
    def _columns(self) -> tuple[npt.NDArray[np.uint64], Positions, Positions]:
        """Three (N,) arrays: the file's hash as a number, the page's number, the rank of its scope's name."""
        names = {page.scope.name for page in self}
        ranks = {name: rank for rank, name in enumerate(sorted(names))}
        return (
            np.fromiter((int(page.id.file, 16) for page in self), np.uint64, len(self)),
            np.fromiter((page.id.number for page in self), np.int64, len(self)),
            np.fromiter((ranks[page.scope.name] for page in self), np.int64, len(self)),
        )

    @cached_property
    def _sorted_keys(self) -> tuple[npt.NDArray[np.uint64], Positions]:
        """Files and numbers sorted by `id_order`."""
        files, numbers, _ = self._columns
        return files[self.id_order], numbers[self.id_order]


def _document(pages: Sequence[StoredPage]) -> Document:
    first, size = pages[0], sum(page.bytes for page in pages)
    reencoded = sum(page.reencoded for page in pages)
    return Document(first.scope, first.id.file, first.document, first.pages, len(pages), size, reencoded)


def as_page_list(pages: Iterable[StoredPage]) -> PageList:
    """Return the pages as a PageList, without a copy if they are one."""
    return pages if isinstance(pages, PageList) else PageList(pages)


class Ranks(Mapping[Key, int]):
    """The rank of each ranked page, counted from 1. Pages that were not ranked are missing."""

    def __init__(self, pages: PageList, order: Positions) -> None:
        """`order`: (M,) positions in `pages`, best first."""
        self._pages, self._order = pages, order

    def __getitem__(self, key: Key) -> int:
        position = self._pages.position(key)
        if position is None or not self._ranks[position]:
            raise KeyError(key)
        return int(self._ranks[position])

    def __iter__(self) -> Iterator[Key]:
        return (self._pages[position].key for position in self._order)

    def __len__(self) -> int:
        return len(self._order)

    @cached_property
    def _ranks(self) -> Positions:
        """(N,) rank by position, 0 for pages that were not ranked."""
        ranks = np.zeros(len(self._pages), np.int64)
        ranks[self._order] = np.arange(1, len(self._order) + 1)
        return ranks

"""The differences of two rankings of one query: shared pages, moves, and the pair of pages that explains a move."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smart_demo.methods import SearchResult
from smart_demo.page_list import Key


class Change(StrEnum):
    """How a page's rank differs between the left and the right column."""

    SAME = "same"
    UP = "up"
    DOWN = "down"
    NEW = "new"
    """Only in the right column's top k."""
    LEFT = "left"
    """Only in the left column's top k."""


@dataclass(frozen=True, slots=True)
class Move:
    """The ranks of one page in both rankings."""

    change: Change
    left: int | None
    """Rank in the left ranking, also beyond its top k; None if that ranking does not contain the page."""
    right: int | None

    @property
    def steps(self) -> int:
        """Places gained (positive) or lost; 0 if a ranking does not contain the page."""
        return 0 if self.left is None or self.right is None else self.left - self.right


@dataclass(frozen=True)
class Comparison:
    """The differences of two columns."""

    k: int
    """Length of the longer column."""
    shared: int
    """Number of pages in both columns."""
    new_first: bool
    """Whether the columns begin with different pages."""
    same_order: bool
    moves: Mapping[Key, Move]
    """The move of every page in either column."""

    @property
    def verdict(self) -> str:
        """Line above the columns.

        >>> Comparison(5, 4, True, False, {}).verdict
        '4 of 5 shared · new first page'
        """
        if self.k == 0:
            return "Nothing to compare yet"
        if self.same_order:
            return f"Same {self.k} pages in the same order" if self.k > 1 else "Same page"
        if self.shared == self.k:
            return f"Same {self.k} pages in another order" + (" · new first page" if self.new_first else "")
        first = "new first page" if self.new_first else "same first page"
        return f"{self.shared} of {self.k} shared · {first}"


def compare(left: SearchResult, right: SearchResult) -> Comparison:
    """Compare the right ranking with the left one, for every page in either column."""
    right_keys, left_keys = [hit.page.key for hit in right.hits], [hit.page.key for hit in left.hits]
    return Comparison(
        k=max(len(right_keys), len(left_keys)),
        shared=len(set(right_keys) & set(left_keys)),
        new_first=right_keys[:1] != left_keys[:1],
        same_order=right_keys == left_keys,
        moves={
            key: _move(key, left, right, key in left_keys, key in right_keys)
            for key in dict.fromkeys(left_keys + right_keys)
        },
    )


def _move(key: Key, left: SearchResult, right: SearchResult, in_left: bool, in_right: bool) -> Move:
    left_rank, right_rank = left.ranks.get(key), right.ranks.get(key)
    if not in_left:
        change = Change.NEW
    elif not in_right:
        change = Change.LEFT
    elif left_rank == right_rank:
        change = Change.SAME
    else:
        change = Change.UP if (left_rank or 0) > (right_rank or 0) else Change.DOWN
    return Move(change, left_rank, right_rank)


def find_passing_pair(left: SearchResult, right: SearchResult, page: Key) -> tuple[Key, Key] | None:
    """Return the pair of pages that best explains a page's move: the page that passed, then the page it passed.

    A page that rose passed the page with the best right rank among those that were above it on the left and are below
    it on the right. A page that fell was passed by the best of those that were below it and are above it; if the right
    ranking does not contain it, it counts as fallen to the end. A page without such a partner is paired with its
    neighbour on the right: the page above it or, for the first, the one below. Returns None if the right ranking
    contains no other page.
    """
    left_ranks, right_ranks, end = left.ranks, right.ranks, len(left.ranks) + len(right.ranks) + 1
    old, new = left_ranks.get(page, end), right_ranks.get(page, end)
    others = [(rank, key) for key, rank in right_ranks.items() if key != page]
    passed_by = [(rank, key) for rank, key in others if rank < new and left_ranks.get(key, end) > old]
    passed = [(rank, key) for rank, key in others if rank > new and left_ranks.get(key, end) < old]
    if new < old and passed:
        return page, min(passed)[1]
    if new > old and passed_by:
        return min(passed_by)[1], page
    above = [other for other in others if other[0] < new]
    if above:
        return max(above)[1], page
    return (page, min(others)[1]) if others else None

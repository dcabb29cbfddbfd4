"""Two rankings of one query -> what they share and what moved. Pure: no markup, no weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from smart_demo.types import PageId, Scope, SearchResult

Key = tuple[Scope, PageId]
"""What a page is known by among those searched."""


class Change(StrEnum):
    """What became of a page between the two columns."""

    SAME = "same"
    UP = "up"
    DOWN = "down"
    NEW = "new"
    """In the right column's top k, but not in the left one's."""
    LEFT = "left"
    """In the left column's top k, but no longer in the right one's."""


@dataclass(frozen=True, slots=True)
class Move:
    """One page's way from the left ranking to the right one."""

    change: Change
    left: int | None
    """Rank in the left ranking, also beyond its top k; None where that ranking did not reach the page."""
    right: int | None

    @property
    def steps(self) -> int:
        """Places gained (positive) or lost, 0 where a side did not rank the page."""
        return 0 if self.left is None or self.right is None else self.left - self.right


@dataclass(frozen=True)
class Comparison:
    """What a reader wants to know before reading two columns."""

    k: int
    """Length of the longer column."""
    shared: int
    """Pages in both columns."""
    new_first: bool
    """Whether the right column begins with another page than the left."""
    same_order: bool
    moves: Mapping[Key, Move]
    """For every page in either column."""

    @property
    def verdict(self) -> str:
        """The line above the columns.

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
    """How the right ranking differs from the left one, page by page over both columns."""
    ours, theirs = [hit.page.key for hit in right.hits], [hit.page.key for hit in left.hits]
    return Comparison(
        k=max(len(ours), len(theirs)),
        shared=len(set(ours) & set(theirs)),
        new_first=ours[:1] != theirs[:1],
        same_order=ours == theirs,
        moves={key: _move(key, left, right, key in theirs, key in ours) for key in dict.fromkeys(theirs + ours)},
    )


def passing(left: SearchResult, right: SearchResult, page: Key) -> tuple[Key, Key] | None:
    """The two pages that tell most of one page's move: who passed, then who was passed.

    A page that rose passed the page that stands highest in the right ranking of those that were above it on the left
    and are below it now. A page that fell was passed by the highest of those that were below it and are above it now;
    one that the right ranking did not reach counts as fallen to its end. A page that passed none and was passed by
    none is set against its neighbour on the right: the page above it or, for the first, the one below. None where no
    other page was ranked.
    """
    before, after, end = left.ranks, right.ranks, len(left.ranks) + len(right.ranks) + 1
    was, now = before.get(page, end), after.get(page, end)
    others = [(rank, key) for key, rank in after.items() if key != page]
    above = [(rank, key) for rank, key in others if rank < now and before.get(key, end) > was]
    below = [(rank, key) for rank, key in others if rank > now and before.get(key, end) < was]
    if now < was and below:
        return page, min(below)[1]
    if now > was and above:
        return min(above)[1], page
    higher = [one for one in others if one[0] < now]
    if higher:
        return max(higher)[1], page
    return (page, min(others)[1]) if others else None


def _move(key: Key, left: SearchResult, right: SearchResult, in_left: bool, in_right: bool) -> Move:
    before, after = left.ranks.get(key), right.ranks.get(key)
    if not in_left:
        change = Change.NEW
    elif not in_right:
        change = Change.LEFT
    elif before == after:
        change = Change.SAME
    else:
        change = Change.UP if (before or 0) > (after or 0) else Change.DOWN
    return Move(change, before, after)

"""What moved between two columns, on rankings small enough to read."""

import pytest

from smart_demo.methods import POOLED, SMART, Hit, SearchResult
from smart_demo.search.comparison import Change, compare
from smart_demo.types import PageId
from tests.scoring.cases import page_of


def ranking(method, order, top):
    """A ranking of pages by number; everything after `top` is ranked but not shown."""
    hits = tuple(Hit(i, page_of(n), 1 / i, 0.5, 0.5) for i, n in enumerate(order[:top], start=1))
    ranks = {page_of(n).key: i for i, n in enumerate(order, start=1)}
    return SearchResult(method, hits, ranks, len(order), len(order))


def of(number):
    return (page_of(number).scope, PageId("00000000000000aa", number))


def test_moves_are_told_from_both_columns():
    found = compare(ranking(POOLED, [1, 2, 3, 4, 5], 3), ranking(SMART, [4, 1, 3, 5, 2], 3))
    assert found.verdict == "2 of 3 shared · new first page"
    moves = {number: found.moves[of(number)] for number in (1, 2, 3, 4)}
    assert {n: m.change for n, m in moves.items()} == {
        1: Change.DOWN,
        2: Change.LEFT,
        3: Change.SAME,
        4: Change.NEW,
    }
    assert (moves[2].left, moves[2].right) == (2, 5)
    assert moves[1].steps == -1
    assert moves[4].steps == 3


@pytest.mark.parametrize(
    ("left", "right", "verdict"),
    [
        ([1, 2], [1, 2], "Same 2 pages in the same order"),
        ([1, 2], [2, 1], "Same 2 pages in another order · new first page"),
        ([1, 2, 3], [1, 3, 2], "Same 3 pages in another order"),
        ([1, 2], [1, 3], "1 of 2 shared · same first page"),
        ([1], [1], "Same page"),
        ([], [], "Nothing to compare yet"),
    ],
)
def test_the_verdict_in_words(left, right, verdict):
    assert compare(ranking(POOLED, left, 3), ranking(SMART, right, 3)).verdict == verdict


def test_a_page_the_left_side_never_ranked_has_no_old_rank():
    found = compare(ranking(POOLED, [1], 2), ranking(SMART, [2, 1], 2))
    assert found.moves[of(2)].left is None
    assert found.moves[of(2)].steps == 0

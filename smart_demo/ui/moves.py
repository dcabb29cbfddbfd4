"""A page's move between the two rankings: its words on cards, slides and saved sheets, and the curve of its ranks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from smart_demo.methods import Method
from smart_demo.search.comparison import Change, Move
from smart_demo.ui.format import in_sentence
from smart_demo.wording import count

CURVES_WIDTH = 100
"""Width of a drawing of curves, in its own units."""


class Side(StrEnum):
    """A column. Its values are class names and ids in the markup."""

    LEFT = "left"
    RIGHT = "right"


@dataclass(frozen=True, slots=True)
class MoveWords:
    """A page's move in short words, as seen from one column of `k` pages."""

    icon: str
    text: str
    """The move for a badge, beside its icon: the number of places, or words."""
    summary: str
    """The same in words alone."""
    other_rank: str
    """The rank in the other column, or empty if it is the same or unknown."""


def word_move(move: Move, side: Side, k: int) -> MoveWords:
    """Return a move in short words.

    >>> word_move(Move(Change.UP, 5, 2), Side.RIGHT, 5)
    MoveWords(icon='▲', text='3', summary='up 3', other_rank='was 5')
    """
    other = move.right if side is Side.LEFT else move.left
    note = f"{'now' if side is Side.LEFT else 'was'} {other}" if other else ""
    steps = str(abs(move.steps))
    match move.change:
        case Change.SAME:
            return MoveWords("=", "same", "same place", "")
        case Change.UP:
            return MoveWords("▲", steps, f"up {steps}", note)
        case Change.DOWN:
            return MoveWords("▼", steps, f"down {steps}", note)
        case Change.NEW:
            return MoveWords("✦", "new", "new", note)
        case Change.LEFT:
            return MoveWords("↘", f"left the top {k}", "left", note)


def summarize_move(move: Move, side: Side, k: int) -> str:
    """Return a move as icon and words, for what may be printed without colours.

    >>> summarize_move(Move(Change.LEFT, 2, 14), Side.LEFT, 5)
    '↘ left, now 14'
    """
    words = word_move(move, side, k)
    return f"{words.icon} {', '.join(filter(None, (words.summary, words.other_rank)))}"


def describe_move(move: Move, side: Side, k: int, methods: tuple[Method, Method]) -> str:
    """Return a move as a phrase for screen readers, which is part of a card's label.

    methods: the left and the right one.
    """
    steps = count(abs(move.steps), "place")
    left, right = (in_sentence(method.label) for method in methods)
    other, other_rank = (right, move.right) if side is Side.LEFT else (left, move.left)
    suffix = f", {other} ranks it {other_rank}" if other_rank else ""
    return {
        Change.SAME: "same place in both columns",
        Change.UP: f"{right} moves it up {steps}{suffix}",
        Change.DOWN: f"{right} moves it down {steps}{suffix}",
        Change.NEW: f"new in the top {k}{suffix}",
        Change.LEFT: f"leaves the top {k}{suffix}",
    }[move.change]


def describe_answer(move: Move, name: str) -> str:
    """Return in one sentence what a ranking with this name does to the page that answers a question.

    >>> describe_answer(Move(Change.UP, 3, 1), "SMART"), describe_answer(Move(Change.SAME, 2, 2), "Late only")
    ('SMART lifts the answer from place 3 to 1.', 'Place 2 in both: late only changes nothing here.')
    """
    left, right = move.left, move.right
    if left is None or right is None:
        return f"The answer: {name_places(left, right)}."
    if left == right:
        return f"Place {left} in both: {in_sentence(name)} changes nothing here."
    if right < left:
        return f"{name} lifts the answer from place {left} to {right}."
    return f"{name} loses here: the answer falls from place {left} to {right}."


def name_place(rank: int | None) -> str:
    """Return a rank in words.

    >>> name_place(3), name_place(None)
    ('place 3', 'no place')
    """
    return f"place {rank}" if rank else "no place"


def name_places(left: int | None, right: int | None) -> str:
    """Return both ranks, from the left to the right one.

    >>> name_places(3, None)
    'place 3 → no place'
    """
    return f"{name_place(left)} → {name_place(right)}"


def curve_path(start: float | None, end: float | None, row_height: float) -> str:
    """Return the SVG path from the middle of a row on the left to the middle of one on the right.

    Rows count from 0 and have one height. A page without a row on one side has a curve that ends between the columns.

    >>> curve_path(0, 1, 100), curve_path(None, 0, 100)
    ('M0,50.0 C50,50.0 50,150.0 100,150.0', 'M100,50.0 C74,50.0 60,62.0 58,80.0')
    """

    def middle(row: float) -> float:
        return (row + 0.5) * row_height

    half = CURVES_WIDTH // 2
    if start is not None and end is not None:
        here, there = middle(start), middle(end)
        return f"M0,{here:.1f} C{half},{here:.1f} {half},{there:.1f} {CURVES_WIDTH},{there:.1f}"
    here, reach = middle((end if start is None else start) or 0), 0.3 * row_height
    # Distances from the side on which the page has a row.
    points = [x if end is None else CURVES_WIDTH - x for x in (0, 26, 40, 42)]
    heights = (here, here, here + 0.4 * reach, here + reach)
    first, *others = (f"{x},{y:.1f}" for x, y in zip(points, heights, strict=True))
    return f"M{first} C{' '.join(others)}"

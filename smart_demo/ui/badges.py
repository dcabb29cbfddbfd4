"""What became of a page between the columns, as a badge: icon, words and colour, never colour alone."""

from __future__ import annotations

from enum import StrEnum

from smart_demo.search.comparison import Change, Move
from smart_demo.ui.wording import count, esc


class Side(StrEnum):
    """A column. Values are class names and ids in the page."""

    POOLED = "pooled"
    SMART = "smart"


def badge(move: Move, side: Side, k: int) -> str:
    """The badge of a card. A fall is set exactly as loudly as a rise."""
    icon, text, note = _wording(move, side, k)
    small = f'<span class="badge-note">{esc(note)}</span>' if note else ""
    shown = f'<span aria-hidden="true">{icon}</span>' if icon else ""
    return f'<span class="badge badge-{move.change}">{shown}<span>{esc(text)}</span>{small}</span>'


def spoken(move: Move, side: Side, k: int) -> str:
    """The same for a screen reader, as part of a card's name."""
    steps = count(abs(move.steps), "place")
    other = "SMART ranks it" if side is Side.POOLED else "pooled only ranks it"
    at = move.right if side is Side.POOLED else move.left
    where = f", {other} {at}" if at else ""
    return {
        Change.SAME: "same place in both columns",
        Change.UP: f"SMART moves it up {steps}{where}",
        Change.DOWN: f"SMART moves it down {steps}{where}",
        Change.NEW: f"new in the top {k}{where}",
        Change.LEFT: f"leaves the top {k}{where}",
    }[move.change]


def in_words(move: Move, side: Side, k: int, *, short: bool = False) -> str:
    """The same in words, for what may be printed in grey."""
    icon, _, note = _wording(move, side, k)
    steps = f"{abs(move.steps)}" if short else count(abs(move.steps), "place")
    said = {
        Change.SAME: "same" if short else "same place",
        Change.UP: f"up {steps}",
        Change.DOWN: f"down {steps}",
        Change.NEW: "new" if short else f"new in the top {k}",
        Change.LEFT: "left" if short else f"left the top {k}",
    }[move.change]
    return f"{icon} {said}{f', {note}' if note else ''}"


def _wording(move: Move, side: Side, k: int) -> tuple[str, str, str]:
    """Icon, text and note."""
    here_and_there = f"now {move.right}" if side is Side.POOLED else f"was {move.left}"
    match move.change:
        case Change.SAME:
            return "=", "same", ""
        case Change.UP:
            return "▲", str(move.steps), here_and_there
        case Change.DOWN:
            return "▼", str(-move.steps), here_and_there
        case Change.NEW:
            return "✦", "new", f"was {move.left}" if move.left else ""
        case Change.LEFT:
            return "↘", f"left the top {k}", f"now {move.right}" if move.right else ""

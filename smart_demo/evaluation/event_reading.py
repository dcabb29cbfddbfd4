"""The lines of a journal -> its events, and which lines are none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from smart_demo.errors import InputRefused
from smart_demo.evaluation import event_lines
from smart_demo.evaluation.events import Event

MOST_EVENTS, MOST_BYTES = 5_000, 2**25
"""Of one journal: 500 queries, each with a vote, eight grades and an undo. A vote takes some 4 kB."""


@dataclass
class Reading:
    """What some lines hold."""

    events: list[Event] = field(default_factory=list)
    """Each id once, in the order of the lines."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why a line is no event, by its number from 1."""
    repeated: int = 0
    """Lines whose id another line before them has."""


def read_lines(data: bytes, latest: str = "9999") -> Reading:
    r"""Events of whole lines; empty lines are nothing. `latest`: a time after which nothing can have happened yet.

    >>> read_lines(b"{}\n\nnonsense\n").refused[3]
    'this is not JSON. Write one object a line.'
    """
    found, ids = Reading(), set[str]()
    for number, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            event = event_lines.read(text)
            if event.at > latest:
                raise InputRefused("it is dated in the future.", "Check the clock of the machine it comes from.")
        except InputRefused as refused:
            found.refused[number] = refused.sentence
            continue
        if event.id in ids:
            found.repeated += 1
            continue
        ids.add(event.id)
        found.events.append(event)
    return found


def as_lines(events: Iterable[Event]) -> bytes:
    """What `read_lines` reads."""
    return "".join(f"{event_lines.line(event)}\n" for event in events).encode("ascii")

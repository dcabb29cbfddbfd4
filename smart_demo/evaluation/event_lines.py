"""Events as lines of JSON, and back with doubt.

    {"v": 1, "event": "vote", "id": "…", "at": "2026-05-24T10:11:12.131415Z", "session": "…", "trial": {…},
     "choice": "a", "reasons": ["table"], "note": ""}

A line is pure ASCII, so it holds no line break of any kind. `read` takes what `line` wrote and refuses everything else
in words: a line may come from anywhere. Keys it does not know are left out of what it gives back.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation import fields
from smart_demo.evaluation.events import (
    HIGHEST_GRADE,
    LONGEST_NOTE,
    REASONS,
    Choice,
    Event,
    Grade,
    Session,
    Skip,
    Told,
    Undo,
    Vote,
)
from smart_demo.evaluation.trial_fields import (
    HEX32,
    asked_fields,
    read_asked,
    read_page,
    read_trial,
    read_versions,
    trial_fields,
)
from smart_demo.types import POOLED, SMART

FORM = 1
"""Version of the form. A reader refuses forms it does not know."""
LONGEST_LINE = 2**19
"""Bytes. Fifty pages of each ranking with the longest names, every character spelled by escapes, stay below."""
KINDS: Mapping[str, type[Event]] = {
    "session": Session, "vote": Vote, "grade": Grade, "skip": Skip, "told": Told, "undo": Undo,
}  # fmt: skip
_NAMES = {kind: name for name, kind in KINDS.items()}


def line(event: Event) -> str:
    """One line without its end. Equal events give equal lines."""
    row: dict[str, Any] = {"v": FORM, "event": _NAMES[type(event)], "id": event.id, "at": event.at}
    row["session"] = event.session
    match event:
        case Session():
            row |= {"seed": event.seed, "versions": dict(event.versions)}
        case Vote():
            row |= {"trial": trial_fields(event.trial), "choice": event.choice}
            row |= {"reasons": event.reasons, "note": event.note}
        case Grade():
            row |= {"trial": trial_fields(event.trial), "page": str(event.page), "grade": event.grade}
        case Skip():
            row["query"] = asked_fields(event.query)
        case Told():
            row |= {"seed": event.seed, "query": asked_fields(event.query)}
        case Undo():
            row["undoes"] = event.event
    return json.dumps(row, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def read(text: str | bytes) -> Event:
    """The event of one line. InputRefused says what is wrong with it."""
    if len(text) > LONGEST_LINE:
        raise InputRefused(f"the line is longer than {LONGEST_LINE // 2**10} kB.")
    row = fields.an_object(fields.loads(text), "the line")
    if row.get("v") != FORM:
        raise InputRefused("this is no event of this program.", f"Its lines begin with the form's version, {FORM}.")
    kind = KINDS[fields.one_of(row, "event", tuple(KINDS))]
    stamp = (_id(row, "id"), _time(row), _id(row, "session"))
    if kind is Session:
        return _session(row, stamp)
    if kind is Undo:
        return Undo(*stamp, _id(row, "undoes"))
    if kind is Told:
        return Told(*stamp, _id(row, "seed"), read_asked(fields.part(row, "query")))
    if kind is Skip:
        return Skip(*stamp, read_asked(fields.part(row, "query")))
    return _vote(row, stamp) if kind is Vote else _grade(row, stamp)


def _session(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Session:
    if stamp[0] != stamp[2]:
        raise InputRefused("a session's header must belong to itself.")
    return Session(*stamp, _id(row, "seed"), read_versions(row))


def _vote(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Vote:
    choice = Choice(fields.one_of(row, "choice", tuple(Choice)))
    given = fields.a_list(row, "reasons", len(REASONS))
    if any(reason not in REASONS for reason in given):
        raise InputRefused(f'"reasons" may hold: {", ".join(REASONS)}.')
    reasons = tuple(reason for reason in REASONS if reason in given)
    trial = read_trial(fields.part(row, "trial"))
    if not (trial.ranking(POOLED.name) and trial.ranking(SMART.name)):
        raise InputRefused("there is nothing to compare: a ranking is empty.")
    return Vote(*stamp, trial, choice, reasons, fields.text(row, "note", LONGEST_NOTE))


def _grade(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Grade:
    trial, page = read_trial(fields.part(row, "trial")), read_page(row.get("page"))
    if all(page not in order for order in trial.orders.values()):
        raise InputRefused("the page stands in none of the rankings.")
    return Grade(*stamp, trial, page, fields.whole(row, "grade", 0, HIGHEST_GRADE))


def _id(row: Mapping[str, Any], key: str) -> str:
    return fields.shaped(row, key, HEX32, "32 hex digits")


def _time(row: Mapping[str, Any]) -> str:
    at = fields.shaped(row, "at", r"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z", "a time such as 2026-05-24T10:11:12.131415Z")
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise InputRefused('"at" is no time that there is.') from None
    return at

"""Trials as JSON objects, and back with doubt. A page of a ranking is `[page id, document, page number, score]`.

Events as lines of JSON, and back with doubt.

    {"v": 1, "event": "vote", "id": "…", "at": "2026-05-24T10:11:12.131415Z", "session": "…", "trial": {…},
     "choice": "a", "reasons": ["table"], "note": ""}

A line is pure ASCII, so it holds no line break of any kind. `read` takes what `line` wrote and refuses everything else
in words: a line may come from anywhere. Keys it does not know are left out of what it gives back.

The lines of a journal -> its events, and which lines are none.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from itertools import pairwise
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.judging import json_fields
from smart_demo.judging.records import (
    MAX_GRADE,
    MAX_NOTE_CHARS,
    MAX_QUERY_CHARS,
    MAX_RECORDED_RANKS,
    METHODS,
    REASONS,
    Event,
    Grade,
    JudgedQuery,
    RankedPage,
    RecordedEncoder,
    RecordedLibrary,
    Session,
    SidesRevealed,
    Skip,
    Trial,
    Undo,
    Vote,
    VoteChoice,
    draw_sides,
)
from smart_demo.types import POOLED, SMART, Counted, PageId, Query, Reduce, Weights

HEX16, HEX32 = r"[0-9a-f]{16}", r"[0-9a-f]{32}"
MAX_LIBRARY_PAGES = 10**7
MAX_WEIGHT, MAX_SCORE = 1e3, 1e9
"""Of a weight and of a score."""


def trial_fields(trial: Trial) -> dict[str, Any]:
    """Plain data for JSON."""
    weights = trial.weights
    return {
        "query": query_fields(trial.query),
        "seed": trial.seed,
        "sides": {"a": trial.sides.a, "b": trial.sides.b},
        "library": {
            "fingerprint": trial.library.fingerprint,
            "scopes": list(trial.library.scopes),
            "pages": trial.library.pages,
            "codec": trial.library.codec,
        },
        "encoder": {
            "name": trial.encoder.name,
            "model": trial.encoder.model,
            "revision": trial.encoder.revision,
            "fingerprint": trial.encoder.fingerprint,
        },
        "weights": {
            "pooled": float(weights.pooled),
            "late": float(weights.late),
            "reduce": str(weights.reduce),
            "counted": str(weights.counted),
        },
        "k": trial.k,
        "rankings": {name: [_row(ranked) for ranked in trial.ranking(name)] for name in METHODS},
        "versions": dict(trial.versions),
    }


def query_fields(query: JudgedQuery) -> dict[str, Any]:
    """Plain data for JSON."""
    return {"text": query.text, "key": query.key, "picture": query.picture}


def read_trial(row: Mapping[str, Any]) -> Trial:
    """What `trial_fields` gave. InputRefused where a part is missing, impossible or does not fit the others."""
    try:
        return _read(json.dumps(row))
    except RecursionError:  # what could just be read, a few calls higher up
        raise InputRefused("this is not JSON.", "Write one object a line.") from None


@lru_cache(maxsize=64)
def _read(text: str) -> Trial:
    """A query's vote and grades share their trial: it is doubted once, which takes a millisecond, and kept once."""
    row = json.loads(text)
    query = read_query(json_fields.object_field(row, "query"))
    seed = json_fields.pattern_field(row, "seed", HEX32, "32 hex digits")
    sides, drawn = json_fields.object_field(row, "sides"), draw_sides(seed, query.key)
    if (sides.get("a"), sides.get("b")) != (drawn.a, drawn.b):
        raise InputRefused("the sides are not those that the seed draws for this query.")
    library, encoder = (
        _searched(json_fields.object_field(row, "library")),
        _model(json_fields.object_field(row, "encoder")),
    )
    weights, k = (
        _weights(json_fields.object_field(row, "weights")),
        json_fields.integer_field(row, "k", 1, MAX_RECORDED_RANKS),
    )
    rankings = json_fields.object_field(row, "rankings")
    rows = tuple(_ranking(rankings, name) for name in METHODS)
    return Trial(query, seed, drawn, library, encoder, weights, k, rows, read_versions(row))


def read_query(row: Mapping[str, Any]) -> JudgedQuery:
    """What `asked_fields` gave. The key must be that of the words, unless a picture is part of it."""
    words, picture = (
        json_fields.text_field(row, "text", MAX_QUERY_CHARS),
        json_fields.line_field(row, "picture", empty=True),
    )
    key = json_fields.pattern_field(row, "key", HEX16, "16 hex digits")
    if not picture and (not words.strip() or Query(words).key != key):
        raise InputRefused("the query's key is not that of its words.")
    return JudgedQuery(words, key, picture)


def read_versions(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Versions of programs by name, in the names' order."""
    versions = json_fields.object_field(row, "versions")
    if len(versions) > 20 or not all(json_fields.is_line(name, 40) for name in versions):
        raise InputRefused('"versions" must name at most 20 programs.')
    return tuple((name, json_fields.line_field(versions, name, 100)) for name in sorted(versions))


def read_page(value: object) -> PageId:
    """A page's id."""
    try:
        return PageId.parse(value) if isinstance(value, str) else PageId("", 0)
    except ValueError:
        raise InputRefused("a page must be named by its id, 16 hex digits, a dash and 4 digits.") from None


def _searched(row: Mapping[str, Any]) -> RecordedLibrary:
    scopes = json_fields.list_field(row, "scopes", 2)
    if scopes not in (["samples"], ["local"], ["local", "samples"]):
        raise InputRefused('"scopes" may hold: local, samples.')
    printed = json_fields.pattern_field(row, "fingerprint", HEX16, "16 hex digits")
    return RecordedLibrary(
        printed,
        tuple(scopes),
        json_fields.integer_field(row, "pages", 1, MAX_LIBRARY_PAGES),
        json_fields.line_field(row, "codec", 40),
    )


def _model(row: Mapping[str, Any]) -> RecordedEncoder:
    name, model = json_fields.line_field(row, "name"), json_fields.line_field(row, "model")
    revision = json_fields.line_field(row, "revision", empty=True)
    return RecordedEncoder(name, model, revision, json_fields.pattern_field(row, "fingerprint", HEX16, "16 hex digits"))


def _weights(row: Mapping[str, Any]) -> Weights:
    pooled, late = (json_fields.number_field(row, key, -MAX_WEIGHT, MAX_WEIGHT) for key in ("pooled", "late"))
    reduce, counted = (
        json_fields.choice_field(row, "reduce", tuple(Reduce)),
        json_fields.choice_field(row, "counted", tuple(Counted)),
    )
    return Weights(pooled, late, Reduce(reduce), Counted(counted))


def _row(ranked: RankedPage) -> list[object]:
    return [str(ranked.page), ranked.document, ranked.number, ranked.score]


def _ranking(rankings: Mapping[str, Any], name: str) -> tuple[RankedPage, ...]:
    rows = tuple(_ranked(entry) for entry in json_fields.list_field(rankings, name, MAX_RECORDED_RANKS))
    if len({row.page for row in rows}) < len(rows):
        raise InputRefused(f"the {name} ranking has a page twice.")
    if any(later.score > row.score for row, later in pairwise(rows)):
        raise InputRefused(f"the scores of the {name} ranking do not fall.")
    return rows


def _ranked(entry: object) -> RankedPage:
    if not isinstance(entry, list) or len(entry) != 4:
        raise InputRefused("a ranked page must be a list of page id, document, page number and score.")
    page, document, number, score = entry
    found = read_page(page)
    if not isinstance(document, str) or not document or not json_fields.is_line(document):
        raise InputRefused(f"a document's name must be one line of at most {json_fields.MAX_NAME_CHARS} characters.")
    if isinstance(number, bool) or number != found.number:
        raise InputRefused("a page's number must be the one in its id.")
    value = json_fields.finite_number(score)
    if value is None or abs(value) > MAX_SCORE:
        raise InputRefused(f"a score must be a number of at most {MAX_SCORE:g}.")
    return RankedPage(found, document, value)


FORMAT_VERSION = 1
"""Version of the form. A reader refuses forms it does not know."""
MAX_LINE_BYTES = 2**19
"""Bytes. Fifty pages of each ranking with the longest names, every character spelled by escapes, stay below."""
EVENT_TYPES: Mapping[str, type[Event]] = {
    "session": Session, "vote": Vote, "grade": Grade, "skip": Skip, "told": SidesRevealed, "undo": Undo,
}  # fmt: skip
_EVENT_NAMES = {kind: name for name, kind in EVENT_TYPES.items()}


def format_line(event: Event) -> str:
    """One line without its end. Equal events give equal lines."""
    row: dict[str, Any] = {"v": FORMAT_VERSION, "event": _EVENT_NAMES[type(event)], "id": event.id, "at": event.at}
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
            row["query"] = query_fields(event.query)
        case SidesRevealed():
            row |= {"seed": event.seed, "query": query_fields(event.query)}
        case Undo():
            row["undoes"] = event.event
    return json.dumps(row, ensure_ascii=True, allow_nan=False, separators=(",", ":"))


def parse_line(text: str | bytes) -> Event:
    """The event of one line. InputRefused says what is wrong with it."""
    if len(text) > MAX_LINE_BYTES:
        raise InputRefused(f"the line is longer than {MAX_LINE_BYTES // 2**10} kB.")
    row = json_fields.require_object(json_fields.parse_json(text), "the line")
    if row.get("v") != FORMAT_VERSION:
        raise InputRefused(
            "this is no event of this program.", f"Its lines begin with the form's version, {FORMAT_VERSION}."
        )
    kind = EVENT_TYPES[json_fields.choice_field(row, "event", tuple(EVENT_TYPES))]
    stamp = (_id(row, "id"), _time(row), _id(row, "session"))
    if kind is Session:
        return _session(row, stamp)
    if kind is Undo:
        return Undo(*stamp, _id(row, "undoes"))
    if kind is SidesRevealed:
        return SidesRevealed(*stamp, _id(row, "seed"), read_query(json_fields.object_field(row, "query")))
    if kind is Skip:
        return Skip(*stamp, read_query(json_fields.object_field(row, "query")))
    return _vote(row, stamp) if kind is Vote else _grade(row, stamp)


def _session(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Session:
    if stamp[0] != stamp[2]:
        raise InputRefused("a session's header must belong to itself.")
    return Session(*stamp, _id(row, "seed"), read_versions(row))


def _vote(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Vote:
    choice = VoteChoice(json_fields.choice_field(row, "choice", tuple(VoteChoice)))
    given = json_fields.list_field(row, "reasons", len(REASONS))
    if any(reason not in REASONS for reason in given):
        raise InputRefused(f'"reasons" may hold: {", ".join(REASONS)}.')
    reasons = tuple(reason for reason in REASONS if reason in given)
    trial = read_trial(json_fields.object_field(row, "trial"))
    if not (trial.ranking(POOLED.name) and trial.ranking(SMART.name)):
        raise InputRefused("there is nothing to compare: a ranking is empty.")
    return Vote(*stamp, trial, choice, reasons, json_fields.text_field(row, "note", MAX_NOTE_CHARS))


def _grade(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Grade:
    trial, page = read_trial(json_fields.object_field(row, "trial")), read_page(row.get("page"))
    if all(page not in order for order in trial.orders.values()):
        raise InputRefused("the page stands in none of the rankings.")
    return Grade(*stamp, trial, page, json_fields.integer_field(row, "grade", 0, MAX_GRADE))


def _id(row: Mapping[str, Any], key: str) -> str:
    return json_fields.pattern_field(row, key, HEX32, "32 hex digits")


def _time(row: Mapping[str, Any]) -> str:
    at = json_fields.pattern_field(
        row, "at", r"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z", "a time such as 2026-05-24T10:11:12.131415Z"
    )
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise InputRefused('"at" is no time that there is.') from None
    return at


MAX_EVENTS, MAX_JOURNAL_BYTES = 5_000, 2**25
"""Of one journal: 500 queries, each with a vote, eight grades and an undo. A vote takes some 4 kB."""


@dataclass
class ParsedLines:
    """What some lines hold."""

    events: list[Event] = field(default_factory=list)
    """Each id once, in the order of the lines."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why a line is no event, by its number from 1."""
    repeated: int = 0
    """Lines whose id another line before them has."""


def parse_lines(data: bytes, latest: str = "9999") -> ParsedLines:
    r"""Events of whole lines; empty lines are nothing. `latest`: a time after which nothing can have happened yet.

    >>> read_lines(b"{}\n\nnonsense\n").refused[3]
    'this is not JSON. Write one object a line.'
    """
    found, ids = ParsedLines(), set[str]()
    for number, text in enumerate(data.split(b"\n"), start=1):
        if not text.strip():
            continue
        try:
            event = parse_line(text)
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


def format_lines(events: Iterable[Event]) -> bytes:
    """What `read_lines` reads."""
    return "".join(f"{format_line(event)}\n" for event in events).encode("ascii")

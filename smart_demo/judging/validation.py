"""Events as lines of JSON, and the parser that validates every field of a line.

    {"v": 1, "event": "vote", "id": "…", "at": "2026-05-24T10:11:12.131415Z", "session": "…", "trial": {…},
     "choice": "a", "reasons": ["table"], "note": ""}

A page of a trial's ranking is `[page id, document, page number, score]`. A line is pure ASCII, so it contains no line
break of any kind. `parse_line` accepts what `format_line` writes and raises InputRefused, with the reason, for anything
else: lines may come from any file or browser. It ignores unknown keys.
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

FORMAT_VERSION = 1
"""Version of the format. `parse_line` refuses any other."""
MAX_LINE_BYTES = 2**19
"""Maximum length of a line. Fifty pages of each ranking, with the longest names and every character escaped, fit."""
EVENT_TYPES: Mapping[str, type[Event]] = {
    "session": Session, "vote": Vote, "grade": Grade, "skip": Skip, "told": SidesRevealed, "undo": Undo,
}  # fmt: skip
_EVENT_NAMES = {kind: name for name, kind in EVENT_TYPES.items()}
MAX_EVENTS, MAX_JOURNAL_BYTES = 5_000, 2**25
"""Limits of one journal: 500 queries, each with a vote, eight grades and an undo. A vote takes some 4 kB."""
HEX16, HEX32 = r"[0-9a-f]{16}", r"[0-9a-f]{32}"
MAX_LIBRARY_PAGES = 10**7
"""Maximum number of pages of a searched library."""
MAX_WEIGHT, MAX_SCORE = 1e3, 1e9


def trial_fields(trial: Trial) -> dict[str, Any]:
    """Return a trial as plain data for JSON."""
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
        "rankings": {name: [_ranked_page_fields(ranked) for ranked in trial.ranking(name)] for name in METHODS},
        "versions": dict(trial.versions),
    }


def query_fields(query: JudgedQuery) -> dict[str, Any]:
    """Return a query as plain data for JSON."""
    return {"text": query.text, "key": query.key, "picture": query.picture}


def parse_trial(row: Mapping[str, Any]) -> Trial:
    """Parse what `trial_fields` returned.

    Raises InputRefused if a part is missing, invalid or contradicts another.
    """
    try:
        return _parse_trial_text(json.dumps(row))
    except RecursionError:  # JSON nested almost as deep as the parser allows
        raise InputRefused("this is not JSON.", "Write one object a line.") from None


@lru_cache(maxsize=64)
def _parse_trial_text(text: str) -> Trial:
    """Parse and validate a trial, which takes a millisecond. Cached, because a query's vote and grades share it."""
    row = json.loads(text)
    query = parse_query(json_fields.object_field(row, "query"))
    seed = json_fields.pattern_field(row, "seed", HEX32, "32 hex digits")
    sides, drawn = json_fields.object_field(row, "sides"), draw_sides(seed, query.key)
    if (sides.get("a"), sides.get("b")) != (drawn.a, drawn.b):
        raise InputRefused("the sides are not those that the seed draws for this query.")
    library, encoder = (
        _parse_library(json_fields.object_field(row, "library")),
        _parse_encoder(json_fields.object_field(row, "encoder")),
    )
    weights, k = (
        _parse_weights(json_fields.object_field(row, "weights")),
        json_fields.integer_field(row, "k", 1, MAX_RECORDED_RANKS),
    )
    rankings = json_fields.object_field(row, "rankings")
    rows = tuple(_parse_ranking(rankings, name) for name in METHODS)
    return Trial(query, seed, drawn, library, encoder, weights, k, rows, parse_versions(row))


def parse_query(row: Mapping[str, Any]) -> JudgedQuery:
    """Parse what `query_fields` returned. The key must be that of the words, unless the query has a picture."""
    words, picture = (
        json_fields.text_field(row, "text", MAX_QUERY_CHARS),
        json_fields.line_field(row, "picture", empty=True),
    )
    key = json_fields.pattern_field(row, "key", HEX16, "16 hex digits")
    if not picture and (not words.strip() or Query(words).key != key):
        raise InputRefused("the query's key is not that of its words.")
    return JudgedQuery(words, key, picture)


def parse_versions(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Parse the versions of programs, sorted by name."""
    versions = json_fields.object_field(row, "versions")
    if len(versions) > 20 or not all(json_fields.is_line(name, 40) for name in versions):
        raise InputRefused('"versions" must name at most 20 programs.')
    return tuple((name, json_fields.line_field(versions, name, 100)) for name in sorted(versions))


def parse_page(value: object) -> PageId:
    """Parse a page's id."""
    try:
        return PageId.parse(value) if isinstance(value, str) else PageId("", 0)
    except ValueError:
        raise InputRefused("a page must be named by its id, 16 hex digits, a dash and 4 digits.") from None


def _parse_library(row: Mapping[str, Any]) -> RecordedLibrary:
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


def _parse_encoder(row: Mapping[str, Any]) -> RecordedEncoder:
    name, model = json_fields.line_field(row, "name"), json_fields.line_field(row, "model")
    revision = json_fields.line_field(row, "revision", empty=True)
    return RecordedEncoder(name, model, revision, json_fields.pattern_field(row, "fingerprint", HEX16, "16 hex digits"))


def _parse_weights(row: Mapping[str, Any]) -> Weights:
    pooled, late = (json_fields.number_field(row, key, -MAX_WEIGHT, MAX_WEIGHT) for key in ("pooled", "late"))
    reduce, counted = (
        json_fields.choice_field(row, "reduce", tuple(Reduce)),
        json_fields.choice_field(row, "counted", tuple(Counted)),
    )
    return Weights(pooled, late, Reduce(reduce), Counted(counted))


def _ranked_page_fields(ranked: RankedPage) -> list[object]:
    return [str(ranked.page), ranked.document, ranked.number, ranked.score]


def _parse_ranking(rankings: Mapping[str, Any], name: str) -> tuple[RankedPage, ...]:
    rows = tuple(_parse_ranked_page(entry) for entry in json_fields.list_field(rankings, name, MAX_RECORDED_RANKS))
    if len({row.page for row in rows}) < len(rows):
        raise InputRefused(f"the {name} ranking has a page twice.")
    if any(later.score > row.score for row, later in pairwise(rows)):
        raise InputRefused(f"the scores of the {name} ranking do not fall.")
    return rows


def _parse_ranked_page(entry: object) -> RankedPage:
    if not isinstance(entry, list) or len(entry) != 4:
        raise InputRefused("a ranked page must be a list of page id, document, page number and score.")
    page, document, number, score = entry
    found = parse_page(page)
    if not isinstance(document, str) or not document or not json_fields.is_line(document):
        raise InputRefused(f"a document's name must be one line of at most {json_fields.MAX_NAME_CHARS} characters.")
    if isinstance(number, bool) or number != found.number:
        raise InputRefused("a page's number must be the one in its id.")
    value = json_fields.finite_number(score)
    if value is None or abs(value) > MAX_SCORE:
        raise InputRefused(f"a score must be a number of at most {MAX_SCORE:g}.")
    return RankedPage(found, document, value)


def format_line(event: Event) -> str:
    """Return an event as one line without its line break. Equal events give equal lines."""
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
    """Parse and validate the event of one line. Raises InputRefused with what is wrong with it."""
    if len(text) > MAX_LINE_BYTES:
        raise InputRefused(f"the line is longer than {MAX_LINE_BYTES // 2**10} kB.")
    row = json_fields.require_object(json_fields.parse_json(text), "the line")
    if row.get("v") != FORMAT_VERSION:
        raise InputRefused(
            "this is no event of this program.", f"Its lines begin with the form's version, {FORMAT_VERSION}."
        )
    kind = EVENT_TYPES[json_fields.choice_field(row, "event", tuple(EVENT_TYPES))]
    stamp = (_parse_id(row, "id"), _parse_time(row), _parse_id(row, "session"))
    if kind is Session:
        return _parse_session(row, stamp)
    if kind is Undo:
        return Undo(*stamp, _parse_id(row, "undoes"))
    if kind is SidesRevealed:
        return SidesRevealed(*stamp, _parse_id(row, "seed"), parse_query(json_fields.object_field(row, "query")))
    if kind is Skip:
        return Skip(*stamp, parse_query(json_fields.object_field(row, "query")))
    return _parse_vote(row, stamp) if kind is Vote else _parse_grade(row, stamp)


def _parse_session(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Session:
    if stamp[0] != stamp[2]:
        raise InputRefused("a session's header must belong to itself.")
    return Session(*stamp, _parse_id(row, "seed"), parse_versions(row))


def _parse_vote(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Vote:
    """Validate a vote: the choice, the reasons, the length of the note, and a trial with two rankings to compare."""
    choice = VoteChoice(json_fields.choice_field(row, "choice", tuple(VoteChoice)))
    given = json_fields.list_field(row, "reasons", len(REASONS))
    if any(reason not in REASONS for reason in given):
        raise InputRefused(f'"reasons" may hold: {", ".join(REASONS)}.')
    reasons = tuple(reason for reason in REASONS if reason in given)
    trial = parse_trial(json_fields.object_field(row, "trial"))
    if not (trial.ranking(POOLED.name) and trial.ranking(SMART.name)):
        raise InputRefused("there is nothing to compare: a ranking is empty.")
    return Vote(*stamp, trial, choice, reasons, json_fields.text_field(row, "note", MAX_NOTE_CHARS))


def _parse_grade(row: Mapping[str, Any], stamp: tuple[str, str, str]) -> Grade:
    """Validate a grade: 0 to 3, of a page in one of the trial's rankings."""
    trial, page = parse_trial(json_fields.object_field(row, "trial")), parse_page(row.get("page"))
    if all(page not in order for order in trial.orders.values()):
        raise InputRefused("the page is in none of the rankings.")
    return Grade(*stamp, trial, page, json_fields.integer_field(row, "grade", 0, MAX_GRADE))


def _parse_id(row: Mapping[str, Any], key: str) -> str:
    return json_fields.pattern_field(row, key, HEX32, "32 hex digits")


def _parse_time(row: Mapping[str, Any]) -> str:
    at = json_fields.pattern_field(
        row, "at", r"[0-9-]{10}T[0-9:]{8}\.[0-9]{6}Z", "a time such as 2026-05-24T10:11:12.131415Z"
    )
    try:
        datetime.fromisoformat(at)
    except ValueError:
        raise InputRefused('"at" is no time that there is.') from None
    return at


@dataclass
class ParsedLines:
    """Events and refusals of several lines."""

    events: list[Event] = field(default_factory=list)
    """Events with distinct ids, in the order of the lines."""
    refused: dict[int, str] = field(default_factory=dict)
    """Why a line was refused, by its number from 1."""
    repeated: int = 0
    """Number of lines whose event id an earlier line has."""


def parse_lines(data: bytes, latest: str = "9999") -> ParsedLines:
    r"""Parse complete lines; empty lines are skipped. latest: events with a later time are refused.

    >>> parse_lines(b"{}\n\nnonsense\n").refused[3]
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
    """Return events as lines for `parse_lines`."""
    return "".join(f"{format_line(event)}\n" for event in events).encode("ascii")

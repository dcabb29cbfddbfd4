"""Trials as JSON objects, and back with doubt. A page of a ranking is `[page id, document, page number, score]`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from smart_demo.errors import InputRefused
from smart_demo.evaluation import fields
from smart_demo.evaluation.sides import draw
from smart_demo.evaluation.trial import (
    DEEPEST,
    LONGEST_QUERY,
    METHODS,
    Asked,
    Model,
    Ranked,
    Searched,
    Trial,
)
from smart_demo.types import Counted, PageId, Query, Reduce, Weights

HEX16, HEX32 = r"[0-9a-f]{16}", r"[0-9a-f]{32}"
MOST_PAGES = 10**7
HEAVIEST, HIGHEST = 1e3, 1e9
"""Of a weight and of a score."""


def trial_fields(trial: Trial) -> dict[str, Any]:
    """Plain data for JSON."""
    weights = trial.weights
    return {
        "query": asked_fields(trial.query),
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


def asked_fields(query: Asked) -> dict[str, Any]:
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
    query = read_asked(fields.part(row, "query"))
    seed = fields.shaped(row, "seed", HEX32, "32 hex digits")
    sides, drawn = fields.part(row, "sides"), draw(seed, query.key)
    if (sides.get("a"), sides.get("b")) != (drawn.a, drawn.b):
        raise InputRefused("the sides are not those that the seed draws for this query.")
    library, encoder = _searched(fields.part(row, "library")), _model(fields.part(row, "encoder"))
    weights, k = _weights(fields.part(row, "weights")), fields.whole(row, "k", 1, DEEPEST)
    rankings = fields.part(row, "rankings")
    rows = tuple(_ranking(rankings, name) for name in METHODS)
    return Trial(query, seed, drawn, library, encoder, weights, k, rows, read_versions(row))


def read_asked(row: Mapping[str, Any]) -> Asked:
    """What `asked_fields` gave. The key must be that of the words, unless a picture is part of it."""
    words, picture = fields.text(row, "text", LONGEST_QUERY), fields.line(row, "picture", empty=True)
    key = fields.shaped(row, "key", HEX16, "16 hex digits")
    if not picture and (not words.strip() or Query(words).key != key):
        raise InputRefused("the query's key is not that of its words.")
    return Asked(words, key, picture)


def read_versions(row: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Versions of programs by name, in the names' order."""
    versions = fields.part(row, "versions")
    if len(versions) > 20 or not all(fields.is_line(name, 40) for name in versions):
        raise InputRefused('"versions" must name at most 20 programs.')
    return tuple((name, fields.line(versions, name, 100)) for name in sorted(versions))


def read_page(value: object) -> PageId:
    """A page's id."""
    try:
        return PageId.parse(value) if isinstance(value, str) else PageId("", 0)
    except ValueError:
        raise InputRefused("a page must be named by its id, 16 hex digits, a dash and 4 digits.") from None


def _searched(row: Mapping[str, Any]) -> Searched:
    scopes = fields.a_list(row, "scopes", 2)
    if scopes not in (["samples"], ["local"], ["local", "samples"]):
        raise InputRefused('"scopes" may hold: local, samples.')
    printed = fields.shaped(row, "fingerprint", HEX16, "16 hex digits")
    return Searched(printed, tuple(scopes), fields.whole(row, "pages", 1, MOST_PAGES), fields.line(row, "codec", 40))


def _model(row: Mapping[str, Any]) -> Model:
    name, model = fields.line(row, "name"), fields.line(row, "model")
    revision = fields.line(row, "revision", empty=True)
    return Model(name, model, revision, fields.shaped(row, "fingerprint", HEX16, "16 hex digits"))


def _weights(row: Mapping[str, Any]) -> Weights:
    pooled, late = (fields.number(row, key, -HEAVIEST, HEAVIEST) for key in ("pooled", "late"))
    reduce, counted = fields.one_of(row, "reduce", tuple(Reduce)), fields.one_of(row, "counted", tuple(Counted))
    return Weights(pooled, late, Reduce(reduce), Counted(counted))


def _row(ranked: Ranked) -> list[object]:
    return [str(ranked.page), ranked.document, ranked.number, ranked.score]


def _ranking(rankings: Mapping[str, Any], name: str) -> tuple[Ranked, ...]:
    rows = tuple(_ranked(entry) for entry in fields.a_list(rankings, name, DEEPEST))
    if len({row.page for row in rows}) < len(rows):
        raise InputRefused(f"the {name} ranking has a page twice.")
    if any(later.score > row.score for row, later in pairwise(rows)):
        raise InputRefused(f"the scores of the {name} ranking do not fall.")
    return rows


def _ranked(entry: object) -> Ranked:
    if not isinstance(entry, list) or len(entry) != 4:
        raise InputRefused("a ranked page must be a list of page id, document, page number and score.")
    page, document, number, score = entry
    found = read_page(page)
    if not isinstance(document, str) or not document or not fields.is_line(document):
        raise InputRefused(f"a document's name must be one line of at most {fields.LONGEST_NAME} characters.")
    if isinstance(number, bool) or number != found.number:
        raise InputRefused("a page's number must be the one in its id.")
    value = fields.a_number(score)
    if value is None or abs(value) > HIGHEST:
        raise InputRefused(f"a score must be a number of at most {HIGHEST:g}.")
    return Ranked(found, document, value)

"""Markup of single judgements: what was said of each query, with a way back to it. Nothing is deleted from here."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from smart_demo.judging.records import Choice, Conditions, Grade, Skip, Trial, Vote
from smart_demo.judging.replay import Judgements
from smart_demo.judging.scoreboard import weights
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, REGION, Asked, asked
from smart_demo.types import SMART, PageId
from smart_demo.ui.wording import count, esc, name, queries

OPEN, LISTED = 10, 200
"""Queries that stand open and those that are listed, the last judged first; all of them are in the export."""
SHOWN = 300
"""Characters of a query."""
SCOPES = {("samples",): ON_SAMPLES, ("local",): ON_MINE, ("local", "samples"): ON_BOTH}


@dataclass(frozen=True, slots=True)
class Said:
    """What stands of one query under one set of conditions."""

    trial: Trial
    """The last one."""
    vote: Vote | None
    grades: dict[PageId, Grade]
    """Given under these conditions."""


def judgement_list(judged: Judgements, left_out: int = 0) -> str:
    """All that stands, by query; then what does not, in numbers. `left_out`: lines of the file that are no events."""
    said = said_by_query(judged)
    if not said and not judged.events:
        return ""
    items = "".join(map(_item, said[:OPEN]))
    more = len(said) - LISTED
    rest = f'<p class="quiet">{queries(more)} judged before these {"is" if more == 1 else "are"} in the export.</p>'
    votes, grades = sum(one.vote is not None for one in said), sum(len(one.grades) for one in said)
    head = f"{count(votes, 'vote')}, {count(grades, 'grade')}"
    return (
        f'<section class="board-part is-single" aria-labelledby="board-single"><h3 id="board-single">Judgements</h3>'
        f'<div><p class="board-said">{head} {"stand" if votes + grades != 1 else "stands"}.</p>'
        f'<ol class="judgements" aria-label="Judgements by query">{items}</ol>{_earlier(said[OPEN:LISTED])}'
        f"{rest if more > 0 else ''}"
        f"{_others(judged, left_out)}</div></section>"
    )


def said_by_query(judged: Judgements) -> tuple[Said, ...]:
    """The last judged first."""
    found: dict[tuple[Conditions, str], Said] = {}
    for event in judged.events:
        if not isinstance(event, Vote | Grade) or not judged.stands(event):
            continue
        key = (event.trial.conditions, event.trial.query.key)
        before = found.pop(key, None) or Said(event.trial, None, {})
        if isinstance(event, Vote):
            found[key] = Said(event.trial, event, before.grades)
        else:
            found[key] = Said(event.trial, before.vote, {**before.grades, event.page: event})
    return tuple(reversed(found.values()))


def asked_then(trial: Trial) -> Asked | None:
    """What asks the same in Compare, with the weights of then; None for a picture that was uploaded and is gone."""
    query, given = trial.query, trial.weights
    if query.picture and not query.picture.startswith(REGION):
        return None
    scope = SCOPES.get(trial.library.scopes, ON_SAMPLES)
    return asked(query.text, scope, trial.k, given.pooled, given.late, given.reduce, given.counted, query.picture)


def reopening(wanted: Asked) -> str:
    """A search as an attribute, for the script to give back."""
    return esc(json.dumps(wanted.fields))


def _earlier(said: Sequence[Said]) -> str:
    if not said:
        return ""
    items = "".join(map(_item, said))
    return (
        f'<details class="judged-earlier"><summary>{queries(len(said))} judged earlier</summary>'
        f'<ol class="judgements" aria-label="Earlier judgements by query">{items}</ol></details>'
    )


def _item(said: Said) -> str:
    trial, again = said.trial, asked_then(said.trial)
    text = trial.query.text
    shown = name(text[:SHOWN] + ("…" if len(text) > SHOWN else "")) if text.strip() else "A picture"
    label = f"Open in Compare: {text[:80] or 'a picture'}"
    button = (
        f'<button type="button" class="quiet-link" data-reopen="{reopening(again)}" aria-label="{esc(label)}">'
        "Open in Compare</button>"
        if again
        else '<span class="quiet">asked with a picture that is no longer kept</span>'
    )
    vote = _vote(said.vote) if said.vote else '<p class="judged-vote is-none">No vote</p>'
    how = f"{trial.encoder.name}, {weights(trial.weights)}, first {trial.k}"
    return (
        f'<li class="judged"><p class="judged-query">{shown}</p><div class="judged-said">{vote}'
        f'{_grades(said.grades.values())}<p class="judged-foot"><span>{esc(how)}</span>{button}</p></div></li>'
    )


def _vote(vote: Vote) -> str:
    side = "A" if vote.trial.sides.a == SMART.name else "B"
    if vote.choice is Choice.TIE:
        key, said = "tie", f"Tie; SMART was {side}"
    elif vote.choice is Choice.BAD:
        key, said = "bad", f"Both bad; SMART was {side}"
    elif vote.winner == SMART.name:
        key, said = "smart", f"SMART was better; it was {side}"
    else:
        key, said = "pooled", f"Pooled only was better; SMART was {side}"
    chips = "".join(f"<li>{esc(reason)}</li>" for reason in vote.reasons)
    reasons = f'<ul class="judged-reasons" aria-label="Reasons">{chips}</ul>' if chips else ""
    note = f'<p class="judged-note">{name(vote.note)}</p>' if vote.note.strip() else ""
    return f'<p class="judged-vote is-{key}">{said}</p>{reasons}{note}'


def _grades(grades: Iterable[Grade]) -> str:
    given = sorted(grades, key=lambda one: -one.grade)
    if not given:
        return ""
    items = "".join(f"<li><b>{one.grade}</b> {name(one.document)}, page {one.page.number}</li>" for one in given)
    return (
        f'<details class="judged-grades"><summary>{count(len(given), "grade")}</summary>'
        f'<ul aria-label="Grades">{items}</ul></details>'
    )


def _others(judged: Judgements, left_out: int) -> str:
    """What is kept but does not count."""
    cast = [event for event in judged.events if isinstance(event, Vote | Grade)]
    undone = sum(event.id in judged.undone for event in judged.events if isinstance(event, Vote | Grade | Skip))
    replaced = sum(event.id not in judged.undone and not judged.stands(event) for event in cast)
    told = [
        (undone, "taken back"),
        (replaced, "replaced by a later one"),
        (len(judged.skipped), f"{'query' if len(judged.skipped) == 1 else 'queries'} skipped"),
        (left_out, f"{'line' if left_out == 1 else 'lines'} of the file not understood and left as they are"),
    ]
    listed = ", ".join(f"{number:,} {what}" for number, what in told if number)
    return f'<p class="quiet">Kept beside these and in the export: {esc(listed)}.</p>' if listed else ""

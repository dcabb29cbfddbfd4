"""Markup of single judgements: what was said of each query, with a way back to it. Nothing is deleted from here.

Markup of a list of queries that was run: five for a slide, and every query by how much its rankings differ.

Sorting, filtering and the five are `queries.js`'s; what it needs stands in the rows. Queries come from anywhere.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from smart_demo.judging.list_comparison import Highlight, HighlightKind, QueryRow, highlights, sorted_rows
from smart_demo.judging.records import Conditions, Grade, Skip, Trial, Vote, VoteChoice
from smart_demo.judging.replay import Judgements
from smart_demo.judging.scoreboard import format_weights
from smart_demo.search.request import ON_BOTH, ON_MINE, ON_SAMPLES, REGION_PREFIX, SearchRequest, parse_request
from smart_demo.types import POOLED, SMART, PageId
from smart_demo.ui.format import bdi, count_queries, esc, format_difference, format_score
from smart_demo.wording import count

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
    rest = (
        f'<p class="quiet">{count_queries(more)} judged before these {"is" if more == 1 else "are"} in the export.</p>'
    )
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
        if not isinstance(event, Vote | Grade) or not judged.is_current(event):
            continue
        key = (event.trial.conditions, event.trial.query.key)
        before = found.pop(key, None) or Said(event.trial, None, {})
        if isinstance(event, Vote):
            found[key] = Said(event.trial, event, before.grades)
        else:
            found[key] = Said(event.trial, before.vote, {**before.grades, event.page: event})
    return tuple(reversed(found.values()))


def asked_then(trial: Trial) -> SearchRequest | None:
    """What asks the same in Compare, with the weights of then; None for a picture that was uploaded and is gone."""
    query, given = trial.query, trial.weights
    if query.picture and not query.picture.startswith(REGION_PREFIX):
        return None
    scope = SCOPES.get(trial.library.scopes, ON_SAMPLES)
    return parse_request(
        query.text, scope, trial.k, given.pooled, given.late, given.reduce, given.counted, query.picture
    )


def reopening(wanted: SearchRequest) -> str:
    """A search as an attribute, for the script to give back."""
    return esc(json.dumps(wanted.fields))


def _earlier(said: Sequence[Said]) -> str:
    if not said:
        return ""
    items = "".join(map(_item, said))
    return (
        f'<details class="judged-earlier"><summary>{count_queries(len(said))} judged earlier</summary>'
        f'<ol class="judgements" aria-label="Earlier judgements by query">{items}</ol></details>'
    )


def _item(said: Said) -> str:
    trial, again = said.trial, asked_then(said.trial)
    text = trial.query.text
    shown = bdi(text[:SHOWN] + ("…" if len(text) > SHOWN else "")) if text.strip() else "A picture"
    label = f"Open in Compare: {text[:80] or 'a picture'}"
    button = (
        f'<button type="button" class="quiet-link" data-reopen="{reopening(again)}" aria-label="{esc(label)}">'
        "Open in Compare</button>"
        if again
        else '<span class="quiet">asked with a picture that is no longer kept</span>'
    )
    vote = _vote(said.vote) if said.vote else '<p class="judged-vote is-none">No vote</p>'
    how = f"{trial.encoder.name}, {format_weights(trial.weights)}, first {trial.k}"
    return (
        f'<li class="judged"><p class="judged-query">{shown}</p><div class="judged-said">{vote}'
        f'{_grades(said.grades.values())}<p class="judged-foot"><span>{esc(how)}</span>{button}</p></div></li>'
    )


def _vote(vote: Vote) -> str:
    side = "A" if vote.trial.sides.a == SMART.name else "B"
    if vote.choice is VoteChoice.TIE:
        key, said = "tie", f"Tie; SMART was {side}"
    elif vote.choice is VoteChoice.BAD:
        key, said = "bad", f"Both bad; SMART was {side}"
    elif vote.winner == SMART.name:
        key, said = "smart", f"SMART was better; it was {side}"
    else:
        key, said = "pooled", f"Pooled only was better; SMART was {side}"
    chips = "".join(f"<li>{esc(reason)}</li>" for reason in vote.reasons)
    reasons = f'<ul class="judged-reasons" aria-label="Reasons">{chips}</ul>' if chips else ""
    note = f'<p class="judged-note">{bdi(vote.note)}</p>' if vote.note.strip() else ""
    return f'<p class="judged-vote is-{key}">{said}</p>{reasons}{note}'


def _grades(grades: Iterable[Grade]) -> str:
    given = sorted(grades, key=lambda one: -one.grade)
    if not given:
        return ""
    items = "".join(f"<li><b>{one.grade}</b> {bdi(one.document)}, page {one.page.number}</li>" for one in given)
    return (
        f'<details class="judged-grades"><summary>{count(len(given), "grade")}</summary>'
        f'<ul aria-label="Grades">{items}</ul></details>'
    )


def _others(judged: Judgements, left_out: int) -> str:
    """What is kept but does not count."""
    cast = [event for event in judged.events if isinstance(event, Vote | Grade)]
    undone = sum(event.id in judged.undone for event in judged.events if isinstance(event, Vote | Grade | Skip))
    replaced = sum(event.id not in judged.undone and not judged.is_current(event) for event in cast)
    told = [
        (undone, "taken back"),
        (replaced, "replaced by a later one"),
        (len(judged.skipped), f"{'query' if len(judged.skipped) == 1 else 'queries'} skipped"),
        (left_out, f"{'line' if left_out == 1 else 'lines'} of the file not understood and left as they are"),
    ]
    listed = ", ".join(f"{number:,} {what}" for number, what in told if number)
    return f'<p class="quiet">Kept beside these and in the export: {esc(listed)}.</p>' if listed else ""


TITLES = {
    HighlightKind.LOSS: "SMART loses",
    HighlightKind.GAIN: "SMART wins",
    HighlightKind.RISE: "A page rises",
    HighlightKind.FALL: "A page falls",
    HighlightKind.UNCHANGED: "Nothing changes",
    HighlightKind.DIFFERENT: "The rankings differ",
}
MARKS = {
    HighlightKind.LOSS: "▼",
    HighlightKind.GAIN: "▲",
    HighlightKind.RISE: "↑",
    HighlightKind.FALL: "↓",
    HighlightKind.UNCHANGED: "=",
    HighlightKind.DIFFERENT: "≠",
}
BETTER = {SMART.name: "SMART", POOLED.name: "Pooled only", "same": "the same", "": ""}
COLUMNS = (
    ("rbo", "RBO", "Rank-biased overlap of both rankings: 1 is the same"),
    ("tau", "Kendall τ", "Kendall’s tau on the union of both: 1 is the same order, −1 the opposite"),
    ("shared", "Shared", "Pages in both"),
    ("first", "First page", "Whether another page comes first"),
)
JUDGED = (
    ("pooled", "nDCG pooled", "Of the pooled ranking, by the grades known"),
    ("smart", "nDCG SMART", "Of the SMART ranking, by the grades known"),
    ("gain", "Better", "Whose nDCG is higher, and by how much"),
)
"""Columns for lists of which grades are known."""
FILTERS = (("all", "All queries"), ("first", "First page changes"), ("five", "The five"))
FILTERS_JUDGED = (("smart", "SMART is better"), ("pooled", "SMART is worse"))


@dataclass(frozen=True, slots=True)
class ShownRun:
    """A run as its table shows it."""

    rows: Sequence[QueryRow]
    search: SearchRequest
    """How every query was asked; its text is empty."""
    notices: Sequence[str]
    said: str
    """What was run, in one sentence."""


def query_table(shown: ShownRun) -> str:
    """The five, hidden until they are asked for, and the table."""
    rows = sorted_rows(shown.rows)
    notices = "".join(f"<li>{esc(one)}</li>" for one in shown.notices)
    notes = f'<ul class="list-notices" aria-label="What was left out">{notices}</ul>' if notices else ""
    if not rows:
        return f'<p class="list-said" role="status">{esc(shown.said)}</p>{notes}'
    judged = any(row.pooled is not None for row in rows)
    picked = {one.comparison.key: one for one in highlights(shown.rows)}
    places = {row.comparison.key: number for number, row in enumerate(shown.rows)}
    body = "".join(
        _row(row, places[row.comparison.key], picked.get(row.comparison.key), shown.search, judged=judged) for row in rows
    )
    return (
        f'<p class="list-said" role="status">{esc(shown.said)}</p>{notes}{_tools(len(rows), judged=judged)}'
        f"{_five(shown)}{_table(body, judged=judged)}"
        f'<p class="quiet">{esc(_legend(rows, judged=judged))}</p>'
    )


def _tools(number: int, *, judged: bool) -> str:
    filters = (*FILTERS, *(FILTERS_JUDGED if judged else ()))
    options = "".join(f'<option value="{key}">{esc(label)}</option>' for key, label in filters)
    return (
        '<div class="list-tools"><button type="button" class="share-button is-main" data-list="five" '
        'aria-expanded="false" aria-controls="list-five">Find the five for my slide</button>'
        '<button type="button" class="share-button" data-list="csv">Download as CSV</button>'
        '<label class="list-find"><span>Find</span><input type="search" data-list="find" autocomplete="off"></label>'
        f'<label class="list-find"><span>Show</span><select data-list="show">{options}</select></label>'
        f'<output class="list-count" aria-live="polite" data-of="{number}">{number:,} shown</output></div>'
    )


def _five(shown: ShownRun) -> str:
    items = "".join(_highlight(one, shown.search) for one in highlights(shown.rows))
    return (
        f'<section id="list-five" class="five" aria-label="Five for a slide" tabindex="-1" hidden>'
        f"<ol>{items}</ol></section>"
    )


def _highlight(one: Highlight, search: SearchRequest) -> str:
    query = one.comparison.query
    return (
        f'<li class="is-{one.kind}"><p class="five-title"><span aria-hidden="true">{MARKS[one.kind]}</span>'
        f'{esc(TITLES[one.kind])}</p><p class="five-query">{bdi(query)}</p>'
        f'<p class="five-why">{esc(one.sentence)}</p>{_open(query, search, "Open in Compare")}</li>'
    )


def _table(body: str, *, judged: bool) -> str:
    columns = (*COLUMNS, *(JUDGED if judged else ()))
    heads = "".join(_head(*column) for column in columns)
    return (
        '<div class="list-scroll" role="region" aria-label="Queries, most different rankings first" tabindex="0">'
        f'<table class="list-table" role="table"><thead role="rowgroup"><tr role="row">{_head("query", "Query", "")}'
        f'{heads}<th scope="col" role="columnheader" class="is-open"><span>Open</span></th></tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _head(key: str, label: str, said: str) -> str:
    order = "ascending" if key == "rbo" else "none"
    title = f' title="{esc(said)}"' if said else ""
    return (
        f'<th scope="col" role="columnheader" class="is-{key}" aria-sort="{order}"><button type="button" '
        f'data-sort="{key}"{title}>{esc(label)}</button></th>'
    )


def _row(row: QueryRow, place: int, picked: Highlight | None, search: SearchRequest, *, judged: bool) -> str:
    told, query = row.comparison.disagreement, row.comparison.query
    values = {
        "place": place,
        "rbo": f"{told.rbo:.9f}",
        "tau": "" if math.isnan(told.tau) else f"{told.tau:.9f}",
        "shared": told.shared,
        "first": int(told.new_first),
        "pooled": _value(row.pooled),
        "smart": _value(row.smart),
        "gain": _value(row.comparison.ndcg_gain),
        "better": row.better,
        "five": int(picked is not None),
    }
    data = "".join(f' data-{key}="{value}"' for key, value in values.items())
    why = f'<span class="list-why" hidden>{esc(picked.sentence)}</span>' if picked else ""
    qid = f'<span class="list-qid">{bdi(row.qid)}</span> ' if row.qid else ""
    vote = (
        f'<button type="button" class="quiet-link" data-vote="{place}" aria-label="Vote on: {esc(query[:80])}">'
        "Vote</button>"
    )
    cells = (
        _cell("rbo", "RBO", format_score(told.rbo)),
        _cell("tau", "Kendall τ", format_score(told.tau)),
        _cell("shared", "Shared", f"{told.shared} of {told.k}"),
        _cell("first", "First page", _first(row)),
        *(_judged(row) if judged else ()),
    )
    return (
        f'<tr role="row"{data}><th scope="row" role="rowheader" class="list-query">{qid}{bdi(query)}{why}</th>'
        f'{"".join(cells)}<td role="cell" class="is-open">{_open(query, search, "Compare")}{vote}</td></tr>'
    )


def _judged(row: QueryRow) -> tuple[str, ...]:
    pooled, smart = (format_score(math.nan if value is None else value) for value in (row.pooled, row.smart))
    gain = row.comparison.ndcg_gain
    said = "" if gain is None else BETTER[row.better] + (f" {format_difference(gain)}" if row.better != "same" else "")
    own = " <small>by your grades</small>" if row.own_grades and gain is not None else ""
    return (
        _cell("pooled", "nDCG pooled", pooled),
        _cell("smart", "nDCG SMART", smart),
        f'<td role="cell" class="is-gain of-{row.better or "none"}" data-head="Better">{esc(said) or "–"}{own}</td>',
    )


def _first(row: QueryRow) -> str:
    before, after = row.first_pages
    if not before and not after:
        return "–"
    if not row.comparison.disagreement.new_first:
        return f'<span class="quiet">stays</span> <small>{bdi(after)}</small>'
    way = f'{bdi(before or "nothing")} <span aria-label="to">→</span> {bdi(after or "nothing")}'
    return f"changes <small>{way}</small>"


def _cell(key: str, label: str, markup: str) -> str:
    return f'<td role="cell" class="is-{key}" data-head="{esc(label)}">{markup}</td>'


def _open(query: str, search: SearchRequest, label: str) -> str:
    wanted = replace(search, text=query)
    return (
        f'<button type="button" class="quiet-link" data-reopen="{reopening(wanted)}" '
        f'aria-label="Open in Compare: {esc(query[:80])}">{esc(label)}</button>'
    )


def _value(value: float | None) -> str:
    return "" if value is None else f"{value:.9f}"


def _legend(rows: Sequence[QueryRow], *, judged: bool) -> str:
    k = max(row.comparison.disagreement.k for row in rows)
    said = f"RBO, Kendall’s τ and shared pages are of the first {k} of both rankings; they do not say which is better."
    return f"{said} nDCG@{k} counts a page without a grade as not relevant." if judged else said
